"""Following the files of a configuration: a good one counts for new requests, a bad one changes nothing and is said.

Looked at each second, and at once after SIGHUP: `openfusion.toml`, the pool, `.env` and the list of given keys.
Requests that are on their way end as they began. What is only read at the start (`FIXED`) is named when it changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

from aiohttp import web

from openfusion_auto.config.given import path_in
from openfusion_auto.config.load import Settings
from openfusion_auto.config.paths import Stamp, stamp
from openfusion_auto.core.words import many
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.beside import beside
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.keys import CONFIG, Loaded

log = logging.getLogger("openfusion.server")

TICK_S = 1.0
RETRY_S = 5.0  # a bad one is tried again: what was wrong may be in a file that is not followed yet
FIXED = (
    "server.host",
    "server.port",
    "server.workers",
    "server.drain_s",
    "server.traces_kept",
    "server.insecure_no_keys",
    "cache.file",
    "store.enabled",
    "store.max_mb",
    "store.keep_days",
    "otel.enabled",
    "redis.url_env",
    "redis.prefix",
    "redis.wait_s",
)

Read = Callable[[], Settings]
Take = Callable[[Settings, Settings], Awaitable[None]]


def files_of(settings: Settings) -> tuple[Path, ...]:
    """Return the files that settings came from, also those that are not there yet."""
    given = path_in(settings.state_path)
    if settings.source is None:
        return settings.pool_source, given
    return settings.source, settings.source.parent / ".env", settings.pool_source, given


def fixed(settings: Settings) -> Mapping[str, object]:
    """Return what only a restart changes."""
    found: dict[str, object] = {}
    for key in FIXED:
        section, _, name = key.partition(".")
        found[key] = getattr(getattr(settings.config, section), name)
    return found


class Follower:
    """Follows the files of a running server's configuration.

    Args:
        settings: What it was started with.
        read: Reads the configuration anew, by the same flags and environment; blocks.
        take: Serves by the second settings instead of the first.
        loaded: Where it is told how the configuration is.
        clock: For the pauses.
    """

    def __init__(
        self, settings: Settings, read: Read, take: Take, loaded: Loaded, clock: Clock
    ) -> None:
        self._started = self._settings = settings
        self._read, self._take, self._loaded, self._clock = read, take, loaded, clock
        self._stamps = self._look(settings)
        self._asked = False
        self._tried_s = 0.0
        self._turn = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """What counts now."""
        return self._settings

    def _look(self, settings: Settings) -> dict[Path, Stamp]:
        return {path: stamp(path) for path in files_of(settings)}

    def ask(self) -> None:
        """Read the files with the next tick, changed or not: SIGHUP."""
        self._asked = True

    async def tick(self) -> None:
        """Look at the files, and read them when there is a reason to."""
        async with self._turn:
            await self._tick()

    async def _tick(self) -> None:
        found = {path: stamp(path) for path in self._stamps}
        again = self._loaded.error is not None and self._clock.now() - self._tried_s >= RETRY_S
        if self._asked or again or found != self._stamps:
            self._asked = False
            self._tried_s, self._stamps = self._clock.now(), found
            await self._reload()

    async def _reload(self) -> None:
        try:
            settings = await asyncio.to_thread(self._read)
            await self._take(self._settings, settings)
        except ConfigError as error:
            self._refuse(error.message)
            return
        except Exception as error:  # noqa: BLE001 - a defect of ours must not end the following; its text may quote
            self._refuse(f"it cannot be read ({type(error).__name__})")
            return
        # What was there before the reading: a change while it was read is seen with the next tick.
        self._stamps = {p: self._stamps.get(p, s) for p, s in self._look(settings).items()}
        self._settings = settings
        self._accept(settings)

    def _refuse(self, why: str) -> None:
        self._loaded.reloads["error"] += 1
        if self._loaded.error != why:
            log.error("the configuration stays as it was: %s", why)
        self._loaded.error = why

    def _accept(self, settings: Settings) -> None:
        now, before = fixed(settings), fixed(self._started)
        changed = tuple(key for key in FIXED if now[key] != before[key])
        loaded = self._loaded
        loaded.reloads["ok"] += 1
        loaded.at, loaded.error = self._clock.wall(), None
        known = many(len(settings.pool.candidates), "candidate")
        log.warning("configuration read again: %s", known)
        for warning in settings.warnings:
            log.warning("%s", warning)
        if changed and changed != loaded.restart:
            log.warning("counts after a restart only: %s", ", ".join(changed))
        loaded.restart = changed

    async def context(self, _app: web.Application) -> AsyncIterator[None]:
        """Follow while the application runs."""
        async with beside(self._follow()):
            yield

    async def _follow(self) -> None:
        while True:
            await self._clock.sleep(TICK_S)
            await self.tick()


FOLLOWER = web.AppKey("follower", Follower)


def follower_of(
    app: web.Application, settings: Settings, read: Read, take: Take, clock: Clock
) -> Follower:
    """Let an application follow its files; returns who does."""
    app[FOLLOWER] = follower = Follower(settings, read, take, app[CONFIG], clock)
    app.cleanup_ctx.append(follower.context)
    return follower
