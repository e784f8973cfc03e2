"""`openfusion compare`: Auto beside fixed choices, judged blind when asked."""

from __future__ import annotations

from typing import Any

import click

from openfusion_auto.cli import evaluate


@click.command()
@evaluate.cases_option
@evaluate.baseline_option
@click.option(
    "--grade",
    is_flag=True,
    help="Let a model judge Auto's answers against each baseline's, blind and in both orders.",
)
@evaluate.options
def command(cases: tuple[str, ...], baseline: tuple[str, ...], grade: bool, **shared: Any) -> None:  # noqa: ANN401 - as click gives them
    """Ask Auto and its baselines the same and write a receipt of it.

    The baselines are the strongest and the cheapest candidate and a panel for every request, unless --baseline names
    others. A dry run needs no key and no configuration; it proves orchestration, not quality. Exit code 1 when a
    request failed or a decision is not the expected one.
    """
    from openfusion_auto.evals.contenders import DEFAULT_BASELINES

    document = evaluate.evaluate(
        "comparison",
        evaluate.asked(shared),
        evaluate.chosen(cases),
        baseline or DEFAULT_BASELINES,
        pairs=grade,
    )
    evaluate.finish(document)
