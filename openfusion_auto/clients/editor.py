"""Putting a template into a text and taking it out again, whatever the format; nothing is believed unread.

An editor proposes texts; here each is read back, and one whose data is not what was asked for is refused. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from openfusion_auto.clients.plan import (
    MISSING,
    Change,
    Path,
    Restore,
    Rules,
    get,
    put,
    restores,
    same,
    wanted_changes,
)
from openfusion_auto.clients.splice import Splice, splices, undone
from openfusion_auto.errors import ConfigError

# Stands in the comments around what we wrote, in formats that have comments.
BEGIN = '# >>> openfusion (managed: "openfusion adapter" wrote this and takes it out again) >>>'
END = "# <<< openfusion <<<"


class Editor(Protocol):
    """One format. Every method raises `ConfigError` on a text that it does not understand: `LINE: what`."""

    def data(self, text: str, rules: Rules) -> dict[str, object]:
        """Return the values in `text`."""
        ...

    def raw(self, text: str, path: Path) -> str:
        """Return the value at `path` as it is written."""
        ...

    def value(self, raw: str) -> object:
        """Return what a value that `raw` gave reads as."""
        ...

    def line(self, text: str, path: Path) -> int:
        """Return the line of the value at `path`, or of the nearest thing around it."""
        ...

    def steps(self, text: str, changes: Sequence[Change]) -> Iterator[str]:
        """Yield the text after each change; from one to the next only one place differs."""
        ...

    def restored(self, text: str, ops: Sequence[Restore]) -> Iterator[str]:
        """Yield texts with values put back or deleted; the first whose data is right is taken."""
        ...


@dataclass(frozen=True, slots=True)
class Edit:
    """A text with our values in it, and how to take them out."""

    text: str
    changes: tuple[Change, ...] = ()
    splices: tuple[Splice, ...] = ()


def missing(
    editor: Editor, text: str, template: Mapping[str, object], rules: Rules
) -> tuple[tuple[Path, object], ...]:
    """Return what `text` lacks of the template, as (path, value).

    Raises:
        ConfigError: the text is broken, or something else stands where a table is needed; begins with the line.
    """
    data = editor.data(text, rules)
    try:
        return tuple(wanted_changes(data, template, rules))
    except ConfigError as error:
        path = tuple((error.param or "").split("."))
        raise ConfigError(f"{editor.line(text, path)}: {error.message}") from error


def put_in(editor: Editor, text: str, template: Mapping[str, object], rules: Rules) -> Edit:
    """Return `text` with the template's values set.

    Raises:
        ConfigError: it cannot be done without touching what is not ours; begins with the line.
    """
    expected = editor.data(text, rules)
    changes = []
    for path, value in missing(editor, text, template, rules):
        had = get(expected, path) is not MISSING
        changes.append(Change(path, value, had, editor.raw(text, path) if had else ""))
        expected = put(expected, path, value)
    texts = [text, *editor.steps(text, changes)]
    if not same(editor.data(texts[-1], rules), expected):
        raise ConfigError("1: the file is written in a way that cannot be edited safely")
    return Edit(texts[-1], tuple(changes), splices(texts))


def take_out(
    editor: Editor,
    text: str,
    changes: Sequence[Change],
    done: Sequence[Splice],
    rules: Rules,
) -> str:
    """Return `text` without what `put_in` wrote; what the user wrote since then stays.

    Args:
        editor: The format.
        text: The file as it is now.
        changes: Those of the `Edit`.
        done: Its splices; empty when they are lost.
        rules: Those it was made with.

    Raises:
        ConfigError: our part was changed so that it cannot be told from the user's; begins with the line.
    """
    data = editor.data(text, rules)
    ops = restores(data, changes, rules)
    expected = data
    for op in ops:
        value = MISSING if op.raw is None else editor.value(op.raw)
        expected = put(expected, op.path, value)
    by_text = undone(text, done) if done else None
    for found in (by_text, *editor.restored(text, ops)):
        if found is not None and _reads_as(editor, found, expected, rules):
            return found
    line = editor.line(text, ops[0].path) if ops else 1
    raise ConfigError(f"{line}: our part was changed by hand; take it out by hand")


def _reads_as(editor: Editor, text: str, expected: Mapping[str, object], rules: Rules) -> bool:
    try:
        return same(editor.data(text, rules), expected)
    except ConfigError:
        return False


def without_regions(text: str) -> str:
    """Return `text` without our marked regions, marks included."""
    return "".join(line for line, ours in _told_apart(text) if not ours)


def regions(text: str) -> str:
    """Return our marked regions alone, marks included."""
    return "".join(line for line, ours in _told_apart(text) if ours)


def _told_apart(text: str) -> Iterator[tuple[str, bool]]:
    inside = False
    for line in text.splitlines(keepends=True):
        mark = line.strip()
        inside = inside or mark == BEGIN
        yield line, inside
        inside = inside and mark != END


def without_marks(text: str) -> str:
    """Return `text` without the lines that mark our regions, but with what is between them."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.strip() not in (BEGIN, END))
