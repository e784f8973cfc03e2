"""The log: one record a line in both forms, no text of an exception; and a secret that shows up nowhere."""

import json
import logging

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config.schema import LogSection
from openfusion_auto.server import logs
from openfusion_auto.server.logs import JsonLines, TextLines, Unhandled, set_up
from tests.server.conftest import candidate

CANARY = "canary-8f3a1c5e7b9d2046"


def record(message, *args, exc=None, **extra):
    info = None
    if exc is not None:
        try:
            raise exc
        except type(exc) as error:
            info = (type(error), error, error.__traceback__)
    made = logging.LogRecord("openfusion.x", logging.ERROR, "f.py", 1, message, args, info)
    made.__dict__.update(extra)
    return made


@given(st.text())
def test_any_message_is_one_line_in_both_forms(text):
    assert json.loads(JsonLines().format(record("%s", text)))["message"] == text
    line = TextLines().format(record("%s", text))
    assert len(line.splitlines()) == 1
    assert line.isprintable()


@pytest.mark.parametrize("form", [JsonLines(), TextLines()])
def test_an_exception_is_told_by_kind_and_place_without_its_text(form):
    made = record("failed", exc=ValueError(CANARY))
    logging.Formatter().format(made)  # leaves its rendering in the record
    line = form.format(made)
    assert CANARY not in line
    assert "ValueError" in line
    assert "test_logs.py" in line


def test_fields_stand_beside_what_every_line_has():
    line = json.loads(JsonLines().format(record("a=1", fields={"a": 1})))
    assert set(line) == {"at", "level", "logger", "a"}
    assert (line["level"], line["logger"], line["a"]) == ("error", "openfusion.x", 1)


@pytest.fixture
def restored():
    root, access = logging.getLogger(), logging.getLogger(logs.ACCESS)
    before = list(root.handlers), root.level, access.level
    yield root
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    access.setLevel(before[2])


