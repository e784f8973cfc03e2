"""The rules and weights behind risk and complexity, as data; `signals.py` says how a term is written.

Of one group the strongest term counts. Points are unit-free and add up;
`classify.py` cuts the sums into low, medium and high. Negative points are what makes a loaded word harmless: a typo in
the payment page is a typo.
"""

from __future__ import annotations

from openfusion_auto.core.lexicon import Signal

RISK: tuple[Signal, ...] = (
    Signal("access", "risk", 3.0, "access",
        "sign-in, magic link*, forgot-password, reset link, signed out, suspended users, "
        "suspend accounts, sso, single sign, user roles, api tokens, bearer, who may, acl*, "
        "sudo, root access, open redirect, session hijack*, brute force, oauth*, oidc, saml, "
        "jwt, rbac, acl, iam, scim, mfa, 2fa, totp, two factor, two-factor, access control, "
        "role based, permission*, privilege*, impersonat*, session fixation, session id, "
        "session handling, password*, login flow, login handler, sign on, refresh token*, "
        "row level security, is_admin, access token*, pentest*, csrf, acls, pkce, "
        "other users', other customers', other users, other customers, only admins, passkey*, "
        "webauthn, administratoraccess, security group*, password reset, tenant isolation, "
        "logged out, login endpoint, lockout, failed attempts, data isolation, data leak*, "
        "any origin, credentials, isolation, session cookie*, somebody else's, someone else's, "
        "wrong account, other people's, httponly, secure flag, anonymous users, guest users, "
        "allowlist, blocklist, as root, support staff, customer's password, auth, authn, "
        "authz, authentic*, authoriz*, authoris*, disable auth"),
    Signal("access", "risk", 1.5, "access nearby",
        "login, log in, signin, token, tokens, tenant*, multi-tenant, admin, admins, session, "
        "sessions, role, roles, cookie*, cors, access, scopes, middleware, grant, expiry"),
    Signal("security", "risk", 3.0, "security",
        "injection, xss, ssrf, rce, exploit*, vulnerab*, security review, security audit, "
        "security problem*, security, path traversal, clickjacking, threat model, firewall, "
        "sandbox escape, cve, untrusted, deserializ*, deserialis*, arbitrary code, sandboxed, "
        "safe from injection, where name, sql is safe, parameterized"),
    Signal("secrets", "risk", 3.0, "secrets",
        "api keys, api tokens, aws keys, ssh key*, passphrase*, signing, cert rotation, "
        "kubeconfig, secret*, credential*, private key*, aws key, signing key*, vault, kms, "
        "leaked, keystore, authorization header, key management, key rotation, tls cert*, "
        "certificates, api secret*, connection string*, service account, secret key*, "
        "into the image, env files, env file"),
    Signal("crypto", "risk", 3.0, "crypto",
        "encrypt*, decrypt*, cipher*, gcm, nonce*, hmac, signature check*, argon2, bcrypt, "
        "md5, cryptograph*, end-to-end encryption, key derivation, signatures, hmac signature, "
        "signature verification, verify signature, aes"),
    Signal("money", "risk", 3.0, "money",
        "apple pay, google pay, solidity, smart contract*, reentrancy, our checkout, checkout "
        "flow, the checkout, checkouts, chargeback*, dunning, metering, payable*, direct debit, "
        "commission*, settlement*, escrow, interest rate*, loan*, trading, overcharg*, "
        "undercharg*, double charg*, billed, revenue, payment*, payout*, billing, refund*, "
        "wallet*, ledger*, stripe, paypal, adyen, braintree, double spend, overdraw*, charged, "
        "charges, charge, double-entry, accounting, bank, mandates, subscriptions, money, "
        "coupon*, cent, invoicing, credit card*, saved card, tax, payroll, salary, salaries, "
        "proration, iban, transfers, voucher*, gift card*, bookkeeping, reconciliation, klarna, "
        "account balance*, for free, debit*"),
    Signal("money", "risk", 1.5, "money nearby",
        "amount, stock count, inventory, vat, fees, amounts, totals, tips, invoice*, checkout, "
        "balance*, price*, pricing, discount*, order, orders, cart, currency, currencies, "
        "purchase*, rounding"),
    Signal("personal data", "risk", 3.0, "personal",
        "email addresses, addresses of, medical records, personal details, consent, "
        "social security, data protection, ccpa, personal data, gdpr, pii, ssn, medical, "
        "health records, hipaa, passport*, personal information, privacy, date of birth, "
        "user data, customer data, account deletion, removes the user, home address*, "
        "anonymis*, anonymiz*, right to be forgotten, patients, dsgvo, patient"),
    Signal("data loss", "risk", 3.0, "loss",
        "everything inside, with everything, no message loss, message loss, go negative, goes "
        "negative, oversell*, deletion endpoint, data loss, corruption, corrupts, corrupted, "
        "lose data, loses data, lost data, irreversibl*, permanently, wal, crash consistency, "
        "lost transactions, committed transactions, delete all, drop the, drops the, drop table, "
        "truncate*, wipe, purge*, force push, overwrites, restore, shipped twice, sent twice, "
        "loses writes, lost writes, lost update*, lose writes, overselling, permanently delete*, "
        "hard delete*, erase*, destroy*, lose any, loses the last, loses committed"),
    Signal("data loss", "risk", 1.5, "loss nearby",
        "duplicated, migration, migrations, backup*, migrate, migrating, rows, transaction*, "
        "drops, shipped, failover"),
    Signal("live system", "risk", 2.2, "live",
        "main domain, live site, live database, load balancer, customers are affected, "
        "real users, in the field, production, prod, live, outage, incident, downtime, "
        "zero-downtime, on-call, read-only time, cut over, cutover, self-run, bastion, "
        "live traffic, live users, business hours"),
    Signal("exposed", "risk", 1.6, "exposed",
        "publicly, public repo, internet, anonymous, unauthenticated, untrusted, publishes"),
    Signal("shipped behaviour", "risk", 0.8, "shipped",
        "endpoint*, api, backend, database, server, service, config, customer*, users, table, "
        "import, page crashes, worker, filter"),
    Signal("upload", "risk", 1.5, "upload",
        "phone numbers, upload, uploads, uploaded, multi-tenant"),
    Signal("safety", "risk", 2.4, "safety",
        "safety, safety violation*, crash safety, consensus safety"),
    Signal("race", "risk", 1.2, "race",
        "race, race condition*, races, deadlock*, concurrent*"),
    Signal("trivial edit", "risk", -4.0, "trivial",
        "markdown, constants, emoji, typo, typos, spelling, misspell*, misspelled, caption, text "
        "only, wording, tooltip*, heading*, headings, rename, renames, css, icon, colour theme, "
        "color theme, storybook, screenshots, fixture*, unused, z-index, margin, padding, "
        "footer, font, placeholder, whitespace, dark mode, grammar, magic number, commented out, "
        "variable name, svg, hover, sort the imports, label, proofread, paragraph, sentence, "
        "screenshot, readability, double quotes, single quotes"),
    Signal("nothing at stake", "risk", -3.0, "stake",
        "sudoku, a regex that, joke card, alias, bash alias, roguelike, easter egg, meme, "
        "snake game, minesweeper, chess game, weekend project, side project, sandbox project, "
        "fun, static site, ascii art, for my blog, personal blog, dotfiles, katas, leetcode, "
        "advent of code, tic tac toe, calculator app, one-liner, one liner, game, "
        "personal site, tetris, hobby, pomodoro, gitignore, prototype, throwaway, demo, "
        "playground, my personal, in this folder, of a folder, bash script, terminal version, "
        "fake users, dummy, sample data, clone in the browser, example data, exercise, "
        "homework, kata, mock data, just for me, joke, shell script, one-off script, "
        "small script, python script, monopoly, hangman, confetti, sound effect, todo list, "
        "chess engine, countdown, small html, html page, sample user, birthday, wallpaper, "
        "game of life, pong, flappy, fizzbuzz, guessing game, prank, pyc, tmp files, "
        "temp files, cache files, build files, mandelbrot, fractal"),
    Signal("small surface", "risk", -1.2, "small",
        "demo page, markdown, emoji, toast, landing page, fades, fade, sticker, browser tab, "
        "hero, favicon, logo, badge, padding, align, alignment, button, copy-to-clipboard, "
        "spinner, shortcut, version flag, a constant, temp variable, lint, docs, readme, "
        "imports, animation, legend, placeholder text, css class, little, function name, "
        "test file, fixture file, in tests, blog, local variable, color, colour, screens, "
        "broken link, dead link, sample user, sample users, greeting, console log, "
        "debug output, print statements"),
    Signal("local", "risk", -2.0, "local",
        "virtualenv, venv, local branches, formatter, formatter on, already merged, "
        "test suite, feature branch, dev server, git status, my changes, new branch, linter, "
        "pytest, run the tests, this branch, last commit, last three commits, format the, "
        "build artefacts, build artifacts, prettier, build the project, my last commit, "
        "dependencies installed, process on port, install the dependencies, localhost, "
        "dépendances, dependencias, abhängigkeiten, dipendenze, dependências, last 20 commits, "
        "commits, my branch, local, locally, my machine, my laptop, my computer, "
        "develop branch, my local, dev database, on dev, sandbox, this folder, src, my fork, "
        "node modules"),
)  # fmt: skip

