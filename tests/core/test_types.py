"""The nouns: values that do not change, and the two with a rule of their own."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import types
from openfusion_auto.core.types import Pool, Score, Term
from tests.core import strategies
from tests.support.pools import CODER, FOUR

NOUNS = [
    n
    for n in vars(types).values()
    if dataclasses.is_dataclass(n) and n.__module__ == types.__name__
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda n: n.__name__)
def test_every_noun_is_frozen(noun):
    assert noun.__dataclass_params__.frozen


def test_a_pool_finds_by_id_and_is_compared_by_identity():
    assert FOUR.get("coder-a") is CODER
    assert FOUR.get("nobody") is None
    assert Pool(FOUR.candidates) != Pool(FOUR.candidates)


@given(st.lists(strategies.numbers(-1, 2), max_size=8))
def test_a_total_is_the_sum_of_points_and_cannot_be_set(points):
    terms = tuple(Term(f"t{i}", None, "u", p, 1.0, p, "s") for i, p in enumerate(points))
    scored = Score("a", "m", None, terms)
    assert scored.total == pytest.approx(sum(points))
    with pytest.raises((AttributeError, TypeError)):
        scored.total = 1.0
    assert "total" not in {f.name for f in dataclasses.fields(Score)}
