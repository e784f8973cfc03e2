"""A chart that cannot be drawn is refused before anything is."""

import pytest

from openfusion_auto.evals.plot_types import Chart, Dot, Series


def chart(*dots):
    return Chart("t", "x", "y", (Series("s", "model", dots),))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (chart(), "nothing to draw"),
        (chart(Dot("a", float("nan"), 1)), "not finite"),
        (chart(Dot("a", 0, float("inf"))), "not finite"),
    ],
)
def test_what_has_no_place_is_refused(made, said):
    with pytest.raises(ValueError, match=said):
        made.checked()


def test_what_can_be_drawn_passes_as_it_is():
    made = chart(Dot("a", 0, 1))
    assert made.checked() is made
