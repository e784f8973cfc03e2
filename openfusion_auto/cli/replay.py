"""`openfusion replay`: would Auto have been right? Routing policies over recorded outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import FiniteRange, json_option
from openfusion_auto.cli.progress import Progress

if TYPE_CHECKING:
    from openfusion_auto.core.types import Check
    from openfusion_auto.evals.dataset import Source
    from openfusion_auto.evals.metrics import Interval
    from openfusion_auto.evals.modes import Priced
    from openfusion_auto.evals.replay import Point, PolicyReport, SourceReport


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path, dir_okay=False), metavar="DATASET")
@json_option
@click.option(
    "--source", "only", multiple=True, metavar="NAME", help="Only this source; may be repeated."
)
@click.option(
    "--without", multiple=True, metavar="MODEL", help="Leave this model out; may be repeated."
)
@click.option(
    "--pool", metavar="FILE", help="Only the models of this pool: a file, or a shipped one."
)
@click.option(
    "--check", nargs=2, type=FiniteRange(0, 1), default=(0.7, 0.9), show_default=True,
    metavar="SENS SPEC", help="How good the check behind an answer is: wrong ones found, right ones accepted.",
)  # fmt: skip
@click.option(
    "--modes", is_flag=True,
    help="Compare one model, a check and a panel, and Auto's choice among them, at three prices of a wrong answer.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of folds and resampling.")
@click.option(
    "--plot", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Also draw each source there, as SVG, and as PNG where the extra `plot` is installed.",
)  # fmt: skip
@click.option(
    "--save-experience", "experience", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Also keep what one source's outcomes teach, for `[auto] experience`.",
)  # fmt: skip
def command(
    dataset: Path,
    as_json: bool,
    only: tuple[str, ...],
    without: tuple[str, ...],
    pool: str | None,
    check: tuple[float, float],
    modes: bool,
    seed: int,
    plot: Path | None,
    experience: Path | None,
) -> None:
    """Play routing policies over recorded outcomes and compare them.

    DATASET is JSONL, plain or gzip: a task a line with what each model scored and cost. Every pick is made without
    having seen the task: five folds, groups of tasks kept together.
    """
    from openfusion_auto.core.types import Check
    from openfusion_auto.evals.dataset import load
    from openfusion_auto.evals.replay import plans, replay
    from openfusion_auto.evals.replay_report import as_json as report_json

    stated = Check(*check)
    reports: list[SourceReport] = []
    sources = chosen(load(dataset), only, without, pool)
    if experience is not None:
        keep(sources, experience)
    if modes:
        show_modes(sources, dataset.name, stated, seed, as_json=as_json)
        return
    bar = Progress(len(sources) * len(plans(stated, seed)))
    try:
        for source in sources:
            bar.clear()
            output.note(f"{source.name}: {source.size} tasks, {len(source.models)} models")
            reports.append(replay(source, check=stated, seed=seed, progress=bar.step))
    finally:
        bar.clear()
    drawn = draw(reports, plot) if plot is not None else []
    if as_json:
        output.data({**report_json(reports, dataset.name, stated, seed), "plots": drawn})
        return
    for line in text_of(reports, stated):
        output.emit(line)
    for name in drawn:
        output.emit(f"Plot: {name}")


def chosen(
    sources: Sequence[Source], only: tuple[str, ...], without: tuple[str, ...], pool: str | None
) -> list[Source]:
    """Return the sources and models that were asked for.

    Raises:
        ConfigError: a source or model is not there, or too few models are left.
    """
    from openfusion_auto.errors import ConfigError
    from openfusion_auto.evals.dataset import restricted

    names = {s.name for s in sources}
    if unknown := sorted(set(only) - names):
        raise ConfigError(f"no source {', '.join(unknown)}; there are: {', '.join(sorted(names))}")
    models = {m for s in sources for m in s.models}
    if unknown := sorted(set(without) - models):
        raise ConfigError(f"no model {', '.join(unknown)} in the data")
    wanted = models - set(without)
    if pool is not None:
        from openfusion_auto.cli.pool_common import choose

        listed = choose(pool, None).pool.candidates
        wanted &= {c.model for c in listed} | {c.id for c in listed}
    kept = [restricted(s, wanted) for s in sources if not only or s.name in only]
    found = [s for s in kept if s is not None]
    if not found:
        raise ConfigError("no source has two of these models")
    return found


def keep(sources: Sequence[Source], path: Path) -> None:
    """Learn from all tasks of the one source, and write that down; the names of its models must be the pool's ids.

    Raises:
        ConfigError: there are several sources, whose models and tasks must not be mixed.
    """
    from openfusion_auto.cli.pool_common import today
    from openfusion_auto.config.experience import save_experience
    from openfusion_auto.errors import ConfigError
    from openfusion_auto.evals.policies import learned_from

    if len(sources) != 1:
        named = ", ".join(s.name for s in sources)
        raise ConfigError(f"an experience is of one source: pick one with --source ({named})")
    (source,) = sources
    save_experience(
        learned_from(source), path.expanduser(), source=source.name, as_of=today().isoformat()
    )
    output.note(f"kept what {source.size} tasks of {source.name} teach in {path}")


def show_modes(
    sources: Sequence[Source], dataset: str, check: Check, seed: int, *, as_json: bool
) -> None:
    """Play the modes over each source and show what each was worth."""
    from openfusion_auto.evals import modes

    reports = []
    for source in sources:
        output.note(f"{source.name}: {source.size} tasks, {len(source.models)} models")
        reports.append(modes.play_modes(source, check=check, seed=seed))
    if as_json:
        output.data(modes.as_json(reports, dataset, check, seed))
        return
    for report in reports:
        output.emit(report[0].source.name)
        for played in report:
            for line in modes_table(modes.priced([played], seed)):
                output.emit(line)
    if len(reports) > 1:
        output.emit(f"all {len(reports)} sources, each counting the same")
        for at_risk in zip(*reports, strict=True):
            for line in modes_table(modes.priced(at_risk, seed)):
                output.emit(line)
    output.emit(
        "utility: price of the risk times solved, less money and waiting, USD a task; ahead: Auto's less that."
    )
    output.emit(
        f"check: finds {check.sensitivity:.0%} of wrong answers, accepts {check.specificity:.0%} of right ones"
    )


def modes_table(found: Priced) -> Iterator[str]:
    """Yield what the modes came to at one price of risk."""
    taken = ", ".join(f"{m} {share:.0%}" for m, share in found.shares.items())
    yield f"  {found.risk} risk: a wrong answer costs {found.price:g} USD; auto took {taken}"
    head = f"{'solved':>7} {'money':>8} {'utility':>9} {'ahead':>8}  {'95 %':<18} {'in money':>8}  95 %"
    yield f"    {'policy':<20} {head}"
    for r in found.rows:
        yield (
            f"    {r.policy:<20} {r.solved:7.1%} {r.usd:8.4f} {r.utility:9.3f} {r.ahead:+8.3f}  "
            f"{spread(r.ahead_interval):<18} {r.ahead_money:+8.3f}  {spread(r.ahead_money_interval)}"
        )


def spread(interval: Interval) -> str:
    """Return an interval of USD."""
    return f"{interval.low:+.3f} to {interval.high:+.3f}"


def draw(reports: Sequence[SourceReport], folder: Path) -> list[str]:
    """Write a plot of each source; returns the files."""
    from importlib.util import find_spec

    from openfusion_auto.evals.plot import save
    from openfusion_auto.evals.replay_report import chart_of

    folder.mkdir(parents=True, exist_ok=True)
    ends = (".svg", ".png") if find_spec("matplotlib") else (".svg",)
    written = []
    for report in reports:
        safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in report.source.name)
        for end in ends:
            path = folder / f"{safe}{end}"
            save(chart_of(report), path)
            written.append(str(path))
    return written


def text_of(reports: Sequence[SourceReport], check: Check) -> Iterator[str]:
    """Yield what people read."""
    from openfusion_auto.evals.replay import overall

    for report in reports:
        source = report.source
        billed = f"{source.billed:.0%} of costs are recorded bills"
        yield f"{source.name}  {source.size} tasks, {len(source.models)} models, {billed}"
        yield "  front of single models"
        for name, usd, score in zip(
            report.front.members, report.front.costs, report.front.qualities, strict=True
        ):
            yield f"    {name:<40} {score:6.1%}  {output.usd(usd)} a task"
        yield from table(report.policies)
        yield ""
    if len(reports) > 1:
        yield f"all {len(reports)} sources, each counting the same"
        yield from table(overall(reports))
        yield ""
    yield "gain: share of tasks solved above the front of single models at the same cost. Front and policies"
    yield "learned on the other folds; nobody has seen the task that it picks for."
    yield f"check: finds {check.sensitivity:.0%} of wrong answers, accepts {check.specificity:.0%} of right ones"


def table(policies: Sequence[PolicyReport]) -> Iterator[str]:
    """Yield the policies with their settings, a line each."""
    head = f"{'cost_quality':>12} {'score':>7} {'of strongest':>12} {'gain':>8}  {'95 %':<18}"
    yield f"  {'policy':<24} {head} {'AIQ':>6} {'APGR':>6}"
    for policy in policies:
        figures = (number(policy.aiq), number(policy.apgr))
        if not policy.points:
            yield f"  {policy.name:<24} {'':>61} {figures[0]:>6} {figures[1]:>6}"
        for place, point in enumerate(policy.points):
            shown = figures if place == 0 else ("", "")
            yield f"  {policy.name if place == 0 else '':<24} {row(point)} {shown[0]:>6} {shown[1]:>6}".rstrip()


def row(point: Point) -> str:
    """Return the figures of one setting."""
    at = "" if point.setting is None else f"{point.setting:g}"
    interval = point.gain_interval
    wide = f"{interval.low:+.3f} to {interval.high:+.3f}" if interval else ""
    share = "-" if point.share_of_strongest is None else f"{point.share_of_strongest:.1%}"
    return f"{at:>12} {point.score:7.1%} {share:>12} {point.gain:+8.4f}  {wide:<18}"


def number(value: float | None) -> str:
    """Return a figure of four digits, "" for none."""
    return "" if value is None else f"{value:.4f}"
