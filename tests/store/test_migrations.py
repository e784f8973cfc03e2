"""Every older shape of the file becomes the newest one and keeps what it held; a newer one is left alone."""

import contextlib
import sqlite3

import pytest

from openfusion_auto.errors import ConfigError, StoreTooNew
from openfusion_auto.store import migrations as module
from openfusion_auto.store.base import TraceQuery
from openfusion_auto.store.files import connect
from openfusion_auto.store.migrations import LATEST, MIGRATIONS, migrate, version
from openfusion_auto.store.retention import Limits, prune_old
from openfusion_auto.store.sqlite import SqliteStore
from tests.store.samples import Wall, line, row


@pytest.fixture
def db(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "s.sqlite3", isolation_level=None)) as made:
        yield made


# What a file of a version may hold: statement, how it is found again.
CONTENT = {
    1: (
        "INSERT INTO live (kind, key, at, value) VALUES ('stats', 'a', 1.0, '{}')",
        "SELECT kind, key, at, value FROM live",
    ),
    2: (
        "INSERT INTO ledger VALUES (1, 't', 1.0, 's', 'p', 'c', 'm', 'u', 'ok', 1, 0, 0, 2, NULL, 0)",
        "SELECT * FROM ledger",
    ),
    3: (
        (
            "INSERT INTO traces (id, at, requested, candidate, model, mode, outcome, summary, document)"
            " VALUES ('t', 1.0, 'r', 'c', 'm', 'single', 'ok', '{}', x'00')"
        ),
        "SELECT id, at, requested, candidate, model, mode, outcome, summary, document FROM traces",
    ),
    4: ("INSERT INTO resets VALUES (1, 1.0, NULL)", "SELECT * FROM resets"),
    5: (
        (
            "INSERT INTO traces (id, at, requested, candidate, model, mode, outcome, summary, document, owner)"
            " VALUES ('u', 1.0, 'r', 'c', 'm', 'single', 'ok', '{}', x'00', 'hash')"
        ),
        "SELECT id, owner FROM traces WHERE id = 'u'",
    ),
    6: (
        "INSERT INTO accounts VALUES ('server', 1.0, '{}')",
        "SELECT name, at, value FROM accounts",
    ),
    7: (
        "UPDATE traces SET kind = 'bugfix', session = 's' WHERE id = 't'",
        "SELECT kind, session FROM traces WHERE id = 't' AND kind NOT NULL",
    ),
    8: ("INSERT INTO turns VALUES ('sha256:x', 3, 1.0)", "SELECT name, n, at FROM turns"),
    9: (
        "UPDATE traces SET words = 'said' WHERE id = 't'",
        "SELECT words FROM traces WHERE id = 't' AND words NOT NULL",
    ),
    10: (
        (
            "INSERT INTO traces (id, at, requested, outcome, summary, document, words)"
            " VALUES ('v', 2.0, 'r', 'ok', '{}', x'00', 'heard')"
        ),
        "SELECT trace FROM lettered WHERE n IN (SELECT rowid FROM letters WHERE letters MATCH '\"ear\"')",
    ),
}


