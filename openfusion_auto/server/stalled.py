"""Clients that stop reading: their connections are cut, so that they hold no call, place or memory for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from aiohttp import web

from openfusion_auto.runtime.clock import Clock

LOOK_S = 5.0  # [s] between two looks
# [s] in which a client takes nothing of what waits for it. A program that reads at all takes something every minute;
# one whose machine sleeps comes back to a new connection anyway.
PATIENCE_S = 60.0


class Connection(Protocol):
    """What is looked at of a connection: the HTTP library's `RequestHandler`."""

    transport: asyncio.Transport | None


def unsent(connection: Connection) -> int:
    """Return how many bytes wait for the client to take them; 0 when it is gone."""
    transport = connection.transport
    return 0 if transport is None else transport.get_write_buffer_size()


class Watch:
    """Remembers how much waited for whom since when.

    The same number of bytes at every look: nothing was taken, and nothing was added, since whoever writes waits too.
    """

    def __init__(self) -> None:
        self._seen: dict[Connection, tuple[int, float]] = {}

    def look(self, connections: Iterable[Connection], now_s: float) -> list[Connection]:
        """Return the connections of which nothing was taken for `PATIENCE_S`."""
        before, self._seen, stalled = self._seen, {}, []
        for connection in connections:
            size = unsent(connection)
            if not size:
                continue
            known, since_s = before.get(connection, (0, now_s))
            self._seen[connection] = (size, since_s if known == size else now_s)
            if known == size and now_s - since_s >= PATIENCE_S:
                stalled.append(connection)
        return stalled


async def cut_stalled(server: web.Server, clock: Clock) -> None:
    """Cut stalled connections as long as the server runs; their handlers are cancelled, and with them the calls."""
    watch = Watch()
    while True:
        await clock.sleep(LOOK_S)
        for connection in watch.look(server.connections, clock.now()):
            if connection.transport is not None:
                connection.transport.abort()
