"""Answers that are given again: to exactly the same request of the same credential, where the operator turned it on.

    wanted    temperature 0 and one choice, or `openfusion.cache: true`; never with `openfusion.cache: false`
    kept      a whole answer that ended by itself (`stop`, `tool_calls`), as its upstream's bytes, up to a size
    the same  credential, candidates, policy and rules, dialect, model asked for, and the body but for what cannot
              change an answer (`IGNORED`)

Who asks while the same is being answered waits for it, once: most often it is the same program in a loop, and a second
call would cost what the cache is there to save. When nothing comes of the first, all who waited go their own way at
once, so nobody waits longer than for one answer. Another process is not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import BoundedSemaphore
from typing import NamedTuple, Protocol, TypeVar

from openfusion_auto.core.digest import canonical
from openfusion_auto.core.prompt import Answer, Delta, Dialect, Prompt
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.store.answers import AnswerFile
from openfusion_auto.store.files import reason
from openfusion_auto.store.redis import Link
from openfusion_auto.wire.codec import CODECS

log = logging.getLogger(__name__)
Found = TypeVar("Found")

# Body fields that cannot change an answer: how it is sent, who asks, and what is only for the provider's books.
IGNORED = frozenset(
    {
        "model", "openfusion", "stream", "stream_options", "metadata", "user", "safety_identifier",
        "prompt_cache_key", "session_id",
    }
)  # fmt: skip
WHOLE = ("stop", "tool_calls")  # an answer that was cut (length) or withheld is asked for again
MOST_PUTS = 32  # answers on their way to Redis, or to the file, at once; more stay here
FILE_WAIT_S = 0.25  # [s] a request waits for the file; then it is asked anew
FORM = 1  # of what is kept; another version's is not read


class Kept(NamedTuple):
    """An answer that is kept: `data` as its upstream sent it, a body or (`streamed`) a stream; and whose it was."""

    dialect: Dialect
    streamed: bool
    candidate: str
    phase: str | None
    model: str
    mode: str
    trace: str
    at: float
    data: bytes

    def answer(self) -> Answer | None:
        """Return the answer, read as when it came; None when it cannot be read."""
        codec = CODECS[self.dialect]
        try:
            if not self.streamed:
                return codec.read_answer(self.data)
            reader = codec.Reader(keep=True)
            reader.feed(self.data)
            reader.close()
            found = reader.answer()
        except UpstreamBroken:
            return None
        return found if found.finish in WHOLE else None


def packed(kept: Kept) -> bytes:
    """Return bytes from which `unpacked` makes the same again."""
    head = json.dumps([FORM, *kept[:-1]]).encode("ascii")
    return head + b"\n" + kept.data


def unpacked(value: bytes) -> Kept | None:
    """Return what was packed; None when another version did that, or it is damaged."""
    head, _, data = value.partition(b"\n")
    try:
        form, *fields = json.loads(head)
        found = Kept._make([*fields, data])
        return found if form == FORM and found.dialect in CODECS else None
    except (ValueError, TypeError):
        return None


class Tape:
    """The bytes of a stream as it is passed on, as long as they are not too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.clear()

    def clear(self) -> None:
        """Forget what was taken: the attempt came to nothing."""
        self._parts: list[bytes] = []
        self._size = 0
        self.dialect: Dialect = "chat"

    def take(self, delta: Delta) -> None:
        """Take an event."""
        self._size += len(delta.raw)
        self.dialect = delta.dialect
        if self._size <= self._most:
            self._parts.append(delta.raw)
        else:
            self._parts.clear()

    def data(self) -> bytes | None:
        """Return all of it, None when it was too long."""
        return b"".join(self._parts) if self._size <= self._most else None


class Shelf(Protocol):
    """Where packed answers are, by key."""

    async def get(self, key: str) -> bytes | None:
        """Return what is kept and not too old."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep something; never waits."""
        ...

    def resize(self, *, ttl_s: float, most: int) -> None:
        """Keep from now on for so long [s], and so much [bytes]; see `MemoryShelf`."""
        ...


