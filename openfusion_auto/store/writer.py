"""The one writer of the store's file: a thread with what waits for it, written in batches.

Putting something in costs a lock and an assignment and never waits for the disk. What waits is bounded: live values by
their keys (a later one replaces an earlier one), traces by number (the oldest is dropped and counted). Lines of the
books are never dropped. A batch is one transaction; when it fails, it waits for the next try.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from openfusion_auto.core import stats
from openfusion_auto.core.types import Stats
from openfusion_auto.errors import StoreTooNew
from openfusion_auto.store.base import AnyLive, Change, Line, Tell, TraceRow
from openfusion_auto.store.files import connect, identity, reason
from openfusion_auto.store.live import STATS, Shelf
from openfusion_auto.store.memory import is_forgotten
from openfusion_auto.store.records import moved
from openfusion_auto.store.retention import Limits, prune_large, prune_old

log = logging.getLogger(__name__)

GATHER_S = 0.03  # [s] a batch gathers for so long: with the writing itself, and a busy machine, it stays under 100 ms
IDLE_S = 1.0  # [s] how often an idle writer looks whether somebody else forgot something
RETRY_S = (1.0, 30.0)  # [s] first and longest pause after a batch that could not be written
PRUNE_S = 3600.0  # [s] how often what is too old is looked for
CLOSE_S = 10.0  # [s] how long closing waits for the last batch
# That wait; a burst is taken whole, and it bounds the memory when the disk stands still.
MAX_TRACES = 1_000
MAX_SAMPLES = 500  # of a candidate that wait one by one
MAX_LIVE = 150_000  # keys that wait: more than there can be of pins and seals
# Writing a trace takes the interpreter for some 0.4 ms, more than a request itself may. So many a batch leave 95 % of
# it to requests: over a hundred traces a second for as long as it lasts; beyond that the oldest waiting ones go.
TRACES_A_BATCH = 5
MAX_INTEGER = 2**63 - 1  # SQLite's largest; a broken upstream may report any number of tokens

LiveKey = tuple[str, str]  # kind, key
LiveValue = tuple[AnyLive | None, float]  # value, epoch_s
Sample = tuple[Stats, float]  # value, epoch_s
Waiting = tuple[str, Callable[[], TraceRow]]


class Batch(NamedTuple):
    """What is written together."""

    live: dict[LiveKey, LiveValue]
    added: dict[str, list[Sample]]
    lines: list[Line]
    traces: list[Waiting]


class Writer:
    """Owns the only connection that writes; its thread starts with the first thing that is put in."""

    def __init__(self, path: Path, limits: Limits, wall: Callable[[], float]) -> None:
        self._path, self._limits, self._wall = path, limits, wall
        self._lock = threading.Lock()
        self._live: dict[LiveKey, LiveValue] = {}
        self._added: dict[str, list[Sample]] = {}  # statistics that are new
        self._lines: list[Line] = []
        self._traces: deque[Waiting] = deque()
        self._flushes: list[tuple[threading.Event, bool]] = []
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._db: sqlite3.Connection | None = None
        self._file: object = None
        self._pruned_s = 0.0
        self._last_reset = -1
        self._untold: list[Change] = []  # what others did, heard and not yet told
        self._tell: Callable[[str | None], None] | None = None
        self._tell_changes: Tell | None = None
        self._idle_s = IDLE_S
        self.shelf = Shelf(secrets.token_hex(8))
        self.dropped = self._said_dropped = 0
        self.problem: str | None = None

    # -- putting in: any thread, never waits -------------------------------------------------------------------------

    def keep(self, key: LiveKey, value: AnyLive | None, epoch_s: float) -> None:
        """Take a live value."""
        with self._lock:
            self._live[key] = (value, epoch_s)
            if key[0] == STATS:
                self._added.pop(key[1], None)
            if len(self._live) > MAX_LIVE:
                del self._live[next(iter(self._live))]
                self.dropped += 1
        self._nudge()

    def add(self, candidate: str, sample: Stats, epoch_s: float) -> None:
        """Take statistics to be added to those in the file."""
        with self._lock:
            samples = self._added.setdefault(candidate, [])
            samples.append((sample, epoch_s))
            if len(samples) > MAX_SAMPLES:
                samples[:] = [(together(samples), 0.0)]
        self._nudge()

    def enter(self, line: Line) -> None:
        """Take a line of the books."""
        with self._lock:
            self._lines.append(line)
        self._nudge()

    def record(self, waiting: Waiting) -> None:
        """Take a trace; of too many the oldest is dropped."""
        with self._lock:
            self._traces.append(waiting)
            if len(self._traces) > MAX_TRACES:
                self._traces.popleft()
                self.dropped += 1
        self._nudge()

    def on_forget(self, tell: Callable[[str | None], None]) -> None:
        """Call `tell` from the writer's thread when another process forgets."""
        self._tell = tell
        self._nudge()

    def on_change(self, tell: Tell, every_s: float) -> None:
        """Call `tell` from the writer's thread with what other processes change, looked for so often."""
        self._tell_changes = tell
        self._idle_s = min(IDLE_S, every_s)
        self._nudge()

    @property
    def waiting(self) -> int:
        """How many things wait."""
        return len(self._live) + len(self._added) + len(self._lines) + len(self._traces)

    def _nudge(self) -> None:
        if not self._wake.is_set():
            self._wake.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                # A daemon: a program that never closes its store ends all the same, with 100 ms less in the file.
                self._thread = threading.Thread(target=self._run, name="store", daemon=True)
                self._thread.start()

    # -- waiting for it ----------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float, *, traces: bool = True) -> bool:
        """Wait until everything that was put in before has been tried to write, and what others changed was told;
        False when it takes too long. Without `traces` only as many of these as a batch has anyway.
        """
        done = threading.Event()
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                return True
            self._flushes.append((done, traces))
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout_s)

    def close(self) -> None:
        """Write what waits and end the thread; what cannot be written within `CLOSE_S` is lost and said."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._hurry.set()
        self._wake.set()
        if thread is not None:
            thread.join(CLOSE_S)
        if self.waiting:
            log.error("the store was closed with %d things that were not written", self.waiting)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause_s = 0.0
        while True:
            self._wake.wait(self._idle_s)
            self._wake.clear()
            self._hurry.wait(max(GATHER_S, pause_s))
            self._hurry.clear()
            with self._lock:
                flushes, self._flushes = self._flushes, []
                closing = self._closing
            good = self._work(whole=closing or any(whole for _, whole in flushes))
            self._say_dropped()
            pause_s = 0.0 if good else min(RETRY_S[1], max(RETRY_S[0], 2 * pause_s))
            for done, _ in flushes:
                done.set()
            if closing:
                break
            if self._traces or not good:
                self._wake.set()
        self._disconnect()

    def _work(self, *, whole: bool) -> bool:
        """Write one batch and look after the file; False when that failed and what is left of the batch waits again.

        Traces come last, in a transaction of their own: they take longest, and the books are what a kill must not cost.
        """
        batch = left = self._taken(whole=whole)
        try:
            if not any(batch) and self._is_unheard and self._db is None:
                return True
            db = self._connected()
            last, forgotten = self._forgotten(db)
            self._untold += self._write(db, batch._replace(traces=[]), forgotten)
            left = Batch({}, {}, [], batch.traces)
            self._write(db, left, [])
            self._last_reset = last  # not before: who was not told is told with the next batch
        except (sqlite3.Error, OSError, StoreTooNew) as error:
            self._put_back(left)
            self._disconnect()
            self._say(reason(error))
            return False
        except Exception:  # a defect of ours must not end the thread that keeps the books
            lost = len(left.live) + len(left.added) + len(left.traces)
            log.exception("%d values and traces are dropped, the books are tried again", lost)
            self.dropped += lost
            self._put_back(Batch({}, {}, left.lines, []))
            self._disconnect()
            return False
        if self.problem is not None:
            log.warning("%s: the store is written again", self._path)
            self.problem = None
        self._tend(db, forgotten, grown=bool(batch.traces))
        return True

    @property
    def _is_unheard(self) -> bool:
        """Whether nobody wants to know what other processes do."""
        return self._tell is None and self._tell_changes is None

    def _taken(self, *, whole: bool) -> Batch:
        with self._lock:
            live, self._live = self._live, {}
            added, self._added = self._added, {}
            lines, self._lines = self._lines, []
            count = len(self._traces) if whole else min(len(self._traces), TRACES_A_BATCH)
            traces = [self._traces.popleft() for _ in range(count)]
        return Batch(live, added, lines, traces)

    def _put_back(self, batch: Batch) -> None:
        """Let a batch wait again, in front; what has come meanwhile is newer."""
        with self._lock:
            for candidate, samples in batch.added.items():
                if (STATS, candidate) not in self._live:  # else all of it was replaced meanwhile
                    self._added[candidate] = samples + self._added.get(candidate, [])
            self._live = {**batch.live, **self._live}
            self._lines = batch.lines + self._lines
            self._traces.extendleft(reversed(batch.traces))
            while len(self._traces) > MAX_TRACES:
                self._traces.popleft()
                self.dropped += 1

    def _say(self, problem: str) -> None:
        if self.problem != problem:
            log.error(
                "%s: the store cannot be written: %s; what is new waits in memory",
                self._path,
                problem,
            )
        self.problem = problem

    def _say_dropped(self) -> None:
        """Say that something was dropped: the first time, and whenever it has become twice as much."""
        if self.dropped > 2 * self._said_dropped:
            log.warning("the store has dropped %d traces and values so far", self.dropped)
            self._said_dropped = self.dropped

    def _write(
        self, db: sqlite3.Connection, batch: Batch, forgotten: list[str | None]
    ) -> list[Change]:
        """Write a batch in one transaction; returns what others turned out to have added to statistics.

        Raises:
            sqlite3.Error: nothing of it is written.
        """
        self.shelf.forget(forgotten)
        if not any(batch):
            return []
        rows = self._rendered(batch.traces)
        before = self.shelf.copy()
        db.execute("BEGIN IMMEDIATE")
        try:
            changes = self._write_live(db, batch, forgotten)
            db.executemany(INSERT_LINE, ([column(v) for v in line] for line in batch.lines))
            db.executemany(INSERT_TRACE, rows)
            db.execute("COMMIT")
        except BaseException:
            self.shelf = before
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return changes

    def _tend(self, db: sqlite3.Connection, forgotten: list[str | None], *, grown: bool) -> None:
        """Tell what others forgot and changed, and see to age and size; what fails here is tried again after the
        next batch.
        """
        now_s = self._wall()
        try:
            for candidate in forgotten:
                if self._tell is not None:
                    self._tell(candidate)
            if self._tell_changes is not None:
                self._untold += self.shelf.heard(db)
                changes, self._untold = self._untold, []
                if changes:
                    self._tell_changes(changes)
            if abs(now_s - self._pruned_s) > PRUNE_S:
                prune_old(db, self._limits, now_s)
                self._pruned_s, grown = now_s, True
            if grown:
                prune_large(db, self._limits)
        except sqlite3.Error as error:
            log.warning("%s: what is old cannot be deleted now: %s", self._path, reason(error))

    def _write_live(
        self, db: sqlite3.Connection, batch: Batch, forgotten: list[str | None]
    ) -> list[Change]:
        """Write live values, but for statistics that somebody has just asked to forget; returns as `_write`."""
        if not batch.live and not batch.added:
            return []
        now_s, rev = self._wall(), self.shelf.number(db)
        for (kind, key), (value, epoch_s) in batch.live.items():
            if not is_forgotten(kind, key, forgotten):
                put = None if value is None else moved(value, epoch_s)
                self.shelf.put(db, kind, str(column(key)), put, now_s, rev)
        found = [
            self.shelf.add(db, str(column(candidate)), together(samples), now_s, rev)
            for candidate, samples in batch.added.items()
            if not is_forgotten(STATS, candidate, forgotten)
        ]
        return [change for change in found if change is not None]

    def _rendered(self, traces: Iterable[Waiting]) -> list[list[object]]:
        """Return the rows of traces; one that cannot be rendered is dropped, counted and said."""
        rows: list[list[object]] = []
        for name, render in traces:
            try:
                row = render()
            except Exception:  # a defect of ours must not end the thread that keeps the books
                log.exception("trace %s cannot be kept", name)
                self.dropped += 1
                continue
            rows.append([column(value) for value in (*row.head, *row[1:])])
        return rows

    def _forgotten(self, db: sqlite3.Connection) -> tuple[int, list[str | None]]:
        """Return what others have forgotten since the last look (candidates' ids, None for all), behind its number."""
        found = db.execute(
            "SELECT id, candidate FROM resets WHERE id > ? ORDER BY id", (self._last_reset,)
        ).fetchall()
        last = found[-1][0] if found else self._last_reset
        return last, [candidate for _, candidate in found]

    def _connected(self) -> sqlite3.Connection:
        """Return the connection; a new one when the file has been moved away or replaced."""
        if self._db is not None and self._file != identity(self._path):
            self._disconnect()
        if self._db is None:
            before = self._file
            self._db = connect(self._path)
            self._file = identity(self._path)
            self.shelf.opened(self._db, anew=before is not None and before != self._file)
            (last,) = self._db.execute("SELECT coalesce(max(id), 0) FROM resets").fetchone()
            self._last_reset = last if self._last_reset < 0 else min(last, self._last_reset)
        return self._db

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except sqlite3.Error as error:
                log.warning("%s: not closed cleanly: %s", self._path, reason(error))


INSERT_LINE = (
    "INSERT INTO ledger (trace, at, session, phase, candidate, model, upstream, status, input, cached,"
    " cache_write, output, usd, estimated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_TRACE = (
    "INSERT OR REPLACE INTO traces (id, at, requested, candidate, model, mode, outcome, owner, kind,"
    " session, summary, document, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def together(samples: Iterable[Sample]) -> Stats:
    """Return statistics as one, its moment in seconds since 1970."""
    whole = Stats()
    for sample, epoch_s in samples:
        whole = stats.merged(whole, replace(sample, at_s=sample.at_s + epoch_s))
    return whole


def column(value: object) -> object:
    """Return a value that SQLite takes: half of a surrogate pair is replaced, a number too large is its largest."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        return max(-MAX_INTEGER, min(int(value), MAX_INTEGER))
    return value
