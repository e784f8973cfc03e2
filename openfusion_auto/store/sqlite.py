"""The store in one SQLite file. Writing goes through `writer.Writer`, reading through `files.Reading`."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openfusion_auto.core.types import Stats
from openfusion_auto.errors import Overloaded, StoreTooNew
from openfusion_auto.store.base import (
    KINDS,
    Line,
    Live,
    Spend,
    Status,
    Store,
    Tell,
    TraceHead,
    TraceQuery,
    TraceRow,
)
from openfusion_auto.store.files import Reading, connect, reason
from openfusion_auto.store.live import GONE, REVISION
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.migrations import is_lettered
from openfusion_auto.store.records import Unreadable, loads, moved
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.writer import Writer, column

log = logging.getLogger(__name__)

FLUSH_S = 2.0  # [s] how long a reader waits for what was put in just before
SEARCH_S = 5.0  # [s] that words are looked for. One or two letters are looked for in all words: 0.5 s in a full file
MOST_RUNS = 64  # of three letters that the index is asked for


class SqliteStore:
    """See `base.Store`. Several processes may work with one file, see `live.py`."""

    def __init__(
        self, path: Path, limits: Limits, wall: Callable[[], float], *, elsewhere: bool = False
    ) -> None:
        """Open the file, made and brought to the newest shape where needed.

        Args:
            path: The file.
            limits: How much is kept, and for how long.
            wall: Returns the seconds since 1970.
            elsewhere: What other processes know is heard in another way (Redis): then statistics are kept whole, and
                of them too the last word counts.

        Raises:
            OSError, sqlite3.Error: it cannot be used.
            StoreTooNew: a newer version has written it.
        """
        self.path = path
        self._wall = wall
        self._elsewhere = elsewhere
        self._writer = Writer(path, limits, wall)
        self._reading = Reading(path)
        self._searching = Reading(path)  # its own: nobody waits until all words are looked through
        ((rev,),) = self._reading.rows(REVISION)
        with contextlib.closing(connect(path)) as db:
            self._lettered = is_lettered(db)
        self._writer.shelf.begin(rev)

    def keep(self, kind: type[Live], key: str, value: Live | None, epoch_s: float) -> None:
        """Keep or forget a live value."""
        self._writer.keep((KINDS[kind], key), value, epoch_s)

    def measure(self, candidate: str, sample: Stats, whole: Stats, epoch_s: float) -> None:
        """Keep statistics."""
        if self._elsewhere:
            self.keep(Stats, candidate, whole, epoch_s)
        else:
            self._writer.add(candidate, sample, epoch_s)

    def enter(self, line: Line) -> None:
        """Enter a line in the books."""
        self._writer.enter(line)

    def record(self, trace_id: str, render: Callable[[], TraceRow]) -> None:
        """Keep a trace."""
        self._writer.record((trace_id, render))

    def load(self, kind: type[Live], epoch_s: float) -> list[tuple[str, Live]]:
        """Return the live values of a kind; one that cannot be read is passed over and said."""
        query = "SELECT key, value FROM live WHERE kind = ? AND value != ? ORDER BY at"
        found, bad = [], 0
        for key, text in self._read(query, KINDS[kind], GONE):
            try:
                kept = loads(kind, text)
            except Unreadable:
                bad += 1
                continue
            if isinstance(kept, Stats):
                self._writer.shelf.knows(key, kept)
            value = moved(kept, -epoch_s)
            if isinstance(value, kind):
                found.append((key, value))
        if bad:
            log.warning("%s: %d of %s cannot be read and are left out", self.path, bad, KINDS[kind])
        return found

    def trace(self, trace_id: str) -> TraceRow | None:
        """Return a trace by id."""
        rows = self._read(ONE_TRACE, trace_id)
        return trace_row(rows[0]) if rows else None

    def traces(self, query: TraceQuery) -> list[TraceRow]:
        """Return traces, newest first.

        Raises:
            Overloaded: words were looked for in vain for `SEARCH_S`.
        """
        at, name = query.before or (None, None)
        parts = (query.model, query.mode, query.outcome, query.owner, query.kind, query.session)
        wanted = [at, name, *parts, query.since, query.words, query.limit]
        statement, searched = TRACES, query.words is not None
        if self._lettered and query.words is not None and (letters := letters_of(query.words)):
            statement = TRACES_BY_LETTERS
            wanted.append(letters)
        try:
            found = self._read(statement, *wanted, at_once=query.at_once, search=searched)
        except TimeoutError:
            longer = " Three letters and more are found sooner." if statement is TRACES else ""
            raise Overloaded(
                f"Looking through the words took more than {SEARCH_S:g} s. Take a part of the traces: name a time, a "
                f"session or a model.{longer if self._lettered else ''}",
                param="text",
            ) from None
        return [trace_row(row) for row in found]

    def spend(self, since_s: float) -> list[Spend]:
        """Return what was used since a moment, by candidate."""
        return [spend_row(row) for row in self._read(SPEND, since_s)]

    def forget(self, candidate: str | None) -> int:
        """Forget statistics, breakers and lessons, in the file at once; raises sqlite3.Error when that fails."""
        self._writer.flush(FLUSH_S)
        with contextlib.closing(connect(self.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            (known,) = db.execute(COUNT_FORGOTTEN, (candidate,)).fetchone()
            db.execute(FORGET, (candidate,))
            db.execute(
                "INSERT INTO resets (at, candidate) VALUES (?, ?)", (self._wall(), candidate)
            )
            db.execute("COMMIT")
        return int(known)

    def on_forget(self, tell: Callable[[str | None], None]) -> None:
        """Call `tell` when something is forgotten, within about a second."""
        self._writer.on_forget(tell)

    def on_change(self, tell: Tell, every_s: float) -> None:
        """Call `tell` with what other processes change."""
        if not self._elsewhere:
            self._writer.on_change(tell, every_s)

    def catch_up(self) -> None:
        """Write what waits, and tell what others have changed."""
        self._writer.flush(FLUSH_S, traces=False)

    def status(self) -> Status:
        """Say how it is."""
        problem = self._writer.problem
        said = f"cannot be written: {problem}; what is new waits in memory" if problem else None
        return Status("sqlite", said, self._writer.waiting, self._writer.dropped)

    def close(self) -> None:
        """Write what waits and let go."""
        self._searching.close()
        self._reading.close()  # before the writer's: the last one copies the log into the file
        self._writer.close()

    def _read(
        self, query: str, *values: object, at_once: bool = False, search: bool = False
    ) -> list[tuple[Any, ...]]:
        """Return rows, after what was put in before is written (unless `at_once`); none when the file cannot be read,
        and that is said.

        Raises:
            TimeoutError: a `search` took too long.
        """
        if not at_once:
            self._writer.flush(FLUSH_S)
        try:
            wanted = [column(v) for v in values]
            if not search:
                return self._reading.rows(query, wanted)
            until_s = self._wall() + SEARCH_S
            return self._searching.rows(query, wanted, lambda: self._wall() > until_s)
        except (sqlite3.Error, OSError, StoreTooNew) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise TimeoutError from None
            log.error("%s: the store cannot be read: %s", self.path, reason(error))  # noqa: TRY400 - no news in the stack
            return []


HEAD = "id, at, requested, candidate, model, mode, outcome, owner, kind, session"
ONE_TRACE = f"SELECT {HEAD}, summary, document FROM traces WHERE id = ?"  # noqa: S608 - of constants
CHOSEN = (
    f"SELECT {HEAD}, summary, x'' FROM traces INDEXED BY traces_to_list"  # noqa: S608 - of constants
    " WHERE (?1 IS NULL OR (at, id) < (?1, ?2)) AND (?3 IS NULL OR ?3 IN (requested, candidate, model))"
    " AND (?4 IS NULL OR mode = ?4) AND (?5 IS NULL OR outcome = ?5) AND (?6 IS NULL OR owner = ?6)"
    " AND (?7 IS NULL OR kind = ?7) AND (?8 IS NULL OR session = ?8) AND (?9 IS NULL OR at >= ?9)"
    " AND (?10 IS NULL OR instr(words, ?10))"
)
NEWEST_FIRST = " ORDER BY at DESC, id DESC LIMIT ?11"
TRACES = CHOSEN + NEWEST_FIRST
# `+id`: the traces are gone through in their order, which ends with the last one that is wanted. The other way round
# the words of all that hold the letters would be read, to be put in order afterwards.
LETTERED = " AND +id IN (SELECT trace FROM lettered WHERE n IN (SELECT rowid FROM letters WHERE letters MATCH ?12))"
TRACES_BY_LETTERS = CHOSEN + LETTERED + NEWEST_FIRST
# Sums as REAL: a broken upstream may report more tokens than an integer sum can hold.
SPEND = (
    "SELECT candidate, count(*), sum(status NOT IN ('ok', 'cancelled')), total(input), total(cached),"
    " total(output), total(usd), sum(usd IS NULL AND input IS NOT NULL)"
    " FROM ledger WHERE at >= ? GROUP BY candidate ORDER BY candidate"
)
# A tally's key is project, kind and candidate with colons between (`lessons.Key`); the others are a candidate's id.
COUNT_FORGOTTEN = (
    "SELECT count(DISTINCT CASE kind WHEN 'tally' THEN substr(substr(key, 18), instr(substr(key, 18), ':') + 1)"
    " ELSE key END) FROM live WHERE value != '' AND CASE WHEN ?1 = '*learned*' THEN kind = 'tally'"
    " ELSE kind IN ('stats', 'breaker', 'tally') AND (?1 IS NULL OR ?1 = CASE kind WHEN 'tally'"
    " THEN substr(substr(key, 18), instr(substr(key, 18), ':') + 1) ELSE key END) END"
)
FORGET = (
    "DELETE FROM live WHERE CASE WHEN ?1 = '*learned*' THEN kind = 'tally'"
    " ELSE kind IN ('stats', 'breaker', 'tally') AND (?1 IS NULL OR ?1 = CASE kind WHEN 'tally'"
    " THEN substr(substr(key, 18), instr(substr(key, 18), ':') + 1) ELSE key END) END"
)


def letters_of(words: str) -> str | None:
    """Return what the index of letters is asked for some words: all their runs of three; None for fewer than three.

    Whoever holds these need not hold the words: that is looked at afterwards.
    """
    runs = dict.fromkeys(words[at : at + 3] for at in range(min(len(words) - 2, MOST_RUNS)))
    return " ".join('"{}"'.format(run.replace('"', '""')) for run in runs) or None


def trace_row(row: tuple[Any, ...]) -> TraceRow:
    """Return a row of the table as what it holds."""
    *head, summary, document = row
    return TraceRow(TraceHead(*head), summary, document)


def spend_row(row: tuple[Any, ...]) -> Spend:
    """Return a sum of lines; tokens are whole numbers."""
    candidate, calls, failed, fresh, cached, output, usd, unknown = row
    return Spend(candidate, calls, failed, int(fresh), int(cached), int(output), usd, unknown)


def open_store(
    path: Path | None, limits: Limits, wall: Callable[[], float], *, elsewhere: bool = False
) -> Store:
    """Return the store in a file; one in memory without a path, and where the file cannot be used, which is said.

    Raises:
        StoreTooNew: a newer version has written it: the operator has to decide.
    """
    if path is None:
        return MemoryStore(max_traces=0)
    try:
        return SqliteStore(path, limits, wall, elsewhere=elsewhere)
    except (sqlite3.Error, OSError) as error:
        said = f"{path.name} cannot be used: {reason(error)}; nothing is kept beyond this process"
        log.error("%s (%s). Mend or move it, or set OPENFUSION_STATE_DIR.", said, path)  # noqa: TRY400 - no news in the stack
        return MemoryStore(problem=said, max_traces=0)
