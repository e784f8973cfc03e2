"""Numbers of a price list: what is believed, what is not, and that nothing unknown becomes 0."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config.price_entry import Entry, believed, number, tiers, tokens
from openfusion_auto.core.price import RATES, LongPrice

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["-1", "0", "1e-6"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
PAID = {"input": 3, "output": 15}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("0.0000025", 2.5e-6), ("3e-7", 3e-7), (3, 3.0), (0.5, 0.5), ("-1", -1.0), ("0", 0.0), (".5", 0.5),
        (None, None), (True, None), ("", None), ("free", None), ("nan", None), ("inf", None), ("1_000", None),
        ("٣", None), (" 1", None), ("e5", None), (".", None), ("-", None), (math.nan, None), (math.inf, None),
        (10**400, None), ("1e999", None), ([1], None), ({}, None), ("1" * 5000, None),
    ],
)  # fmt: skip
def test_a_number_is_a_number_or_one_in_a_string(value, found):
    assert number(value) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [(200_000, 200_000), (256000.0, 256_000), ("8192", 8192), (0, None), (-1, None), (1.5, None), (10**12, None),
     (None, None), (True, None), ("many", None)],
)  # fmt: skip
def test_a_window_of_0_is_an_unknown_one(value, found):
    assert tokens(value) == found


def test_prices_per_token_become_prices_per_million():
    price, notes = believed(
        {"input": 2.5e-06, "output": "0.00001", "cache_read": 2.5e-7, "cache_write": 3e-6}, 1e6
    )
    assert price == {"input": 2.5, "output": 10.0, "cache_read": 0.25, "cache_write": 3.0}
    assert not notes


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"input": 0, "output": 0}, "listed as 0"),
        ({"input": 0, "output": 5}, "input is listed as 0"),
        ({"input": 5, "output": 0}, "output is listed as 0"),
        ({"input": -1, "output": -1}, "the price varies"),
        ({"input": "-1", "output": 3}, "not both known"),
        ({"input": 3}, "not both known"),
        ({"input": "soon", "output": 3}, "input is no number"),
        ({"input": 1e300, "output": 3}, "not both known"),
    ],
)
def test_what_cannot_be_told_from_unknown_is_not_taken(raw, said):
    price, notes = believed(raw, 1.0)
    assert price == {}
    assert said in "; ".join(notes)


def test_an_absent_price_needs_no_remark():
    assert believed({}, 1.0) == ({}, [])


def test_a_variant_that_is_free_by_name_costs_0():
    assert believed({"input": 0, "output": 0}, 1.0, free=True) == (
        {"input": 0.0, "output": 0.0},
        [],
    )
    assert believed(PAID, 1.0, free=True)[0] == {"input": 3.0, "output": 15.0}


def test_an_embedding_model_has_no_output_to_pay_for():
    assert believed({"input": 0.02, "output": 0}, 1.0, embeds=True)[0] == {
        "input": 0.02,
        "output": 0.0,
    }
    assert believed({"input": 0, "output": 0}, 1.0, embeds=True)[0] == {}


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("cache_read", 0, "free or not filled in"),
        ("cache_read", 4, "above input"),
        ("cache_write", 0.08, "a charge on top"),
        ("cache_write", 0, ""),
        ("cache_write", -1, "varies"),
    ],
)
def test_a_cache_price_that_cannot_stand_instead_of_input_is_left_out(part, value, said):
    price, notes = believed({**PAID, part: value}, 1.0)
    assert price == {"input": 3.0, "output": 15.0}
    assert said in "; ".join(notes)


@given(st.dictionaries(st.sampled_from(RATES), ANYTHING), st.sampled_from([1.0, 1e6]))
def test_whatever_stands_there_only_whole_positive_prices_come_out(raw, unit):
    price, notes = believed(raw, unit)
    assert all(isinstance(v, float) and math.isfinite(v) and v > 0 for v in price.values())
    assert not price or {"input", "output"} <= set(price)
    assert all(isinstance(note, str) for note in notes)


def test_prices_of_longer_prompts_are_taken_up_to_the_first_that_is_not_believed():
    rows = [
        (200000, {"input": 6, "output": 22.5, "cache_read": 0.6, "cache_write": 1}),
        ("32000", {"input": 4, "output": "20"}),
        (None, {"input": 9}),
    ]
    short, long = LongPrice(32_000, 4.0, 20.0), LongPrice(200_000, 6.0, 22.5, 0.6)
    said = "above 200,000 prompt tokens: cache_write 1 is below input, so a charge on top of it: not taken"
    assert tiers(rows, 1.0) == ((short, long), (said,), None)
    half = [*rows, (64_000, {"input": 5})]
    taken = tiers(half, 1.0)
    assert (taken.prices, taken.known_tokens) == ((short,), 64_000)
    assert taken.notes[1:] == ("above 64,000 prompt tokens: 5 input; not taken",)
    assert tiers([(100, {})], 1.0).notes == ("above 100 prompt tokens: another price; not taken",)
    assert tiers([], 1.0) == ((), (), None)


def test_a_length_with_two_prices_has_none():
    rows = [(32_000, {"input": 4, "output": 20}), (32_000, {"input": 5, "output": 20})]
    found = tiers(rows, 1.0)
    assert (found.prices, found.known_tokens) == ((), 32_000)
    assert tiers([rows[0], rows[0]], 1.0).prices == (LongPrice(32_000, 4.0, 20.0),)


def test_numbers_name_all_that_an_update_takes():
    assert Entry("p", "m", {"input": 1.0, "output": 2.0}, (), 8, 6, None, 4).numbers == (
        1.0,
        2.0,
        None,
        None,
        (),
        8,
        6,
        None,
        4,
    )
