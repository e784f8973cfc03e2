"""The picture in the terminal: letters where their numbers are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.cli.scatter import Point, Range, scatter

NAMES = (lambda x: f"${x:g}", lambda y: f"{y:g}")


def nothing(_x):
    return None


def test_a_picture():
    points = [Point("A", 0, 0), Point("B", 10, 4), Point("b", 5, 1)]
    assert scatter(points, lambda x: 0.4 * x, NAMES, (11, 5)) == [
        "4 |         .B",
        "  |       ..",
        "2 |    ...",
        "  |  .. b",
        "0 |A.",
        "  +-----------",
        "   $0  $5  $10",
    ]


def test_a_wide_range_is_logarithmic():
    lines = scatter(
        [Point("A", 1, 0), Point("b", 10, 0), Point("C", 100, 1)], nothing, NAMES, (21, 3)
    )
    assert lines[2] == "  0 |A         b"
    assert lines[-1].split() == ["$1", "$10", "$100"]


def test_two_at_one_place_stand_side_by_side_and_the_first_keeps_it():
    lines = scatter(
        [Point(k, 5, 1) for k in "Abcdefg"] + [Point("z", 0, 0), Point("y", 10, 2)],
        nothing,
        NAMES,
        (11, 3),
    )
    assert lines[1].partition("|")[2].strip() == "ecAbd"


def test_one_point_is_in_the_middle():
    assert scatter([Point("A", 3, 3)], nothing, NAMES, (5, 3))[1] == "3 |  A"


@pytest.mark.parametrize("log", [True, False])
def test_a_cell_is_where_its_number_is(log):
    side = Range(0.01, 100, log)
    assert [side.place(side.value(i, 50), 50) for i in range(50)] == list(range(50))


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e3, 1e3)), min_size=1, max_size=40),
    st.integers(20, 60),
)
def test_every_line_fits(rows, columns):
    lines = scatter([Point("x", *row) for row in rows], lambda x: x, NAMES, (columns, 9))
    assert len(lines) == 11
    wide = len(lines[-2])
    assert all(len(line) <= wide for line in lines[:-1])
    assert sum(line.count("x") for line in lines) >= 1
