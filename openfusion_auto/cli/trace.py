"""`openfusion trace`: what was recorded, by a running server or by what has left its traces in the state folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    config_option,
    json_option,
    load_settings,
    readable,
    server_option,
)
from openfusion_auto.cli.remote import NobodyThere, ask_server, server_of

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings


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
    """Show what was recorded of requests.

    Without ID the newest; with one its task, every call with time, tokens and money, and the reasons. The configured
    server (http://127.0.0.1:8787) is asked, or the one that --server names. Where no server runs, the state folder
    tells what `ask`, `chat` and earlier servers have left. Exit code 1 when there is nothing.
    """
    trace_id = None if trace_id is None else readable(trace_id)
    settings = load_settings(config)
    there = server_of(settings, server)
    path = f"?limit={limit}" if trace_id is None else f"/{quote(trace_id, safe='')}"
    try:
        answer = ask_server(there, f"/v1/traces{path}")
    except NobodyThere:
        kept = None if server is not None else in_files(settings, trace_id, limit)
        if kept is None:
            raise
        answer = kept
        output.problem(
            f"no server answers at {there.url}; this is from {output.clean(str(settings.state_path))}"
        )
    if as_json:
        output.data(answer)
        return
    try:
        show(answer, one=trace_id is not None)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError):
        raise output.Failure(
            "the server's answer is not one that this version can show; see it with --json"
        ) from None


def in_files(settings: Settings, trace_id: str | None, limit: int) -> dict[str, object] | None:
    """Return what a server would answer, from the files of the state folder; None when they hold nothing of it."""
    from openfusion_auto.cli import kept

    return kept.listing(settings, limit) if trace_id is None else kept.one(settings, trace_id)


def show(answer: dict[str, Any], *, one: bool) -> None:
    """Print one trace or the list."""
    from openfusion_auto.cli import trace_view

    if one:
        trace_view.show(answer, output.console())
    elif answer["data"]:
        trace_view.show_list(answer["data"], output.console())
    else:
        output.emit("nothing has been asked yet")
