"""Work that goes on beside something else, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine

AGAIN_S = 0.25  # [s] after which work that goes on though it was told to end is told again


@contextlib.asynccontextmanager
async def beside(work: Coroutine[object, object, object]) -> AsyncIterator[None]:
    """Do some work while what is inside runs; what the work fails with is raised at the end.

    It is told to end until it has ended: a library below may take the one cancellation for its own. Redis' does, now
    and then, when its connection breaks at that moment, and a server would wait for such work for good.
    """
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=AGAIN_S)
        if not task.cancelled():
            task.result()
