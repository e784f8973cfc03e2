"""The one writer: nothing waits for it, it loses what is of little worth first and lines of the books never."""

import contextlib
import logging
import os
import sqlite3
import threading
import time

import pytest

from openfusion_auto.store import writer as module
from openfusion_auto.store.files import connect
from openfusion_auto.store.migrations import LATEST
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.writer import Batch, Writer, column
from tests.store.samples import STATS, Wall, line, row, until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sqlite3"


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def writer(path, wall):
    made = Writer(path, Limits(), wall)
    yield made
    made.close()


def rows(path, query):
    with contextlib.closing(connect(path)) as db:
        return db.execute(query).fetchall()


def ids(path):
    return [r[0] for r in rows(path, "SELECT id FROM traces ORDER BY rowid")]


def record(writer, name):
    writer.record((name, lambda: row(name)))


@contextlib.contextmanager
def held(path):
    """Another process that holds the file for writing."""
    with contextlib.closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def impatient(monkeypatch):
    """Failures come and are tried again at once."""
    monkeypatch.setattr("openfusion_auto.store.files.BUSY_S", 0.01)
    monkeypatch.setattr(module, "RETRY_S", (0.01, 0.02))


# -- when things are written ------------------------------------------------------------------------------------------


def test_what_is_put_in_is_in_the_file_soon_without_being_asked(writer, path):
    writer.enter(line())
    until(lambda: writer.waiting == 0)
    until(lambda: len(rows(path, "SELECT id FROM ledger")) == 1, timeout_s=2.0)


def test_a_batch_is_due_well_within_a_tenth_of_a_second():
    assert module.GATHER_S <= 0.05


def test_the_thread_starts_with_the_first_thing_and_ends_with_closing(path, wall):
    before = threading.active_count()
    writer = Writer(path, Limits(), wall)
    assert threading.active_count() == before
    assert writer.flush(0.1)
    writer.enter(line())
    assert threading.active_count() == before + 1
    writer.close()
    assert threading.active_count() == before
    assert len(rows(path, "SELECT id FROM ledger")) == 1
    writer.enter(line())  # too late, and no thread for it
    assert threading.active_count() == before
    writer.close()


def test_a_later_value_of_a_key_replaces_an_earlier_one_and_none_forgets(writer, path):
    for ok in range(100):
        writer.keep(("stats", "a"), STATS.__class__(ok=float(ok)), 0.0)
    writer.keep(("stats", "b"), STATS, 0.0)
    writer.keep(("stats", "b"), None, 0.0)
    assert writer.flush(5)
    ((key, value),) = rows(path, "SELECT key, value FROM live WHERE value != ''")
    assert (key, '"ok":99' in value) == ("a", True)


def test_closing_writes_everything_that_waits(path, wall, monkeypatch):
    monkeypatch.setattr(module, "TRACES_A_BATCH", 1)
    writer = Writer(path, Limits(), wall)
    for n in range(50):
        record(writer, f"tr_{n}")
        writer.enter(line(f"tr_{n}"))
    writer.close()
    assert ids(path) == [f"tr_{n}" for n in range(50)]
    assert len(rows(path, "SELECT id FROM ledger")) == 50


def test_traces_come_in_portions_and_all_of_them_in_the_end(writer, path, monkeypatch):
    monkeypatch.setattr(module, "TRACES_A_BATCH", 3)
    monkeypatch.setattr(module, "GATHER_S", 0.001)
    for n in range(20):
        record(writer, f"tr_{n}")
    until(lambda: writer.waiting == 0)
    assert writer.flush(5)
    assert len(ids(path)) == 20


def test_lines_are_in_the_file_before_the_traces_that_came_with_them_are_rendered(writer, path):
    found = []

    def render():
        found.append(len(rows(path, "SELECT id FROM ledger")))
        return row("tr_1")

    writer.record(("tr_1", render))
    writer.enter(line("tr_1"))
    assert writer.flush(5)
    assert (found, ids(path)) == ([1], ["tr_1"])


def test_lines_that_are_written_do_not_wait_again_when_their_traces_cannot_be(
    writer, path, impatient, monkeypatch
):
    written, failures = Writer._write, [sqlite3.OperationalError("disk is full")]

    def fail_once(self, db, batch, forgotten):
        if batch.traces and failures:
            raise failures.pop()
        return written(self, db, batch, forgotten)

    monkeypatch.setattr(Writer, "_write", fail_once)
    record(writer, "tr_1")
    writer.enter(line("tr_1"))
    until(lambda: not failures and writer.waiting == 0)
    assert writer.flush(5)
    assert (len(rows(path, "SELECT id FROM ledger")), ids(path)) == (1, ["tr_1"])


