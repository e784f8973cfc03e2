"""What a mode means for a ranking: who plays which phase, and what it can cost at worst."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from openfusion_auto.core import cost
from openfusion_auto.core.cascade import best_pair
from openfusion_auto.core.decide import decide
from openfusion_auto.core.plan import (
    AGAIN,
    CLOSE_STRENGTH,
    INNER_OUTPUT,
    MENDED,
    build,
    panel_members,
    priced,
    usual_chance,
    verifiers,
)
from openfusion_auto.core.prompt import FanOut, Options
from openfusion_auto.core.recipes.prompts import INNER_MAX_TOKENS
from openfusion_auto.core.score import PRICE, SKILL, WAIT
from openfusion_auto.core.types import Check, Needs, Pin, Plan, Policy, State, Step
from tests.core import strategies
from tests.support.pools import (
    CODER,
    EVEN,
    FOUR,
    VERIFIER,
    candidate,
    pool,
    price,
    solves,
    task,
)


def ids(ranking) -> list[str]:
    return [s.candidate for s in ranking]


def test_a_single_plan_is_the_best_and_its_fallbacks():
    decision = decide(task(turn="tool"), FOUR, State(), Policy(fallbacks=2))
    assert [s.phase for s in decision.plan.steps] == ["primary"]
    assert list(decision.plan.steps[0].candidates) == ids(decision.ranking)[:3]


def test_a_verify_plan_is_the_pair_of_most_value_and_a_checker_that_did_not_answer():
    for check in (None, Check(1.0, 1.0), Check(0.1, 0.9)):
        for knob in (0, 2, 5, 8):
            policy = Policy(cost_quality=knob, check=check)
            decision = decide(task(options=Options(mode="verify")), FOUR, State(), policy)
            steps = {s.phase: s.candidates for s in decision.plan.steps}
            assert list(steps) == ["primary", "verify", "mend"]
            pair = best_pair(decision.ranking, check)
            assert steps["primary"][0] == pair.first
            assert steps["mend"] == (pair.mender, pair.first)
            assert steps["verify"][0] != pair.first
            assert "verifier-a" in steps["verify"] or pair.first == "verifier-a"


def test_with_a_good_check_a_cheaper_model_than_the_best_ranked_answers_first():
    policy = Policy(cost_quality=2, check=Check(1.0, 1.0))
    decision = decide(task(options=Options(mode="verify")), FOUR, State(), policy)
    first = decision.plan.steps[0].candidates[0]
    usd = {s.candidate: s.expected_usd for s in decision.ranking}
    assert usd[first] < usd[decision.ranking[0].candidate]
    assert decision.plan.steps[2].candidates[0] == decision.ranking[0].candidate


def test_who_stands_behind_the_first_are_the_others_in_rank_order():
    policy = Policy(cost_quality=2, check=Check(1.0, 1.0), fallbacks=2)
    decision = decide(task(options=Options(mode="verify")), FOUR, State(), policy)
    first, *others = decision.plan.steps[0].candidates
    assert others == [i for i in ids(decision.ranking) if i != first][:2]


def test_a_session_that_is_held_is_answered_by_its_model_whatever_a_pair_is_worth():
    asked = task(turn="tool", options=Options(mode="verify"))
    decision = decide(asked, FOUR, State(pin=Pin("fast-a")), Policy(check=Check(1.0, 1.0)))
    steps = {s.phase: s.candidates for s in decision.plan.steps}
    assert steps["primary"][0] == "fast-a"
    assert steps["mend"] == ("verifier-a", "fast-a")


def test_a_mend_is_expected_as_often_as_the_check_rejects():
    policy = Policy(check=Check(1.0, 1.0))
    decision = decide(task(options=Options(mode="verify")), FOUR, State(), policy)
    pair = best_pair(decision.ranking, policy.check)
    usd = {s.candidate: s.expected_usd for s in decision.ranking}
    first, check, mend = (s.candidates[0] for s in decision.plan.steps)
    expected = usd[first] + usd[check] + pair.rejected * usd[mend]
    assert abs(decision.plan.expected_usd - expected) < 1e-9
    steps = (Step("primary", (first,)), Step("mend", (mend,)))
    plain = priced(steps, decision.ranking, task(), FOUR)
    assert abs(plain.expected_usd - (usd[first] + MENDED * usd[mend])) < 1e-9


def test_a_named_judge_checks_even_its_own_answer():
    best = decide(task(), FOUR, State()).ranking[0].candidate
    decision = decide(task(options=Options(mode="verify", judge=best)), FOUR, State())
    steps = {s.phase: s.candidates for s in decision.plan.steps}
    assert steps["verify"][0] == best


def test_verify_with_one_candidate_is_done_when_asked_for_and_not_otherwise():
    alone = pool(CODER)
    assert decide(task(options=Options(mode="verify")), alone, State()).mode == "verify"
    assert decide(task(risk="high"), alone, State(), Policy(mode="verify")).mode == "single"


def test_a_panel_plan_has_members_a_judge_from_outside_and_a_writer():
    decision = decide(task(options=Options(mode="panel")), EVEN, State(), Policy(panel_size=3))
    phases = [s.phase for s in decision.plan.steps]
    assert phases == ["member", "member", "member", "judge", "judge", "synthesis"]
    members = tuple(s.candidates[0] for s in decision.plan.steps[:3])
    judge, writers = decision.plan.steps[3].candidates[0], decision.plan.steps[5].candidates
    assert judge not in members
    assert writers == (*members, judge)


@pytest.mark.parametrize(
    ("aggregator", "behind"),
    [
        ("auto", ["judge", "judge", "synthesis"]),
        ("judge", ["judge", "judge", "synthesis"]),
        ("ranked", ["judge", "judge"]),
        ("vote", []),
    ],
)
def test_a_panel_plans_and_prices_only_what_its_aggregator_may_ask(aggregator, behind):
    asked = task(options=Options(mode="panel", aggregator=aggregator))
    decision = decide(asked, FOUR, State())
    phases = [s.phase for s in decision.plan.steps]
    assert [p for p in phases if p != "member"] == behind
    auto = decide(task(options=Options(mode="panel")), FOUR, State()).plan
    assert decision.plan.worst_case_usd <= auto.worst_case_usd
    if aggregator == "judge":  # it always writes anew
        assert decision.plan.expected_usd > auto.expected_usd


def of_judge(twice, members=3, **options):
    """A panel's plan without a writer, under that setting."""
    named = ("coder-a", "verifier-a", "fast-a")[:members]
    asked = task(options=Options(mode="panel", aggregator="ranked", panel=named, **options))
    return decide(asked, FOUR, State(), Policy(judge_twice=twice))


