"""Whose turn it is: in the list's order, by shares that hold over any run of turns, a function of the number alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Each, Options
from openfusion_auto.core.turns import name_of, order, parts_of, round_of, takers, weights_of
from openfusion_auto.core.types import Pin, State
from tests.support.pools import FOUR, pool, task

NAMES = ("a", "b", "c")


def weighted(*weights):
    each = tuple(Each(n, w) for n, w in zip(NAMES, weights, strict=False) if w is not None)
    return Options(strategy="round_robin", panel=NAMES, each=each)


def firsts(options, count):
    return [order(NAMES, options, number)[0] for number in range(count)]


def test_without_weights_they_follow_each_other_and_the_others_stand_behind():
    plain = weighted()
    assert firsts(plain, 7) == list("abcabca")
    assert order(NAMES, plain, 1) == ("b", "c", "a")


def test_shares_are_spread_evenly():
    assert firsts(weighted(3, 1, None), 8) == list("aabaaaba")
    # Without a weight beside others that have one: no turn, only a place behind them.
    assert order(NAMES, weighted(None, 1, None), 5) == ("b", "c", "a")
    assert order(NAMES, weighted(0, 2, 1), 1) == ("c", "b", "a")
    assert weights_of(NAMES, weighted(0.6, 0.4, None)) == (0.6, 0.4, 0.0)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_a_round_gives_each_its_parts_and_everybody_above_zero_a_turn(weights):
    parts = parts_of(tuple(weights))
    turns = round_of(parts)
    assert len(turns) == sum(parts) <= 110
    assert [turns.count(i) for i in range(len(parts))] == list(parts)
    if any(weights):
        assert [p > 0 for p in parts] == [w > 0 for w in weights]
        total = sum(weights)
        for w, p in zip(weights, parts, strict=True):
            assert abs(w / total - p / sum(parts)) < 0.09
        share = Counter(turns[: len(turns) // 2])
        assert all(share[i] <= p for i, p in enumerate(parts))


@given(st.integers(0, 10**12))
def test_a_turn_is_a_function_of_its_number(number):
    again = order(NAMES, weighted(2, 1, 1), number)
    assert again == order(NAMES, weighted(2, 1, 1), number % 4)
    assert sorted(again) == list(NAMES)


def test_turns_are_counted_by_what_is_listed():
    assert takers(Options(), FOUR) == ("coder-a", "fast-a", "reasoner-a", "verifier-a")
    assert takers(Options(candidates=("x",)), FOUR) == ("x",)
    assert name_of(weighted(), FOUR) == name_of(weighted(1, 1, 1), FOUR)
    assert name_of(weighted(), FOUR) != name_of(weighted(2, 1, 1), FOUR)
    assert name_of(Options(), FOUR) != name_of(Options(), pool(*FOUR.candidates[:3]))


def test_the_number_is_an_input_of_the_decision():
    asked = Options(strategy="round_robin", candidates=("verifier-a", "vendor/fast-a"))
    tried = [decide(task(options=asked, number=n), FOUR, State()).plan.steps[0].candidates for n in range(3)]  # fmt: skip
    assert tried == [("verifier-a", "fast-a"), ("fast-a", "verifier-a"), ("verifier-a", "fast-a")]


@pytest.mark.parametrize("only", [(), ("coder-a", "verifier-a")])
def test_a_tool_loop_stays_with_the_model_whose_turn_it_was(only):
    state = State(pin=Pin("verifier-a", expires_s=9.0), now_s=1.0)
    asked = task(turn="tool", only=only, options=Options(strategy="round_robin", panel=only))
    for number in range(4):
        decision = decide(task(turn="tool", only=only, options=asked.options, number=number), FOUR, state)  # fmt: skip
        assert decision.plan.steps[0].candidates[0] == "verifier-a"


@pytest.mark.parametrize("role", [None, "reasoner"])
def test_who_answers_no_such_request_has_no_turn_that_would_go_to_the_next(role):
    embeds = replace(FOUR.candidates[0], id="embed-a", offers=("embeddings",), roles=("embedding",))
    everybody = pool(*FOUR.candidates, embeds)
    asked = task(options=Options(strategy="round_robin"), role=role)
    able = [c.id for c in FOUR.candidates if role is None or role in c.roles]
    assert 1 < len(able) < len(everybody.candidates)
    turns = [decide(replace(asked, number=n), everybody, State()).plan.steps[0].candidates[0] for n in range(20)]  # fmt: skip
    assert set(Counter(turns).values()) == {20 // len(able)}
    assert takers(asked.options, everybody, "nobody") == tuple(c.id for c in everybody.candidates)
