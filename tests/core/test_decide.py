"""The choice: every rule by example, and what must hold for any inputs by property."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from openfusion_auto.core import cost
from openfusion_auto.core.decide import decide, moved_on
from openfusion_auto.core.explain import content_json, decision_digest
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.score import PRICE, SKILL
from openfusion_auto.core.strength import strengths
from openfusion_auto.core.types import (
    Breaker,
    Cached,
    Needs,
    Pin,
    Policy,
    Pool,
    Preferences,
    Rejection,
    State,
    Stats,
    Task,
)
from tests.core import strategies
from tests.support.pools import (
    CODER,
    EVEN,
    FAST,
    FOUR,
    INPUTS,
    REASONER,
    Inputs,
    candidate,
    pool,
    price,
    solves,
    task,
)


def of(inputs: Inputs):
    return decide(inputs.task, inputs.pool, inputs.state, inputs.policy)


def ids(ranking) -> list[str]:
    return [s.candidate for s in ranking]


def rules(decision) -> dict[str, str]:
    return {r.candidate: r.rule for r in decision.rejected}


# -- properties -------------------------------------------------------------------------------------------------------


@given(strategies.inputs, st.randoms(use_true_random=False))
def test_the_order_of_the_pool_never_changes_a_decision(inputs, random):
    shuffled = list(inputs.pool.candidates)
    random.shuffle(shuffled)
    other = replace(inputs, pool=Pool(tuple(shuffled), inputs.pool.digest))
    assert content_json(of(inputs)) == content_json(of(other))
    assert decision_digest(of(inputs)) == decision_digest(of(other))


@given(strategies.inputs)
def test_every_candidate_is_ranked_once_or_rejected_once(inputs):
    decision = of(inputs)
    seen = ids(decision.ranking) + [r.candidate for r in decision.rejected]
    assert sorted(seen) == sorted(c.id for c in inputs.pool.candidates)


@given(strategies.inputs)
def test_the_ranking_falls_and_each_total_is_the_sum_of_its_points(inputs):
    decision = of(inputs)
    totals = [s.total for s in decision.ranking]
    assert totals == sorted(totals, reverse=True)
    for scored in decision.ranking:
        assert scored.total == pytest.approx(sum(t.points for t in scored.terms), abs=1e-12)
        for term in scored.terms:
            assert 0 <= term.value <= 1
            assert term.points == pytest.approx(term.value * term.weight, abs=2e-9)


@given(strategies.inputs)
def test_a_plan_names_ranked_candidates_only_each_once_in_a_step(inputs):
    decision = of(inputs)
    ranked = set(ids(decision.ranking))
    for step in decision.plan.steps:
        assert step.candidates
        assert set(step.candidates) <= ranked
        assert len(set(step.candidates)) == len(step.candidates)


@given(strategies.inputs)
def test_a_plan_keeps_the_limits_of_money_and_calls(inputs):
    decision = of(inputs)
    limits = [inputs.policy.max_usd, inputs.task.options.max_usd]
    known = [x for x in limits if x is not None]
    if decision.plan.steps and known:
        assert decision.plan.worst_case_usd is not None
        assert decision.plan.worst_case_usd <= min(known)
    assert len(decision.plan.steps) <= min(
        inputs.policy.max_calls, inputs.task.options.max_calls or inputs.policy.max_calls
    )


@given(strategies.inputs)
def test_a_mode_that_was_not_kept_says_why_from_panel_down(inputs):
    decision = of(inputs)
    if not decision.ranking:
        return
    order = ("panel", "verify", "single")
    started = next(r.split(":")[0] for r in decision.reasons if r.split(":")[0] in order)
    passed = order[order.index(started) : order.index(decision.mode)]
    assert order.index(started) <= order.index(decision.mode)
    places = [
        next(i for i, r in enumerate(decision.reasons) if r.startswith(f"not {name}:"))
        for name in passed
    ]
    assert places == sorted(places)


@given(strategies.inputs)
def test_an_unknown_price_is_none_everywhere(inputs):
    decision = of(inputs)
    unpriced = {c.id for c in inputs.pool.candidates if c.price is None}
    for scored in decision.ranking:
        raw = next(t.raw for t in scored.terms if t.name == "price")
        if scored.candidate in unpriced:
            assert scored.expected_usd is None
            assert raw is None
        else:
            assert scored.expected_usd is not None
            assert raw is not None
    called = {i for step in decision.plan.steps for i in step.candidates}
    if called & unpriced:
        assert decision.plan.worst_case_usd is None
    if {step.candidates[0] for step in decision.plan.steps} & unpriced:
        assert decision.plan.expected_usd is None


@given(
    strategies.easy_inputs,
    strategies.numbers(0, 10),
    strategies.numbers(0, 10),
    st.none() | strategies.numbers(0, 3),
)
@settings(max_examples=80)
def test_raising_the_knob_never_picks_a_dearer_model(inputs, one, two, max_usd):
    asked, state = inputs.task, inputs.state
    free = replace(state, pin=None) if asked.turn == "tool" else state
    low, high = (
        decide(asked, inputs.pool, free, Policy(cost_quality=knob, mode="single", max_usd=max_usd))
        for knob in sorted((one, two))
    )
    assume(low.plan.steps)
    # What the knob weighs is a turn of the session against the dearest; values are rounded to 1e-9.
    cost = {s.candidate: 1 - s.terms[PRICE].value for s in low.ranking}
    before, after = cost[low.plan.steps[0].candidates[0]], cost[high.plan.steps[0].candidates[0]]
    assert after <= before + 2e-9


@given(strategies.easy_inputs, st.data())
def test_rejecting_one_candidate_changes_no_other_total(inputs, data):
    models = inputs.pool.candidates
    gone = data.draw(st.sampled_from(models)).id
    resting = replace(inputs.state, breakers={gone: Breaker("open", 3, inputs.state.now_s + 100.0)})
    whole, rest = of(inputs), of(replace(inputs, state=resting))
    pin = inputs.state.pin
    if pin is not None and pin.candidate == gone:
        return  # then the session is free to move, which is another matter
    assert rules(rest) == {gone: "breaker_open"}
    assert [(s.candidate, s.total) for s in rest.ranking] == [
        (s.candidate, s.total) for s in whole.ranking if s.candidate != gone
    ]


@given(strategies.inputs)
def test_a_tool_turn_stays_with_the_pinned_model_or_says_why_not(inputs):
    pin = inputs.state.pin or Pin(inputs.pool.candidates[0].id)
    inputs = replace(
        inputs, task=replace(inputs.task, turn="tool"), state=replace(inputs.state, pin=pin)
    )
    decision = of(inputs)
    if pin.candidate not in ids(decision.ranking):
        assert any(r.startswith(f"{pin.candidate} cannot serve") for r in decision.reasons)
    elif inputs.task.struggling and not pin.escalated:
        assert any(r.startswith(f"{pin.candidate} is stuck") for r in decision.reasons)
        assert decision.escalates
    else:
        assert decision.ranking[0].candidate == pin.candidate
        assert any(
            r.startswith(f"a tool turn stays with {pin.candidate}") for r in decision.reasons
        )
        assert not decision.escalates


REPLAY = """
import sys
from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_digest
from tests.support.pools import INPUTS
for line in sys.stdin:
    given = INPUTS.validate_json(line)
    print(decision_digest(decide(given.task, given.pool, given.state, given.policy)))
