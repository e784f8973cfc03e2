"""Counts that stand beside their whole, and those that stand in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Usage
from openfusion_auto.wire.counts import reconciled

COUNTS = st.integers(0, 1000)


@pytest.mark.parametrize(
    ("told", "total", "used"),
    [
        (Usage(100, 20, 60, 30, 5), 120, Usage(100, 20, 60, 30, 5)),
        (Usage(10, 5, 400, 50), 465, Usage(460, 5, 400, 50)),  # the total holds the cache
        (Usage(10, 5, 400), 15, Usage(410, 5, 400)),  # it does not, but 10 cannot hold 400
        (Usage(600, 5, 400), 1005, Usage(1000, 5, 400)),  # 600 could; the total says otherwise
        (Usage(10, 5, 400, 0, 70), 485, Usage(410, 75, 400, 0, 70)),  # and reasoning apart too
        (Usage(10, 5, 0, 0, 70), None, Usage(10, 75, 0, 0, 70)),
        (Usage(10, 5, 0, 0, 70), 15, Usage(10, 5, 0, 0, 5)),  # counted by another measure
        (Usage(10, 5, 0, 0, 70), 105, Usage(30, 75, 0, 0, 70)),  # results of the upstream's tools
        (Usage(10, 5, 0, 8, 0, 9), None, Usage(10, 5, 0, 8, 0, 8)),
    ],
)
def test_what_stands_apart_is_added_to_its_whole(told, total, used):
    assert reconciled(told, total) == used


@given(st.builds(Usage, *[COUNTS] * 6), st.none() | COUNTS)
def test_parts_are_never_more_than_their_whole_and_nothing_is_lost(told, total):
    used = reconciled(told, total)
    assert used.input >= max(told.input, told.cached, told.cache_write)
    assert max(used.cached, used.cache_write) <= used.input
    assert used.reasoning <= used.output >= told.output
    assert used.hour_write <= used.cache_write
