"""Several processes on one file: what one learnt is neither lost nor doubled by another."""

import contextlib
import functools
import sqlite3
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core import stats
from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.types import Breaker, Candidate, Pin, Price, Stats
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.server.sharing import take_over
from openfusion_auto.store import writer as writer_module
from openfusion_auto.store.base import Maker
from openfusion_auto.store.files import connect
from openfusion_auto.store.live import TYPES, Shelf
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from tests.store.samples import line, row
from tests.support.learning import Learning

CODER = Candidate("coder-a", "relay", "vendor/coder-a", price=Price(1.0, 4.0, 0.1))
OTHER = Candidate("fast-a", "relay", "vendor/fast-a", price=Price(1.0, 4.0, 0.1))
WALL = 1_800_000_000.0


class Process(Learning):
    """Live state over a store of its own on a shared file, with a clock that began at another moment."""

    def __init__(self, path, started_s=0.0):
        self.now = 0.0
        self.clock = Clock(now=lambda: self.now, wall=lambda: WALL + started_s + self.now)
        self.store = SqliteStore(path, Limits(), self.clock.wall)
        self.live = LiveState(self.clock, {}, pin_ttl_s=3600.0, cache_ttl_s=300.0, store=self.store)
        self.heard = []  # by the writer's thread; a server takes it over in its own, and so does this
        self.store.on_change(self.heard.append, 3600.0)

    def catch_up(self):
        """Let the store be written and heard, and take over what others did."""
        self.store.catch_up()
        while self.heard:
            take_over(self.live, self.clock, self.heard.pop(0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sqlite3"


@contextlib.contextmanager
def several(path, *started_s):
    found = [Process(path, at) for at in started_s]
    try:
        yield found
    finally:
        for process in found:
            process.store.close()


def test_statistics_add_up_in_the_file_and_in_every_process(path):
    with several(path, 0.0, 0.0) as (one, two):
        one.works(3, ttft_ms=100.0)
        two.works(1, ttft_ms=500.0)
        for process in (one, two, one, two):
            process.catch_up()
        for process in (one, two):
            assert process.stats.ok == pytest.approx(4)
            assert process.stats.ttft_ms == pytest.approx(200.0)
        two.works(2)
        one.fails()
        for process in (one, two, one):
            process.catch_up()
        assert (one.stats.ok, one.stats.failed) == pytest.approx((6, 1))
    with several(path, 0.0) as (again,):
        assert (again.stats.ok, again.stats.failed) == pytest.approx((6, 1))


def test_a_wait_that_was_cut_adds_up_as_all_else_does(path):
    with several(path, 0.0, 0.0) as (one, two):
        two.works(10, ttft_ms=100.0)
        for process in (two, one):
            process.catch_up()
        one.waits(1_200.0)
        for process in (one, two, one):
            process.catch_up()
        for process in (one, two):
            assert (process.stats.ok, process.stats.ttft_weight) == pytest.approx((10, 11))
            assert process.stats.ttft_ms == pytest.approx(200.0)
    with several(path, 0.0) as (again,):
        assert (again.stats.ok, again.stats.ttft_weight) == pytest.approx((10, 11))


@settings(max_examples=25)
@given(
    doings=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["works", "fails", "waits", "look"])),
        max_size=30,
    )
)
def test_whatever_the_order_the_file_holds_the_sum(tmp_path_factory, doings):
    path = tmp_path_factory.mktemp("s") / "s.sqlite3"
    with several(path, 0.0, 0.0, 0.0) as all_, pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "GATHER_S", 0.0)
        for who, what in doings:
            if what == "look":
                all_[who].catch_up()
            else:
                getattr(all_[who], what)()
        for process in all_ * 2:
            process.catch_up()
        works, fails, waits = (
            sum(what == kind for _, what in doings) for kind in ("works", "fails", "waits")
        )
        kept = dict(all_[0].store.load(Stats, 0.0)).get("coder-a", Stats())
        for found in (kept, *(process.stats for process in all_)):
            said = [found.ok, found.failed, found.ttft_weight]
            assert said == pytest.approx([works, fails, works + waits], abs=1e-6)


def test_breakers_sessions_seals_and_lessons_are_heard_on_each_ones_clock(path):
    with several(path, 0.0, 500.0) as (one, two):
        one.now, two.now = 510.0, 10.0  # the same moment
        one.fails(3)
        one.live.pin("session", CODER, None)
        one.live.first_seen(["sealed"], CODER)
        one.live.keep_tally("0" * 16 + ":bugfix:coder-a", Tally(1.0, 0.0, 510.0))
        one.catch_up()
        assert two.live.may_call("coder-a")
        two.catch_up()
        assert not two.live.may_call("coder-a")
        assert two.live.snapshot("session").pin.candidate == "coder-a"
        assert not two.live.is_foreign(["sealed"], CODER)
        assert [t.at_s for t in two.live.tallies.values()] == [10.0]
        two.now = one.now = 600.0
        two.works()
        two.live.pin("session", OTHER, None)
        for process in (two, one):
            process.catch_up()
        assert one.live.breakers() == {}  # closed there
        assert one.live.snapshot("session").pin.candidate == "fast-a"
        assert one.live.snapshot("session").pin.turns == 2


def test_an_older_word_about_a_session_does_not_replace_a_newer_one(path):
    with several(path, 0.0, 0.0) as (one, two):
        one.live.pin("session", CODER, None)
        one.catch_up()
        two.now = 5.0
        two.live.pin("session", OTHER, None)
        two.catch_up()  # hears of the older one
        assert two.live.snapshot("session").pin.candidate == "fast-a"


