"""How long things are kept: by age, and while the file is not larger than it may be."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass

from openfusion_auto.store.base import NEWEST
from openfusion_auto.store.migrations import is_lettered

DAY_S = 86_400.0  # [s]
CHUNK = 500  # [rows] of one transaction: others wait for the file meanwhile
MERGED = 1_000  # [pages] of the index of letters that are merged in one transaction; a full file's has some 7,000
ROOM = 0.95  # share of the largest size that is left when the file had become too large

# Age: what is older than a moment goes.
# Traces in the order in which they came: the index of letters takes them together then, 100 times as quickly.
OLD = (
    "DELETE FROM traces WHERE rowid IN (SELECT rowid FROM traces WHERE at < ? LIMIT ?)",
    "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE at < ? LIMIT ?)",
    # A budget of 30 days must not begin anew because less is kept; there are no more of them than keys.
    "DELETE FROM live WHERE (kind, key) IN (SELECT kind, key FROM live WHERE at < ? AND kind != 'spending' LIMIT ?)",
    "DELETE FROM resets WHERE id IN (SELECT id FROM resets WHERE at < ? LIMIT ?)",
)
# Accounts: what was spent in the longest window of a budget counts whatever else is kept; a month and two days.
OLD_ACCOUNTS = "DELETE FROM accounts WHERE name IN (SELECT name FROM accounts WHERE at < ? LIMIT ?)"
ACCOUNTS_S = 32 * DAY_S
# Number: of a kind the newest stay.
TOO_MANY = (
    "DELETE FROM live WHERE kind = ?1 AND key IN"
    " (SELECT key FROM live WHERE kind = ?1 ORDER BY at DESC LIMIT ?3 OFFSET ?2)"
)
# Size: the oldest go, first traces (large and of little worth), then seals, the books last.
OLDEST_TRACES = "DELETE FROM traces WHERE rowid IN (SELECT rowid FROM traces ORDER BY at LIMIT ?)"
OLDEST = (
    "DELETE FROM live WHERE (kind, key) IN (SELECT kind, key FROM live WHERE kind = 'seal' ORDER BY at LIMIT ?)",
    "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger ORDER BY at LIMIT ?)",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes:
        max_bytes: Largest size of the file [bytes].
        keep_s: Age from which things go [s].
    """

    max_bytes: int = 256_000_000
    keep_s: float = 30 * DAY_S


def used_bytes(db: sqlite3.Connection) -> int:
    """Return how much of the file holds something [bytes]."""
    values = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    pages, free, size = values
    return int((pages - free) * size)


def prune_old(db: sqlite3.Connection, limits: Limits, now_s: float) -> int:
    """Delete what is older than it may be, and live values beyond their number; returns how many rows went.

    Args:
        db: A connection in autocommit mode.
        limits: How much is kept.
        now_s: Seconds since 1970.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    oldest_s = now_s - limits.keep_s
    gone = sum(_all(db, delete, oldest_s) for delete in OLD)
    if gone:
        merge_letters(db)
    gone += _all(db, OLD_ACCOUNTS, now_s - ACCOUNTS_S)
    return gone + sum(_all(db, TOO_MANY, kind, most) for kind, most in NEWEST.items())


def prune_large(db: sqlite3.Connection, limits: Limits) -> int:
    """Delete the oldest when the file is larger than it may be, and give the room back; returns how many rows went.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    if used_bytes(db) <= limits.max_bytes:
        return 0
    wanted = int(limits.max_bytes * ROOM)
    gone = _oldest_traces(db, wanted)
    for delete in OLDEST:
        while used_bytes(db) > wanted:
            count = db.execute(delete, (CHUNK // 5,)).rowcount
            gone += count
            if not count:
                break
    db.executescript("PRAGMA incremental_vacuum")  # `execute` would end after the first page
    return gone


def _oldest_traces(db: sqlite3.Connection, wanted: int) -> int:
    """Delete the oldest traces until no more is used than wanted [bytes]; returns how many went.

    So many as should do, and then another look: the index of letters grows by what is crossed out in it, so that the
    file's size says nothing until that is merged, which takes too long for every hundred of them.
    """
    gone, each = 0, 0.0  # [bytes] of a trace and its part of the index
    while (used := used_bytes(db)) > wanted:
        (kept,) = db.execute("SELECT count(*) FROM traces").fetchone()
        if not kept:
            break
        each = each or used / kept  # as if there were nothing else: then less goes than is too much
        most = min(kept, math.ceil((used - wanted) / each))
        for at in range(0, most, CHUNK // 5):
            db.execute(OLDEST_TRACES, (min(CHUNK // 5, most - at),))
        merge_letters(db)
        each = max((used - used_bytes(db)) / most, each / 4)
        gone += most
    return gone


def merge_letters(db: sqlite3.Connection) -> None:
    """Take what was deleted out of the index of letters, where it is only crossed out at first: left alone, that grows
    until no trace has room beside it. A full file's index takes a second.
    """
    if not is_lettered(db):
        return
    pages = -MERGED  # below 0: begin with all there is
    while True:
        before = db.total_changes
        db.execute("INSERT INTO letters (letters, rank) VALUES ('merge', ?)", (pages,))
        if db.total_changes - before < 2:  # nothing is left to do, sqlite.org/fts5.html says
            return
        pages = MERGED


def _all(db: sqlite3.Connection, delete: str, *values: object) -> int:
    """Delete in chunks, each a transaction of its own, until nothing is left to delete."""
    gone = 0
    while True:
        count = db.execute(delete, (*values, CHUNK)).rowcount
        gone += count
        if count < CHUNK:
            return gone
