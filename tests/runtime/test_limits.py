"""Allowances: what a request may use, and that everything comes back however it ends."""

import asyncio

import pytest

from openfusion_auto.core.limits import MONTH, NO_LIMITS, UNITS, Limits, Spending, spent, to_units
from openfusion_auto.core.prompt import Message, Part, Prompt, Usage
from openfusion_auto.errors import Overloaded, QuotaExceeded, RateLimited
from openfusion_auto.runtime import limits as module
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import (
    SERVER,
    Client,
    Limiter,
    MemoryCounters,
    Scope,
    duration,
    spent_usd,
)
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.store.memory import MemoryStore

WALL = 1_800_000_000.0
PROMPT = Prompt("chat", "openfusion/auto", (Message("user", (Part("text", "hello " * 60),)),))


class Time:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.s = 0.0
        self.clock = Clock(now=lambda: self.s, wall=lambda: WALL + self.s)


@pytest.fixture
def time():
    return Time()


def limiter(time, server=NO_LIMITS, session=None, store=None):
    return Limiter(MemoryCounters(time.clock, store or MemoryStore()), server, session)


def key(name="ci", **limits):
    return Client(f"key:{name}", name, Limits(**limits))


def trace(*usd, tokens=0):
    found = Trace("tr", "m", "chat", stream=False, at=0.0)
    for cost in usd:
        line = Attempt("primary", "coder-a", "m", "relay", 0.0)
        line.usage, line.usd = Usage(tokens, 0), cost
        found.attempts.append(line)
    return found


# -- who counts ------------------------------------------------------------------------------------------------------


async def test_without_limits_and_keys_there_is_no_allowance_at_all(time):
    assert await limiter(time).enter(None, PROMPT) is None
    assert limiter(time).allowance(None) is None


async def test_a_key_without_limits_is_counted_but_never_stopped(time):
    found = limiter(time)
    for _ in range(3):
        allowance = await found.enter(key(), PROMPT)
        assert allowance.left_usd("s") is None
        await allowance.reserve(10.0, None)
        assert allowance.headers() == {}
        allowance.close(trace(0.5))
    spending = found.counters.spending("key:ci")
    assert (spending.requests, spending.last_s) == (3, WALL)
    assert spent_usd(spending, WALL) == (1.5, 1.5)


async def test_a_call_of_which_only_the_tokens_have_a_price_adds_those(time):
    found = limiter(time)
    allowance = await found.enter(key(), PROMPT)
    used = trace(None, 0.25)
    used.attempts[0].least_usd = 0.5
    allowance.close(used)
    assert spent_usd(found.counters.spending("key:ci"), WALL) == (0.75, 0.75)


async def test_a_call_without_a_known_price_adds_what_is_known(time):
    found = limiter(time)
    allowance = await found.enter(key(), PROMPT)
    allowance.close(trace(0.5, None, 0.25))
    assert spent_usd(found.counters.spending("key:ci"), WALL)[0] == 0.75


# -- rates and the cap -----------------------------------------------------------------------------------------------


async def test_a_key_over_its_rate_is_told_when_to_come_back(time):
    found = limiter(time)
    for _ in range(3):
        (await found.enter(key(requests_per_minute=3), PROMPT)).close(trace())
    with pytest.raises(
        RateLimited, match=r"the key 'ci': 3 requests per minute. Please try again in 20s."
    ) as refused:
        await found.enter(key(requests_per_minute=3), PROMPT)
    assert refused.value.retry_after_s == 20.0
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    assert refused.value.headers == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    await found.enter(key("other", requests_per_minute=3), PROMPT)  # other keys are not touched
    time.s += 20
    await found.enter(key(requests_per_minute=3), PROMPT)


async def test_the_cap_of_the_server_is_a_503_and_that_of_a_key_a_429(time):
    found = limiter(time, Limits(concurrent=2))
    first, _ = [await found.enter(None, PROMPT) for _ in range(2)]
    with pytest.raises(Overloaded) as refused:
        await found.enter(None, PROMPT)
    assert refused.value.retry_after_s == 1.0
    first.close(trace())
    await found.enter(None, PROMPT)
    found = limiter(time)
    await found.enter(key(concurrent=1), PROMPT)
    with pytest.raises(RateLimited, match="1 requests at once"):
        await found.enter(key(concurrent=1), PROMPT)


