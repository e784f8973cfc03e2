"""Tables of words."""

from __future__ import annotations

from openfusion_auto.core.lexicon import word_set


def test_a_table_is_its_words_whatever_stands_between_them():
    assert word_set("fix  add\nfix") == {"fix", "add"}
    assert word_set("") == frozenset()
