"""`openfusion chat`: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.ask import print_stream
from openfusion_auto.cli.common import (
    MODES,
    config_option,
    dry_run_option,
    json_option,
    stdin_is_terminal,
)
from openfusion_auto.errors import FusionError

if TYPE_CHECKING:
    from openfusion_auto.cli.talk import Talk

SLASH = re.compile(r"/[a-z]*")  # a word alone: "/etc/hosts is broken" is a question
HELP = (
    "/why  how the last turn was decided    /cost  what was spent    /clear  start anew    /exit\n"
    "Ctrl-C stops an answer, Ctrl-D ends."
)


@click.command()
@dry_run_option
@json_option
@click.option("--model", default="openfusion/auto", metavar="NAME", show_default=True,
              help="A name that `openfusion models` lists.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), help="One mode instead of the best one.")
@config_option
def command(
    dry_run: bool, as_json: bool, model: str, mode: str | None, config: Path | None
) -> None:
    """Talk to the router in the terminal.

    Needs no server. Keeps the conversation until /clear; /why shows how the last turn was decided, /cost what was
    spent, /exit or Ctrl-D ends, Ctrl-C stops an answer. With input from a pipe each line is a turn, and a failed
    turn makes the exit code 1. --json prints each answer's body on a line.
    """
    from openfusion_auto.cli.talk import start

    talk = start(config, dry_run=dry_run, model=model, options={"mode": mode})
    talk.restart()
    read = prompting() if stdin_is_terminal() else piped
    if stdin_is_terminal():
        output.note(HELP)
    with asyncio.Runner() as runner:
        try:
            failed = converse(talk, runner, read, as_json=as_json)
        finally:
            runner.run(talk.close())
    if failed and not stdin_is_terminal():
        raise click.exceptions.Exit(1)


def prompting() -> Callable[[], str]:
    """Return what reads a line from a person, with editing and a history where the platform has them."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")
    return lambda: input("> ")


def piped() -> str:
    """Read a line that no person types.

    Raises:
        EOFError: there is no further one.
    """
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def converse(talk: Talk, runner: asyncio.Runner, read: Callable[[], str], *, as_json: bool) -> int:
    """Take turns until the end of the input; return how many failed."""
    failed = 0
    while True:
        try:
            line = read().strip()
        except EOFError:
            return failed
        except KeyboardInterrupt:  # as a shell does: the line is dropped, not the program
            output.note("")
            continue
        if line == "/exit":
            return failed
        if SLASH.fullmatch(line):
            obey(line, talk)
        elif line:
            failed += not turn(talk, runner, line, as_json=as_json)


def turn(talk: Talk, runner: asyncio.Runner, line: str, *, as_json: bool) -> bool:
    """Ask once and print the answer; return whether there was one."""
    from openfusion_auto.cli.talk import summary

    try:
        if as_json:
            output.data(runner.run(talk.whole(line)), indent=None)
        else:
            runner.run(print_stream(talk, line))
    except KeyboardInterrupt:
        output.note("stopped")
        return False
    except FusionError as error:
        output.problem(error.message)
        return False
    output.note(summary(talk.traces[-1], talk.engine))
    return True


def obey(line: str, talk: Talk) -> None:
    """Carry out a slash command."""
    known = {"/why": why, "/cost": cost, "/clear": clear}
    known.get(line, usage)(talk)


def usage(_talk: Talk) -> None:
    """Say what there is."""
    output.note(HELP)


def clear(talk: Talk) -> None:
    """Forget the conversation; what was spent stays counted."""
    talk.restart()
    output.note("a new conversation begins")


def why(talk: Talk) -> None:
    """Show how the last turn was decided."""
    decision = talk.traces[-1].decision if talk.traces else None
    if decision is None:
        output.note("nothing has been decided yet")
        return
    from openfusion_auto.cli.route_view import show
    from openfusion_auto.core.explain import decision_json

    show(decision_json(decision), output.console())


def cost(talk: Talk) -> None:
    """Show what the turns cost together; one unknown price makes the sum unknown."""
    from openfusion_auto.core.cost import total

    spent = [t.usd() for t in talk.traces]
    tokens = sum(t.usage().input + t.usage().output for t in talk.traces)
    calls = sum(len(t.attempts) for t in talk.traces)
    money = "nothing spent (dry run)" if talk.engine.dry_run else output.usd(total(spent))
    output.note(f"{money} for {len(talk.traces)} turns, {calls} calls, {tokens:,} tokens")
