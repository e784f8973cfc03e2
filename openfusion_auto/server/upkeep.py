"""While the server runs, each second: keys that change are read again, and workers tell each other their states."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.together import Together

TICK_S = 1.0


def upkeep(
    keyring: Keyring, clock: Clock, together: Together | None = None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the context of an application in which the keys are kept up, and a worker's states are told."""

    async def each_second() -> None:
        while True:
            if together is not None:
                together.publish()
            await clock.sleep(TICK_S)
            keyring.refresh()

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(each_second())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return context
