"""`openfusion mcp`: the router as tools for any agent that speaks the Model Context Protocol."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import (
    close_engine,
    dry_run_option,
    json_option,
    server_option,
    start_engine,
    users_settings,
)
from openfusion_auto.cli.remote import server_of

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.mcp.router import Choice, LocalRouter


@click.command()
@server_option
@dry_run_option
@json_option
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Configuration file. Without it: OPENFUSION_CONFIG, the user's configuration folder, the built-in defaults; "
    "never ./openfusion.toml, since an agent starts this in any project.",
)
def command(server: str | None, dry_run: bool, as_json: bool, config: Path | None) -> None:
    """Serve the router's judgement as tools to an agent, over MCP.

    An agent starts this itself and talks to it over standard input and output: `openfusion adapter install CLIENT
    --mcp` tells it how. The tools are deliberate, second_opinion, route and explain_choice. They ask the configured
    server while one runs, else the models from this process; with --server only that one. --json prints the tools with
    their schemas and ends.
    """
    from openfusion_auto.mcp.serve import check_installed, described, serve
    from openfusion_auto.mcp.tools import TOOLS

    if as_json:
        output.data({"object": "list", "data": [described(tool) for tool in TOOLS]})
        return
    check_installed()
    if sys.stdin is None or sys.stdout is None:
        raise click.UsageError("it talks over standard input and output, and one of them is closed")
    settings = users_settings(config)
    choice = chosen(settings, server, dry_run=dry_run)
    output.note("openfusion mcp: serving tools on standard input and output; end it with Ctrl-D")
    asyncio.run(serve(choice))


def chosen(settings: Settings, server: str | None, *, dry_run: bool) -> Choice:
    """Return who is asked: the named server alone; else the configured one while it runs, and this process."""
    from openfusion_auto.mcp.router import Choice, LocalRouter, ServerRouter

    def here() -> LocalRouter:
        engine = start_engine(settings, asked=dry_run)
        return LocalRouter(engine, lambda: close_engine(engine))

    if server is None and (dry_run or settings.config.server.port == 0):
        return Choice(None, here)
    at = server_of(settings, server)
    return Choice(ServerRouter(at.url, at.key), None if server else here)