class MemoryShelf:
    """Answers of one process: what was not asked for for longest goes first.

    Args:
        clock: By which they grow old.
        ttl_s: How long one is kept [s].
        most: How much is kept in all [bytes].
    """

    def __init__(self, clock: Clock, *, ttl_s: float, most: int) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._most = most
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self.size = 0  # [bytes]

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`."""
        found = self._kept.get(key)
        if found is None:
            return None
        if self._clock.now() >= found[0]:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: str, value: bytes) -> None:
        """See `Shelf`."""
        self._drop(key)
        if len(value) > self._most:
            return
        self._kept[key] = (self._clock.now() + self._ttl_s, value)
        self.size += len(value)
        while self.size > self._most:
            self._drop(next(iter(self._kept)))

    def resize(self, *, ttl_s: float, most: int) -> None:
        """See `Shelf`; what is kept already stays for as long as was said then."""
        self._ttl_s, self._most = ttl_s, most
        while self.size > self._most:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self.size -= len(gone[1])


class FileShelf:
    """Answers in a file that a restart keeps and workers share, and this process's own in `near`, asked first.

    One thread works with the file. A request waits for it for `FILE_WAIT_S` at most; where it cannot be used the log
    says so, once, and what is near goes on.
    """

    def __init__(self, file: AnswerFile, near: Shelf, *, ttl_s: float, most: int) -> None:
        self._file = file
        self._near = near
        self._ttl_s, self._most = ttl_s, most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self._room = BoundedSemaphore(MOST_PUTS)
        self._broken = False

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`; what comes from the file is not kept near, so that it does not live longer than it should."""
        found = await self._near.get(key)
        if found is not None:
            return found
        asked = self._thread.submit(self._tried, partial(self._file.get, key))
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.wrap_future(asked), FILE_WAIT_S)
        return None

    def put(self, key: str, value: bytes) -> None:
        """See `Shelf`."""
        self._near.put(key, value)
        if self._room.acquire(blocking=False):
            put = partial(self._file.put, key, value, ttl_s=self._ttl_s, most=self._most)
            self._thread.submit(self._tried, put).add_done_callback(lambda _: self._room.release())

    def resize(self, *, ttl_s: float, most: int) -> None:
        """See `Shelf`; what the file holds shrinks with the next answer."""
        self._near.resize(ttl_s=ttl_s, most=most)
        self._ttl_s, self._most = ttl_s, most

    def _tried(self, work: Callable[[], Found | None]) -> Found | None:
        try:
            found = work()
        except (OSError, sqlite3.Error) as error:
            if not self._broken:
                log.warning("kept answers are in memory alone: %s", reason(error))
            self._broken = True
            return None
        self._broken = False
        return found


class SharedShelf:
    """Answers that several processes share in Redis, and this one's own in `near`, which is asked first."""

    def __init__(self, link: Link, near: Shelf, *, ttl_s: float) -> None:
        self._link = link
        self._near = near
        self._ttl_ms = max(1, int(ttl_s * 1000))
        self._puts: set[asyncio.Task[object]] = set()

    async def get(self, key: str) -> bytes | None:
        """See `Shelf`; what others kept is not kept here too, so that it does not live longer than it should."""
        found = await self._near.get(key)
        if found is not None:
            return found
        value = await self._link.ask(lambda redis: redis.get(self._link.key("answer", key)))
        return value if isinstance(value, bytes) else None

    def put(self, key: str, value: bytes) -> None:
        """See `Shelf`."""
        self._near.put(key, value)
        if self._link.up and len(self._puts) < MOST_PUTS:
            name = self._link.key("answer", key)
            put = self._link.ask(lambda redis: redis.set(name, value, px=self._ttl_ms))
            task: asyncio.Task[object] = asyncio.ensure_future(put)
            self._puts.add(task)
            task.add_done_callback(self._puts.discard)

    def resize(self, *, ttl_s: float, most: int) -> None:
        """See `Shelf`."""
        self._near.resize(ttl_s=ttl_s, most=most)
        self._ttl_ms = max(1, int(ttl_s * 1000))


