"""`openfusion trace`: what a running server recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import config_option, json_option, load_settings, server_option
from openfusion_auto.cli.remote import ask_server, server_of


@click.command()
@click.argument("trace_id", metavar="[ID]", required=False, shell_complete=complete.traces)
@server_option
@json_option
@click.option(
    "--limit",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    metavar="N",
    help="How many to list, newest first.",
)
@config_option
def command(
    trace_id: str | None, server: str | None, as_json: bool, limit: int, config: Path | None
) -> None:
    """Show what a running server recorded.

    Without ID the newest requests; with one its task, every call with time, tokens and money, and the reasons. The
    server is the configured one (http://127.0.0.1:8787) unless --server names another. Exit code 1 when none answers.
    """
    there = server_of(load_settings(config), server)
    if trace_id is None:
        answer = ask_server(there, f"/v1/traces?limit={limit}")
    else:
        answer = ask_server(there, f"/v1/traces/{quote(trace_id, safe='')}")
    if as_json:
        output.data(answer)
        return
    try:
        show(answer, one=trace_id is not None)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError):
        raise output.Failure(
            "the server's answer is not one that this version can show; see it with --json"
        ) from None


def show(answer: dict[str, Any], *, one: bool) -> None:
    """Print one trace or the list."""
    from openfusion_auto.cli import trace_view

    if one:
        trace_view.show(answer, output.console())
    elif answer["data"]:
        trace_view.show_list(answer["data"], output.console())
    else:
        output.emit("nothing has been asked yet")
