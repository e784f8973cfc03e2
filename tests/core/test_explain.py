"""Why this one and why not that one: a stated change must be true when it is made."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import (
    LEAST_MS,
    Flip,
    content_json,
    decision_digest,
    decision_json,
    digits_below,
    flips,
    one_sentence,
    why_not,
)
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.score import (
    DIGITS,
    PRICE,
    SKILL,
    WAIT,
    Table,
    price_values,
    wait_value,
)
from openfusion_auto.core.types import Decision, Pin, Policy, Price, State
from tests.core import strategies
from tests.support.pools import FOUR, Inputs, candidate, pool, scored, task

TERM_OF = {"price": PRICE, "skill": SKILL, "latency": WAIT}


def of(inputs: Inputs, **changes):
    return decide(inputs.task, inputs.pool, inputs.state, replace(inputs.policy, **changes))


def value_of(table: Table, what: str, number: float) -> float:
    """The value of a term whose raw number is this."""
    if what == "price":
        return float(price_values(np.array([number]), table.dearest_usd)[0])
    return wait_value(number) if what == "latency" else number


def totals_with(table: Table, row: int, what: str, number: float):
    """The totals in the same table with this one number of one row changed."""
    values = table.values.copy()
    values[row, TERM_OF[what]] = round(value_of(table, what, number), 9)
    return (values * table.weights).round(DIGITS).sum(axis=1).round(DIGITS)


def leads_with(table: Table, row: int, what: str, number: float) -> bool:
    """Whether a row would be first, and not only by its name among equals."""
    totals = totals_with(table, row, what, number)
    return totals[row] > np.delete(totals, row).max() + 1e-12


def picked_with(decision: Decision, row: int, what: str, number: float) -> str:
    """Who is first in the same table with this one number of one row changed."""
    totals = totals_with(decision.ranking[0].table, row, what, number)
    names = [scored.candidate for scored in decision.ranking]
    return min(zip(-totals, names, strict=True))[1]


def a_little_less(flip: Flip, table: Table) -> float:
    """A change that falls short of the stated one: by a thousandth of it, or by what values are rounded to."""
    least = 3e-9 * table.dearest_usd if flip.of == "price" else 3e-9
    room = max(least, 1e-3 * flip.to)
    return flip.to - room if flip.of == "skill" else flip.to + room


def picked_at(inputs: Inputs, knob: float) -> str:
    """Who is picked with the knob there."""
    asked = replace(inputs.task, options=replace(inputs.task.options, cost_quality=None))
    return decide(asked, inputs.pool, inputs.state, replace(inputs.policy, cost_quality=knob)).ranking[0].candidate  # fmt: skip


def near_tie(decision, loser) -> bool:
    """Whether two candidates differ by less than rounding in all that the knob weighs."""
    rows = decision.ranking[0].table.values
    gap = np.abs(rows[:] - rows[loser.row]).max(axis=1)
    return int((gap < 1e-6).sum()) > 1


@given(strategies.easy_inputs)
@settings(max_examples=80)
def test_a_stated_number_lets_the_loser_win_and_a_little_less_of_a_change_does_not(inputs):
    decision = of(inputs)
    for loser in decision.ranking[1:]:
        table = loser.table
        for flip in flips(loser, decision):
            if flip.of == "cost_quality":
                continue
            better = flip.to > flip.now if flip.of == "skill" else flip.to < flip.now
            assert better or math.isclose(flip.to, flip.now, rel_tol=1e-3, abs_tol=1e-9)
            assert picked_with(decision, loser.row, flip.of, flip.to) == loser.candidate, flip
            less = a_little_less(flip, table)
            assert picked_with(decision, loser.row, flip.of, less) != loser.candidate, flip


@given(strategies.easy_inputs)
@settings(max_examples=80)
def test_a_stated_knob_lets_the_loser_win_and_a_little_less_of_a_change_does_not(inputs):
    decision = of(inputs)
    for loser in decision.ranking[1:]:
        flip = next((f for f in flips(loser, decision) if f.of == "cost_quality"), None)
        if flip is None:
            continue
        assert 0 <= flip.to <= 10
        assert picked_at(inputs, flip.to) == loser.candidate
        less = flip.to + (0.02 if flip.to < flip.now else -0.02)
        if not near_tie(decision, loser):
            assert picked_at(inputs, min(10.0, max(0.0, less))) != loser.candidate


@given(strategies.easy_inputs)
@settings(max_examples=50)
def test_what_is_not_stated_cannot_be_reached_by_that_number(inputs):
    decision = of(inputs)
    knobs = {k / 4: picked_at(inputs, k / 4) for k in range(41)}
    for loser in decision.ranking[1:]:
        table, row = loser.table, loser.row
        stated = {f.of for f in flips(loser, decision)}
        if table.locked:
            assert stated == set()
        if "skill" not in stated:
            assert not leads_with(table, row, "skill", 1.0)
        if "price" not in stated and loser.expected_usd is not None:
            assert not leads_with(table, row, "price", 0.0)
        if "latency" not in stated and loser.terms[WAIT].raw is not None:
            assert not leads_with(table, row, "latency", LEAST_MS)
        if "cost_quality" not in stated:
            assert loser.candidate not in knobs.values() or near_tie(decision, loser)


def test_flips_are_those_of_one_table_and_of_losers():
    decision = decide(task(), FOUR, State())
    assert flips(decision.ranking[0], decision) == ()
    assert flips(scored("a"), decision) == ()


def test_a_number_that_nobody_knows_cannot_be_another_one():
    models = pool(candidate("a"), candidate("b", price=None, performance=None))
    decision = decide(task(), models, State())
    loser = decision.ranking[1]
    assert loser.candidate == "b"
    assert {f.of for f in flips(loser, decision)}.isdisjoint({"price", "latency"})


@given(strategies.easy_inputs)
@settings(max_examples=40)
def test_a_stuck_session_has_no_knob_for_who_is_not_brought_in(inputs):
    asked = replace(inputs.task, turn="user", struggling=True, struggle="x")
    holder = inputs.pool.candidates[0].id
    stuck = replace(inputs, task=asked, state=replace(inputs.state, pin=Pin(holder)))
    decision = of(stuck)
    for loser in decision.ranking[1:]:
        for flip in flips(loser, decision):
            if flip.of == "cost_quality":
                assert picked_at(stuck, flip.to) == loser.candidate
            else:
                assert picked_with(decision, loser.row, flip.of, flip.to) == loser.candidate


def test_equals_are_said_to_be_level_and_a_hair_is_not_nothing():
    three = pool(candidate("a"), candidate("b"), candidate("c", price=Price(1.0001, 4.0, 0.1)))
    decision = decide(task(), three, State())
    assert [s.candidate for s in decision.ranking] == ["a", "b", "c"]
    level, hair = (why_not(s, decision) for s in decision.ranking[1:])
    assert level.startswith("level with a, whose id comes first; would win")
    assert hair.startswith("less than 0.001 behind, most of it on price")


def test_a_lock_has_no_number_that_would_do():
    decision = decide(task(turn="tool"), FOUR, State(pin=Pin("coder-a")))
    text = why_not(decision.ranking[1], decision)
    assert "most of it on stickiness (0.00 against 1.00)" in text
    assert text.endswith("; the session stays with coder-a while its tools run")


def test_a_loser_says_each_number_that_would_do():
    decision = decide(task(), FOUR, State(), Policy(cost_quality=10))
    assert decision.ranking[0].candidate == "fast-a"
    text = why_not(decision.ranking[1], decision)
    assert "most of it on price" in text
    assert "; would win at " in text
    assert " USD a turn instead of " in text
    assert ", or at cost_quality " in text
    assert text.endswith(" instead of 10")


def test_a_loser_that_one_number_cannot_help_says_so():
    worse = candidate("z", price=replace(FOUR.by_id["fast-a"].price, input=90.0, output=300.0))
    models = pool(*FOUR.candidates, worse)
    decision = decide(task(ease=-4.0), models, State(), Policy(cost_quality=10))
    last = decision.ranking[-1]
    assert last.candidate == "z"
    no_price = [f for f in flips(last, decision) if f.of != "price"]
    assert no_price == []
    free = pool(candidate("a", price=replace(worse.price, input=0, output=0)), worse)
    dead = State(stats={"z": replace(strategies.Stats(), failed=1e6)})
    decision = decide(task(), free, dead, Policy(cost_quality=5))
    assert why_not(decision.ranking[1], decision).endswith("; no single number would do")


@pytest.mark.parametrize(
    ("flip", "said"),
    [
        (Flip("price", 0.02, 0.01234, "usd/turn"), "at 0.01234 USD a turn instead of 0.02"),
        (Flip("cost_quality", 5.0, 6.25, "0..10"), "at cost_quality 6.25 instead of 5"),
        (
            Flip("skill", 0.5, 0.8767, "chance"),
            "if it solved 87.67 % of such tasks instead of 50 %",
        ),
        (Flip("latency", 900, 312.4, "ms"), "at 312.4 ms to the first token instead of 900"),
    ],
)
def test_a_change_is_said_with_all_its_digits(flip, said):
    assert str(flip) == said


@pytest.mark.parametrize(
    ("amount", "shown"),
    [(0.0123999, 0.01239), (1.2399, 1.239), (1239.9, 1239), (0.0, 0.0), (123999.0, 123900)],
)
def test_an_amount_is_rounded_down_to_four_digits(amount, shown):
    assert digits_below(amount) == pytest.approx(shown, rel=1e-12)


@given(strategies.inputs)
def test_the_json_of_a_decision_is_json_and_its_digest_covers_the_rest(inputs):
    decision = of(inputs)
    shown = decision_json(decision)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown["digest"] == decision_digest(decision)
    assert {k: v for k, v in shown.items() if k != "digest"} == content_json(decision)


@given(strategies.inputs)
def test_every_loser_says_why_and_the_winner_does_not(inputs):
    rows = content_json(of(inputs))["ranking"]
    assert [r["why_not"] is None for r in rows] == [i == 0 for i in range(len(rows))]


def test_the_json_has_the_names_of_the_contract():
    shown = decision_json(decide(task(), FOUR, State()))
    assert {"digest", "mode", "reasons", "task", "ranking", "rejected", "plan"} <= set(shown)
    assert {"kind", "risk", "complexity", "turn", "evidence"} <= set(shown["task"])
    assert {"candidate", "model", "total", "expected_usd", "terms", "why_not", "flips"} == set(
        shown["ranking"][0]
    )
    assert {"of", "now", "to", "unit"} == set(shown["ranking"][1]["flips"][0])
    assert {"name", "raw", "unit", "value", "weight", "points", "source"} == set(
        shown["ranking"][0]["terms"][0]
    )
    assert {"steps", "worst_case_usd"} <= set(shown["plan"])


def test_a_digest_tells_decisions_apart():
    seen = {
        decision_digest(decide(asked, FOUR, State(), policy))
        for asked in (task(), task(risk="high"), task(turn="tool"))
        for policy in (Policy(), Policy(cost_quality=6), Policy(max_usd=0.3))
    }
    assert len(seen) == 9


def test_one_sentence_names_the_model_the_turn_and_the_reason():
    said = one_sentence(decide(task(turn="tool"), FOUR, State()))
    assert "for a tool turn (bugfix, medium risk, medium complexity): ranked 1 of 4 with 0." in said
    assert ", about 0.0" in said
    assert said.endswith("; single: a turn inside a tool loop stays with one model")


def test_a_sum_that_is_not_0_does_not_read_as_0_in_a_sentence():
    cheap = pool(candidate("a", price=Price(0.002, 0.002)))
    decision = decide(task(turn="tool"), cheap, State())
    usd = decision.ranking[0].expected_usd
    assert 0 < usd < 5e-5
    assert float(one_sentence(decision).split("about ")[1].split(" USD")[0]) == pytest.approx(
        usd, rel=0.05
    )
    limited = decide(task(turn="tool"), cheap, State(), Policy(max_usd=1e-9))
    assert " 0.0000 USD" not in " ".join(limited.reasons)


def test_one_sentence_says_what_a_downgrade_came_to_and_leaves_unknown_money_out():
    cheap = decide(task(options=Options(mode="verify", max_usd=0.02)), FOUR, State())
    assert cheap.ranking[0].candidate != "fast-a"
    assert one_sentence(cheap).startswith("fast-a for a user turn")
    place = [s.candidate for s in cheap.ranking].index("fast-a") + 1
    assert f"ranked {place} of 4 with" in one_sentence(cheap)
    assert one_sentence(cheap).endswith("; single with fast-a: the best that fits the budget")
    refused = decide(task(options=Options(max_usd=1e-9)), FOUR, State())
    assert one_sentence(refused).endswith("no candidate fits the budget")
    unknown = decide(task(), pool(candidate("a", price=None)), State())
    assert "about" not in one_sentence(unknown)


def test_one_sentence_without_candidates():
    assert one_sentence(decide(task(only=("x",)), FOUR, State())) == "no candidate could serve"
