"""An answer on its way to the terminal: as it is where it is piped, as Markdown where a person reads it.

Meanwhile stderr says who is being asked, who has answered and who is out. What models say is foreign: control
characters never reach the terminal, links show their address, and no length or nesting makes us think for long.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

from openfusion_auto.cli import output
from openfusion_auto.cli.common import stdin_is_terminal
from openfusion_auto.cli.progress import StatusLine
from openfusion_auto.runtime.beside import beside

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.markdown import Markdown
    from rich.segment import Segment
    from rich.text import Text

    from openfusion_auto.cli.talk import Talk
    from openfusion_auto.runtime.trace import Attempt, Trace

TICK_S = 0.1  # [s] between two looks: as fast as a person reads
# [characters] of one block. Markdown of hostile text takes quadratic time: 0.05 s at the first, 0.2 s at the second.
# Up to here the block that is being written is shown as Markdown, beyond it as text.
PREVIEWED = 8_000
RENDERED = 16_000  # a longer one is no Markdown: it and what follows are shown as text
TAIL = 4_000  # [characters] of a long block that are shown while it is written: more than a screen


class View(Protocol):
    """Shows an answer as it comes."""

    def show(self, piece: str) -> None:
        """Take the next piece."""
        ...

    def tick(self) -> None:
        """Bring the terminal up to date."""
        ...

    def end(self) -> None:
        """Show what is left; the last line is ended, also when the answer broke off."""
        ...


async def print_stream(talk: Talk, question: str) -> None:
    """Print an answer as it comes.

    Raises:
        FusionError: no answer, or only a part of one; what was shown stays shown.
    """
    view = view_here()
    watch = Watch(lambda: talk.traces[-1] if talk.traces else None)
    begun = len(talk.traces)
    spoken = False

    def show(piece: str) -> None:
        nonlocal spoken
        if not spoken:
            spoken = True
            watch.end()
        view.show(piece)

    async def keep_up() -> None:
        while True:
            await talk.engine.means.clock.sleep(TICK_S)
            if spoken:
                view.tick()
            elif len(talk.traces) > begun:
                watch.tick(talk.engine.means.clock.wall())

    with unechoed():
        try:
            async with beside(keep_up()):
                await talk.stream(question, show)
        finally:
            if not spoken:
                watch.end()
            view.end()


@contextlib.contextmanager
def unechoed() -> Iterator[None]:
    """Keep off the screen what is typed meanwhile, `^C` too: it would move the lines that are drawn anew.

    Whoever reads the terminal next gets it.
    """
    if sys.platform == "win32" or not stdin_is_terminal() or not sys.stdout.isatty():
        yield
        return
    import termios

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    try:
        termios.tcsetattr(number, termios.TCSADRAIN, silent)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def view_here() -> View:
    """Return the view for stdout as it is."""
    if sys.stdout is None or not sys.stdout.isatty():
        return PlainView()
    console = output.console()
    return PlainView() if console.is_dumb_terminal else MarkdownView(console)


class PlainView:
    """The text as it is, but for control characters."""

    def __init__(self) -> None:
        self._last = "\n"

    def show(self, piece: str) -> None:
        """Print a piece."""
        self._last = piece
        output.emit(piece, newline=False)

    def tick(self) -> None:
        """Everything has been printed."""

    def end(self) -> None:
        """End the last line."""
        if not self._last.endswith("\n"):
            output.emit()


class MarkdownView:
    """Finished blocks are printed for good; the one that is being written stands below them and is drawn anew."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._text = ""  # what is not printed for good
        self._looked = 0  # [characters] of it that were searched for finished blocks
        self._live: Live | None = None
        self._plain = False
        self._blank = False  # an empty line belongs before the next block

    def show(self, piece: str) -> None:
        """Take the next piece."""
        self._text += output.clean(piece)

    def tick(self) -> None:
        """Print what is finished, and draw the rest."""
        self._settle()
        if self._plain:
            return
        if self._text.strip():
            self._draw()

    def end(self) -> None:
        """Print what is left."""
        if not self._plain:
            self._text += "\n"
        self._settle(ended=True)
        self._close()
        if not self._plain:
            self._print(self._text)
        elif self._blank:
            self._write("\n")

    def _settle(self, *, ended: bool = False) -> None:
        """Print the blocks that are finished: those before the last one."""
        if self._plain:
            self._write(self._text)
            self._blank = not self._text.endswith("\n") if self._text else self._blank
            self._text = ""
            return
        lines = self._text.rfind("\n") + 1  # a line that is still being written may become anything
        # Beyond some length not with every line: each look reads all of them.
        step = 1.25 if self._looked > PREVIEWED and not ended else 1.0
        if lines > self._looked * step:
            self._looked = lines
            done = 0
            for start in starts(self._text[:lines])[1:]:
                self._print(self._text[done:start])
                done, self._looked = start, 0
            self._text = self._text[done:]
        if len(self._text) > RENDERED:
            self._close()
            self._plain = True
            self._settle()

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()

    def _print(self, text: str) -> None:
        """Print a block for good, above the one that is being written."""
        if not text.strip():
            return
        self._console.print(Shown(markdown(text), blank=self._blank))
        self._blank = True

    def _draw(self) -> None:
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        short = len(self._text) <= PREVIEWED
        content = markdown(self._text) if short else Text(self._text[-TAIL:])
        rows = max(1, self._console.height - 2)
        self._live.update(Shown(content, blank=self._blank, rows=rows), refresh=True)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


