"""How tables of signals are written and found again."""

from __future__ import annotations

import pytest

from openfusion_auto.core.lexicon import Signal, build_index, split_term, word_set


def index(terms: str):
    return build_index([Signal("s", "risk", 1.0, "", terms)])


def test_a_word_set_is_its_words():
    assert word_set("a  b\nb c") == {"a", "b", "c"}


def test_each_way_of_writing_lands_in_its_own_table():
    found = index("fix, crash*, root cause, test case*, lock-free queue, 支付")
    assert found.words == {"fix": (0,)}
    assert found.prefixes == {"cra": (("crash", 0),)}
    assert found.pairs == {("root", "cause"): (((), 0),), ("lock", "free"): ((("queue",), 0),)}
    assert found.stem_pairs == {"test": (("case", 0),)}
    assert found.anywhere == (("支付", 0),)


def test_numbers_are_positions():
    two = build_index([Signal("a", "risk", 1.0, "", "x"), Signal("b", "risk", 1.0, "", "x, y")])
    assert two.words == {"x": (0, 1), "y": (1,)}


@pytest.mark.parametrize("term", ["ab*", "one two three*", "one ab*"])
def test_a_stem_that_would_not_be_found_is_refused(term):
    with pytest.raises(ValueError, match="stem"):
        index(term)


def test_hyphens_and_underscores_separate():
    assert split_term("zero-down_time now") == ("zero", "down", "time", "now")
