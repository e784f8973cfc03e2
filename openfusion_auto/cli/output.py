"""What goes to the terminal: data to stdout, everything said about it to stderr; nothing foreign moves the cursor."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from openfusion_auto.core import words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from openfusion_auto.errors import FusionError

NAME = "openfusion"
clean, count, many, usd = words.clean, words.count, words.many, words.usd


class Failure(click.ClickException):
    """The command was right, but it did not work out: one line on stderr, exit code 1."""

    def show(self, file: object = None) -> None:  # noqa: ARG002 - click's signature
        """Print the message."""
        problem(self.message)


def tolerate_any_text() -> None:
    """Let a terminal that cannot show a character show `?` instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def data(value: object, *, indent: int | None = 2) -> None:
    """Print JSON on stdout, in ASCII, so that any locale carries it."""
    click.echo(json.dumps(value, indent=indent, allow_nan=False))


def emit(text: str = "", *, newline: bool = True) -> None:
    """Print human text on stdout."""
    click.echo(clean(text), nl=newline)


def note(text: str) -> None:
    """Say something on stderr."""
    click.echo(clean(text), err=True)


def exit_code(error: FusionError) -> int:
    """Return what a command ends with: 2 for what its user asked for or configured, else 1."""
    from openfusion_auto.errors import ConfigError

    return 2 if isinstance(error, ConfigError) or error.scope == "client" else 1


def log_as_notes() -> None:
    """Let what is logged where nobody set up logging look like all else that is said on stderr."""
    import logging

    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter(f"{NAME}: %(message)s"))


def problem(text: str) -> None:
    """Say on stderr what is wrong."""
    note(f"{NAME}: {text}")


def coloured(text: str, colour: str) -> str:
    """Return text in a colour for `paint`; as it is under NO_COLOR (no-color.org)."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=colour, bold=True)


def paint(head: str, rest: str) -> None:
    """Print a line on stdout whose `head` holds our own colours; they go away where stdout is no terminal."""
    click.echo(head + clean(rest))


def console() -> Console:
    """Return the console for tables on stdout: no markup, so that foreign text stays text."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def boxed(target: Console) -> Table:
    """Return an empty table with a line under its head, drawn in letters where the console is not fancy."""
    from rich.box import ASCII2, SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD if is_fancy(target) else ASCII2, pad_edge=False)


def is_fancy(target: Console) -> bool:
    """Whether block characters and colours will be seen; a pipe, a file or `NO_COLOR` get letters."""
    return target.is_terminal and not target.no_color and target.encoding.startswith("utf")


def text_of(row: Mapping[str, object], key: str, unknown: str = "-") -> str:
    """Return a member as clean text on one line, or `unknown` when it is absent or null."""
    value = row.get(key)
    return unknown if value is None else " ".join(clean(str(value)).split())
