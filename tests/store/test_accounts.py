"""Accounts in the store's file; what they decide is held by tests/runtime/test_shared.py, over Redis too."""

import asyncio
import contextlib
import json
import sqlite3
import time

import pytest

from openfusion_auto.core.limits import Limits, Spending
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import WALL, Scope
from openfusion_auto.runtime.shared import SharedCounters
from openfusion_auto.store import accounts as module
from openfusion_auto.store.accounts import FileAccounts
from openfusion_auto.store.files import WAL_BYTES, connect
from openfusion_auto.store.retention import Limits as Kept
from openfusion_auto.store.retention import prune_old
from openfusion_auto.store.sqlite import SqliteStore

BUDGET = [Scope("key:1", Limits(per_day=1000, per_month=5000), "")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.sqlite3"


@contextlib.asynccontextmanager
async def process(path, wall=time.time):
    store = SqliteStore(path, Kept(), wall)
    counters = SharedCounters(FileAccounts(path, wall), Clock(wall=wall), store)
    yield counters
    await counters.there.close()
    store.close()


async def test_what_was_spent_and_how_often_outlives_the_processes(path):
    for times in (1, 2):
        async with process(path) as one:
            assert await one.admit(BUDGET, 0) is None
            assert await one.reserve(BUDGET, 400)
            one.leave(BUDGET, 0, 0)
            one.settle(BUDGET, 400, 100)
            await one.sync(one.waiting())
            assert sum(amount for _, amount in one.spending("key:1").day) == 100 * times
            assert one.spending("key:1").requests == times
    store = SqliteStore(path, Kept(), time.time)
    ((name, kept),) = store.load(Spending, WALL)
    assert (name, kept.requests) == ("key:1", 2)
    assert kept.last_s == pytest.approx(time.time(), abs=60)
    store.close()


async def test_what_an_older_version_left_is_where_it_begins(path):
    day = int(time.time()) // 3600
    store = SqliteStore(path, Kept(), time.time)
    store.keep(Spending, "key:1", Spending(((day, 900),), ((day // 24, 900),), 7, 5.0), WALL)
    store.close()
    async with process(path) as one:
        assert not await one.reserve(BUDGET, 101)
        assert await one.reserve(BUDGET, 100)
        assert one.spending("key:1").requests == 7


async def test_a_file_that_is_held_lets_each_count_for_itself_and_what_was_spent_is_told_later(
    path, monkeypatch, caplog
):
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    async with process(path) as one, process(path) as two:
        assert await one.reserve(BUDGET, 0)
        with contextlib.closing(connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await one.reserve(BUDGET, 600)
            assert not one.there.up
            assert not await one.reserve(BUDGET, 600)
            one.settle(BUDGET, 600, 500)
            other.execute("ROLLBACK")
        await one.there.probe()
        assert one.there.up
        assert [r.levelname for r in caplog.records] == ["WARNING", "WARNING"]
        await one.sync(one.waiting())
        assert not await two.reserve(BUDGET, 501)
        assert await two.reserve(BUDGET, 500)


async def test_a_client_that_leaves_while_the_file_is_asked_is_told_once(path):
    async with process(path) as one:
        rate = [Scope("key:1", Limits(requests_per_minute=10, concurrent=1, per_day=1000), "")]
        assert await one.admit(rate, 0) is None
        one.leave(rate, 0, 0)
        one.settle(rate, 0, 70)
        asked = asyncio.create_task(one.admit(rate, 0))
        while one.waiting():
            await asyncio.sleep(0)
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            if await asked is None:
                one.leave(rate, 0, 0)
        async with asyncio.timeout(30):
            while not one.waiting():  # its answer is still on the way
                await asyncio.sleep(0)
        await one.sync(one.waiting())
        assert sum(amount for _, amount in one.spending("key:1").day) == 70
        assert await one.admit(rate, 0) is None


async def test_a_file_that_was_moved_away_is_made_anew_and_learns_what_was_spent(path):
    async with process(path) as one:
        assert await one.reserve(BUDGET, 300)
        one.settle(BUDGET, 300, 300)
        await one.sync(one.waiting())
        for name in ("s.sqlite3", "s.sqlite3-wal", "s.sqlite3-shm"):
            (path.parent / name).rename(path.parent / f"old-{name}")
        assert not await one.reserve(BUDGET, 701)
        async with process(path) as two:
            assert not await two.reserve(BUDGET, 701)


async def test_a_session_is_kept_by_hash_and_not_listed_among_keys(path):
    payer = [Scope("session:a:b", Limits(per_month=100), "")]
    async with process(path) as one:
        assert await one.reserve(payer, 50)
        one.settle(payer, 50, 10)
        await one.sync(one.waiting())
        assert not await one.reserve(payer, 91)
        assert await one.reserve(payer, 90)
    with contextlib.closing(sqlite3.connect(path)) as db:
        names = [name for (name,) in db.execute("SELECT name FROM accounts")]
        assert db.execute("SELECT key FROM live").fetchall() == []
    assert len(names) == 1
    assert "a:b" not in names[0]


def test_accounts_go_when_no_budget_can_need_them(path):
    now_s = 40 * 86_400.0
    with contextlib.closing(connect(path)) as db:
        for name, age_s in (("old", 33 * 86_400), ("new", 31 * 86_400)):
            db.execute(
                "INSERT INTO accounts VALUES (?, ?, ?)", (name, now_s - age_s, json.dumps({}))
            )
        assert prune_old(db, Kept(keep_s=1.0), now_s) == 1
        assert db.execute("SELECT name FROM accounts").fetchall() == [("new",)]


async def test_a_server_alone_decides_by_itself_and_asks_as_soon_as_it_sees_another(path):
    one = SharedCounters(
        FileAccounts(path, time.time, worker=False), Clock(), SqliteStore(path, Kept(), time.time)
    )
    assert await one.reserve(BUDGET, 100)
    assert one.there.alone
    assert one.waiting() == set()
    assert await one.reserve(BUDGET, 100)  # told afterwards
    assert one.waiting() == {"key:1"}
    await one.sync(one.waiting())
    async with process(path) as two:
        assert not await two.reserve(BUDGET, 801)
        assert await two.reserve(BUDGET, 700)
        assert await one.reserve(BUDGET, 0)  # it has not seen the other yet
        await one.sync(one.waiting())
        assert not one.there.alone
        assert not await one.reserve(BUDGET, 101)
        assert await one.reserve(BUDGET, 100)
    await one.there.close()
    one._store.close()


async def test_counting_for_ever_does_not_let_the_file_beside_the_file_grow(path):
    there = FileAccounts(path, time.time)
    SqliteStore(path, Kept(), time.time).close()
    counters = SharedCounters(there, Clock(), SqliteStore(path, Kept(), time.time))
    scopes = [Scope(f"key:{n}", Limits(concurrent=5), "") for n in range(20)]
    await counters.admit(scopes, 0)
    for _ in range(400):
        await counters.sync({s.name for s in scopes})
    assert path.with_name(path.name + "-wal").stat().st_size < 2 * WAL_BYTES
    await there.close()
    counters._store.close()


async def test_who_is_alone_repeats_nothing_but_that_it_is_there(path):
    SqliteStore(path, Kept(), time.time).close()
    store = SqliteStore(path, Kept(), time.time)
    there = FileAccounts(path, time.time, worker=False)
    one = SharedCounters(there, Clock(), store)
    busy, idle = (Scope(f"key:{n}", Limits(concurrent=5), "") for n in range(2))
    await one.admit([busy], 0)
    await one.admit([idle], 0)
    one.leave([idle], 0, 0)
    await one.sync(one._due())
    assert there.alone
    assert one._due() == {busy.name}
    one.leave([busy], 0, 0)
    await one.sync(one._due())
    assert one._due() == set()
    async with process(path) as two:  # whom it sees though it has nothing to tell
        await two.admit([busy], 0)
        await one.sync(one._due())
        assert not there.alone
        assert one._due() == {busy.name, idle.name}
    await there.close()
    store.close()


@pytest.mark.parametrize("text", ["[", "[1]", '{"later": 1}'])
async def test_an_account_that_cannot_be_read_begins_with_what_the_process_knows(
    path, text, caplog
):
    async with process(path) as one:
        assert await one.reserve(BUDGET, 900)
        one.settle(BUDGET, 900, 900)
        await one.sync(one.waiting())
        with contextlib.closing(connect(path)) as db:
            db.execute("UPDATE accounts SET value = ?", (text,))
        assert not await one.reserve(BUDGET, 101)
        assert await one.reserve(BUDGET, 100)
    assert [r.message for r in caplog.records if "cannot be read" in r.message]
