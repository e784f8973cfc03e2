"""Code blocks of a Markdown answer (CommonMark 0.31, 4.5), as far as a check needs them."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`\r\n]*)$")


class Fence(NamedTuple):
    """A code block: what stands behind its opening fence, what is in it, and whether it was closed."""

    info: str
    body: str
    closed: bool

    @property
    def language(self) -> str:
        """The first word behind the fence, folded."""
        words = re.split(r"[\s,{:]", self.info.strip().lower(), maxsplit=1)
        return words[0] if words else ""


def fences(text: str) -> list[Fence]:
    """Return the code blocks of a text, in order; a block in a list loses the list's indent."""
    found: list[Fence] = []
    opened: re.Match[str] | None = None
    body: list[str] = []
    for line in text.splitlines():
        mark = _OPEN.match(line)
        if opened is None:
            opened, body = (mark if mark is not None and opens(mark) else None), []
        elif mark is not None and closes(mark, opened):
            found.append(Fence(opened["info"].strip(), "\n".join(body), closed=True))
            opened = None
        else:
            body.append(without(opened["indent"], line))
    if opened is not None:
        found.append(Fence(opened["info"].strip(), "\n".join(body), closed=False))
    return found


def opens(mark: re.Match[str]) -> bool:
    """Whether a fence opens a block: a bare row of tildes is a heading's line in reStructuredText."""
    return mark["fence"][0] == "`" or bool(mark["info"].strip())


def closes(mark: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether a fence closes the one that is open: of the same sign, at least as long, nothing behind it."""
    fence = mark["fence"]
    return (
        fence[0] == opened["fence"][0]
        and len(fence) >= len(opened["fence"])
        and not mark["info"].strip()
    )


def without(indent: str, line: str) -> str:
    """Return a line without as much of the indent as it has."""
    blanks = len(line) - len(line.lstrip(" \t"))
    return line[min(blanks, len(indent)) :]


def never_closed(text: str) -> bool:
    """Whether a text ends inside a code block.

    A bare fence at the very end is no such sign: where one block quotes another with fences of one length, the last
    one is left over.
    """
    blocks = fences(text)
    if not blocks or blocks[-1].closed:
        return False
    last = blocks[-1]
    return bool(last.info or last.body.strip())
