"""Accounts of several processes in one Redis, or in one file: nobody counts on the same dollar, place or minute twice."""

import asyncio
import contextlib
import functools
import random
import time

import pytest

from openfusion_auto.core.limits import Limits, Spending
from openfusion_auto.runtime import shared
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import WALL, MemoryCounters, Scope
from openfusion_auto.runtime.shared import SharedCounters
from openfusion_auto.runtime.shared_script import RedisAccounts
from openfusion_auto.store.accounts import FileAccounts
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.redis import Link
from tests.support.redis_server import PATIENT_S, redis_server

BUDGET = Limits(per_day=1000, per_month=5000)


def scope(name="key:1", **limits):
    return Scope(name, Limits(**limits), "the key")


def store(kept=None):
    """A process's own store, in which it finds what was spent."""
    found = MemoryStore()
    for name, spending in (kept or {}).items():
        found.keep(Spending, name, spending, WALL)
    return found


@contextlib.asynccontextmanager
async def processes(tool, count=3, kept=None, clock=None):
    """So many processes' counters, each with a link of its own to one Redis."""
    async with redis_server(tool("redis-server")) as server:
        links = [Link(server.url, prefix="t", name="URL", wait_s=PATIENT_S) for _ in range(count)]
        yield (
            server,
            [SharedCounters(RedisAccounts(link), clock or Clock(), store(kept)) for link in links],
        )
        for link in links:
            await link.close()


@contextlib.asynccontextmanager
async def on_a_file(path, count=3, kept=None, clock=None):
    """The same with one file."""
    there = [FileAccounts(path, time.time) for _ in range(count)]
    yield None, [SharedCounters(one, clock or Clock(), store(kept)) for one in there]
    for one in there:
        await one.close()


@pytest.fixture(params=["redis", "file"])
def several(request, tool, tmp_path):
    """As `processes`, over either."""
    if request.param == "redis":
        return functools.partial(processes, tool)
    return functools.partial(on_a_file, tmp_path / "s.sqlite3")


async def told(counters):
    """Tell Redis all that waits."""
    for one in counters:
        await one.sync(set(one._shares))


async def test_places_are_counted_over_all_processes(several):
    async with several() as (_, all_):
        two = [scope(concurrent=2)]
        assert [await c.admit(two, 0) for c in all_[:2]] == [None, None]
        where, why = await all_[2].admit(two, 0)
        assert (where, why.limit, why.most, why.wait_ms) == (two[0], "concurrent", 2, 1000)
        all_[0].leave(two, 0, 0)
        await told(all_[:1])
        assert await all_[2].admit(two, 0) is None


async def test_a_rate_is_one_over_all_processes_and_says_when(several):
    async with several() as (_, all_):
        three = [scope(requests_per_minute=3)]
        for counters in all_:
            assert await counters.admit(three, 0) is None
        _, why = await all_[0].admit(three, 0)
        assert (why.limit, why.most) == ("requests", 3)
        assert 15_000 < why.wait_ms <= 20_000
        assert all_[0].rooms(three)[0].left == 0
        _, why = await all_[1].admit([scope("t", tokens_per_minute=100)], 101)
        assert (why.limit, why.wait_ms) == ("tokens", None)


async def test_tokens_are_settled_by_what_was_used(several):
    async with several(2) as (_, (one, two)):
        bound = [scope(tokens_per_minute=1000)]
        assert await one.admit(bound, 600) is None
        assert (await two.admit(bound, 600))[1].limit == "tokens"
        one.leave(bound, 600, 100)
        await told([one])
        assert await two.admit(bound, 600) is None


async def test_a_request_that_one_account_refuses_changes_none(several):
    async with several(1) as (_, (one,)):
        key, server = scope("key:1", requests_per_minute=5), scope("server", concurrent=1)
        assert await one.admit([key, server], 0) is None
        for _ in range(3):
            assert (await one.admit([key, server], 0))[0] == server
        assert one.rooms([key])[0].left == 4
        assert one.running("key:1") == 1


async def test_no_dollar_is_reserved_twice_and_what_was_spent_is_seen_by_all(several):
    async with several() as (_, all_):
        budget = [Scope("key:1", BUDGET, "")]
        granted = await asyncio.gather(*(c.reserve(budget, 400) for c in all_))
        assert sorted(granted) == [False, True, True]
        payers = [c for c, ok in zip(all_, granted, strict=True) if ok]
        for counters in payers:
            counters.settle(budget, 400, 150)
        await told(all_)
        await told(all_)
        assert [c.left(budget)[1] for c in all_] == [700, 700, 700]
        assert [sum(a for _, a in c.spending("key:1").day) for c in all_] == [300, 300, 300]
        assert [c.held("key:1") for c in all_] == [0, 0, 0]


