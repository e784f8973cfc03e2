"""`openfusion pool front`: which candidates are worth their money, which are beaten, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, NamedTuple

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import config_option, json_option
from openfusion_auto.cli.pool_common import Chosen, choose, head, pool_option

if TYPE_CHECKING:
    from openfusion_auto.core.front import Front
    from openfusion_auto.core.types import Kind, Pool
    from openfusion_auto.evals.plot import Chart

KIND_NAMES = ("bugfix", "feature", "review", "refactor", "test", "docs", "explain", "ops", "aux", "chat")  # fmt: skip


class Measured(NamedTuple):
    """One candidate: what the nominal request costs [USD, None = no price], and its chance to solve a task 0..1."""

    name: str
    usd: float | None
    quality: float
    effort: float
    known: bool


class View(NamedTuple):
    """Everything that is shown."""

    kind: str
    rows: dict[str, Measured]
    front: Front
    keys: dict[str, str]

    @property
    def priced(self) -> list[tuple[Measured, float]]:
        """The candidates that have a place, with their cost, in order of cost."""
        found = [(row, row.usd) for row in self.rows.values() if row.usd is not None]
        return sorted(found, key=lambda pair: (pair[1], pair[0].name))


@click.command("front")
@json_option
@pool_option
@click.option(
    "--kind",
    type=click.Choice(KIND_NAMES),
    default="bugfix",
    show_default=True,
    help="The kind of task that quality is meant for.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also draw it: FILE.svg, or FILE.png with the extra `plot`.",
)
@config_option
def front_command(
    as_json: bool, pool: str | None, kind: Kind, plot: Path | None, config: Path | None
) -> None:
    """Show the cost-quality front of the pool: who is on it, who is beaten by whom.

    Exit code 1 when no candidate has a price.
    """
    from openfusion_auto.core.front import front

    chosen = choose(pool, config)
    rows = {row.name: row for row in measured(chosen.pool, kind)}
    priced = sorted((r.usd, r.name) for r in rows.values() if r.usd is not None)
    found = front([(name, usd, rows[name].quality) for usd, name in priced])
    view = View(kind, rows, found, keys_of(found, [name for _, name in priced]))
    if plot is not None and found.members:
        from openfusion_auto.evals.plot import save

        save(chart_of(chosen, view), plot.expanduser())
    if as_json:
        output.data(as_data(chosen, view, plot if found.members else None))
    else:
        for line in text_of(chosen, view):
            output.emit(line)
        if plot is not None and found.members:
            output.emit(f"\nPlot: {plot}")
    if not found.members:
        raise click.exceptions.Exit(1)


def measured(pool: Pool, kind: Kind) -> list[Measured]:
    """Return cost and quality of every candidate, as the decision itself sees them."""
    from openfusion_auto.core import cost, score

    fixed = score.fixed(pool, kind)
    usd = [None if u != u else u for u in cost.usual(fixed.prices).tolist()]  # noqa: PLR0124 - NaN is unknown
    chance = fixed.values[:, score.SKILL].tolist()
    work = fixed.prices.work.tolist()
    return [
        Measured(c.id, u, q, w, bool(c.benchmarks))
        for c, u, q, w in zip(pool.candidates, usd, chance, work, strict=True)
    ]


def keys_of(found: Front, names: list[str]) -> dict[str, str]:
    """Return a letter for each candidate: capitals on the front, small ones beside it; `*` when they run out."""
    others = [name for name in names if name not in found.members]
    pairs = ((found.members, ascii_uppercase), (others, ascii_lowercase))
    return {n: (letters[i : i + 1] or "*") for group, letters in pairs for i, n in enumerate(group)}


def request_of() -> str:
    """Say what the cost is the cost of."""
    from openfusion_auto.core.cost import NOMINAL

    return f"one request: {NOMINAL.input:,} tokens in, none cached, {NOMINAL.output:,} out; list price x effort"


def text_of(chosen: Chosen, view: View) -> Iterator[str]:
    """Yield what people read."""
    yield f"pool     {chosen.source}, {len(view.rows)} candidates, for kind {view.kind}"
    yield f"cost     USD of {request_of()}"
    yield "quality  chance to solve a task of the kind as hard as the benchmarks', 0..1"
    yield ""
    if view.front.members:
        yield from picture(view)
        yield ""
        yield from members(view)
        yield from others(view)
    for row in view.rows.values():
        if row.usd is None:
            yield f"    {row.name}: not placed, its price is unknown"
    unknown = sorted(r.name for r in view.rows.values() if not r.known)
    if unknown:
        yield f"    without a benchmark, taken for average: {', '.join(unknown)}"


def picture(view: View) -> list[str]:
    """Return the scatter of the terminal; the front's own points come first, so that nothing hides them."""
    from openfusion_auto.cli.scatter import Point, scatter

    target = output.console()
    columns = max(30, min(target.width, 100) - 10)
    points = [Point(view.keys[row.name], usd, row.quality) for row, usd in view.priced]
    points.sort(key=lambda p: p.key.islower())
    dot = "·" if output.is_fancy(target) else "."
    names = (lambda usd: f"${usd:.2g}", lambda quality: f"{quality:.2f}")
    return scatter(points, view.front.quality_at, names, (columns, 15), dot)


