"""The terms: what each value means, what its numbers come from, and the argument behind the knob."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import cost
from openfusion_auto.core.score import (
    BENCHMARK_BY_COMPLEXITY,
    LOCK_WEIGHT,
    NEED,
    NEED_RISK,
    NEED_SLOPE,
    NEED_STRUGGLING,
    QUALITY_WEIGHTS,
    ROLES_FOR,
    TERMS,
    TPS_HALF,
    TTFT_HALF_MS,
    UNKNOWN,
    USD_CHEAP,
    USD_DEAR,
    aged,
    cheapness,
    headline,
    live,
    lower_bound,
    need,
    percentiles,
    price_share,
    price_source,
    relevance,
    role_value,
    score,
    static,
    usd_for,
    weights,
)
from openfusion_auto.core.stats import HALF_LIFE_S, PRIOR_WEIGHT
from openfusion_auto.core.types import (
    KINDS,
    LEVELS,
    ROLES,
    Benchmark,
    Performance,
    Pin,
    Pool,
    State,
    Stats,
    TaskCost,
)
from tests.core import strategies
from tests.support.pools import CODER, FAST, FOUR, VERIFIER, candidate, pool, price, solves, task


def terms_of(model, asked=None, state=None, knob=5.0, models=FOUR, *, locked=False):
    """The terms of one candidate by name."""
    asked, state = asked or task(), state or State()
    rows = list(range(len(models.candidates)))
    scores = score(models, rows, asked, state, knob, locked=locked)
    scored = next(s for s in scores if s.candidate == model)
    return {t.name: t for t in scored.terms}


# -- the whole --------------------------------------------------------------------------------------------------------


def test_nobody_to_score_gives_nothing():
    assert score(FOUR, [], task(), State(), 5.0, locked=False) == ()


@given(strategies.easy_inputs, st.booleans())
def test_every_score_has_all_terms_in_order_with_values_from_0_to_1(inputs, locked):
    rows = list(range(len(inputs.pool.candidates)))
    for scored in score(inputs.pool, rows, inputs.task, inputs.state, 5.0, locked=locked):
        assert tuple(t.name for t in scored.terms) == TERMS
        assert all(0.0 <= t.value <= 1.0 for t in scored.terms)
        assert all(abs(t.points - t.value * t.weight) <= 1e-9 for t in scored.terms)
        assert all(t.unit and t.source for t in scored.terms)


def test_terms_carry_the_raw_number_its_unit_and_its_source():
    terms = terms_of("coder-a")
    assert terms["benchmark"][1:3] == (72, "percent")
    assert terms["benchmark"].source == "swebench_verified_openhands 2026-11-01 and 1 more"
    assert terms["price"].unit == "usd"
    assert terms["price"].raw == cost.expected_usd(CODER, task(), None, 0.0, 1.0)
    assert terms["price"].source == "list price 2026-11-01"
    assert terms["latency"][1:3] == (900.0, "ms")
    assert terms["throughput"][1:3] == (60.0, "tokens/s")
    assert terms["throughput"].source == "pool"
    assert terms["availability"][1:3] == (0.95, "share")
    assert terms["availability"].source == "prior"


def test_a_latency_nobody_knows_is_in_the_middle_and_said_to_be_unknown():
    unknown = pool(candidate("a", performance=None))
    terms = terms_of("a", models=unknown)
    assert (terms["latency"].raw, terms["latency"].value, terms["latency"].source) == (
        None,
        0.5,
        "unknown",
    )
    assert (terms["throughput"].raw, terms["throughput"].value) == (None, 0.5)


def test_latency_and_throughput_are_half_at_their_half_points():
    half = pool(candidate("a", performance=Performance(2500.0, 60.0)))
    assert terms_of("a", models=half)["latency"].value == pytest.approx(0.5)
    assert terms_of("a", models=half)["throughput"].value == pytest.approx(0.5)


# -- weights and knob -------------------------------------------------------------------------------------------------


@given(strategies.tasks, strategies.numbers(0, 10))
def test_weights_without_a_lock_add_up_to_one(asked, knob):
    got = weights(asked, knob, locked=False)
    assert set(got) == set(TERMS)
    assert sum(got.values()) == pytest.approx(1.0, abs=1e-8)


@given(strategies.tasks, strategies.numbers(0, 10), strategies.numbers(0, 10))
def test_the_knob_keeps_the_ratios_of_all_quality_weights(asked, one, two):
    a, b = weights(asked, one, locked=False), weights(asked, two, locked=False)
    for name in QUALITY_WEIGHTS:
        assert a[name] * b["skill"] == pytest.approx(b[name] * a["skill"], rel=1e-5)


@given(strategies.tasks, strategies.numbers(0, 9.99))
def test_the_share_of_price_rises_strictly_with_the_knob_and_stays_a_share(asked, knob):
    assert 0 < price_share(knob, asked) < price_share(knob + 0.01, asked) < 1


def test_the_knob_is_clamped_to_its_range():
    assert price_share(-3, task()) == price_share(0, task()) == pytest.approx(0.04)
    assert price_share(42, task()) == price_share(10, task()) == pytest.approx(0.94)


def test_risk_takes_weight_from_money_and_a_clients_own_call_gives_it():
    assert price_share(5, task(risk="high")) == pytest.approx(0.7 * price_share(5, task()))
    assert (
        price_share(0, task(turn="aux")) == price_share(0, task(kind="aux")) == pytest.approx(0.70)
    )


def test_benchmarks_count_less_on_easy_tasks():
    low, high = (weights(task(complexity=c), 5, locked=False) for c in ("low", "high"))
    assert low["benchmark"] < high["benchmark"]


@given(strategies.easy_inputs)
def test_a_lock_outweighs_everything_else(inputs):
    got = weights(inputs.task, inputs.policy.cost_quality, locked=True)
    assert got["stickiness"] == LOCK_WEIGHT
    assert sum(w for name, w in got.items() if name != "stickiness") < LOCK_WEIGHT


def test_a_lock_is_named_in_the_source():
    state = State(pin=Pin("coder-a"))
    assert "locked" in terms_of("coder-a", state=state, locked=True)["stickiness"].source
    free = terms_of("coder-a", state=state)["stickiness"]
    assert (free.value, free.source) == (1.0, "session pin")
    assert terms_of("fast-a", state=state)["stickiness"].value == 0.0


def test_a_stuck_session_is_not_sticky():
    state = State(pin=Pin("coder-a"))
    assert terms_of("coder-a", task(struggling=True), state)["stickiness"].value == 0.0


# -- price ------------------------------------------------------------------------------------------------------------


@given(strategies.numbers(0, 50), strategies.numbers(0, 50))
def test_cheaper_is_never_worth_less(one, two):
    low, high = sorted((one, two))
    assert 0 <= cheapness(high) <= cheapness(low) <= 1


@given(st.floats(0.0, 1.0))
def test_the_price_of_a_value_is_the_inverse_of_the_value_of_a_price(value):
    assert cheapness(usd_for(value)) == pytest.approx(value, abs=1e-9)


def test_the_ends_of_the_price_scale():
    assert cheapness(USD_CHEAP) == cheapness(0.0) == 1.0
    assert cheapness(USD_DEAR) == cheapness(1000.0) == 0.0


def test_an_unknown_price_earns_nothing_and_is_not_zero_dollars():
    terms = terms_of("a", models=pool(candidate("a", price=None)))
    assert (terms["price"].raw, terms["price"].points, terms["price"].source) == (
        None,
        0.0,
        "unknown",
    )


def test_an_effort_other_than_listed_is_in_the_source():
    dear = candidate("a", cost_per_task=TaskCost(1000.0))
    assert (
        price_source(dear, 0.1, cost.effort(dear))
        == "list price 2026-11-01, x4.00 by cost per task"
    )
    terms = terms_of("a", models=pool(dear, candidate("b")))
    plain = terms_of("b", models=pool(candidate("b"), candidate("c")))
    assert terms["price"].raw == pytest.approx(4 * plain["price"].raw)


# -- benchmarks and skill ---------------------------------------------------------------------------------------------


def test_a_benchmark_is_as_relevant_as_its_longest_known_prefix_says():
    assert relevance("swebench_verified_openhands", "bugfix") == 1.0
    assert relevance("livebench_agentic_coding", "ops") == 1.0
    assert relevance("livebench_coding", "ops") == relevance("unheard_of", "ops") == 0.4


@given(strategies.numbers(0, 100), st.none() | st.integers(1, 5000))
def test_a_lower_bound_is_below_its_score_and_closer_with_more_samples(percent, n):
    assert 0 <= lower_bound(percent, n) <= percent + 1e-9
    assert lower_bound(percent, n) <= lower_bound(percent, (n or 100) * 4) + 1e-9


def test_no_sample_size_counts_as_a_hundred():
    assert lower_bound(70, None) == lower_bound(70, 100)


@given(strategies.pools(), st.sampled_from(KINDS))
def test_percentiles_are_shares_and_a_half_for_whoever_was_not_measured(models, kind):
    for model, share in zip(models.candidates, percentiles(models, kind), strict=True):
        assert 0 < share < 1
        if not model.benchmarks:
            assert share == 0.5


def test_a_better_score_is_a_higher_percentile():
    shares = percentiles(FOUR, "bugfix")
    by_id = dict(zip((c.id for c in FOUR.candidates), shares, strict=True))
    assert by_id["fast-a"] < by_id["coder-a"] < by_id["reasoner-a"] < by_id["verifier-a"]


def test_one_source_alone_moves_a_candidate_half_way_at_most():
    only = (Benchmark("swebench_verified", 99.9, 10_000),)
    models = pool(
        candidate("a", benchmarks=only), *(candidate(i, benchmarks=solves(5)) for i in "bcd")
    )
    assert percentiles(models, "bugfix")[0] <= 0.75


def test_the_headline_is_the_most_telling_benchmark():
    both = candidate(
        "a", benchmarks=(Benchmark("gaia", 50), Benchmark("swebench_x", 70, as_of="2026"))
    )
    assert headline(both, "bugfix") == (70, "swebench_x 2026 and 1 more")
    assert headline(candidate("b"), "bugfix") == (None, "none published")
    assert headline(replace(both, benchmarks=both.benchmarks[:1]), "bugfix") == (50, "gaia ")


def test_what_a_pool_says_is_remembered_by_pool_and_kind():
    assert static(FOUR, "bugfix") is static(FOUR, "bugfix")
    assert static(Pool(FOUR.candidates), "bugfix") is not static(FOUR, "bugfix")


def test_a_harder_task_asks_for_more_strength():
    needs = [need(task(complexity=c)) for c in ("low", "medium", "high")]
    assert needs == sorted(needs) == [NEED["low"], NEED["medium"], NEED["high"]]
    assert need(task(risk="low")) < need(task()) < need(task(risk="high"))
    assert need(task(struggling=True)) == pytest.approx(need(task()) + NEED_STRUGGLING)
    assert need(task(turn="aux")) == need(task(kind="chat")) == need(task(kind="aux")) == 0.0


def test_skill_asks_whether_the_model_is_strong_enough_not_how_strong():
    easy = [
        terms_of(m, task(complexity="low", risk="low"))["skill"].value
        for m in ("coder-a", "verifier-a")
    ]
    hard = [terms_of(m, task(complexity="high"))["skill"].value for m in ("coder-a", "verifier-a")]
    assert easy[1] - easy[0] < hard[1] - hard[0]
    assert min(easy) > 0.9


# -- roles ------------------------------------------------------------------------------------------------------------


def test_every_kind_has_roles_that_pools_know():
    assert set(ROLES_FOR) == set(KINDS)
    assert {r for wanted in ROLES_FOR.values() for r in wanted} == set(ROLES)


def test_the_first_suiting_role_counts_and_no_role_is_better_than_a_wrong_one():
    assert role_value(CODER, task()) == 1.0
    assert role_value(VERIFIER, task()) == 0.8
    assert role_value(FAST, task()) == 0.4
    assert role_value(candidate("a", roles=()), task()) == 0.6
    assert role_value(FAST, task(role="fast")) == 1.0


# -- live numbers -----------------------------------------------------------------------------------------------------


def test_live_numbers_are_blended_with_the_prior_and_say_how_many():
    seen = Stats(ttft_ms=100.0, ttft_weight=8.0, tokens_per_s=200.0, tps_weight=8.0)
    assert live(seen, 900.0, "ttft") == (500.0, "live n=8.0")
    assert live(seen, None, "tps") == (200.0, "live n=8.0")
    assert live(replace(seen, tps_weight=0.5), None, "tps") == (None, "unknown")
    assert live(None, 900.0, "ttft") == (900.0, "pool")


def test_failures_cost_availability_and_fade_although_nobody_calls():
    bad = Stats(failed=20.0, at_s=0.0)
    now = terms_of("coder-a", state=State(0.0, {"coder-a": bad}))["availability"]
    later = terms_of("coder-a", state=State(HALF_LIFE_S * 10, {"coder-a": bad}))["availability"]
    never = terms_of("coder-a")["availability"]
    assert now.value < 0.1
    assert now.source == "live n=20.0"
    assert later.value == pytest.approx(never.value, abs=0.01)
    assert aged(State(), "coder-a") is None


def test_availability_is_worth_nothing_at_one_failure_in_two():
    even = Stats(ok=1.0, failed=19.0)
    assert terms_of("coder-a", state=State(0.0, {"coder-a": even}))["availability"].value == 0.0


@given(strategies.numbers(0.01, 10), strategies.numbers(0.01, 10))
def test_a_lower_list_price_never_scores_less(one, two):
    low, high = sorted((one, two))
    models = pool(candidate("a", price=price(low, low)), candidate("b", price=price(high, high)))
    a, b = score(models, [0, 1], task(), State(), 5.0, locked=False)
    assert a.total >= b.total


# -- the page that explains it ----------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "scoring.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())


def test_the_page_quotes_the_weight_of_every_term():
    cells = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("| `")
    ]
    shown = {c[0].strip("`"): c[3] for c in cells}
    assert shown.pop("price") == "by the knob"
    assert {name: float(w) for name, w in shown.items()} == QUALITY_WEIGHTS


def test_the_page_quotes_the_figures_of_the_code():
    low, medium, high = (NEED[level] for level in LEVELS)
    for quoted in (
        f"((need - strength) / {NEED_SLOPE:.2f})",
        f"{TTFT_HALF_MS:.0f} / (raw + {TTFT_HALF_MS:.0f})",
        f"raw / (raw + {TPS_HALF:.0f})",
        f"1 at {USD_CHEAP:.5f} USD, 0 at {USD_DEAR:.0f} USD",
        f"above {USD_DEAR:.0f} USD or below {USD_CHEAP:.5f} USD",
        f"`need` is {low}, {medium} or {high} by complexity",
        f"lowered by {-NEED_RISK['low']} at low risk and raised by {NEED_RISK['high']} at high",
        f"by {NEED_STRUGGLING:.2f} when the session's model is stuck",
        f"counts {BENCHMARK_BY_COMPLEXITY['low']} times, on a hard one {BENCHMARK_BY_COMPLEXITY['high']} times",
        f"between {cost.EFFORT_BOUNDS[0]} and {cost.EFFORT_BOUNDS[1]:.0f} times",
        f"count half after {HALF_LIFE_S:.0f} seconds",
        f"worth {PRIOR_WEIGHT:.0f} samples",
        f"What nobody knows is worth {UNKNOWN}",
        f"its stickiness weighs {LOCK_WEIGHT:.0f}",
    ):
        assert quoted in WORDS, quoted


@pytest.mark.parametrize("knob", [0.0, 2.5, 5.0, 10.0])
def test_the_page_quotes_the_formula_of_the_knob(knob):
    a, b, power = re.search(
        r"p += ([0-9.]+) \+ ([0-9.]+) x \(cost_quality / 10\) \^ ([0-9.]+)", PAGE
    ).groups()
    usual = float(a) + float(b) * (knob / 10) ** float(power)
    assert price_share(knob, task()) == pytest.approx(usual)
    factor = float(re.search(r"multiplied by ([0-9.]+) when the risk is high", PAGE).group(1))
    assert price_share(knob, task(risk="high")) == pytest.approx(factor * usual)
    c, d = re.search(
        r"([0-9.]+) \+ ([0-9.]+) x \(cost_quality / 10\) for calls that a client", PAGE
    ).groups()
    assert price_share(knob, task(turn="aux")) == pytest.approx(float(c) + float(d) * knob / 10)


def test_the_benchmarks_of_one_publisher_weigh_as_much_as_one_source_at_most():
    def scores(*rows):
        return tuple(
            Benchmark(name, score, 500, source, "2026-01-01") for name, score, source in rows
        )

    def strengths(*rows):
        rest = [
            candidate(
                f"r{n}",
                benchmarks=scores(*((name, 50.0, "a@1") for name in ("swebench", "swt_bench"))),
            )
            for n in range(3)
        ]
        models = pool(candidate("new", benchmarks=scores(*rows)), *rest)
        return dict(
            zip((c.id for c in models.candidates), percentiles(models, "bugfix"), strict=True)
        )

    names = [f"swebench_{n}" for n in range(6)]
    one = strengths(("swebench", 99.0, "a@1 (run 1)"))["new"]
    many = strengths(("swebench", 99.0, "a@1"), *((n, 99.0, "a@2 (other run)") for n in names))[
        "new"
    ]
    two = strengths(("swebench", 99.0, "a@1"), ("swt_bench", 99.0, "b@1"))["new"]
    assert 0.5 < one <= 0.75
    assert many <= 0.75
    assert two > one
