"""The terms: what each value means, what its numbers come from, and what the knob does to their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import cost, knob, strength
from openfusion_auto.core.live import (
    TPS_HALF,
    TTFT_HALF_MS,
    UNKNOWN,
    speed_value,
    wait_value,
)
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.score import (
    DIGITS,
    EASE,
    EASE_STRUGGLING,
    EASE_TALK,
    LOCK_WEIGHT,
    PRICE,
    QUALITY_WEIGHTS,
    ROLES_FOR,
    SKILL,
    STUCK_SHARE,
    TERMS,
    UNITS,
    chances,
    ease_of,
    fixed,
    price_source,
    price_values,
    role_fit,
    score,
    term_weights,
)
from openfusion_auto.core.stats import HALF_LIFE_S, PRIOR_WEIGHT
from openfusion_auto.core.types import (
    KINDS,
    ROLES,
    Needs,
    Performance,
    Pin,
    Pool,
    State,
    Stats,
    TaskCost,
)
from tests.core import strategies
from tests.support.pools import CODER, FAST, FOUR, VERIFIER, candidate, pool, price, solves, task


def all_scores(models=FOUR, asked=None, state=None, at=5.0, *, locked=False, stuck=None):
    rows = list(range(len(models.candidates)))
    return score(models, rows, asked or task(), state or State(), at, locked=locked, stuck=stuck)


def terms_of(model, asked=None, state=None, at=5.0, models=FOUR, *, locked=False):
    """The terms of one candidate by name."""
    found = all_scores(models, asked, state, at, locked=locked)
    scored = next(s for s in found if s.candidate == model)
    return {t.name: t for t in scored.terms}


# -- the whole --------------------------------------------------------------------------------------------------------


def test_nobody_to_score_gives_nothing():
    assert score(FOUR, [], task(), State(), 5.0, locked=False) == ()


@given(strategies.easy_inputs, st.booleans())
def test_every_score_has_all_terms_in_order_with_values_from_0_to_1(inputs, locked):
    for scored in all_scores(inputs.pool, inputs.task, inputs.state, locked=locked):
        assert tuple(t.name for t in scored.terms) == TERMS
        assert tuple(t.unit for t in scored.terms) == UNITS
        assert all(0.0 <= t.value <= 1.0 for t in scored.terms)
        assert all(t.points == pytest.approx(t.value * t.weight, abs=1e-12) for t in scored.terms)
        assert scored.total == pytest.approx(sum(t.points for t in scored.terms), abs=1e-12)
        assert all(t.source for t in scored.terms)


@given(strategies.easy_inputs, strategies.numbers(0, 10))
def test_totals_rank_by_quality_minus_rate_times_relative_cost(inputs, at):
    found = all_scores(inputs.pool, inputs.task, inputs.state, at)
    table = found[0].table
    worth = table.values @ np.array(QUALITY_WEIGHTS) - table.rate * (1 - table.values[:, PRICE])
    assert (np.diff(worth / (1 + table.rate)) <= 1e-9).all()


def test_terms_carry_the_raw_number_its_unit_and_its_source():
    terms = terms_of("coder-a")
    assert terms["benchmark"][1:3] == (72, "percent")
    assert terms["benchmark"].source == "swebench_verified_openhands 2026-11-01 and 1 more"
    listed = (8_000 * CODER.price.input + 1_200 * CODER.price.output) * 1e-6
    assert terms["price"].raw == pytest.approx(listed)
    assert terms["price"].unit == "usd/turn"
    assert terms["price"].source == "list price 2026-11-01"
    assert terms["skill"].raw == terms["skill"].value
    assert terms["latency"][1:3] == (900.0, "ms")
    assert terms["throughput"][1:3] == (60.0, "tokens/s")
    assert terms["throughput"].source == "pool"
    assert terms["availability"][1:3] == (0.95, "share")
    assert terms["availability"].source == "prior"


def test_the_price_of_a_request_and_of_a_turn_are_two_numbers():
    asked = task(needs=Needs(tools=True, input_tokens=8_000))
    found = next(s for s in all_scores(asked=asked) if s.candidate == "coder-a")
    assert found.terms[PRICE].raw < found.expected_usd


def test_a_long_prompt_is_ranked_by_the_price_that_it_has():
    dear = price(0.8, 3.0)
    longer = (LongPrice(200_000, 2.0, 6.0, 0.2),)
    models = pool(
        candidate("flat", price=price(1.0, 4.0), benchmarks=solves(70)),
        candidate("stepped", price=replace(dear, long_context=longer), benchmarks=solves(70)),
    )

    def first(tokens, **needs):
        asked = task(needs=Needs(input_tokens=tokens, **needs))
        best, other = all_scores(models, asked, at=10)
        sources = {s.candidate: s.terms[PRICE].source for s in (best, other)}
        return best.candidate, sources["stepped"]

    assert first(200_000) == ("stepped", "list price 2026-11-01")
    assert first(300_000) == ("flat", "list price 2026-11-01, that above 200,000 tokens")
    agent = first(199_000, tools=True)
    assert agent == ("flat", "list price 2026-11-01, that above 200,000 tokens in later turns")


@given(strategies.easy_inputs, st.data())
def test_rejecting_one_changes_no_other_total(inputs, data):
    rows = list(range(len(inputs.pool.candidates)))
    gone = data.draw(st.sampled_from(rows))
    asked, state, at = inputs.task, inputs.state, inputs.policy.cost_quality
    whole = score(inputs.pool, rows, asked, state, at, locked=False)
    rest = score(inputs.pool, [i for i in rows if i != gone], asked, state, at, locked=False)
    kept = [s for s in whole if s.candidate != inputs.pool.candidates[gone].id]
    assert [(s.candidate, s.total, s.terms) for s in rest] == [
        (s.candidate, s.total, s.terms) for s in kept
    ]


# -- weights and knob -------------------------------------------------------------------------------------------------


@given(strategies.numbers(0.0001, 5_000))
def test_weights_without_a_lock_add_up_to_one_and_price_has_its_share(rate):
    got = term_weights(rate, QUALITY_WEIGHTS, locked=False)
    assert sum(got) == pytest.approx(1.0, abs=1e-9)
    assert got[PRICE] == pytest.approx(rate / (1 + rate))


@given(strategies.numbers(0.0001, 5_000), strategies.numbers(0.0001, 5_000))
def test_the_knob_keeps_the_ratios_of_all_quality_weights(one, two):
    a, b = (
        term_weights(one, QUALITY_WEIGHTS, locked=False),
        term_weights(two, QUALITY_WEIGHTS, locked=False),
    )
    for i, weight in enumerate(QUALITY_WEIGHTS):
        if weight:
            assert a[i] * b[SKILL] == pytest.approx(b[i] * a[SKILL], rel=1e-6)


def test_the_weights_of_quality_are_shares():
    assert sum(QUALITY_WEIGHTS) == pytest.approx(1.0)
    assert len(QUALITY_WEIGHTS) == len(TERMS) == len(UNITS)
    assert QUALITY_WEIGHTS[PRICE] == 0
    assert max(QUALITY_WEIGHTS) == QUALITY_WEIGHTS[SKILL]


@given(strategies.numbers(0.0001, 5_000))
def test_a_lock_outweighs_everything_else(rate):
    got = term_weights(rate, QUALITY_WEIGHTS, locked=True)
    assert got[-1] == LOCK_WEIGHT > sum(got[:-1])


def test_a_lock_is_named_in_the_source():
    state = State(pin=Pin("coder-a"))
    assert "locked" in terms_of("coder-a", state=state, locked=True)["stickiness"].source
    free = terms_of("coder-a", state=state)["stickiness"]
    assert (free.value, free.source) == (1.0, "session pin")
    assert terms_of("fast-a", state=state)["stickiness"].value == 0.0


def test_a_stuck_session_is_not_sticky_unless_it_is_locked_all_the_same():
    state, asked = State(pin=Pin("coder-a")), task(struggling=True)
    assert terms_of("coder-a", asked, state)["stickiness"].value == 0.0
    assert terms_of("coder-a", asked, state, locked=True)["stickiness"].value == 1.0


def test_who_is_stuck_and_who_is_no_stronger_is_worth_half():
    asked, state = task(turn="tool", struggling=True), State(pin=Pin("coder-a"))
    free = {s.candidate: s.terms[SKILL].value for s in all_scores(asked=asked, state=state)}
    found = all_scores(asked=asked, state=state, stuck="coder-a")
    half = {s.candidate: s.terms[SKILL].value for s in found}
    for name in ("fast-a", "coder-a"):
        assert half[name] == pytest.approx(STUCK_SHARE * free[name], abs=1e-8)
    for name in ("reasoner-a", "verifier-a"):
        assert half[name] == free[name]
    assert found[0].candidate in ("reasoner-a", "verifier-a")


# -- price ------------------------------------------------------------------------------------------------------------


@given(st.lists(strategies.numbers(0, 50), min_size=1, max_size=6))
def test_cheaper_is_worth_more_from_nothing_at_the_dearest_to_one_for_free(usd):
    dearest = max(usd)
    values = price_values(np.array(usd), dearest).tolist()
    for amount, value in zip(usd, values, strict=True):
        assert 0 <= value <= 1
        if dearest:
            assert value == pytest.approx(1 - amount / dearest)


def test_free_pools_and_unknown_prices():
    unknown = np.array([0.0, np.nan])
    assert price_values(unknown, 0.0).tolist() == [1.0, 0.0]
    assert price_values(unknown, 2.0).tolist() == [1.0, 0.0]


def test_an_unknown_price_earns_nothing_and_is_not_zero_dollars():
    models = pool(candidate("a", price=None), candidate("b"))
    terms = terms_of("a", models=models)
    assert (terms["price"].raw, terms["price"].points, terms["price"].source) == (
        None,
        0.0,
        "unknown",
    )
    assert next(s for s in all_scores(models) if s.candidate == "a").expected_usd is None
    assert all_scores(pool(candidate("a", price=None)))[0].expected_usd is None


@given(strategies.pools(easy=True, min_size=2), strategies.tasks, st.integers(0, 200_000))
def test_every_price_of_a_cold_start_is_a_share_of_the_dearest(models, drawn, size):
    asked = replace(drawn, needs=replace(drawn.needs, input_tokens=size), only=(), role=None)
    table = all_scores(reads_for_less(models), asked)[0].table
    assert (table.turn_usd <= table.dearest_usd * (1 + 1e-9) + 1e-12).all()


def reads_for_less(models):
    """The pool with nobody whose cached tokens cost more than fresh ones: later turns would cost more than a cold one."""
    prices = [
        replace(c.price, cache_read=c.price.cache_read and min(c.price.cache_read, c.price.input))
        for c in models.candidates
    ]
    changed = [replace(c, price=p) for c, p in zip(models.candidates, prices, strict=True)]
    return replace(models, candidates=tuple(changed))


@given(strategies.pools(easy=True, min_size=2), strategies.tasks)
def test_the_value_of_a_price_is_a_share_also_where_cached_tokens_cost_more(models, drawn):
    table = all_scores(models, replace(drawn, only=(), role=None))[0].table
    values = table.values[:, PRICE]
    assert ((values >= 0) & (values <= 1)).all()


def test_an_effort_other_than_listed_is_in_the_source():
    dear = candidate("a", cost_per_task=TaskCost(1000.0))
    assert price_source(dear, 4.0) == "list price 2026-11-01, x4.00 by cost per task"
    assert price_source(candidate("b"), 2.0).endswith("as the pool's median cost per task")
    terms = terms_of("a", models=pool(dear, candidate("b")))
    plain = terms_of("b", models=pool(candidate("b"), candidate("c")))
    assert terms["price"].raw == pytest.approx(4 * plain["price"].raw)


@given(strategies.numbers(0.01, 10), strategies.numbers(0.01, 10))
def test_a_lower_list_price_never_scores_less(one, two):
    low, high = sorted((one, two))
    models = pool(candidate("a", price=price(low, low)), candidate("b", price=price(high, high)))
    totals = {s.candidate: s.total for s in all_scores(models)}
    assert totals["a"] >= totals["b"]


# -- skill ------------------------------------------------------------------------------------------------------------


def test_a_harder_task_is_solved_less_often():
    eases = [ease_of(task(complexity=c)) for c in ("low", "medium", "high")]
    assert eases == sorted(eases, reverse=True) == [EASE["low"], EASE["medium"], EASE["high"]]
    assert ease_of(task(struggling=True)) == EASE["medium"] + EASE_STRUGGLING
    assert ease_of(task(turn="aux")) == ease_of(task(kind="chat")) == EASE_TALK
    assert ease_of(task(ease=-2.5)) == ease_of(task(ease=-2.5, kind="chat")) == -2.5


def test_skill_is_the_chance_of_solving_the_task():
    found = dict(
        zip((c.id for c in FOUR.candidates), strength.strengths(FOUR, "bugfix").logit, strict=True)
    )
    for hard in ("low", "medium", "high"):
        for name, logit in found.items():
            shown = terms_of(name, task(complexity=hard))["skill"].value
            assert shown == pytest.approx(strength.chance(logit, EASE[hard]), abs=1e-8)
    assert chances(np.array([0.0]), 0.0).tolist() == [0.5]


def test_what_recorded_outcomes_lift_is_added_to_the_chance_and_stays_one():
    plain = terms_of("coder-a")["skill"].value
    lifted = terms_of("coder-a", task(lifts=(("coder-a", 0.1),)))["skill"].value
    assert lifted == pytest.approx(plain + 0.1, abs=1e-8)
    for far, end in ((5.0, 1.0), (-5.0, 0.0)):
        assert terms_of("coder-a", task(lifts=(("coder-a", far),)))["skill"].value == end


def test_what_a_pool_says_is_remembered_by_pool_and_kind():
    assert fixed(FOUR, "bugfix") is fixed(FOUR, "bugfix")
    assert fixed(Pool(FOUR.candidates), "bugfix") is not fixed(FOUR, "bugfix")


@given(strategies.pools(), st.sampled_from(KINDS))
def test_the_slopes_of_a_front_fall(models, kind):
    slopes = fixed(models, kind).slopes
    assert list(slopes) == sorted(slopes, reverse=True)
    assert all(s > 0 for s in slopes)


# -- roles ------------------------------------------------------------------------------------------------------------


def test_every_kind_has_roles_that_pools_know():
    assert set(ROLES_FOR) == set(KINDS)
    assert {r for wanted in ROLES_FOR.values() for r in wanted} == set(ROLES)


def test_the_first_suiting_role_counts_and_no_role_is_better_than_a_wrong_one():
    wanted = ROLES_FOR["bugfix"]
    assert role_fit(CODER, wanted) == 1.0
    assert role_fit(VERIFIER, wanted) == 0.8
    assert role_fit(FAST, wanted) == 0.4
    assert role_fit(candidate("a", roles=()), wanted) == 0.6
    assert terms_of("fast-a", task(role="fast"))["role"].value == 1.0
    assert terms_of("coder-a", task(role="fast"))["role"].value == 0.4


# -- live numbers -----------------------------------------------------------------------------------------------------


def test_a_latency_nobody_knows_is_in_the_middle_and_said_to_be_unknown():
    terms = terms_of("a", models=pool(candidate("a", performance=None)))
    assert terms["latency"][1] is None
    assert (terms["latency"].value, terms["latency"].source) == (UNKNOWN, "unknown")
    assert (terms["throughput"].raw, terms["throughput"].value) == (None, UNKNOWN)


def test_latency_and_throughput_are_half_at_their_half_points():
    half = pool(candidate("a", performance=Performance(TTFT_HALF_MS, TPS_HALF)))
    assert terms_of("a", models=half)["latency"].value == 0.5 == wait_value(TTFT_HALF_MS)
    assert terms_of("a", models=half)["throughput"].value == 0.5 == speed_value(TPS_HALF)


def test_failures_cost_availability_and_fade_although_nobody_calls():
    bad = Stats(failed=20.0, at_s=0.0)
    now = terms_of("coder-a", state=State(0.0, {"coder-a": bad}))["availability"]
    later = terms_of("coder-a", state=State(HALF_LIFE_S * 10, {"coder-a": bad}))["availability"]
    never = terms_of("coder-a")["availability"]
    assert now.value < 0.1
    assert now.source == "live n=20.0"
    assert later.value == pytest.approx(never.value, abs=0.01)


def test_availability_is_worth_nothing_at_one_failure_in_two():
    even = Stats(ok=1.0, failed=19.0)
    assert terms_of("coder-a", state=State(0.0, {"coder-a": even}))["availability"].value == 0.0


def test_measured_speed_moves_the_terms_of_whom_it_was_measured_on_only():
    quick = State(0.0, {"coder-a": Stats(ok=9, ttft_ms=100, ttft_weight=50, tokens_per_s=300, tps_weight=50)})  # fmt: skip
    assert terms_of("coder-a", state=quick)["latency"].value > terms_of("coder-a")["latency"].value
    assert terms_of("coder-a", state=quick)["throughput"].raw > 200
    assert terms_of("fast-a", state=quick) == terms_of("fast-a")


# -- the page that explains it ----------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "scoring.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())


def test_the_page_quotes_the_weight_and_the_unit_of_every_term():
    cells = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("| `")
    ]
    shown = {c[0].strip("`"): c for c in cells if c[0].strip("`") in TERMS}
    assert set(shown) == set(TERMS)
    for name, unit, weight in zip(TERMS, UNITS, QUALITY_WEIGHTS, strict=True):
        assert shown[name][1].endswith(f"[{unit}]")
        assert shown[name][3] == ("by the knob" if name == "price" else f"{weight:g}")


def test_the_page_quotes_the_figures_of_the_code():
    low, medium, high = EASE.values()
    for quoted in (
        f"`ease` is {low:+g}, {medium:g} or {high:+g} by complexity",
        f"{EASE_TALK:+g} for conversation",
        f"{EASE_STRUGGLING:+g} more when the session's model is stuck",
        f"{TTFT_HALF_MS:.0f} / (raw + {TTFT_HALF_MS:.0f})",
        f"raw / (raw + {TPS_HALF:.0f})",
        f"What nobody knows is worth {UNKNOWN}",
        f"its stickiness weighs {LOCK_WEIGHT:.0f}",
        f"weigh at most {strength.SOURCE_CAP:g} together",
        f"counts {strength.MISSING:g} of its weight",
        f"no distance is above {strength.FAR:g}",
        f"half when it is {strength.HALF_LIFE_DAYS:.0f} days older",
        f"between {cost.EFFORT_BOUNDS[0]:g} and {cost.EFFORT_BOUNDS[1]:g} times",
        f"count half after {HALF_LIFE_S:.0f} seconds",
        f"worth {PRIOR_WEIGHT:.0f} samples",
        f"{cost.FIRST_TURNS_LEFT:.0f} further turns",
        f"at most {cost.MOST_TURNS_LEFT:.0f}",
        f"grows by {cost.GROWTH_TOKENS:,} tokens a turn",
        f"time to live / (time to live + {cost.PAUSE_S:.0f} s)",
        f"times {knob.BY_RISK['low']:g} at low risk and {knob.BY_RISK['high']:g} at high",
        f"times {knob.FOR_ITSELF:,.0f} for calls that a client makes for itself",
        f"rounded to nine decimals, points to {DIGITS}",
    ):
        assert quoted in WORDS, quoted


def test_the_page_quotes_the_knots_of_the_knob():
    slopes = (3.0, 1.0, 0.2)
    row = next(line for line in PAGE.splitlines() if line.startswith("| rate"))
    shown = [c.strip() for c in row.strip("|").split("|")][1:]
    assert shown == ["flattest / 50", "flattest / 2", "sqrt(flattest x steepest)", "steepest x 2", "steepest x 50"]  # fmt: skip
    wanted = [0.2 / 50, 0.2 / 2, (0.2 * 3.0) ** 0.5, 3.0 * 2, 3.0 * 50]
    assert [knob.rate(k, slopes, task()) for k in (0, 1, 5, 9, 10)] == pytest.approx(wanted)


def test_a_skill_that_nobody_measured_does_not_call_itself_a_benchmarks():
    some = pool(candidate("told", benchmarks=solves(60)), candidate("untold"))
    assert terms_of("told", models=some)["skill"].source == "pool benchmarks"
    assert "none published" in terms_of("untold", models=some)["skill"].source


def test_strength_is_used_as_the_page_says():
    one = pool(*(candidate(n, benchmarks=solves(s)) for n, s in zip("abc", (40, 60, 80), strict=True)))  # fmt: skip
    middle = strength.strengths(one, "bugfix").logit[1]
    assert terms_of("b", models=one)["skill"].value == pytest.approx(
        strength.chance(middle, 0.0), abs=1e-8
    )
