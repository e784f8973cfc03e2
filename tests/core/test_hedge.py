"""When a second model is asked: which turns, after how long, whom, and how often, by example and by law."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.hedge import (
    MAX_CREDIT,
    MIN_S,
    MIN_WAITS,
    WHOLE,
    Hedging,
    Share,
    Silence,
    may_hedge,
    second,
    silence,
)
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import Breaker, Policy, State
from tests.support.pools import FOUR, pool, task

SETTINGS = Hedging(8.0, 45.0, 0.95, 0.05, 1.0)
FIXED = Hedging(8.0, 45.0, 0.0, 0.05, 1.0)


def decided(over=FOUR, mode="single", **changes):
    return decide(task(**changes), over, State(), Policy(mode=mode))


def test_a_persons_turn_with_one_model_may_have_a_second_call():
    assert may_hedge(decided(), named=False)


@pytest.mark.parametrize(
    "decision",
    [
        decided(turn="tool"),
        decided(turn="aux"),
        decided(kind="aux"),
        decided(mode="verify"),
        decided(mode="panel"),
        decided(pool(FOUR.candidates[0])),
        decided(pool()),
        decided(only=("coder-a",)),
        decided(options=Options(max_usd=0.0)),
    ],
    ids=["tool", "aux turn", "aux", "verify", "panel", "alone", "nobody", "restricted", "no money"],
)
def test_no_other_turn_may(decision):
    assert not may_hedge(decision, named=False)


def test_who_named_a_model_gets_no_other():
    assert not may_hedge(decided(), named=True)


@pytest.mark.parametrize(
    ("streamed", "said"),
    [(True, Silence(8.0, "hedge.after_s")), (False, Silence(45.0, "hedge.whole_after_s"))],
)
def test_without_measurements_the_fixed_time_counts(streamed, said):
    assert silence((), SETTINGS, streamed=streamed) == said
    assert silence([1.0] * (MIN_WAITS - 1), SETTINGS, streamed=streamed) == said
    assert silence([1.0] * 60, FIXED, streamed=streamed) == said


def test_with_measurements_their_quantile_counts():
    waits = [n / 10 for n in range(1, 21)]
    assert silence(waits, SETTINGS, streamed=True) == Silence(
        1.9, "0.95 quantile of its last 20 waits"
    )
    assert silence([0.001] * 20, SETTINGS, streamed=True).s == MIN_S


@given(
    st.lists(st.floats(0, 600), min_size=MIN_WAITS, max_size=64),
    st.floats(0.5, 0.99),
    st.booleans(),
)
def test_at_most_the_tail_waits_longer_than_the_quantile(waits, quantile, streamed):
    settings = Hedging(8.0, 45.0, quantile, 0.05, 1.0)
    found = silence(waits, settings, streamed=streamed).s
    assert found == MIN_S or found in waits
    longer = sum(1 for w in waits if w > found)
    assert longer <= math.floor((1 - quantile) * len(waits)) + 1e-9
    assert found <= max(MIN_S, *waits)


def test_the_next_whose_breaker_is_closed_is_asked():
    order = ("a", "b", "c")
    assert second(order, {}, 0.0) == "b"
    assert second(order, {"b": Breaker("closed", 2)}, 0.0) == "b"
    assert second(order, {"b": Breaker("open", 3, 20.0)}, 0.0) == "c"
    # Half open: whether it is back is not tried with somebody's hedge.
    assert second(order, {"b": Breaker("open", 3, 20.0)}, 30.0) == "c"
    assert second(order, {c: Breaker("open", 3, 20.0) for c in order}, 0.0) is None
    assert second(("a",), {}, 0.0) is None


@given(st.floats(0.001, 1.0), st.lists(st.booleans(), max_size=400))
def test_second_calls_never_exceed_their_share_of_the_requests_so_far(share, wishes):
    """Each request that comes earns; those of `wishes` would like a second call."""
    state, hedges = Share(), 0
    for count, wish in enumerate(wishes, 1):
        state = state.earn(share)
        assert 0 <= state.credit <= MAX_CREDIT
        left = state.spend() if wish else None
        if left is not None:
            state, hedges = left, hedges + 1
        assert hedges * WHOLE <= count * math.floor(share * WHOLE)
        assert state.credit >= 0


def test_a_quiet_time_saves_up_a_few_and_not_all():
    state, hedges = Share(), 0
    for _ in range(10_000):
        state = state.earn(0.5)
    while (left := state.spend()) is not None:
        state, hedges = left, hedges + 1
    assert hedges == MAX_CREDIT // WHOLE


@given(st.integers(2, 200))
def test_a_share_of_one_in_n_gives_one_in_n(n):
    state, hedges = Share(), 0
    for _ in range(3 * n + 1):  # parts of a millionth may be missing
        state = state.earn(1 / n)
        left = state.spend()
        if left is not None:
            state, hedges = left, hedges + 1
    assert hedges == 3


def test_what_was_not_used_is_given_back_and_never_more_than_can_be_saved():
    assert Share(3 * WHOLE).spend().give_back() == Share(3 * WHOLE)
    assert Share(MAX_CREDIT).give_back() == Share(MAX_CREDIT)