def test_what_is_forgotten_is_forgotten_by_all_and_begins_anew(path):
    with several(path, 0.0, 0.0) as (one, two):
        for process in (one, two):
            process.store.on_forget(functools.partial(process.live.forget, is_gone=True))
        one.works(2)
        for process in (one, two):
            process.catch_up()
        assert one.store.forget(None) == 1
        two.catch_up()
        one.catch_up()
        assert one.stats == two.stats == Stats()
        two.works(1)
        for process in (two, one):
            process.catch_up()
        assert one.stats.ok == two.stats.ok == 1.0


def test_lines_and_traces_of_all_are_in_the_file_once(path):
    with several(path, 0.0, 0.0) as all_:
        for number in range(50):
            for who, process in enumerate(all_):
                process.store.enter(line(f"tr_{who}_{number}"))
                process.store.record(
                    f"tr_{who}_{number}", lambda n=f"tr_{who}_{number}": row(n, at=WALL)
                )
    with contextlib.closing(connect(path)) as db:
        for table, name in (("ledger", "trace"), ("traces", "id")):
            found = [n for (n,) in db.execute(f"SELECT {name} FROM {table}")]
            assert len(found) == len(set(found)) == 100


def test_a_batch_that_fails_counts_nothing_and_counts_once_when_it_works(path, monkeypatch):
    monkeypatch.setattr(writer_module, "RETRY_S", (0.01, 0.01))
    monkeypatch.setattr("openfusion_auto.store.files.BUSY_S", 0.01)  # before any of them connects
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(contextlib.closing(connect(path)))
        one, two = stack.enter_context(several(path, 0.0, 0.0))
        two.works(5)
        two.catch_up()
        other.execute("BEGIN IMMEDIATE")
        one.works(3)
        one.catch_up()
        assert one.store.status().problem is not None
        other.execute("ROLLBACK")
        deadline = time.monotonic() + 60
        while one.store.status().problem and time.monotonic() < deadline:
            one.catch_up()
        for process in (one, two):
            process.catch_up()
            assert process.stats.ok == pytest.approx(8)


def test_what_others_added_is_told_though_the_traces_behind_it_cannot_be_written(path, monkeypatch):
    with several(path, 0.0, 0.0) as (one, two):
        two.works(5)
        two.catch_up()
        write = one.store._writer._write

        def broken(db, batch, forgotten):
            if batch.traces:
                raise sqlite3.OperationalError("disk I/O error")
            return write(db, batch, forgotten)

        monkeypatch.setattr(one.store._writer, "_write", broken)
        one.works(1)  # hears of the five as it adds its own
        one.store.record("tr_1", lambda: row("tr_1", at=WALL))
        with contextlib.suppress(Exception):
            one.store._writer.flush(0.2)
        monkeypatch.undo()
        one.catch_up()
        assert one.stats.ok == pytest.approx(6)


def test_where_others_are_heard_in_another_way_the_last_word_counts_and_nobody_is_told(tmp_path):
    path = tmp_path / "s.sqlite3"
    stores = [SqliteStore(path, Limits(), time.time, elsewhere=True) for _ in range(2)]
    told = []
    for store in stores:
        store.on_change(told.append, 0.01)
    for store, whole in zip(stores, (Stats(ok=3.0), Stats(ok=5.0)), strict=True):
        store.measure("a", Stats(ok=1.0), whole, 0.0)
        store.catch_up()
    assert dict(stores[0].load(Stats, 0.0))["a"].ok == 5.0
    for store in stores:
        store.close()
    assert told == []


def test_what_cannot_be_read_is_passed_over(path):
    with several(path, 0.0) as (one,):
        with contextlib.closing(connect(path)) as db:
            for number, (kind, text) in enumerate(
                [("pin", "["), ("stats", "["), ("later", "{}"), ("seal", '["relay", "m"]')], 1
            ):
                db.execute(
                    "INSERT INTO live (kind, key, at, value, rev, writer) VALUES (?, 'x', 1.0, ?, ?, 'w')",
                    (kind, text, number),
                )
        one.catch_up()
        assert one.stats == Stats()
        one.works()  # over a row that cannot be read
        one.catch_up()
        assert one.stats.ok == 1.0


def test_a_process_looks_once_at_most_at_what_it_wrote_itself(path):
    SqliteStore(path, Limits(), lambda: WALL).close()
    steps = []
    with contextlib.closing(connect(path)) as db:
        shelf = Shelf("me")
        shelf.opened(db, anew=True)
        for number in range(2_000):
            shelf.put(db, "seal", str(number), Maker("relay", "m"), 1.0, shelf.number(db))
        shelf.heard(db)
        db.set_progress_handler(lambda: steps.append(1), 10)
        assert shelf.heard(db) == []
        assert len(steps) < 20  # of ten each; one look through all of it takes over a thousand
        other = Shelf("other")
        other.put(db, "seal", "x", Maker("relay", "m"), 1.0, other.number(db))
        (change,) = shelf.heard(db)
        assert change.key == "x"


def test_every_kind_but_spending_is_told():
    assert set(TYPES.values()) == {Stats, Breaker, Pin, Maker, Tally}


def test_a_sample_is_what_was_added():
    before = stats.succeeded(Stats(), 10.0, ttft_ms=100.0)
    for after, sample in (
        (
            stats.succeeded(before, 50.0, ttft_ms=300.0),
            stats.succeeded(Stats(), 50.0, ttft_ms=300.0),
        ),
        (stats.failed(before, 50.0), stats.failed(Stats(), 50.0)),
    ):
        assert stats.merged(before, sample) == after
