"""What `eval`, `compare` and `bench` share: options, the run itself, the receipt, what is said about it."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    FiniteRange,
    announce_state,
    close_engine,
    config_option,
    dry_run_option,
    is_dry_run,
    json_option,
    load_settings,
    local_engine,
)
from openfusion_auto.cli.progress import Progress

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.core.types import Pool
    from openfusion_auto.evals.cases import Case
    from openfusion_auto.evals.contenders import Contender
    from openfusion_auto.evals.receipt import Kind
    from openfusion_auto.evals.runner import How, Purse, Run
    from openfusion_auto.runtime.engine import Engine

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say; `grader` None = the best verifier, `out` None = the folder of receipts."""

    dry_run: bool
    as_json: bool
    repeat: int
    parallel: int
    max_usd: float | None
    excerpts: int
    allow_code: bool
    grader: str | None
    out: Path | None
    sign: Path | None
    config: Path | None


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    dry_run_option,
    json_option,
    click.option("--repeat", type=click.IntRange(1, 100), default=1, show_default=True, metavar="N",
                 help="Ask every case so often."),
    click.option("--parallel", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N",
                 help="So many cases at once. Times are those of a busy machine then."),
    click.option("--max-usd", type=FiniteRange(min=0), metavar="X",
                 help="Begin nothing further once this is spent, or a price is unknown; what is left out is counted."),
    click.option("--excerpts", type=click.IntRange(0, 100_000), default=0, metavar="N",
                 help="Keep the first N characters of questions and answers; else only their digests and sizes."),
    click.option("--allow-code", is_flag=True,
                 help="Let graders run the code that models write, in a bounded process (POSIX only)."),
    click.option("--grader", metavar="NAME", shell_complete=complete.contenders,
                 help="Who judges where a model must: a candidate or a role. Default: the best verifier."),
    click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
                 help="Write the receipt there. Default: the next one of the state folder, chained to the last."),
    click.option("--sign", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY",
                 help="Sign with this private key, see `openfusion receipt key`."),
    config_option,
)  # fmt: skip

cases_option = click.option(
    "--cases", multiple=True, metavar="PATH",
    help="A folder or file of cases (TOML, JSONL) instead of ours; may be repeated; `shipped` are ours.",
)  # fmt: skip
baseline_option = click.option(
    "--baseline", multiple=True, metavar="NAME", shell_complete=complete.contenders,
    help="Who answers beside Auto: strongest, cheapest, panel, panel:a,b,c, a role, a candidate. May be repeated.",
)  # fmt: skip


def evaluate(
    kind: Kind, wanted: Asked, cases: Sequence[Case], baselines: Sequence[str], *, pairs: bool
) -> Document:
    """Run the cases, keep the receipt, print it; returns it.

    Args:
        kind: Which receipt is made.
        wanted: The options.
        cases: What is asked.
        baselines: Who answers beside Auto.
        pairs: Let a model judge Auto against each baseline.

    Raises:
        ConfigError: a name is unknown, nobody is ready, a file cannot be written.
    """
    from openfusion_auto.evals import receipt, signing
    from openfusion_auto.evals.contenders import contender, contenders
    from openfusion_auto.evals.runner import Purse, check_requests
    from openfusion_auto.evals.seal import rendered
    from openfusion_auto.evals.shelf import FOLDER, Shelf

    settings = load_settings(wanted.config)
    dry = is_dry_run(settings, asked=wanted.dry_run)
    key = signing.load_key(wanted.sign.expanduser()) if wanted.sign else None
    if wanted.out is not None:
        check_folder(wanted.out)
    elif not dry:
        Shelf(settings.state_path / FOLDER).check()
    unready = {} if dry else settings.unready
    who = contenders(baselines, settings.pool, unready)
    grader = contender(wanted.grader or default_grader(settings.pool), settings.pool, unready)
    check_requests(cases, who)
    announce_state(settings, dry_run=dry, asked=wanted.dry_run)
    engine = engine_of(settings, dry=dry)
    how = how_of(wanted)
    purse = Purse(how.max_usd)
    try:
        runs, grading = asyncio.run(play(engine, cases, who, how, grader, purse, pairs=pairs))
    except KeyboardInterrupt:
        output.note(stopped(purse, dry=dry))
        raise
    origin = receipt.origin_of(settings, dry_run=dry)
    now = engine.means.clock.wall()

    def make(prev: str | None) -> Document:
        made = receipt.Made(now, prev)
        document = receipt.evaluation(kind, made, origin, cases, who, how, runs, grading)
        return signing.signed(document, key) if key else document

    document, path = keep(make, wanted.out, settings)
    if wanted.as_json:
        output.emit(rendered(document).decode("ascii"), newline=False)
    else:
        show(document)
    output.note(f"receipt: {path}" if path else "the receipt was not kept")
    return document


