"""Who is let in, where a request may go, and what never leaves: Host, Origin, keys, redirects, secrets."""

import ast
import asyncio
import errno
import json
import logging
import re
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

import openfusion_auto
from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.limits import Client
from openfusion_auto.server import models
from openfusion_auto.server.build import build
from openfusion_auto.server.keys import CLIENT
from openfusion_auto.server.middleware import identity, translate, without_the_request
from tests.server.live import (
    GOOD,
    HOST,
    check_alive,
    check_refusal,
    put_away,
    raw,
    replies,
    request,
    send,
    serving,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT_KEY = "of-client-4d1f9b6a2c8e7350"
SECOND_KEY = "of-cliént-zweiter-schlüssel"
UPSTREAM_KEY = "sk-canary-8f3a1c5e7b9d2046"
JSON = json.dumps(GOOD).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    server = {"allowed_hosts": ["router.lan"]}
    async with serving(
        tmp_path_factory.mktemp("open"), server=server, api_key=UPSTREAM_KEY
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def locked(tmp_path_factory):
    """A router that asks for a key."""
    keys = f"{CLIENT_KEY},{SECOND_KEY}"
    async with serving(
        tmp_path_factory.mktemp("locked"), client_keys=keys, api_key=UPSTREAM_KEY
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_but_its_own_path(request):
    """No request ever went to another path of the upstream than the one of chat completions."""
    yield
    for name in {"router", "locked"} & set(request.fixturenames):
        up = request.getfixturevalue(name).up
        assert {r.path for r in up.requests} <= {"/v1/chat/completions"}


async def first(running, data):
    """Send raw bytes; return the one answer."""
    (reply,) = replies(await raw(running, data))
    return reply


def refused(running, before, reply, status):
    """The refusal has our shape, nothing went upstream, and others are served."""
    assert reply.status == status
    check_refusal(reply)
    assert len(running.up.requests) == before


# -- Host ------------------------------------------------------------------------------------------------------------

FOREIGN_HOSTS = (
    "evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example",
    "evil.example@127.0.0.1", "127.0.0.1#evil.example", "127.0.0.1/evil.example", "127.0.0.1#", "127.0.0.1?x", "127.0.0.1\tevil.example", "127.0.0.1, evil.example", "2130706433",
    "0x7f000001", "0.0.0.0", "[::]", "[::ffff:10.0.0.1]", "169.254.169.254", "router.lan.evil.example", "xrouter.lan",
    "127.0.0.1:notaport", "[::1", "", " ", "*",
)  # fmt: skip
OWN_HOSTS = (
    "localhost",
    "LOCALHOST:1",
    "127.0.0.1",
    "[::1]:8787",
    "router.lan",
    "Router.LAN:8787",
    "localhost.",
)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_s01_a_foreign_host_is_refused_before_any_work(router, host, method):
    before = len(router.up.requests)
    path = "/v1/models" if method == "GET" else "/v1/chat/completions"
    reply = await first(router, request(method, path, Host=host))
    assert reply.status in (400, 403)
    if reply.kind == "application/json":
        check_refusal(reply, code="forbidden")
    assert len(router.up.requests) == before


@pytest.mark.parametrize("host", OWN_HOSTS)
async def test_a_host_of_ours_is_served(router, host):
    assert (await first(router, request("GET", "/v1/models", Host=host))).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/api/hello", "/debug/route", "/v1/traces"]
)
async def test_s02_no_path_is_open_to_a_foreign_host(router, path):
    assert (await first(router, request("GET", path, Host="evil.example"))).status == 403


# -- Origin and preflight --------------------------------------------------------------------------------------------

FOREIGN_ORIGINS = (
    "http://evil.example", "https://evil.example:8787", "null", "file://", "file:///tmp/x.html", "http://127.0.0.1.evil.example",
    "http://localhost@evil.example", "http://evil.example/127.0.0.1", "chrome-extension://abcdef", "vscode-webview://x",
    "http://", "", "http://127.0.0.1:x", "HTTP", "data:", "http://127.0.0.1 http://evil.example",
)  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
async def test_s03_a_foreign_web_page_is_refused_before_any_work(router, origin):
    before = len(router.up.requests)
    reply = await send(router, GOOD, headers={"Origin": origin})
    refused(router, before, reply, 403)
    assert reply.error["code"] == "origin_not_allowed"
    check_grants_nothing(reply)


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1", "https://router.lan"]
)
async def test_a_page_from_a_host_of_ours_is_served_and_granted_nothing(router, origin):
    reply = await send(router, GOOD, headers={"Origin": origin})
    assert reply.status == 200
    check_grants_nothing(reply)


async def test_a_page_of_this_machine_cannot_send_unasked_by_leaving_the_type_out(router):
    untyped = {"Content-Type": None}
    before = len(router.up.requests)
    reply = await send(router, GOOD, headers={"Origin": "http://localhost:3000", **untyped})
    refused(router, before, reply, 415)
    assert (await send(router, GOOD, headers=untyped)).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:3000"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/", "*"])
