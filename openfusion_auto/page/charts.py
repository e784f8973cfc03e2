"""Charts for templates: marks laid out in pixels, which the macros of `_charts.html` write as SVG."""

from __future__ import annotations

from typing import NamedTuple

from openfusion_auto.core.worth import Worth
from openfusion_auto.evals.front_chart import front_chart
from openfusion_auto.evals.plot_layout import layout, summary
from openfusion_auto.evals.plot_types import Mark


class Drawing(NamedTuple):
    """Marks in the order in which they are drawn, and the same in words."""

    marks: list[tuple[str, Mark]]
    words: str


def front(found: Worth) -> Drawing | None:
    """Return the cost-quality front of a pool; None when no candidate has a price."""
    if not found.front.members:
        return None
    chart = front_chart(found, "", "")
    marks = [(type(mark).__name__.lower(), mark) for mark in layout(chart)]
    return Drawing(marks, f"{chart.x_label}, {chart.y_label}: {summary(chart.dots)}")