async def test_one_account_that_refuses_leaves_the_others_untouched(time):
    found = limiter(time, Limits(concurrent=1))
    await found.enter(None, PROMPT)
    for _ in range(5):
        with pytest.raises(Overloaded):
            await found.enter(key(requests_per_minute=1), PROMPT)
    assert found.counters.running("key:ci") == 0
    assert found.counters.rooms([Scope("key:ci", Limits(requests_per_minute=1), "")])[0].left == 1


async def test_tokens_are_taken_by_estimate_and_settled_by_what_was_used(time):
    client, found = key(tokens_per_minute=1000), limiter(time)
    allowance = await found.enter(client, PROMPT)
    before = int(allowance.headers()["x-ratelimit-remaining-tokens"])
    assert 850 < before < 950  # 360 bytes
    allowance.close(trace(0.0, tokens=400))
    assert found.allowance(client).headers()["x-ratelimit-remaining-tokens"] == "600"


async def test_a_request_larger_than_the_limit_is_told_not_to_come_back(time):
    with pytest.raises(RateLimited, match="alone is larger") as refused:
        await limiter(time).enter(key(tokens_per_minute=10), PROMPT)
    assert refused.value.retry_after_s is None
    assert refused.value.headers["x-should-retry"] == "false"


# -- money -----------------------------------------------------------------------------------------------------------


async def test_the_worst_case_is_held_while_a_request_runs_and_settled_when_it_ends(time):
    found, client = limiter(time), key(per_day=1 * UNITS)
    first = await found.enter(client, PROMPT)
    assert first.left_usd("s") == 1.0
    await first.reserve(0.6, None)
    second = await found.enter(client, PROMPT)
    assert second.left_usd("s") == pytest.approx(0.4)
    first.close(trace(0.1))
    assert second.left_usd("s") == pytest.approx(0.9)
    first.close(trace(0.1))  # again: nothing happens
    second.close(trace())
    assert found.counters.held("key:ci") == 0
    assert found.counters.running("key:ci") == 0


async def test_the_tightest_of_key_server_and_session_binds(time):
    found = limiter(time, Limits(per_day=5 * UNITS), session=2 * UNITS)
    client = key(per_day=3 * UNITS)
    allowance = await found.enter(client, PROMPT)
    assert allowance.left_usd("s1") == 2.0
    await allowance.reserve(1.5, None)
    allowance.close(trace(1.5))
    other = await found.enter(client, PROMPT)
    assert other.left_usd("s1") == 0.5
    assert other.left_usd("s2") == 1.5  # the key's own
    stranger = await found.enter(key("b"), PROMPT)
    assert stranger.left_usd("s1") == 2.0  # sessions of two keys are two, whatever they are called
    assert spent_usd(found.counters.spending(SERVER), WALL)[0] == 1.5


async def test_nothing_fits_any_more_is_a_429_that_says_whose_budget_and_when(time):
    found, client = limiter(time), key(per_day=1 * UNITS, per_month=50 * UNITS)
    (await found.enter(client, PROMPT)).close(trace(1.0))
    allowance = await found.enter(client, PROMPT)
    assert allowance.left_usd("s") == 0.0
    with pytest.raises(
        QuotaExceeded, match=r"the key 'ci' has 0.0000 USD left of 1 USD a day, 50 USD a month"
    ) as refused:
        await allowance.reserve(None, None)
    error = refused.value
    assert (error.status, error.type, error.code) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert 24 * 3600 <= error.retry_after_s <= 25 * 3600
    assert error.headers == {"x-should-retry": "false"}


async def test_a_ceiling_of_the_request_itself_is_not_blamed_on_the_key(time):
    allowance = await limiter(time).enter(key(per_day=1 * UNITS), PROMPT)
    await allowance.reserve(None, 0.5)  # the caller tells of its own ceiling
    with pytest.raises(QuotaExceeded):
        await allowance.reserve(None, 1.5)


async def test_who_was_quicker_is_served_and_the_other_told(time):
    found, client = limiter(time), key(per_day=1 * UNITS)
    first, second = [await found.enter(client, PROMPT) for _ in range(2)]
    assert first.left_usd("s") == second.left_usd("s") == 1.0
    await first.reserve(0.9, None)
    with pytest.raises(QuotaExceeded):
        await second.reserve(0.9, None)
    second.close(trace())
    first.close(trace(0.2))
    assert found.counters.held("key:ci") == 0


