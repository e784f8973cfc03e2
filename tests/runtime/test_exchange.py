"""What processes learn from each other through a stream in Redis."""

import contextlib

import pytest

from openfusion_auto.core.lessons import Key, Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Candidate, Price, Stats
from openfusion_auto.runtime import exchange
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.exchange import Exchange, Outbox
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.store.base import KINDS, LEARNED
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.redis import Link
from tests.support.learning import Learning
from tests.support.redis_server import PATIENT_S, redis_server

CODER = Candidate("coder-a", "relay", "vendor/coder-a", price=Price(1.0, 4.0))
OTHER = Candidate("fast-a", "relay", "vendor/fast-a", price=Price(1.0, 4.0))
WALL = 1_800_000_000.0


class Process(Learning):
    """Live state with a clock of its own, and what it shares."""

    def __init__(self, url, started_s, store=None):
        self.now = 0.0
        self.clock = Clock(now=lambda: self.now, wall=lambda: WALL + started_s + self.now)
        self.store = store or MemoryStore()
        self.outbox = Outbox(self.store)
        self.live = LiveState(
            self.clock, {}, pin_ttl_s=3600.0, cache_ttl_s=300.0, store=self.outbox
        )
        self.link = Link(url, prefix="t", name="URL", wait_s=PATIENT_S)
        self.exchange = Exchange(self.link, self.outbox, self.live, self.clock)

    async def step(self):
        await self.exchange.step()


@contextlib.asynccontextmanager
async def several(tool, *started_s):
    async with redis_server(tool("redis-server")) as server:
        found = [Process(server.url, at) for at in started_s]
        yield (server, *found)
        for process in found:
            await process.link.close()


async def test_a_breaker_that_opened_is_open_everywhere_and_closes_everywhere(tool):
    async with several(tool, 0.0, 0.0) as (_, one, two):
        one.fails(3)
        assert not one.live.may_call("coder-a")
        assert two.live.may_call("coder-a")
        await one.step()
        await two.step()
        assert not two.live.may_call("coder-a")
        two.now = one.now = 30.0
        assert two.live.may_call("coder-a")
        two.works()
        await two.step()
        await one.step()
        assert one.live.may_call("coder-a")
        assert one.live.breakers() == {}


async def test_a_wait_that_was_cut_is_told_as_one_sample(tool):
    async with several(tool, 0.0, 0.0) as (_, one, two):
        one.works(10, ttft_ms=100.0)
        for _ in range(3):
            one.waits(100.0)
            for process in (one, two):
                await process.step()
        for process in (one, two):
            assert (process.stats.ok, process.stats.ttft_weight) == pytest.approx((10, 13))


async def test_statistics_add_up_and_nothing_is_counted_twice(tool):
    async with several(tool, 0.0, 0.0, 0.0) as (_, one, two, three):
        one.works(3, ttft_ms=100.0)
        two.works(1, ttft_ms=500.0)
        for _ in range(3):
            for process in (one, two, three):
                await process.step()
        for process in (one, two, three):
            assert process.stats.ok == pytest.approx(4)
            assert process.stats.ttft_ms == pytest.approx(200.0)
        three.works(4, ttft_ms=200.0)
        one.fails()
        for _ in range(2):
            for process in (one, two, three):
                await process.step()
        for process in (one, two, three):
            assert (process.stats.ok, process.stats.failed) == pytest.approx((8, 1))
            assert process.stats.ttft_ms == pytest.approx(200.0)
        kept = dict(two.store.load(Stats, WALL))
        assert kept["coder-a"].ok == pytest.approx(8)  # and in its own file


async def test_moments_are_told_on_the_wall(tool):
    async with several(tool, 0.0, 500.0) as (_, one, two):
        one.now = 510.0  # the same moment: two started 500 s later
        two.now = 10.0
        one.works()
        one.fails(3)
        await one.step()
        await two.step()
        assert two.stats.at_s == pytest.approx(10.0, abs=0.001)
        assert not two.live.may_call("coder-a")
        two.now = 31.0
        assert two.live.may_call("coder-a")


async def test_a_session_and_its_seals_go_on_in_another_process(tool):
    async with several(tool, 0.0, 0.0) as (_, one, two):
        one.live.pin("session", CODER, None)
        one.live.first_seen(["sealed"], CODER)
        await one.step()
        await two.step()
        assert two.live.snapshot("session").pin.candidate == "coder-a"
        assert not two.live.is_foreign(["sealed"], CODER)
        two.live.pin("session", OTHER, None)
        await two.step()
        await one.step()
        assert one.live.snapshot("session").pin.candidate == "fast-a"
        assert one.live.snapshot("session").pin.turns == 2