# -- back-pressure ----------------------------------------------------------------------------------------------------


def test_when_the_disk_stands_still_old_traces_go_and_lines_never_and_nobody_waits(
    path, wall, monkeypatch, impatient, caplog
):
    monkeypatch.setattr(module, "MAX_TRACES", 10)
    monkeypatch.setattr(module, "MAX_LIVE", 5)
    caplog.set_level(logging.WARNING)
    connect(path).close()
    writer = Writer(path, Limits(), wall)
    with held(path):
        began = time.thread_time()
        for n in range(1000):
            record(writer, f"tr_{n}")
            writer.enter(line(f"tr_{n}"))
            writer.keep(("seal", f"s{n}"), STATS, 0.0)
        assert time.thread_time() - began < 0.5
        until(lambda: writer.problem is not None)
        assert "locked" in writer.problem
        assert writer.dropped >= 990
        assert writer.waiting <= 1000 + 10 + 5 + 10
    until(lambda: writer.waiting == 0)
    writer.close()
    assert writer.problem is None
    assert 1 <= len([r for r in caplog.records if "has dropped" in r.getMessage()]) <= 11
    kept = ids(path)
    assert kept[-1] == "tr_999"
    assert len(kept) <= 30
    assert [r[0] for r in rows(path, "SELECT trace FROM ledger ORDER BY id")] == [
        f"tr_{n}" for n in range(1000)
    ]


def test_a_failed_batch_waits_in_front_and_newer_values_win(path, wall):
    writer = Writer(path, Limits(), wall)
    writer._live = {("stats", "a"): ("new", 0.0)}
    writer._lines = [line("tr_2")]
    writer._traces.append(("tr_2", row))
    writer._put_back(
        Batch(
            {("stats", "a"): ("old", 0.0), ("stats", "b"): ("old", 0.0)},
            {"a": [(STATS, 0.0)], "c": [(STATS, 0.0)]},
            [line("tr_1")],
            [("tr_1", row)],
        )
    )
    assert writer._live == {("stats", "a"): ("new", 0.0), ("stats", "b"): ("old", 0.0)}
    assert set(writer._added) == {"c"}  # all of a was replaced meanwhile
    assert [x.trace for x in writer._lines] == ["tr_1", "tr_2"]
    assert [name for name, _ in writer._traces] == ["tr_1", "tr_2"]


def test_what_cannot_be_written_until_closing_is_said(path, wall, monkeypatch, impatient, caplog):
    connect(path).close()
    writer = Writer(path, Limits(), wall)
    with held(path):
        writer.enter(line())
        writer.close()
    assert "1 things that were not written" in caplog.text


# -- failures ---------------------------------------------------------------------------------------------------------


def test_a_failure_is_said_once_and_its_end_too(path, wall, impatient, caplog):
    caplog.set_level(logging.WARNING)
    connect(path).close()
    writer = Writer(path, Limits(), wall)
    with held(path):
        writer.enter(line())
        until(lambda: writer.problem is not None)
        time.sleep(0.3)
    until(lambda: writer.problem is None)
    writer.close()
    said = [r.getMessage() for r in caplog.records]
    assert len([m for m in said if "cannot be written" in m]) == 1
    assert len([m for m in said if "is written again" in m]) == 1


def test_a_trace_that_cannot_be_rendered_is_dropped_alone(writer, path, caplog):
    def bad():
        raise KeyError("a defect")

    writer.record(("tr_bad", bad))
    record(writer, "tr_good")
    writer.enter(line())
    assert writer.flush(5)
    assert ids(path) == ["tr_good"]
    assert writer.dropped == 1
    assert "tr_bad" in caplog.text
    assert len(rows(path, "SELECT id FROM ledger")) == 1


def test_a_defect_in_a_value_does_not_end_the_books(writer, path, impatient, caplog):
    writer.keep(("stats", "a"), object(), 0.0)
    writer.enter(line())
    until(lambda: writer.waiting == 0)
    assert writer.flush(5)
    assert len(rows(path, "SELECT id FROM ledger")) == 1
    assert writer.dropped == 1
    assert "dropped" in caplog.text


