"""Who may serve at all: the quick look at whole columns says what the rules say one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from openfusion_auto.core.decide import decide
from openfusion_auto.core.eligible import HARD_RULES, by_hard_rules
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.prompt import Each, Hosts, Options
from openfusion_auto.core.score import SKILL
from openfusion_auto.core.types import Needs, Policy, Preferences, State
from tests.core import strategies
from tests.support.pools import CODER, FOUR, candidate, pool, price, task


@given(strategies.inputs)
def test_suspects_are_all_that_break_a_rule(inputs):
    kept, rejected = by_hard_rules(inputs.task, inputs.pool, inputs.state)
    for i, c in enumerate(inputs.pool.candidates):
        broken = [r for _, r in HARD_RULES if r(c, inputs.task, inputs.state) is not None]
        assert (i in kept) == (not broken)
    assert len(kept) + len(rejected) == len(inputs.pool.candidates)


def limited(**each):
    options = Options(panel=("coder-a", "vendor/fast-a"), each=(Each("coder-a", **each), Each("vendor/fast-a", **each)))  # fmt: skip
    return task(only=("coder-a", "fast-a"), options=options)


def rules(asked, models=FOUR):
    return {r.candidate: r.rule for r in decide(asked, models, State()).rejected if r.rule != "not_requested"}  # fmt: skip


def test_a_models_own_price_limit_looks_at_the_dearer_of_input_and_output():
    assert rules(limited(max_usd_per_1k=0.002)) == {}  # coder-a: 2 USD per million out
    assert rules(limited(max_usd_per_1k=0.0019)) == {"coder-a": "price_above_requested"}
    unknown = pool(candidate("coder-a", price=None), FOUR.by_id["fast-a"])
    assert rules(limited(max_usd_per_1k=9.0), unknown) == {"coder-a": "price_above_requested"}
    assert rules(limited(weight=1.0), unknown) == {}


def test_a_models_own_least_chance_is_held_against_the_term_skill():
    decision = decide(limited(), FOUR, State())
    chance = {s.candidate: s.terms[SKILL].value for s in decision.ranking}
    between = (chance["coder-a"] + chance["fast-a"]) / 2
    assert rules(limited(min_score=between)) == {"fast-a": "performance_below_requested"}
    assert rules(limited(min_score=chance["fast-a"])) == {}


def hosted(offers=(), **hosts):
    state = State(offers={"relay": offers, "far": ()})
    models = pool(CODER, candidate("far-a", upstream="Far", price=price(9, 9)), candidate("dark", price=None))  # fmt: skip
    decision = decide(task(options=Options(hosts=Hosts(**hosts))), models, state)
    return {r.candidate: r.detail for r in decision.rejected if r.rule == "provider_unmet"}


def test_a_demand_on_the_provider_is_held_by_upstreams_that_do_not_read_it():
    assert list(hosted(only=("relay",))) == ["far-a"]
    assert sorted(hosted(ignore=("relay",))) == ["coder-a", "dark"]
    assert (
        hosted(max_output=5.0)["dark"] == "an unknown price per 1M output, provider.max_price is 5"
    )
    assert sorted(hosted(max_output=5.0)) == ["dark", "far-a"]
    assert sorted(hosted(max_input=0.1)) == ["coder-a", "dark", "far-a"]
    assert sorted(hosted(unmet=("zdr",))) == ["coder-a", "dark", "far-a"]
    # Who reads the field holds it: nothing of it is held here.
    assert list(hosted(("provider",), unmet=("zdr",), max_input=0.1)) == ["far-a"]


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"each": (Each("a", max_usd_per_1k=0.004),)}, "price_above_requested"),
        ({"hosts": Hosts(max_input=2.0)}, "provider_unmet"),
        ({}, "price_above_max"),
    ],
)
def test_limits_of_price_look_at_the_length_of_the_prompt(limits, rule):
    longer = (LongPrice(100_000, 2.5, 6.0),)
    models = pool(candidate("a", price=replace(price(1.0, 4.0), long_context=longer)))
    policy = Policy(preferences=Preferences(max_input_price=2.0))

    def broken(tokens):
        asked = task(needs=Needs(input_tokens=tokens), options=Options(**limits))
        return [r.rule for r in decide(asked, models, State(), policy).rejected]

    assert broken(100_000) == []
    assert broken(100_001) == [rule]