RISK_ABROAD: tuple[Signal, ...] = (
    Signal("access", "risk", 3.0, "access",
        "чуж*, fremde*, otros usuarios, ajeno*, autres utilisateurs, altri utenti, "
        "outros usuários, andere gebruikers, 他人, 他のユーザー, 다른 사용자, 普通用户, "
        "passwort*, berechtigung*, zugriffsrecht*, anmeldung, mot de passe, autoris*, "
        "contraseña*, permiso*, autentic*, autoriz*, senha*, wachtwoord*, rechten, пароль*, "
        "парол*, авториз*, аутентифик*, права доступа, hasło, hasła, şifre*, 密码, 权限, 登录, "
        "鉴权, 认证, 注销, 管理员, パスワード, 権限, 認証, ログイン認証, 비밀번호, 권한, 인증, "
        "पासवर्ड, अनुमति, permissão, permissões, permesso, permessi"),
    Signal("security", "risk", 3.0, "security",
        "sicherheitsl*, sécurité, seguridad, segurança, sicurezza, veiligheid, безопасност*, "
        "уязвим*, инъекц*, inyección, 漏洞, 安全, 注入, 脆弱性, セキュリティ, インジェクション, 보안, 취약점, सुरक्षा"),
    Signal("money", "risk", 3.0, "money",
        "zahlung*, rechnungsbetr*, abbuch*, geld, guthaben, überweis*, paiement*, rembours*, "
        "facturat*, argent, solde, pago, pagos, reembols*, dinero, pagamento*, cobran*, "
        "fatura*, rimbors*, soldi, betaling*, terugbetal*, оплат*, платеж*, платёж*, "
        "возврат средств, списа*, деньг*, płatnoś*, ödeme*, 支付, 扣款, 退款, 余额, 账单, "
        "转账, 订单金额, 決済, 支払, 課金, 返金, 残高, 結제, 결제, 환불, 잔액, भुगतान, cobro, "
        "cobros, cobrar, cobrado"),
    Signal("crypto", "risk", 3.0, "crypto",
        "verschlüssel*, entschlüssel*, chiffr*, déchiffr*, cifrad*, cifra*, encript*, "
        "criptograf*, versleutel*, шифр*, расшифр*, szyfr*, 加密, 解密, 密钥, 签名, 暗号, 復号, 鍵, 암호, "
        "एन्क्रिप्ट"),
    Signal("personal data", "risk", 3.0, "personal",
        "personenbezogen*, kundendaten, données personnelles, datos personales, dados pessoais, "
        "dati personali, persoonsgegevens, персональн*, 个人信息, 隐私, 用户数据, 個人情報, 개인정보"),
    Signal("live system", "risk", 2.6, "live",
        "produktiv*, produktion*, en producción, em produção, in produzione, en prod, в "
        "продакшен*, на проде, прод, 生产环境, 生产, 线上, 本番, 운영 환경, 운영 서버, प्रोडक्शन"),
    Signal("data loss", "risk", 3.0, "loss",
        "datenverlust, perte de données, pérdida de datos, perda de dados, потер*, 数据丢失, 清空, "
        "全部删除, データ消失, データ損失, 데이터 손실, gegevensverlies, 无停机, 無停止, 무중단, unwiderruflich, "
        "définitivement, permanentemente, безвозвратно"),
    Signal("trivial edit", "risk", -4.0, "trivial",
        "umbenenn*, benenne, tippfehler, rechtschreib*, renomme*, faute de frappe, renombra*, "
        "errata, rinomin*, renome*, hernoem*, typfout, переименуй*, опечатк*, literówk*, 重命名, "
        "改名, 错别字, 拼写, 変数名, 誤字, タイポ, 오타, 이름을 바꿔, नाम बदल, वर्तनी"),
    Signal("local", "risk", -2.0, "local",
        "les tests, die tests, las pruebas, i test, os testes, de tests, тесты, testy, "
        "зависимости, 跑测试, 运行测试, テストを実行, 테스트를 실행, dossier actuel, carpeta actual, "
        "build-artefakte, ordner"),
)  # fmt: skip

