"""The front: by example, and by the laws that make it a front."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.front import Front, front

# Cents and percent on a grid, so that ties, equal points and points on a line come up often.
grid = st.tuples(st.integers(0, 12), st.integers(0, 12))
smooth = st.tuples(
    st.floats(1e-6, 1e4, allow_nan=False),
    st.floats(-10, 100, allow_nan=False, allow_subnormal=False),
)
clouds = st.one_of(st.lists(grid, max_size=25), st.lists(smooth, max_size=25)).map(
    lambda rows: [(f"m{i:02}", float(c), float(q)) for i, (c, q) in enumerate(rows)]
)


def beats(a, b):
    """Whether `a` costs no more than `b` and is no worse."""
    return a[1] <= b[1] and a[2] >= b[2]


def test_an_example_by_hand():
    found = front(
        [
            ("cheap", 1, 40),
            ("good", 3, 70),
            ("best", 10, 80),
            ("worse", 3, 69),  # as dear as good
            ("between", 6, 72),  # nobody beats it, but good and best in turn do: 74.3 for 6
            ("dear", 20, 80),  # as good as best
        ]
    )
    assert found == Front(
        members=("cheap", "good", "best"),
        costs=(1, 3, 10),
        qualities=(40, 70, 80),
        slopes=(15, 10 / 7),
        dominated={"worse": "good", "dear": "best"},
        mixed={"between": ("good", "best")},
    )


@pytest.mark.parametrize(
    ("cost", "quality"),
    [(0.99, None), (1, 40), (2, 55), (3, 70), (6.5, 75), (10, 80), (1e9, 80)],
)
def test_money_buys_quality_along_the_front(cost, quality):
    found = front([("cheap", 1, 40), ("good", 3, 70), ("best", 10, 80)])
    assert found.quality_at(cost) == (None if quality is None else pytest.approx(quality))


def test_of_no_points_there_is_no_front():
    assert front([]) == Front((), (), (), (), {}, {})
    assert front([]).quality_at(5.0) is None


def test_one_point_is_its_own_front():
    alone = front([("only", 0.0, 50.0)])
    assert (alone.members, alone.slopes) == (("only",), ())
    assert alone.quality_at(0.0) == 50.0


def test_equal_points_are_led_by_the_first_name():
    assert front([("b", 1, 1), ("a", 1, 1)]).dominated == {"b": "a"}


def test_a_point_on_the_line_is_no_corner():
    found = front([("a", 0, 0), ("b", 1, 1), ("c", 2, 2)])
    assert found.members == ("a", "c")
    assert found.mixed == {"b": ("a", "c")}


@pytest.mark.parametrize(
    "points",
    [
        [("a", -1.0, 0.0)],
        [("a", float("nan"), 0.0)],
        [("a", float("inf"), 0.0)],
        [("a", 1.0, float("nan"))],
        [("a", 1.0, 1.0), ("a", 2.0, 2.0)],
    ],
)
def test_what_is_no_point_is_refused(points):
    with pytest.raises(ValueError, match=r"must be finite|used twice"):
        front(points)


@given(clouds)
def test_every_point_has_exactly_one_place(points):
    found = front(points)
    places = [*found.members, *found.dominated, *found.mixed]
    assert sorted(places) == sorted(name for name, _, _ in points)


@given(clouds)
def test_cost_and_quality_rise_and_slopes_fall(points):
    found = front(points)
    assert list(found.costs) == sorted(set(found.costs))
    assert list(found.qualities) == sorted(set(found.qualities))
    assert list(found.slopes) == sorted(set(found.slopes), reverse=True)
    assert len(found.slopes) == max(0, len(found.members) - 1)


@given(clouds)
def test_the_ends_are_the_cheapest_and_the_best(points):
    found = front(points)
    if points:
        assert found.costs[0] == min(cost for _, cost, _ in points)
        assert found.qualities[-1] == max(quality for _, _, quality in points)


@given(clouds)
def test_who_dominates_really_does_and_nobody_else_is_beaten(points):
    found, by_name = front(points), {p[0]: p for p in points}
    for loser, winner in found.dominated.items():
        assert beats(by_name[winner], by_name[loser])
        assert winner not in found.dominated
    for name in (*found.members, *found.mixed):
        assert not [
            p
            for p in points
            if p[0] != name and beats(p, by_name[name]) and p[1:] != by_name[name][1:]
        ]


@given(clouds)
def test_no_point_lies_above_the_front(points):
    found = front(points)
    for _, cost, quality in points:
        bought = found.quality_at(cost)
        assert bought is not None
        assert quality <= bought + 1e-9 * max(1.0, abs(bought))


@given(clouds)
def test_a_mixed_one_lies_between_its_two_members(points):
    found, by_name = front(points), {p[0]: p for p in points}
    for name, (left, right) in found.mixed.items():
        assert by_name[left][1] < by_name[name][1] < by_name[right][1]
        assert found.members.index(right) == found.members.index(left) + 1


@given(clouds, st.randoms(use_true_random=False))
def test_the_order_of_the_points_does_not_matter(points, chance):
    shuffled = list(points)
    chance.shuffle(shuffled)
    assert front(shuffled) == front(points)


@given(clouds, grid)
def test_one_more_point_never_lowers_the_front(points, more):
    before, after = front(points), front([*points, ("zz", float(more[0]), float(more[1]))])
    for _, cost, _ in points:
        low, high = before.quality_at(cost), after.quality_at(cost)
        assert low is not None
        assert high is not None
        assert high >= low - 1e-9 * max(1.0, abs(low))


@given(clouds, st.floats(0.0, 100.0))
def test_a_weighted_sum_is_won_by_a_member(points, price_of_quality):
    if points:
        found = front(points)
        value = {p[0]: price_of_quality * p[2] - p[1] for p in points}
        best = max(value.values())
        assert max(value[name] for name in found.members) >= best - 1e-6 * max(1.0, abs(best))


@given(clouds, st.floats(0, 2e4), st.floats(0, 2e4))
def test_more_money_never_buys_less(points, one, other):
    found = front(points)
    low, high = found.quality_at(min(one, other)), found.quality_at(max(one, other))
    assert low is None or (high is not None and high >= low)


def test_a_thousand_points_on_a_curve_are_all_members():
    chance = random.Random(7)
    points = [(f"p{i}", i / 100, (i / 100) ** 0.5) for i in range(1000)]
    chance.shuffle(points)
    found = front(points)
    assert len(found.members) == 1000
    assert not found.dominated