def members(view: View) -> Iterator[str]:
    """Yield the table of the front."""
    wide = max(map(len, view.rows))
    yield f"    {'on the front':<{wide}}  {'cost':>10}  quality  more quality for one more cent"
    slopes = ("", *(f"{slope / 100:+.3f}" for slope in view.front.slopes))
    for name, slope in zip(view.front.members, slopes, strict=True):
        yield f"{place(view, name, wide)}  {slope}".rstrip()


def place(view: View, name: str, wide: int) -> str:
    """Return letter, name, cost and quality of a candidate."""
    row = view.rows[name]
    return f"  {view.keys[name]} {name:<{wide}}  {output.usd(row.usd):>10}  {row.quality:>7.3f}"


def others(view: View) -> Iterator[str]:
    """Yield the table of those that are not on the front, and why."""
    wide = max(map(len, view.rows))
    rest = [row for row, _ in view.priced if row.name not in view.front.members]
    if rest:
        yield ""
        yield f"    {'beside it':<{wide}}  {'cost':>10}  quality"
    for row in rest:
        yield f"{place(view, row.name, wide)}  {reason(view, row)}"


def reason(view: View, row: Measured) -> str:
    """Say who beats a candidate."""
    winner = view.front.dominated.get(row.name)
    if winner is not None:
        other = view.rows[winner]
        same = other.usd == row.usd and other.quality == row.quality
        return f"equal to {winner}" if same else f"beaten by {winner}"
    left, right = view.front.mixed[row.name]
    both = view.front.quality_at(row.usd or 0.0)
    return f"{left} and {right} in turn give {both:.3f} for the same money"


def as_data(chosen: Chosen, view: View, plot: Path | None) -> object:
    """Return the outcome for `--json`."""
    slopes = (*view.front.slopes, None)[: len(view.front.members)]
    rest = [row for row, _ in view.priced if row.name not in view.front.members]
    return {
        **head(chosen),
        "kind": view.kind,
        "request": request_of(),
        "units": {
            "usd": "USD of the request",
            "quality": "chance to solve a task, 0..1",
            "slope": "1/USD",
        },
        "front": [
            {**cells(view.rows[name]), "slope_to_next": slope}
            for name, slope in zip(view.front.members, slopes, strict=True)
        ],
        "beaten": [
            {
                **cells(row),
                "by": [view.front.dominated[row.name]]
                if row.name in view.front.dominated
                else list(view.front.mixed[row.name]),
                "single": row.name in view.front.dominated,
            }
            for row in rest
        ],
        "unplaced": [cells(row) for row in view.rows.values() if row.usd is None],
        "plot": str(plot) if plot else None,
    }


def cells(row: Measured) -> dict[str, object]:
    """Return one candidate for JSON."""
    return {
        "candidate": row.name,
        "usd": row.usd,
        "quality": row.quality,
        "effort": row.effort,
        "benchmarked": row.known,
    }


def chart_of(chosen: Chosen, view: View) -> Chart:
    """Return the plot."""
    from openfusion_auto.evals.plot import Chart, Dot, Series

    dots = {row.name: Dot(row.name, usd, row.quality) for row, usd in view.priced}
    beside = tuple(dot for name, dot in dots.items() if name not in view.front.members)
    series = [
        Series("on the front", "front", tuple(dots[n] for n in view.front.members), joined=True)
    ]
    series += [Series("beaten", "model", beside)] if beside else []
    return Chart(
        title=f"Cost and quality of the pool {chosen.source.stem}, for {view.kind}",
        x_label="cost of a request [USD]",
        y_label="chance to solve a task, 0..1",
        series=tuple(series),
        source=f"{chosen.pool.digest[:19]}; {request_of()}",
        x_prefix="$",
    )