COMPLEXITY: tuple[Signal, ...] = (
    Signal("distributed", "complexity", 1.7, "distributed",
        "between regions, three services, stock count, replicat*, failover, chaos, jepsen, "
        "quorum, multiplayer, rollback netcode, lag compensation, key value store, cluster "
        "membership, dynamic membership, load shedding, service mesh, cross-shard, rebalancing, "
        "kill nodes, transaction protocol, distributed, consensus, raft, paxos, leader election, "
        "sharded, sharding, replication, multi-tenant, multi tenant, microservice*, "
        "at-least-once, exactly-once, event sourcing, eventual consistency, cross region, "
        "another region, split brain, linearizab*, partitions, fencing, gossip, saga, vector "
        "clock*, two phase commit"),
    Signal("concurrency", "complexity", 1.2, "concurrency",
        "race, race condition*, races, deadlock*, lock-free, lock free, wait-free, mpmc, data "
        "race, double spend, lock order*, memory ordering, hazard pointers, same row, "
        "concurrent*, concurrency, threads, atomics"),
    Signal("deep machinery", "complexity", 1.9, "machinery",
        "orm, query compiler, sql engine, differential, fuzzer, type-safe, event-driven, "
        "kafka, exactly once, allocator, tls stack, codec, renderer, shader*, simd, assembler, "
        "linker, debugger, profiler, garbage collection, tcp stack, file system, filesystem, "
        "search engine, ocr, neural*, inference engine, regex engine, spreadsheet engine, "
        "template engine, rules engine, constraint solver, gpu, cuda, ffi, language server, "
        "lsp, borrow checker implementation, decompiler, hot path, zero copy, zero-copy, "
        "compiler, jit, miscompil*, register allocator, type inference, storage engine, "
        "b-tree, b tree, lsm*, lsm-tree, crdt*, query planner, query optimizer, optimizer, "
        "query engine, garbage collector, monomorphization, unification, physics engine, "
        "finite-element, finite element, solver, virtual machine, hypervisor, kernel, "
        "bootloader, interpreter, write barriers, wal, replay, mvcc, type checker, bytecode, "
        "numerical*, vulkan, actor runtime, scheduler harness, protocol parser, model based, "
        "model-based, crash consistency, write ahead, operational transform*, ray tracer, "
        "emulator, autodiff, memory model, hot module, incremental, numerical problem, "
        "consistent hashing, query language, vectorized, vectorised, columnar, planner, "
        "message broker, fault injection, incremental build, dependency tracking, ratchet, "
        "encryption layer, test rig, static analysis, type system, symbolic, lock-free, "
        "wait-free, mpmc, hazard pointers"),
    Signal("unknown cause", "complexity", 1.9, "cause",
        "get to the bottom, after a few hours, after a while, nothing obvious, silently, "
        "no stack trace, without any error, hard to reproduce, figure out the cause, "
        "cause unknown, some days, for some customers, only on some, find out why, "
        "work out why, figure out why, root cause, only under load, under load, "
        "don't know why, no idea why, intermittent*, once in a while, every few hours, "
        "nothing is logged, no error in, never locally, not reproducible, can't reproduce, "
        "cannot reproduce, heisenbug, no exceptions, no crash, only in release, "
        "where precision is lost, track down, randomly, out of nowhere, now and then, "
        "sporadic*, occasionally, every now and then, 1 in, no pattern, only happens in, "
        "nobody knows, since when, all the causes, about one in, one of 200, in about one, "
        "every so often, we suspect, depends on timing, on purpose, for a second, "
        "random users, seemingly random"),
    Signal("unknown cause", "complexity", 0.7, "cause",
        "sometimes, find the cause, find the bug, locate, investigate, find and fix, find where"),
    Signal("wide scope", "complexity", 1.5, "scope",
        "complete, all our, all cases, all edge cases, central, platform wide, full stack, "
        "every page, all pages, each service, all modules, company wide, whole, entire, "
        "all callers, throughout, across, end to end, codebase, code base, monolith, "
        "whole codebase, from scratch, in depth, deep dive, every service, full, "
        "all endpoints, subsystem, all services, entire repo, enough to change, in detail, "
        "thoroughly, work together"),
    Signal("design", "complexity", 1.0, "design",
        "design, redesign, architecture, architect, plan, pluggable, plugin system, offline, "
        "sync queue, conflict resolution, policy engine, boundaries, restructure, rollout, "
        "strategy, migration of, migrate, migration, multi-region, single sign-on, single sign "
        "on, provisioning, federation, refresh token rotation, two-way sync, replatform, portal, "
        "marketplace, platform"),
    Signal("must not stop", "complexity", 1.0, "invariant",
        "without changing any, no message loss, any decision, must not change, "
        "without losing writes, keeping the ffi, no behaviour change, no behavior change, "
        "zero data loss, while traffic, zero-downtime, zero downtime, no downtime, "
        "without downtime, of downtime, without breaking, every existing, must still compute, "
        "stay identical, must stay, no data loss, backwards compatible, without losing, "
        "nothing else in, for good, resumable, rollback plan, keep working during, no outage, "
        "keep behaviour, keep behavior, automatic failover, no more than a minute, "
        "read-only time, carry out, gradual rollout, cut over"),
    Signal("security depth", "complexity", 0.9, "securitydepth",
        "authorization server, oauth2 authorization, reentrancy, gestion des rôles, audit log, "
        "sso, exploitable, end-to-end encryption, row level security, threat model, "
        "security audit, security review, access control, oauth server, oauth provider, "
        "least privilege, key exchange, attribute-based, subscriptions, double-entry, "
        "reconciliation, proration, multi-currency, audit trail, exchange rates, "
        "data isolation, async settlement, gross to net, tax tables, bank files, payroll, "
        "approvals"),
    Signal("several parts", "complexity", 0.7, "parts",
        "backend, and the api, both, several, a few places, split over, module, in the module, "
        "pages, shared, disagree, persist, layer, layers, pagination, integration, webhook*, "
        "webhooks, package, service, websocket, caching, flow, database, everywhere"),
    Signal("some thought", "complexity", 0.6, "thought",
        "set up, playbook, restore, snapshot, memory limits, dns, mapping, third party, "
        "graphql, resolves, interaction, edge cases, retry, backoff, timeout*, leak*, "
        "encoding, time zone*, timezone, performance, slow, flaky, encrypt*, injection, "
        "idempot*, invalidat*, debounce, parser, undo, coverage, tutorial, guide, strict, "
        "compare, architecture overview, api reference, walk me through, how does, "
        "pull request, error handling, branch, migration guide, stale, upgrade, token*, "
        "component, hash*, ci, docker*, trade-offs, choose, regression, deprecations, runbook, "
        "certificates, pipeline, endpoints, rotate, older than, purge, rollback, algorithm, "
        "alpha-beta, engine, deploy, lockout, rate limiting, docs for, idea, wheels, workflow, "
        "healthcheck, reconnecting, isolation"),
    Signal("how it works", "complexity", 1.0, "thought",
        "how does our, how do our, how is, how are our, how does the"),
    Signal("in steps", "complexity", 1.4, "thought",
        "paso a paso, étape par étape, schritt für schritt, passo a passo, stap voor stap, "
        "пошагово, step by step, piece by piece, line by line"),
    Signal("one place", "complexity", -1.3, "trivial",
        "typo, typos, spelling, misspell*, misspelled, rename, renames, renaming, one line, "
        "one-line, that line, this line, single line, into a constant, a constant called, "
        "it a constant, caption, css, unused, a comment, heading*, headings, docstring, lint, "
        "tooltip*, icon, gitignore, one-liner, one liner, alias, emoji, whitespace, changelog, "
        "badges, z-index, margin, magic number, version flag, inline, commented-out, "
        "commented out, alphabetically, wording, quotes, compile error, one more test, "
        "one test, one unit test, a test, a unit test, a test case, single test, nothing else, "
        "magic, temp, bump, copyright, other way round, table of contents, proofread, "
        "css class, git status, test case, an assertion, doctest, fixture"),
    Signal("small", "complexity", -0.8, "small",
        "a column, column header, entry, emojis, default, flag, option, env var, field, "
        "button, variable, helper, link, links, parameter, configurable, same style, regex, "
        "line, null, undefined, section, word, idiomatic, lowercase, note, sentence, "
        "paragraph, shortcut, spinner, badge, imports, same signature, same exports, "
        "unit test, label, of a folder, cannot find module, small, simple, simply, little, "
        "trivial, tiny, quick, quickly, only, just, lockfile, this function, snippet, toggle, "
        "ternary, colour, color, font, port, clone, to the latest, shell script"),
    Signal("exact place", "complexity", -0.9, "exact",
        "keyerror, typeerror, nullpointerexception, attributeerror, named error, "
        "zerodivisionerror, indexerror, nameerror, cannot borrow, should be, must be"),
    Signal("plain question", "complexity", -1.0, "question",
        "what does, what is, what's, which, where is, where in, stand for, mean, means, "
        "difference between, how do i, how many, does python, what happens"),
)  # fmt: skip

