"""Live values in the store's file, where several processes write them: nothing that one learnt is lost by another.

Statistics are added to what the file holds, in the transaction that writes them; of everything else the last word
counts. Each transaction that changes something has a number (`rev`), and each row the number of its last change and
who made it: so every process finds what the others changed since it last looked. What is forgotten stays as an empty
row until it is too old, so that this is found too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from openfusion_auto.core import stats
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Stats
from openfusion_auto.store.base import KINDS, AnyLive, Change
from openfusion_auto.store.memory import is_forgotten
from openfusion_auto.store.records import Unreadable, dumps, loads

STATS = KINDS[Stats]
# What was spent is counted by `accounts.py`.
TYPES: Mapping[str, Any] = {name: kind for kind, name in KINDS.items() if kind is not Spending}
GONE = ""  # the value of what was forgotten


class Shelf:
    """One process's part in the table `live`; works inside its caller's transactions. Moments are seconds since 1970.

    Args:
        me: Tells this process from the others.
    """

    def __init__(self, me: str) -> None:
        self._me = me
        self._known: dict[str, Stats] = {}  # statistics as the file was last seen with
        self._rev = -1

    def knows(self, candidate: str, value: Stats) -> None:
        """Note what this process started from."""
        self._known.setdefault(candidate, value)

    def opened(self, db: sqlite3.Connection, *, anew: bool) -> None:
        """Note a connection: to the file of before, or to another one that took its place."""
        if anew:
            self._known.clear()
        self.begin(revision(db))

    def begin(self, rev: int) -> None:
        """Note at which transaction a file stands."""
        self._rev = rev if self._rev < 0 else min(rev, self._rev)

    def copy(self) -> Shelf:
        """Return it as it is now, for when a transaction fails."""
        found = Shelf(self._me)
        found._known, found._rev = dict(self._known), self._rev
        return found

    def forget(self, whose: Iterable[str | None]) -> None:
        """Note what somebody has forgotten."""
        whose = list(whose)
        for key in [k for k in self._known if is_forgotten(STATS, k, whose)]:
            del self._known[key]

    def number(self, db: sqlite3.Connection) -> int:
        """Return the number of the transaction that runs."""
        db.execute("UPDATE revision SET n = n + 1")
        return revision(db)

    def put(
        self,
        db: sqlite3.Connection,
        kind: str,
        key: str,
        value: AnyLive | None,
        at_s: float,
        rev: int,
    ) -> None:
        """Write a value, the last word; None = it is gone."""
        text = GONE if value is None else dumps(value).decode()
        db.execute(PUT, (kind, key, at_s, text, rev, self._me))
        if isinstance(value, Stats):
            self._known[key] = value
        elif kind == STATS:
            self._known.pop(key, None)

    def add(
        self, db: sqlite3.Connection, candidate: str, sample: Stats, at_s: float, rev: int
    ) -> Change | None:
        """Add statistics to what the file holds; returns what others had added that was not heard of yet."""
        row = db.execute(ONE, (STATS, candidate)).fetchone()
        found = _statistics(row[0]) if row else None
        change = self._news(candidate, found)
        whole = stats.merged(found or Stats(), sample)
        self.put(db, STATS, candidate, whole, at_s, rev)
        return change

    def heard(self, db: sqlite3.Connection) -> list[Change]:
        """Return what others changed since the last look; what cannot be read is passed over."""
        # First the number, then the rows: whatever has a number up to it is there to be read. Else a process that is
        # alone would look through all that it ever wrote, each time.
        seen = revision(db)
        rows = db.execute(CHANGED, (self._rev, self._me)).fetchall()
        self._rev = max(self._rev, seen)
        found: list[Change] = []
        for kind, key, text, rev in rows:
            self._rev = max(self._rev, rev)
            change = self._read(kind, key, text)
            if change is not None:
                found.append(change)
        return found

    def _read(self, kind: str, key: str, text: str) -> Change | None:
        known = TYPES.get(kind)
        if known is None:
            return None
        if text == GONE:
            if kind == STATS:
                self._known.pop(key, None)
            return Change(known, key, None)
        if kind == STATS:
            return self._news(key, _statistics(text))
        try:
            return Change(known, key, loads(known, text))
        except Unreadable:
            return None

    def _news(self, candidate: str, found: Stats | None) -> Change | None:
        """Return what the file holds of a candidate beyond what was last seen there, and note what it holds."""
        if found is None:
            return None
        more = stats.minus(found, self._known.get(candidate, Stats()))
        self._known[candidate] = found
        # A call that was cut for another one has a time to its first token alone.
        if max(more.ok, more.failed, more.ttft_weight) <= stats.LEAST:
            return None
        return Change(Stats, candidate, more)


REVISION = "SELECT n FROM revision"


def revision(db: sqlite3.Connection) -> int:
    """Return the number of the last transaction that changed a live value."""
    (found,) = db.execute(REVISION).fetchone()
    return int(found)


def _statistics(text: str) -> Stats | None:
    try:
        return loads(Stats, text)
    except Unreadable:
        return None


PUT = "INSERT OR REPLACE INTO live (kind, key, at, value, rev, writer) VALUES (?, ?, ?, ?, ?, ?)"
ONE = "SELECT value FROM live WHERE kind = ? AND key = ?"
CHANGED = "SELECT kind, key, value, rev FROM live WHERE rev > ? AND writer != ? ORDER BY rev"
