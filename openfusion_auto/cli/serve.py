"""`openfusion serve`: the router as a server."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto import __version__
from openfusion_auto.cli import output
from openfusion_auto.cli.common import (
    announce_state,
    config_option,
    dry_run_option,
    is_dry_run,
    json_option,
    load_settings,
)

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings


@click.command()
@config_option
@click.option("--host", metavar="HOST", help="Address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, metavar="PORT", help="Port; 8787 by default, 0 = any free one.")
@dry_run_option
@click.option(
    "--workers",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Processes; this version runs one.",
)
@click.option(
    "--no-store",
    is_flag=True,
    help="Keep nothing on disk: a restart forgets statistics, sessions and traces.",
)
@click.option(
    "--insecure-no-keys",
    is_flag=True,
    help="Let everybody in who can reach the address, also beyond this machine. Needs server.insecure_no_keys = true "
    "in the file too.",
)
@json_option
def command(
    config: Path | None,
    host: str | None,
    port: int | None,
    dry_run: bool,
    workers: int,
    no_store: bool,
    insecure_no_keys: bool,
    as_json: bool,
) -> None:
    """Run the router until it is told to stop.

    One line on stderr gives the address when connections are accepted; with --json one line on stdout too. SIGTERM
    and Ctrl-C let running answers finish (server.drain_s), then it ends with 0.
    """
    if workers != 1:
        raise click.UsageError(
            f"--workers {workers}: several workers need shared state (pins, breakers, statistics), "
            "which this version does not have; leave it out"
        )
    read = partial(load_settings, config, host=host, port=port, store=False if no_store else None)
    settings = read()
    dry = is_dry_run(settings, asked=dry_run)

    from openfusion_auto.server.build import build, serve
    from openfusion_auto.server.logs import set_up

    set_up(settings.config.log)
    app = build(settings, dry_run=dry, insecure=insecure_no_keys, read=read)
    announce_state(settings, dry_run=dry, asked=dry_run)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(app, settings, announcer(settings, dry_run=dry, as_json=as_json)))


def announcer(settings: Settings, *, dry_run: bool, as_json: bool) -> Callable[[str], None]:
    """Return what tells the address once connections are accepted."""
    total = len(settings.pool.candidates)
    unready = {} if dry_run else settings.unready
    usable = sum(c.upstream not in unready for c in settings.pool.candidates)

    def announce(url: str) -> None:
        # What start-up made lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        counted = f"{total} candidates" if usable == total else f"{usable} of {total} candidates"
        made_up = ", dry run" if dry_run else ""
        output.note(
            f"openfusion {__version__} ready on {url} (openfusion/auto, {counted}{made_up})"
        )
        if as_json:
            ready = {"url": url, "version": __version__, "dry_run": dry_run}
            output.data({**ready, "candidates": total, "usable": usable}, indent=None)

    return announce


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop when the extra `fast` is installed, else None: asyncio's own."""
    try:
        found: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module(
            "uvloop"
        ).new_event_loop
    except ImportError:
        return None
    return found
