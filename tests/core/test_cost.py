"""Money: rates of cached parts, bounds, and that unknown is never zero."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.cost import (
    DEFAULT_MAX_OUTPUT,
    EFFORT_BOUNDS,
    OUTPUT_TOKENS,
    TASK_CACHED_INPUT,
    TASK_FRESH_INPUT,
    TASK_OUTPUT,
    effort,
    efforts,
    expected_usd,
    output_bound,
    output_tokens,
    total,
    usd,
    warm_tokens,
    worst_usd,
)
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import LEVELS, Needs, Pin, Price, TaskCost
from tests.core import strategies
from tests.support.pools import candidate, task

tokens = st.integers(0, 2_000_000)


@st.composite
def usages(draw):
    """Usage as the wire reads it: parts are never more than their whole."""
    whole = draw(tokens)
    cached = draw(st.integers(0, whole))
    return Usage(whole, draw(tokens), cached, draw(st.integers(0, whole - cached)))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1_000_000), 2.0),
        (Usage(0, 1_000_000), 8.0),
        (Usage(1_000_000, 0, cached=1_000_000), 0.5),
        (Usage(1_000_000, 0, cache_write=1_000_000), 3.0),
        (Usage(1_000_000, 500_000, 250_000, 250_000), 1.0 + 0.125 + 0.75 + 4.0),
        (Usage(), 0.0),
    ],
)
def test_each_part_has_its_own_rate(usage, expected):
    assert usd(Price(2.0, 8.0, 0.5, 3.0), usage) == pytest.approx(expected)


def test_an_unknown_rate_of_a_part_is_the_full_input_rate():
    bare = Price(2.0, 8.0)
    assert usd(bare, Usage(1_000_000, 0, 400_000, 300_000)) == pytest.approx(2.0)


def test_reasoning_is_a_part_of_the_output_and_not_paid_twice():
    price = Price(2.0, 8.0)
    assert usd(price, Usage(10, 100, reasoning=90)) == usd(price, Usage(10, 100))


@given(strategies.prices, usages(), tokens, tokens)
def test_money_is_never_negative_and_more_tokens_never_cost_less(price, usage, more_in, more_out):
    paid = usd(price, usage)
    assert paid >= 0
    assert usd(price, usage + Usage(more_in, more_out)) >= paid
    assert usd(price, usage + Usage(more_in, 0, more_in)) >= paid
    assert usd(price, usage + Usage(more_in, 0, 0, more_in)) >= paid


@given(strategies.prices, st.integers(0, 100), st.integers(0, 5000), st.integers(0, 5000))
def test_parts_that_exceed_their_whole_never_make_a_negative_bill(price, whole, cached, written):
    assert usd(price, Usage(whole, 0, cached, written)) >= 0


def test_an_effort_is_what_a_task_really_cost_by_what_its_list_price_says():
    listed = (TASK_FRESH_INPUT * 1.0 + TASK_CACHED_INPUT * 0.1 + TASK_OUTPUT * 4.0) * 1e-6
    assert effort(candidate("a", cost_per_task=TaskCost(2 * listed))) == pytest.approx(2.0)


@given(strategies.candidates("a"))
def test_an_effort_is_bounded_and_one_when_nothing_is_known(model):
    assert EFFORT_BOUNDS[0] <= effort(model) <= EFFORT_BOUNDS[1]
    if model.cost_per_task is None or model.price is None:
        assert effort(model) == 1.0


def test_an_unmeasured_model_is_ordinary_not_cheap():
    listed = usd(Price(1.0, 4.0, 0.1), Usage(990_000, 14_000, 900_000))
    measured = [
        candidate(f"m{n}", price=Price(1.0, 4.0, 0.1), cost_per_task=TaskCost(factor * listed))
        for n, factor in enumerate((0.8, 2.0, 3.0))
    ]
    found = efforts(
        [
            *measured,
            candidate("new"),
            candidate("free", price=Price(0, 0), cost_per_task=TaskCost(1.0)),
        ]
    )
    assert found[:3] == pytest.approx((0.8, 2.0, 3.0))
    assert found[3] == pytest.approx(1.5)  # the median of 0.8, 1.0, 2.0, 3.0
    assert efforts([candidate("a"), candidate("b")]) == (1.0, 1.0)


def test_a_free_model_has_no_effort():
    assert effort(candidate("a", price=Price(0, 0), cost_per_task=TaskCost(1.0))) == 1.0


@pytest.mark.parametrize("row", OUTPUT_TOKENS)
def test_harder_turns_write_more(row):
    assert list(OUTPUT_TOKENS[row].values()) == sorted(OUTPUT_TOKENS[row].values())
    assert set(OUTPUT_TOKENS[row]) == set(LEVELS)


def test_the_expected_output_is_never_above_what_the_client_allows():
    assert output_tokens(task()) == OUTPUT_TOKENS["user"]["medium"]
    assert output_tokens(task(kind="chat")) == OUTPUT_TOKENS["chat"]["medium"]
    assert output_tokens(task(kind="chat", turn="tool")) == OUTPUT_TOKENS["tool"]["medium"]
    assert output_tokens(task(needs=Needs(max_output_tokens=7))) == 7


def test_a_warm_prefix_is_priced_at_the_cached_rate_while_it_is_warm():
    model, asked = candidate("a"), task(needs=Needs(input_tokens=10_000))
    cold = expected_usd(model, asked, None, 0.0, 1.0)
    pin = Pin("a", 9_000, warm_until_s=50.0)
    warm = expected_usd(model, asked, pin, 50.0, 1.0)
    assert cold - warm == pytest.approx(9_000 * 0.9e-6)
    assert expected_usd(model, asked, pin, 51.0, 1.0) == cold
    assert expected_usd(model, asked, Pin("b", 9_000, 50.0), 0.0, 1.0) == cold
    assert warm_tokens(Pin("a", 99, 50.0), "a", 10.0) == 99


def test_no_more_is_cached_than_is_sent():
    model, asked = candidate("a"), task(needs=Needs(input_tokens=1_000))
    huge = expected_usd(model, asked, Pin("a", 10**9, 50.0), 0.0, 1.0)
    assert huge == pytest.approx(1_000 * 0.1e-6 + output_tokens(asked) * 4e-6)


def test_the_effort_multiplies_the_expected_price():
    asked = task()
    one = expected_usd(candidate("a"), asked, None, 0.0, 1.0)
    assert expected_usd(candidate("a"), asked, None, 0.0, 2.5) == pytest.approx(2.5 * one)


def test_an_unknown_price_is_none_and_never_zero():
    unknown = candidate("a", price=None)
    assert expected_usd(unknown, task(), None, 0.0, 1.0) is None
    assert worst_usd(unknown, task()) is None
    assert total([0.1, None]) is None
    assert total([]) == 0.0
    assert total([0.1, 0.2]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("asked", "own", "bound"),
    [
        (None, None, DEFAULT_MAX_OUTPUT),
        (500, None, 500),
        (None, 700, 700),
        (900, 700, 700),
        (500, 700, 500),
    ],
)
def test_the_longest_answer_is_bounded_by_client_and_model(asked, own, bound):
    model = candidate("a", max_output_tokens=own)
    assert output_bound(model, task(needs=Needs(max_output_tokens=asked))) == bound


@given(strategies.candidates("a"), strategies.tasks, st.integers(0, 9_000))
def test_the_worst_case_is_never_below_a_bill_within_its_bounds(model, asked, cached):
    worst = worst_usd(model, asked)
    if worst is None:
        return
    sent = asked.needs.input_tokens
    part = min(cached, sent)
    for usage in (
        Usage(sent, output_bound(model, asked)),
        Usage(sent, output_bound(model, asked), cache_write=part),
        Usage(sent, 0),
    ):
        assert worst >= usd(model.price, usage) - 1e-9
    assert worst_usd(model, asked, extra_input=1_000) >= worst
