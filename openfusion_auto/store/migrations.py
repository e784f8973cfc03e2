"""The shape of the store's file: ordered steps, each applied once. The file's `user_version` counts those that were.

A step that has been released is never changed; a new shape is a new step at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from openfusion_auto.errors import StoreTooNew

Migration = Callable[[sqlite3.Connection], None]


def live_values(db: sqlite3.Connection) -> None:
    """Statistics, breakers, pins and seals: JSON by kind and key; `at` is the last change [s since 1970]."""
    db.execute(
        "CREATE TABLE live (kind TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, value TEXT NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX live_by_age ON live (kind, at)")


def books(db: sqlite3.Connection) -> None:
    """The ledger: one line a call; `usd` NULL = unknown price, tokens NULL = none known to be used."""
    db.execute(
        "CREATE TABLE ledger (id INTEGER PRIMARY KEY, trace TEXT NOT NULL, at REAL NOT NULL,"
        " session TEXT NOT NULL, phase TEXT NOT NULL, candidate TEXT NOT NULL, model TEXT NOT NULL,"
        " upstream TEXT NOT NULL, status TEXT NOT NULL, input INTEGER, cached INTEGER,"
        " cache_write INTEGER, output INTEGER, usd REAL, estimated INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX ledger_by_age ON ledger (at)")


def traces(db: sqlite3.Connection) -> None:
    """Traces: columns to find them by, `summary` as JSON, `document` in the form of its writer."""
    db.execute(
        "CREATE TABLE traces (id TEXT PRIMARY KEY, at REAL NOT NULL, requested TEXT NOT NULL,"
        " candidate TEXT, model TEXT, mode TEXT, outcome TEXT NOT NULL, summary TEXT NOT NULL,"
        " document BLOB NOT NULL)"
    )
    db.execute("CREATE INDEX traces_by_age ON traces (at, id)")


def resets(db: sqlite3.Connection) -> None:
    """What was forgotten on purpose, so that running servers forget it too; NULL = every candidate."""
    db.execute(
        "CREATE TABLE resets (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, candidate TEXT)"
    )


def owners(db: sqlite3.Connection) -> None:
    """Whose a trace is: a hash of the id of the gateway key that asked; NULL = no key, and all from before."""
    db.execute("ALTER TABLE traces ADD COLUMN owner TEXT")
    db.execute("CREATE INDEX traces_by_owner ON traces (owner, at, id)")


def together(db: sqlite3.Connection) -> None:
    """What several processes on one file need: a number and a writer for each change of a live value, and the volatile
    part of accounts (places taken, money held, buckets) with the leases of the processes that hold it.
    """
    db.execute("ALTER TABLE live ADD COLUMN rev INTEGER NOT NULL DEFAULT 0")
    db.execute("ALTER TABLE live ADD COLUMN writer TEXT NOT NULL DEFAULT ''")
    db.execute("CREATE INDEX live_by_rev ON live (rev)")
    db.execute("CREATE TABLE revision (n INTEGER NOT NULL)")
    db.execute("INSERT INTO revision (n) VALUES (0)")
    db.execute(
        "CREATE TABLE accounts (name TEXT PRIMARY KEY, at REAL NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE processes (id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID")


def facets(db: sqlite3.Connection) -> None:
    """What else traces are found by; NULL in all from before. The index holds every column that a list is filtered by:
    whoever passes over thousands of traces does not read them.
    """
    db.execute("ALTER TABLE traces ADD COLUMN kind TEXT")
    db.execute("ALTER TABLE traces ADD COLUMN session TEXT")
    db.execute("DROP INDEX traces_by_age")
    db.execute("DROP INDEX traces_by_owner")
    db.execute(
        "CREATE INDEX traces_to_list ON traces"
        " (at, id, requested, candidate, model, mode, outcome, owner, kind, session)"
    )


def turns(db: sqlite3.Connection) -> None:
    """How many requests have taken their turn in each list of models that take turns, by a digest of the list."""
    db.execute(
        "CREATE TABLE turns (name TEXT PRIMARY KEY, n INTEGER NOT NULL, at REAL NOT NULL) WITHOUT ROWID"
    )


def words(db: sqlite3.Connection) -> None:
    """The words that a trace is found by, in small letters; NULL where words are not kept, and in all from before."""
    db.execute("ALTER TABLE traces ADD COLUMN words TEXT")


def words_by_letters(db: sqlite3.Connection) -> None:
    """An index of all runs of three letters in `words`, so that a search reads those traces alone that hold its own;
    triggers keep it. It needs a number that stays with a trace: that of a row without a name is SQLite's to change.
    """
    db.execute("CREATE TABLE lettered (n INTEGER PRIMARY KEY, trace TEXT NOT NULL UNIQUE)")
    try:  # `detail = none`: not where they stand, which would be six times as large
        db.execute(
            "CREATE VIRTUAL TABLE letters USING fts5"
            " (words, content = '', tokenize = 'trigram case_sensitive 1', detail = 'none')"
        )
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:  # a full disk, a lock: for another time
            raise
        return  # an SQLite without FTS5 (or before 3.34): all words are looked through
    db.execute(
        "CREATE TRIGGER words_came AFTER INSERT ON traces WHEN new.words NOT NULL BEGIN"
        " INSERT INTO lettered (trace) VALUES (new.id);"
        " INSERT INTO letters (rowid, words) SELECT n, new.words FROM lettered WHERE trace = new.id; END"
    )
    db.execute(
        "CREATE TRIGGER words_went AFTER DELETE ON traces WHEN old.words NOT NULL BEGIN"
        " INSERT INTO letters (letters, rowid, words)"
        " SELECT 'delete', n, old.words FROM lettered WHERE trace = old.id;"
        " DELETE FROM lettered WHERE trace = old.id; END"
    )
    db.execute(
        "INSERT INTO lettered (trace) SELECT id FROM traces WHERE words NOT NULL ORDER BY at, id"
    )
    db.execute(
        "INSERT INTO letters (rowid, words)"
        " SELECT n, words FROM lettered JOIN traces ON id = trace ORDER BY n"
    )


def is_lettered(db: sqlite3.Connection) -> bool:
    """Whether the index of letters is kept. An SQLite that cannot read it could write no trace beside it either: there
    the index is given up, for good, as it has gaps from then on.

    Raises:
        sqlite3.Error: the file cannot be read or written.
    """
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'words_came'").fetchone():
        return False
    try:
        db.execute("SELECT rowid FROM letters LIMIT 0")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        db.execute("DROP TRIGGER IF EXISTS words_came")
        db.execute("DROP TRIGGER IF EXISTS words_went")
        return False
    return True


MIGRATIONS: tuple[Migration, ...] = (
    live_values,
    books,
    traces,
    resets,
    owners,
    together,
    facets,
    turns,
    words,
    words_by_letters,
)
LATEST = len(MIGRATIONS)


def version(db: sqlite3.Connection) -> int:
    """Return how many steps have been applied to a file."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    return int(found)


def migrate(db: sqlite3.Connection) -> None:
    """Apply the steps that a file lacks, each in a transaction of its own.

    Args:
        db: A connection in autocommit mode (`isolation_level=None`).

    Raises:
        StoreTooNew: it has more steps than this version knows; nothing is changed.
        sqlite3.Error: it cannot be read or written.
    """
    while (applied := version(db)) != LATEST:
        if applied > LATEST:
            raise StoreTooNew(
                f"the store was written by a newer openfusion (its version {applied}, this one knows {LATEST}): "
                "upgrade, or set OPENFUSION_STATE_DIR to another folder, or start with --no-store"
            )
        db.execute("BEGIN IMMEDIATE")
        try:
            if version(db) == applied:  # else another process was quicker
                MIGRATIONS[applied](db)
                db.execute(f"PRAGMA user_version = {applied + 1}")
        except BaseException:
            if db.in_transaction:  # SQLite itself has ended it when the disk is full
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
