"""A proxy over loopback that makes tunnels, or says what a test wrote down."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from tests.upstream.conftest import CLOSE, RESET, STALL, Peer, reset

MADE = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class ProxyPeer(Peer):
    """A proxy: it plays `script` to a CONNECT, and where that is over makes a tunnel to the port `to`, whoever is asked for."""

    to: int = 0

    async def answer(self, reader, writer):
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if self.script:
            return await self.say(reader, writer, self.script.pop(0))
        back, there = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(MADE)
        try:
            await asyncio.gather(carry(reader, there), carry(back, writer))
        finally:
            there.close()
        return False

    async def say(self, reader, writer, steps):
        for step in steps:
            if step is CLOSE:
                return False
            if step is RESET:
                reset(writer)
                return False
            if step is STALL:
                await reader.read()
                return False
            writer.write(step)
            await writer.drain()
        await reader.read()
        return False


async def carry(source, target):
    with contextlib.suppress(ConnectionError):
        while data := await source.read(2**16):
            target.write(data)
            await target.drain()
    target.close()
