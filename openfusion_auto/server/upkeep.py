"""While the server runs, each second: keys that change are read again, and workers tell each other their states.

Each five minutes, freed memory goes back to the system.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from openfusion_auto.runtime.beside import beside
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.memory import TRIM_S, trimmer
from openfusion_auto.server.together import Together

TICK_S = 1.0


def upkeep(
    keyring: Keyring, clock: Clock, together: Together | None = None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the context of an application in which the keys are kept up, and a worker's states are told."""

    async def each_second() -> None:
        trim, trimmed_s = trimmer(), clock.now()
        while True:
            if together is not None:
                together.publish()
            await clock.sleep(TICK_S)
            keyring.refresh()
            if trim is not None and clock.now() - trimmed_s >= TRIM_S:
                trimmed_s = clock.now()
                await asyncio.to_thread(trim)

    async def context(_app: web.Application) -> AsyncIterator[None]:
        async with beside(each_second()):
            yield

    return context