async def test_s04_s06_a_preflight_grants_nothing(router, origin, path):
    reply = await first(router, request(
        "OPTIONS", path, Origin=origin, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="content-type,authorization", Access_Control_Request_Private_Network="true",
    ))  # fmt: skip
    assert reply.status in (403, 404, 405)
    check_refusal(reply)
    check_grants_nothing(reply)


def check_grants_nothing(reply):
    assert not [name for name in reply.headers if name.startswith("access-control-")]


# -- media types -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain; charset=utf-8",
        "text/plain;application/json",
        "TEXT/PLAIN",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/html",
        "application/json, text/plain",
        "json",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/../debug/route"])
async def test_s05_s07_what_a_page_may_send_unasked_is_refused(router, kind, path):
    before = len(router.up.requests)
    reply = await send(router, JSON, headers={"Content-Type": kind}, path=path)
    refused(router, before, reply, 415)
    assert reply.error["code"] == "unsupported_media_type"


# -- client keys -----------------------------------------------------------------------------------------------------

WRONG_KEYS = {
    "S10-missing": {},
    "S11-short": {"Authorization": f"Bearer {CLIENT_KEY[:-1]}"},
    "S11-long": {"Authorization": f"Bearer {CLIENT_KEY}x"},
    "S11-other-case": {"Authorization": f"Bearer {CLIENT_KEY.upper()}"},
    "S11-both": {"Authorization": f"Bearer {CLIENT_KEY},{SECOND_KEY}"},
    "S12-empty": {"Authorization": "Bearer "},
    "S12-no-scheme": {"Authorization": CLIENT_KEY},
    "S12-basic": {"Authorization": f"Basic {CLIENT_KEY}"},
    "S12-megabyte": {"Authorization": "Bearer " + "k" * 7000},
    "S12-x-api-key": {"x-api-key": "of-client-wrong"},
    "S13-cookie": {"Cookie": f"api_key={CLIENT_KEY}; Authorization=Bearer {CLIENT_KEY}"},
    "S13-other-header": {"api-key": CLIENT_KEY, "X-Authorization": f"Bearer {CLIENT_KEY}"},
    "S13-proxy": {"Proxy-Authorization": f"Bearer {CLIENT_KEY}"},
    "W41-non-ascii-key": {"Authorization": "Bearer ключ-🔑".encode()},
    "W41-latin1-key": {"Authorization": b"Bearer caf\xe9"},
    "W41-bad-utf8-key": {"Authorization": b"Bearer \xff\xfe\xed\xa0\x80"},
    "W42-auth-odd": {"Authorization": "Bearer"},
    "W42-auth-odd-quoted": {"Authorization": f'Bearer "{CLIENT_KEY}"'},
}


