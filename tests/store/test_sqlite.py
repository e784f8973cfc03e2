"""The store in a file: the same answers as the one in memory, and then what only a file can do."""

import contextlib
import logging
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from openfusion_auto.core.lessons import PROJECT_CHARS, Key, Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Breaker, Cached, Pin, Stats
from openfusion_auto.errors import Overloaded, StoreTooNew
from openfusion_auto.store.base import KINDS, LEARNED, Maker, TraceQuery, folded
from openfusion_auto.store.files import connect
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore, open_store
from tests.store.samples import ALL, BREAKER, MAKER, STATS, Wall, line, row, until


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "s.sqlite3"


@pytest.fixture
def store(path):
    made = SqliteStore(path, Limits(), Wall())
    yield made
    made.close()


FOR_EVER = Limits(keep_s=1e12)


def again(store):
    """What a process finds that comes after."""
    store.close()
    return SqliteStore(store.path, FOR_EVER, Wall())


# -- as the one in memory ---------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c\ud800", "d"])
moments = st.floats(0, 4e9)
caches = st.lists(st.builds(Cached, names, st.integers(0, 10**9), moments), max_size=2).map(tuple)
slots = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**14)), max_size=3).map(tuple)
values = {
    Stats: st.builds(Stats, *[st.floats(0, 1e6)] * 11),
    Breaker: st.builds(Breaker, st.sampled_from(["closed", "open"]), st.integers(0, 9), moments),
    Pin: st.builds(Pin, names, caches, st.integers(1, 99), moments, st.booleans()),
    Maker: st.builds(Maker, names, names),
    Spending: st.builds(Spending, slots, slots, st.integers(0, 10**9), moments),
    Tally: st.builds(Tally, st.floats(0, 1e3), st.floats(0, 1e3), moments),
}
kept = st.sampled_from(list(values)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.none() | values[kind])
)
said = st.text('aBß"* \0\u6771\U0001f600', max_size=9).map(folded)
rows = st.builds(
    row, st.sampled_from(["tr_1", "tr_2", "tr_3"]), st.sampled_from([1.0, 2.0, 3.5]),
    document=st.binary(max_size=5), mode=st.sampled_from(["single", "panel", None]),
    outcome=st.sampled_from(["ok", "error"]), candidate=st.none() | st.sampled_from(["a", "b"]),
    words=st.none() | said,
)  # fmt: skip
queries = st.builds(
    TraceQuery, st.integers(1, 4), st.none() | st.tuples(st.sampled_from([1.0, 2.0, 4.0]), st.sampled_from(["", "tr_2"])),
    st.sampled_from([None, "a", "openfusion/auto", "nobody"]), st.sampled_from([None, "single"]), st.sampled_from([None, "ok"]),
    words=st.none() | said.filter(bool),
)  # fmt: skip
lines = st.builds(
    line, at=st.sampled_from([5.0, 6.0]), candidate=st.sampled_from(["a", "b"]), usd=st.none() | st.just(0.25),
    input=st.none() | st.integers(0, 1000), status=st.sampled_from(["ok", "cancelled", "upstream_timeout"]),
)  # fmt: skip


