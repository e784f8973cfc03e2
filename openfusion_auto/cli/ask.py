"""`openfusion ask`: one question, one answer."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    MODES,
    config_option,
    dry_run_option,
    json_option,
    read_stdin,
    readable,
    stdin_is_terminal,
)
from openfusion_auto.errors import FusionError

if TYPE_CHECKING:
    from openfusion_auto.cli.talk import Talk

PATIENCE_S = 1.0  # [s] a pipe may stay silent before we say that we are waiting for it


@click.command()
@click.argument("text", metavar="[TEXT]", required=False)
@dry_run_option
@json_option
@click.option("--model", default="openfusion/auto", metavar="NAME", show_default=True,
              shell_complete=complete.models, help="A name that `openfusion models` lists.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), help="One mode instead of the best one.")
@click.option(
    "--stream/--no-stream", default=True, help="Print the answer as it comes, or when it is whole."
)
@click.option("--estimate", is_flag=True, help="Only say what it would cost; nothing is called.")
@config_option
def command(
    text: str | None,
    dry_run: bool,
    as_json: bool,
    model: str,
    mode: str | None,
    stream: bool,
    estimate: bool,
    config: Path | None,
) -> None:
    """Ask one question and print the answer.

    Needs no server. What is piped in stands behind TEXT; without TEXT, or with "-", it is the whole question. The
    answer goes to stdout, as Markdown where a person reads it; a line with model, mode, cost, time and trace to stderr.
    --no-stream prints it as it was written, --json the body that a client would get.
    """
    question = with_input(text)
    if not question.strip():
        raise click.UsageError("there is nothing to ask: TEXT and standard input are empty")

    from openfusion_auto.cli.talk import failed, start, summary

    talk = start(config, dry_run=dry_run, model=model, options={"mode": mode})
    if estimate:
        try:
            show_estimate(talk, question, as_json=as_json)
        finally:
            asyncio.run(talk.close())
        return
    try:
        asyncio.run(answer(talk, question, as_json=as_json, stream=stream))
    except KeyboardInterrupt:
        for trace in talk.traces:
            output.note(f"stopped | {summary(trace, talk.engine)}")
        raise
    except FusionError as error:
        output.problem(error.message)
        for line in (said for trace in talk.traces for said in failed(trace, talk)):
            output.note(line)
        raise click.exceptions.Exit(output.exit_code(error)) from None
    output.note(summary(talk.traces[-1], talk.engine))


def show_estimate(talk: Talk, question: str, *, as_json: bool) -> None:
    """Print what the question would cost: what would be done first, then each mode with expected and worst price."""
    found = talk.estimate(question)
    if as_json:
        output.data(found)
        return
    tokens, usd = found["tokens"], found["usd"]
    about = f"{tokens['input']:,} tokens in, about {tokens['output_expected']:,} out"
    free = ": a dry run spends nothing" if found["dry_run"] else ""
    output.emit(f"{found['mode']} with {found['candidate']}, {about}{free}")
    for mode in found["modes"]:
        price = f"{output.usd(mode['usd']['expected'])} expected, {output.usd(mode['usd']['worst_case'])} at worst"
        calls = output.many(mode["calls"], "call")
        output.emit(f"  {'*' if mode['taken'] else ' '} {mode['mode']:<7} {calls:<8} {price}")
    if usd["left"] is not None:
        output.emit(f"  {output.usd(usd['left'])} are left of its budgets")


def with_input(text: str | None) -> str:
    """Return the question with what was piped in; reads standard input only when something stands there."""
    if text == "-" or (text is None and not stdin_is_terminal()):
        return read_stdin()
    if text is None:
        return ""
    piped = read_stdin() if is_piped() else ""
    question = readable(text)
    return f"{question}\n\n{piped}" if piped.strip() else question


def is_piped() -> bool:
    """Whether a file or a pipe is standard input.

    A socket is not read: programs that start others often leave one open and empty, and we would wait for ever.
    """
    if sys.stdin is None or stdin_is_terminal():
        return False
    try:
        number = sys.stdin.fileno()
    except (OSError, ValueError):  # a stand-in without a file behind it
        return True
    kind = os.fstat(number).st_mode
    waits = os.name == "posix" and stat.S_ISFIFO(kind)  # elsewhere only sockets can be looked at
    if waits and not select.select([number], [], [], PATIENCE_S)[0]:
        output.problem("waiting for standard input; end it with Ctrl-D, or start with </dev/null")
    return stat.S_ISREG(kind) or stat.S_ISFIFO(kind)


async def answer(talk: Talk, question: str, *, as_json: bool, stream: bool) -> None:
    """Print the answer to one question."""
    from openfusion_auto.cli.answer_view import print_stream
    from openfusion_auto.cli.talk import answer_text

    try:
        if as_json:
            output.data(await talk.whole(question))
        elif stream:
            await print_stream(talk, question)
        else:
            output.emit(answer_text(await talk.whole(question)))
    finally:
        await talk.close()
