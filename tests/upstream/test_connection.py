"""One connection: how an answer ends, what is no answer, what it leaves behind for the next request."""

from __future__ import annotations

import asyncio

import pytest

from openfusion_auto.upstream import connection as module
from openfusion_auto.upstream.connection import (
    ClosedEarly,
    Connection,
    Cut,
    NoAnswer,
    NotHttp,
    Silent,
)
from openfusion_auto.upstream.connections import READ
from tests.upstream.conftest import CLOSE, RESET, STALL, chunked, ok

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"


async def connected(peer, room):
    host, _, port = peer.url.removeprefix("http://").rpartition(":")
    _, made = await asyncio.get_running_loop().create_connection(
        lambda: Connection(memoryview(bytearray(room))), host, int(port)
    )
    return made


@pytest.fixture
async def connection(peer):
    made = await connected(peer, READ)
    yield made
    made.close()
    await peer.settled(0)


async def asked(connection, body=b""):
    """Ask and return the whole body."""
    await connection.ask(HEAD % len(body), body)
    parts = []
    while part := await connection.read():
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("room", [1, 37])
async def test_an_answer_may_be_longer_than_what_is_read_at_once(peer, room):
    peer.script = [(chunked(b"x" * 100, b"y" * 100),)]
    made = await connected(peer, room)
    assert await asked(made) == b"x" * 100 + b"y" * 100
    made.close()
    await peer.settled(0)


@pytest.mark.parametrize(
    "answer",
    [
        (ok(b"all of it"),),
        (chunked(b"all", b" of it"),),
        (chunked(b"all", end=False), 0.01, b"6\r\n of it\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\nall", 0.01, b" of it", CLOSE),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nall of it",),
        (b"HTTP/1.1 200 OK\nContent-Length: 9\n\nall of it",),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"all of it"),),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0.01, ok(b"all of it")),
        tuple(bytes([b]) for b in chunked(b"all of it")),
    ],
)
async def test_every_framing_gives_the_whole_body(connection, peer, answer):
    peer.script = [answer]
    assert await asked(connection) == b"all of it"
    assert connection.status == 200
    assert connection.whole


async def test_no_body_at_all(connection, peer):
    peer.script = [(b"HTTP/1.1 204 No Content\r\n\r\n",)]
    assert await asked(connection) == b""
    assert connection.status == 204
    assert connection.usable


async def test_what_came_before_a_break_is_given_out_first(connection, peer):
    peer.script = [(chunked(b"half", end=False), CLOSE)]
    await connection.ask(HEAD % 0, b"")
    await peer.settled(0)
    assert await connection.read() == b"half"
    with pytest.raises(Cut):
        await connection.read()


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200"])
async def test_an_end_before_the_head_is_told_with_whether_a_byte_came(connection, peer, said, end):
    peer.script = [(said, 0.05, end) if said else (end,)]
    with pytest.raises(ClosedEarly):
        await asked(connection)
    assert connection.heard == bool(said)
    assert not connection.usable


async def test_a_reset_does_not_end_a_body_that_goes_on_until_the_connection_ends(connection, peer):
    peer.script = [(b"HTTP/1.1 200 OK\r\n\r\nhalf", 0.05, RESET)]
    with pytest.raises(Cut):
        await asked(connection)


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"<html>no</html>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: value\r\n" * 20_000 + b"\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_told(connection, peer, said):
    peer.script = [(said, STALL)]
    with pytest.raises(NotHttp):
        await asked(connection)
    assert not connection.usable


@pytest.mark.parametrize(
    "said",
    [
        chunked(end=False) + b"1;x=" + b"a" * 200_000,
        chunked(end=False) + b"0\r\nX: " + b"a" * 200_000,
    ],
)
async def test_framing_without_end_is_bounded(connection, peer, said):
    peer.script = [(said, STALL)]
    with pytest.raises(NotHttp):
        await asked(connection)


async def test_trailers_are_bounded_too(connection, peer):
    peer.script = [(chunked(end=False) + b"0\r\n" + b"X: 1\r\n" * 20_000, STALL)]
    with pytest.raises(NotHttp):
        await asked(connection)


async def test_giving_up_is_told_as_what_was_waited_for(connection, peer):
    peer.script = [(STALL,)]
    asyncio.get_running_loop().call_later(0.05, connection.give_up)
    with pytest.raises(NoAnswer):
        await asked(connection)


async def test_giving_up_inside_the_body(connection, peer):
    peer.script = [(chunked(b"a", end=False), STALL)]
    asyncio.get_running_loop().call_later(0.05, connection.give_up)
    with pytest.raises(Silent) as caught:
        await asked(connection)
    assert type(caught.value) is Silent


async def test_a_connection_carries_one_answer_after_the_other(connection, peer):
    peer.script = [(ok(b"one"),), (chunked(b"two"),), (ok(b"three"),)]
    assert [await asked(connection) for _ in range(3)] == [b"one", b"two", b"three"]
    assert connection.usable
    assert peer.connections == 1