class Cache:
    """Finds and keeps answers.

    Args:
        shelf: Where they are.
        ways: How is read and decided, in values with a canonical form; part of every key.
        max_entry: Largest answer that is kept [bytes].
    """

    def __init__(self, shelf: Shelf, ways: object, *, max_entry: int) -> None:
        self._shelf = shelf
        self._ways = canonical(ways)
        self._max_entry = max_entry
        self._running: dict[str, asyncio.Event] = {}

    def following(self, ways: object, *, max_entry: int, ttl_s: float, most: int) -> Cache:
        """Return a cache of another configuration with the same answers; who began with this one ends with it."""
        self._shelf.resize(ttl_s=ttl_s, most=most)
        return Cache(self._shelf, ways, max_entry=max_entry)

    def tape(self) -> Tape:
        """Return what takes down a stream that may be kept."""
        return Tape(self._max_entry)

    def key(
        self, prompt: Prompt, credential: str, pool_digest: str, headers: Mapping[str, str]
    ) -> str | None:
        """Return the name of the answer to a request, None when it is neither to be kept nor looked for."""
        if not wants(prompt):
            return None
        body = {k: v for k, v in prompt.body.items() if k not in IGNORED}
        options = replace(prompt.options, trace="compact", session=None, cache=None)
        made = hashlib.sha256(self._ways)
        for part in (
            json.dumps([FORM, credential, pool_digest, prompt.dialect, prompt.model]).encode(),
            canonical(options),
            canonical(dict(headers)),
            # Not `canonical`: five times as slow on a long history, for numbers that may be written in two ways.
            json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii"),
        ):
            made.update(b"%d:" % len(part) + part)
        return made.hexdigest()

    @contextlib.asynccontextmanager
    async def turn(self, key: str) -> AsyncIterator[Kept | None]:
        """Enter with the answer, or None: then whoever entered makes it, and others with the same key wait."""
        found = await self._find(key)
        others = self._running.get(key)
        if found is None and others is not None:
            await others.wait()
            found = await self._find(key)
        if found is not None or key in self._running:
            yield found
            return
        done = self._running[key] = asyncio.Event()
        try:
            yield None
        finally:
            del self._running[key]
            done.set()

    def busy(self, key: str) -> bool:
        """Whether the answer is being made."""
        return key in self._running

    async def _find(self, key: str) -> Kept | None:
        value = await self._shelf.get(key)
        return None if value is None else unpacked(value)

    def keep(self, key: str, kept: Kept) -> None:
        """Keep an answer, unless it is too large."""
        if len(kept.data) <= self._max_entry:
            self._shelf.put(key, packed(kept))


def wants(prompt: Prompt) -> bool:
    """Whether a request may be answered with what was said before: it says so, or it wants no chance in its answer.

    What a server tool finds changes with the day; then it must say so.
    """
    if prompt.options.cache is not None:
        return prompt.options.cache
    chance = prompt.settings.temperature != 0 or prompt.n != 1
    return not chance and all(tool.kind != "server" for tool in prompt.tools)


def recorded(answer: Answer, tape: Tape | None) -> tuple[Dialect, bool, bytes] | None:
    """Return an answer's dialect, whether it is a stream, and its bytes; None when it is not to be kept."""
    if answer.finish not in WHOLE:
        return None
    if answer.raw:
        return answer.dialect, False, answer.raw
    if answer.deltas:
        return answer.dialect, True, b"".join(d.raw for d in answer.deltas)
    data = tape.data() if tape is not None else None
    return (tape.dialect, True, data) if tape is not None and data else None