async def test_a_process_that_died_holds_nothing_when_its_lease_is_over(several, monkeypatch):
    monkeypatch.setattr(shared, "LEASE_S", 0.2)
    async with several(2) as (_, (dead, alive)):
        bound = [scope(concurrent=1, per_day=100)]
        assert await dead.admit(bound, 0) is None
        assert await dead.reserve(bound, 100)
        assert (await alive.admit(bound, 0)) is not None
        await asyncio.sleep(0.3)
        assert await alive.admit(bound, 0) is None
        assert await alive.reserve(bound, 100)


async def test_without_redis_each_goes_on_with_what_it_last_knew_and_nothing_is_lost(tool):
    async with processes(tool) as (server, all_):
        budget = [Scope("key:1", Limits(per_day=1000, concurrent=5), "")]
        assert await all_[0].reserve(budget, 400)
        all_[0].settle(budget, 400, 400)
        await told(all_)
        for counters in all_:
            await counters.reserve(budget, 0)  # each has heard of it
        server.kill()
        for counters in all_:
            assert await counters.admit(budget, 0) is None
            assert not await counters.reserve(budget, 601)
            assert await counters.reserve(budget, 600)
            counters.settle(budget, 600, 600)
            counters.leave(budget, 0, 0)
        # The bound that is documented: each process but one spends what was left.
        await server.start()  # and it has forgotten everything
        for counters in all_:
            await counters.there.probe()
        await told(all_)
        await told(all_)
        spent = [sum(a for _, a in c.spending("key:1").day) for c in all_]
        assert spent == [400 + 3 * 600] * 3
        assert not await all_[0].reserve(budget, 1)
        assert [c.running("key:1") for c in all_] == [0, 0, 0]


async def test_what_was_let_in_during_an_outage_comes_back_by_time_as_ever(tool):
    now = [1000.0]
    async with redis_server(tool("redis-server")) as server:
        link = Link(server.url, prefix="t", name="URL", wait_s=PATIENT_S)
        one = SharedCounters(RedisAccounts(link), Clock(now=lambda: now[0]), store())
        bound = [scope(requests_per_minute=3, tokens_per_minute=90)]
        server.kill()
        for _ in range(4):
            for _ in range(3):
                assert await one.admit(bound, 30) is None
                one.leave(bound, 30, 30)
            assert await one.admit(bound, 30) is not None
            now[0] += 60
        await server.start()
        await link.probe()
        await told([one])
        requests, tokens = one.rooms(bound)
        assert (requests.left, tokens.left) == (3, 90)
        await link.close()


async def test_a_defect_in_telling_loses_nothing_and_does_not_end_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shared, "REFRESH_S", 0.01)
    async with on_a_file(tmp_path / "s.sqlite3", 2) as (_, (one, two)):
        ask, broken = one.there.ask, [True]

        async def once_broken(names, asked):
            if broken and names:
                broken.clear()
                raise KeyError("a defect")
            return await ask(names, asked)

        bound = [scope(per_day=1000)]
        assert await one.reserve(bound, 100)
        one.settle(bound, 100, 70)
        monkeypatch.setattr(one.there, "ask", once_broken)
        task = asyncio.create_task(one.keep_up())
        one._wake.set()
        async with asyncio.timeout(20):
            while two.left(bound)[1] != 930:
                await asyncio.sleep(0.01)
                await two.reserve(bound, 0)
        task.cancel()
    assert not broken
    assert "could not be told" in caplog.text


async def test_a_client_that_leaves_while_redis_is_asked_leaves_no_place_taken(several):
    async with several(2) as (_, (one, two)):
        bound = [scope(concurrent=1)]
        asked = asyncio.create_task(one.admit(bound, 0))
        for _ in range(20):
            await asyncio.sleep(0)
            if asked.done():
                break
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            if await asked is None:
                one.leave(bound, 0, 0)
        # What was asked goes on without the client; what its answer took is given back when that is here.
        async with asyncio.timeout(20):
            await told([one])
            while await two.admit(bound, 0) is not None:
                await asyncio.sleep(0.05)
                await told([one])


