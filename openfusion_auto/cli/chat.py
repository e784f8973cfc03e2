"""`openfusion chat`: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    MODES,
    config_option,
    dry_run_option,
    json_option,
    load_settings,
    readable,
    start_engine,
    stdin_is_terminal,
)
from openfusion_auto.errors import FusionError

if TYPE_CHECKING:
    from openfusion_auto.cli.slash import Chat
    from openfusion_auto.cli.talk import Talk


@click.command()
@dry_run_option
@json_option
@click.option("--model", default="openfusion/auto", metavar="NAME", show_default=True,
              shell_complete=complete.models, help="A name that `openfusion models` lists.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), help="One mode instead of the best one.")
@click.option("--no-history", is_flag=True, help="Keep nothing of what is typed for the next chat.")
@config_option
def command(
    dry_run: bool,
    as_json: bool,
    model: str,
    mode: str | None,
    no_history: bool,
    config: Path | None,
) -> None:
    """Talk to the router in the terminal.

    Needs no server. Keeps the conversation until /clear; /help lists what else can be said. Ctrl-C stops an answer and
    says what it cost, Ctrl-D ends. Without a key it asks for one. With input from a pipe each line is a turn, nothing
    is asked, and a failed turn makes the exit code 1. --json prints each answer's body on a line.
    """
    from openfusion_auto.cli.slash import Chat
    from openfusion_auto.cli.talk import Place, Talk

    settings = load_settings(config)
    typed = stdin_is_terminal()
    keyless = False
    if typed and not as_json and not dry_run:
        from openfusion_auto.cli.give_key import offer

        offered = offer(settings)
        keyless = offered == "declined"
        settings = load_settings(config) if offered == "given" else settings
    place = Place(settings, start_engine(settings, asked=dry_run, keyless=keyless))
    talk = Talk(place, model=model, options={"mode": mode})
    talk.restart()
    with asyncio.Runner() as runner:
        chat = Chat(talk, runner, config, dry_run=dry_run)
        read = typing(chat, keep=not no_history) if typed else piped
        try:
            failed = converse(chat, read, as_json=as_json)
        finally:
            runner.run(talk.close())
    if failed and not typed:
        raise click.exceptions.Exit(1)


def typing(chat: Chat, *, keep: bool) -> Callable[[], str]:
    """Return what reads what a person types, and greet."""
    from openfusion_auto.cli.keyboard import Keyboard

    output.note("Enter sends, Alt-Enter: a new line, /help: commands, Ctrl-D ends.")
    keyboard = Keyboard(chat.words, chat.talk.settings.state_path if keep else None)
    return lambda: chat.runner.run(keyboard.read())


def piped() -> str:
    """Read a line that no person types.

    Raises:
        EOFError: there is no further one.
    """
    # Bytes that are no UTF-8 must not end the program.
    line = sys.stdin.buffer.readline().decode("utf-8", "replace") if sys.stdin is not None else ""
    if not line:
        raise EOFError
    return line


def converse(chat: Chat, read: Callable[[], str], *, as_json: bool) -> int:
    """Take turns until the end of the input; return how many failed."""
    from openfusion_auto.cli.slash import is_command, obey

    failed = 0
    while True:
        try:
            line = readable(read()).strip()
            if line == "/exit":
                return failed
            if is_command(line):
                obey(chat, line)
            elif line:
                failed += not turn(chat.talk, chat.runner, line, as_json=as_json)
        except EOFError:
            return failed
        except KeyboardInterrupt:  # as a shell does: what was begun is dropped, not the program
            if read is piped:
                raise
            output.note("")
        except FusionError as error:  # of a command; a turn says its own
            output.problem(error.message)


def turn(talk: Talk, runner: asyncio.Runner, line: str, *, as_json: bool) -> bool:
    """Ask once and print the answer; return whether there was one."""
    from openfusion_auto.cli.answer_view import print_stream
    from openfusion_auto.cli.talk import failed, summary

    before = len(talk.traces)
    try:
        if as_json:
            output.data(runner.run(talk.whole(line)), indent=None)
        else:
            runner.run(print_stream(talk, line))
    except KeyboardInterrupt:
        for trace in talk.traces[before:]:
            output.note(f"stopped | {summary(trace, talk.engine)}")
        return False
    except FusionError as error:
        output.problem(error.message)
        for said in (text for trace in talk.traces[before:] for text in failed(trace, talk)):
            output.note(said)
        return False
    output.note(summary(talk.traces[-1], talk.engine))
    return True