def engine_of(settings: Settings, *, dry: bool) -> Engine:
    """Return an engine: a dry run begins with nothing and keeps nothing, a real one books what it spends."""
    if dry:
        return local_engine(settings, dry_run=True)
    from openfusion_auto.runtime.clock import Clock
    from openfusion_auto.server.build import build_store

    output.log_as_notes()
    return local_engine(
        settings, dry_run=False, store=build_store(settings, dry_run=False, clock=Clock())
    )


def default_grader(pool: Pool) -> str:
    """Return the role that judges when nobody is named; Auto's own choice where the pool has no verifier."""
    return "verifier" if any("verifier" in c.roles for c in pool.candidates) else "auto"


def how_of(wanted: Asked) -> How:
    """Return how cases are run."""
    from openfusion_auto.evals.runner import How
    from openfusion_auto.evals.sandbox import Sandbox

    sandbox = Sandbox() if wanted.allow_code else None
    return How(wanted.parallel, wanted.repeat, wanted.max_usd, wanted.excerpts, sandbox)


async def play(
    engine: Engine,
    cases: Sequence[Case],
    who: Sequence[Contender],
    how: How,
    grader: Contender,
    purse: Purse,
    *,
    pairs: bool,
) -> tuple[list[Run], dict[str, object] | None]:
    """Run everything; returns the runs and the judged pairs."""
    from openfusion_auto.evals import judge
    from openfusion_auto.evals.runner import run_all

    judged = len(who) - 1 if pairs else 0
    bar = Progress(len(cases) * how.repeat * (len(who) + judged))

    def count(run: Run) -> None:
        bar.step(f"{run.case.id}  {run.contender.name}")

    try:
        runs = await run_all(engine, cases, who, how, count, purse)
        judging = judge.Grader(engine, grader, purse=purse)
        runs = [await judge.checked(judging, run) for run in runs]
        grading = await judge.compared(judging, runs, how.parallel, count) if pairs else None
    finally:
        bar.clear()
        await close_engine(engine)
    return runs, grading


def stopped(purse: Purse, *, dry: bool) -> str:
    """Return what Ctrl-C leaves: no receipt, and what was paid until then; calls that were cut stand in the books."""
    if dry:
        return "stopped: no receipt was made, nothing was spent (dry run)"
    spent = output.usd(purse.spent) if math.isfinite(purse.spent) else "an unknown sum"
    return f"stopped: no receipt was made; {spent} was spent on what had ended, openfusion stats has all of it"


def check_folder(out: Path) -> None:
    """See that a file can be written, before anything is paid for.

    Raises:
        ConfigError: its folder is not there, or not ours to write in.
    """
    from openfusion_auto.errors import ConfigError

    folder = out.expanduser().absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{out}: the folder {folder} is not there; make it first")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{out}: the folder {folder} cannot be written to")


def keep(
    make: Callable[[str | None], Document], out: Path | None, settings: Settings
) -> tuple[Document, Path | None]:
    """Return the receipt and where it was written: it is paid for, so a place that fails costs a warning, not it.

    What cannot be written to the file that was asked for goes to the folder of receipts.
    """
    from openfusion_auto.errors import ConfigError
    from openfusion_auto.evals.seal import rendered
    from openfusion_auto.evals.shelf import FOLDER, Shelf

    made: list[Document] = []

    def remembered(prev: str | None) -> Document:
        made.append(make(prev))
        return made[-1]

    if out is not None:
        document = make(None)
        try:
            out.expanduser().write_bytes(rendered(document))
        except OSError as error:
            output.problem(
                f"{out}: cannot be written ({error.strerror}); kept with the others instead"
            )
        else:
            return document, out
    try:
        path = Shelf(settings.state_path / FOLDER).add(remembered)
    except ConfigError as error:
        output.problem(error.message)
        return made[-1] if made else make(None), None
    return made[-1], path


def show(document: Document) -> None:
    """Print the receipt as Markdown."""
    from openfusion_auto.evals.report import markdown

    output.emit(markdown(document), newline=False)


def chosen(names: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases of these names, ours without any.

    Raises:
        ConfigError: a file is wrong, or an id stands twice.
    """
    from openfusion_auto.evals.cases import SHIPPED, named, unique

    return unique([case for name in names or (SHIPPED,) for case in named(name)])


def finish(document: Document) -> None:
    """End with 1 when a request failed or Auto decided otherwise than a case expects."""
    if not document["summary"]["passed"]:
        if all(run["outcome"] == "not_run" for run in document["runs"]):
            output.problem("nothing was asked: --max-usd left no room for the first request")
        else:
            output.problem(
                "a request failed or was decided otherwise than its case expects; see above"
            )
        raise click.exceptions.Exit(1)