async def test_what_happens_is_told_at_once_and_heard_each_second(several, monkeypatch):
    monkeypatch.setattr(shared, "REFRESH_S", 0.05)
    async with several(2) as (_, (one, two)):
        tasks = [asyncio.create_task(c.keep_up()) for c in (one, two)]
        budget = [Scope("key:1", BUDGET, "")]
        await two.reserve(budget, 0)
        await one.reserve(budget, 100)
        one.settle(budget, 100, 70)
        async with asyncio.timeout(20):
            while two.left(budget)[1] != 930:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_not_limited_asks_nobody_and_is_still_counted(several):
    async with several(2) as (_, (one, two)):
        free = [scope("key:9")]
        assert await one.admit(free, 5) is None
        assert await one.reserve(free, 50)
        one.settle(free, 50, 20)
        one.leave(free, 5, 5)
        await told([one])
        await two.admit(free, 0)
        await told([two])
        assert sum(a for _, a in two.spending("key:9").month) == 20


async def test_an_idle_session_is_forgotten_here(tool):
    async with processes(tool, 1) as (_, (one,)):
        payer = [Scope("session:a:b", Limits(per_month=100), "")]
        assert await one.reserve(payer, 50)
        one.settle(payer, 50, 10)
        await told([one])
        assert "session:a:b" not in one._shares
        keys = await one.there._link.ask(lambda r: r.keys("*"))
        assert not [k for k in keys if b"a:b" in k]  # a client's own id says who its user is
        assert not await one.reserve(payer, 91)
        assert await one.reserve(payer, 90)


@pytest.mark.parametrize("seed", range(5))
async def test_one_process_with_redis_or_a_file_decides_as_one_without(several, seed):
    """The script in Lua, and the file, against `core/limits.py`, on the same random history."""
    chance = random.Random(seed)
    clock = Clock(now=lambda: 1000.0)
    async with several(1, clock=clock) as (_, (together,)):
        without = MemoryCounters(clock, store())
        scopes = [
            scope("a", concurrent=4, requests_per_minute=10**6, per_day=3000),
            scope("b", tokens_per_minute=10**6, per_month=2000),
        ]
        entered = []
        for _ in range(120):
            some = chance.choice([scopes, scopes[:1], scopes[1:]])
            match chance.randrange(4):
                case 0:
                    found = [await c.admit(some, 10) for c in (together, without)]
                    assert found[0] == found[1]
                    entered += [some] if found[0] is None else []
                case 1 if entered:
                    gone = entered.pop()
                    for c in (together, without):
                        c.leave(gone, 10, 12)
                case 2:
                    amount = chance.randrange(300)
                    granted = [await c.reserve(some, amount) for c in (together, without)]
                    assert granted[0] == granted[1]
                    if granted[0]:
                        for c in (together, without):
                            c.settle(some, amount, amount // 2)
                case _:
                    assert together.left(some) == without.left(some)


async def test_each_keeps_what_all_spent_and_starts_from_it_without_redis(tool):
    async with processes(tool, 2) as (server, (one, other)):
        spends = [scope(per_day=1000, per_month=5000)]
        assert await one.reserve(spends, 400)
        one.settle(spends, 400, 300)
        await told([one])
        assert await other.reserve(spends, 100)  # hears of it
        kept = dict(other._store.load(Spending, WALL))
        assert sum(amount for _, amount in kept["key:1"].day) == 300
        server.kill()
        link = Link(server.url, prefix="t", name="URL", wait_s=PATIENT_S)
        new = SharedCounters(RedisAccounts(link), Clock(), store(kept))
        assert not await new.reserve(spends, 701)
        assert await new.reserve(spends, 700)
        await link.close()


async def test_who_finds_itself_alone_waits_for_the_questions_that_are_on_their_way(
    tmp_path, monkeypatch
):
    """Else a place is given twice: here, and there to somebody whose answer has not come back."""
    there = FileAccounts(tmp_path / "s.sqlite3", time.time, worker=False)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(there.close)
        counters = SharedCounters(there, Clock(), store())
        two, gates, ask = [scope(concurrent=2)], [], there.ask

        async def slow(names, asked):
            gates.append(asyncio.Event())
            await gates[-1].wait()
            return await ask(names, asked)

        monkeypatch.setattr(there, "ask", slow)
        first, second = (asyncio.create_task(counters.admit(two, 0)) for _ in range(2))
        while not gates:
            await asyncio.sleep(0)
        gates[0].set()
        assert await first is None
        assert there.alone  # as the answer said
        while not second.done() and len(gates) < 2:  # it asks as well, or need not any more
            await asyncio.sleep(0)
        third = asyncio.create_task(counters.admit(two, 0))
        await asyncio.sleep(0)
        while not (second.done() and third.done()):
            for gate in gates:
                gate.set()
            await asyncio.sleep(0.001)
        assert counters.running("key:1") == 2
        assert [second.result() is None, third.result() is None].count(True) == 1
