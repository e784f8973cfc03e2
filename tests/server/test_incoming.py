"""What comes from clients is read into shared room and passed on; the rest of the server's tests read through it, too."""

import asyncio
import contextlib
import json
import socket

import pytest
from aiohttp import web

from openfusion_auto.errors import ConfigError
from openfusion_auto.server import incoming
from openfusion_auto.server.incoming import LINGERING, ROOM, listen


async def echoing(request):
    return web.Response(body=await request.read())


@contextlib.asynccontextmanager
async def connected(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def head(size, *lines):
    said = ("POST / HTTP/1.1", "Host: x", f"Content-Length: {size}", *lines, "", "")
    return "\r\n".join(said).encode()


@pytest.fixture
async def port():
    server = web.Server(echoing)
    door = await listen(server, "127.0.0.1", 0)
    yield door.sockets[0].getsockname()[1]
    door.close()
    await server.shutdown(0.1)


async def sent_in_pieces(port, body):
    async with connected(port) as (reader, writer):
        writer.write(head(len(body)))
        for at in range(0, len(body), 50_000):
            writer.write(body[at : at + 50_000])
            await asyncio.sleep(0.001)
        await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(len(body))


async def test_connections_that_read_in_turn_keep_their_own(port):
    bodies = [bytes([65 + k]) * (3 * ROOM + k) for k in range(8)]
    assert await asyncio.gather(*(sent_in_pieces(port, body) for body in bodies)) == bodies


async def test_a_client_that_sends_nothing_more_still_gets_its_answer(port):
    async with connected(port) as (reader, writer):
        writer.write(head(2, "Connection: close") + b"hi")
        assert (await reader.read()).endswith(b"hi")


async def test_a_client_that_is_behind_is_waited_for(port):
    """More than sockets hold: what is written waits until the client reads, and arrives whole."""
    body = bytes(range(256)) * 4_000  # within what the library takes
    async with connected(port) as (reader, writer):
        for _ in range(12):
            writer.write(head(len(body)) + body)
        await asyncio.sleep(0.05)
        for _ in range(12):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(body)) == body


@pytest.mark.parametrize(
    ("sent", "status", "param"),
    [
        (b"GARBAGE\r\n\r\n", 400, None),
        (head(2, "Content-Encoding: zstd") + b"{}", 415, "Content-Encoding"),
        (head(2, "Content-Length: 3") + b"{}", 400, None),
    ],
)
async def test_what_the_http_library_refuses_by_itself_is_told_as_json(
    port, sent, status, param, monkeypatch
):
    monkeypatch.setattr("aiohttp.http_parser.HAS_ZSTD", False)
    async with connected(port) as (reader, writer):
        writer.write(sent)
        start, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert int(start.split()[1]) == status
    assert b"Content-Type: application/json\r\n" in start + b"\r\n"
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert json.loads(body)["error"]["param"] == param
    assert b"GARBAGE" not in body


async def test_a_defect_before_any_handler_of_ours_is_told_as_json():
    async def broken(_request):
        raise RuntimeError("with a key")

    server = web.Server(broken)
    door = await listen(server, "127.0.0.1", 0)
    async with connected(door.sockets[0].getsockname()[1]) as (reader, writer):
        writer.write(head(0))
        start, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert start.split()[1] == b"500"
    assert json.loads(body)["error"]["type"] == "server_error"
    assert b"key" not in body
    door.close()
    await server.shutdown(0.1)


async def told(port, *, send=b""):
    async with connected(port) as (reader, writer):
        writer.write(send)
        return await reader.read()


async def test_one_more_than_there_is_place_for_is_told_so_and_place_is_free_again(caplog):
    server = web.Server(echoing)
    door = await listen(server, "127.0.0.1", 0, most=2)
    port = door.sockets[0].getsockname()[1]
    ask = head(2, "Connection: close") + b"hi"
    async with connected(port) as (reader, writer):
        writer.write(head(2) + b"hi")
        assert (await reader.readuntil(b"hi")).startswith(b"HTTP/1.1 200")
        async with connected(port):
            answers = await asyncio.gather(*(told(port, send=ask) for _ in range(3 * LINGERING)))
        for answer in answers:
            start, _, body = answer.partition(b"\r\n\r\n")
            assert start.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1\r\n" in start
            assert json.loads(body)["error"]["code"] == "overloaded"
    async with asyncio.timeout(10):
        while (await told(port, send=ask)).startswith(b"HTTP/1.1 503"):
            await asyncio.sleep(0.01)
    assert [r.message for r in caplog.records if "open files" in r.message] == [
        "2 clients are connected, as many as the bound of open files allows (ulimit -n): more get 503"
    ]
    door.close()
    await server.shutdown(0.1)


async def test_one_that_is_turned_away_and_stays_is_cut(monkeypatch):
    monkeypatch.setattr(incoming, "LINGER_S", 0.05)
    door = await listen(web.Server(echoing), "127.0.0.1", 0, most=0)
    reader, writer = await asyncio.open_connection("127.0.0.1", door.sockets[0].getsockname()[1])
    assert b"overloaded" in await reader.read()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while True:  # what is written to one that is cut is answered by a reset
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    door.close()


async def test_an_address_that_is_taken_is_said():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="--port"):
            await listen(web.Server(echoing), "127.0.0.1", taken.getsockname()[1])
