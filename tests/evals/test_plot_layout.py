"""Scales, ticks and labels: what is drawn lies where its number is, and names can be read."""

import math
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.evals.plot_layout import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    SIZE,
    TOP,
    WIDTH,
    Box,
    best_place,
    fitted,
    held_at,
    layout,
    linear,
    logarithmic,
    plain_number,
    round_step,
    summary,
    symbol,
    width_of,
    x_axis,
)  # fmt: skip
from openfusion_auto.evals.plot_types import Chart, Dot, Line, Series, Shape, Text

numbers = st.floats(-1e6, 1e6, allow_nan=False)
positive = st.floats(1e-6, 1e6)


def chart(dots, style="model", **changes):
    return Chart("Title", "cost", "quality", (Series("models", style, tuple(dots)),), **changes)


def texts(marks):
    return [m.text for m in marks if isinstance(m, Text)]


@given(st.lists(numbers, min_size=1, max_size=20))
def test_a_linear_axis_keeps_order_and_stays_in_its_frame(values):
    axis = linear(values, LEFT, RIGHT)
    places = [axis.place(v) for v in sorted(values)]
    assert all(LEFT - 1e-6 <= p <= RIGHT + 1e-6 for p in places)
    assert all(a <= b for a, b in pairwise(places))
    assert 3 <= len(axis.ticks) <= 14
    assert all(LEFT - 1 <= axis.place(t) <= RIGHT + 1 for t in axis.ticks)


@given(st.lists(positive, min_size=1, max_size=20))
def test_a_logarithmic_axis_does_so_too(values):
    axis = logarithmic(values, LEFT, RIGHT)
    places = [axis.place(v) for v in sorted(values)]
    assert all(LEFT - 1e-6 <= p <= RIGHT + 1e-6 for p in places)
    assert all(a <= b for a, b in pairwise(places))
    assert 1 <= len(axis.ticks) <= 10


@pytest.mark.parametrize(
    ("rough", "step"), [(0.9, 1), (1, 1), (1.1, 2), (2.2, 2.5), (3, 5), (7, 10), (0.013, 0.02)]
)
def test_steps_are_round(rough, step):
    assert round_step(rough) == pytest.approx(step)


def test_y_from_a_little_above_0_begins_at_0():
    assert linear([1, 100], 0, 100).ticks[0] == 0


@pytest.mark.parametrize(("xs", "log"), [([1, 19], False), ([1, 20], True), ([0, 100], False)])
def test_the_scale_is_logarithmic_where_that_shows_more(xs, log):
    made = chart([Dot(str(x), x, 1) for x in xs])
    assert x_axis(made).log == log
    assert ("cost, log scale" in texts(layout(made))) == log


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.00005, "0.00005"), (0.1, "0.1"), (20, "20"), (1e7, "1e+07"), (0, "0"), (2.5, "2.5")],
)
def test_ticks_are_written_without_exponents_where_short(value, shown):
    assert plain_number(value) == shown


def test_long_texts_are_cut_to_their_room():
    assert fitted("short", 1000, SIZE) == "short"
    cut = fitted("x" * 500, 100, SIZE)
    assert cut.endswith("…")
    assert width_of(cut, SIZE) <= 100


def test_a_line_is_bent_on_a_logarithmic_axis():
    made = Chart(
        "t", "x", "y", (Series("f", "front", (Dot("a", 1, 0), Dot("b", 100, 1)), joined=True),)
    )
    line = next(
        m for m in layout(made) if isinstance(m, Line) and m.colour == "front" and len(m.points) > 2
    )
    (x0, y0), (x1, y1) = line.points[0], line.points[-1]
    middle = line.points[len(line.points) // 2]
    share = (middle[0] - x0) / (x1 - x0)
    assert share == pytest.approx(math.log10(50.5) / 2, abs=0.02)
    assert (middle[1] - y0) / (y1 - y0) == pytest.approx(0.5, abs=0.03)


def test_each_style_has_its_own_sign():
    assert len(symbol("policy", 0, 0).points) == 4
    assert symbol("front", 0, 0).filled
    assert not symbol("model", 0, 0).filled


def test_names_do_not_cover_each_other_while_there_is_room():
    dots = [Dot(f"some-model-{i}", 1 + i % 5, 50 + 10 * (i // 5)) for i in range(20)]
    names = [
        m for m in layout(chart(dots)) if isinstance(m, Text) and m.text.startswith("some-model")
    ]
    assert len(names) == 20
    boxes = []
    for m in names:
        wide = width_of(m.text, SIZE)
        left = m.x - {"start": 0, "middle": wide / 2, "end": wide}[m.anchor]
        boxes.append(Box(left, m.y - SIZE / 2, left + wide, m.y + SIZE / 2))
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))


def test_in_a_crowd_models_lose_their_names_and_the_front_keeps_its():
    crowd = (
        *(Dot(f"model-{i}", 50 + i / 1000, 50 + i % 7) for i in range(60)),
        Dot("far", 1, 1),
        Dot("away", 99, 99),
    )
    made = Chart(
        "t",
        "x",
        "y",
        (Series("f", "front", (Dot("best", 50.03, 50.03),)), Series("m", "model", crowd)),
    )
    shown = texts(layout(made))
    assert "best" in shown
    assert len([t for t in shown if t.startswith("model-")]) < 30
    huge = Chart(
        "t", "x", "y", (Series("f", "front", (Dot("best", 1, 1),)), Series("m", "model", crowd * 2))
    )
    assert not [t for t in texts(layout(huge)) if t.startswith("model-")]


def test_a_point_without_a_name_has_none():
    assert texts(layout(chart([Dot("", 1, 1)]))).count("") == 0


def test_a_label_that_has_to_go_far_gets_a_line():
    taken = [Box(380, 180, 500, 220), Box(300, 180, 395, 220)]
    box, ring = best_place((397, 200), 60, taken)
    assert ring > 0
    assert sum(box.overlap(t) for t in taken) < 60 * 14 / 2


@pytest.mark.parametrize(
    ("box", "held"),
    [
        (Box(5, 0, 9, 1), (5, "start")),
        (Box(-9, 0, -5, 1), (-5, "end")),
        (Box(-2, 0, 2, 1), (0, "middle")),
    ],
)
def test_a_label_is_held_at_the_side_of_its_point(box, held):
    assert held_at(0, box) == held


def test_the_points_can_be_read_aloud():
    assert summary([Dot("a", 1, 2), Dot("b", 0.5, 3)]) == "a: 1, 2; b: 0.5, 3"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.builds(Dot, st.text(max_size=40), numbers, numbers), min_size=1, max_size=25),
    st.sampled_from(["front", "policy", "model"]),
)  # fmt: skip
def test_everything_is_inside_the_picture(dots, style):
    for mark in layout(chart(dots, style)):
        points = [(mark.x, mark.y)] if isinstance(mark, Text) else mark.points
        assert isinstance(mark, Line | Shape | Text)
        for x, y in points:
            assert -40 <= x <= WIDTH + 40
            assert 0 <= y <= HEIGHT
    assert TOP < BOTTOM
