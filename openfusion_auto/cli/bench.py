"""`openfusion bench`: how often Auto is right on a file of tasks, and what a right answer costs."""

from __future__ import annotations

from pathlib import Path

import click

from openfusion_auto.cli import evaluate, output
from openfusion_auto.cli.common import asking


@click.command()
@click.argument("tasks", metavar="TASKS")
@evaluate.baseline_option
@click.option(
    "--fail-on-regression", "earlier", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="RECEIPT",
    help="Exit code 1 when Auto is worse than in this earlier receipt of the same tasks.",
)  # fmt: skip
@asking(evaluate.Asked, evaluate.OPTIONS)
def command(
    asked: evaluate.Asked, tasks: str, baseline: tuple[str, ...], earlier: Path | None
) -> None:
    """Measure accuracy, cost of a right answer and latency on TASKS.

    TASKS is a folder or a file of cases, TOML or JSONL, each with its grader; `shipped` are ours. Worse is an
    accuracy below the earlier one's 95 % interval, or a right answer that costs a quarter more.
    """
    from openfusion_auto.errors import ConfigError
    from openfusion_auto.evals.cases import digest_of
    from openfusion_auto.evals.regression import regressions
    from openfusion_auto.evals.shelf import read_bytes
    from openfusion_auto.evals.verify import verify

    cases = evaluate.chosen((tasks,))
    ungraded = [c.id for c in cases if c.grade is None]
    if len(ungraded) == len(cases):
        raise ConfigError(f"{tasks}: no task has a grader, so nothing can be measured")
    before = None
    if earlier is not None:
        data = read_bytes(earlier)
        # Another version may decide otherwise; figures are compared, not decisions.
        if any(f.rule != "decision" for f in verify(data)):
            raise ConfigError(f"{earlier}: is not a whole receipt; see openfusion receipt verify")
        import json

        before = json.loads(data)
        if before["digests"]["cases"] != digest_of(cases):
            raise ConfigError(
                f"{earlier}: is of other tasks than {tasks}; compare receipts of the same tasks, or leave out "
                "--fail-on-regression"
            )
    document = evaluate.evaluate("bench", asked, cases, baseline, pairs=False)
    if before is not None:
        found = regressions(before, document)
        for line in found:
            output.problem(line)
        if found:
            raise click.exceptions.Exit(1)
    evaluate.finish(document)
