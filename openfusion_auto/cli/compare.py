"""`openfusion compare`: Auto beside fixed choices, judged blind when asked."""

from __future__ import annotations

import click

from openfusion_auto.cli import evaluate
from openfusion_auto.cli.common import asking


@click.command()
@evaluate.cases_option
@evaluate.baseline_option
@click.option(
    "--grade",
    is_flag=True,
    help="Let a model judge Auto's answers against each baseline's, blind and in both orders.",
)
@asking(evaluate.Asked, evaluate.OPTIONS)
def command(
    asked: evaluate.Asked, cases: tuple[str, ...], baseline: tuple[str, ...], grade: bool
) -> None:
    """Ask Auto and its baselines the same and write a receipt of it.

    The baselines are the strongest and the cheapest candidate and a panel for every request, unless --baseline names
    others. A dry run needs no key and no configuration; it proves orchestration, not quality. Exit code 1 when a
    request failed or a decision is not the expected one.
    """
    from openfusion_auto.evals.contenders import DEFAULT_BASELINES

    baselines = baseline or DEFAULT_BASELINES
    document = evaluate.evaluate(
        "comparison", asked, evaluate.chosen(cases), baselines, pairs=grade
    )
    evaluate.finish(document)
