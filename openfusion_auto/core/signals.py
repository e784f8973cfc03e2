"""The rules and weights of reading a task, as data.

`HEADS` holds verbs that count where an instruction begins ("fix ...", "please add ..."): there they say what is
asked for, elsewhere they are just words. Points are unit-free; the kind with the most points wins, risk and complexity
are sums that `classify.py` cuts into three levels.

Source: hand-set on general grounds and adjusted on labelled prompts of coding agents; `tests/core/reading_cases.jsonl`
is what holds them.
"""

from __future__ import annotations

from openfusion_auto.core.lexicon import Pair, Signal, build_index, split_term, word_set
from openfusion_auto.core.signals_levels import COMPLEXITY, COMPLEXITY_ABROAD, RISK, RISK_ABROAD
from openfusion_auto.core.types import Kind

HEADS: tuple[tuple[Kind, float, str], ...] = (
    ("bugfix", 4.0, "fix repair debug troubleshoot mend hotfix fixing"),
    ("bugfix", 3.0, "correct resolve diagnose patch redact sanitise sanitize mask escape guard"),
    ("bugfix", 2.2, "investigate solve find locate handle prevent stop close track avoid ensure tolerate limit"),
    ("feature", 3.5, "implement develop integrate encrypt decrypt"),
    ("feature", 2.6, "return require restrict reject harden secure lock hash sign validate combine"),
    ("feature", 2.6, "add create build make support allow enable introduce expose show display extend let include"),
    ("feature", 2.6, "store log cache provide design put save send print accept render highlight remember paginate"),
    ("feature", 2.6, "connect hook wire sync embed offer persist notify animate autofill append ship prefill"),
    ("feature", 1.6, "write generate prepare produce code set use have change update adjust"),
    ("refactor", 5.0, "refactor rename restructure rewrite deduplicate modularise modularize reorganise reorganize"),
    ("refactor", 4.0, "extract split inline simplify consolidate decouple port unify factor tidy hoist isolate"),
    ("refactor", 4.0, "rebuild abstract encapsulate flatten untangle normalise normalize standardise standardize"),
    ("refactor", 4.0, "separate"),
    ("refactor", 3.4, "lift convert replace move migrate swap switch break reorder sort clean remove turn get"),
    ("refactor", 3.4, "pull"),
    ("refactor", 1.8, "reduce modernise modernize merge strip delete collapse drop group eliminate"),
    ("refactor", 1.0, "change make"),
    ("test", 3.6, "test cover assert mock fuzz parametrize parametrise"),
    ("docs", 5.0, "document translate reword rephrase annotate"),
    ("docs", 2.4, "comment mention describe draft shorten summarise summarize"),
    ("docs", 1.0, "write update mark"),
    ("explain", 5.0, "explain elaborate clarify teach understand"),
    ("explain", 3.2, "what what's whats which where where's why who whose when how describe tell list count know"),
    ("explain", 2.6, "does is are do was were did has can's should compare define outline"),
    ("review", 5.0, "review audit critique criticise criticize proofread vet"),
    ("review", 3.2, "check assess evaluate inspect examine look judge rate approve challenge"),
    ("ops", 5.0, "run rerun execute"),
    ("ops", 4.4, "deploy redeploy rollback restart squash rebase stash provision"),
    ("ops", 4.4, "undeploy cherry drain cordon curl unpin revert reboot reindex"),
    ("ops", 4.4, "dockerise dockerize containerise containerize"),
    ("ops", 5.4, "upgrade downgrade bump install pin reinstall uninstall"),
    ("ops", 4.0, "rotate revoke restore publish clone benchmark lint undo archive"),
    ("ops", 4.0, "vacuum tail ssh"),
    ("ops", 3.0, "start stop launch push pull checkout commit tag release format delete drop purge wipe kill open"),
    ("ops", 3.0, "scale grant backup truncate flush configure schedule download compile roll issue renew git spin"),
    ("ops", 2.0, "update set move migrate terminate show redesign disable enable speed"),
)  # fmt: skip

