"""Figures of policies, against numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.evals.metrics import aiq, apgr, bootstrap, front_of, gain_over


def test_aiq_is_the_mean_height_of_the_front():
    # A straight line from 0.2 to 0.8 over the whole range: half way between.
    assert aiq([(1.0, 0.2), (3.0, 0.8)], 1.0, 3.0) == pytest.approx(0.5, abs=1e-3)
    # A point above the line lifts it: two trapezoids.
    assert aiq([(1.0, 0.2), (2.0, 0.8), (3.0, 0.8)], 1.0, 3.0) == pytest.approx(0.65, abs=1e-3)


def test_a_policy_that_cannot_be_cheap_pays_for_the_part_it_lacks():
    assert aiq([(2.0, 0.8)], 1.0, 3.0) == pytest.approx(0.4, abs=1e-3)


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_further_point_never_lowers_aiq(points):
    more = [*points, (0.5, 0.5)]
    assert aiq(more, 0.1, 1.0) >= aiq(points, 0.1, 1.0) - 1e-9


def test_a_gain_is_the_height_above_the_line_at_the_same_cost():
    line = front_of([(1.0, 0.2), (3.0, 0.8)])
    assert gain_over(line, 2.0, 0.6) == pytest.approx(0.1)
    assert gain_over(line, 5.0, 0.7) == pytest.approx(-0.1)
    assert gain_over(line, 0.5, 0.1) == pytest.approx(-0.1)


def test_apgr_of_a_line_is_a_half_and_of_an_early_winner_more():
    assert apgr([0.0, 0.5, 1.0], [0.2, 0.5, 0.8], 0.2, 0.8) == pytest.approx(0.5)
    assert apgr([0.1, 1.0], [0.8, 0.8], 0.2, 0.8) == pytest.approx(0.95)
    assert apgr([0.5], [0.4], 0.8, 0.8) == 0.0


def test_an_interval_holds_the_mean_and_grows_with_the_noise():
    quiet, loud = np.full(100, 0.5), np.tile([0.0, 1.0], 50)
    groups = [str(i) for i in range(100)]
    narrow = bootstrap(lambda rows: float(quiet[rows].mean()), groups, 1)
    wide = bootstrap(lambda rows: float(loud[rows].mean()), groups, 1)
    assert (narrow.low, narrow.high) == (0.5, 0.5)
    assert wide.low < 0.45 < 0.55 < wide.high


def test_tasks_of_one_group_are_drawn_together():
    values = np.tile([0.0, 1.0], 50)
    alone = bootstrap(lambda rows: float(values[rows].mean()), [str(i) for i in range(100)], 1)
    paired = bootstrap(
        lambda rows: float(values[rows].mean()), [str(i // 2) for i in range(100)], 1
    )
    assert paired.low == paired.high == 0.5
    assert alone.low < 0.5 < alone.high
