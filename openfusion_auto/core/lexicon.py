"""How the tables of signals are written and looked up. The tables themselves: `signals.py`, `signals_levels.py`.

fix            a whole word                    crash*          every word that begins so
root cause     words in this order             支付            anywhere (scripts without spaces)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


def word_set(text: str) -> frozenset[str]:
    """Return the words of `text`: how tables of plain words are written."""
    return frozenset(text.split())


class Signal(NamedTuple):
    """`terms` (separated by commas) speak for `axis` (a kind, "risk" or "complexity") with `points` each.

    `group`: of one group only the strongest signal counts, so that saying it twice weighs once.
    """

    name: str
    axis: str
    points: float
    group: str
    terms: str


class Index(NamedTuple):
    """Where to look a word up. Values are `(number of the signal, the term)`; phrases hold their other words."""

    words: dict[str, tuple[int, ...]]
    prefixes: dict[str, tuple[tuple[str, int], ...]]
    phrases: dict[str, tuple[tuple[tuple[str, ...], int], ...]]
    anywhere: tuple[tuple[str, int], ...]


# First letter of the scripts that are searched anywhere: Devanagari and what follows it (Thai, CJK, Hangul, ...).
# Arabic comes before it and has spaces between words.
UNSPACED = "\u0900"
PREFIX_CHARS = (
    3  # stems are found by their first letters; shorter stems would match half the dictionary
)


def build_index(signals: Iterable[Signal]) -> Index:
    """Return the lookup tables of `signals`; numbers are positions in it.

    Raises:
        ValueError: a stem is shorter than `PREFIX_CHARS`.
    """
    words: dict[str, list[int]] = {}
    prefixes: dict[str, list[tuple[str, int]]] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    anywhere: list[tuple[str, int]] = []
    for number, signal in enumerate(signals):
        for term in (t.strip() for t in signal.terms.split(",")):
            parts = tuple(term.replace("-", " ").replace("_", " ").split())
            if term[0] >= UNSPACED:
                anywhere.append((term, number))
            elif len(parts) > 1:
                phrases.setdefault(parts[0], []).append((parts[1:], number))
            elif parts[0].endswith("*"):
                if len(parts[0]) <= PREFIX_CHARS:
                    raise ValueError(f"stem {term!r} is too short")
                prefixes.setdefault(parts[0][:PREFIX_CHARS], []).append((parts[0][:-1], number))
            else:
                words.setdefault(parts[0], []).append(number)
    return Index(
        {k: tuple(v) for k, v in words.items()},
        {k: tuple(v) for k, v in prefixes.items()},
        {k: tuple(v) for k, v in phrases.items()},
        tuple(anywhere),
    )
