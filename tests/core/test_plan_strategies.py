"""Strategies as plans: who plays which phase, what it costs at worst, and what happens when it does not fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.strategy import Stage
from openfusion_auto.core.types import Needs, Policy, State
from tests.support.pools import EVEN, FAST, FOUR, candidate, pool, price, solves, task

STAGES = (Stage("plan", "reasoner", "Plan it."), Stage("write", "coder", "As planned: {plan}"))


def decided(strategy, models=FOUR, *, options=None, **policy):
    asked = replace(options or Options(), strategy=strategy)
    return decide(task(options=asked), models, State(), Policy(**policy))


def phases(decision):
    return [(s.phase, s.candidates[0]) for s in decision.plan.steps]


def test_self_fusion_asks_the_best_ranked_as_often_as_configured():
    got = decided("self_fusion", samples=4)
    best = got.ranking[0].candidate
    assert phases(got)[:4] == [("member", best)] * 4
    assert [p for p, _ in phases(got)[4:]] == ["judge", "judge", "synthesis"]
    assert (got.mode, got.strategy) == ("panel", "self_fusion")


def test_self_fusion_takes_the_model_that_the_request_names():
    got = decided("self_fusion", options=Options(panel=("fast-a",)))
    assert phases(got)[:3] == [("member", "fast-a")] * 3


def test_self_fusion_needs_one_candidate_alone():
    assert decided("self_fusion", pool(FAST)).strategy == "self_fusion"


def test_a_debate_has_a_revision_of_each_member_in_each_round():
    one, two = decided("debate", EVEN, debate_rounds=1), decided("debate", EVEN, debate_rounds=2)
    behind = ["judge", "judge", "synthesis"]
    assert [p for p, _ in phases(one)] == [*["member"] * 3, *["revision"] * 3, *behind]
    assert len(two.plan.steps) == len(one.plan.steps) + 3
    assert (
        two.plan.worst_case_usd
        > one.plan.worst_case_usd
        > decided("panel", EVEN).plan.worst_case_usd
    )


def test_a_pipeline_has_a_step_for_each_stage_with_its_role_first():
    got = decided("pipeline", pipeline=STAGES)
    assert [s.phase for s in got.plan.steps] == ["step:plan", "final"]
    assert "reasoner" in FOUR.by_id[got.plan.steps[0].candidates[0]].roles
    assert "coder" in FOUR.by_id[got.plan.steps[1].candidates[0]].roles
    assert got.plan.steps[1].words == "As planned: {plan}"
    assert got.plan.worst_case_usd > 0


def test_a_cascade_climbs_in_price_and_strength():
    got = decided("cascade")
    rungs = [c for p, c in phases(got) if p in ("primary", "escalation")]
    cost = [FOUR.by_id[c].price.output for c in rungs]
    assert rungs[0] == "fast-a"
    assert len(rungs) >= 2
    assert cost == sorted(cost)
    assert got.mode == "verify"
    assert {p for p, _ in phases(got)} == {"primary", "verify", "escalation"}


@pytest.mark.parametrize(
    ("strategy", "models", "policy", "said"),
    [
        ("pipeline", FOUR, {}, "not pipeline: no pipeline is configured"),
        (
            "cascade",
            pool(FAST),
            {},
            "not cascade: it needs a cheaper candidate before a better one",
        ),
        ("debate", pool(FAST), {}, "not debate: it needs two candidates that can serve"),
        ("debate", EVEN, {"max_calls": 6}, "not debate: 9 calls, the limit is 6"),
    ],
)
def test_a_strategy_that_cannot_be_is_downgraded_and_the_reason_says_why(
    strategy, models, policy, said
):
    got = decided(strategy, models, **policy)
    assert said in got.reasons
    assert got.strategy == ""
    assert got.plan.steps


def test_a_debate_over_the_budget_becomes_a_panel_then_less():
    full = decided("debate", EVEN)
    got = decided("debate", EVEN, max_usd=full.plan.worst_case_usd * 0.9)
    assert (got.mode, got.strategy) == ("panel", "")
    assert any(r.startswith("not debate: ") and "at worst" in r for r in got.reasons)
    least = decided("debate", EVEN, max_usd=full.plan.worst_case_usd * 0.1)
    assert least.mode == "single"


def test_a_cascade_of_equals_is_none():
    equal = pool(*(candidate(f"m{i}", price=price(1, 4), benchmarks=solves(70)) for i in range(3)))
    assert decided("cascade", equal).strategy == ""


# -- calls that may be held -------------------------------------------------------------------------------------------

TOOLED = task(options=Options(mode="single"), needs=Needs(tools=True, input_tokens=8_000))


def test_with_the_setting_a_single_answer_to_tools_has_a_verifier_behind_it():
    got = decide(TOOLED, FOUR, State(), Policy(hold_destructive=True))
    assert [s.phase for s in got.plan.steps] == ["primary", "verify", "mend"]
    assert got.hold
    assert got.plan.steps[1].candidates[0] != got.plan.steps[0].candidates[0]
    free = decide(TOOLED, FOUR, State(), Policy())
    assert [s.phase for s in free.plan.steps] == ["primary"]
    assert got.plan.worst_case_usd > free.plan.worst_case_usd


def test_without_tools_or_with_one_candidate_nothing_is_held():
    plain = task(options=Options(mode="single"))
    assert not decide(plain, FOUR, State(), Policy(hold_destructive=True)).hold
    assert not decide(TOOLED, pool(FAST), State(), Policy(hold_destructive=True)).hold
