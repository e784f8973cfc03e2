"""Who answers: a running server over real sockets, an engine here, and the choice between them."""

import asyncio
import json
import time

import pytest
import pytest_asyncio

from openfusion_auto.errors import ConfigError
from openfusion_auto.mcp.router import LOOKS, Choice, LocalRouter, Refused, ServerRouter, objected
from openfusion_auto.upstream.reply import Reply
from tests.server.conftest import candidate
from tests.server.live import serving
from tests.support.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK = f"00-{'a' * 32}-{'b' * 16}-01"
KEY = "sk-gateway"
PANEL = [candidate(f"coder-{n}") for n in range(3)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mcp")
    async with serving(folder, candidates=PANEL, client_keys=KEY) as running:
        yield running


@pytest.fixture
def router(live):
    return ServerRouter(live.root, KEY)


def body(text, **options):
    return {
        "model": "openfusion/auto",
        "messages": [{"role": "user", "content": text}],
        "openfusion": {"trace": "full", **options},
    }


async def until(true):
    async with asyncio.timeout(20):
        while not await true():
            await asyncio.sleep(0.02)


async def test_a_server_answers_decides_and_remembers(router):
    assert await router.alive()
    answer = await router.answer(body("[[say:forty-two]]", mode="single"), MARK)
    assert answer["choices"][0]["message"]["content"] == "forty-two"
    trace = answer["openfusion"]
    assert trace["parent"] == MARK
    assert (await router.trace(trace["trace_id"]))["answered_by"] == trace["answered_by"]
    newest = await router.newest(1)
    assert [t["trace_id"] for t in newest] == [trace["trace_id"]]
    assert await router.newest(1, "openfusion/nobody") == []
    assert (await router.decide(body("x")))["mode"] in ("single", "verify", "panel")


async def test_a_running_request_is_seen_and_leaving_it_cancels_its_calls(
    live, router, monkeypatch
):
    monkeypatch.setattr(
        "openfusion_auto.mcp.router.LOOKS", 10_000
    )  # here it is looked at all the time
    seen = []
    task = asyncio.create_task(router.answer(body("[[sleep:30]]", mode="panel"), MARK))

    async def underway():
        trace = await router.underway(MARK)
        seen.append(trace)
        return trace is not None and len(trace["attempts"]) == 3

    await until(underway)
    assert {a["status"] for a in seen[-1]["attempts"]} == {"running"}
    before = len(live.up.hung_up)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def all_left():
        return len(live.up.hung_up) == before + 3

    await until(all_left)
    trace = await router.trace(seen[-1]["trace_id"])
    assert trace["outcome"] == "cancelled"


async def test_a_request_that_another_worker_has_is_not_looked_for_for_ever(router, monkeypatch):
    asked = []

    async def ask(path, *_args, **_more):
        asked.append(path)
        return {"data": []}

    monkeypatch.setattr(router, "_ask", ask)
    for _ in range(20):
        assert await router.underway(MARK) is None
    assert len(asked) == LOOKS


async def test_a_refusal_comes_with_its_words_code_and_trace(router):
    with pytest.raises(Refused) as caught:
        await router.answer(body("x", panel=["coder-0", "nope"], mode="panel"), MARK)
    assert "not in the pool" in caught.value.message
    assert caught.value.code == "unknown_candidate"
    assert (caught.value.trace_id or "").startswith("tr_")
    with pytest.raises(Refused, match="No trace with this id"):
        await router.trace("tr_../../x")


async def test_a_missing_key_is_said_with_where_to_put_one(live):
    with pytest.raises(Refused, match="OPENFUSION_API_KEYS") as caught:
        await ServerRouter(live.root, None).decide(body("x"))
    assert KEY not in caught.value.message
    assert await ServerRouter(live.root, None).alive()  # that it runs needs no key


@pytest.mark.parametrize("key", ["zq\r\nX-Evil: 1", "zqé", " zq"], ids=["line", "letter", "space"])
async def test_a_key_that_can_stand_in_no_header_is_not_sent(live, key):
    with pytest.raises(Refused, match="cannot stand in a header") as caught:
        await ServerRouter(live.root, key).decide(body("x"))
    assert "zq" not in caught.value.message


async def test_nobody_and_somebody_else_are_no_server(unused_tcp_port):
    nobody = ServerRouter(f"http://127.0.0.1:{unused_tcp_port}", None)
    assert not await nobody.alive()
    with pytest.raises(Refused, match="does not answer"):
        await nobody.decide(body("x"))

    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"name": "nix"}')
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not await ServerRouter(f"http://127.0.0.1:{port}", None).alive()


async def test_an_engine_here_answers_the_same_and_says_what_is_wrong():
    rig = Rig([Reply("forty-two"), Reply(status=400, text="no")])
    released = []

    async def release():
        released.append(True)

    local = LocalRouter(rig.engine, release)
    answer = await local.answer(body("x", candidates=["coder-a"]), MARK)
    assert answer["choices"][0]["message"]["content"] == "forty-two"
    assert await local.underway(MARK) is not None
    (newest,) = await local.newest(5)
    assert newest["trace_id"] == answer["openfusion"]["trace_id"]
    with pytest.raises(Refused) as caught:
        await local.answer({"model": "openfusion/auto", "messages": []}, MARK)
    assert caught.value.code
    with pytest.raises(Refused, match="does not exist"):
        await local.decide({**body("x"), "model": "openfusion/coden"})
    with pytest.raises(Refused, match="No trace"):
        await local.trace("tr_x")
    await local.close()
    assert released == [True]


async def test_a_running_server_is_asked_and_else_an_engine_here(live, unused_tcp_port):
    made = []

    async def release():
        made.append("released")

    def here():
        made.append("made")
        return LocalRouter(Rig([]).engine, release)

    there = Choice(ServerRouter(live.root, KEY), here)
    assert isinstance(await there.now(), ServerRouter)
    assert made == []
    gone = Choice(ServerRouter(f"http://127.0.0.1:{unused_tcp_port}", None), here)
    first = await gone.now()
    assert isinstance(first, LocalRouter)
    assert await gone.now() is first
    await gone.close()
    assert made == ["made", "released"]
    alone = Choice(ServerRouter(f"http://127.0.0.1:{unused_tcp_port}", None), None)
    assert isinstance(await alone.now(), ServerRouter)  # the named one and no other


async def test_calls_that_come_at_once_share_one_engine():
    made = []

    def here():
        made.append("made")
        time.sleep(0.05)
        return LocalRouter(Rig([]).engine, lambda: asyncio.sleep(0))

    choice = Choice(None, here)
    first, second = await asyncio.gather(choice.now(), choice.now())
    assert first is second
    assert made == ["made"]
    await choice.close()


async def test_a_configuration_that_cannot_be_used_is_said_and_tried_again():
    def broken():
        raise ConfigError("the store is a later version's")

    choice = Choice(None, broken)
    for _ in range(2):
        with pytest.raises(Refused, match="later version"):
            await choice.now()
    await choice.close()


@pytest.mark.parametrize("raw", [b"", b"[]", b"<html>", b"\xff", b"[" * 100_000])
async def test_what_is_no_object_is_refused(raw):
    with pytest.raises(Refused, match="not one that this version understands"):
        objected(raw)
    assert objected(json.dumps({"a": 1}).encode()) == {"a": 1}
