"""The nouns: values that do not change, and the two with a rule of their own."""

from __future__ import annotations

import dataclasses

import pytest

from openfusion_auto.core import types
from openfusion_auto.core.types import Pool
from tests.support.pools import CODER, FOUR, scored

NOUNS = [
    n
    for n in vars(types).values()
    if dataclasses.is_dataclass(n) and n.__module__ == types.__name__
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda n: n.__name__)
def test_every_noun_is_frozen(noun):
    assert noun.__dataclass_params__.frozen


def test_a_pool_is_in_the_order_of_ids_however_it_was_given():
    assert Pool(FOUR.candidates[::-1]).candidates == FOUR.candidates


def test_evidence_terms_and_caches_are_tuples():
    for noun in (types.Evidence, types.Cached, types.Term):
        assert issubclass(noun, tuple)


def test_a_pool_finds_by_id_and_is_compared_by_identity():
    assert FOUR.get("coder-a") is CODER
    assert FOUR.get("nobody") is None
    assert Pool(FOUR.candidates) != Pool(FOUR.candidates)


def test_a_score_reads_its_terms_in_its_table_and_is_compared_without_it():
    one, same = scored("a"), scored("a")
    assert one.terms == one.table.terms(0)
    assert one.table is not same.table
    assert one == same
    assert one != scored("a", points=0.4)
    with pytest.raises(AttributeError):
        one.total = 1.0