@pytest.mark.parametrize(
    ("twice", "members", "share"),
    [("auto", 2, 1.0), ("auto", 3, AGAIN), ("always", 2, 1.0), ("always", 3, 1.0)],
)
def test_a_judges_second_look_is_planned_and_priced(twice, members, share):
    once, both = of_judge("never", members), of_judge(twice, members)
    assert [s.phase for s in both.plan.steps] == ["member"] * members + ["judge"] * 2
    judge = both.plan.steps[-1].candidates[0]
    usd = {s.candidate: s.expected_usd for s in both.ranking}[judge]
    more = both.plan.expected_usd - once.plan.expected_usd
    assert more == pytest.approx(share * usd)
    alone = priced(
        (Step("member", once.plan.steps[0].candidates), *once.plan.steps[-1:]),
        once.ranking,
        once.task,
        FOUR,
    )
    assert both.plan.worst_case_usd > once.plan.worst_case_usd > alone.worst_case_usd
    at_worst = both.plan.worst_case_usd - once.plan.worst_case_usd
    members_usd = sum(
        cost.worst_usd(FOUR.get(s.candidates[0]), once.task) for s in once.plan.steps[:-1]
    )
    assert at_worst == pytest.approx(once.plan.worst_case_usd - members_usd)
    assert (both.twice, once.twice) == (twice == "always", False)


