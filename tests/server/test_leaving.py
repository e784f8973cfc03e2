"""Clients that leave, many at once, and what they leave behind: nothing. In each dialect, over real sockets."""

import asyncio
import json

import pytest
import pytest_asyncio

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, PATHS, heard
from tests.server.live import check_alive, serving
from tests.support.faulty import FAULTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 30.0  # for what takes a moment on a busy machine; the list says 3 s
MIXED = ("ok", "F15", "F60", "F31", "F75", "F20", "ok", "F64")
POOL = [candidate(f"coder-{n}", context_tokens=9_000_000) for n in range(96)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("leaving"), candidates=POOL) as running:
        yield running
        await check_alive(running)


def body_of(dialect, text, *, stream, **options):
    said = [{"role": "user", "content": text}]
    more = {"max_tokens": 500} if dialect == "messages" else {}
    field = "input" if dialect == "responses" else "messages"
    options = {"mode": "single", **options}
    return {"model": "openfusion/auto", field: said, "stream": stream, "openfusion": options} | more


async def until(true):
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


def ask(router, dialect, text, *, stream, **options):
    body = body_of(dialect, text, stream=stream, **options)
    return router.http.post(router.base + PATHS[dialect], json=body)


async def leaves(router, dialect, text, *, stream, after):
    """Ask, wait until `after` holds, and leave."""

    async def wait():
        async with ask(router, dialect, text, stream=stream) as r:
            await r.read()

    task = asyncio.create_task(wait())
    await until(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def check_cancelled(router, count=1):
    newest = router.engine.traces.latest(count)
    assert [t.outcome for t in newest] == ["cancelled"] * count
    assert [[a.status for a in t.attempts] for t in newest] == [["cancelled"]] * count


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_g30_a_client_that_leaves_mid_stream_ends_the_call(router, dialect):
    before = len(router.up.hung_up)
    async with ask(router, dialect, f"[[fault:F74]] {dialect} leaves", stream=True) as r:
        await r.content.readany()
        r.close()
    await until(lambda: len(router.up.hung_up) > before)
    await until(lambda: router.up.open_now == 0)
    await until(lambda: router.engine.traces.latest(1)[0].outcome != "running")
    check_cancelled(router)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_g31_a_client_that_leaves_before_the_answer_ends_the_call(router, dialect, stream):
    text = f"[[sleep:300]] {dialect} {stream} waits"
    await leaves(router, dialect, text, stream=stream, after=lambda: router.up.open_now == 1)
    await until(lambda: router.up.open_now == 0)
    await until(lambda: router.engine.traces.latest(1)[0].outcome != "running")
    check_cancelled(router)


async def test_a_client_that_closes_its_sending_half_counts_as_gone(router):
    """The wire does not tell it from one that was killed, whose answer would be paid for and read by nobody."""
    body = json.dumps(body_of("chat", "[[sleep:300]] half", stream=False)).encode()
    address = router.root.removeprefix("http://")
    reader, writer = await asyncio.open_connection(*address.split(":"))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await until(lambda: router.up.open_now == 1)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await until(lambda: router.up.open_now == 0)
    await until(lambda: router.engine.traces.latest(1)[0].outcome != "running")
    check_cancelled(router)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_g32_twenty_clients_that_leave_leave_nothing_behind(router, dialect):
    text = f"[[sleep:300]] {dialect} crowd"
    crowd = (
        leaves(
            router,
            dialect,
            f"{text} {n}",
            stream=bool(n % 2),
            after=lambda: router.up.open_now == 20,
        )
        for n in range(20)
    )
    await asyncio.gather(*crowd)
    await until(lambda: router.up.open_now == 0)
    await until(lambda: all(t.outcome != "running" for t in router.engine.traces.latest(20)))
    check_cancelled(router, 20)
    async with ask(router, dialect, "[[say:still here]] go", stream=False) as r:
        assert heard(dialect, await r.read(), streamed=False).text == "still here"


async def test_g40_mixed_requests_in_parallel_get_their_own_outcome(router):
    gate = asyncio.Semaphore(12)

    async def one(n):
        dialect, stream = DIALECTS[n % 3], bool(n // 3 % 2)
        fault = MIXED[n // 6 % len(MIXED)]
        words = f"[[fault:{fault}]]" if fault != "ok" else f"[[say:answer {n}]]"
        text = f"{words} number {n}"
        # A candidate of its own: a breaker that opens is another test's.
        async with (
            gate,
            ask(router, dialect, text, stream=stream, candidates=[f"coder-{n}"]) as r,
        ):
            raw = await r.read()
        accepted = {"ok"}
        if fault != "ok":  # one that exists for streams alone leaves a whole answer as it is
            accepted = (FAULTS[fault].stream if stream else FAULTS[fault].json) or accepted
        if r.status != 200:
            assert r.status in accepted
            assert json.loads(raw)["error"]["message"]
            return
        got = heard(dialect, raw, streamed=stream)
        if got.failed:
            assert "error_event" in accepted
        else:
            assert "ok" in accepted
            assert fault != "ok" or got.text == f"answer {n}"

    await asyncio.gather(*map(one, range(96)))
    await until(lambda: router.up.open_now == 0)


async def test_g41_connections_are_given_back(router):
    """What failed, was cut or was left takes no place from what comes after: many more than one pool would hold."""
    for fault in ("F15", "F31", "F60", "F42"):
        await asyncio.gather(*(fails(router, fault, n) for n in range(30)))
    await until(lambda: router.up.open_now == 0)
    replies = await asyncio.gather(
        *(one_answer(router, f"[[say:free {n}]] go", n) for n in range(30, 60))
    )
    assert replies == [f"free {n}" for n in range(30, 60)]


async def fails(router, fault, n):
    text = f"[[fault:{fault}]] {n} again"
    async with ask(router, "chat", text, stream=bool(n % 2), candidates=[f"coder-{n}"]) as r:
        await r.read()


async def one_answer(router, text, n):
    async with ask(router, "chat", text, stream=False, candidates=[f"coder-{n}"]) as r:
        return heard("chat", await r.read(), streamed=False).text
