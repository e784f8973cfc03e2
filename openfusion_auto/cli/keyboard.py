"""What a person types into `openfusion chat`: several lines, a history, completion of commands."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.utils import is_dumb_terminal

from openfusion_auto.cli import output
from openfusion_auto.cli.common import readable

if TYPE_CHECKING:
    from prompt_toolkit.output import Output

FILE = "chat-history"
MODE = 0o600  # rw for the owner: what was typed is nobody else's business
MAX_BYTES = 2**20  # of history; of a longer one the newer half stays
ENTRY = b"\n# "  # how an entry of prompt_toolkit's file begins

Words = Callable[[], Mapping[str, Iterable[str]]]


class Keyboard:
    """Reads what is typed.

    Args:
        words: Says which commands there are, each with what may stand behind it.
        state: The folder in which a history is kept; None keeps none.
    """

    def __init__(self, words: Words, state: Path | None) -> None:
        self._session: PromptSession[str] = PromptSession(
            "> ",
            multiline=True,
            prompt_continuation="  ",
            key_bindings=bindings(),
            completer=Slashes(words),
            complete_style=CompleteStyle.READLINE_LIKE,  # a menu would keep lines free below the prompt
            history=history_in(state) if state is not None else InMemoryHistory(),
            output=terminal(),
        )

    async def read(self) -> str:
        """Return what was typed.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C.
        """
        return await self._session.prompt_async()


def terminal() -> Output | None:
    """Return where the line is drawn: stderr when the answers go into a file.

    None lets prompt_toolkit choose, who writes no escapes to a dumb terminal only then.
    """
    if is_dumb_terminal() and sys.stdout.isatty():
        return None
    return create_output(stdout=sys.stdout if sys.stdout.isatty() else sys.stderr)


def bindings() -> KeyBindings:
    """Return the keys: Enter sends, but behind a backslash, or with Alt, it begins a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys


class Slashes(Completer):
    """Completes commands, and the word behind one."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - prompt_toolkit's signature
    ) -> Iterable[Completion]:
        """Yield what may stand where the cursor is."""
        command, blank, begun = document.text_before_cursor.partition(" ")
        if not command.startswith("/") or "\n" in document.text:
            return
        found = self._words().get(command, ()) if blank else self._words()
        start = begun if blank else command
        for word in found:
            if word.startswith(start):
                yield Completion(word, start_position=-len(start))


class Typed(FileHistory):
    """A history that is the owner's alone, and without what might hold a key."""

    def store_string(self, string: str) -> None:
        """Keep an entry; where it cannot be kept, what was typed counts all the same."""
        if not string.lstrip().startswith("/key"):
            with contextlib.suppress(OSError):
                super().store_string(readable(string))


def history_in(state: Path) -> History:
    """Return the history kept in a folder; one for this chat alone where nothing can be kept."""
    path = state / FILE
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, MODE))
        path.chmod(MODE)
        shorten(path)
    except OSError as error:
        output.problem(f"no history is kept: {path}: {error.strerror}")
        return InMemoryHistory()
    return Typed(str(path))


def shorten(path: Path) -> None:
    """Keep the newer half of a history that has grown too long."""
    if path.stat().st_size <= MAX_BYTES:
        return
    kept = path.read_bytes()[-MAX_BYTES // 2 :]
    begin = kept.find(ENTRY)
    path.write_bytes(kept[begin:] if begin >= 0 else b"")
