"""Small replacements in a text, remembered with enough of their surroundings to be found and undone later.

Between doing and undoing, the user may have edited other parts of the file: what is undone is found by its text, not
by its place. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_LINE = 200  # [characters] a longer line (minified JSON) is not taken whole as surroundings
_STEP = 16  # [characters] by which surroundings grow until they are found once


@dataclass(frozen=True, slots=True)
class Splice:
    """`removed` became `inserted`; both hold the same surroundings at their ends.

    `at_end`: it was the end of the text, where the last line may have had no line end.
    """

    removed: str
    inserted: str
    at_end: bool = False


def difference(old: str, new: str) -> tuple[int, str, str]:
    """Return where two texts differ: the offset, what stands there in `old` and what in `new`.

    Line ends are never cut in two.
    """
    start = _common(old, new)
    if start and old[start - 1] == "\r":
        start -= 1
    tail = _common(old[start:][::-1], new[start:][::-1])
    if any(_cuts_line_end(text, start, len(text) - tail) for text in (old, new)):
        tail -= 1
    return start, old[start : len(old) - tail], new[start : len(new) - tail]


def _cuts_line_end(text: str, start: int, at: int) -> bool:
    return start < at < len(text) and text[at - 1 : at + 1] == "\r\n"


def _common(a: str, b: str) -> int:
    """Return the length of the common beginning, by halving: a comparison of slices is quick."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def splice(old: str, new: str) -> Splice:
    """Return the replacement that makes `new` of `old`; `inserted` stands in `new` once."""
    start, removed, inserted = difference(old, new)
    end = start + len(inserted)
    left = _line_start(new, start)
    right = _line_end(new, end)
    while new.count(new[left:right]) != 1 and (left > 0 or right < len(new)):
        left, right = max(0, left - _STEP), min(len(new), right + _STEP)
    before, after = new[left:start], new[end:right]
    return Splice(before + removed + after, before + inserted + after, at_end=right == len(new))


def _line_start(text: str, at: int) -> int:
    found = text.rfind("\n", 0, at) + 1
    return found if at - found <= _LINE else at


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    found = len(text) if found < 0 else found
    if text[found - 1 : found] == "\r" and found > at:
        found -= 1
    return found if found - at <= _LINE else at


def splices(texts: Sequence[str]) -> tuple[Splice, ...]:
    """Return the replacements from each text to the next."""
    return tuple(splice(old, new) for old, new in pairwise(texts) if old != new)


def undone(text: str, done: Sequence[Splice]) -> str | None:
    """Return `text` without the replacements; None when one of them is not found exactly once."""
    for one in reversed(done):
        if not one.inserted or text.count(one.inserted) != 1:
            return None
        before, after = text.split(one.inserted)
        text = _join(before + one.removed, after, one)
    return text


def _join(before: str, after: str, gone: Splice) -> str:
    """Put two parts together; where lines were added behind what was the last one, that one ends now."""
    added = gone.at_end and gone.inserted.endswith("\n")
    if added and before and after and not before.endswith("\n"):
        return before + ("\r\n" if gone.inserted.endswith("\r\n") else "\n") + after
    return before + after