@pytest.mark.parametrize("headers", WRONG_KEYS.values(), ids=WRONG_KEYS)
async def test_s10_to_s12_a_wrong_key_is_a_401_that_echoes_nothing(locked, headers):
    before = len(locked.up.requests)
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    reply = await first(locked, request(**named))
    refused(locked, before, reply, 401)
    assert reply.error["code"] == "invalid_api_key"
    assert CLIENT_KEY[:8] not in reply.shown
    for value in named.values():
        tail = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        assert len(tail) < 10 or tail[-8:] not in reply.shown


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {CLIENT_KEY}"},
        {"Authorization": f"bearer   {CLIENT_KEY} "},
        {"x_api_key": CLIENT_KEY},
        {"Authorization": f"Bearer {SECOND_KEY}".encode()},
        {"Authorization": f"Basic {CLIENT_KEY}", "x_api_key": CLIENT_KEY},
    ],
)
async def test_a_right_key_is_served(locked, headers):
    reply = await first(locked, request(**headers))
    assert (reply.status, reply.text) == (200, "fine")


@pytest.mark.parametrize("query", ["api_key", "key", "token", "Authorization", "x-api-key"])
async def test_s13_a_key_in_the_query_is_no_key(locked, query):
    reply = await send(locked, GOOD, path=f"/chat/completions?{query}={CLIENT_KEY}")
    assert reply.status == 401
    check_refusal(reply, code="invalid_api_key")
    assert CLIENT_KEY not in reply.shown


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("GET", "/v1/models/coder-a"), ("GET", "/v1/traces"), ("GET", "/v1/traces/x"),
     ("POST", "/debug/route"), ("GET", "/nothing"), ("DELETE", "/v1/models"), ("GET", "//health"), ("GET", "/health/")],
)  # fmt: skip
async def test_every_path_that_tells_something_asks_for_the_key(locked, method, path):
    reply = await first(locked, request(method, path))
    assert reply.status == 401
    check_refusal(reply, code="invalid_api_key")


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/api/hello"])
async def test_probes_need_no_key_and_tell_no_secret(locked, path):
    reply = await first(locked, request("GET", path))
    assert reply.status == 200
    for secret in (CLIENT_KEY, UPSTREAM_KEY, locked.up.url):
        assert secret not in reply.shown


async def test_s15_the_key_is_judged_before_the_body(locked):
    """A body that never comes, and one that is nonsense: 401 at once."""
    head = request(Content_Length="1000000").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection(*locked.root.removeprefix("http://").split(":"))
    writer.write(head.replace(HOST, locked.root.removeprefix("http://").encode()))
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.transport.abort()
    assert line.startswith(b"HTTP/1.1 401 ")
    assert (await send(locked, b"{not json")).status == 401
    await check_alive(locked, key=CLIENT_KEY)


# -- where a request may go ------------------------------------------------------------------------------------------