def test_a_second_look_that_does_not_fit_is_left_out_before_the_panel_is():
    once, both = of_judge("never"), of_judge("auto")
    between = (once.plan.worst_case_usd + both.plan.worst_case_usd) / 2
    for few, said in (
        ({"max_calls": 4}, "the judge is asked once: twice is 5 calls, the limit is 4"),
        ({"max_usd": between}, "the judge is asked once: twice is "),
    ):
        got = of_judge("always", **few)
        assert (got.mode, got.plan.steps, got.twice) == ("panel", once.plan.steps, False)
        assert got.plan.worst_case_usd == once.plan.worst_case_usd
        assert any(r.startswith(said) for r in got.reasons)
    none = of_judge("auto", max_calls=3)
    assert none.mode != "panel"
    assert "not panel: 5 calls, the limit is 3" in none.reasons


def test_a_panel_takes_the_members_that_the_request_names_in_rank_order():
    asked = task(options=Options(mode="panel", panel=("vendor/fast-a", "verifier-a")))
    decision = decide(asked, FOUR, State(), Policy(panel_size=3))
    members = [s.candidates[0] for s in decision.plan.steps if s.phase == "member"]
    assert sorted(members) == ["fast-a", "verifier-a"]
    assert members == [i for i in ids(decision.ranking) if i in members]


def test_a_panel_counts_two_entries_of_one_model_once_and_keeps_the_best_ranked_first():
    twin = candidate(
        "coder-z", model="vendor/coder-a", price=price(0.5, 2.0), benchmarks=solves(72)
    )
    both = pool(
        CODER,
        twin,
        candidate("x-a", benchmarks=solves(73)),
        candidate("y-a", benchmarks=solves(74)),
    )
    ranking = decide(task(), both, State()).ranking
    members = panel_members(ranking, task(), both, Policy(panel_size=4))
    models = [next(s.model for s in ranking if s.candidate == m) for m in members]
    assert len(set(models)) == len(models) == 3
    assert list(members) == [i for i in ids(ranking) if i in members]
    assert members[0] == ranking[0].candidate


@given(strategies.easy_inputs)
def test_panel_members_are_the_best_ranked_of_their_models_in_rank_order(inputs):
    asked = inputs.task
    ranking = decide(asked, inputs.pool, inputs.state, inputs.policy).ranking
    if len({s.model for s in ranking}) < 2:
        return
    members = panel_members(ranking, asked, inputs.pool, inputs.policy)
    assert list(members) == [i for i in ids(ranking) if i in members]
    first = {}
    for scored in ranking:
        first.setdefault(scored.model, scored.candidate)
    strength = usual_chance(inputs.pool, asked.kind)
    far = max(strength[i] for i in ids(ranking)) - CLOSE_STRENGTH
    close = {s.model for s in ranking if strength[s.candidate] >= far}
    assert len({s.model for s in ranking if s.candidate in members}) == len(members)
    if len(close) > 1:
        assert all(strength[m] >= far for m in members)
    else:
        assert set(members) <= set(first.values())


def test_a_panel_leaves_out_who_is_far_weaker_than_the_best():
    weak = candidate("weak-a", price=price(0.01, 0.04), benchmarks=solves(2))
    mixed = pool(weak, *(candidate(f"good-{i}", benchmarks=solves(80 + i)) for i in range(3)))
    decision = decide(
        task(options=Options(mode="panel")), mixed, State(), Policy(panel_size=4, cost_quality=10)
    )
    members = {s.candidates[0] for s in decision.plan.steps if s.phase == "member"}
    assert members == {"good-0", "good-1", "good-2"}


def test_two_entries_of_the_only_model_still_make_a_panel_when_one_is_asked_for():
    twins = pool(
        candidate("a", model="vendor/m"), candidate("b", model="vendor/m", upstream="other")
    )
    decision = decide(task(options=Options(mode="panel")), twins, State())
    assert decision.mode == "panel"
    assert sorted(s.candidates[0] for s in decision.plan.steps if s.phase == "member") == ["a", "b"]


def test_a_model_is_a_poor_judge_of_itself():
    ranking = decide(task(), FOUR, State()).ranking
    assert verifiers(ranking, task(), FOUR, away_from=())[0] == "verifier-a"
    assert verifiers(ranking, task(), FOUR, away_from=("verifier-a",))[-1] == "verifier-a"
    named = task(options=Options(judge="vendor/fast-a"))
    assert verifiers(ranking, named, FOUR, away_from=("fast-a",))[0] == "fast-a"


