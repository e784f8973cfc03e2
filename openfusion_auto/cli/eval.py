"""`openfusion eval`: Auto on cases, with a receipt."""

from __future__ import annotations

from typing import Any

import click

from openfusion_auto.cli import evaluate


@click.command()
@evaluate.cases_option
@evaluate.baseline_option
@evaluate.options
def command(cases: tuple[str, ...], baseline: tuple[str, ...], **shared: Any) -> None:  # noqa: ANN401 - as click gives them
    """Ask Auto every case and write a receipt of it.

    Each answer is graded as its case says; decisions are held against what the case expects. --baseline asks others
    the same. The receipt is Markdown on stdout, JSON with --json, and a file. Exit code 1 when a request failed or a
    decision is not the expected one.
    """
    wanted = evaluate.asked(shared)
    document = evaluate.evaluate("eval", wanted, evaluate.chosen(cases), baseline, pairs=False)
    evaluate.finish(document)
