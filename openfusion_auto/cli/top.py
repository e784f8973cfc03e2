"""`openfusion top`: the requests of a running server as they come, in the terminal."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import (
    FiniteRange,
    config_option,
    json_option,
    load_settings,
    server_option,
    stdin_is_terminal,
)
from openfusion_auto.cli.remote import ask_server, server_of

if TYPE_CHECKING:
    from openfusion_auto.cli.remote import Server

STRANGE = "the server's answer is not one that this version can show; see it with --json"
END = "\x04"  # Ctrl-D


@click.command()
@server_option
@click.option("--once", is_flag=True, help="Print what there is now, and end; so does a pipe.")
@click.option("--every", type=FiniteRange(0.2, 60), default=1.0, show_default=True, metavar="SECONDS",
              help="How often to look.")  # fmt: skip
@json_option
@config_option
def command(
    server: str | None, once: bool, every: float, as_json: bool, config: Path | None
) -> None:
    """Watch the requests of a running server.

    Who answered, in which mode, for how much, how fast; what was spent in the last 24 hours, and which candidates
    rest. q or Ctrl-C ends. The server is the configured one unless --server names another; a gateway key shows its
    own requests alone. --once and --json print one look. Exit code 1 when no server answers.
    """
    there = server_of(load_settings(config), server)
    found = look(there)
    if as_json:
        output.data(found)
        return
    console = output.console()
    if once or not console.is_terminal or console.is_dumb_terminal:
        from openfusion_auto.cli.top_view import show

        with shown():
            show(found, console)
        return
    with shown(), contextlib.suppress(KeyboardInterrupt):
        watch(there, found, every)


def look(server: Server) -> dict[str, Any]:
    """Return what there is to see now.

    Raises:
        Failure: no server answers, or it refuses.
    """
    from openfusion_auto.cli.top_view import LISTED

    status = ask_server(server, "/v1/status")
    traces = ask_server(server, f"/v1/traces?limit={LISTED}")
    return {
        "object": "openfusion.top",
        "server": server.url,
        "status": status,
        "requests": traces.get("data"),
    }


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Say in one line that an answer is none of ours."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError):
        raise output.Failure(STRANGE) from None


def watch(server: Server, found: Mapping[str, Any], every_s: float) -> None:
    """Draw what there is, again and again, until q; a server that is gone is waited for."""
    from rich.live import Live

    from openfusion_auto.cli.top_view import Screen
    from openfusion_auto.runtime.clock import Clock

    clock, gone = Clock(), ""
    with keys() as pressed, Live(console=output.console(), screen=True, auto_refresh=False) as live:
        while True:
            live.update(Screen(found, clock.wall(), gone), refresh=True)
            if not {"q", "Q", END}.isdisjoint(pressed(every_s)):
                return
            try:
                found, gone = look(server), ""
            except output.Failure as error:
                gone = error.message


@contextlib.contextmanager
def keys() -> Iterator[Any]:
    """Give what waits [s] for keys and returns them, "" when none was pressed; the terminal is as before afterwards."""
    if sys.platform == "win32" or not stdin_is_terminal():

        def rest(seconds: float) -> str:
            threading.Event().wait(seconds)
            return ""

        yield rest
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def wait(seconds: float) -> str:
        ready, _, _ = select.select([number], [], [], seconds)
        # Past Python's buffer, which would keep what `select` then cannot see. Nothing to read = the terminal is gone.
        return (os.read(number, 64).decode("latin-1") or END) if ready else ""

    try:
        tty.setcbreak(number)
        yield wait
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