def test_the_worst_case_of_inner_calls_reads_the_longest_answers():
    asked = task(
        needs=Needs(input_tokens=1_000, max_output_tokens=20_000), options=Options(mode="verify")
    )
    decision = decide(asked, pool(CODER, VERIFIER), State())
    primary = max(cost.worst_usd(c, asked) for c in (CODER, VERIFIER))
    # The verifier reads prompt and draft and writes its verdict; the mend reads both and writes the answer anew.
    reads = asked.needs.input_tokens + 20_000
    check = (reads * VERIFIER.price.input + INNER_OUTPUT * VERIFIER.price.output) * 1e-6
    mend = (reads * VERIFIER.price.input + 20_000 * VERIFIER.price.output) * 1e-6
    assert decision.plan.worst_case_usd >= primary + check + mend


def test_inner_calls_are_priced_with_the_bound_they_are_asked_with():
    assert INNER_OUTPUT == INNER_MAX_TOKENS


def test_no_mode_has_a_plan_without_candidates():
    assert build("single", (), task(), FOUR, Policy()) == Plan((), None, None)
    assert build("verify", (), task(), FOUR, Policy()) is None
    assert build("panel", (), task(), FOUR, Policy()) is None


def first_step(strategy, **more):
    asked = task(options=Options(strategy=strategy, **more.pop("options", {})), **more)
    decision = decide(asked, FOUR, State(), Policy(fallbacks=1))
    return decision, list(decision.plan.steps[0].candidates)


@pytest.mark.parametrize(
    "order", [("verifier-a", "fast-a", "coder-a"), ("coder-a", "verifier-a", "fast-a")]
)
def test_models_named_in_an_order_are_tried_in_it_and_all_of_them(order):
    decision, tried = first_step("fallback", only=order)
    assert tried == list(order)
    assert (decision.mode, decision.strategy) == ("single", "fallback")
    assert "single: the request asks for fallback" in decision.reasons
    assert first_step("fallback", options={"candidates": order})[1] == list(order)
    assert first_step("fallback", only=tuple(f"vendor/{i}" for i in order))[1] == list(order)


def test_an_order_without_names_is_the_rankings_own():
    decision, tried = first_step("fallback")
    assert tried == ids(decision.ranking)[:2]


@pytest.mark.parametrize(
    ("strategy", "term", "sign"),
    [("cost_optimized", PRICE, 1), ("latency_optimized", WAIT, 1), ("performance_based", SKILL, -1)],
)  # fmt: skip
def test_an_order_by_a_number_is_that_numbers(strategy, term, sign):
    decision, tried = first_step(strategy, only=("coder-a", "fast-a", "reasoner-a", "verifier-a"))
    by_id = {s.candidate: s.terms[term].raw * sign for s in decision.ranking}
    assert len(tried) == 4
    assert [by_id[i] for i in tried] == sorted(by_id.values())


def test_what_nobody_knows_comes_last_in_an_order():
    models = pool(candidate("a", price=None), candidate("b", price=price(9.0, 9.0)), CODER)
    asked = task(options=Options(strategy="cost_optimized"))
    decision = decide(asked, models, State(), Policy())
    assert decision.plan.steps[0].candidates == ("coder-a", "b", "a")


def test_a_tool_loop_stays_with_its_model_unless_the_request_names_an_order():
    state = State(pin=Pin("verifier-a", expires_s=9.0), now_s=1.0)
    asked = task(turn="tool", options=Options(strategy="cost_optimized"))
    assert decide(asked, FOUR, state).plan.steps[0].candidates[:2] == ("verifier-a", "fast-a")
    named = replace(asked, only=("coder-a", "verifier-a"), options=Options(strategy="fallback"))
    assert decide(named, FOUR, state).plan.steps[0].candidates == ("coder-a", "verifier-a")


def test_under_a_budget_an_order_leaves_out_what_is_too_dear_and_stays_an_order():
    named = ("verifier-a", "coder-a", "fast-a")
    worst = {i: cost.worst_usd(FOUR.by_id[i], task()) for i in named}
    limit = (worst["coder-a"] + worst["verifier-a"]) / 2
    decision, tried = first_step("fallback", only=named, options={"max_usd": limit})
    assert tried == ["coder-a", "fast-a"]
    assert any(r.startswith("not fallback: ") for r in decision.reasons)