"""


def fixed_inputs() -> list[Inputs]:
    """Inputs with every kind of thing in them."""
    pinned = State(
        now_s=1000.0,
        stats={"coder-a": Stats(9, 3, 700, 9, 55, 9, 3.3, 9, 900), "fast-a": Stats(0, 4, at_s=10)},
        breakers={"fast-a": Breaker("open", 4, 1020.0)},
        pin=Pin(
            "reasoner-a",
            (Cached("coder-a", 900, 1050.0), Cached("reasoner-a", 6_000, 1100.0)),
            7,
            2000.0,
        ),
        unready={"other": "OTHER_API_KEY is not set"},
    )
    unpriced = candidate("free-a", price=None, upstream="other")
    wide = pool(*FOUR.candidates, unpriced)
    return [
        Inputs(task(), FOUR, State(), Policy()),
        Inputs(task(risk="high", complexity="high"), FOUR, State(), Policy(cost_quality=2.5)),
        Inputs(task(turn="tool"), wide, pinned, Policy(max_usd=0.2)),
        Inputs(task(turn="tool", struggling=True, struggle="x"), wide, pinned, Policy()),
        Inputs(task(ease=-0.5, lifts=(("fast-a", 0.2),)), FOUR, pinned, Policy(mode="verify")),
        Inputs(
            task(options=Options(mode="panel", panel=("fast-a", "coder-a"), judge="verifier-a")),
            wide,
            pinned,
            Policy(preferences=Preferences(max_input_price=2.5)),
        ),
    ]


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_a_decision_replays_to_the_same_digest_in_another_process(seed):
    inputs = fixed_inputs()
    lines = b"\n".join(INPUTS.dump_json(i) for i in inputs)
    done = subprocess.run(
        [sys.executable, "-c", REPLAY],
        input=lines,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.decode().split() == [decision_digest(of(i)) for i in inputs]


@given(strategies.inputs)
def test_inputs_survive_json_without_changing_the_decision(inputs):
    back = INPUTS.validate_json(INPUTS.dump_json(inputs))
    assert decision_digest(of(back)) == decision_digest(of(inputs))
    assert json.loads(json.dumps(content_json(of(inputs)))) == content_json(of(inputs))


# -- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "model", "state", "rule", "says"),
    [
        (task(only=("b",)), {}, State(), "not_requested", "restricts the choice to b"),
        (task(options=Options(candidates=("b",))), {}, State(), "not_requested", "to b"),
        (task(), {"roles": ("embedding",)}, State(), "not_requested", "makes embeddings"),
        (task(), {"roles": (), "offers": ("embeddings",)}, State(), "not_requested", "is named"),
        (task(role="writer"), {}, State(), "role_not_played", "plays coder"),
        (task(role="writer"), {"roles": ()}, State(), "role_not_played", "plays no role"),
        (task(), {}, State(unready={"relay": "KEY is not set"}), "upstream_not_ready", "KEY"),
        (
            task(needs=Needs(tools=True)),
            {"offers": ("vision",)},
            State(),
            "ability_missing",
            "tools",
        ),
        (task(needs=Needs(vision=True)), {"offers": ()}, State(), "ability_missing", "nothing"),
        (
            task(needs=Needs(json_schema=True)),
            {"offers": ()},
            State(),
            "ability_missing",
            "json_schema",
        ),
        (task(), {"context_tokens": 8_000}, State(), "context_too_small", "the window holds 8000"),
        (
            task(),
            {},
            State(now_s=10, breakers={"a": Breaker("open", 3, 25.0)}),
            "breaker_open",
            "3 failures in a row, tried again in 15 s",
        ),
    ],
)
def test_a_hard_rule_rejects_with_its_code_and_a_reason(request_, model, state, rule, says):
    other = candidate("b", upstream="other", roles=("writer",))
    decision = decide(request_, pool(candidate("a", **model), other), state)
    assert rules(decision)["a"] == rule
    assert says in next(r.detail for r in decision.rejected if r.candidate == "a")


@pytest.mark.parametrize(
    "request_",
    [task(only=("a",)), task(options=Options(candidates=("vendor/a",))), task(role="embedding")],
)
def test_a_model_for_embeddings_is_asked_when_it_is_named(request_):
    embedder = candidate("a", model="vendor/a", roles=("embedding",), offers=("embeddings",))
    decision = decide(request_, pool(embedder, candidate("b")), State())
    assert [s.candidate for s in decision.ranking] == ["a"]


@pytest.mark.parametrize("wish", [0, 3, 5, 7, 10])
@pytest.mark.parametrize("complexity", ["low", "high"])
def test_a_model_for_embeddings_changes_no_other_choice(wish, complexity):
    free = replace(price(0.02, 0.0), as_of="2026-12-31")
    embedder = candidate("embed", roles=("embedding",), price=free)
    beside = pool(*FOUR.candidates, embedder)
    for kind in ("bugfix", "docs"):
        asked, policy = task(kind=kind, complexity=complexity), Policy(cost_quality=wish)
        alone, both = (decide(asked, models, State(), policy) for models in (FOUR, beside))
        assert (both.mode, both.plan, both.reasons) == (alone.mode, alone.plan, alone.reasons)
        assert [(s.candidate, s.total) for s in both.ranking] == [
            (s.candidate, s.total) for s in alone.ranking
        ]


def test_a_request_may_name_candidates_by_model():
    decision = decide(task(options=Options(candidates=("vendor/coder-a",))), FOUR, State())
    assert ids(decision.ranking) == ["coder-a"]


def test_an_unknown_window_is_never_a_reason_to_reject():
    asked = task(needs=Needs(input_tokens=10_000_000))
    decision = decide(asked, pool(candidate("a", context_tokens=None)), State())
    assert ids(decision.ranking) == ["a"]


def test_the_window_must_leave_room_for_the_answer():
    # 8,000 estimated tokens are taken as 8,400; the answer wants 2,000, or what the model can write at all.
    asked = task(needs=Needs(input_tokens=8_000, max_output_tokens=2_000))
    window = {"context_tokens": 10_000}
    assert rules(decide(asked, pool(candidate("a", **window)), State())) == {
        "a": "context_too_small"
    }
    short = candidate("a", **window, max_output_tokens=1_000)
    assert ids(decide(asked, pool(short), State()).ranking) == ["a"]


def test_when_every_breaker_is_open_all_are_tried_all_the_same():
    broken = {c.id: Breaker("open", 3, 100.0) for c in FOUR.candidates}
    decision = decide(task(), FOUR, State(now_s=1, breakers=broken))
    assert len(decision.ranking) == 4
    assert "every breaker is open: tried all the same" in decision.reasons
    one_left = {k: v for k, v in broken.items() if k != "fast-a"}
    assert ids(decide(task(), FOUR, State(now_s=1, breakers=one_left)).ranking) == ["fast-a"]


# -- preferences ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "rule", "gone"),
    [
        (Preferences(max_input_price=2.0), "price_above_max", {"verifier-a"}),
        (Preferences(max_output_price=5.0), "price_above_max", {"reasoner-a", "verifier-a"}),
        (Preferences(min_benchmark=75.0), "benchmark_below_min", {"fast-a", "coder-a"}),
        (
            Preferences(min_tokens_per_s=61.0),
            "throughput_below_min",
            set(FOUR_IDS := ["fast-a", "coder-a", "reasoner-a", "verifier-a"]),
        ),
        (Preferences(max_ttft_ms=500.0), "latency_above_max", set(FOUR_IDS)),
    ],
)
def test_a_limit_of_the_operator_rejects_with_its_rule(wish, rule, gone):
    decision = decide(task(), FOUR, State(), Policy(preferences=wish))
    assert rules(decision) == dict.fromkeys(gone, rule)


def test_an_unknown_number_breaks_no_limit():
    nothing_known = candidate("a", price=None, performance=None)
    wish = Preferences(0.1, 0.1, 99.0, 1_000.0, 1.0)
    assert ids(decide(task(), pool(nothing_known), State(), Policy(preferences=wish)).ranking) == [
        "a"
    ]


def test_a_benchmark_limit_is_a_score_in_percent():
    # Best of its pool by far, and still below what the operator asks for.
    decision = decide(
        task(),
        pool(candidate("a", benchmarks=solves(59)), candidate("b", benchmarks=solves(20))),
        State(),
        Policy(preferences=Preferences(min_benchmark=60.0)),
    )
    assert rules(decision) == {"a": "benchmark_below_min", "b": "benchmark_below_min"}


def test_fail_open_sets_preferences_aside_only_when_nobody_keeps_them():
    nobody = Preferences(max_input_price=0.01, fail_open=True)
    decision = decide(task(), FOUR, State(), Policy(preferences=nobody))
    assert len(decision.ranking) == 4
    assert any("fail_open" in r for r in decision.reasons)
    some = replace(nobody, max_input_price=0.2)
    assert ids(decide(task(), FOUR, State(), Policy(preferences=some)).ranking) == ["fast-a"]
    strict = replace(nobody, fail_open=False)
    assert decide(task(), FOUR, State(), Policy(preferences=strict)).ranking == ()


def test_fail_open_adds_no_reason_when_nobody_was_there_to_set_aside():
    wish = Preferences(max_input_price=0.01, fail_open=True)
    decision = decide(
        task(), FOUR, State(unready={"relay": "KEY is not set"}), Policy(preferences=wish)
    )
    assert decision.ranking == ()
    assert not any("fail_open" in r for r in decision.reasons)


def test_a_pin_that_the_operator_ruled_out_does_not_lock():
    state = State(pin=Pin("verifier-a", (Cached("verifier-a", 7_000, 100.0),), 1, 100.0))
    policy = Policy(preferences=Preferences(max_input_price=1.0))
    decision = decide(task(turn="tool"), FOUR, state, policy)
    assert "verifier-a cannot serve this turn: the session changes its model" in decision.reasons
    assert not any("stays with verifier-a" in r for r in decision.reasons)
    assert next(t.weight for t in decision.ranking[0].terms if t.name == "stickiness") < 1


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_a_dear_panel_is_downgraded_to_verify_then_single_then_a_cheaper_single():
    asked = task(options=Options(mode="panel"))
    free = decide(asked, FOUR, State())
    assert free.mode == "panel"
    verify = decide(task(options=Options(mode="verify")), FOUR, State()).plan.worst_case_usd
    single = decide(task(options=Options(mode="single")), FOUR, State()).plan.worst_case_usd
    assert single < verify < free.plan.worst_case_usd
    at_verify = decide(asked, FOUR, State(), Policy(max_usd=verify))
    assert at_verify.mode == "verify"
    assert any(r.startswith("not panel:") and "at worst" in r for r in at_verify.reasons)
    at_single = decide(asked, FOUR, State(), Policy(max_usd=single))
    assert at_single.mode == "single"
    assert [r.split(":")[0] for r in at_single.reasons] == ["panel", "not panel", "not verify"]
    cheaper = decide(asked, FOUR, State(), Policy(max_usd=cost.worst_usd(FAST, asked)))
    assert cheaper.plan.steps[0].candidates == ("fast-a",)
    assert cheaper.reasons[-1] == "single with fast-a: the best that fits the budget"


def test_refused_only_when_not_even_the_cheapest_single_fits():
    decision = decide(task(), FOUR, State(), Policy(max_usd=1e-6))
    assert decision.plan.steps == ()
    assert decision.plan.worst_case_usd is None
    assert decision.reasons[-1] == "no candidate fits the budget"
    assert len(decision.ranking) == 4


def test_under_a_budget_an_unknown_price_is_not_taken_for_free():
    unpriced = candidate("a", price=None)
    decision = decide(task(), pool(unpriced), State(), Policy(max_usd=100.0))
    assert decision.plan.steps == ()
    assert any("a price is unknown" in r for r in decision.reasons)
    mixed = decide(task(), pool(unpriced, CODER), State(), Policy(max_usd=100.0))
    assert mixed.plan.steps[0].candidates == ("coder-a",)


def test_the_tighter_of_two_budgets_counts():
    asked = task(options=Options(max_usd=1e-6))
    assert decide(asked, FOUR, State(), Policy(max_usd=100.0)).plan.steps == ()
    assert (
        decide(task(options=Options(max_usd=100.0)), FOUR, State(), Policy(max_usd=1e-6)).plan.steps
        == ()
    )


def test_a_limit_of_calls_downgrades_with_the_number():
    asked = task(options=Options(mode="panel", max_calls=3))
    decision = decide(asked, EVEN, State())
    assert decision.mode == "verify"
    assert "not panel: 6 calls, the limit is 3" in decision.reasons
    assert decide(asked, EVEN, State(), Policy(max_calls=1)).mode == "single"
    none = decide(asked, EVEN, State(), Policy(max_calls=0))
    assert none.plan.steps == ()
    assert "the limit of calls is 0" in none.reasons


def test_a_panel_of_one_falls_to_verify_and_then_to_single():
    decision = decide(task(options=Options(mode="panel")), pool(CODER), State())
    assert decision.mode == "single"
    assert "not panel: it needs two candidates that can serve" in decision.reasons
    assert "not verify: it needs two candidates that can serve" in decision.reasons


def test_with_no_candidate_the_plan_is_empty_and_nothing_false_is_said():
    decision = decide(task(), FOUR, State(unready={"relay": "KEY is not set"}), Policy(max_usd=1.0))
    assert decision.plan.steps == ()
    assert decision.mode == "single"
    assert decision.reasons == ("single: no candidate can serve",)


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_the_knob_of_the_request_goes_before_the_policy():
    assert decide(task(), FOUR, State(), Policy(cost_quality=3)).cost_quality == 3.0
    asked = task(options=Options(cost_quality=0.0))
    assert decide(asked, FOUR, State(), Policy(cost_quality=3)).cost_quality == 0.0


def test_the_knob_moves_the_choice():
    dear = decide(task(), FOUR, State(), Policy(cost_quality=0)).ranking[0]
    cheap = decide(task(), FOUR, State(), Policy(cost_quality=10)).ranking[0]
    assert cheap.candidate == "fast-a"
    assert dear.expected_usd > cheap.expected_usd


def test_equal_totals_are_ordered_by_id():
    same = [candidate(i, model="m") for i in ("c", "a", "b")]
    ranking = decide(task(), Pool(tuple(same)), State()).ranking
    assert ids(ranking) == ["a", "b", "c"]
    assert len({s.total for s in ranking}) == 1


def test_rejections_are_in_the_order_of_ids():
    odd = Pool((REASONER, FAST, CODER))
    decision = decide(task(only=("nobody",)), odd, State())
    assert [r.candidate for r in decision.rejected] == ["coder-a", "fast-a", "reasoner-a"]
    assert isinstance(decision.rejected[0], Rejection)


@example(turn="tool")
@example(turn="user")
@given(turn=st.sampled_from(("tool", "user")))
def test_a_warm_cache_is_money_where_it_is_warm_only(turn):
    caches = (Cached("fast-a", 3_000, 100.0), Cached("coder-a", 6_000, 100.0))
    state = State(now_s=10.0, pin=Pin("coder-a", caches, 2, 100.0))
    cold = {
        s.candidate: s.expected_usd
        for s in decide(task(turn=turn), FOUR, State(now_s=10.0)).ranking
    }
    warm = {s.candidate: s.expected_usd for s in decide(task(turn=turn), FOUR, state).ranking}
    assert cold["coder-a"] - warm["coder-a"] == pytest.approx(6_000 * 0.45e-6)
    assert cold["fast-a"] - warm["fast-a"] == pytest.approx(3_000 * 0.09e-6)
    for other in ("reasoner-a", "verifier-a"):
        assert warm[other] == cold[other]


# -- a session --------------------------------------------------------------------------------------------------------


def test_staying_and_switching_are_shown_in_dollars():
    caches = (Cached("fast-a", 3_000, 100.0), Cached("coder-a", 6_000, 100.0))
    state = State(now_s=10.0, pin=Pin("coder-a", caches, 2, 100.0))
    decision = decide(task(), FOUR, state, Policy(cost_quality=9))
    shown = decision.staying
    by_id = {s.candidate: s for s in decision.ranking}
    own, other = by_id["coder-a"], by_id["fast-a"]
    assert (shown.candidate, shown.warm_tokens) == ("coder-a", 6_000)
    assert (shown.switch_to, shown.switch_warm_tokens) == ("fast-a", 3_000)
    assert (shown.stay_usd, shown.switch_usd) == (own.expected_usd, other.expected_usd)
    assert shown.stay_usd_per_turn == own.terms[PRICE].raw
    assert shown.switch_usd_per_turn == other.terms[PRICE].raw


def test_without_a_session_there_is_nothing_to_stay_with():
    assert decide(task(), FOUR, State()).staying is None
    gone = State(pin=Pin("nobody"))
    assert decide(task(), FOUR, gone).staying is None
    alone = decide(task(), pool(CODER), State(pin=Pin("coder-a"))).staying
    assert (alone.switch_to, alone.switch_warm_tokens, alone.switch_usd) == (None, 0, None)
    assert alone.switch_usd_per_turn is None


STUCK = task(turn="tool", struggling=True, struggle="the same error 3 times")


def test_a_stuck_session_moves_once_to_a_stronger_model_and_stays_there():
    first = decide(STUCK, FOUR, State(pin=Pin("coder-a")))
    assert first.escalates
    chosen = first.ranking[0].candidate
    assert chosen in ("reasoner-a", "verifier-a")
    assert any(r.startswith("coder-a is stuck (the same error 3 times)") for r in first.reasons)
    again = decide(STUCK, FOUR, State(pin=Pin(chosen, escalated=True)))
    assert not again.escalates
    assert again.ranking[0].candidate == chosen
    assert f"a tool turn stays with {chosen}, chosen when this task was stuck" in again.reasons


@given(strategies.inputs, st.sampled_from(["user", "tool"]), st.data())
def test_a_stuck_session_moves_to_a_stronger_model_or_stays(inputs, turn, data):
    holder = data.draw(st.sampled_from(inputs.pool.candidates)).id
    asked = replace(inputs.task, turn=turn, struggling=True, struggle="x")
    inputs = replace(inputs, task=asked, state=replace(inputs.state, pin=Pin(holder)))
    decision = of(inputs)
    if not decision.escalates or holder not in ids(decision.ranking):
        return
    logit = dict(zip(inputs.pool.by_id, strengths(inputs.pool, asked.kind).logit, strict=True))
    taken = decision.ranking[0].candidate
    assert taken == holder or logit[taken] > logit[holder]
    if decision.mode == "verify" and asked.options.strategy != "cascade" and decision.plan.steps:
        assert decision.plan.steps[0].candidates[0] == taken
    told = [r for r in decision.reasons if r.startswith(f"{holder} is stuck (x)")]
    assert told == [*moved_on(holder, decision.ranking, asked)]


def test_the_strongest_stays_when_it_is_stuck_however_dear():
    for turn in ("user", "tool"):
        asked = replace(STUCK, turn=turn)
        for knob in (0.0, 5.0, 10.0):
            decision = decide(asked, FOUR, State(pin=Pin("verifier-a")), Policy(cost_quality=knob))
            assert decision.ranking[0].candidate == "verifier-a"
            assert any("stays: nobody stronger" in r for r in decision.reasons)


def test_a_stuck_session_whose_model_the_pool_has_no_more_is_decided_all_the_same():
    decision = decide(STUCK, FOUR, State(pin=Pin("nobody")))
    assert len(decision.ranking) == 4
    assert not decision.escalates
    assert decision.ranking[0].terms[SKILL].value > 0.5


def test_task_is_in_the_decision_as_it_was_given():
    asked: Task = task(risk="low")
    assert decide(asked, FOUR, State()).task is asked