@pytest.mark.parametrize(
    "behind", [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", b"junk", b"\r\njunk"]
)
async def test_what_stands_behind_an_answer_is_never_the_next_ones(connection, peer, behind):
    peer.script = [(ok(b"right") + behind,)]
    assert await asked(connection) == b"right"
    assert not connection.usable


async def test_what_comes_when_nobody_asked_ends_the_connection(connection, peer):
    peer.script = [(ok(b"right"), 0.02, ok(b"wrong"))]
    assert await asked(connection) == b"right"
    assert connection.usable
    await peer.settled(0)
    assert not connection.usable


async def test_an_unread_answer_leaves_no_usable_connection(connection, peer):
    peer.script = [(ok(b"unread"),)]
    await connection.ask(HEAD % 0, b"")
    assert connection.whole
    assert not connection.usable


async def test_a_body_that_nobody_reads_stops_coming(connection, peer, monkeypatch):
    monkeypatch.setattr(module, "HIGH_WATER", 100_000)
    size = 30_000_000
    peer.script = [(ok(b"x" * size),)]
    await connection.ask(HEAD % 0, b"")
    await asyncio.sleep(0.2)
    assert connection._held < 2_000_000
    got = 0
    while part := await connection.read():
        got += len(part)
    assert got == size


async def test_a_large_request_goes_out_in_pieces_and_others_have_their_turn(connection, peer):
    body, turns = b"x" * 20_000_000, 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await asked(connection, body) == b"{}"
    counting.cancel()
    assert turns > 10
    assert peer.requests[0].endswith(body)
    assert connection.usable


async def test_an_answer_that_comes_before_the_request_is_out_ends_the_sending(connection, peer):
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
    peer.script = [("early", refusal, 0.2)]
    assert await asked(connection, b"x" * 50_000_000) == b"big"
    assert connection.status == 413
    assert not connection.usable


async def test_a_refusal_is_heard_though_its_upstream_reads_no_further(connection, peer):
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"
    peer.script = [("early", refusal, 1.5)]
    async with asyncio.timeout(1.2):
        assert await asked(connection, b"x" * 20_000_000) == b"big"
    assert not connection.usable
    connection.close()


async def test_a_break_while_sending_is_told(connection, peer):
    peer.script = [("early", RESET)]
    with pytest.raises(ClosedEarly):
        await asked(connection, b"x" * 50_000_000)


# -- pouring ---------------------------------------------------------------------------------------------------------


class Bucket:
    """A sink: keeps what comes; `full_after` pieces it is done, `waits` for each, raises `breaks` at the second."""

    def __init__(self, full_after=None, waits=None, breaks=None):
        self.got, self.full_after, self.waits, self.breaks = [], full_after, waits, breaks

    @property
    def done(self):
        return self.full_after is not None and len(self.got) >= self.full_after

    def take(self, chunk):
        self.got.append(chunk)
        if self.breaks and len(self.got) == 2:
            raise self.breaks
        return self.waits and self.waits()


SLOWLY = (chunked(b"one", end=False), 0.02, b"3\r\ntwo\r\n", 0.02, b"0\r\n\r\n")


async def poured(connection, sink):
    await connection.ask(HEAD % 0, b"")
    await connection.pour(sink)
    return sink.got


async def test_a_sink_gets_each_piece_as_it_comes(connection, peer):
    peer.script = [SLOWLY, (ok(b"all at once"),)]
    assert await poured(connection, Bucket()) == [b"one", b"two"]
    assert await poured(connection, Bucket()) == [b"all at once"]
    assert connection.usable


async def test_a_sink_that_must_be_waited_for_gets_the_next_piece_afterwards(connection, peer):
    running = 0

    async def wait():
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.03)
        running -= 1

    peer.script = [SLOWLY]
    assert b"".join(await poured(connection, Bucket(waits=wait))) == b"onetwo"


async def test_a_sink_that_has_enough_gets_no_more(connection, peer):
    peer.script = [SLOWLY]
    assert await poured(connection, Bucket(full_after=1)) == [b"one"]
    assert not connection.usable


@pytest.mark.parametrize("error", [ConnectionResetError("the client"), TimeoutError("its own")])
async def test_what_a_sink_raises_arrives_as_it_is(connection, peer, error):
    peer.script = [SLOWLY]
    with pytest.raises(type(error)) as caught:
        await poured(connection, Bucket(breaks=error))
    assert caught.value is error


async def test_a_break_ends_the_pouring_after_what_came(connection, peer):
    peer.script = [(chunked(b"one", end=False), 0.02, CLOSE)]
    sink = Bucket()
    with pytest.raises(Cut):
        await poured(connection, sink)
    assert sink.got == [b"one"]


async def test_pouring_can_be_cancelled_at_any_moment(connection, peer):
    async def forever():
        await asyncio.Event().wait()

    peer.script = [(*SLOWLY[:2], STALL)]
    task = asyncio.create_task(poured(connection, Bucket(waits=forever)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