def test_a_model_at_two_upstreams_does_not_take_another_members_place():
    twins = [
        candidate(i, model="vendor/m", upstream=u) for i, u in (("x", "relay"), ("y", "other"))
    ]
    models = pool(
        *(replace(t, benchmarks=solves(80)) for t in twins),
        replace(CODER, benchmarks=solves(40), price=price(50.0, 200.0)),
    )
    asked = task(options=Options(mode="panel", panel=("vendor/m", "coder-a")))
    members = [
        s.candidates[0] for s in decide(asked, models, State()).plan.steps if s.phase == "member"
    ]
    assert members == ["x", "coder-a"]


# -- a model of the operator's own ------------------------------------------------------------------------------------


def fanned(count, *, panel=("coder-a", "fast-a"), strategy="panel", **fan):
    options = Options(mode="panel" if strategy == "panel" else "auto", panel=panel, strategy=strategy,
                      fan=FanOut("mine", True, count, **fan))  # fmt: skip
    return decide(task(options=options), FOUR, State(), Policy(samples=2, debate_rounds=1))


@pytest.mark.parametrize("count", range(1, 8))
def test_members_are_taken_in_turn_as_they_are_named_and_stand_in_rank_order(count):
    decision = fanned(count)
    members = [s.candidates[0] for s in decision.plan.steps if s.phase == "member"]
    if count == 1:
        assert members == []  # one answer is no panel
        return
    assert (members.count("coder-a"), members.count("fast-a")) == (-(-count // 2), count // 2)
    ranked = ids(decision.ranking)
    assert members == sorted(members, key=ranked.index)


def test_a_member_that_cannot_serve_leaves_its_turns_to_the_others():
    small = pool(CODER, replace(FOUR.get("fast-a"), context_tokens=100))
    options = Options(mode="panel", panel=("coder-a", "fast-a"), fan=FanOut("mine", True, 3))
    decision = decide(task(options=options), small, State())
    assert [s.candidates for s in decision.plan.steps if s.phase == "member"] == [("coder-a",)] * 3


def test_its_writer_and_its_fallback_stand_in_the_plan_and_in_the_worst_case():
    plain = fanned(2)
    named = fanned(2, synthesis="vendor/verifier-a", fallback="reasoner-a")
    steps = {s.phase: s.candidates for s in named.plan.steps}
    assert steps["synthesis"] == ("verifier-a", "reasoner-a")
    assert [s.candidates[1:] for s in named.plan.steps if s.phase == "member"] == [
        ("reasoner-a",)
    ] * 2
    assert named.plan.worst_case_usd > plain.plan.worst_case_usd
    assert named.plan.steps[0].candidates[0] == plain.plan.steps[0].candidates[0]
    # Who cannot serve, writes nothing and stands behind nobody.
    assert fanned(2, synthesis="nobody", fallback="nobody").plan == plain.plan


def test_its_count_is_how_often_one_model_is_asked():
    members = [s for s in fanned(4, strategy="self_fusion").plan.steps if s.phase == "member"]
    assert [s.candidates for s in members] == [members[0].candidates] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "single"},
        {"mode": "verify"},
        *({"strategy": s} for s in ("cost_optimized", "latency_optimized", "performance_based", "fallback", "cascade")),
    ],
)  # fmt: skip
def test_who_only_judges_for_a_name_does_not_answer_for_it(options):
    first, second, judge = (c.id for c in FOUR.candidates[:3])
    for named in ((first, second), (second, judge), (first, judge)):
        (other,) = {first, second, judge} - set(named)
        asks = Options(panel=named, candidates=(*named, other), judge=other, fan=FanOut("mine", True, 2), **options)  # fmt: skip
        plan = decide(task(options=asks), FOUR, State()).plan
        answers = [c for s in plan.steps if s.phase in ("primary", "escalation") for c in s.candidates]  # fmt: skip
        assert answers
        assert set(answers) <= set(named)
