"""The one knob: its rates rise, can be found again, and walk along the pool's own front."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core import knob
from openfusion_auto.core.decide import decide
from openfusion_auto.core.front import front
from openfusion_auto.core.score import PRICE, QUALITY_WEIGHTS, fixed
from openfusion_auto.core.types import Benchmark, Needs, Policy, Pool, Price, State
from tests.core import strategies
from tests.support.pools import FOUR, candidate, task

slopes = st.lists(strategies.numbers(0.0001, 3_000), max_size=5, unique=True).map(
    lambda found: tuple(sorted(found, reverse=True))
)
positions = strategies.numbers(0, 10)


@given(positions, slopes, strategies.tasks)
def test_the_rate_rises_strictly_with_the_knob(at, front_slopes, asked):
    below = max(0.0, at - 0.01)
    if below < at:
        assert 0 < knob.rate(below, front_slopes, asked) < knob.rate(at, front_slopes, asked)


@given(positions, slopes, strategies.tasks)
def test_a_position_is_where_the_rate_is_the_wanted_one(at, front_slopes, asked):
    wanted = knob.rate(at, front_slopes, asked)
    assert knob.position(wanted, front_slopes, asked) == pytest.approx(at, abs=1e-6)


@given(slopes, strategies.tasks)
def test_a_rate_that_no_position_has_is_nowhere(front_slopes, asked):
    least, most = (knob.rate(k, front_slopes, asked) for k in (0, 10))
    for wanted in (-1.0, 0.0, least * 0.999, most * 1.001):
        assert knob.position(wanted, front_slopes, asked) is None


@given(slopes, strategies.tasks)
def test_the_knob_is_clamped_to_its_range(front_slopes, asked):
    assert knob.rate(-3, front_slopes, asked) == knob.rate(0, front_slopes, asked)
    assert knob.rate(42, front_slopes, asked) == knob.rate(10, front_slopes, asked)


def test_between_one_and_nine_the_knob_walks_from_the_flattest_to_the_steepest_slope():
    found = (2.0, 0.5, 0.1)
    rates = [knob.rate(k, found, task()) for k in (0, 1, 5, 9, 10)]
    assert rates == pytest.approx([0.1 / 50, 0.1 / 2, (0.1 * 2.0) ** 0.5, 2.0 * 2, 2.0 * 50])


def test_a_pool_without_a_front_has_one_slope_and_slopes_are_bounded():
    assert knob.ends(()) == (knob.NO_FRONT, knob.NO_FRONT)
    assert knob.ends((1e9, 1e-9)) == (knob.FLATTEST, knob.STEEPEST)
    assert knob.ends((1e9,)) == (knob.STEEPEST, knob.STEEPEST)


def test_risk_moves_the_rate_and_a_clients_own_call_is_bought_by_price():
    rates = {r: knob.rate(5, (1.0,), task(risk=r)) for r in ("low", "medium", "high")}
    assert rates["low"] > rates["medium"] > rates["high"]
    assert rates["high"] == pytest.approx(knob.BY_RISK["high"] * rates["medium"])
    own = knob.rate(0, (1.0,), task(turn="aux"))
    assert own == knob.rate(0, (1.0,), task(kind="aux")) > knob.rate(10, (1.0,), task())


def test_a_task_of_more_effort_has_a_higher_rate():
    usual, dear = (knob.rate(5, (1.0,), task(effort=e)) for e in (1.0, 2.0))
    assert dear == pytest.approx(2 * usual)


# -- what it does to choices ------------------------------------------------------------------------------------------


@st.composite
def plain_pools(draw) -> Pool:
    """Candidates that differ in price and strength only."""
    models = []
    for i in range(draw(st.integers(1, 7))):
        inp = draw(strategies.numbers(0.01, 10))
        score = draw(strategies.numbers(5, 95))
        models.append(
            candidate(
                f"m{i}",
                price=Price(inp, 4 * inp),
                benchmarks=(Benchmark("swebench_verified", score, 500, "lab"),),
            )
        )
    return Pool(tuple(models), "sha256:drawn")


SWEEP = [k / 2 for k in range(21)]


@given(plain_pools(), strategies.tasks)
@settings(max_examples=50)
def test_sweeping_the_knob_never_picks_a_dearer_one_and_stays_on_the_front(models, drawn):
    # As hard as a benchmark's tasks and as long as ordinary requests: the front is the one that slopes are taken from.
    asked = task(kind=drawn.kind, risk=drawn.risk, needs=Needs(input_tokens=8_000), ease=0.0)
    if drawn.turn == "aux":
        asked = replace(asked, turn="aux")
    prices, on_front = [], None
    for at in SWEEP:
        ranking = decide(asked, models, State(), Policy(cost_quality=at)).ranking
        table = ranking[0].table
        prices.append(ranking[0].expected_usd)
        if on_front is None:
            quality = table.values @ QUALITY_WEIGHTS
            points = [
                (s.candidate, 1 - float(table.values[s.row, PRICE]), float(quality[s.row]))
                for s in ranking
            ]
            on_front = front([(name, max(0.0, cost), q) for name, cost, q in points])
        assert ranking[0].candidate in on_front.members
    assert prices == sorted(prices, reverse=True)


@given(plain_pools())
@settings(max_examples=30)
def test_both_ends_of_the_front_are_reached_and_nothing_between_is_skipped(models):
    asked = task(ease=0.0)
    picks = {
        decide(asked, models, State(), Policy(cost_quality=k / 8)).ranking[0].candidate
        for k in range(81)
    }
    base = fixed(models, asked.kind)
    steep = [s for s in base.slopes if knob.FLATTEST < s < knob.STEEPEST]
    if len(steep) == len(base.slopes) and all(a > 1.3 * b for a, b in pairwise(steep)):
        assert len(picks) == len(base.slopes) + 1


def test_the_middle_of_the_knob_is_neither_the_cheapest_nor_the_dearest():
    picks = [
        decide(task(), FOUR, State(), Policy(cost_quality=k)).ranking[0].candidate
        for k in (0, 5, 10)
    ]
    assert picks[0] == "verifier-a"
    assert picks[2] == "fast-a"
    assert picks[1] not in (picks[0], picks[2])
