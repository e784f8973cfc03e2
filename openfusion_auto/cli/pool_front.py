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
    from openfusion_auto.core.types import Kind
    from openfusion_auto.core.worth import Measured, Worth

KIND_NAMES = ("bugfix", "feature", "review", "refactor", "test", "docs", "explain", "ops", "aux", "chat")  # fmt: skip


class View(NamedTuple):
    """Everything that is shown: the worths, and the letter of each candidate that has a place."""

    worth: Worth
    keys: dict[str, str]


@click.command("front", short_help="Show the cost-quality front of the pool.")
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
    from openfusion_auto.core.worth import worth

    chosen = choose(pool, config)
    found = worth(chosen.pool, kind)
    view = View(found, keys_of(found.front, [row.name for row, _ in found.priced]))
    members = found.front.members
    if plot is not None and members:
        from openfusion_auto.evals.front_chart import front_chart
        from openfusion_auto.evals.plot import save

        title = f"Cost and quality of the pool {chosen.source.stem}, for {kind}"
        save(front_chart(found, title, chosen.pool.digest[:19]), plot.expanduser())
    if as_json:
        output.data(as_data(chosen, view, plot if members else None))
    else:
        for line in text_of(chosen, view):
            output.emit(line)
        if plot is not None and members:
            output.emit(f"\nPlot: {plot}")
    if not members:
        raise click.exceptions.Exit(1)


def keys_of(found: Front, names: list[str]) -> dict[str, str]:
    """Return a letter for each candidate: capitals on the front, small ones beside it; `*` when they run out."""
    others = [name for name in names if name not in found.members]
    pairs = ((found.members, ascii_uppercase), (others, ascii_lowercase))
    return {n: (letters[i : i + 1] or "*") for group, letters in pairs for i, n in enumerate(group)}


def text_of(chosen: Chosen, view: View) -> Iterator[str]:
    """Yield what people read."""
    from openfusion_auto.core.worth import REQUEST

    yield f"pool     {chosen.source}, {len(view.worth.rows)} candidates, for kind {view.worth.kind}"
    yield f"cost     USD of {REQUEST}"
    yield "quality  chance to solve a task of the kind as hard as the benchmarks', 0..1"
    yield ""
    if view.worth.front.members:
        if len(view.worth.priced) > 1:  # one point shows nothing
            yield from picture(view)
            yield ""
        yield from members(view)
        yield from others(view)
    for row, why in view.worth.unplaced:
        yield f"    {row.name}: not placed, {why}"
    unknown = sorted(r.name for r in view.worth.rows.values() if r.talks and not r.known)
    if unknown:
        yield f"    without a benchmark, taken for average: {', '.join(unknown)}"


def picture(view: View) -> list[str]:
    """Return the scatter of the terminal; the front's own points come first, so that nothing hides them."""
    from openfusion_auto.cli.scatter import Point, scatter

    target = output.console()
    columns = max(30, min(target.width, 100) - 10)
    points = [Point(view.keys[row.name], usd, row.quality) for row, usd in view.worth.priced]
    points.sort(key=lambda p: p.key.islower())
    dot = "·" if output.is_fancy(target) else "."
    names = (lambda usd: f"${usd:.2g}", lambda quality: f"{quality:.2f}")
    return scatter(points, view.worth.front.quality_at, names, (columns, 15), dot)


def members(view: View) -> Iterator[str]:
    """Yield the table of the front."""
    wide = max(map(len, view.worth.rows))
    yield f"    {'on the front':<{wide}}  {'cost':>10}  quality  more quality for one more cent"
    slopes = ("", *(f"{slope / 100:+.3f}" for slope in view.worth.front.slopes))
    for name, slope in zip(view.worth.front.members, slopes, strict=True):
        yield f"{place(view, name, wide)}  {slope}".rstrip()


def place(view: View, name: str, wide: int) -> str:
    """Return letter, name, cost and quality of a candidate."""
    row = view.worth.rows[name]
    return f"  {view.keys[name]} {name:<{wide}}  {output.usd(row.usd):>10}  {row.quality:>7.3f}"


def others(view: View) -> Iterator[str]:
    """Yield the table of those that are not on the front, and why."""
    wide = max(map(len, view.worth.rows))
    rest = [row for row, _ in view.worth.priced if row.name not in view.worth.front.members]
    if rest:
        yield ""
        yield f"    {'beside it':<{wide}}  {'cost':>10}  quality"
    for row in rest:
        yield f"{place(view, row.name, wide)}  {view.worth.why_beaten(row.name)}"


def as_data(chosen: Chosen, view: View, plot: Path | None) -> object:
    """Return the outcome for `--json`."""
    from openfusion_auto.core.worth import REQUEST

    slopes = (*view.worth.front.slopes, None)[: len(view.worth.front.members)]
    rest = [row for row, _ in view.worth.priced if row.name not in view.worth.front.members]
    return {
        **head(chosen),
        "kind": view.worth.kind,
        "request": REQUEST,
        "units": {
            "usd": "USD of the request",
            "quality": "chance to solve a task, 0..1",
            "slope": "1/USD",
        },
        "front": [
            {**cells(view.worth.rows[name]), "slope_to_next": slope}
            for name, slope in zip(view.worth.front.members, slopes, strict=True)
        ],
        "beaten": [
            {
                **cells(row),
                "by": [view.worth.front.dominated[row.name]]
                if row.name in view.worth.front.dominated
                else list(view.worth.front.mixed[row.name]),
                "single": row.name in view.worth.front.dominated,
            }
            for row in rest
        ],
        "unplaced": [{**cells(row), "why": why} for row, why in view.worth.unplaced],
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
