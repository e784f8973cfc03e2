"""What a server shares with others through Redis: put together here, kept up while it runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from openfusion_auto.config.load import Settings
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.exchange import Exchange, Outbox
from openfusion_auto.runtime.shared import SharedCounters
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.store.redis import Link

LINK = web.AppKey("link", Link)


def build_link(settings: Settings, *, dry_run: bool) -> Link | None:
    """Return the way to Redis, None when none is named. Made-up answers have a place of their own there.

    Raises:
        ConfigError: the package is not installed, or the URL is none.
    """
    if settings.redis_url is None:
        return None
    wanted = settings.config.redis
    prefix = wanted.prefix + (":dry-run" if dry_run else "")
    return Link(settings.redis_url, prefix=prefix, name=wanted.url_env)


@dataclass(frozen=True, slots=True)
class Sharing:
    """The parts that are kept in step with other processes."""

    link: Link
    counters: SharedCounters
    outbox: Outbox
    live: LiveState
    clock: Clock

    def context(self) -> Callable[[web.Application], AsyncIterator[None]]:
        """Return the context of an application in which they are."""

        async def running(_app: web.Application) -> AsyncIterator[None]:
            exchange = Exchange(self.link, self.outbox, self.live, self.clock)
            tasks = [
                asyncio.create_task(work) for work in (self.counters.keep_up(), exchange.keep_up())
            ]
            yield
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await exchange.step()
            await self.counters.sync(self.counters.waiting())
            await self.link.close()

        return running
