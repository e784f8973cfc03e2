"""`openfusion eval`: Auto on cases, with a receipt."""

from __future__ import annotations

import click

from openfusion_auto.cli import evaluate
from openfusion_auto.cli.common import asking


@click.command()
@evaluate.cases_option
@evaluate.baseline_option
@asking(evaluate.Asked, evaluate.OPTIONS)
def command(asked: evaluate.Asked, cases: tuple[str, ...], baseline: tuple[str, ...]) -> None:
    """Ask Auto every case and write a receipt of it.

    Each answer is graded as its case says; decisions are held against what the case expects. --baseline asks others
    the same. The receipt is Markdown on stdout, JSON with --json, and a file. Exit code 1 when a request failed or a
    decision is not the expected one.
    """
    document = evaluate.evaluate("eval", asked, evaluate.chosen(cases), baseline, pairs=False)
    evaluate.finish(document)
