"""Kept answers in a file of their own, `answers.sqlite3`: what a restart does not forget and workers share.

A cache may lose what it holds: a file of another form is begun anew, and a write is not waited for by the disk. It is
opened for each question, so that it may be moved away or deleted at any time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from openfusion_auto.store.files import PRIVATE_FOLDER, make_private

FILE = "answers.sqlite3"
FORM = 1  # `user_version` of the file
BUSY_S = 1.0  # [s] how long another process may hold it
TABLE = (
    "CREATE TABLE IF NOT EXISTS answers"
    " (key TEXT PRIMARY KEY, until REAL NOT NULL, used REAL NOT NULL, value BLOB NOT NULL)"
)
TOO_MANY = (
    "DELETE FROM answers WHERE key IN (SELECT key FROM"
    " (SELECT key, SUM(LENGTH(value)) OVER (ORDER BY used DESC, key) AS total FROM answers)"
    " WHERE total > ?)"
)


class AnswerFile:
    """Values by key. Each method may wait for the disk, and raises `OSError` or `sqlite3.Error` where that fails.

    Args:
        path: The file; it and its folder are made when missing, for this user alone.
        wall: Returns the seconds since 1970.
    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._wall = wall

    def get(self, key: str) -> bytes | None:
        """Return what is kept and not too old."""
        now = self._wall()
        with self._open() as db:
            row = db.execute("SELECT value FROM answers WHERE key = ? AND until > ?", (key, now))
            found: tuple[bytes] | None = row.fetchone()
            if found is not None:
                db.execute("UPDATE answers SET used = ? WHERE key = ?", (now, key))
        return None if found is None else found[0]

    def put(self, key: str, value: bytes, *, ttl_s: float, most: int) -> None:
        """Keep something for so long [s]; what is too old goes, then what was not asked for for longest, down to `most`
        bytes of values.
        """
        now = self._wall()
        with self._open() as db:
            db.execute("DELETE FROM answers WHERE until <= ?", (now,))
            if len(value) <= most:
                row = (key, now + ttl_s, now, value)
                db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)
            db.execute(TOO_MANY, (most,))

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Enter with the file in a transaction."""
        self._path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        make_private(self._path)
        with contextlib.closing(
            sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        ) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("PRAGMA secure_delete = ON").fetchone()
            db.execute("BEGIN IMMEDIATE")
            with db:  # commits, or rolls back
                if db.execute("PRAGMA user_version").fetchone() != (FORM,):
                    db.execute("DROP TABLE IF EXISTS answers")
                    db.execute(f"PRAGMA user_version = {FORM}")
                db.execute(TABLE)
                yield db