class SameAnswers(RuleBasedStateMachine):
    """Whatever is put in, in whatever order, restarts included: file and memory answer the same."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.file = SqliteStore(self.folder / "s.sqlite3", FOR_EVER, Wall())
        self.memory = MemoryStore()
        self.dirty = False

    def teardown(self):
        self.file.close()
        shutil.rmtree(self.folder)

    def both(self, what, *args):
        self.dirty = True
        return getattr(self.file, what)(*args), getattr(self.memory, what)(*args)

    @rule(key=st.sampled_from(["a", "b", "c"]), kept=kept, epoch_s=st.sampled_from([0.0, 1000.0]))
    def keep(self, key, kept, epoch_s):
        self.both("keep", kept[0], key, kept[1], epoch_s)

    @rule(line=lines)
    def enter(self, line):
        self.both("enter", line)

    @rule(row=rows)
    def record(self, row):
        self.both("record", row.head.id, lambda: row)

    @rule(who=st.sampled_from(["a", "b"]), tally=values[Tally])
    def learn(self, who, tally):
        self.both("keep", Tally, str(Key("0" * PROJECT_CHARS, "bugfix", who)), tally, 0.0)

    @rule(candidate=st.sampled_from([None, "a", "nobody", LEARNED]))
    def forget(self, candidate):
        one, other = self.both("forget", candidate)
        assert one == other

    @precondition(lambda self: self.dirty)
    @rule()
    def restart(self):
        self.file = again(self.file)
        self.dirty = False

    @rule(query=queries, since_s=st.sampled_from([0.0, 5.5]))
    def ask(self, query, since_s):
        assert self.file.traces(query) == self.memory.traces(query)
        for words in ("a", "ab", "abs", 'b"*'):
            query = TraceQuery(9, words=words)
            assert self.file.traces(query) == self.memory.traces(query)
        assert self.file.spend(since_s) == self.memory.spend(since_s)
        for name in ("tr_1", "tr_2", "tr_9"):
            assert self.file.trace(name) == self.memory.trace(name)

    @rule()
    def load(self):
        for kind in KINDS:
            assert dict(self.file.load(kind, 500.0)) == dict(self.memory.load(kind, 500.0))


TestSameAnswers = SameAnswers.TestCase
TestSameAnswers.settings = settings(max_examples=15, stateful_step_count=15)


# -- what only a file can do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "value"), ALL.items(), ids=lambda v: getattr(v, "__name__", ""))
def test_live_values_survive_a_restart_on_another_clock(store, kind, value):
    store.keep(kind, "a", value, 5_000.0)
    with contextlib.closing(again(store)) as later:
        assert later.load(kind, 5_000.0) == [("a", value)]
        ((_, moved),) = later.load(kind, 5_900.0)
    if kind is Stats:
        assert moved.at_s == STATS.at_s - 900
    if kind is Breaker:
        assert moved.until_s == BREAKER.until_s - 900


def test_what_changed_last_comes_last(store):
    wall = store._wall
    for name in ("a", "b", "c", "a"):
        store.keep(Maker, name, MAKER, 0.0)
        store._writer.flush(5)
        wall.now_s += 1
    assert [k for k, _ in store.load(Maker, 0.0)] == ["b", "c", "a"]


def test_a_value_that_cannot_be_read_is_left_out_and_said(store, caplog):
    store.keep(Stats, "good", STATS, 0.0)
    store._writer.flush(5)
    with contextlib.closing(connect(store.path)) as db:
        db.execute("INSERT INTO live VALUES ('stats', 'bad', 1.0, 'nonsense', 0, '')")
    assert [k for k, _ in store.load(Stats, 0.0)] == ["good"]
    assert "1 of stats cannot be read" in caplog.text


def test_what_was_put_in_just_before_is_read(store):
    for n in range(100):
        store.record(f"tr_{n}", lambda n=n: row(f"tr_{n}", document=str(n).encode()))
    assert store.trace("tr_99").document == b"99"
    assert len(store.traces(TraceQuery(200))) == 100


def test_sums_of_absurd_token_counts_do_not_fail(store):
    for _ in range(3):
        store.enter(line(input=10**30))
    ((spend),) = store.spend(0.0)
    assert spend.input > 10**19


def test_a_search_that_takes_too_long_is_ended_and_nobody_waits_for_it(store, monkeypatch):
    for i in range(200):
        store.record(f"t{i}", lambda i=i: row(f"t{i}", words="alpha beth eta"))
    assert len(store.traces(TraceQuery(300, words="alpha"))) == 200
    monkeypatch.setattr("openfusion_auto.store.sqlite.SEARCH_S", -1.0)
    with pytest.raises(Overloaded, match=r"name a time, .* model\.$"):
        store.traces(TraceQuery(300, words="beta"))
    with pytest.raises(Overloaded, match="Three letters"):
        store.traces(TraceQuery(300, words="b"))
    assert len(store.traces(TraceQuery(300))) == 200
    monkeypatch.undo()
    with store._searching._lock:  # another search
        assert store.trace("t7")
        assert len(store.traces(TraceQuery(5))) == 5
    assert store.traces(TraceQuery(300, words="beta")) == []


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("strasse", ["t2"]),
        ("straße", []),  # whoever asks has folded it
        ("say \"no\" to 'all'", ["t1"]),
        ('no" or "x', []),
        ("東京", ["t3"]),
        ("東京は", ["t3"]),
        ("* near(", ["t0"]),
        ("o" * 300, ["t4"]),
        ("o" * 301, []),
        ("o" * 100 + "b", []),
    ],
)
def test_words_are_found_as_they_stand(store, words, ids):
    texts = ("a * NEAR(b c) AND d", "say \"No\" to 'all'", "Straße", "東京は夜", "o" * 300)
    for i, text in enumerate(texts):
        store.record(f"t{i}", lambda i=i, text=text: row(f"t{i}", words=folded(text)))
    assert [r.head.id for r in store.traces(TraceQuery(9, words=words))] == ids


def test_a_trace_that_is_written_again_is_found_by_its_last_words_alone(store):
    for words in ("first words", "second words"):
        store.record("t1", lambda words=words: row("t1", words=words))
    assert store.traces(TraceQuery(9, words="first")) == []
    assert len(store.traces(TraceQuery(9, words="second"))) == 1
    with contextlib.closing(connect(store.path)) as db:
        assert (
            db.execute("SELECT rowid FROM letters WHERE letters MATCH '\"fir\"'").fetchall() == []
        )


def test_words_are_found_after_a_person_has_packed_the_file(store):
    """VACUUM gives rows of a table without a number of its own new ones, as it likes."""
    for n in range(9):
        store.record(f"t{n}", lambda n=n: row(f"t{n}", words=f"number {n}"))
    assert len(store.traces(TraceQuery(20))) == 9
    with contextlib.closing(connect(store.path)) as db:
        db.execute("DELETE FROM traces WHERE id IN ('t0', 't3')")
        db.execute("VACUUM")
    assert [r.head.id for r in store.traces(TraceQuery(9, words="number 7"))] == ["t7"]


def test_two_processes_may_share_a_file_and_forgetting_reaches_both(store, path):
    told = []
    other = SqliteStore(path, Limits(), Wall())
    other.on_forget(told.append)
    other._writer.flush(5)
    store.keep(Stats, "a", STATS, 0.0)
    other.keep(Stats, "b", STATS, 0.0)
    assert {k for k, _ in other.load(Stats, 0.0)} >= {"b"}
    assert {k for k, _ in store.load(Stats, 0.0)} == {"a", "b"}
    assert store.forget("a") == 1
    until(lambda: told == ["a"])
    other.close()


def test_it_says_how_it_is(store, path):
    assert store.status() == ("sqlite", None, 0, 0)
    store._writer.problem = "disk full"
    assert "cannot be written: disk full" in store.status().problem
    store._writer.problem = None


def test_a_file_that_breaks_while_it_is_open_gives_no_answers_but_no_errors(store, path, caplog):
    store.record("tr_1", row)
    store.close()
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    path.write_bytes(b"rubbish" * 1000)
    assert store.trace("tr_1") is None
    assert store.spend(0.0) == []
    assert store.load(Stats, 0.0) == []
    assert "cannot be read" in caplog.text


# -- where no file can be used ----------------------------------------------------------------------------------------


def refused(path, caplog):
    """The store that stands in for a file that cannot be used."""
    store = open_store(path, Limits(), Wall())
    status = store.status()
    assert status.kind == "memory"
    assert "nothing is kept beyond this process" in status.problem
    assert str(path.parent) not in status.problem  # shown without a key
    assert str(path) in caplog.text
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    store.keep(Stats, "a", STATS, 0.0)
    assert store.load(Stats, 0.0) == [("a", STATS)]


def test_a_corrupt_file_means_memory_and_stays_for_who_wants_to_mend_it(path, caplog):
    path.parent.mkdir()
    path.write_bytes(b"rubbish" * 1000)
    refused(path, caplog)
    assert path.read_bytes() == b"rubbish" * 1000


def test_a_damaged_file_means_memory(path, caplog):
    connect(path).close()
    raw = bytearray(path.read_bytes())
    raw[100:4000] = os.urandom(3900)
    path.write_bytes(raw)
    refused(path, caplog)


def test_a_folder_that_cannot_be_made_means_memory(tmp_path, caplog):
    (tmp_path / "file").touch()
    refused(tmp_path / "file" / "s.sqlite3", caplog)


def test_a_folder_in_place_of_the_file_means_memory(path, caplog):
    path.mkdir(parents=True)
    refused(path, caplog)


def test_a_read_only_folder_means_memory(path, caplog, monkeypatch):
    path.parent.mkdir()
    path.parent.chmod(0o500)
    if os.access(
        path.parent, os.W_OK
    ):  # who may write anywhere (root) is told by the file system itself

        def denied(*_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("openfusion_auto.store.files.os.open", denied)
    refused(path, caplog)
    path.parent.chmod(0o700)


def test_a_full_disk_means_memory(path, caplog, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("openfusion_auto.store.files.migrate", full)
    refused(path, caplog)


def test_without_a_path_it_is_memory_and_nothing_is_wrong():
    assert open_store(None, Limits(), Wall()).status() == ("memory", None, 0, 0)


def test_a_newer_file_is_refused(path):
    with contextlib.closing(connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew, match="upgrade"):
        open_store(path, Limits(), Wall())