# Verbs that are as often nouns: they count in full only before a word like "the", "my", "all", or a number.
AMBIGUOUS_HEADS = word_set(
    "test cache log release support tag start format comment document design review update change "
    "sort store run set show code stop ship hook limit guard group abstract patch check list port issue open "
    "lint drop count scale backup commit schedule cover highlight mock print tell"
)

_KIND_WORDS = (
    Signal("problem", "bugfix", 2.2, "problem",
        "bug, bugs, crash*, broken, deadlock*, leak*, regression, segfault*, oom, nan, panics, "
        "panic, never, named error, make it pass, make them pass, incorrect*, misbehav*, "
        "malfunction*, vulnerab*, injection, xss, exploit*, race, npe"),
    Signal("problem", "bugfix", 1.6, "symptom",
        "doubles, doubled, throws, complains, misaligned, evicted, wrong*, error, errors, "
        "exception*, fails, failing, failed, fail, hang, hangs, freez*, stall*, stale, overlap*, "
        "flicker*, corrupt*, duplicate*, twice, misspell*, misspelled, typo, inverted, "
        "mishandle*, miscompil*, nullpointer*, cuts, drift*, loses, lost, disappear*, ignores, "
        "drops, upside, stuck, grows"),
    Signal("expected", "bugfix", 1.5, "expected",
        "should be, should not, shouldn't, must be, instead of, doesn't, does not, isn't, "
        "not working, off by, can't, cannot, returns 500, returns 404, get to the bottom, "
        "slows down, two times, no longer, other way round, supposed to, even though, "
        "although, still, expected, add up, stops picking, whenever, jumps, keeps, even when, "
        "leaves, resets, until you"),
    Signal("cause", "bugfix", 2.6, "fix",
        "root cause, find out why, work out why, figure out why, find and fix, find the cause, "
        "find the bug"),
    Signal("fix", "bugfix", 1.2, "fix",
        "fix it, fix this, fix them, fix that, fix please, please fix, fix both"),
    Signal("leads to wrong", "bugfix", 1.4, "symptom",
        "sometimes, intermittent*, occasionally, under load"),
    Signal("new behaviour", "feature", 1.5, "feature noun",
        "feature, endpoint, button, option, flag, toggle, form, screen, page, dialog, "
        "integration, importer, exporter, widget, subcommand, configurable, parser, script, "
        "one-liner, shortcut, app, game, clone, tool, plugin, crdt*, subsystem, bot, webhook*"),
    Signal("new behaviour", "feature", 2.2, "feature phrase",
        "new feature, so that users, let users, from scratch, we need a, i need, i want, i'd "
        "like, we need, we want, we'd like, so the, have the, allow users, users can, end to end "
        "encryption"),
    Signal("restructure", "refactor", 3.4, "restructure",
        "refactor*, restructur*, rename*, renaming, no behaviour change, no behaviour changes, "
        "no behavior change, no behavior changes, "
        "without changing behaviour, same exports, same signature, keep the public api, dedup*, "
        "renamed, copy-pasted, copy pasted, type hints, type annotations, dependency injection"),
    Signal("restructure", "refactor", 2.2, "restructure",
        "magic number, into a constant, a constant, unused, dead code, commented out, into "
        "modules, options api, single decorator, one helper, lookup table, nested ternary, get "
        "rid of, out into, out of the, circular import*, injectable, into its own, into a map, "
        "module by module, behind the existing, must stay identical, into one, duplicated code, "
        "imports, codebase, class components, data layer, double quotes, single quotes, with "
        "composition, context manager"),
    Signal("use instead", "refactor", 1.6, "restructure2",
        "use pathlib, to hooks, to typescript, to async, to es, instead of os, to rust, "
        "to kotlin, to scopes, to zustand"),
    Signal("tests", "test", 5.0, "tests",
        "one more test, more tests, another test, fuzzer, test for, tests, unit test, "
        "unit tests, test case*, test suite, unittest*, pytest, jest, vitest, junit, rspec, "
        "playwright, cypress, selenium, coverage, fuzz*, property based, model based, "
        "test harness, snapshot test*, e2e, regression test*, table-driven, doctest, "
        "load test, integration test*, linearizab*, assertion, assert that, parametrized, "
        "unit-test*, a test, one test, flaky, fuzzing harness, fuzz test*, flaky test*, "
        "test fixture, integration tests, test rig, tests de, fault injection test, "
        "table tests, smoke test*, contract tests"),
    Signal("tests", "test", 1.2, "tests",
        "test, mock, mocked, mocks, stub, fixture*"),
    Signal("documentation", "docs", 4.8, "docs",
        "documentation, guide, contributing, docstring*, jsdoc, javadoc, readme*, changelog*, "
        "man page, adr, runbook*, release notes, api reference, onboarding guide, "
        "architecture overview, migration guide, a comment, table of contents, tutorial, "
        "troubleshooting page, contributing guide, code comment*, faq, openapi docs, docs, "
        "doc comments, page that explains, for new maintainers, for maintainers, "
        "for newcomers, release process for, for beginners"),
    Signal("documentation", "docs", 2.6, "docs",
        "instructions, installation instructions, copyright, walkthrough, paragraph, heading*, "
        "how-to, glossary, manual, comments, spelling, typo, typos, dead links, wiki, mermaid, "
        "diagram, openapi, grammar, wording, punctuation"),
    Signal("documentation file", "docs", 6.0, "md, mdx, rst, adoc",
        "doc file"),
    Signal("text only", "docs", 2.2, "text",
        "markdown, text only, sentence case, license, licence, wording, help text, misspell*, "
        "broken link, broken links, dead link"),
    Signal("question", "explain", 2.6, "question",
        "can i, could i, may i, should i, do i need, is there a difference, i don't get, don't "
        "understand, i want to understand, fully understand, who calls, why would, difference "
        "between, what does, what is, what's the, how does, how do i, why is, why does, why do, "
        "walk me through, mean, means, meaning, stands for, stand for, understand, deep dive, "
        "trade offs, tradeoffs, would i choose, step by step, piece by piece, how many, tell me "
        "what, where is, where in, in which, pros and cons"),
    Signal("no change wanted", "explain", 3.0, "nochange",
        "don't change anything, no changes please, don't fix it, just explain, without changing "
        "anything, don't touch anything, explain only"),
    Signal("judgement", "review", 3.4, "review",
        "check this, what is wrong, anything wrong, go through, critical review, code review, "
        "security review, security audit, threat model, proofread, second pair of eyes, "
        "look right, go through the diff, what is wrong with, tell me what is wrong, "
        "would you approve, would you merge, safe to expose, my changes to, spot any, "
        "poke holes, sanity check, criticise, critique, feedback, look over, take a look, "
        "have a look, second opinion, anything i missed, any problems, any issues, "
        "what do you think, before i apply, before we merge, before we ship, idiomatic, "
        "review*, thread safe, thread-safe, good way to, is this safe, is it safe to merge, "
        "read well, check my, please check, which you would merge, can you spot, weaknesses, "
        "weak points, strengths and, is the tone, what am i missing, anything dangerous, "
        "anything risky, anything suspicious, anything to improve, any concerns, "
        "room for improvement, code smells, go through the, what would break, "
        "any way to bypass, could break"),
    Signal("correct?", "review", 2.4, "review",
        "is this correct, correct in, is this right, is this ok, is this good, good practice"),
    Signal("operations", "ops", 3.2, "ops",
        "ansible playbook, playbook, virtualenv, github action, memory limits, web servers, "
        "local branches, remote branch, last commit but, my last commit, cherry pick, our ci, "
        "the ci, build the project, build the app, dependabot, renovate, load balancer, dns, "
        "kubernetes deployment, deployment and service, onto main, onto release, onto master, "
        "swap space, crontab, disk space, ssh, vpn, dockerfile, docker, docker-compose, "
        "kubernetes, k8s, helm, terraform, ansible, github actions, gitlab ci, ci job, "
        "ci pipeline, jenkins, systemd, gitignore, lockfile, pre commit hook, pre-commit, "
        "git history, force push, dependencies, dev server, dotfiles, least privilege, "
        "downtime, compose file, cron job, multi stage build, pulumi, feature branch, "
        "last commit, last three commits, test suite and, git status, git log, git diff, "
        "new branch, run the tests, the dependencies, commits, main into, into main, "
        "into master, into my branch, clean the history, rewrite history, live server, "
        "live database, from the production, in production please, production database, "
        "error rate, check out, turn off, turn on, shut down, spin up, carry out, cut over, "
        "branch and pull, run the migrations, argocd"),
    Signal("operations", "ops", 1.8, "ops place",
        "production, prod, cluster, replicas, bucket, certificates, dns, firewall, iam, "
        "staging, deployment, rollout, artifacts, artefacts, s3, postgres, postgresql, mysql, "
        "mongodb, elasticsearch, rabbitmq"),
    Signal("operations", "ops", 0.8, "ops place",
        "server, pipeline*, branch, repo, port, secrets, database, process, warehouse, region, "
        "backup*"),
    Signal("small talk", "chat", 4.0, "chat",
        "yo, bonsoir, sup, howdy, morning, gm, hi, hello, hey, thanks, thank, thx, ty, bye, "
        "goodbye, lol, haha, hahaha, good morning, good evening, good night, good afternoon, see "
        "you, cheers, kudos, just curious, awesome, bravo, yay, congrats, congratulations"),
    Signal("small talk", "chat", 6.0, "chat",
        "what's up, cats or, or dogs, i'm new, you rock, do you sleep, do you dream, i love, "
        "so cool, how clean, joke, never mind, nevermind, nice work, well done, great job, "
        "good job, happy friday, no need to, how are you, how's it going, who made you, "
        "who are you, are you human, which model are you, what model are you, are you chatgpt, "
        "are you claude, are you a bot, are you there, do you like, your favourite, "
        "your favorite, i'm tired, that's all, do you speak, can you speak, no more changes, "
        "all good now, you're welcome, you are awesome, you're awesome, you're the best, "
        "your name, what are you, what can you do, how old are you, your opinion on, "
        "do you prefer"),
    Signal("small talk", "chat", 2.6, "chat topic",
        "today, tomorrow, birthday, party, weather, weekend, weekends, opinion, vim, emacs, "
        "tabs, beer, coffee, lunch, dinner, love, holiday, haiku, poem, recipe, movie, football"),
)  # fmt: skip

