"""Clients' connections: where the server listens, and how it reads what comes."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from openfusion_auto.errors import cannot_listen

# [bytes] that are read at once, for all connections in turn: what was read is copied before the next one reads. Asyncio
# would make room for 256 KB each time it looks at a socket, whose pages cost a small request a tenth of its time.
ROOM = 64 * 2**10


class Incoming(asyncio.BufferedProtocol):
    """Hands the HTTP library's protocol what a connection brings, read into room that all connections share."""

    def __init__(self, handler: asyncio.Protocol, room: memoryview) -> None:
        self._handler, self._room = handler, room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._handler.connection_made(transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return what is to be read into."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._handler.data_received(bytes(self._room[:nbytes]))

    def eof_received(self) -> bool | None:
        """Pass on that the client sends nothing more."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client is behind."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it has caught up."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._handler.connection_lost(exc)


async def listen(
    server: web.Server, host: str, port: int, *, shared: bool = False
) -> asyncio.Server:
    """Accept connections for a server that is set up, until what is returned is closed.

    Args:
        server: The HTTP library's.
        host: Address to bind.
        port: 0 = any that is free.
        shared: Other processes bind the same port.

    Raises:
        ConfigError: the address cannot be bound.
    """
    room = memoryview(bytearray(ROOM))

    def incoming() -> Incoming:
        return Incoming(cast("asyncio.Protocol", server()), room)

    try:
        return await asyncio.get_running_loop().create_server(
            incoming, host, port, backlog=1024, reuse_port=shared or None
        )
    except OSError as error:
        raise cannot_listen(host, port, error) from None
