"""The store's file: where it is, who may read it, how it is opened, and what a failure means in plain words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from openfusion_auto.store.migrations import LATEST, migrate, version

FILE = "state.sqlite3"
DRY_RUN_FILE = "dry-run.sqlite3"  # made-up answers must not teach anything about real models
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
# [s] how long another process may hold the file before a write fails and is tried again.
BUSY_S = 5.0
TRIES, AGAIN_S = 50, 0.01  # of what SQLite itself does not wait for, and [s] between two
MIGRATING_S = 60.0  # [s] the same while another process brings an older file up to date
STEPS = 2_000  # of SQLite's machine between two questions whether to stop, each of which waits for Python: 100 rows
WAL_BYTES = 4_000_000  # [bytes] to which the file beside the file is cut back


def file_in(folder: Path, *, dry_run: bool) -> Path:
    """Return the store's file in the folder for everything that is written."""
    return folder / (DRY_RUN_FILE if dry_run else FILE)


def connect(path: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode to a file of the newest shape; folder and file are made when missing.

    `any_thread`: whoever uses it sees to it that one thread at a time does.

    The write-ahead log with `synchronous = NORMAL`: a process that is killed loses no transaction, a machine that
    loses power may lose the last ones but never the file (sqlite.org/pragma.html#pragma_synchronous).

    Raises:
        OSError: folder or file cannot be made.
        sqlite3.Error: it is no database, or cannot be read or written.
        StoreTooNew: a newer version has written it.
    """
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    make_private(path)
    db = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=not any_thread
    )
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts only while the file is still empty
        write_ahead(db)
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA recursive_triggers = ON")  # for the words of a row that is replaced
        db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}").fetchone()
        db.execute(f"PRAGMA busy_timeout = {MIGRATING_S * 1000:.0f}")
        migrate(db)
        db.execute(f"PRAGMA busy_timeout = {BUSY_S * 1000:.0f}")
    except BaseException:
        db.close()
        raise
    return db


def damage(path: Path, stop: Callable[[], bool]) -> str | None:
    """Return what is wrong with a file that is there; None where nothing was found.

    Nothing is changed, and a server may work with it meanwhile. `stop` is asked now and then whether it has taken long
    enough.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        ) as db:
            db.set_progress_handler(stop, STEPS)
            if version(db) > LATEST:
                return f"written by a newer openfusion (its version {version(db)}, this one knows {LATEST})"
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        too_long = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        return None if too_long else reason(error)
    return None if found == "ok" else "database disk image is malformed"


def write_ahead(db: sqlite3.Connection) -> None:
    """Have a file keep a write-ahead log; SQLite does not wait for somebody who is just making the same file, so we do.

    Raises:
        sqlite3.Error: as `connect`, busy after all tries.
    """
    for left in reversed(range(TRIES)):
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchone()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise
        time.sleep(AGAIN_S)


class Reading:
    """One connection for all that is read, from any thread; a new one when the file has been moved away or replaced.

    Kept, as opening one costs more than most of what is asked: 2 ms, and when it is the last to be closed the whole log
    is copied into the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def rows(
        self,
        query: str,
        values: Sequence[object] = (),
        stop: Callable[[], bool] | None = None,
    ) -> list[tuple[Any, ...]]:
        """Return all rows; raises as `connect` does, and then begins anew with the next query.

        `stop` is asked now and then whether it has taken too long: then `sqlite3.OperationalError`, SQLITE_INTERRUPT.
        """
        with self._lock:
            if self._file != identity(self._path):
                self._close()
            try:
                if self._db is None:
                    self._db = connect(self._path, any_thread=True)
                    self._file = identity(self._path)
                self._db.set_progress_handler(stop, STEPS)
                return self._db.execute(query, values).fetchall()
            except BaseException:
                self._close()
                raise

    def close(self) -> None:
        """Let go; a later query opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # what was read is read
                db.close()


def make_private(path: Path) -> None:
    """Make the file before SQLite does it with everybody's mode; its companions (-wal, -shm) get the mode of the file.

    One that is there is never opened: closing it again would end the locks by which other connections of this process
    keep others from deleting the log that they write to (sqlite.org/howtocorrupt.html, 2.2).
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE_FILE))
    except FileExistsError:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(PRIVATE_FILE)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def reason(error: Exception) -> str:
    """Return why it failed, without the path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error) or type(error).__name__
