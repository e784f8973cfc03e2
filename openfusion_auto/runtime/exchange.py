"""What processes that share a Redis learn from each other: statistics, breakers, pins, tallies, who made what is
sealed.

Every process writes what changed to one stream a few times a second, and reads what the others wrote: no request waits
for it. Statistics go as what was new since the last time, and are added up; of a tally the later one counts, of the
rest the last word. While Redis does not answer, the changes wait, the latest of each thing; the stream is read on
where it was left.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from openfusion_auto.core import stats
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Pin, Stats
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.store.base import KINDS, AnyLive, Live, LiveStore
from openfusion_auto.store.records import Unreadable, dumps, loads, moved
from openfusion_auto.store.redis import Link

if TYPE_CHECKING:
    from redis.asyncio import Redis

TICK_S = 0.25  # [s] between two exchanges: a breaker is seen everywhere within twice that
MAX_WAITING = 20_000  # changes that wait for Redis; the oldest go first
MAX_STREAM = 50_000  # entries of the stream, about 10 MB: the sessions of the last hours
READ = 1_000  # entries read at once
# What was spent is not told here: that is counted in Redis itself (`shared.py`).
TYPES: Mapping[str, Any] = {name: kind for kind, name in KINDS.items() if kind is not Spending}


class Outbox:
    """A `LiveStore` that notes what is kept, to tell others; `inner` keeps it."""

    def __init__(self, inner: LiveStore) -> None:
        self.inner = inner
        self._waiting: OrderedDict[tuple[str, str], AnyLive | None] = OrderedDict()
        self._loaded: set[str] = set()

    def keep(self, kind: type[Live], key: str, value: Live | None, epoch_s: float) -> None:
        """See `LiveStore`."""
        self.inner.keep(kind, key, value, epoch_s)
        self.note(KINDS[kind], key, value)

    def measure(self, candidate: str, sample: Stats, whole: Stats, epoch_s: float) -> None:
        """See `LiveStore`."""
        self.inner.measure(candidate, sample, whole, epoch_s)
        self.note(KINDS[Stats], candidate, self._with(candidate, sample))

    def _with(self, candidate: str, sample: Stats) -> Stats:
        waiting = self._waiting.get((KINDS[Stats], candidate))
        return stats.merged(waiting, sample) if isinstance(waiting, Stats) else sample

    def load(self, kind: type[Live], epoch_s: float) -> list[tuple[str, Live]]:
        """See `LiveStore`."""
        found = self.inner.load(kind, epoch_s)
        self._loaded.update(key for key, value in found if isinstance(value, Stats))
        return found

    def knows(self, key: str) -> bool:
        """Whether there were statistics of a candidate at the start."""
        return key in self._loaded

    def note(self, name: str, key: str, value: AnyLive | None) -> None:
        """Note a change; the latest of each thing counts."""
        self._waiting[name, key] = value
        self._waiting.move_to_end((name, key))
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def take(self) -> list[tuple[str, str, AnyLive | None]]:
        """Take out what is to be told: of statistics, what is new."""
        out = [(name, key, value) for (name, key), value in self._waiting.items()]
        self._waiting.clear()
        return out

    def put_back(self, taken: list[tuple[str, str, AnyLive | None]]) -> None:
        """Note again what could not be told, unless there is something newer."""
        for name, key, value in taken:
            if isinstance(value, Stats) and self._waiting.get((name, key), value) is not None:
                self._waiting[name, key] = self._with(key, value)
            else:
                self._waiting.setdefault((name, key), value)


class Exchange:
    """Tells and hears, for as long as the server runs.

    Args:
        link: The way to Redis.
        outbox: What changed here.
        live: What is changed by what others tell.
        clock: By which moments are told: on the wall, since each process has a clock of its own.
    """

    def __init__(self, link: Link, outbox: Outbox, live: LiveState, clock: Clock) -> None:
        self._link = link
        self._outbox = outbox
        self._live = live
        self._clock = clock
        self._me = secrets.token_hex(8)
        self._stream = link.key("live")
        self._last = "0"  # so that a new process hears of the sessions that there are
        self._begun = False

    async def keep_up(self) -> None:
        """Exchange, for ever."""
        while True:
            await self.step()
            await self._clock.sleep(TICK_S)

    async def step(self) -> None:
        """Tell what changed, hear what others changed."""
        if not self._link.up:
            return
        taken = self._outbox.take()
        if taken and await self._link.ask(lambda redis: self._tell(redis, taken)) is None:
            self._outbox.put_back(taken)
            return
        while await self._hear() == READ:
            pass
        # Without an answer what came before this process is still unread.
        self._begun = self._begun or self._link.up

    async def _tell(self, redis: Redis, taken: list[tuple[str, str, AnyLive | None]]) -> bool:
        epoch_s = self._clock.epoch_s()
        async with redis.pipeline(transaction=False) as pipe:
            for name, key, value in taken:
                text = dumps(moved(value, epoch_s)) if value is not None else b""
                entry: dict[Any, Any] = {"from": self._me, "kind": name, "key": key, "value": text}
                pipe.xadd(self._stream, entry, maxlen=MAX_STREAM, approximate=True)
            await pipe.execute()
        return True

    async def _hear(self) -> int:
        """Hear what is new in the stream; returns how many entries that were."""
        found = await self._link.ask(
            lambda redis: (
                redis.xrange(self._stream, min=f"({self._last}", max="+", count=READ)
                if self._last != "0"
                else redis.xrange(self._stream, count=READ)
            )
        )
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", found or [])
        for number, entry in entries:
            self._last = number.decode()
            if entry.get(b"from") != self._me.encode():
                self._learn(entry)
        return len(entries)

    def _learn(self, entry: Mapping[bytes, bytes]) -> None:
        """Take over one thing that another process told; what this version cannot read is passed over."""
        name, key = (entry.get(part, b"").decode("utf-8", "replace") for part in (b"kind", b"key"))
        kind, text = TYPES.get(name), entry.get(b"value", b"")
        if kind is None or (kind is Stats and not self._begun and self._outbox.knows(key)):
            return  # of the time before this process: its own file has that
        epoch_s = self._clock.epoch_s()
        try:
            value = moved(loads(kind, text), -epoch_s) if text else None
        except Unreadable:
            return
        if isinstance(value, Pin) and value.expires_s < self._clock.now():
            return
        now = self._live.adopt(kind, key, value)
        self._outbox.inner.keep(kind, key, now, epoch_s)
