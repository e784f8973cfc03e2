"""A chart that cannot be drawn is refused before anything is."""

import pytest

from openfusion_auto.evals.plot_types import Chart, Dot, Series


def chart(*dots, **changes):
    return Chart("t", "x", "y", (Series("s", "model", dots),), **changes)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (chart(), "nothing to draw"),
        (chart(Dot("a", float("nan"), 1)), "not finite"),
        (chart(Dot("a", 1, 1, y_interval=(0, float("inf")))), "not finite"),
        (chart(Dot("a", 0, 1), x_scale="log"), "logarithmic"),
        (chart(Dot("a", 1, 1, x_interval=(-1, 2)), x_scale="log"), "logarithmic"),
    ],
)
def test_what_has_no_place_is_refused(made, said):
    with pytest.raises(ValueError, match=said):
        made.checked()


def test_what_can_be_drawn_passes_as_it_is():
    made = chart(Dot("a", 0, 1, (0, 1), (0, 2)))
    assert made.checked() is made
    assert made.dots[0].xs == (0, 0, 1)
    assert made.dots[0].ys == (1, 0, 2)
