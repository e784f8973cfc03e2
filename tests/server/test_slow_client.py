"""A client that takes its stream slowly holds its own upstream up, and nothing else; what it gets is whole."""

import asyncio
import json

import pytest

EVENT = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
TEXT = "0123456789" * 100
COUNT = 30_000  # events: some 35 MB


def event(delta, finish=None):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    data = b"data: " + json.dumps({**EVENT, "choices": [choice]}).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


class Fire:
    """An upstream that says all it has as fast as it is read; `written` counts the events that went out."""

    written = 0

    async def play(self, reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(COUNT):
                writer.write(event({"content": TEXT}))
                await writer.drain()
                self.written += 1
            end = b"data: [DONE]\n\n"
            writer.write(event({}, "stop") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_an_upstream_is_not_read_further_than_its_client_follows(start_router, version):
    fire = Fire()
    server = await asyncio.start_server(fire.play, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    body = json.dumps(
        {
            "model": "openfusion/auto",
            "stream": True,
            "messages": [{"role": "user", "content": "tell me everything"}],
        }
    ).encode()
    async with start_router(url) as router:
        host, port = router.root.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
        head = (
            f"POST /v1/chat/completions HTTP/{version}\r\nHost: {host}:{port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        before = -1
        async with asyncio.timeout(20):
            while fire.written != before or not before:  # until nothing moves any more
                before = fire.written
                await asyncio.sleep(0.3)
        assert fire.written < COUNT / 2, "the router took in what its client did not"
        async with router.http.get(router.root + "/health") as r:
            assert r.status == 200  # others are served
        got, tail = 0, b""
        async with asyncio.timeout(40):
            while b"[DONE]" not in tail:
                chunk = await reader.read(2**20)
                assert chunk
                got += chunk.count(b"9")
                tail = tail[-10:] + chunk[-100:]
        writer.close()
        await writer.wait_closed()
        server.close()
    assert got >= COUNT * 100
