"""One request: where the key stands, what is not followed, what is too much."""

import contextlib

import pytest
from aiohttp import web

from openfusion_auto.config.proxies import Way, proxy_at
from openfusion_auto.evals.compat import asking
from openfusion_auto.evals.compat.asking import Answer, Target, ask, head_of
from openfusion_auto.evals.compat.outcome import Unknown, Wrong
from tests.support.faulty import closed_url

AT = "http://127.0.0.1:9/v1"


@contextlib.asynccontextmanager
async def answering(handler):
    """Serve one handler for every path; yields its target."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Target("it", f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "m")
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        (None, b"Authorization: Bearer sk-1\r\n"),
        ("chat", b"Authorization: Bearer sk-1\r\n"),
        ("responses", b"Authorization: Bearer sk-1\r\n"),
        ("messages", b"x-api-key: sk-1\r\n"),
    ],
)
def test_a_key_stands_where_the_clients_of_a_dialect_put_it(dialect, line):
    target = Target("it", AT, key="sk-1")
    assert line in head_of(target, dialect, "/x", b"{}")
    assert head_of(target, dialect, "/x", b"{}").count(b"sk-1") == 1
    assert b"sk-1" not in head_of(Target("it", AT), dialect, "/x", b"{}")
    assert "sk-1" not in repr(target)


def test_headers_of_a_target_stand_for_those_of_the_same_name():
    head = head_of(
        Target("it", AT, headers={"authorization": "other"}, key="sk-1"), None, "/x", None
    )
    assert b"authorization: other" in head
    assert b"sk-1" not in head
    assert head.startswith(b"GET /v1/x HTTP/1.1\r\n")


async def test_a_redirect_is_an_answer_and_nobody_follows_it():
    seen = []

    async def handler(request):
        seen.append(request.path)
        return web.Response(status=308, headers={"Location": "/elsewhere"})

    async with answering(handler) as target:
        assert (await ask(target, "chat", "/chat/completions", b"{}")).status == 308
    assert seen == ["/v1/chat/completions"]


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(asking, "MAX_ANSWER", 1000)

    async def handler(_request):
        return web.Response(body=b"x" * 1001)

    async with answering(handler) as target:
        with pytest.raises(Wrong, match="larger than 1000 bytes"):
            await ask(target, None, "/models", None)


async def test_nobody_there_is_unknown():
    with pytest.raises(Unknown, match="no connection"):
        await ask(Target("it", AT), None, "/models", None)


async def test_where_no_tls_is_spoken_that_is_said():
    async def handler(_request):
        return web.Response()

    async with answering(handler) as target:
        secure = Target("it", target.base_url.replace("http:", "https:"))
        with pytest.raises(Unknown, match="no secure connection"):
            await ask(secure, None, "/models", None)


async def test_a_name_that_is_none_is_nobody(monkeypatch):
    async def refuse(_self):
        raise UnicodeError("label empty or too long")

    monkeypatch.setattr(asking.Connections, "make", refuse)
    with pytest.raises(Unknown, match="no connection"):
        await ask(Target("it", AT), None, "/models", None)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(200, "application/json", b"data: {}\n\n"), "content type"),
        (Answer(200, "text/event-stream", b"data: \xc3\n\n"), "not UTF-8"),
    ],
)
def test_a_stream_is_one_and_is_text(answer, why):
    with pytest.raises(Wrong, match=why):
        answer.frames()


def test_comments_and_blank_lines_are_no_events():
    raw = b": wait\n\n\n\ndata: 1\n\nevent: x\ndata: 2\n\n"
    assert [f.data for f in Answer(200, "text/event-stream", raw).frames()] == [b"1", b"2"]


async def test_a_gateway_behind_a_proxy_that_is_not_there_says_that_it_is_the_proxy():
    way = Way(proxy_at(closed_url().removesuffix("/v1")))
    with pytest.raises(Unknown, match="no connection: the proxy is not reached"):
        await ask(Target("it", "https://gateway.invalid/v1", "m", way=way), None, "/models", None)