def test_the_section_says_form_level_and_access(restored, capsys):
    set_up(LogSection(format="json", level="info"))
    logging.getLogger("openfusion.server").info("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
    set_up(LogSection(access=False, level="debug"))
    logging.getLogger("openfusion.server").debug("again")
    logging.getLogger(logs.ACCESS).info("not this")
    err = capsys.readouterr().err
    assert err.endswith("DEBUG openfusion.server again\n")
    assert err.count("\n") == 1


def test_what_nobody_waits_for_is_said_without_its_text(caplog):
    unhandled = Unhandled(lambda: 0.0)
    unhandled(None, {"message": "Task failed", "exception": ValueError(CANARY)})
    unhandled(None, {"message": "Odd"})
    assert [r.getMessage() for r in caplog.records] == [
        "Task failed (ValueError)",
        "Odd (no exception)",
    ]


def test_the_same_is_said_once_a_minute(caplog):
    moments = [0.0]
    unhandled = Unhandled(lambda: moments[-1])
    for moment in (0.0, 0.1, 59.0, 61.0):
        moments.append(moment)
        for message in ("no more files", "another"):
            unhandled(None, {"message": message, "exception": OSError(CANARY)})
    assert len(caplog.records) == 4
    for number in range(3 * logs.SAID_KEPT):
        unhandled(None, {"message": f"{number}"})
    assert len(unhandled._said) <= logs.SAID_KEPT


# -- a secret shows up nowhere ---------------------------------------------------------------------------------------

SECRETS = {
    name: f"{name}-{CANARY}"
    for name in (
        "upstream-key",
        "client-key",
        "wrong-key",
        "header",
        "prompt",
        "body",
        "query",
        "cookie",
    )
}


async def spill(request):
    """An upstream that fails in every way it can while quoting all it knows."""
    raw = await request.text()
    said = f"{SECRETS['body']} {request.headers.get('Authorization')} {raw}"
    if "x-kind-html" in raw:
        return web.Response(text=f"<html>{said}</html>", content_type="text/html", status=502)
    if "x-kind-event" in raw:
        data = json.dumps({"error": {"message": said, "code": said, "type": said}})
        return web.Response(text=f"data: {data}\n\n", content_type="text/event-stream")
    if "x-kind-junk" in raw:
        return web.Response(text=said, content_type="application/json")
    status = 401 if "x-kind-401" in raw else 400 if "x-kind-400" in raw else 500
    error = {"message": said, "code": SECRETS["body"], "type": SECRETS["body"], "param": said}
    return web.json_response({"error": error}, status=status, headers={"X-Said": SECRETS["body"]})


KINDS = ("html", "event", "junk", "401", "400", "500")


async def everything(router):
    """Fail in every way with secrets in every place; return all that came back, by what it was asked for."""
    seen = {}
    key = {"Authorization": f"Bearer {SECRETS['client-key']}"}
    more = {"X-Secret": SECRETS["header"], "Cookie": f"a={SECRETS['cookie']}"}
    for path in ("chat/completions", "responses", "messages"):
        for kind in KINDS:
            for stream in (False, True):
                text = f"{SECRETS['prompt']} x-kind-{kind}"
                body = {"model": "openfusion/auto", "stream": stream, "max_tokens": 50}
                body |= (
                    {"input": text}
                    if path == "responses"
                    else {"messages": [{"role": "user", "content": text}]}
                )
                if path == "responses":
                    body["max_output_tokens"] = body.pop("max_tokens")
                async with router.http.post(
                    f"{router.base}/{path}", json=body, headers=key | more
                ) as r:
                    seen[path, kind, stream] = f"{dict(r.headers)} {await r.text()}"
    wrong = {"Authorization": f"Bearer {SECRETS['wrong-key']}"}
    tried = (
        ("GET", f"/v1/models?key={SECRETS['query']}", wrong, None),
        ("POST", "/v1/chat/completions", key, f'{{"model": "{SECRETS["prompt"]}", '.encode()),
        ("POST", "/v1/chat/completions", key, json.dumps({"messages": SECRETS["prompt"]}).encode()),
        ("GET", f"/v1/traces?before=1&x={SECRETS['query']}", key, None),
        ("GET", "/metrics", key, None),
        ("GET", "/v1/keys/me", key, None),
        ("GET", "/health", {}, None),
        ("GET", "/ready", {}, None),
    )
    for method, path, headers, data in tried:
        kind = {"Content-Type": "application/json"} if data else {}
        async with router.http.request(
            method, router.root + path, data=data, headers=headers | more | kind
        ) as r:
            seen[method, path, data] = f"{dict(r.headers)} {await r.text()}"
    async with router.http.get(f"{router.base}/traces?limit=200", headers=key) as r:
        listed = (await r.json())["data"]
    for entry in listed:
        async with router.http.get(f"{router.base}/traces/{entry['trace_id']}", headers=key) as r:
            seen["trace", entry["trace_id"]] = await r.text()
    return seen


async def test_a_secret_shows_up_in_no_output(start_router, restored, capsys, caplog, tmp_path):
    set_up(LogSection(format="json", level="debug"))
    app = web.Application()
    app.router.add_post("/v1/{path:.+}", spill)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    keys = {"api_key": SECRETS["upstream-key"], "client_keys": SECRETS["client-key"]}
    try:
        async with start_router(url, candidates=[candidate("a"), candidate("b")], **keys) as router:
            router.http._cookie_jar = aiohttp.DummyCookieJar()
            seen = await everything(router)
    finally:
        await runner.cleanup()
    log = capsys.readouterr().err
    assert len(seen) > 70
    assert log.count("openfusion.access") > 40
    seen |= {"log": log, "records": caplog.text}
    for place, text in seen.items():
        assert [n for n, s in SECRETS.items() if s in text] == [], place
    for kept in (tmp_path / "state").iterdir():
        raw = kept.read_bytes()
        assert [n for n, s in SECRETS.items() if s.encode() in raw] == [], kept.name
