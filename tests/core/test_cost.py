"""Money: rates of cached parts, bounds, and that unknown is never zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.cost import (
    CACHE_MIN,
    CACHE_TTL_S,
    DEFAULT_MAX_OUTPUT,
    EFFORT_BOUNDS,
    GROWTH_TOKENS,
    OUTPUT_TOKENS,
    PAUSE_S,
    TASK_CACHED_INPUT,
    TASK_FRESH_INPUT,
    TASK_OUTPUT,
    charged,
    effort,
    efforts,
    expected,
    output_bound,
    output_tokens,
    prices,
    relative,
    search_usd,
    total,
    usd,
    usual,
    warm_tokens,
    worst_usd,
)
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.prompt import Options, Searched, Usage
from openfusion_auto.core.types import (
    LEVELS,
    Cached,
    Needs,
    Pin,
    Price,
    State,
    Stats,
    TaskCost,
)
from tests.core import strategies
from tests.support.pools import candidate, pool, task

tokens = st.integers(0, 2_000_000)


@st.composite
def usages(draw):
    """Usage as the wire reads it: parts are never more than their whole."""
    whole = draw(tokens)
    cached = draw(st.integers(0, whole))
    return Usage(whole, draw(tokens), cached, draw(st.integers(0, whole - cached)))


# -- prices that change with the length of the prompt -----------------------------------------------------------------

STEPPED = Price(2.0, 12.0, 0.2, 2.5, long_context=(LongPrice(200_000, 4.0, 18.0, 0.4, 5.0),))


@given(usages())
def test_the_length_of_the_prompt_decides_which_price_holds_for_all_of_a_request(usage):
    base, long = replace(STEPPED, long_context=()), STEPPED.long_context[0]
    assert usd(STEPPED, usage) == charged(long if usage.input > 200_000 else base, usage)


def test_what_comes_from_a_cache_or_goes_into_it_counts_as_length_and_the_answer_does_not():
    at_most = Usage(200_000, 900_000, cached=190_000, cache_write=5_000)
    assert usd(STEPPED, at_most) == pytest.approx(0.01 + 0.038 + 0.0125 + 10.8)
    above = replace(at_most, input=200_001)
    assert usd(STEPPED, above) == pytest.approx(2 * (0.01 + 0.038 + 0.0125) + 16.2, abs=1e-5)


def test_a_cached_rate_that_nobody_says_for_longer_prompts_is_their_input_rate():
    unsaid = replace(STEPPED, long_context=(LongPrice(200_000, 4.0, 18.0),))
    assert usd(unsaid, Usage(300_000, 0, cached=300_000)) == pytest.approx(1.2)
    hour = Usage(300_000, 0, cache_write=300_000, hour_write=300_000)
    assert usd(STEPPED, hour) == pytest.approx(0.3 * 8.0), (
        "an hour's writing: twice the input there"
    )


@given(strategies.prices, usages(), tokens, st.integers(1, 300_000))
def test_more_tokens_never_cost_less(price, usage, out, more):
    longer = replace(usage, input=usage.input + more, output=usage.output + out)
    assert usd(price, longer) >= usd(price, usage)


@given(strategies.candidates("a"), strategies.tasks)
def test_an_estimate_and_the_books_agree_on_the_same_tokens(model, asked):
    model = replace(model, cost_per_task=None)
    rates = prices((model,))
    once = replace(asked, turn="aux")
    sent, out = once.needs.input_tokens, output_tokens(once) * once.needs.n
    found = expected(rates, once, State(), pool(model)).request[0]
    if model.price is None:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(usd(model.price, Usage(sent, out)), abs=1e-9)


def test_a_longer_prompt_is_expected_and_bounded_at_its_price():
    stepped = candidate("a", price=STEPPED, context_tokens=1_000_000)

    def money_of(sent):
        asked = task(needs=Needs(input_tokens=sent, max_output_tokens=1_000))
        return money(asked, None, stepped)["a"][1], worst_usd(stepped, asked)

    assert money_of(190_000) == pytest.approx((0.38 + 0.012, 0.475 + 0.012))
    # Estimated to be just below: it may be just above.
    assert money_of(200_000) == pytest.approx((0.4 + 0.012, 1.0 + 0.018))
    assert money_of(200_001) == pytest.approx((0.8 + 0.018, 1.0 + 0.018), abs=1e-4)
    short = task(needs=Needs(input_tokens=189_000, max_output_tokens=1_000))
    assert worst_usd(stepped, short) == pytest.approx(0.189 * 2.5 + 0.012)
    assert worst_usd(stepped, short, extra_input=12_000) == pytest.approx(0.201 * 5 + 0.018)
    searching = replace(short, options=Options(searching=(Searched("relay", 0.0, 1),)))
    assert worst_usd(stepped, searching) == pytest.approx(5.018), (
        "what is found may fill the window"
    )


def test_the_turns_to_come_have_the_price_of_the_length_that_they_will_have():
    stepped, flat = (
        candidate("a", price=STEPPED),
        candidate("b", price=replace(STEPPED, long_context=())),
    )
    soon = 200_000 - 3 * GROWTH_TOKENS  # of the 4 turns to come only the last is above, then two
    later = replace(TOOLS, needs=replace(TOOLS.needs, input_tokens=soon))
    sooner = replace(TOOLS, needs=replace(TOOLS.needs, input_tokens=soon + GROWTH_TOKENS))
    assert money(later, None, stepped)["a"] == pytest.approx(money(later, None, flat)["b"])
    found, cheap = money(sooner, None, stepped)["a"], money(sooner, None, flat)["b"]
    assert found[1] == cheap[1], "this one is still short"
    assert found[2] > 1.4 * cheap[2]


def test_the_price_of_a_whole_task_and_of_an_ordinary_request_is_that_of_short_prompts():
    bill = TaskCost(3.0)
    stepped = candidate("a", price=STEPPED, cost_per_task=bill)
    flat = candidate("a", price=replace(STEPPED, long_context=()), cost_per_task=bill)
    assert effort(stepped) == effort(flat)
    assert usual(prices((stepped,))) == usual(prices((flat,)))
    tiny = replace(STEPPED, long_context=(LongPrice(1_000, 4.0, 24.0),))
    assert usual(prices((candidate("a", price=tiny),))) == pytest.approx(
        2 * usual(prices((candidate("a", price=replace(STEPPED, long_context=())),)))
    )


def test_prices_that_do_not_change_are_the_same_columns_at_any_length():
    rates = prices((candidate("a"), candidate("b", price=None)))
    assert rates.longer == ()
    assert rates.at(10**9) is rates


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(1_000_000), 2.0),
        (Usage(0, 1_000_000), 8.0),
        (Usage(1_000_000, 0, cached=1_000_000), 0.5),
        (Usage(1_000_000, 0, cache_write=1_000_000), 3.0),
        (Usage(1_000_000, 500_000, 250_000, 250_000), 1.0 + 0.125 + 0.75 + 4.0),
        (Usage(1_000_000, 0, cache_write=500_000, hour_write=250_000), 1.0 + 0.75 + 1.0),
        (Usage(), 0.0),
    ],
)
def test_each_part_has_its_own_rate(usage, expected):
    assert usd(Price(2.0, 8.0, 0.5, 3.0), usage) == pytest.approx(expected)


def test_what_is_cached_for_an_hour_costs_twice_the_input_also_where_no_rate_of_writing_is_known():
    hour = Usage(1_000_000, 0, cache_write=1_000_000, hour_write=1_000_000)
    assert usd(Price(5.0, 25.0, 0.5, 6.25), hour) == pytest.approx(10.0)
    assert usd(Price(5.0, 25.0), hour) == pytest.approx(10.0)
    assert usd(Price(5.0, 25.0, 0.5, 12.5), hour) == pytest.approx(12.5)  # a pool's own is not cut


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
    free = candidate("free", price=Price(0, 0), cost_per_task=TaskCost(1.0))
    found = efforts([*measured, candidate("new"), free])
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


def money(asked, state=None, *models):
    """Expected prices by id, in the order cold, request, turn."""
    whole = pool(*(models or (candidate("a"), candidate("b"))))
    found = expected(prices(whole.candidates), asked, state or State(), whole)
    return {c.id: tuple(float(v[i]) for v in found) for i, c in enumerate(whole.candidates)}


def pinned(*caches, now_s=0.0, at="a", turns=1, **changes) -> State:
    return State(now_s, pin=Pin(at, tuple(caches), turns, 9e9), **changes)


def test_a_warm_prefix_is_priced_at_the_cached_rate_while_it_is_warm():
    asked = task(needs=Needs(input_tokens=10_000))
    cold, request, turn = money(asked)["a"]
    assert cold == request == turn == pytest.approx((10_000 + 4 * output_tokens(asked)) * 1e-6)
    cache = Cached("a", 9_000, 50.0)
    warm = money(asked, pinned(cache, now_s=50.0))
    assert cold - warm["a"][1] == pytest.approx(9_000 * 0.9e-6)
    assert warm["b"][1] == pytest.approx(cold)
    assert money(asked, pinned(cache, now_s=51.0))["a"][1] == pytest.approx(cold)
    assert warm_tokens(Pin("b", (cache,)), "a", 10.0) == 9_000
    assert warm_tokens(None, "a", 10.0) == 0


def test_a_way_back_is_warm_where_the_session_was_before():
    asked = task(needs=Needs(input_tokens=10_000))
    both = pinned(Cached("b", 6_000, 50.0), Cached("a", 9_000, 50.0))
    found = money(asked, both)
    cold = money(asked)["a"][1]
    assert cold - found["b"][1] == pytest.approx(6_000 * 0.9e-6)


def test_no_more_is_cached_than_is_sent():
    asked = task(needs=Needs(input_tokens=1_000))
    huge = money(asked, pinned(Cached("a", 10**9, 50.0)))["a"][1]
    assert huge == pytest.approx(1_000 * 0.1e-6 + output_tokens(asked) * 4e-6)


def test_a_cache_that_was_not_confirmed_is_believed_less():
    asked = task(needs=Needs(input_tokens=10_000))
    cache = Cached("a", 9_000, 50.0)
    sure, unsure = (
        money(asked, pinned(cache, stats={"a": Stats(cache_hit=hit, cache_weight=8.0)}))["a"][1]
        for hit in (1.0, 0.0)
    )
    assert unsure - sure == pytest.approx(9_000 * 0.9e-6 * 0.8)


def test_the_effort_multiplies_the_expected_price():
    listed = usd(candidate("a").price, Usage(990_000, 14_000, 900_000))
    found = money(
        task(), None, candidate("a", cost_per_task=TaskCost(2.5 * listed)), candidate("b", cost_per_task=TaskCost(listed))
    )  # fmt: skip
    assert found["a"] == pytest.approx([2.5 * v for v in found["b"]])


# -- a turn of the session -------------------------------------------------------------------------------------------

TOOLS = task(needs=Needs(tools=True, input_tokens=10_000))
OUT = 4e-6 * output_tokens(TOOLS)


def test_the_first_turn_of_an_agent_looks_ahead_to_cached_ones():
    found = money(TOOLS, None, candidate("a"), candidate("b", price=Price(1.0, 4.0)))
    new = GROWTH_TOKENS * 1e-6
    share = CACHE_TTL_S / (CACHE_TTL_S + PAUSE_S)
    later = 10_000e-6 * (1 - 0.9 * share) + new + OUT
    assert found["a"][1] == found["b"][1] == pytest.approx(10_000e-6 + OUT)
    assert found["a"][2] == pytest.approx((found["a"][1] + 4 * later) / 5)
    uncached = (10_000e-6 + OUT + 4 * (10_000e-6 + new + OUT)) / 5
    assert found["b"][2] == found["b"][0] == found["a"][0] == pytest.approx(uncached)


def test_a_prompt_too_short_to_be_cached_is_not():
    short = replace(TOOLS, needs=Needs(tools=True, input_tokens=CACHE_MIN - 1))
    cold, _, turn = money(short)["a"]
    assert turn == cold
    long_enough = replace(TOOLS, needs=Needs(tools=True, input_tokens=CACHE_MIN))
    cold, _, turn = money(long_enough)["a"]
    assert turn < cold
    picky = State(cache_min={"relay": CACHE_MIN + 1})
    assert money(long_enough, picky)["a"][2] == cold


def test_staying_warm_is_cheaper_than_the_same_model_anew():
    state = pinned(Cached("a", 9_000, 50.0))
    found = money(TOOLS, state)
    entry = found["b"][1] - found["a"][1]
    assert found["b"][2] - found["a"][2] >= 0.8 * entry > 0


def test_what_a_switch_costs_now_counts_in_full_however_long_the_session():
    cheaper = candidate("b", price=Price(0.9, 4.0, 0.09))
    for turns in (1, 20):
        found = money(TOOLS, pinned(Cached("a", 9_000, 50.0), turns=turns), candidate("a"), cheaper)
        assert found["a"][2] < found["b"][2]


def test_a_much_cheaper_model_is_worth_a_switch_from_a_warm_one():
    cheap = candidate("b", price=Price(0.05, 0.2, 0.005))
    found = money(TOOLS, pinned(Cached("a", 9_000, 50.0)), candidate("a"), cheap)
    assert found["b"][2] < found["a"][2]


@given(strategies.tasks, strategies.pools(), strategies.states)
def test_no_turn_is_dearer_than_one_without_any_cache(asked, models, state):
    found = expected(prices(models.candidates), asked, state, models)
    for c, cold, request, turn in zip(models.candidates, *found, strict=True):
        if c.price is None:
            assert np.isnan(cold)
            assert np.isnan(request)
            assert np.isnan(turn)
            continue
        assert min(cold, request, turn) >= -1e-12
        if c.price.cache_read is None or c.price.cache_read <= c.price.input:
            assert request <= cold * (1 + 1e-9)
            assert turn <= cold * (1 + 1e-9)


@given(strategies.pools())
def test_relative_costs_are_shares_of_the_dearest_known_one(models):
    listed = usual(prices(models.candidates))
    found = relative(listed)
    known = [v for v in found.tolist() if not np.isnan(v)]
    assert len(known) == sum(c.price is not None for c in models.candidates)
    assert all(0 <= v <= 1 for v in known)
    if known and np.nanmax(listed) > 0:
        assert max(known) == 1.0


def test_an_unknown_price_is_none_and_never_zero():
    unknown = candidate("a", price=None)
    assert all(np.isnan(v) for v in money(TOOLS, None, unknown)["a"])
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
    if model.price.cache_write is not None:
        hourly = replace(asked, needs=replace(asked.needs, hour_cache=True))
        written = Usage(sent, output_bound(model, asked), cache_write=part, hour_write=part)
        assert worst_usd(model, hourly) >= usd(model.price, written) - 1e-9


def test_a_cache_that_is_dearer_to_read_than_the_prompt_is_in_the_worst_case():
    # `pool check` finds it odd, and it runs all the same.
    odd = candidate("a", price=Price(1.0, 4.0, cache_read=5.0))
    asked = task(needs=Needs(input_tokens=1_000, max_output_tokens=100))
    assert worst_usd(odd, asked) >= usd(odd.price, Usage(1_000, 100, cached=1_000))


def test_a_search_is_priced_by_its_bound_and_may_fill_the_window():
    coder = candidate("c", price=Price(1.0, 4.0), context_tokens=100_000)

    def worst(usd, most, model=coder):
        asked = task(needs=Needs(input_tokens=1_000, max_output_tokens=100),
                     options=Options(searching=(Searched("relay", usd, most),)))  # fmt: skip
        return worst_usd(model, asked), search_usd(model, asked)

    full = 100_000 * 1e-6 + 100 * 4e-6
    assert worst(0.01, 3) == (pytest.approx(full + 0.03), 0.01)
    assert worst(None, 0) == (pytest.approx(full), 0.0)  # it may only fetch
    assert worst(None, 3) == (None, None)
    assert worst(0.01, None) == (None, 0.01)
    assert worst(0.01, 3, replace(coder, context_tokens=None)) == (None, 0.01)
    elsewhere = worst(None, None, replace(coder, upstream="other"))
    assert elsewhere == (pytest.approx(1_000 * 1e-6 + 100 * 4e-6), 0.0)
