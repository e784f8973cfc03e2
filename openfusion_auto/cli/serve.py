"""`openfusion serve`: the router as a server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
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
from openfusion_auto.cli.workers import Workers, check_possible, metrics_folder, place
from openfusion_auto.errors import cannot_listen

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
    metavar="N",
    help="Processes that serve the address together; 1 by default. Linux only.",
)
@click.option("--worker", hidden=True, help="Which of them this one is; said by their parent.")
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
    workers: int | None,
    worker: str | None,
    no_store: bool,
    insecure_no_keys: bool,
    as_json: bool,
) -> None:
    """Run the router until it is told to stop.

    One line on stderr gives the address when connections are accepted; with --json one line on stdout too. SIGTERM
    and Ctrl-C let running answers finish (server.drain_s), then it ends with 0; a second one ends it at once.
    """
    read = partial(
        load_settings,
        config,
        host=host,
        port=port,
        workers=workers,
        store=False if no_store else None,
    )
    settings = read()
    dry = is_dry_run(settings, asked=dry_run)
    announce = announcer(settings, dry_run=dry, as_json=as_json)
    if worker is None and settings.config.server.workers > 1:
        announce_state(settings, dry_run=dry, asked=dry_run)
        announce_page(settings, dry_run=dry)
        flags = [
            *(["--config", str(config)] if config else []),
            *(["--dry-run"] if dry_run else []),
        ]
        flags += ["--no-store"] if no_store else []
        flags += ["--insecure-no-keys"] if insecure_no_keys else []
        raise SystemExit(serve_by_several(settings, flags, announce))
    if worker is None:
        announce_state(settings, dry_run=dry, asked=dry_run)
        announce_page(settings, dry_run=dry)
    else:
        announce = ready_to_serve
    serve_alone(settings, read, announce, dry_run=dry, insecure=insecure_no_keys, worker=worker)


def serve_alone(
    settings: Settings,
    read: Callable[[], Settings],
    announce: Callable[[str], None],
    *,
    dry_run: bool,
    insecure: bool,
    worker: str | None,
) -> None:
    """Serve in this process; `worker` says which of several it is."""
    from openfusion_auto.page.mount import RECEIPTS, mount
    from openfusion_auto.server.build import build
    from openfusion_auto.server.keys import METRICS
    from openfusion_auto.server.logs import set_up
    from openfusion_auto.server.serving import serve
    from openfusion_auto.server.worker import METRICS_FOLDER, SEALING, worker_of

    if worker is not None and not {METRICS_FOLDER, SEALING} <= os.environ.keys():
        raise click.UsageError("--worker is what `serve --workers` says to the processes it starts")
    set_up(settings.config.log)
    one = None if worker is None else worker_of(worker)
    app = build(
        settings,
        dry_run=dry_run,
        insecure=insecure,
        read=read,
        workers=one.of if one else 1,
        metrics=Path(os.environ[METRICS_FOLDER]) if one else None,
        secret=bytes.fromhex(os.environ[SEALING]) if one else None,
    )
    mount(app, settings.state_path / RECEIPTS)
    together = app[METRICS].together
    if one is not None and one.restarts and together is not None:
        together.restarted()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(app, settings, announce, one))


def serve_by_several(settings: Settings, flags: list[str], announce: Callable[[str], None]) -> int:
    """Serve by several processes; returns the code to end with.

    Args:
        settings: The configuration.
        flags: What was said on the command line, but for the address.
        announce: Called with the address when all accept connections.

    Raises:
        ConfigError: it cannot be done here, or the address cannot be had.
    """
    from openfusion_auto.config.paths import state_dir
    from openfusion_auto.server.logs import set_up

    server = settings.config.server
    check_possible(
        server.workers, store=settings.config.store.enabled, redis=settings.redis_url is not None
    )
    set_up(settings.config.log)
    try:
        taken = place(server.host, server.port)
    except OSError as error:
        raise cannot_listen(server.host, server.port, error) from None
    state = state_dir(os.environ)
    with contextlib.closing(taken), metrics_folder(state) as folder:
        command = [sys.executable, "-m", "openfusion_auto", "serve", *flags]
        command += ["--host", server.host, "--port", str(taken.port)]
        parent = Workers(command, server.workers, server.drain_s, folder)
        return asyncio.run(parent.run(lambda: announce(taken.url)))


def ready_to_serve(_url: str) -> None:
    """See to memory once connections are accepted."""
    # What start-up made lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()


def announce_page(settings: Settings, *, dry_run: bool) -> None:
    """Say that a key which is missing can be given on the page, or why not there, where the configuration allows it."""
    if dry_run or not settings.config.page.take_keys:
        return
    from openfusion_auto.server.held import lacks

    names = [row.upstream for row in lacks(settings) if row.why_not is None]
    if names and settings.config.server.workers > 1:
        output.problem(
            "page.take_keys does nothing with several workers; give a key to openfusion chat, and it counts for all"
        )
    elif names:
        output.problem(
            f"a key for {', '.join(names)} can be given on the page too, once it is ready: /ui/playground#keys"
        )


def announcer(settings: Settings, *, dry_run: bool, as_json: bool) -> Callable[[str], None]:
    """Return what tells the address once connections are accepted."""
    total = len(settings.pool.candidates)
    unready = {} if dry_run else settings.unready
    usable = sum(c.upstream not in unready for c in settings.pool.candidates)

    def announce(url: str) -> None:
        ready_to_serve(url)
        counted = (
            output.many(total, "candidate")
            if usable == total
            else f"{usable} of {total} candidates"
        )
        made_up = ", dry run" if dry_run else ""
        output.note(
            f"openfusion {__version__} ready on {url} (openfusion/auto, page at /ui, {counted}{made_up})"
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