ELSEWHERE = ("base_url", "api_base", "baseURL", "api-key", "api_key", "apiKey", "API_KEY", "proxy", "proxies", "http_proxy", "HTTPS_PROXY")  # fmt: skip
NESTED = {
    "top": lambda name, value: {name: value},
    "openfusion": lambda name, value: {"openfusion": {name: value}},
    "extra_body": lambda name, value: {"extra_body": {name: value}},
    "deep": lambda name, value: {"litellm_params": {"a": [{"b": {name: value}}]}},
    "null": lambda name, value: {name: None},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trap():
    """A server that nothing may reach: its `visits` stay empty."""
    visits = []

    async def visited(reader, writer):
        visits.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(visited, "127.0.0.1", 0) as server:
        server.visits = visits
        server.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield server
        assert visits == []


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("place", NESTED.values(), ids=NESTED)
async def test_s20_a_request_names_no_address_key_or_proxy(router, trap, name, place):
    before = len(router.up.requests)
    reply = await send(router, {**GOOD, **place(name, trap.url)})
    refused(router, before, reply, 400)
    assert trap.url not in reply.shown


async def test_s20_those_words_are_free_where_the_users_own_text_stands(router, trap):
    schema = {
        "type": "object",
        "properties": {"base_url": {"type": "string"}, "api_key": {"default": trap.url}},
    }
    body = {
        **GOOD,
        "tools": [{"type": "function", "function": {"name": "call_api", "parameters": schema}}],
    }
    assert (await send(router, body)).status == 200
    assert router.up.requests[-1].body["tools"] == body["tools"]


async def test_s21_headers_name_no_address_key_or_proxy(router, trap):
    names = (
        "x-base-url", "x-api-base", "api-base", "x-upstream-url", "helicone-target-url", "x-target-url", "x-openai-api-key",
        "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "Proxy", "X-HTTP-Method-Override",
    )  # fmt: skip
    reply = await send(router, GOOD, headers=dict.fromkeys(names, trap.url))
    assert reply.status == 200
    sent = router.up.requests[-1]
    assert trap.url not in json.dumps(sent.headers)
    assert not {name.lower() for name in names} & set(sent.headers)


@pytest.mark.parametrize("form", ["image_url", "input_audio", "file"])
async def test_s22_s23_what_a_message_points_to_is_not_fetched(router, trap, form):
    held = {"url": trap.url, "file_data": trap.url, "data": trap.url, "format": "wav"}
    parts = [{"type": "text", "text": "[[say:fine]] See?"}, {"type": form, form: held}]
    reply = await send(router, {**GOOD, "messages": [{"role": "user", "content": parts}]})
    assert reply.status in (200, 400, 503)
    assert trap.visits == []


@pytest.mark.parametrize("fault", ["F28", "F29"])
@pytest.mark.parametrize("stream", [False, True])
async def test_s24_a_redirect_of_the_upstream_is_not_followed(router, fault, stream):
    content = f"[[fault:{fault}]] Where does it lead, {stream}?"
    body = {**GOOD, "stream": stream, "messages": [{"role": "user", "content": content}]}
    reply = await send(router, body)
    assert reply.status == 502
    assert reply.error["code"]
    assert not any(r.path.endswith("/elsewhere") for r in router.up.requests)


# -- what never leaves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_s30_what_the_client_shows_us_stays_with_us(locked, stream):
    private = {
        "Cookie": "session=cookie-secret-1",
        "Proxy-Authorization": "Basic proxy-secret-2",
        "x-api-key": "of-other-secret-3",
        "X-Custom": "custom-secret-4",
        "User-Agent": "agent-secret-5",
        "Referer": "http://127.0.0.1/referer-secret-6",
    }
    reply = await send(locked, {**GOOD, "stream": stream}, key=CLIENT_KEY, headers=private)
    assert reply.status == 200
    sent = locked.up.requests[-1]
    assert sent.headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    told = json.dumps(sent.headers) + sent.raw.decode()
    assert "secret" not in told
    assert CLIENT_KEY not in told
    assert not {"cookie", "proxy-authorization", "x-api-key", "referer"} & set(sent.headers)


QUOTING = ("ok", "F19", "F20", "F21", "F22", "F31", "F64", "F65", "F66", "F15")


@pytest.mark.parametrize("fault", QUOTING)
@pytest.mark.parametrize("stream", [False, True])
async def test_s31_to_s33_keys_are_in_no_answer_trace_or_log(locked, caplog, fault, stream):
    content = f"[[fault:{fault}]] prompt-secret-{fault}{stream}"
    body = {**GOOD, "stream": stream, "messages": [{"role": "user", "content": content}]}
    with caplog.at_level("DEBUG"):
        reply = await send(locked, body, key=CLIENT_KEY)
        trace_id = reply.headers["x-openfusion-trace-id"]
        seen = [reply]
        for path in (f"/traces/{trace_id}", "/traces", "/models", "/../ready"):
            seen.append(await send(locked, None, method="GET", path=path, key=CLIENT_KEY))
            assert seen[-1].status == 200
        seen.append(await send(locked, body, path="/../debug/route", key=CLIENT_KEY))
    shown = "\n".join(r.shown for r in seen)
    logged = caplog.text + "".join(str(r.__dict__) for r in caplog.records)
    for secret in (UPSTREAM_KEY, UPSTREAM_KEY[3:], CLIENT_KEY, SECOND_KEY):
        assert secret not in shown
        assert secret not in logged
    assert locked.up.url not in shown
    assert "prompt-secret" not in logged
    assert "prompt-secret" not in "".join(r.shown for r in seen[1:])


async def test_an_error_of_ours_tells_neither_client_nor_log_its_text(router, caplog, monkeypatch):
    def broken(*_):
        raise RuntimeError(f"{UPSTREAM_KEY} and a prompt")

    monkeypatch.setattr(models, "listing", broken)
    reply = await first(router, request("GET", f"/v1/models/a%0b%1b[2KFORGED?api_key={CLIENT_KEY}"))
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    (record,) = (r for r in caplog.records if r.name == "openfusion.server")
    said, _, name = record.getMessage().rpartition(", ")
    assert said == "internal error: RuntimeError in /v1/models/a%0b%1b[2KFORGED"
    assert name == reply.headers["x-request-id"]
    assert record.exc_info is None
    assert UPSTREAM_KEY not in reply.shown + caplog.text


async def test_that_no_more_files_can_be_opened_is_no_defect_and_passes(router, monkeypatch):
    def full(*_):
        raise OSError(errno.EMFILE, "Too many open files", "/a/path")

    monkeypatch.setattr(models, "listing", full)
    reply = await first(router, request("GET", "/v1/models/a"))
    assert (reply.status, reply.error["code"]) == (503, "overloaded")
    assert reply.headers["retry-after"] == "1"
    assert "/a/path" not in reply.shown


async def test_the_http_librarys_log_keeps_the_kind_of_an_error_and_plain_lines():
    def record(exc_info):
        return logging.LogRecord("aiohttp.server", 40, "x.py", 1, "at %s", ("noon",), exc_info)

    plain, error = record(None), record((ValueError, ValueError(UPSTREAM_KEY), None))
    assert without_the_request(plain)
    assert without_the_request(error)
    assert logging.Formatter().format(plain) == "at noon"
    assert logging.Formatter().format(error) == "at noon (ValueError)"


@pytest.mark.parametrize("status", [400, 404, 405, 410, 417])
async def test_every_refusal_of_the_http_library_becomes_ours_with_its_status(status):
    class Refusal(web.HTTPException):
        status_code = status

    error = translate(Refusal(), "/x")
    assert (error.status, error.scope) == (status, "client")


@pytest.mark.parametrize("field", ["model", "user", "session_id", "prompt_cache_key"])
async def test_s35_s36_line_ends_in_a_request_make_no_header_and_no_log_line(router, caplog, field):
    forged = "openfusion/auto\r\nX-Forged: 1\r\n\r\nFORGED"
    with caplog.at_level("DEBUG"):
        reply = await send(router, {**GOOD, field: forged})
    assert reply.status in (200, 404)
    assert "x-forged" not in reply.headers
    assert "FORGED" not in caplog.text
    sent = router.up.requests[-1].headers if router.up.requests else {}
    assert "x-forged" not in sent


async def test_s36_line_ends_in_a_path_make_no_header(router):
    reply = await first(router, request("GET", "/v1/models/x%0d%0aX-Forged:%201%0d%0a%0d%0a<html>"))
    check_refusal(reply)
    assert "x-forged" not in reply.headers


# -- binding ---------------------------------------------------------------------------------------------------------


def settings(folder, host, keys=""):
    path = folder / "openfusion.toml"
    path.write_text(f'[server]\nhost = "{host}"\n')
    return load(
        path, {"OPENFUSION_API_KEYS": keys, "OPENFUSION_STATE_DIR": str(folder)}, {}, folder
    )


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.10", "router.lan", "10.0.0.1", "2001:db8::1"]
)
async def test_s45_listening_beyond_this_machine_asks_for_keys(tmp_path, host):
    with pytest.raises(ConfigError, match="OPENFUSION_API_KEYS"):
        build(settings(tmp_path, host), dry_run=True)
    await put_away(build(settings(tmp_path, host, CLIENT_KEY), dry_run=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
async def test_s45_listening_on_this_machine_needs_no_key(tmp_path, host):
    await put_away(build(settings(tmp_path, host), dry_run=True))


async def test_s45_the_default_is_this_machine_only(tmp_path):
    path = tmp_path / "openfusion.toml"
    path.write_text("")
    assert (
        load(path, {"OPENFUSION_STATE_DIR": str(tmp_path)}, {}, tmp_path).config.server.host
        == "127.0.0.1"
    )


# -- the source ------------------------------------------------------------------------------------------------------

PACKAGE = Path(openfusion_auto.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "literal_eval",
    "unsafe_load",
    "full_load",
}
MODULES = {"pickle", "marshal", "shelve", "dill", "yaml", "telnetlib", "ftplib"}
FLAGS = {
    ("shell", True),
    ("verify", False),
    ("verify_ssl", False),
    ("ssl", False),
    ("check_hostname", False),
}


def flaws(source):
    """Return what a program that meets hostile input must not contain, as (line, what)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [a.name for a in node.names] + [getattr(node, "module", None) or ""]
            yield from ((node.lineno, n) for n in names if n.partition(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            yield from flaws_of_call(node)
        if isinstance(node, ast.Attribute) and node.attr in {
            "_create_unverified_context",
            "CERT_NONE",
        }:
            yield node.lineno, node.attr
        if isinstance(node, ast.Constant) and str(node.value).lower().startswith("access-control-"):
            yield node.lineno, node.value


def flaws_of_call(node):
    called = node.func
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    owner = getattr(getattr(called, "value", None), "id", "")
    if name in CALLS and (
        isinstance(called, ast.Name) or owner in {"os", "builtins", "yaml", "ast"}
    ):
        yield node.lineno, name
    for word in node.keywords:
        if isinstance(word.value, ast.Constant) and (word.arg, word.value.value) in FLAGS:
            yield node.lineno, f"{word.arg}={word.value.value}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
async def test_s61_the_source_runs_no_text_opens_no_pickle_and_checks_certificates(path):
    assert list(flaws(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)", "exec(text)", "import pickle", "from pickle import loads", "import yaml", "os.system(x)",
        "run(x, shell=True)", "get(x, verify=False)", "TCPConnector(ssl=False)", "ssl._create_unverified_context()",
        'headers["Access-Control-Allow-Origin"] = "*"', "context.verify_mode = ssl.CERT_NONE",
    ],
)  # fmt: skip
async def test_the_search_of_the_source_finds_what_it_looks_for(line):
    assert list(flaws(line))


async def test_s60_keys_are_compared_in_constant_time():
    """Hashes of them, all of them, by the one function for it; nothing else looks at what was shown."""
    source = (PACKAGE / "server" / "keyring.py").read_text(encoding="utf-8")
    body = re.search(r"    def find\(.*?(?=\n    def )", source, re.DOTALL)[0]
    assert "hmac.compare_digest" in body
    assert "break" not in body
    tree = ast.parse(body.replace("\n    ", "\n").lstrip())
    compared = {
        name.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for name in ast.walk(node)
        if isinstance(name, ast.Name)
    }
    assert compared == {"self", "found"}


async def test_who_is_signed_in_is_told_from_others_at_the_same_address():
    def who(client=None, **headers):
        asked = make_mocked_request("POST", "/ui/playground/ask", headers=headers)
        if client is not None:
            asked[CLIENT] = Client(client, client)
        return identity(asked)

    assert who("key:1") == who("key:1")
    assert len({who(), who("key:1"), who("key:2"), who(Authorization="Bearer a")}) == 4
    assert who("key:1", Authorization="Bearer a") == who(Authorization="Bearer a")
