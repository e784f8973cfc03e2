"""Limits: the buckets against a plain count of what was let through, the money as a state machine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from openfusion_auto.core.limits import (
    DAY,
    MINUTE,
    MONTH,
    NEW,
    NO_LIMITS,
    UNITS,
    Account,
    Bucket,
    Limits,
    Refusal,
    Room,
    add,
    admit,
    counting,
    drained,
    frees_ms,
    give,
    leave,
    left,
    refusal,
    release,
    reserve,
    room,
    settle,
    spent,
    take,
    tightest,
    to_units,
    to_usd,
    wait_ms,
)

HOUR = 3_600
NOON = 1_800_000_000 // 86_400 * 86_400 + 12 * HOUR  # [s] noon of a day


def taken(count: int, per_minute: int = 6, at_ms: int = 0) -> Bucket:
    return take(Bucket(), per_minute, count, at_ms)


# -- buckets ---------------------------------------------------------------------------------------------------------


def test_a_new_bucket_gives_a_whole_minute_at_once_and_then_makes_wait():
    bucket = Bucket()
    for _ in range(6):
        assert wait_ms(bucket, 6, 1, 0) == 0
        bucket = take(bucket, 6, 1, 0)
    assert wait_ms(bucket, 6, 1, 0) == 10_000  # six a minute: one comes back every ten seconds
    assert wait_ms(bucket, 6, 1, 9_999) == 1
    assert wait_ms(bucket, 6, 1, 10_000) == 0


def test_what_is_larger_than_a_minutes_worth_never_fits():
    assert wait_ms(Bucket(), 6, 7, 0) is None
    assert wait_ms(Bucket(), 6, 6, 0) == 0


def test_what_was_taken_for_nothing_comes_back_at_once_and_never_more_than_full():
    assert give(taken(6), 6, 4, 0) == taken(2)
    assert give(taken(2), 6, 4, 0).owed == 0
    assert wait_ms(give(taken(2), 6, 4, 0), 6, 7, 0) is None


def test_a_bucket_may_owe_more_than_it_holds_when_the_real_count_was_higher():
    assert wait_ms(taken(12), 6, 1, 0) == 70_000


def test_a_larger_limit_counts_at_once_for_what_is_owed():
    assert wait_ms(taken(6), 60, 1, 0) == 0


def test_a_clock_that_goes_back_changes_nothing():
    bucket = taken(6, at_ms=5_000)
    assert drained(bucket, 6, 0) == bucket
    assert drained(bucket, 6, 15_000).owed == 5 * MINUTE


def test_room_counts_whole_ones_and_says_when_all_is_back():
    assert room(Bucket(), 6, 0) == Room(6, 6, 0)
    assert room(taken(6), 6, 0) == Room(6, 0, 60_000)
    assert room(taken(6), 6, 15_000) == Room(6, 1, 45_000)
    assert room(taken(9), 6, 0).left == 0


def test_the_tightest_of_several_is_the_one_with_the_smallest_share():
    small, large = Room(10, 5, 0), Room(100, 40, 0)
    assert tightest([small, large]) == large
    assert tightest([]) is None


@given(
    st.integers(1, 600),
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 50)), max_size=60),
)
def test_no_stretch_of_time_lets_through_more_than_burst_and_rate(per_minute, asked):
    bucket, now_ms, passed = Bucket(), 0, []
    for pause_ms, count in asked:
        now_ms += pause_ms
        if wait_ms(bucket, per_minute, count, now_ms) == 0:
            bucket = take(bucket, per_minute, count, now_ms)
            passed.append((now_ms, count))
    for i, (begin_ms, _) in enumerate(passed):
        for end_ms, _ in passed[i:]:
            inside = sum(n for at, n in passed if begin_ms <= at <= end_ms)
            assert inside * MINUTE <= per_minute * (MINUTE + end_ms - begin_ms)


@given(st.integers(1, 600), st.integers(0, 2000), st.integers(1, 50), st.integers(0, 10**6))
def test_the_wait_is_exact_to_the_millisecond(per_minute, owed, count, now_ms):
    bucket = take(Bucket(0, now_ms), per_minute, owed, now_ms)
    wait = wait_ms(bucket, per_minute, count, now_ms)
    if wait is None:
        assert count > per_minute
        return
    assert wait_ms(bucket, per_minute, count, now_ms + wait) == 0
    assert wait == 0 or wait_ms(bucket, per_minute, count, now_ms + wait - 1) == 1


# -- the way in and out ----------------------------------------------------------------------------------------------


def test_an_account_without_limits_lets_everybody_in_and_still_counts_who_is():
    account = NEW
    for _ in range(100):
        assert refusal(account, NO_LIMITS, 10**6, 0) is None
        account = admit(account, NO_LIMITS, 10**6, 0)
    assert account == Account(running=100)
    assert leave(account, NO_LIMITS, 10**6, 5, 0).running == 99


def test_the_cap_on_running_requests_frees_with_each_that_leaves():
    limits = Limits(concurrent=2)
    account = admit(admit(NEW, limits, 0, 0), limits, 0, 0)
    assert refusal(account, limits, 0, 0) == Refusal("concurrent", 2, 1000)
    assert refusal(leave(account, limits, 0, 0, 0), limits, 0, 0) is None


def test_the_longer_of_two_waits_is_told():
    limits = Limits(requests_per_minute=60, tokens_per_minute=6)
    account = admit(NEW, limits, 6, 0)
    assert refusal(account, limits, 3, 0) == Refusal("tokens", 6, 30_000)
    account = account._replace(requests=take(Bucket(), 60, 120, 0))
    assert refusal(account, limits, 3, 0) == Refusal("requests", 60, 61_000)


def test_a_request_larger_than_the_limit_of_a_minute_is_told_that_waiting_is_useless():
    assert refusal(NEW, Limits(tokens_per_minute=6), 7, 0) == Refusal("tokens", 6, None)


def test_tokens_are_settled_by_what_was_used():
    limits = Limits(tokens_per_minute=100)
    account = admit(NEW, limits, 50, 0)
    assert leave(account, limits, 50, 10, 0).tokens == taken(10, 100)
    assert leave(account, limits, 50, 170, 0).tokens == taken(170, 100)


def test_nobody_leaves_who_has_not_come_in():
    with pytest.raises(ValueError, match="left"):
        leave(NEW, NO_LIMITS, 0, 0, 0)


# -- money -----------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1e5).map(lambda x: round(x, 10)))
def test_no_price_is_changed_by_counting_it_in_units(usd):
    assert round(to_usd(to_units(usd)), 10) == usd


@pytest.mark.parametrize("usd", [-0.01, float("nan"), float("inf")])
def test_what_is_no_amount_of_money_is_refused(usd):
    with pytest.raises(ValueError, match="amount"):
        to_units(usd)


def test_without_a_budget_all_can_be_reserved_and_what_is_left_is_unknown():
    assert left(NEW, NO_LIMITS, NOON) is None
    assert reserve(NEW, NO_LIMITS, 10**15, NOON) == Account(held=10**15)


def test_what_is_held_is_not_there_for_others_until_it_is_settled():
    limits = Limits(per_day=100)
    account = reserve(NEW, limits, 70, NOON)
    assert account is not None
    assert left(account, limits, NOON) == 30
    assert reserve(account, limits, 31, NOON) is None
    assert left(settle(account, 70, 20, NOON), limits, NOON) == 80
    assert release(account, 70) == NEW


def test_the_tighter_of_day_and_month_binds():
    limits = Limits(per_day=100, per_month=150)
    account = settle(NEW, 0, 100, NOON)
    assert left(account, limits, NOON + 2 * 86_400) == 50
    assert left(account, replace(limits, per_month=None), NOON + 2 * 86_400) == 100


def test_an_overdrawn_account_has_nothing_left_and_still_holds_nothing():
    limits = Limits(per_day=100)
    account = settle(NEW, 0, 130, NOON)
    assert left(account, limits, NOON) == 0
    assert reserve(account, limits, 1, NOON) is None
    assert reserve(account, limits, 0, NOON) == account  # a free model can still be asked


def test_money_comes_back_when_its_slot_has_left_the_window():
    account = settle(NEW, 0, 40, NOON)
    assert spent(account.day, DAY, NOON + DAY.span_s) == 40
    assert spent(account.day, DAY, NOON + DAY.span_s + HOUR) == 0
    assert spent(account.month, MONTH, NOON + 29 * 86_400) == 40
    assert spent(account.month, MONTH, NOON + 31 * 86_400) == 0


def test_slots_that_no_longer_count_are_dropped():
    slots = ()
    for hour in range(100):
        slots = add(slots, DAY, 1, NOON + hour * HOUR)
    assert len(slots) == 25
    assert counting(slots, DAY, NOON + 99 * HOUR) == slots


def test_after_the_clock_went_back_nothing_is_lost():
    slots = add(add((), DAY, 5, NOON), DAY, 7, NOON - 3 * HOUR)
    assert spent(slots, DAY, NOON - 3 * HOUR) == 12
    assert len(slots) == 1


def test_nothing_spent_makes_no_slot():
    assert settle(NEW, 0, 0, NOON) == NEW


def test_when_a_budget_has_room_again_is_told():
    limits = Limits(per_day=100, per_month=1000)
    account = settle(settle(NEW, 0, 60, NOON), 0, 40, NOON + HOUR)
    now_s = NOON + 2 * HOUR
    assert frees_ms(account, limits, 0, now_s) == 0
    assert frees_ms(account, limits, 60, now_s) == (23 * HOUR) * 1000
    assert frees_ms(account, limits, 61, now_s) == (24 * HOUR) * 1000
    assert frees_ms(account, limits, 101, now_s) is None
    assert frees_ms(account, NO_LIMITS, 101, now_s) == 0
    assert left(account, limits, now_s + 23 * HOUR) == 60


@pytest.mark.parametrize(("held", "cost"), [(1, 0), (-1, 0), (0, -1)])
def test_more_than_is_held_cannot_be_settled_or_released(held, cost):
    with pytest.raises(ValueError, match="cannot settle"):
        settle(NEW, held, cost, NOON)


def test_wrong_amounts_are_refused():
    with pytest.raises(ValueError, match="cannot release"):
        release(NEW, 1)
    with pytest.raises(ValueError, match="negative"):
        reserve(NEW, NO_LIMITS, -1, NOON)


class Purse(RuleBasedStateMachine):
    """Money against a plain list of what was spent when: none is lost, none is made, and overspending is bounded.

    `overdrawn` is what calls cost over their worst case: the only way past a budget.
    """

    held = Bundle("held")
    limits = Limits(per_day=5 * UNITS, per_month=40 * UNITS)

    def __init__(self):
        super().__init__()
        self.account = NEW
        self.now_s = NOON
        self.holds: list[int] = []
        self.costs: list[tuple[int, int, int]] = []  # at [s], cost, over its worst case

    @rule(target=held, amount=st.integers(0, 2 * UNITS))
    def ask(self, amount):
        found = reserve(self.account, self.limits, amount, self.now_s)
        rest = left(self.account, self.limits, self.now_s)
        assert (found is not None) == (amount <= rest)
        if found is None:
            return -1
        self.account = found
        self.holds.append(amount)
        return amount

    @rule(amount=consumes(held), share=st.fractions(0, 1))
    def pay(self, amount, share):
        self.close(amount, int(amount * share))

    @rule(amount=consumes(held), over=st.integers(1, UNITS))
    def pay_more_than_the_worst_case(self, amount, over):
        self.close(amount, amount + over)

    @rule(amount=consumes(held))
    def give_up(self, amount):
        if amount >= 0:
            self.holds.remove(amount)
            self.account = release(self.account, amount)

    def close(self, amount, cost):
        if amount >= 0:
            self.holds.remove(amount)
            self.account = settle(self.account, amount, cost, self.now_s)
            self.costs.append((self.now_s, cost, max(0, cost - amount)))

    @rule(hours=st.integers(0, 40), seconds=st.integers(0, HOUR))
    def wait(self, hours, seconds):
        self.now_s += hours * HOUR + seconds

    def since(self, seconds, slot):
        """What was spent in the last `seconds` exactly, and with what else lies in the slot of then."""
        exact = sum(c for at, c, _ in self.costs if at > self.now_s - seconds)
        begin = (self.now_s - seconds) // slot * slot
        return exact, sum(c for at, c, _ in self.costs if at >= begin)

    @invariant()
    def what_is_held_is_what_was_reserved(self):
        assert self.account.held == sum(self.holds)

    @invariant()
    def nothing_is_lost_and_nothing_is_made(self):
        for slots, window in ((self.account.day, DAY), (self.account.month, MONTH)):
            exact, with_slot = self.since(window.span_s, window.slot_s)
            known = spent(slots, window, self.now_s)
            assert known == with_slot
            assert known >= exact

    @invariant()
    def a_budget_is_passed_by_no_more_than_calls_cost_over_their_worst_case(self):
        for budget, window in ((self.limits.per_day, DAY), (self.limits.per_month, MONTH)):
            begin = self.now_s - window.span_s
            exact = sum(c for at, c, _ in self.costs if at > begin)
            over = sum(o for *_, o in self.costs)
            assert exact + self.account.held <= budget + over


TestPurse = Purse.TestCase
TestPurse.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Door(RuleBasedStateMachine):
    """Requests in and out: the cap holds, and when all have left the account is as new but for what time gives back."""

    inside = Bundle("inside")
    limits = Limits(requests_per_minute=30, tokens_per_minute=900, concurrent=3)

    def __init__(self):
        super().__init__()
        self.account, self.now_ms, self.running = NEW, 0, 0

    @rule(target=inside, tokens=st.integers(0, 1000))
    def come(self, tokens):
        why = refusal(self.account, self.limits, tokens, self.now_ms)
        if why is not None:
            if why.wait_ms is not None and why.limit != "concurrent":
                later = self.now_ms + why.wait_ms
                assert refusal(self.account, self.limits, tokens, later) is None
            return -1
        self.account = admit(self.account, self.limits, tokens, self.now_ms)
        self.running += 1
        return tokens

    @rule(reserved=consumes(inside), used=st.integers(0, 1500))
    def go(self, reserved, used):
        if reserved >= 0:
            self.account = leave(self.account, self.limits, reserved, used, self.now_ms)
            self.running -= 1

    @rule(pause_ms=st.integers(0, 120_000))
    def wait(self, pause_ms):
        self.now_ms += pause_ms

    @invariant()
    def the_cap_holds_and_no_slot_leaks(self):
        assert self.account.running == self.running <= self.limits.concurrent

    @invariant()
    def buckets_are_never_more_than_full(self):
        for bucket in (self.account.requests, self.account.tokens):
            assert bucket.owed >= 0


TestDoor = Door.TestCase
TestDoor.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
