"""What a request would cost, before it is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from openfusion_auto.core.decide import decide
from openfusion_auto.core.estimate import MODES, estimate_json, previews
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import Needs, Policy, State
from tests.core import strategies
from tests.support.pools import CODER, FAST, candidate, pool, price, task


@given(strategies.tasks, strategies.pools())
def test_the_mode_that_is_decided_stands_among_the_previews_with_the_plans_own_money(asked, models):
    decision = decide(asked, models, State())
    found = previews(decision, models, Policy())
    assert [p.mode for p in found] == [m for m in MODES if m in {p.mode for p in found}]
    taken = [p for p in found if p.taken]
    if not decision.plan.steps:
        assert taken == []
        return
    (own,) = taken
    assert own.mode == decision.mode
    assert (own.expected_usd, own.worst_case_usd) == (
        decision.plan.expected_usd,
        decision.plan.worst_case_usd,
    )
    assert own.calls == len(decision.plan.steps)


def test_a_panel_calls_more_and_costs_more_than_one_model():
    models = pool(CODER, FAST, candidate("third"))
    by_mode = {p.mode: p for p in previews(decide(task(), models, State()), models, Policy())}
    assert by_mode["single"].calls == 1 < by_mode["panel"].calls
    assert by_mode["single"].expected_usd < by_mode["panel"].expected_usd
    assert by_mode["single"].worst_case_usd < by_mode["panel"].worst_case_usd


def test_a_lone_candidate_has_no_other_mode():
    alone = pool(CODER)
    assert [p.mode for p in previews(decide(task(), alone, State()), alone, Policy())] == ["single"]


def test_the_answer_holds_tokens_money_and_who_would_be_called():
    models = pool(CODER, FAST)
    asked = task(needs=Needs(input_tokens=1_000, max_output_tokens=50))
    decision = decide(asked, models, State())
    said = estimate_json(decision, models, Policy(), left_usd=0.5, dry_run=False)
    assert said["tokens"] == {"input": 1_000, "output_expected": 50, "output_most": 50}
    assert said["usd"]["left"] == 0.5
    assert said["usd"]["worst_case"] == decision.plan.worst_case_usd
    assert said["candidate"] == said["steps"][0]["candidate"]
    assert said["steps"][0]["fallbacks"] == list(decision.plan.steps[0].candidates[1:])
    assert [m["mode"] for m in said["modes"] if m["taken"]] == [said["mode"]]


def test_an_unknown_price_is_null_never_nothing():
    models = pool(candidate("dark", price=None))
    decision = decide(task(), models, State())
    said = estimate_json(decision, models, Policy(), left_usd=None, dry_run=True)
    assert said["usd"] == {"expected": None, "worst_case": None, "left": None}
    assert said["dry_run"] is True


def test_it_says_when_the_prompt_is_so_long_that_its_price_is_another():
    longer = (LongPrice(100_000, 2.0, 8.0),)
    models = pool(candidate("a", price=replace(price(1.0, 4.0), long_context=longer)))

    def said(tokens):
        decision = decide(task(needs=Needs(input_tokens=tokens)), models, State())
        found = estimate_json(decision, models, Policy(), left_usd=None, dry_run=False)
        return found["price_above_tokens"], found["usd"]["expected"]

    (none, short), (above, long) = said(100_000), said(100_001)
    assert (none, above) == (None, 100_000)
    assert long == pytest.approx(2 * short, rel=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_a_forced_mode_is_the_one_that_is_taken(mode):
    models = pool(CODER, FAST, candidate("third"))
    decision = decide(task(), models, State(), Policy(mode=mode))
    assert [p.mode for p in previews(decision, models, Policy()) if p.taken] == [mode]