async def test_a_new_process_hears_of_what_there_is(tool):
    async with several(tool, 0.0, 0.0) as (server, one, _):
        one.live.pin("session", CODER, None)
        one.works(5)
        await one.step()
        late = Process(server.url, 100.0)
        await late.step()
        assert late.live.snapshot("session").pin.candidate == "coder-a"
        assert late.stats.ok == pytest.approx(5, rel=0.1)  # 100 s older
        await late.link.close()


async def test_a_process_that_restarts_with_its_file_counts_nothing_twice(tool):
    async with several(tool, 0.0) as (server, one):
        one.works(5)
        await one.step()
        again = Process(server.url, 0.0, one.store)
        await again.step()
        assert again.stats.ok == pytest.approx(5)
        again.works(1)
        await again.step()
        await one.step()
        assert one.stats.ok == pytest.approx(6)
        await again.link.close()


async def test_one_that_restarts_while_redis_goes_counts_nothing_twice_when_it_is_back(tool):
    async with several(tool, 0.0) as (server, one):
        one.works(5)
        await one.step()
        again = Process(server.url, 0.0, one.store)
        ask = again.link.ask

        async def goes(_question):  # between telling and hearing
            again.link.up = False

        again.link.ask = goes
        await again.step()
        again.link.ask, again.link.up = ask, True
        await again.step()
        assert again.stats.ok == pytest.approx(5)
        await again.link.close()


async def test_while_redis_is_gone_changes_wait_and_are_told_when_it_is_back(tool):
    async with several(tool, 0.0, 0.0) as (server, one, two):
        one.works(1)
        await one.step()
        await two.step()
        server.kill()
        one.works(2)
        one.live.pin("session", CODER, None)
        for _ in range(3):
            await one.step()
            await two.step()
        one.works(2)
        await server.start()
        for process in (one, two):
            await process.link.probe()
        for _ in range(2):
            await one.step()
            await two.step()
        assert two.stats.ok == pytest.approx(5)
        assert one.stats.ok == pytest.approx(5)
        assert two.live.snapshot("session").pin.candidate == "coder-a"


async def test_forgetting_is_heard_by_all(tool):
    async with several(tool, 0.0, 0.0) as (_, one, two):
        one.works(2)
        for process in (one, two):
            await process.step()
        one.live.forget(None)
        await one.step()
        await two.step()
        assert two.stats == Stats()
        two.works(1)
        await two.step()
        await one.step()
        assert one.stats.ok == pytest.approx(1)


async def test_more_than_one_reading_and_what_cannot_be_read(tool, monkeypatch):
    monkeypatch.setattr(exchange, "READ", 3)
    async with several(tool, 0.0, 0.0) as (_, one, two):
        await one.link.ask(lambda r: r.xadd("t:live", {"kind": "stats", "key": "x", "value": "["}))
        await one.link.ask(lambda r: r.xadd("t:live", {"other": "version"}))
        for number in range(10):
            one.live.pin(f"session {number}", CODER, None)
        await one.step()
        await two.step()
        assert all(two.live.snapshot(f"session {n}").pin for n in range(10))


def test_what_waits_for_redis_is_bounded(monkeypatch):
    monkeypatch.setattr(exchange, "MAX_WAITING", 5)
    outbox = Outbox(MemoryStore())
    for number in range(20):
        outbox.note("pin", str(number), None)
    assert [key for _, key, _ in outbox.take()] == ["15", "16", "17", "18", "19"]
    assert outbox.take() == []


async def test_of_what_was_learned_the_later_counts_and_forgetting_it_is_heard(tool):
    key = str(Key("0" * 16, "bugfix", "coder-a"))
    async with several(tool, 0, 50) as (_, a, b):
        a.now, b.now = 100.0, 50.0  # the same moment
        a.live.keep_tally(key, Tally(good=1.0, at_s=100.0))
        await a.step()
        await b.step()
        assert b.live.tallies[key] == Tally(good=1.0, at_s=50.0)
        assert b.store.load(Tally, 0.0)[0][0] == key
        b.live.keep_tally(key, Tally(good=1.0, bad=1.0, at_s=60.0))
        a.live.keep_tally(key, Tally(good=2.0, at_s=105.0))
        for process in (a, b, a, b):
            await process.step()
        assert a.live.tallies[key].bad == b.live.tallies[key].bad == 1.0
        b.live.forget(LEARNED)
        await b.step()
        await a.step()
        assert not a.live.tallies
        assert a.store.load(Tally, 0.0) == []


def test_what_was_spent_is_no_part_of_what_is_exchanged():
    assert set(exchange.TYPES.values()) == {*KINDS} - {Spending}
