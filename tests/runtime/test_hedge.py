"""What second calls may cost and how long a model lets wait: held, settled, kept over changes of the settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openfusion_auto.core.decide import decide
from openfusion_auto.core.hedge import MIN_WAITS, Hedging
from openfusion_auto.core.limits import to_units
from openfusion_auto.core.types import Policy, State
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.hedge import ACCOUNT, Hedger, hedger_of
from openfusion_auto.runtime.limits import MemoryCounters
from openfusion_auto.store.memory import MemoryStore
from tests.support.pools import FOUR, task

SETTINGS = Hedging(8.0, 45.0, 0.95, 1.0, 1.0)
SINGLE = Policy(mode="single")


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def counters(store):
    return MemoryCounters(Clock(now=lambda: 1.0, wall=lambda: 1_800_000_000.0), store)


@pytest.fixture
def hedger(counters):
    return Hedger(counters, SETTINGS)


def turn(hedger, **changes):
    return hedger.turn(decide(task(**changes), FOUR, State(), SINGLE), named=False)


def spent(counters):
    return sum(n for _, n in counters.spending(ACCOUNT).day)


async def test_the_worst_case_is_held_and_what_it_cost_is_booked(hedger, counters):
    hedge = turn(hedger)
    assert await hedge.hold(0.4) is None
    assert counters.held(ACCOUNT) == to_units(0.4)
    hedge.settle(0.1)
    hedge.settle(0.0)  # again: nothing is left to settle
    assert (counters.held(ACCOUNT), spent(counters)) == (0, to_units(0.1))


async def test_what_is_held_counts_against_the_day(hedger, counters):
    one, two, three = turn(hedger), turn(hedger), turn(hedger)
    assert await one.hold(0.7) is None
    assert await two.hold(0.7) == "hedge.max_usd_per_day is used up"
    two.settle(0.0)
    one.settle(0.2)
    assert await three.hold(0.7) is None
    three.settle(0.0)
    assert counters.held(ACCOUNT) == 0


async def test_an_unknown_price_cannot_be_held(hedger):
    assert await turn(hedger).hold(None) == "its price is unknown"


async def test_the_share_counts_every_request_and_nothing_is_held_when_it_is_used_up(
    hedger, counters
):
    hedger.configure(replace(SETTINGS, max_share=0.5))
    assert turn(hedger, turn="tool") is None  # counts, too
    first = turn(hedger)
    assert await first.hold(0.1) is None
    second = turn(hedger)
    assert await second.hold(0.1) == "hedge.max_share is used up"
    first.settle(0.0)
    assert counters.held(ACCOUNT) == 0


async def test_of_two_that_ask_at_once_for_the_last_one_gets_it(hedger, counters):
    one, two = turn(hedger), turn(hedger)
    hedger.share = hedger.share.spend()
    reserve = counters.reserve

    async def slowly(scopes, amount):
        found = await reserve(scopes, amount)
        hedger.share = hedger.share.spend() or hedger.share
        return found

    counters.reserve = slowly
    assert await one.hold(0.1) == "hedge.max_share is used up"
    two.settle(0.0)
    assert (counters.held(ACCOUNT), spent(counters)) == (0, 0)


def test_waits_of_streams_and_of_whole_answers_are_kept_apart(hedger):
    for _ in range(MIN_WAITS):
        hedger.waited("a", 2.0, streamed=True)
    assert hedger.silence("a", streamed=True).s == 2.0
    assert hedger.silence("a", streamed=False).s == 45.0
    assert hedger.silence("b", streamed=True).s == 8.0


def test_only_the_latest_waits_count(hedger):
    for s in (9.0, 1.0):
        for _ in range(200):
            hedger.waited("a", s, streamed=True)
    assert hedger.silence("a", streamed=True).s == 1.0


def test_new_settings_keep_what_is_known(hedger, counters):
    assert hedger_of(None, counters, hedger) is None
    other = replace(SETTINGS, after_s=3.0)
    assert hedger_of(other, counters, hedger) is hedger
    assert hedger.silence("a", streamed=True).s == 3.0
    assert hedger_of(other, counters) is not hedger


def test_the_account_outlives_the_process(hedger, counters, store):
    turn(hedger).settle(0.25)
    again = MemoryCounters(Clock(now=lambda: 1.0, wall=lambda: 1_800_000_000.0), store)
    assert spent(again) == to_units(0.25)
