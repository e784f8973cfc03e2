"""A peer that says what a test wrote down, byte for byte, over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from dataclasses import dataclass, field

import pytest

from tests.support import tls

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


def ok(body=b"{}", kind="application/json", *more):
    """An answer of status 200 as bytes."""
    lines = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks, kind="text/event-stream", end=True):
    """An answer of status 200 in chunks."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return (
        head
        + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks)
        + (b"0\r\n\r\n" if end else b"")
    )


CLOSE = object()  # in a script: end the connection
RESET = object()  # in a script: end it with a reset
STALL = object()  # in a script: say no more


def reset(writer):
    """End a connection with a reset."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@dataclass
class Peer:
    """A server that plays `script`: for each request the next entry, a tuple of bytes, pauses [s] and marks.

    Attributes:
        requests: What came, each a head with its body.
        connections: How many have been opened.
        open: How many are open now.
    """

    url: str = ""
    script: list = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0

    async def play(self, reader, writer):
        self.connections += 1
        self.open += 1
        try:
            while await self.answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        early = self.script and self.script[0] and self.script[0][0] == "early"
        body = b"" if early else await reader.readexactly(int(LENGTH.search(head)[1]))
        self.requests.append(head + body)
        for step in self.script.pop(0) if self.script else (ok(),):
            if step is CLOSE:
                return False
            if step is RESET:
                reset(writer)
                return False
            if step is STALL:
                await reader.read()  # until the other side leaves
                return False
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif step != "early":
                await asyncio.sleep(step)
        return not early

    async def settled(self, count):
        """Wait until so many connections are open."""
        async with asyncio.timeout(30):
            while self.open != count:
                await asyncio.sleep(0.01)


@pytest.fixture
async def peer():
    made = Peer()
    server = await asyncio.start_server(made.play, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield made
    server.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 1)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A file with a key and its certificate."""
    return tls.certificate(tmp_path_factory.mktemp("tls") / "localhost.pem")


@pytest.fixture
def serving(certificate, monkeypatch):
    """What a server speaks TLS with; that it is who it says is believed."""
    return tls.serving(certificate, monkeypatch)
