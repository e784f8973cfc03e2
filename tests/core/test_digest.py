"""One canonical form: equal values give equal bytes, and what has no canonical form is refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.digest import canonical, digest, plain
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import Evidence, Needs, Price

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@dataclass(frozen=True)
class Point:
    x: float
    tags: frozenset[str]


def test_dataclasses_and_named_tuples_are_objects_and_sets_are_sorted():
    assert plain(Point(1.5, frozenset("cab"))) == {"x": 1.5, "tags": ["a", "b", "c"]}
    assert plain(Evidence("s", 0.5, "w")) == {"signal": "s", "points": 0.5, "why": "w"}
    assert plain((1, [2, {3: "x"}])) == [1, [2, {"3": "x"}]]
    assert plain(Needs())["max_output_tokens"] is None


def test_the_form_is_compact_sorted_ascii():
    assert canonical({"b": [1, True], "a": "ü"}) == b'{"a":"\\u00fc","b":[1,true]}'


def test_the_digest_is_a_named_sha256_of_the_form():
    assert digest([1]) == "sha256:" + hashlib.sha256(b"[1]").hexdigest()


def test_a_number_is_one_number_with_or_without_a_point():
    assert canonical([5.0, -0.0, 2.5]) == canonical([5, 0, 2.5]) == b"[5,0,2.5]"
    assert canonical(1e300) == b"1e+300"
    assert canonical(True) == b"true"


@dataclass(frozen=True)
class Grown:
    x: int
    later: tuple[int, ...] = field(default=(), metadata={"sparse": True})


def test_a_sparse_field_is_there_only_when_it_says_something():
    assert plain(Grown(1)) == {"x": 1}
    assert plain(Grown(1, (2,))) == {"x": 1, "later": [2]}


def test_a_price_has_the_digest_that_it_had_before_longer_prompts_had_their_own():
    before = {
        "input": 1, "output": 2, "cache_read": None, "cache_write": None, "source": "s", "as_of": "2026-07",
    }  # fmt: skip
    price = Price(1.0, 2.0, source="s", as_of="2026-07")
    assert digest(price) == digest(before)
    assert digest(replace(price, long_context=(LongPrice(9, 2.0, 4.0),))) != digest(before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(value)


@pytest.mark.parametrize("value", [b"bytes", object(), Needs, 1j])
def test_a_type_without_a_form_is_refused(value):
    with pytest.raises(TypeError, match="has no canonical form"):
        digest({"a": value})


@given(values)
def test_the_form_survives_a_json_round_trip(value):
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(st.text(), st.integers(), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(mapping, random):
    items = list(mapping.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(mapping)


@given(values, values)
def test_equal_digests_mean_equal_values(one, two):
    assert (digest(one) == digest(two)) == (canonical(one) == canonical(two))