_KIND_ABROAD = (
    Signal("fix", "bugfix", 4.0, "fix",
        "trouve la cause, finde die ursache, finde den fehler, encuentra la causa, corrijas, "
        "popraw, beheb*, korrigier*, reparier*, fixe, corrig*, répar*, arregl*, arrégl*, "
        "repara, repare, soluciona*, corrij*, conserte*, arrume*, correggi*, sistema, "
        "sistemalo, risolvi*, repareer, herstel*, verhelp*, исправ*, почин*, устран*, пофикс*, "
        "napraw*, popraw*, düzelt*, виправ*, oprav*, åtgärda, 修复, 修正, 改正, 解决, 直して, "
        "修復, 고쳐, 해결해, 수정해, ठीक कर, सुधार, los dit, los dit op, los het op, "
        "repariere, finde den grund, поправ*"),
    Signal("problem", "bugfix", 2.0, "problem",
        "doublons, falsch, zeigt noch, noch die alte, inversé, incorrecto, "
        "отображается неправильно, неправильн*, yanlış, nieprawidłow*, kaputt, abstürz*, "
        "absturz, erreur*, plante, bug*, falla, fallo, no funciona, se rompe, errore, quebra*, "
        "erro, ошибк*, падает, ломает*, не работает, błąd, hata, werkt niet, 报错, 崩溃, 错误, "
        "少算, 重复, 仍然, 不工作, バグ, クラッシュ, エラー, 動かない, 壊れ, 버그, 오류, "
        "사라집, 안 됩, त्रुटि, बग, funktioniert nicht, ne marche pas, ne fonctionne, fehler, "
        "dubbel*, duplicad*, bricht, stürzt"),
    Signal("add", "feature", 3.0, "add",
        "erweitere, erweiter*, baue, zeige, ermögliche, permets, permettre, permite, permitir, "
        "consenti, affiche, muestra, mostra, mostre, toon, laat, покажи, stwórz, oluştur, "
        "ようにして, 表示して, 만들어, 导出, 显示, 一个, maak een, schreibe ein skript, "
        "escribe un script, füge, hinzu, ergänz*, implementier*, erstell*, ajout*, implément*, "
        "crée*, añad*, agreg*, crear, crea, haz, adicion*, crie, aggiung*, voeg, toevoeg*, "
        "добав*, реализ*, создай*, сделай*, dodaj*, zaimplement*, ekle, додай*, přidej*, lägg, "
        "添加, 增加, 实现, 新增, 支持, 开发, 追加, 実装, 作成, 作って, できるように, 추가, "
        "구현, 만들, जोड़, बनाए, बना दो, लागू, implementa, implementar, implemente"),
    Signal("explain", "explain", 3.4, "question",
        "co to jest, co to, jak działa, hoe werkt, wat is het verschil, qual é, quelle est, "
        "quel est, cuál es, qual è, unterschied, différence, diferencia, diferença, "
        "differenza, verschil, разница, в чём, в чем, ne demek, vad är, co je, 区别, 違い, "
        "차이, 哪里, अंतर, क्या करता, मतलब, mi explichi, пояснить, где, wo wird, wo steht, "
        "erklär*, warum, was macht, was ist, was bedeutet, wie funktioniert, wo ist, expliqu*, "
        "pourquoi, que fait, qu'est, c'est quoi, explica*, explíca*, qué, por qué, cómo, cuál, "
        "spiega*, cosa, perché, o que, por que, uitleg*, leg uit, waarom, wat doet, wat is, "
        "объясн*, что делает, что такое, почему, зачем, как работает, wyjaśnij, dlaczego, "
        "co robi, açıkla, nedir, поясни, förklara, 解释, 什么, 为什么, 怎么, 哪个, 说明, とは, "
        "何ですか, なぜ, 説明, 意味, どこ, 설명, 무엇, 뭐, 왜, 어떻게, क्या है, क्यों, "
        "कैसे काम, समझा, что означает, что значит, hoe kan ik, wie kann ich, comment faire, "
        "comment puis, cómo puedo, como faço, как мне, как сделать, jak mogę, nasıl yap"),
    Signal("review", "review", 4.2, "review",
        "schau dir, schau dir bitte, sag mir, durchsehen, dá uma olhada, aponta*, aponte, "
        "donne-moi ton avis, ton avis, jette un œil, échale un vistazo, échale un ojo, "
        "da un'occhiata, dai un'occhiata, geef feedback, kijk even naar, kun je deze, "
        "przejrzyj, gözden geçir, granska, zkontroluj, 看一下, 看看, 有没有问题, 见てください, "
        "見てもらえ, 봐주세요, 봐 주세요, देखें और बताएं, prüf*, überprüf*, begutacht*, relis, "
        "relire, relecture, revois, vérifie*, revisa*, revise, rivedi, controlla, bekijk*, "
        "beoordeel*, nakijk*, проверь*, проверьте, ревью, посмотри, sprawdź, incele, 审查, "
        "评审, 检查, 审核, レビュー, 確認して, 리뷰, 검토, समीक्षा, जांच, anschauen, "
        "durchschauen, drüberschauen, drüber schauen, anzuschauen, comprueba, analiza, "
        "analise, analyse mon"),
    Signal("restructure", "refactor", 4.6, "restructure",
        "überführe*, umbauen, ersetze, remplace, reemplaza, substitua, sostituisci, vervang, "
        "замени, vereinheitlich*, estrai*, sposta*, mova, mueve, déplace, extrayez, extrais, "
        "lagere, splitse, splits, refactoreer, wydziel, uprość, убери дублирование, 统一, "
        "整理, 共通化, まとめて, 정리, umbenenn*, benenne, refaktor*, refactoris*, "
        "refactoriz*, räum*, vereinfach*, verschieb*, auslager*, renomm*, renombra*, rinomin*, "
        "renome*, hernoem*, simplifi*, extrai*, extrae*, переименуй*, вынес*, рефактор*, "
        "упрост*, przemian*, zmień nazwę, 重构, 重命名, 改名, 抽取, 提取, 拆分, リファクタ, "
        "変数名, 名前を変, 分割, 리팩터, 리팩토링, 이름을 바꿔, नाम बदल, fusionne*, regroupe*, "
        "zusammenführ*, combina, sustituye, sustituir, umstell*, aufteil*, teile, zerleg*, "
        "découpe, unificar, unifica los, unifica las, sépare*, isoler, extraire"),
    Signal("tests", "test", 4.6, "tests",
        "teste die, teste den, schreibe tests, schreib tests, 测试, 写测试, napisz testy, test yaz, "
        "tests voor, testgevallen, případy, unittest*, unit-test*, tests unitaires, prueba*, "
        "pruebas, testes, un test, testy, des tests, тест*, tests schreiben, einen test, testen "
        "für, 单元测试, 测试用例, 编写测试, テスト, 테스트, परीक्षण, टेस्ट"),
    Signal("documentation", "docs", 4.6, "docs",
        "dokumentacj*, dokumenta*, kommenttia, belgele, readme ergänzen, dokümantasyon, "
        "dokumentace, 説明を追加, 说明文档, 사용법, readme, dokumentier*, dokumentation, "
        "anleitung, kommentar, kommentier*, übersetz*, commentaire*, traduis*, traduire, "
        "documentación, comentario*, traduc*, traduz*, comentário*, documentaz*, commento, "
        "traduci, vertaal, документац*, комментари*, перевед*, допиши, dokumentac*, "
        "przetłumacz, 文档, 注释, 翻译, ドキュメント, コメント, 翻訳, 手順を, 문서, 주석, "
        "번역, दस्तावेज़, टिप्पणी, अनुवाद, kapitel, handbuch, entwicklerhandbuch, manuel, "
        "handleiding, руководств*, podręcznik, 手册, マニュアル, 매뉴얼"),
    Signal("runs tests", "ops", 6.0, "ops tests",
        "lance les tests, lancer les tests, führe die tests, ejecuta los tests, ejecuta las "
        "pruebas, corre los tests, esegui i test, rode os testes, execute os testes, draai de "
        "tests, запусти тесты, uruchom testy, 运行测试, 跑测试, テストを実行, 테스트를 실행, 테스트 실행, टेस्ट चला"),
    Signal("operations", "ops", 3.4, "ops",
        "lösch*, starte, installier*, aktualisier*, führe, deploye, déploi*, lance, supprim*, "
        "ejecut*, desplieg*, actualiz*, rode, atualiz*, esegui, avvia, aggiorna, verwijder*, "
        "installeer, draai, запусти*, удали*, установи*, обнови*, разверни*, собери, uruchom*, "
        "usuń, zainstaluj, çalıştır, 运行, 部署, 清空, 安装, 执行, 升级, 回滚, 実行, デプロイ, "
        "削除, インストール, 起動, 실행, 배포, 삭제, 설치, 업데이트, चलाए, चलाओ, हटाए, तैनात, "
        "execute os, executar, exécute, instala, instalar, instale, installe, installez, "
        "borra, borrar, borre, elimina, eliminar, elimine, cancella, cancellare, apague, "
        "apagar"),
    Signal("small talk", "chat", 4.2, "chat",
        "bonsoir, ça va, wie geht, come stai, qué tal, tudo bem, как дела, до свидания, пока, "
        "tschüss, au revoir, adiós, hasta luego, no hay de qué, 再见, さようなら, 잘 가, お疲れ, よろしく, "
        "danke*, hallo, moin, guten morgen, merci, bonjour, salut, gracias, hola, buenos días, "
        "obrigad*, olá, grazie, ciao, dank je, bedankt, hoi, спасибо, привет, здравствуй*, "
        "dzięki, dziękuję, cześć, teşekkür*, merhaba, дякую, tack, hej, 谢谢, 你好, 您好, 多谢, ありがとう, "
        "こんにちは, おはよう, 안녕, 감사, 고마, नमस्ते, धन्यवाद, شكرا, مرحبا"),
)  # fmt: skip