COMPLEXITY_ABROAD: tuple[Signal, ...] = (
    Signal("distributed", "complexity", 1.7, "distributed",
        "verteilt*, распредел*, rozproszon*, 分布式, 分散, 분산, वितरित, distribuid*, "
        "distribué*, distribuit*"),
    Signal("design", "complexity", 1.2, "design",
        "architektur, entwirf, entwurf, concevoir, conçois, conception, diseñ*, projete, "
        "arquitet*, arquitect*, progetta*, ontwerp*, архитектур*, спроектир*, 设计, 架构, 設計, "
        "アーキテクチャ, 설계, 迁移, 移行, 마이그레이션"),
    Signal("must not stop", "complexity", 1.2, "invariant",
        "ohne ausfallzeit, ohne downtime, sans interruption, sin tiempo de inactividad, sem "
        "downtime, без простоя, 无停机, 不停机, 無停止, 무중단, 再開できる"),
    Signal("concurrency", "complexity", 1.2, "concurrency",
        "nebenläuf*, gleichzeitig*, concurren*, carrera, гонк*, взаимоблок*, 并发, 死锁, 竞争, 競合, "
        "デッドロック, 동시성, 교착"),
    Signal("unknown cause", "complexity", 1.0, "cause",
        "sporadisch, manchmal, gelegentlich, parfois, de temps en temps, a veces, às vezes, a "
        "volte, soms, иногда, изредка, 偶尔, 有时, 时不时, ときどき, たまに, 時々, 가끔, कभी-कभी"),
    Signal("wide scope", "complexity", 1.3, "scope",
        "gesamte*, komplette*, überall, tout le code, partout, entier, todo el código, en todas "
        "partes, todo o código, tutto il codice, overal, весь код, всему, 整个, 全部代码, 全体, すべての, "
        "전체, 모든"),
    Signal("several parts", "complexity", 0.7, "parts",
        "ursache, causa, причин*, modul, module, módulo, serveur, servidor, 原因, 缓存, "
        "バックエンド, 백엔드, 원인, 検索, 搜索, 并, 스크롤, 幂等"),
    Signal("some thought", "complexity", 0.6, "thought",
        "tests unitaires, pruebas, 单元测试, 文档, cas limites, casos límite, fonctionne, "
        "funktioniert, работает, окон*, anleitung, pagination, paginación, leistung, langsam, "
        "lent, lento, traag, медлен*, 慢, 遅い, 느린, rendimiento, hilfe, 테스트를 작성, тесты"),
    Signal("one place", "complexity", -1.3, "trivial",
        "umbenenn*, benenne, tippfehler, renomm*, renombra*, rinomin*, renome*, hernoem*, "
        "переименуй*, опечатк*, 重命名, 改名, 错别字, 変数名, 誤字, 오타, 이름을 바꿔, "
        "नाम बदल, kommentar, commentaire, comentario, comentário, 注释, コメント, 주석, "
        "un test, einen test, 一つ, ひとつ"),
    Signal("small", "complexity", -0.8, "small",
        "nur, zeile, feld, spalte, knopf, seulement, ligne, colonne, bouton, solo, línea, "
        "columna, botón, só, linha, coluna, botão, riga, colonna, pulsante, bastano, alleen, "
        "regel, kolom, knop, только, строк*, кнопк*, столбец, tylko, 只, 一行, 按钮, 列, だけ, ボタン, 行目, "
        "버튼, 한 줄, файле, сообщение, función, fonction, funktion, função, funzione, функция"),
    Signal("plain question", "complexity", -1.0, "question",
        "was macht, was ist, was bedeutet, que fait, qu'est, qué significa, qué es, cosa fa, o "
        "que é, o que faz, wat doet, wat is, что делает, что такое, 什么是, 是什么, とは, 何ですか, 무엇을, "
        "뭐예요, क्या है"),
    Signal("plain command", "complexity", -1.0, "command",
        "lösch*, starte, lance, supprime, ejecuta, borra, esegui, verwijder, запусти, удали, "
        "установи, собери, 运行, 清空, 删除, 実行, 起動, 실행, चलाए"),
)  # fmt: skip
