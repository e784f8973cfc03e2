"""What a server shares with other processes, through Redis or its store's file: put together here, kept up while it
runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from openfusion_auto.config.load import Settings
from openfusion_auto.runtime.beside import beside
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.exchange import Exchange, Outbox
from openfusion_auto.runtime.hearing import Hearing
from openfusion_auto.runtime.limits import MemoryCounters
from openfusion_auto.runtime.shared import Accounts, SharedCounters
from openfusion_auto.runtime.shared_script import RedisAccounts
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.server.keys import ENGINE
from openfusion_auto.store.accounts import FileAccounts
from openfusion_auto.store.base import Change, Store
from openfusion_auto.store.records import moved
from openfusion_auto.store.redis import Link
from openfusion_auto.store.sqlite import SqliteStore

LINK = web.AppKey("link", Link)
HEARING = web.AppKey("hearing", Hearing)  # only where a server has several workers
# [s] how often the store's file is looked at for what others changed.
LOOK_S, LOOK_AS_WORKER_S = 0.5, 0.1


def build_link(settings: Settings, *, dry_run: bool) -> Link | None:
    """Return the way to Redis, None when none is named. Made-up answers have a place of their own there.

    Raises:
        ConfigError: the package is not installed, or the URL is none.
    """
    if settings.redis_url is None:
        return None
    wanted = settings.config.redis
    prefix = wanted.prefix + (":dry-run" if dry_run else "")
    return Link(settings.redis_url, prefix=prefix, name=wanted.url_env, wait_s=wanted.wait_s)


def build_counters(
    link: Link | None, store: Store, clock: Clock, *, worker: bool
) -> MemoryCounters:
    """Return the accounts: together with others where there is a place for that."""
    if link is not None:
        return SharedCounters(RedisAccounts(link), clock, store)
    if isinstance(store, SqliteStore):
        return SharedCounters(FileAccounts(store.path, clock.wall, worker=worker), clock, store)
    return MemoryCounters(clock, store)


@dataclass(frozen=True, slots=True)
class Sharing:
    """The parts that are kept in step with other processes; `exchange` only with Redis."""

    counters: SharedCounters
    exchange: Exchange | None

    async def running(self, _app: web.Application) -> AsyncIterator[None]:
        """Keep them in step while an application runs."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(beside(self.counters.keep_up()))
            if self.exchange is not None:
                await stack.enter_async_context(beside(self.exchange.keep_up()))
            yield
        if self.exchange is not None:
            await self.exchange.step()
        await self.counters.sync(self.counters.waiting())
        await self.accounts.close()

    @property
    def accounts(self) -> Accounts:
        """Where accounts are counted."""
        return self.counters.there


def share(
    app: web.Application,
    counters: MemoryCounters,
    link: Link | None,
    outbox: Outbox | None,
    *,
    workers: int,
) -> None:
    """Keep an application in step with others that share its Redis or its store's file."""
    means = app[ENGINE].means
    live, store, clock = means.live, means.books.store, means.clock
    every_s = LOOK_S if workers == 1 else LOOK_AS_WORKER_S
    app.cleanup_ctx.append(keeping(every_s, is_told=outbox is not None))
    if workers > 1:
        app[HEARING] = Hearing(live, store.catch_up, clock)
    if isinstance(counters, SharedCounters):
        exchange = Exchange(link, outbox, live, clock) if link and outbox else None
        app.cleanup_ctx.append(Sharing(counters, exchange).running)
    if link is not None:
        app[LINK] = link
        app.on_cleanup.append(closing(link))


def closing(link: Link) -> Callable[[web.Application], Awaitable[None]]:
    """Return what lets go of Redis at an application's end."""

    async def close(_app: web.Application) -> None:
        await link.close()

    return close


def keeping(every_s: float, *, is_told: bool) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return the context in which an application hears, so often, what other processes that work with its store
    change or were told to forget; `is_told`: others still have to be told of that. At its end: what waits is written.
    """

    async def running(app: web.Application) -> AsyncIterator[None]:
        means, loop = app[ENGINE].means, asyncio.get_running_loop()
        store, live, clock = means.books.store, means.live, means.clock

        def forget(candidate: str | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(partial(live.forget, candidate, is_gone=not is_told))

        def changed(changes: list[Change]) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(take_over, live, clock, changes)

        store.on_forget(forget)
        store.on_change(changed, every_s)
        yield
        await asyncio.to_thread(store.close)

    return running


def take_over(live: LiveState, clock: Clock, changes: list[Change]) -> None:
    """Take over what other processes changed; their moments are on the wall's clock."""
    epoch_s = clock.epoch_s()
    for kind, key, value in changes:
        live.adopt(kind, key, None if value is None else moved(value, -epoch_s))