SIGNALS: tuple[Signal, ...] = (
    *_KIND_WORDS,
    *_KIND_ABROAD,
    *RISK,
    *RISK_ABROAD,
    *COMPLEXITY,
    *COMPLEXITY_ABROAD,
)


# Harmless uses of loaded words: inside these phrases no word counts.
NEUTRAL = (
    "dependency injection, fault injection, design tokens, in order to, order of, order by, sort order, same order, "
    "in order, key bindings, "
    "key binding, git checkout, token count, in charge, charge of, live reload, live preview, live updates, "
    "live update, "
    "to jest, jest to, co jest, bank holiday, role model, error message, error messages, error handling, error "
    "page, production build, production ready, "
    "production grade, crash course, bug report, bug tracker, issue tracker, just in time, free of charge, race to, "
    "private method, private methods, secret santa, secret word, secret number, "
    "only under, only happens, only in, only when, only after, "
    "access modifier, access modifiers, password manager, "
    "table of contents, hot reload, test data, tax free, live coding, session storage, bug bash, "
    "wrong way, fail fast, kill switch, dead letter"
)


# Signals that mean something only for one kind: "what is" inside a wish is no question.
ONLY_FOR: dict[str, Kind] = {
    "complexity.plain question": "explain",
    "complexity.plain command": "ops",
    "risk.local": "ops",
}


INDEX = build_index(SIGNALS)
HEAD_VERBS: dict[str, tuple[tuple[Kind, float], ...]] = {
    verb: tuple((kind, points) for kind, points, verbs in HEADS if verb in verbs.split())
    for _, _, every in HEADS
    for verb in every.split()
}
NEUTRAL_PAIRS: dict[Pair, tuple[tuple[str, ...], ...]] = {
    pair: tuple(p[2:] for p in map(split_term, NEUTRAL.split(",")) if p[:2] == pair)
    for pair in {(p[0], p[1]) for p in map(split_term, NEUTRAL.split(","))}
}
# Verbs of a command that is one step when little else is said.
COMMANDS = word_set(
    "run start install show rebase stash squash kill format delete drop bump update pin open undo revert push "
    "pull restart "
    "build execute clone list checkout upgrade cherry"
)
# Of those, what changes nothing outside the working copy.
LOCAL_COMMANDS = COMMANDS - {
    "drop", "update", "bump", "pin", "upgrade", "revert", "kill", "restart", "push", "delete",
}  # fmt: skip
