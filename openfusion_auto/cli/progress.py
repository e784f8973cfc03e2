"""Progress on stderr: one line that is written over, where a person looks; nothing in a pipe or on a dumb terminal."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata

import click

from openfusion_auto.cli import output

BAR_CELLS = 20  # [columns]
ERASE = "\r\x1b[K"


def is_watched() -> bool:
    """Whether a person sees stderr, on a terminal that can erase a line."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class StatusLine:
    """One line on stderr that says what is going on, written over by the next. It has no colours.

    Attributes:
        seen: A person looks; else nothing is written.
    """

    def __init__(self) -> None:
        self.seen = is_watched()
        self._shown = ""

    def show(self, text: str) -> None:
        """Say something instead of what the line said."""
        if self.seen and text != self._shown:
            self._shown = text
            width = shutil.get_terminal_size().columns - 1  # the last column would wrap
            self._write(ERASE + fitting(output.clean(text), width))

    def clear(self) -> None:
        """Leave the line empty, for what is said next."""
        if self._shown:
            self._write(ERASE)
            self._shown = ""

    def _write(self, text: str) -> None:
        click.echo(text, err=True, nl=False, color=True)


class Progress:
    """A bar that counts to `total`."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._line = StatusLine()

    def step(self, what: str) -> None:
        """Count one more, and say what it was."""
        self._done += 1
        full = BAR_CELLS * self._done // max(1, self._total)
        bar = "#" * full + "." * (BAR_CELLS - full)
        self._line.show(f"[{bar}] {self._done}/{self._total}  {what}")

    def clear(self) -> None:
        """Leave the line empty, until the next step."""
        self._line.clear()


def fitting(text: str, width: int) -> str:
    """Return the beginning of a text, on one line, that takes at most `width` columns."""
    used, kept = 0, []
    for ch in text.replace("\n", " ").replace("\t", " "):
        used += 2 if unicodedata.east_asian_width(ch) in "WF" else 1
        if used > width:
            break
        kept.append(ch)
    return "".join(kept)