class Shown:
    """A part of an answer as the lines that it takes: none empty at either end, at most `rows`, the last ones."""

    def __init__(self, content: Markdown | Text, *, blank: bool, rows: int | None = None) -> None:
        self._content = content
        self._blank = blank
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.segment import Segment

        lines = console.render_lines(self._content, options, pad=False)
        while lines and is_empty(lines[-1]):
            lines.pop()
        while lines and is_empty(lines[0]):
            lines.pop(0)
        if self._blank:
            lines.insert(0, [])
        for line in lines[-self._rows :] if self._rows else lines:
            # Markdown spells controls out: entities, and the %1B of an address between < and >.
            yield from (Segment(output.clean(s.text), s.style, s.control) for s in line)
            yield Segment.line()


def is_empty(line: list[Segment]) -> bool:
    """Whether nothing stands in a line."""
    return not "".join(part.text for part in line).strip()


def markdown(text: str) -> Markdown:
    """Return text as Markdown: links show their address, so that nothing hides behind words."""
    from rich.markdown import Markdown

    return Markdown(text, hyperlinks=False, code_theme="ansi_dark")


def starts(text: str) -> list[int]:
    """Return where each block of Markdown begins: all but the last one do not change any more."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt().enable("strikethrough").enable("table").parse(text)
    first = {t.map[0] for t in tokens if t.level == 0 and t.map}
    ends = accumulate(len(line) + 1 for line in text.split("\n"))
    return [end for line, end in enumerate((0, *ends)) if line in first]


class Watch:
    """Says on stderr how the calls of a request go, until its answer begins.

    Each call beside the one that answers gets a line when it ends; who is still being asked stands in the line below.
    """

    def __init__(self, trace: Callable[[], Trace | None]) -> None:
        self._trace = trace
        self._line = StatusLine()
        self._told: set[int] = set()

    def tick(self, now_s: float) -> None:
        """Tell what is new; `now_s` is the time of day [s since 1970]."""
        trace = self._trace()
        if trace is None or not self._line.seen:
            return
        self._tell(trace)
        waiting = [a.candidate for a in trace.attempts if a.status == "running"]
        if waiting:
            self._line.show(f"waiting for {', '.join(waiting)}  {now_s - trace.at:.0f} s")

    def end(self) -> None:
        """Tell what is still to be told, and leave the line empty."""
        trace = self._trace()
        if trace is not None and self._line.seen:
            self._tell(trace)
        self._line.clear()

    def _tell(self, trace: Trace) -> None:
        if trace.outcome == "cancelled":
            return  # by who looks: the calls were not too slow
        several = trace.decision is not None and len(trace.decision.plan.steps) > 1
        for number, call in enumerate(trace.attempts):
            over = call.status != "running" and number not in self._told
            if over and (several or call.status != "ok"):
                self._told.add(number)
                self._line.clear()
                output.note(f"  {told(call, dry_run=trace.dry_run)}")


def told(call: Attempt, *, dry_run: bool) -> str:
    """Return one line about a call that has ended."""
    ms = call.ms or 0.0
    took = f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
    if call.status == "ok":
        money = "" if dry_run else f", {output.usd(call.usd)}"
        return f"{call.phase}: {call.candidate} answered after {took}{money}"
    why = "too slow" if call.status == "cancelled" else call.error or "error"
    return f"{call.phase}: {call.candidate} is out after {took} ({why})"