def test_a_file_that_a_newer_version_has_taken_over_is_not_written(writer, path, impatient):
    writer.enter(line())
    assert writer.flush(5)
    writer._disconnect()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 99")
    writer.enter(line())
    writer.flush(5)
    assert "newer openfusion" in writer.problem
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM ledger").fetchone() == (1,)
        db.execute(f"PRAGMA user_version = {LATEST}")
    until(lambda: writer.problem is None)


def test_a_file_that_is_moved_away_is_made_anew(writer, path):
    writer.enter(line("tr_1"))
    assert writer.flush(5)
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{end}")
    writer.enter(line("tr_2"))
    assert writer.flush(5)
    assert rows(path, "SELECT trace FROM ledger") == [("tr_2",)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a\ud800b", "a?b"),
        (10**30, 2**63 - 1),
        (-(10**30), -(2**63 - 1)),
        (True, 1),
        (1.5, 1.5),
        (None, None),
        (b"x", b"x"),
    ],
)
def test_what_sqlite_would_refuse_is_made_to_fit(value, kept):
    assert column(value) == kept


def test_odd_values_of_a_broken_upstream_are_entered(writer, path):
    writer.enter(line(model="m\ud800", input=10**40, usd=float("inf")))
    assert writer.flush(5)
    assert rows(path, "SELECT model, input FROM ledger") == [("m?", 2**63 - 1)]


# -- age, size, forgetting --------------------------------------------------------------------------------------------


def test_what_is_old_goes_now_and_then(writer, path, wall):
    writer.enter(line("tr_old", at=wall.now_s))
    assert writer.flush(5)
    wall.now_s += 31 * 86_400
    writer.enter(line("tr_new", at=wall.now_s))
    assert writer.flush(5)
    until(lambda: rows(path, "SELECT trace FROM ledger") == [("tr_new",)])


def test_the_file_stays_in_its_size(path, wall):
    writer = Writer(path, Limits(max_bytes=1_000_000), wall)
    for n in range(400):
        writer.record(
            (f"tr_{n}", lambda n=n: row(f"tr_{n}", at=float(n), document=os.urandom(5000)))
        )
        if n % 100 == 99:
            writer.flush(5)
    writer.close()
    assert path.stat().st_size < 1_100_000
    assert ids(path)[-1] == "tr_399"


def test_a_failure_of_pruning_does_not_write_a_batch_twice(writer, path, monkeypatch, caplog):
    def fails(*_):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(module, "prune_old", fails)
    caplog.set_level(logging.WARNING)
    writer.enter(line())
    assert writer.flush(5)
    writer.enter(line())
    assert writer.flush(5)
    assert len(rows(path, "SELECT id FROM ledger")) == 2
    assert "cannot be deleted now" in caplog.text


def test_what_somebody_else_forgets_is_told_and_not_written_back(writer, path, wall):
    told = []
    writer.on_forget(told.append)
    writer.keep(("stats", "a"), STATS, 0.0)
    assert writer.flush(5)
    with contextlib.closing(connect(path)) as db:
        db.execute("INSERT INTO resets (at, candidate) VALUES (1, 'a')")
        db.execute("DELETE FROM live")
    writer.keep(("stats", "a"), STATS, 0.0)
    writer.keep(("stats", "b"), STATS, 0.0)
    assert writer.flush(5)
    assert told == ["a"]
    assert rows(path, "SELECT key FROM live") == [("b",)]
    with contextlib.closing(connect(path)) as db:
        db.execute("INSERT INTO resets (at) VALUES (1)")
    until(lambda: told == ["a", None])  # an idle writer looks by itself


def test_what_is_forgotten_while_the_file_cannot_be_written_is_told_later(writer, path, impatient):
    told = []
    writer.on_forget(told.append)
    assert writer.flush(5)
    with contextlib.closing(connect(path)) as other:
        other.execute("INSERT INTO resets (at) VALUES (1)")
        other.execute("BEGIN IMMEDIATE")
        writer.enter(line())
        until(lambda: writer.problem is not None)
        assert told == []
        other.execute("ROLLBACK")
    until(lambda: told == [None])


def test_what_was_forgotten_before_the_start_is_not_told(path, wall):
    with contextlib.closing(connect(path)) as db:
        db.execute("INSERT INTO resets (at) VALUES (1)")
    told = []
    writer = Writer(path, Limits(), wall)
    writer.on_forget(told.append)
    writer.flush(5)
    writer.close()
    assert told == []
