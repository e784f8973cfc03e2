"""While the server runs: keys that change are read again, and what was spent is written down, each second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from openfusion_auto.core.limits import Spending
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import MemoryCounters, SpendLog
from openfusion_auto.server.keyring import Keyring

log = logging.getLogger("openfusion.server")

TICK_S = 1.0


@dataclass(slots=True)
class Ledger:
    """Writes spending to its log; what could not be written is tried again with the next."""

    counters: MemoryCounters
    spend_log: SpendLog
    _failed: bool = False
    _pending: dict[str, Spending] = field(default_factory=dict)

    async def flush(self) -> None:
        """Write what changed, beside the loop: a disk may be slow."""
        self._pending.update(self.counters.changes())
        if self._pending:
            await asyncio.to_thread(self._write)

    def close(self) -> None:
        """Write what changed, here and now."""
        self._pending.update(self.counters.changes())
        if self._pending:
            self._write()

    def _write(self) -> None:
        try:
            self.spend_log.save(self._pending)
        except ConfigError as error:
            if not self._failed:
                log.error("what keys spend cannot be written: %s", error.message)  # noqa: TRY400 - the message is all of it
            self._failed = True
        else:
            self._failed = False
            self._pending = {}


def upkeep(
    keyring: Keyring, ledger: Ledger, clock: Clock
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the context of an application in which both are kept up."""

    async def each_second() -> None:
        while True:
            await clock.sleep(TICK_S)
            keyring.refresh()
            await ledger.flush()

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(each_second())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        ledger.close()

    return context
