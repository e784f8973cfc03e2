"""The way to a Redis that several processes share: bounded waits, and never a reason for a request to fail.

When an answer does not come in `wait_s` the link is down: from then on every question is answered None at once (the
caller goes on with what it knows itself), until `probe` finds Redis again. Both are said in the log and by `status`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from openfusion_auto.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("openfusion.redis")

PROBE_MS = 10_000  # [ms] what `probe` leaves is kept

Found = TypeVar("Found")


class Status(NamedTuple):
    """How the link is: `shared`, or `local` while Redis does not answer, and then why."""

    state: str
    problem: str | None


class Link:
    """One process's way to Redis.

    Args:
        url: `redis://`, `rediss://` or `unix://`; a password may stand in it, so it is never shown.
        prefix: Of all keys.
        name: Where the URL came from, for messages.
        wait_s: A question may take [s]. A Redis in the same network answers in a millisecond; a request waits for this
            only once in an outage, because the next ones do not ask.

    Raises:
        ConfigError: the package is not installed, or the URL is none.
    """

    def __init__(self, url: str, *, prefix: str, name: str, wait_s: float) -> None:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
        except ImportError:
            raise ConfigError(
                f"{name} is set, but the package redis is not installed: pip install 'openfusion-auto[redis]'"
            ) from None
        try:
            self._redis: Redis = Redis.from_url(
                url,
                socket_timeout=wait_s,
                socket_connect_timeout=wait_s,
                retry=Retry(NoBackoff(), 0),
                client_name="openfusion",
            )
        except ValueError:
            raise ConfigError(
                f"{name}: is not the URL of a Redis, such as redis://127.0.0.1:6379/0"
            ) from None
        self._broken = (RedisError, OSError, TimeoutError)
        self._prefix = prefix
        self._wait_s = wait_s
        self.up = True
        self._problem: str | None = None

    def key(self, *parts: str) -> str:
        """Return the name of something in Redis."""
        return ":".join((self._prefix, *parts))

    async def ask(self, question: Callable[[Redis], Awaitable[Found]]) -> Found | None:
        """Return what Redis says, None when it does not answer."""
        return await self._try(question) if self.up else None

    async def _try(self, question: Callable[[Redis], Awaitable[Found]]) -> Found | None:
        try:
            async with asyncio.timeout(self._wait_s):
                found = await question(self._redis)
        except self._broken as error:
            self._down(error)
            return None
        if not self.up:
            self.up, self._problem = True, None
            log.warning("redis answers again: limits, sessions and statistics are shared")
        return found

    def _down(self, error: Exception) -> None:
        self._problem = f"redis does not answer ({type(error).__name__}): each process for itself"
        if self.up:
            self.up = False
            log.warning("%s until it does", self._problem)

    async def script(self, text: str, keys: Sequence[str], asked: str) -> str | None:
        """Return what a script in Redis says; it is sent when Redis does not have it."""
        digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

        async def run(redis: Redis) -> object:
            from redis.exceptions import NoScriptError

            try:
                return await redis.evalsha(digest, len(keys), *keys, asked)
            except NoScriptError:
                return await redis.eval(text, len(keys), *keys, asked)

        found = await self.ask(run)
        return found.decode() if isinstance(found, bytes) else None

    async def probe(self) -> None:
        """Look whether a Redis that was down is back. It must take a word: one that is full only answers."""
        if not self.up:
            await self._try(self._leave_word)

    async def look(self) -> str | None:
        """Return the kind of what keeps Redis from being shared through; None when nothing does. No log hears of it."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._leave_word(self._redis)
        except self._broken as error:
            return type(error).__name__
        return None

    async def _leave_word(self, redis: Redis) -> object:
        return await redis.set(self.key("probe"), "", px=PROBE_MS)

    def status(self) -> Status:
        """Say how the link is."""
        return Status("shared" if self.up else "local", self._problem)

    async def close(self) -> None:
        """Let go."""
        try:
            await self._redis.aclose()
        except self._broken:
            return
