"""A decision made again with other settings, and what differs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_json, flips
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.score import TERMS
from openfusion_auto.core.types import Performance, Policy, State
from openfusion_auto.core.whatif import WEIGHTS, difference, made_again, shares
from tests.core import strategies
from tests.support.pools import FOUR, candidate, pool, solves, task

WEIGHED = st.dictionaries(st.sampled_from(list(WEIGHTS)), st.integers(0, 100).map(lambda n: n / 10))


def again(knob=5.0, asked=None, models=FOUR, **weights):
    return made_again(
        asked or task(), models, State(), Policy(), cost_quality=knob, weights=weights
    )


@given(strategies.inputs)
@settings(max_examples=60)
def test_the_same_settings_make_the_same_decision(inputs):
    own = decide(inputs.task, inputs.pool, inputs.state, inputs.policy)
    same = made_again(
        inputs.task,
        inputs.pool,
        inputs.state,
        inputs.policy,
        cost_quality=own.cost_quality,
        weights=WEIGHTS,
    )
    found = difference(decision_json(own), decision_json(same))
    assert found["same"]
    assert found["candidates"] == []


@given(strategies.inputs, st.integers(0, 100), WEIGHED)
@settings(max_examples=60)
def test_totals_stay_the_sum_of_points_and_weights_add_up_to_one(inputs, tenths, weights):
    assume(any({**WEIGHTS, **weights}.values()))
    made = made_again(
        inputs.task,
        inputs.pool,
        inputs.state,
        inputs.policy,
        cost_quality=tenths / 10,
        weights=weights,
    )
    for scored in made.ranking:
        assert math.isclose(scored.total, sum(t.points for t in scored.terms), abs_tol=1e-9)
        table = scored.table
        assert math.isclose(sum(table.quality), 1.0)
        if not table.held:
            assert math.isclose(sum(t.weight for t in scored.terms), 1.0, abs_tol=1e-9)


def test_what_the_request_asked_for_itself_gives_way():
    asked = task(options=Options(cost_quality=0.0))
    dear = decide(asked, FOUR, State(), Policy())
    cheap = again(10.0, asked)
    assert (dear.cost_quality, cheap.cost_quality) == (0.0, 10.0)
    assert dear.ranking[0].candidate != cheap.ranking[0].candidate


def test_the_knob_that_a_flip_names_makes_that_loser_the_pick():
    decision = decide(task(), FOUR, State(), Policy())
    stated = [(s.candidate, f.to) for s in decision.ranking[1:] for f in flips(s, decision) if f.of == "cost_quality"]  # fmt: skip
    assert stated
    for name, knob in stated:
        assert again(knob).ranking[0].candidate == name


def test_flips_hold_under_other_weights_too():
    made = again(5.0, latency=6.4, skill=0.1)
    stated = [(s.candidate, f.to) for s in made.ranking[1:] for f in flips(s, made) if f.of == "cost_quality"]  # fmt: skip
    assert stated
    for name, knob in stated:
        assert again(knob, latency=6.4, skill=0.1).ranking[0].candidate == name


def test_a_term_that_alone_counts_ranks_by_its_value():
    slow = candidate("slow-strong", benchmarks=solves(80), performance=Performance(9000.0, 60.0))
    quick = candidate("quick-weak", benchmarks=solves(40), performance=Performance(200.0, 60.0))
    models = pool(slow, quick)
    alone = dict.fromkeys(WEIGHTS, 0.0)
    assert again(0.0, models=models, **{**alone, "skill": 1}).ranking[0].candidate == "slow-strong"
    assert again(0.0, models=models, **{**alone, "latency": 1}).ranking[0].candidate == "quick-weak"


def test_only_the_ratio_of_weights_counts():
    one = decision_json(again(skill=0.5, latency=0.5))
    tenfold = {name: 10 * w for name, w in {**WEIGHTS, "skill": 0.5, "latency": 0.5}.items()}
    many = decision_json(again(**tenfold))
    assert [r["candidate"] for r in one["ranking"]] == [r["candidate"] for r in many["ranking"]]
    for a, b in zip(one["ranking"], many["ranking"], strict=True):
        assert math.isclose(a["total"], b["total"], abs_tol=1e-9)


def test_weights_stand_in_the_order_of_the_terms_and_the_price_has_none():
    found = dict(zip(TERMS, shares({"latency": 0.5}), strict=True))
    assert found["price"] == 0.0
    assert max(found, key=found.__getitem__) == "skill"
    assert math.isclose(found["latency"], 0.5 / (1 + 0.5 - WEIGHTS["latency"]))


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"price": 1.0}, "no term 'price'"),
        ({"luck": 1.0}, "no term 'luck'"),
        ({"skill": -0.1}, "from 0 up"),
        ({"skill": math.nan}, "from 0 up"),
        ({"skill": math.inf}, "from 0 up"),
        (dict.fromkeys(WEIGHTS, 0.0), "above 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, says):
    with pytest.raises(ValueError, match=says):
        again(**weights)


def test_a_difference_tells_pick_order_mode_and_dollars():
    old = decision_json(decide(task(), FOUR, State(), Policy(cost_quality=0.0, mode="single")))
    new = decision_json(
        made_again(task(), FOUR, State(), Policy(mode="single"), cost_quality=10.0, weights={})
    )
    found = difference(old, new)
    assert found["pick"] == ["verifier-a", "fast-a"]
    before, after = found["expected_usd"]
    assert 0 < after < before
    ranks = {c["candidate"]: c["rank"] for c in found["candidates"]}
    assert ranks["fast-a"][1] == 1
    price = next(t for t in found["candidates"][0]["terms"] if t["name"] == "price")
    assert price["weight"][0] < price["weight"][1]


def test_who_is_out_on_one_side_is_told_with_the_rule():
    one = decision_json(decide(task(), FOUR, State(), Policy()))
    gone = replace(task(), only=("coder-a",))
    other = decision_json(decide(gone, FOUR, State(), Policy()))
    row = next(r for r in difference(one, other)["candidates"] if r["candidate"] == "fast-a")
    assert row["rank"][1] is None
    assert row["rejected"] == [None, "not_requested"]
