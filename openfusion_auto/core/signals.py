"""The rules and weights of reading a task, as data.

A `Signal` is a list of terms that speak for one reading. How a term is written says how it is looked up:

    fix            a whole word                    crash*          every word that begins so
    root cause     words in this order             支付            anywhere (scripts without spaces)

`HEADS` holds verbs that count where an instruction begins ("fix ...", "please add ..."): there they say what is
asked for, elsewhere they are just words. Points are unit-free; the kind with the most points wins, risk and complexity
are sums that `classify.py` cuts into three levels.

Source: hand-set on general grounds and adjusted on labelled prompts of coding agents; `tests/core/reading_cases.jsonl`
is what holds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from openfusion_auto.core.types import Kind


class Signal(NamedTuple):
    """`terms` (separated by commas) speak for `axis` (a kind, "risk" or "complexity") with `points`.

    `group`: of one group only the strongest signal counts, so that saying it twice weighs once.
    """

    name: str
    axis: str
    points: float
    terms: str
    group: str = ""


HEADS: tuple[tuple[Kind, float, str], ...] = (
    ("bugfix", 4.0, "fix repair debug troubleshoot mend hotfix"),
    ("bugfix", 3.0, "correct resolve diagnose patch redact sanitise sanitize fixing"),
    ("bugfix", 2.2, "investigate solve find locate handle prevent stop close track"),
    ("feature", 3.5, "implement develop integrate"),
    ("feature", 2.6, "add create build make support allow enable introduce expose show display extend let include"),
    ("feature", 2.6, "store log cache provide design put save send print accept render highlight remember"),
    ("feature", 1.2, "write generate prepare produce code set use"),
    ("refactor", 5.0, "refactor rename restructure rewrite deduplicate modularise modularize reorganise reorganize"),
    ("refactor", 4.0, "extract split inline simplify consolidate decouple port unify factor tidy hoist reduce"),
    ("refactor", 3.4, "convert replace move migrate swap switch break reorder sort clean remove transform turn"),
    ("refactor", 1.8, "change modernise modernize merge strip delete collapse"),
    ("test", 3.6, "test cover assert mock fuzz parametrize parametrise"),
    ("docs", 5.0, "document translate reword rephrase annotate"),
    ("docs", 2.4, "comment mention describe draft"),
    ("explain", 5.0, "explain elaborate clarify teach understand"),
    ("explain", 3.2, "what what's whats which where where's why who whose when how describe tell list count know"),
    ("explain", 2.6, "does is are do was were did has can's should compare define outline"),
    ("review", 5.0, "review audit critique criticise criticize proofread"),
    ("review", 3.2, "check assess evaluate inspect examine look judge validate rate"),
    ("ops", 4.4, "deploy redeploy rollback restart reinstall install bump squash rebase stash provision undeploy"),
    ("ops", 5.0, "run rerun execute"),
    ("ops", 4.0, "upgrade rotate revoke restore publish clone benchmark pin lint"),
    ("ops", 3.0, "start stop launch push pull checkout commit tag release format delete drop purge wipe kill open"),
    ("ops", 3.0, "scale grant backup truncate flush configure schedule download compile roll issue renew git"),
    ("ops", 2.0, "update set move migrate terminate show plan redesign disable enable"),
)  # fmt: skip

# Verbs that are as often nouns: they count in full only before a word like "the", "my", "all", or a number.
AMBIGUOUS_HEADS = frozenset(
    "test cache search log release support tag start format comment document design review update change "
    "sort store run set show code stop patch check list port issue open lint drop count scale backup commit "
    "schedule cover highlight mock print tell".split()  # noqa: SIM905 - reads as a list of words
)

_KIND_WORDS = (
    Signal("problem", "bugfix", 2.2, "bug, bugs, crash*, broken, deadlock*, leak*, regression, segfault*, oom, nan, "
           "panics, incorrect*, misbehav*, malfunction*, vulnerab*, injection, xss, exploit*, race", "problem"),
    Signal("problem", "bugfix", 1.6, "wrong*, error, errors, exception*, fails, failing, failed, fail, hang, hangs, "
           "freez*, stall*, stale, overlap*, flicker*, corrupt*, duplicate*, twice, misspell*, misspelled, typo, "
           "inverted, mishandle*, miscompil*, nullpointer*, cuts, drift*, loses, lost, disappear*, ignores, drops, "
           "upside, stuck, grows", "symptom"),
    Signal("expected", "bugfix", 1.5, "should be, should not, shouldn't, must be, instead of, doesn't, does not, "
           "isn't, not working, off by, can't, cannot, returns 500, no longer, other way round, supposed to, "
           "even though, although, still", "expected"),
    Signal("cause", "bugfix", 2.6, "root cause, find out why, work out why, figure out why, find and fix, find the cause, "
           "find the bug", "fix"),
    Signal("fix", "bugfix", 1.2, "fix it, fix this, fix them, fix that, fix please, please fix, fix both", "fix"),
    Signal("leads to wrong", "bugfix", 1.4, "sometimes, intermittent*, occasionally, under load", "symptom"),
    Signal("new behaviour", "feature", 1.5, "feature, endpoint, button, option, flag, toggle, form, screen, page, "
           "dialog, integration, importer, exporter, widget, subcommand, configurable, parser, script, one-liner, "
           "shortcut, app, game, clone, tool, plugin, crdt*, subsystem, bot, webhook*", "feature noun"),
    Signal("new behaviour", "feature", 2.2, "new feature, so that users, let users, from scratch, we need a, "
           "i need a, i want a, i'd like a, allow users, users can, end to end encryption", "feature phrase"),
    Signal("restructure", "refactor", 3.4, "refactor*, restructur*, rename*, renaming, no behaviour change*, "
           "no behavior change*, without changing behaviour, same exports, same signature, keep the public api, "
           "dedup*, copy-pasted, copy pasted, type hints, type annotations, everywhere, dependency injection",
           "restructure"),
    Signal("restructure", "refactor", 2.2, "magic number, into a constant, a constant, unused, dead code, "
           "commented out, into modules, options api, single decorator, one helper, lookup table, nested ternary, "
           "behind the existing, must stay identical, into one, duplicated code, imports, codebase, "
           "class components, data layer, double quotes, single quotes, with composition, context manager",
           "restructure"),
    Signal("use instead", "refactor", 1.6, "use pathlib, to hooks, to typescript, async/await, to async, to es, "
           "instead of os, to rust, to kotlin, to scopes, to zustand", "restructure2"),
    Signal("tests", "test", 4.4, "tests, unit test, unit tests, test case*, test suite, unittest*, pytest, jest, "
           "vitest, junit, rspec, playwright, cypress, selenium, coverage, fuzz*, property based, model based, "
           "test harness, snapshot test*, e2e, regression test*, table-driven, doctest, load test, integration test*, "
           "linearizab*, assertion, assert that, parametrized, unit-test*, a test, one test, flaky, fuzzing harness, "
           "fuzz test*, flaky test*, tests", "tests"),
    Signal("tests", "test", 1.2, "test, mock, mocked, mocks, stub, fixture*", "tests"),
    Signal("documentation", "docs", 4.4, "docstring*, jsdoc, javadoc, readme*, changelog*, man page, adr, runbook*, "
           "release notes, api reference, onboarding guide, architecture overview, migration guide, a comment, "
           "table of contents, tutorial, troubleshooting page, contributing guide, code comment*, faq, openapi docs",
           "docs"),
    Signal("documentation", "docs", 2.6, "documentation, docs, guide, copyright, walkthrough, paragraph, heading*, "
           "how-to, glossary, manual, comments, spelling, typo, typos, dead links, wiki, mermaid, diagram, openapi",
           "docs"),
    Signal("documentation file", "docs", 4.0, "md, mdx, rst, adoc", "doc file"),
    Signal("text only", "docs", 1.6, "text only, sentence case, license, licence, wording, help text, misspell*",
           "text"),
    Signal("question", "explain", 2.6, "difference between, what does, what is, what's the, how does, "
           "how do i, why is, why does, why do, walk me through, mean, means, meaning, stands for, stand for, "
           "understand, deep dive, trade offs, tradeoffs, would i choose, step by step, piece by piece, how many, "
           "tell me what, where is, where in, in which, pros and cons", "question"),
    Signal("no change wanted", "explain", 3.0, "don't change anything, no changes please, don't fix it, just explain, "
           "without changing anything, don't touch anything, explain only", "nochange"),
    Signal("judgement", "review", 3.4, "code review, security review, security audit, threat model, proofread, "
           "criticise, critique, feedback, look over, take a look, have a look, second opinion, anything i missed, "
           "any problems, any issues, what do you think, before i apply, before we merge, before we ship, idiomatic, "
           "review*, thread safe, thread-safe, good way to, is this safe, is it safe to merge, read well, "
           "check my, please check, which you would merge, can you spot", "review"),
    Signal("correct?", "review", 2.4, "is this correct, correct in, is this right, is this ok, is this good, "
           "good practice", "review"),
    Signal("operations", "ops", 3.2, "dockerfile, docker, docker-compose, kubernetes, k8s, helm, terraform, ansible, "
           "github actions, gitlab ci, ci job, ci pipeline, jenkins, systemd, nginx config, gitignore, lockfile, "
           "pre commit hook, pre-commit, git history, force push, dependencies, dev server, dotfiles, "
           "least privilege, downtime, compose file, cron job, crontab, multi stage build, argo*, pulumi, "
           "feature branch, last commit, last three commits, test suite and, git status, git log, git diff, new branch, "
           "run the tests, the dependencies", "ops"),
    Signal("operations", "ops", 1.8, "production, prod, cluster, replicas, bucket, certificates, dns, firewall, iam, "
           "staging, deployment, rollout, artifacts, artefacts, s3", "ops place"),
    Signal("operations", "ops", 0.8, "server, pipeline*, branch, repo, port, secrets, database, process, warehouse, "
           "region, backup*", "ops place"),
    Signal("small talk", "chat", 4.0, "hi, hello, hey, thanks, thank, thx, ty, bye, goodbye, lol, haha, hahaha, "
           "good morning, good evening, good night, good afternoon, see you, cheers, kudos, just curious, awesome, "
           "bravo, yay, congrats, congratulations", "chat"),
    Signal("small talk", "chat", 6.0, "joke, never mind, nevermind, nice work, well done, great job, good job, "
           "happy friday, no need to, how are you, how's it going, who made you, who are you, are you human, "
           "which model are you, what model are you, are you chatgpt, are you claude, are you a bot, are you there, "
           "do you like, your favourite, your favorite, i'm tired, that's all, do you speak, can you speak, "
           "no more changes, all good now, you're welcome, you are awesome, you're awesome, you're the best, "
           "your name, what are you, what can you do, how old are you, do you dream, your opinion on", "chat"),
    Signal("small talk", "chat", 2.6, "today, tomorrow, birthday, party, weather, weekend, weekends, opinion, vim, "
           "emacs, tabs, beer, coffee, lunch, dinner, love, holiday, haiku, poem, recipe, movie, football",
           "chat topic"),
)  # fmt: skip

_KIND_ABROAD = (
    Signal("fix", "bugfix", 4.0, "beheb*, korrigier*, reparier*, fixe, corrig*, répar*, arregl*, arrégl*, repara, "
           "repare, soluciona*, corrij*, conserte*, arrume*, correggi*, sistema, sistemalo, risolvi*, repareer, "
           "herstel*, verhelp*, исправ*, почин*, устран*, пофикс*, napraw*, popraw*, düzelt*, виправ*, oprav*, åtgärda, "
           "修复, 修正, 改正, 解决, 直して, 修復, 고쳐, 해결해, 수정해, ठीक कर, सुधार", "fix"),
    Signal("problem", "bugfix", 2.0, "fehler*, kaputt, abstürz*, absturz, erreur*, plante, bug*, falla, fallo, "
           "no funciona, se rompe, errore, quebra*, erro, ошибк*, падает, ломает*, не работает, błąd, hata, werkt niet, "
           "报错, 崩溃, 错误, 少算, 重复, 仍然, 不工作, バグ, クラッシュ, エラー, 動かない, 壊れ, 버그, 오류, "
           "사라집, 안 됩, त्रुटि, बग, funktioniert nicht, ne marche pas, ne fonctionne", "problem"),
    Signal("add", "feature", 3.0, "füge, hinzu, ergänz*, implementier*, erstell*, ajout*, implément*, crée*, añad*, "
           "agreg*, implement*, crear, crea, haz, adicion*, crie, aggiung*, voeg, toevoeg*, добав*, реализ*, создай*, "
           "сделай*, dodaj*, zaimplement*, ekle, додай*, přidej*, lägg, 添加, 增加, 实现, 新增, 支持, 开发, 追加, 実装, "
           "作成, 作って, できるように, 추가, 구현, 만들, जोड़, बनाए, बना दो, लागू", "add"),
    Signal("explain", "explain", 3.4, "erklär*, warum, was macht, was ist, was bedeutet, wie funktioniert, wo ist, "
           "expliqu*, pourquoi, que fait, qu'est, c'est quoi, explica*, explíca*, qué, por qué, cómo, cuál, spiega*, "
           "cosa, perché, o que, por que, uitleg*, leg uit, waarom, wat doet, wat is, объясн*, что делает, что такое, "
           "почему, зачем, как работает, wyjaśnij, dlaczego, co robi, açıkla, nedir, поясни, förklara, 解释, 什么, "
           "为什么, 怎么, 哪个, 说明, とは, 何ですか, なぜ, 説明, 意味, どこ, 설명, 무엇, 뭐, 왜, 어떻게, "
           "क्या है, क्यों, कैसे काम, समझा", "question"),
    Signal("review", "review", 4.2, "prüf*, überprüf*, begutacht*, relis, relire, relecture, revois, vérifie*, "
           "revisa*, revise, rivedi, controlla, bekijk*, beoordeel*, nakijk*, проверь*, проверьте, ревью, посмотри, "
           "sprawdź, incele, 审查, 评审, 检查, 审核, レビュー, 確認して, 리뷰, 검토, समीक्षा, जांच", "review"),
    Signal("restructure", "refactor", 4.6, "umbenenn*, benenne, refaktor*, refactoris*, refactoriz*, räum*, "
           "vereinfach*, verschieb*, auslager*, renomm*, renombra*, rinomin*, renome*, hernoem*, simplifi*, extrai*, "
           "extrae*, переименуй*, вынес*, рефактор*, упрост*, przemian*, zmień nazwę, 重构, 重命名, 改名, 抽取, 提取, "
           "拆分, リファクタ, 変数名, 名前を変, 分割, 리팩터, 리팩토링, 이름을 바꿔, नाम बदल", "restructure"),
    Signal("tests", "test", 4.6, "unittest*, unit-test*, tests unitaires, prueba*, pruebas, testes, un test, "
           "testy, des tests, тест*, tests schreiben, einen test, testen für, 单元测试, 测试用例, 编写测试, テスト, 테스트, "
           "परीक्षण, टेस्ट", "tests"),
    Signal("documentation", "docs", 4.6, "dokumentier*, dokumentation, anleitung, kommentar, kommentier*, übersetz*, "
           "commentaire*, traduis*, traduire, documentación, comentario*, traduc*, traduz*, comentário*, documentaz*, "
           "commento, traduci, vertaal, документац*, комментари*, перевед*, допиши, dokumentac*, przetłumacz, "
           "文档, 注释, 翻译, ドキュメント, コメント, 翻訳, 手順を, 문서, 주석, 번역, दस्तावेज़, टिप्पणी, अनुवाद", "docs"),
    Signal("runs tests", "ops", 6.0, "lance les tests, lancer les tests, führe die tests, ejecuta los tests, "
           "ejecuta las pruebas, corre los tests, esegui i test, rode os testes, execute os testes, draai de tests, "
           "запусти тесты, uruchom testy, 运行测试, 跑测试, テストを実行, 테스트를 실행, 테스트 실행, टेस्ट चला", "ops tests"),
    Signal("operations", "ops", 3.4, "lösch*, starte, installier*, aktualisier*, führe, deploye, déploi*, lance, "
           "supprim*, installe*, ejecut*, desplieg*, borr*, elimin*, instal*, actualiz*, execut*, rode, apag*, atualiz*, "
           "esegui, avvia, cancell*, aggiorna, verwijder*, installeer, draai, запусти*, удали*, установи*, обнови*, "
           "разверни*, собери, uruchom*, usuń, zainstaluj, çalıştır, 运行, 部署, 清空, 安装, 执行, 升级, 回滚, 実行, "
           "デプロイ, 削除, インストール, 起動, 실행, 배포, 삭제, 설치, 업데이트, चलाए, चलाओ, हटाए, तैनात", "ops"),
    Signal("small talk", "chat", 4.2, "danke*, hallo, moin, guten morgen, merci, bonjour, salut, gracias, hola, "
           "buenos días, obrigad*, olá, grazie, ciao, dank je, bedankt, hoi, спасибо, привет, здравствуй*, dzięki, "
           "dziękuję, cześć, teşekkür*, merhaba, дякую, tack, hej, 谢谢, 你好, 您好, 多谢, ありがとう, こんにちは, おはよう, "
           "안녕, 감사, 고마, नमस्ते, धन्यवाद, شكرا, مرحبا", "chat"),
)  # fmt: skip

_RISK = (
    Signal("access", "risk", 3.0, "auth*, oauth*, oidc, saml, sso, jwt, rbac, acl, iam, scim, mfa, 2fa, totp, "
           "two factor, two-factor, access control, role based, permission*, privilege*, impersonat*, "
           "session fixation, session id, session handling, password*, login flow, login handler, sign on, "
           "disable_auth, refresh token*, row level security, is_admin, access token*, pentest*, csrf, acls, pkce, "
           "other users', other customers', other users, other customers, only admins, passkey*, webauthn, "
           "administratoraccess, security group*, password reset, tenant isolation, logged out", "access"),
    Signal("access", "risk", 1.5, "login, log in, signin, signup, token, tokens, tenant*, multi-tenant, admin, admins, "
           "session, sessions, role, roles, cookie*, cors, access, scopes, middleware, grant, expiry", "access nearby"),
    Signal("security", "risk", 3.0, "injection, xss, ssrf, rce, exploit*, vulnerab*, security review, security audit, "
           "security problem*, security, path traversal, clickjacking, threat model, firewall, sandbox escape, "
           "cve, untrusted, deserializ*, deserialis*, arbitrary code, sandboxed", "security"),
    Signal("secrets", "risk", 3.0, "secret*, credential*, private key*, aws key, signing key*, vault, kms, "
           "leaked, keystore, authorization header, key management, key rotation, tls cert*, certificates, api secret*, "
           "connection string*, service account", "secrets"),
    Signal("crypto", "risk", 3.0, "encrypt*, decrypt*, cipher*, aes*, gcm, nonce*, hmac, signature check*, argon2, "
           "bcrypt, md5, cryptograph*, end-to-end encryption, key derivation, signatures, hmac signature, "
           "signature verification, verify signature", "crypto"),
    Signal("money", "risk", 3.0, "payment*, payout*, billing, refund*, wallet*, ledger*, stripe, paypal, adyen, "
           "braintree, double spend, overdraw*, charged, charges, charge, double-entry, accounting, bank, mandates, "
           "subscriptions, money, coupon*, cent, invoicing, credit card*, saved card, tax, vat, payroll, salary, "
           "salaries, proration, iban, transfers, voucher*, gift card*, bookkeeping, reconciliation, klarna, "
           "account balance*, for free, debit*", "money"),
    Signal("money", "risk", 1.5, "invoice*, checkout, balance*, price*, pricing, discount*, order, orders, cart, "
           "currency, currencies, purchase*, rounding", "money nearby"),
    Signal("personal data", "risk", 3.0, "personal data, gdpr, pii, ssn, patient*, medical, health records, hipaa, "
           "phone numbers, passport*, personal information, privacy, date of birth, user data, customer data, "
           "account deletion, removes the user, home address*, anonymis*, anonymiz*, right to be forgotten, consent, "
           "patients, dsgvo", "personal"),
    Signal("data loss", "risk", 3.0, "data loss, corruption, corrupts, corrupted, lose data, loses data, lost data, "
           "irreversibl*, permanently, wal, crash consistency, lost transactions, committed transactions, "
           "delete all, drop the, drops the, drop table, truncate*, wipe, purge*, force push, overwrites, restore, "
           "shipped twice, sent twice, loses writes, lost writes, lost update*, lose writes, overselling, "
           "permanently delete*, hard delete*, erase*, destroy*, lose any, loses the last, loses committed", "loss"),
    Signal("data loss", "risk", 1.5, "twice, duplicated, migration, migrations, backup*, migrate, migrating, rows, "
           "transaction*, drops, shipped, failover", "loss nearby"),
    Signal("live system", "risk", 2.2, "production, prod, live, outage, incident, downtime, zero-downtime, on-call",
           "live"),
    Signal("exposed", "risk", 1.6, "publicly, public repo, internet, anonymous, unauthenticated, untrusted, publishes",
           "exposed"),
    Signal("shipped behaviour", "risk", 0.8, "endpoint*, api, backend, database, server, service, config, customer*, "
           "users, table, import, page crashes, worker, filter", "shipped"),
    Signal("upload", "risk", 1.5, "upload, uploads, uploaded", "upload"),
    Signal("safety", "risk", 2.4, "safety, safety violation*, crash safety, consensus safety", "safety"),
    Signal("race", "risk", 1.2, "race, race condition*, races, deadlock*, concurrent*", "race"),
    Signal("trivial edit", "risk", -4.0, "typo, typos, spelling, misspell*, misspelled, caption, text only, wording, "
           "tooltip*, heading*, headings, rename, renames, css, icon, colour theme, color theme, storybook, screenshots, "
           "fixture*, unused, z-index, margin, padding, footer, font, placeholder, whitespace, dark mode, "
           "grammar, magic number, commented out, variable name, svg, hover, sort the imports, label, proofread, "
           "paragraph, sentence, screenshot, readability, double quotes, single quotes", "trivial"),
    Signal("nothing at stake", "risk", -3.0, "one-liner, one liner, game, personal site, tetris, hobby, pomodoro, "
           "gitignore, prototype, throwaway, demo, playground, my personal, in this folder, of a folder, bash script, "
           "terminal version, fake users, dummy, sample data, clone in the browser, example data, exercise, "
           "homework, kata, mock data, just for me, joke", "stake"),
    Signal("small surface", "risk", -1.2, "button, copy-to-clipboard, spinner, shortcut, version flag, --version, "
           "a constant, temp variable, variable, lint, docs, readme, helper, imports, animation, legend, "
           "placeholder text, banner, css class, little, function name, test file, fixture file, in tests, blog, "
           "local variable, color, colour, screens, links", "small"),
    Signal("local", "risk", -2.0, "test suite, feature branch, dev server, git status, my changes, "
           "new branch, linter, pytest, run the tests, this branch, last commit, last three commits, format, "
           "build artefacts, build artifacts, node_modules, dependencies installed, process on port, "
           "install the dependencies, localhost", "local"),
)  # fmt: skip

_RISK_ABROAD = (
    Signal("access", "risk", 3.0, "passwort*, berechtigung*, zugriffsrecht*, anmeldung, mot de passe, autoris*, "
           "contraseña*, permiso*, autentic*, autoriz*, senha*, permiss*, wachtwoord*, rechten, пароль*, парол*, "
           "авториз*, аутентифик*, права доступа, hasło, hasła, şifre*, 密码, 权限, 登录, 鉴权, 认证, 注销, 管理员, "
           "パスワード, 権限, 認証, ログイン認証, 비밀번호, 권한, 인증, पासवर्ड, अनुमति", "access"),
    Signal("security", "risk", 3.0, "sicherheitsl*, sécurité, seguridad, segurança, sicurezza, veiligheid, безопасност*, "
           "уязвим*, инъекц*, inyección, 漏洞, 安全, 注入, 脆弱性, セキュリティ, インジェクション, 보안, 취약점, सुरक्षा",
           "security"),
    Signal("money", "risk", 3.0, "zahlung*, rechnungsbetr*, abbuch*, geld, guthaben, überweis*, paiement*, rembours*, "
           "facturat*, argent, solde, pago, pagos, cobr*, reembols*, dinero, pagamento*, cobran*, fatura*, rimbors*, "
           "soldi, betaling*, terugbetal*, оплат*, платеж*, платёж*, возврат средств, списа*, деньг*, płatnoś*, ödeme*, "
           "支付, 扣款, 退款, 余额, 账单, 转账, 订单金额, 決済, 支払, 課金, 返金, 残高, 結제, 결제, 환불, 잔액, भुगतान",
           "money"),
    Signal("crypto", "risk", 3.0, "verschlüssel*, entschlüssel*, chiffr*, déchiffr*, cifrad*, cifra*, encript*, "
           "criptograf*, versleutel*, шифр*, расшифр*, szyfr*, 加密, 解密, 密钥, 签名, 暗号, 復号, 鍵, 암호, एन्क्रिप्ट",
           "crypto"),
    Signal("personal data", "risk", 3.0, "personenbezogen*, kundendaten, données personnelles, datos personales, "
           "dados pessoais, dati personali, persoonsgegevens, персональн*, 个人信息, 隐私, 用户数据, 個人情報, 개인정보",
           "personal"),
    Signal("live system", "risk", 2.6, "produktiv*, produktion*, en producción, em produção, in produzione, en prod, "
           "в продакшен*, на проде, прод, 生产环境, 生产, 线上, 本番, 운영 환경, 운영 서버, प्रोडक्शन", "live"),
    Signal("data loss", "risk", 3.0, "datenverlust, perte de données, pérdida de datos, perda de dados, потер*, "
           "数据丢失, 清空, 全部删除, データ消失, データ損失, 데이터 손실, gegevensverlies, 无停机, 無停止, 무중단, "
           "unwiderruflich, définitivement, permanentemente, безвозвратно", "loss"),
    Signal("trivial edit", "risk", -4.0, "umbenenn*, benenne, tippfehler, rechtschreib*, renomme*, faute de frappe, "
           "renombra*, errata, rinomin*, renome*, hernoem*, typfout, переименуй*, опечатк*, literówk*, 重命名, 改名, "
           "错别字, 拼写, 変数名, 誤字, タイポ, 오타, 이름을 바꿔, नाम बदल, वर्तनी", "trivial"),
    Signal("local", "risk", -1.4, "les tests, die tests, las pruebas, i test, тесты, зависимости, git status, "
           "运行测试, テストを実行, 테스트를 실행, dossier actuel, carpeta actual, build-artefakte, ordner", "local"),
)  # fmt: skip

_COMPLEXITY = (
    Signal("distributed", "complexity", 1.7, "distributed, consensus, raft, paxos, leader election, sharded, "
           "sharding, replication, multi-tenant, multi tenant, microservice*, at-least-once, exactly-once, "
           "event sourcing, eventual consistency, cross region, another region, split brain, linearizab*, partitions, "
           "fencing, gossip, saga, vector clock*, two phase commit", "distributed"),
    Signal("concurrency", "complexity", 1.2, "race, race condition*, races, deadlock*, lock-free, lock free, "
           "wait-free, mpmc, data race, double spend, lock order*, memory ordering, hazard pointers, same row, "
           "concurrent*, concurrency, threads, atomics", "concurrency"),
    Signal("deep machinery", "complexity", 1.9, "compiler, jit, miscompil*, register allocator, type inference, "
           "storage engine, b-tree, b tree, lsm*, lsm-tree, crdt*, query planner, query optimizer, optimizer, query engine, "
           "garbage collector, monomorphization, unification, physics engine, finite-element, finite element, solver, "
           "virtual machine, hypervisor, kernel, bootloader, interpreter, write barriers, wal, replay, mvcc, "
           "type checker, bytecode, numerical*, vulkan, actor runtime, scheduler harness, protocol parser, "
           "model based, model-based, "
           "crash consistency, write ahead, operational transform*, ray tracer, emulator, autodiff", "machinery"),
    Signal("unknown cause", "complexity", 1.5, "find out why, work out why, figure out why, root cause, only under load, "
           "under load, don't know why, no idea why, intermittent*, once in a while, every few hours, "
           "nothing is logged, no error in, never locally, not reproducible, can't reproduce, cannot reproduce, heisenbug, "
           "no exceptions, no crash, only in release, where precision is lost, track down, randomly, out of nowhere, "
           "now and then, sporadic*, occasionally, every now and then, 1 in, no pattern, only happens in", "cause"),
    Signal("unknown cause", "complexity", 0.7, "sometimes, find the cause, find the bug, locate, investigate, "
           "find and fix, find where", "cause"),
    Signal("wide scope", "complexity", 1.5, "whole, entire, all callers, everywhere, throughout, across, end to end, "
           "codebase, code base, monolith, whole codebase, from scratch, in depth, deep dive, every service, full, "
           "all endpoints, subsystem, all services, entire repo, enough to change", "scope"),
    Signal("design", "complexity", 1.0, "design, redesign, architecture, architect, plan, pluggable, plugin system, "
           "offline, sync queue, conflict resolution, policy engine, boundaries, restructure, rollout, strategy, "
           "migration of, migrate, migration, multi-region, single sign-on, single sign on, provisioning, federation, "
           "refresh token rotation, two-way sync, replatform, portal, marketplace, platform", "design"),
    Signal("must not stop", "complexity", 1.0, "zero-downtime, zero downtime, no downtime, without downtime, of downtime, "
           "without breaking, every existing, must still compute, stay identical, must stay, no data loss, "
           "backwards compatible, without losing, nothing else in, for good, resumable, rollback plan, "
           "keep working during", "invariant"),
    Signal("security depth", "complexity", 0.9, "exploitable, end-to-end encryption, row level security, threat model, "
           "security audit, security review, access control, oauth server, oauth provider, least privilege, "
           "key exchange, attribute-based, subscriptions, double-entry, reconciliation, proration", "securitydepth"),
    Signal("several parts", "complexity", 0.7, "backend, and the api, both, several, a few places, split over, "
           "module, in the module, pages, shared, disagree, persist, layer, layers, "
           "pagination, integration, webhook*, webhooks, package, service, websocket, caching, flow, database", "parts"),
    Signal("some thought", "complexity", 0.6, "edge cases, retry, backoff, timeout*, leak*, encoding, time zone*, timezone, "
           "performance, slow, flaky, encrypt*, injection, idempot*, invalidat*, debounce, parser, undo, "
           "coverage, tutorial, guide, strict, compare, architecture overview, api reference, walk me through, how does, "
           "pull request, error handling, branch, migration guide, stale, upgrade, token*, component, hash*, ci, docker*, "
           "trade-offs, choose, regression, deprecations, runbook, certificates, "
           "pipeline, endpoints, rotate, older than, purge, rollback, algorithm", "thought"),
    Signal("in steps", "complexity", 1.4, "step by step, piece by piece, line by line", "thought"),
    Signal("one place", "complexity", -1.3, "typo, typos, spelling, misspell*, misspelled, rename, renames, renaming, "
           "one line, one-line, that line, this line, single line, constant, caption, css, unused, comment, heading*, headings, "
           "docstring, lint, tooltip*, icon, gitignore, one-liner, one liner, whitespace, changelog, badges, z-index, "
           "margin, magic number, version flag, inline, commented-out, commented out, alphabetically, wording, quotes, "
           "one test, one unit test, a test, a unit test, a test case, single test, only themes, nothing else, magic, temp, bump, "
           "copyright, other way round, table of contents, proofread, css class, git status, is_palindrome, "
           "test case, an assertion, doctest, fixture", "trivial"),
    Signal("small", "complexity", -0.8, "default, flag, option, env var, column, field, button, variable, helper, "
           "link, links, parameter, configurable, same style, regex, line, null, undefined, section, word, "
           "idiomatic, lowercase, note, sentence, paragraph, shortcut, spinner, script, badge, imports, "
           "same signature, same exports, unit test, label, of a folder, cannot find module, small, simple, "
           "simply, little, trivial, tiny, quick, quickly, only, just, dependency, lockfile, this function, "
           "snippet, toggle, message, ternary, colour, color, font, port, clone, to the latest", "small"),
    Signal("exact place", "complexity", -0.9, "keyerror, typeerror, nullpointerexception, attributeerror, "
           "zerodivisionerror, indexerror, nameerror, cannot borrow, should be, must be", "exact"),
    Signal("plain question", "complexity", -1.0, "what does, what is, what's, which, where is, where in, stand for, "
           "mean, means, difference between, how do i, how many, does python, what happens", "question"),
    Signal("plain command", "complexity", -1.2, "run the, run pytest, start the, install the, show me, rebase, stash, "
           "squash, force push, kill the, format the, delete the, drop the, git status, git stash, bump, update, pin", "command"),
)  # fmt: skip

_COMPLEXITY_ABROAD = (
    Signal("distributed", "complexity", 1.7, "verteilt*, distribu*, распредел*, rozproszon*, 分布式, 分散, 분산, "
           "वितरित", "distributed"),
    Signal("design", "complexity", 1.2, "architektur, entwirf, entwurf, concevoir, conçois, conception, diseñ*, projete, "
           "arquitet*, arquitect*, progetta*, ontwerp*, архитектур*, спроектир*, 设计, 架构, 設計, アーキテクチャ, 설계, "
           "迁移, 移行, 마이그레이션", "design"),
    Signal("must not stop", "complexity", 1.2, "ohne ausfallzeit, ohne downtime, sans interruption, sin tiempo de "
           "inactividad, sem downtime, без простоя, 无停机, 不停机, 無停止, 무중단, 再開できる", "invariant"),
    Signal("concurrency", "complexity", 1.2, "nebenläuf*, gleichzeitig*, concurren*, carrera, гонк*, взаимоблок*, "
           "并发, 死锁, 竞争, 競合, デッドロック, 동시성, 교착", "concurrency"),
    Signal("unknown cause", "complexity", 1.0, "sporadisch, manchmal, gelegentlich, parfois, de temps en temps, a veces, "
           "às vezes, a volte, soms, иногда, изредка, 偶尔, 有时, 时不时, ときどき, たまに, 時々, 가끔, कभी-कभी", "cause"),
    Signal("wide scope", "complexity", 1.3, "gesamte*, komplette*, überall, tout le code, partout, entier, todo el código, "
           "en todas partes, todo o código, tutto il codice, overal, весь код, всему, 整个, 全部代码, 全体, すべての, 전체, 모든",
           "scope"),
    Signal("several parts", "complexity", 0.7, "ursache, cause, causa, причин*, modul, module, módulo, api, backend, "
           "serveur, servidor, 原因, 缓存, バックエンド, 백엔드, 원인, 検索, 搜索, 并, 스크롤, 幂等", "parts"),
    Signal("some thought", "complexity", 0.6, "tests unitaires, pruebas, 单元测试, 文档, cas limites, casos límite, "
           "fonctionne, funktioniert, работает, окон*, anleitung, pagination, paginación, leistung, langsam, lent, "
           "lento, traag, медлен*, 慢, 遅い, 느린, rendimiento, hilfe, 테스트를 작성, тесты", "thought"),
    Signal("one place", "complexity", -1.3, "umbenenn*, benenne, tippfehler, renomm*, renombra*, rinomin*, renome*, "
           "hernoem*, переименуй*, опечатк*, 重命名, 改名, 错别字, 変数名, 誤字, 오타, 이름을 바꿔, नाम बदल, kommentar, "
           "commentaire, comentario, comentário, 注释, コメント, 주석, un test, einen test, 1つ", "trivial"),
    Signal("small", "complexity", -0.8, "nur, zeile, feld, spalte, knopf, seulement, ligne, colonne, bouton, solo, "
           "línea, columna, botón, só, linha, coluna, botão, riga, colonna, pulsante, bastano, alleen, regel, kolom, knop, "
           "только, строк*, кнопк*, столбец, tylko, 只, 一行, 按钮, 列, だけ, ボタン, 行目, 버튼, 한 줄, файле, сообщение, "
           "función, fonction, funktion, função, funzione, функция", "small"),
    Signal("plain question", "complexity", -1.0, "was macht, was ist, was bedeutet, que fait, qu'est, qué significa, "
           "qué es, cosa fa, o que é, o que faz, wat doet, wat is, что делает, что такое, 什么是, 是什么, とは, 何ですか, "
           "무엇을, 뭐예요, क्या है", "question"),
    Signal("plain command", "complexity", -1.0, "lösch*, starte, lance, supprime, ejecuta, borra, execute, esegui, "
           "verwijder, запусти, удали, установи, собери, 运行, 清空, 删除, 実行, 起動, 실행, चलाए", "command"),
)  # fmt: skip

SIGNALS: tuple[Signal, ...] = (
    *_KIND_WORDS, *_KIND_ABROAD, *_RISK, *_RISK_ABROAD, *_COMPLEXITY, *_COMPLEXITY_ABROAD,
)  # fmt: skip


# Harmless uses of loaded words: inside these phrases no word counts.
NEUTRAL = (
    "dependency injection, design tokens, in order to, order of, order by, sort order, same order, in order, key bindings, "
    "key binding, git checkout, token count, in charge, charge of, live reload, live preview, live updates, live update, "
    "bank holiday, role model, error message, error messages, error handling, error page, production build, production ready, "
    "production grade, crash course, bug report, bug tracker, issue tracker, just in time, free of charge, race to, "
    "private method, private methods, secret santa, access modifier, access modifiers, password manager, "
    "table of contents, hot reload, test data, tax free, live coding, session storage key, bug bash, "
    "wrong way, fail fast, kill switch, dead letter"
)


class Index(NamedTuple):
    """Where to look a word up. Values are `(number of the signal, the term)`; phrases hold their other words."""

    words: dict[str, tuple[int, ...]]
    prefixes: dict[str, tuple[tuple[str, int], ...]]
    phrases: dict[str, tuple[tuple[tuple[str, ...], int], ...]]
    anywhere: tuple[tuple[str, int], ...]


# Signals that mean something only for one kind: "what is" inside a wish is no question.
ONLY_FOR: dict[str, Kind] = {"complexity.plain question": "explain", "complexity.plain command": "ops"}


# First letter of the scripts that are searched anywhere: Devanagari and what follows it (Thai, CJK, Hangul, ...).
# Arabic comes before it and has spaces between words.
UNSPACED = "\u0900"
PREFIX_CHARS = 3  # stems are found by their first letters; shorter stems would match half the dictionary


def build_index(signals: Iterable[Signal]) -> Index:
    """Return the lookup tables of `signals`; numbers are positions in it.

    Raises:
        ValueError: a stem is shorter than `PREFIX_CHARS`.
    """
    words: dict[str, list[int]] = {}
    prefixes: dict[str, list[tuple[str, int]]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    anywhere: list[tuple[str, int]] = []
    for number, signal in enumerate(signals):
        for term in (t.strip() for t in signal.terms.split(",")):
            parts = tuple(term.replace("-", " ").replace("_", " ").split())
            if term[0] >= UNSPACED:
                anywhere.append((term, number))
            elif len(parts) > 1:
                phrases.setdefault(parts[0], []).append((parts[1:], number))
            elif parts[0].endswith("*"):
                if len(parts[0]) <= PREFIX_CHARS:
                    raise ValueError(f"stem {term!r} is too short")
                prefixes.setdefault(parts[0][:PREFIX_CHARS], []).append((parts[0][:-1], number))
            else:
                words.setdefault(parts[0], []).append(number)
    return Index(
        {k: tuple(v) for k, v in words.items()},
        {k: tuple(v) for k, v in prefixes.items()},
        {k: tuple(v) for k, v in phrases.items()},
        tuple(anywhere),
    )


INDEX = build_index(SIGNALS)
HEAD_VERBS: dict[str, tuple[tuple[Kind, float], ...]] = {
    verb: tuple((kind, points) for kind, points, verbs in HEADS if verb in verbs.split())
    for _, _, every in HEADS
    for verb in every.split()
}
NEUTRAL_PHRASES: dict[str, tuple[tuple[str, ...], ...]] = {
    first: tuple(p[1:] for p in (tuple(t.split()) for t in NEUTRAL.split(",")) if p[0] == first)
    for first in (t.split()[0] for t in NEUTRAL.split(","))
}