def shape(db):
    return sorted(row[0] for row in db.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL"))


def made(db, steps):
    for number, step in enumerate(MIGRATIONS[:steps], 1):
        step(db)
        db.execute(f"PRAGMA user_version = {number}")


def test_every_version_has_content_here():
    assert set(CONTENT) == set(range(1, LATEST + 1)), "a new step: say what a file of it may hold"


@pytest.mark.parametrize("old", range(LATEST + 1))
def test_every_older_file_becomes_the_newest_and_keeps_what_it_held(db, tmp_path, old):
    made(db, old)
    for put, _ in (CONTENT[n] for n in range(1, old + 1)):
        db.execute(put)
    before = [db.execute(CONTENT[n][1]).fetchall() for n in range(1, old + 1)]
    migrate(db)
    assert version(db) == LATEST
    assert [db.execute(CONTENT[n][1]).fetchall() for n in range(1, old + 1)] == before
    assert all(before)
    if old >= 3:
        assert ("t", None) in db.execute("SELECT id, owner FROM traces").fetchall()
    with contextlib.closing(sqlite3.connect(tmp_path / "n.sqlite3", isolation_level=None)) as new:
        migrate(new)
        assert shape(db) == shape(new)


def test_words_of_before_are_found_by_their_letters_and_leave_them_with_their_trace(db):
    made(db, 9)
    for put, _ in (CONTENT[n] for n in range(1, 10)):
        db.execute(put)
    migrate(db)
    found = 'SELECT rowid FROM letters WHERE letters MATCH \'"sai" "aid"\''
    assert db.execute(f"SELECT trace FROM lettered WHERE n IN ({found})").fetchall() == [("t",)]
    db.execute("DELETE FROM traces")
    assert db.execute(found).fetchall() == []
    assert db.execute("SELECT * FROM lettered").fetchall() == []


def test_without_the_index_of_letters_a_file_has_all_the_rest(tmp_path):
    """As with an SQLite that was built without FTS5."""

    class Plain(sqlite3.Connection):
        def execute(self, sql, *values):
            if "VIRTUAL TABLE" in sql:
                sql = "CREATE VIRTUAL TABLE letters USING not_built_in(words)"
            return super().execute(sql, *values)

    path = tmp_path / "p.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, factory=Plain)) as plain:
        migrate(plain)
        assert version(plain) == LATEST
    store = SqliteStore(path, Limits(), Wall())
    store.record("tr_1", lambda: row("tr_1", words="what was said"))
    for words, wanted in (("was said", ["tr_1"]), ("as", ["tr_1"]), ("unsaid", [])):
        assert [r.head.id for r in store.traces(TraceQuery(5, words=words))] == wanted
    store.close()


def test_an_index_that_this_sqlite_cannot_read_is_given_up_for_good(tmp_path):
    """As when another Python reads the file, whose SQLite has no FTS5: neither books nor traces may wait for it."""
    path, wall = tmp_path / "p.sqlite3", Wall()
    query = TraceQuery(5, words="was said")

    def told(name, words):
        store = SqliteStore(path, Limits(), wall)
        store.enter(line(name))
        store.record(name, lambda: row(name, at=wall(), words=words))
        found = [r.head.id for r in store.traces(query)]
        assert store.status().problem is None
        store.close()
        return found

    def rename(one, other):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            change = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE name = 'letters'"
            assert db.execute(change, (one, other)).rowcount == 1

    assert told("tr_1", "what was said") == ["tr_1"]
    rename("fts5", "not_built_in")
    assert told("tr_2", "more was said") == ["tr_2", "tr_1"]
    rename("not_built_in", "fts5")  # the index does not know the second one
    assert told("tr_3", "unsaid") == ["tr_2", "tr_1"]
    with contextlib.closing(connect(path)) as db:
        assert prune_old(db, Limits(keep_s=0.0), wall() + 1.0) == 6
        assert db.execute("SELECT count(*) FROM ledger").fetchone() == (0,)


@pytest.mark.parametrize("pages", range(6))
def test_a_disk_that_fills_up_leaves_the_index_for_another_time(db, pages):
    """It is no sign of an SQLite without FTS5: the file would never get its index."""
    made(db, 9)
    for put, _ in (CONTENT[n] for n in range(1, 10)):
        db.execute(put)
    (used,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {used + pages}")
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        migrate(db)
    assert version(db) == 9
    db.execute("PRAGMA max_page_count = 100000")
    migrate(db)
    assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'words_went'").fetchone()


def test_a_step_is_applied_once(db, monkeypatch):
    done = []
    monkeypatch.setattr(module, "MIGRATIONS", (lambda _: done.append(1), lambda _: done.append(2)))
    monkeypatch.setattr(module, "LATEST", 2)
    migrate(db)
    migrate(db)
    assert done == [1, 2]


def test_a_step_that_fails_leaves_the_file_as_it_was(db, monkeypatch):
    def bad(connection):
        connection.execute("CREATE TABLE half (x)")
        connection.execute("CREATE TABLE half (x)")

    monkeypatch.setattr(module, "MIGRATIONS", (MIGRATIONS[0], bad))
    monkeypatch.setattr(module, "LATEST", 2)
    with pytest.raises(sqlite3.OperationalError):
        migrate(db)
    assert version(db) == 1
    assert not any("half" in text for text in shape(db))


def test_a_newer_file_is_refused_with_what_to_do_and_not_touched(db):
    migrate(db)
    db.execute(f"PRAGMA user_version = {LATEST + 1}")
    before = shape(db)
    with pytest.raises(
        StoreTooNew, match=f"version {LATEST + 1}, this one knows {LATEST}.*upgrade"
    ) as refused:
        migrate(db)
    assert isinstance(refused.value, ConfigError)
    assert (version(db), shape(db)) == (LATEST + 1, before)


def test_the_steps_are_documented():
    assert all(len((step.__doc__ or "").split()) > 5 for step in MIGRATIONS)
