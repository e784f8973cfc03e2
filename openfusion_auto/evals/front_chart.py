"""The cost-quality front of a pool as a chart, for the command line and for the page."""

from __future__ import annotations

from openfusion_auto.core.worth import REQUEST, Worth
from openfusion_auto.evals.plot_types import Chart, Dot, Series


def front_chart(found: Worth, title: str, source: str) -> Chart:
    """Return the chart of what was found; some candidate must have a price."""
    dots = {row.name: Dot(row.name, usd, row.quality) for row, usd in found.priced}
    members = found.front.members
    beside = tuple(dot for name, dot in dots.items() if name not in members)
    series = [Series("on the front", "front", tuple(dots[n] for n in members), joined=True)]
    series += [Series("beaten", "model", beside)] if beside else []
    return Chart(
        title=title,
        x_label="cost of a request [USD]",
        y_label="chance to solve a task, 0..1",
        series=tuple(series),
        source=f"{source}; {REQUEST}" if source else "",
    )
