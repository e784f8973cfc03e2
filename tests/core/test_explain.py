"""Why this one and why not that one: a stated change must be true when it is made."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import (
    content_json,
    decision_digest,
    decision_json,
    knob_flip,
    money_below,
    one_sentence,
    price_flip,
    reweighted,
    why_not,
)
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.score import cheapness
from openfusion_auto.core.types import Pin, Policy, State
from tests.core import strategies
from tests.support.pools import FOUR, Inputs, candidate, pool, task

KNOB = re.compile(r"at cost_quality ([0-9.]+) or (above|below) instead of")
PRICE = re.compile(r"^at ([0-9.]+) USD a turn instead of")


def of(inputs: Inputs, **changes):
    return decide(inputs.task, inputs.pool, inputs.state, replace(inputs.policy, **changes))


def unlocked(inputs: Inputs) -> Inputs:
    return replace(inputs, state=replace(inputs.state, pin=None))


def two_only(inputs: Inputs, one: str, two: str, knob: float) -> str:
    """Who is picked when only these two may serve and the knob stands there."""
    asked = replace(inputs.task, options=Options(candidates=(one, two), cost_quality=knob))
    return decide(asked, inputs.pool, inputs.state, inputs.policy).ranking[0].candidate


def ids_are_no_models(inputs: Inputs) -> Inputs:
    """The same with a model of its own for each candidate, so that naming two ids names two candidates."""
    own = tuple(replace(c, model=f"own/{c.id}") for c in inputs.pool.candidates)
    return replace(inputs, pool=replace(inputs.pool, candidates=own))


@given(strategies.easy_inputs)
def test_a_stated_knob_flips_the_pair_and_a_little_less_does_not(inputs):
    inputs = ids_are_no_models(unlocked(inputs))
    decision = of(inputs)
    winner = decision.ranking[0]
    for loser in decision.ranking[1:]:
        text = knob_flip(winner, loser, decision)
        if text is None:
            continue
        stated, side = KNOB.match(text).groups()
        beyond = 0.02 if side == "above" else -0.02
        there = min(10.0, max(0.0, float(stated) + beyond))
        here = float(stated) - beyond
        # Points are rounded to 1e-9: two models that are equal but for that have no knob that tells them apart.
        if abs(lead(loser, winner, decision, there)) > 1e-6:
            assert two_only(inputs, winner.candidate, loser.candidate, there) == loser.candidate
        if 0 <= here <= 10 and abs(lead(loser, winner, decision, here)) > 1e-6:
            assert two_only(inputs, winner.candidate, loser.candidate, here) == winner.candidate


def lead(loser, winner, decision, knob: float) -> float:
    """How far the loser is ahead with the knob there."""
    old, asked = decision.cost_quality, decision.task
    return reweighted(loser, old, knob, asked) - reweighted(winner, old, knob, asked)


@given(strategies.easy_inputs, strategies.numbers(0, 10))
def test_a_reweighted_total_is_what_a_new_decision_gives(inputs, knob):
    inputs = unlocked(inputs)
    before, after = of(inputs), of(inputs, cost_quality=knob)
    fresh = {s.candidate: s.total for s in after.ranking}
    for scored in before.ranking:
        moved = reweighted(scored, before.cost_quality, knob, inputs.task)
        # Points of eight terms rounded to 1e-9, then divided by a quality share of at least 0.01.
        assert moved == pytest.approx(fresh[scored.candidate], abs=2e-6)


@given(strategies.easy_inputs)
def test_a_stated_price_lets_the_loser_win_and_a_little_more_does_not(inputs):
    decision = of(unlocked(inputs))
    winner = decision.ranking[0]
    for loser in decision.ranking[1:]:
        text = price_flip(loser, winner.total - loser.total)
        if text is None:
            continue
        stated = float(PRICE.match(text).group(1))
        assert stated > 0
        assert with_price(loser, stated) > winner.total
        assert with_price(loser, stated * 1.03) <= winner.total + 1e-9


def with_price(scored, usd: float) -> float:
    """The total of a score with another expected price."""
    term = next(t for t in scored.terms if t.name == "price")
    return scored.total - term.points + round(round(cheapness(usd), 9) * term.weight, 9)


@given(strategies.easy_inputs)
def test_without_a_price_flip_no_price_at_all_would_do(inputs):
    decision = of(unlocked(inputs))
    winner = decision.ranking[0]
    for loser in decision.ranking[1:]:
        gap = winner.total - loser.total
        if gap > 1e-5 and price_flip(loser, gap) is None:
            assert with_price(loser, 0.0) <= winner.total + 2e-6


def test_an_unknown_price_has_no_price_that_would_do():
    decision = decide(task(), pool(candidate("a"), candidate("b", price=None)), State())
    loser = decision.ranking[1]
    assert loser.candidate == "b"
    assert price_flip(loser, 0.01) is None


def test_a_lock_has_no_knob_and_no_price_that_would_do():
    state = State(pin=Pin("coder-a"))
    decision = decide(task(turn="tool"), FOUR, state)
    text = why_not(decision.ranking[0], decision.ranking[1], decision)
    assert "most of it on stickiness (0.00 against 1.00)" in text
    assert text.endswith("; no single price or knob would do")


def test_a_loser_on_quality_says_the_knob_and_the_price():
    decision = decide(task(), FOUR, State(), Policy(cost_quality=10))
    assert decision.ranking[0].candidate == "fast-a"
    text = why_not(decision.ranking[0], decision.ranking[-1], decision)
    assert "most of it on price" in text
    assert "or below instead of 10" in text
    dear = decide(task(), FOUR, State(), Policy(cost_quality=0))
    text = why_not(dear.ranking[0], dear.ranking[-1], dear)
    assert "or above instead of 0" in text


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0.0123999, "0.0123"), (1.239, "1.23"), (123.9, "123"), (0.00001, "0.0000100"), (2.0, "2.00")],
)
def test_money_is_rounded_down_to_three_digits(usd, text):
    assert money_below(usd * (1 + 1e-12)) == text


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
    assert {"candidate", "model", "total", "expected_usd", "terms", "why_not"} == set(
        shown["ranking"][0]
    )
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
    assert "for a tool turn (bugfix, medium risk, medium)" in said
    assert "of 4 ranked, about" in said
    assert said.endswith("; single: a turn inside a tool loop stays with one model")


def test_one_sentence_says_what_a_downgrade_came_to_and_leaves_unknown_money_out():
    cheap = decide(task(options=Options(mode="verify", max_usd=0.02)), FOUR, State())
    assert cheap.ranking[0].candidate != "fast-a"
    assert one_sentence(cheap).startswith("fast-a for a user turn")
    assert one_sentence(cheap).endswith("; single with fast-a: the best that fits the budget")
    refused = decide(task(options=Options(max_usd=1e-9)), FOUR, State())
    assert one_sentence(refused).endswith("no candidate fits the budget")
    unknown = decide(task(), pool(candidate("a", price=None)), State())
    assert "USD" not in one_sentence(unknown)


def test_one_sentence_without_candidates():
    assert one_sentence(decide(task(only=("x",)), FOUR, State())) == "no candidate could serve"