async def test_cover_holds_more_only_when_more_is_there(time):
    found, client = limiter(time), key(per_day=1 * UNITS)
    allowance = await found.enter(client, PROMPT)
    assert await allowance.cover(0.4)
    assert await allowance.cover(0.3)
    assert found.counters.held("key:ci") == to_units(0.4)
    assert await allowance.cover(1.0)
    assert not await allowance.cover(1.1)
    assert found.counters.held("key:ci") == to_units(1.0)
    allowance.close(trace(1.2))  # one call that cost more than its worst case
    assert found.allowance(client).left_usd("s") == 0.0


async def test_looking_takes_nothing(time):
    found, client = limiter(time, session=1 * UNITS), key(requests_per_minute=1, per_day=UNITS)
    for _ in range(3):
        allowance = found.allowance(client)
        assert allowance.left_usd("s") == 1.0
        allowance.close(trace(0.7))
    assert found.counters.spending("key:ci") == Spending()
    assert await found.enter(client, PROMPT) is not None


# -- across processes ------------------------------------------------------------------------------------------------


async def test_what_was_spent_is_handed_over_and_taken_up_again(time):
    store, client = MemoryStore(), key(per_day=2 * UNITS)
    found = limiter(time, session=5 * UNITS, store=store)
    allowance = await found.enter(client, PROMPT)
    allowance.left_usd("s")
    assert store.load(Spending, 0.0) == []  # nothing was spent yet
    allowance.close(trace(1.5))
    ((name, kept),) = store.load(Spending, 0.0)  # sessions are not kept
    assert (name, kept) == ("key:ci", found.counters.spending("key:ci"))
    assert (kept.requests, kept.last_s) == (1, WALL)
    later = limiter(time, store=store)
    assert later.allowance(client).left_usd("s") == 0.5
    assert later.counters.spending("key:ci") == kept


async def test_sessions_are_bounded_and_none_that_runs_is_forgotten(time, monkeypatch):
    monkeypatch.setattr(module, "MAX_SESSIONS", 10)
    found = limiter(time, session=1 * UNITS)
    running = await found.enter(None, PROMPT)
    running.left_usd("first")
    await running.reserve(0.5, None)
    for n in range(50):
        allowance = await found.enter(None, PROMPT)
        allowance.left_usd(f"s{n}")
        allowance.close(trace(0.1))
    assert found.counters.held("session::first") == to_units(0.5)
    assert spent(found.counters.spending("session::s49").month, MONTH, int(WALL)) == to_units(0.1)
    assert found.counters.spending("session::s1") == Spending()
    running.close(trace(0.1))


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "0ms"), (0, "0ms"), (120, "120ms"), (1000, "1s"), (1500, "1.5s"), (59_999, "59.999s"), (60_000, "1m0s"),
     (361_000, "6m1s"), (3_723_000, "1h2m3s")],
)  # fmt: skip
def test_times_are_written_as_in_openais_headers(ms, text):
    assert duration(ms) == text


async def test_a_hundred_at_once_never_hold_more_than_the_budget(time):
    found, client = limiter(time), key(per_day=10 * UNITS, concurrent=100)

    async def one(n):
        allowance = await found.enter(client, PROMPT)
        try:
            allowance.left_usd("s")
            await allowance.reserve(0.3, None)
            await asyncio.sleep(0)
            assert found.counters.held("key:ci") <= 10 * UNITS
            return True
        except QuotaExceeded:
            return False
        finally:
            allowance.close(trace(0.3 if n % 2 else 0.1))

    served = await asyncio.gather(*(one(n) for n in range(100)))
    assert sum(served) == 33
    assert found.counters.held("key:ci") == found.counters.running("key:ci") == 0


async def test_what_members_ask_for_at_once_is_held_once(time, monkeypatch):
    found, client = limiter(time), key(per_day=1 * UNITS)
    allowance, reserve = await found.enter(client, PROMPT), found.counters.reserve

    async def over_a_wire(scopes, amount):
        await asyncio.sleep(0)
        return await reserve(scopes, amount)

    monkeypatch.setattr(found.counters, "reserve", over_a_wire)
    assert all(await asyncio.gather(*map(allowance.cover, (0.4, 0.6))))
    assert found.counters.held("key:ci") == to_units(0.6)
    allowance.close(trace(0.1))
    assert found.counters.held("key:ci") == 0
