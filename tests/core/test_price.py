"""Prices of longer prompts: which one holds, and how it is said."""

from __future__ import annotations

import pytest

from openfusion_auto.core.price import LongPrice, reached

SHORT, LONG = LongPrice(32_000, 2.0, 6.0), LongPrice(200_000, 4.0, 9.0, 0.4, 5.0)


@pytest.mark.parametrize(
    ("tokens", "found"),
    [(0, None), (32_000, None), (32_001, SHORT), (200_000, SHORT), (200_001, LONG), (10**9, LONG)],
)
def test_the_longest_length_that_is_passed_counts(tokens, found):
    assert reached((SHORT, LONG), tokens) is found
    assert reached((LONG, SHORT), tokens) is found, "whatever their order"


def test_without_any_there_is_none():
    assert reached((), 10**9) is None


def test_it_says_from_where_on_it_holds_and_what_it_is():
    assert str(SHORT) == (
        "above 32,000 tokens all of the request costs 2 in, 6 out USD per 1M tokens"
    )
    assert "above 200,000 tokens all of the request costs 4 in, 9 out, 0.4 cached" in str(LONG)
