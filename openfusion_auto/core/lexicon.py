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


Pair = tuple[str, str]


class Index(NamedTuple):
    """Where words are looked up; values are numbers of signals.

    `words`: whole words. `prefixes`: stems, by their first `PREFIX_CHARS` letters. `pairs`: phrases by their first two
    words, with the rest of the phrase. `stem_pairs`: two words of which the second is a stem. `anywhere`: terms of
    scripts without spaces.
    """

    words: dict[str, tuple[int, ...]]
    prefixes: dict[str, tuple[tuple[str, int], ...]]
    pairs: dict[Pair, tuple[tuple[tuple[str, ...], int], ...]]
    stem_pairs: dict[str, tuple[tuple[str, int], ...]]
    anywhere: tuple[tuple[str, int], ...]


# First letter of the scripts that are searched anywhere: Devanagari and what follows it (Thai, CJK, Hangul, ...).
# Arabic comes before it and has spaces between words.
UNSPACED = "\u0900"
# Stems are found by so many first letters; shorter ones would match half the dictionary.
PREFIX_CHARS = 3


def split_term(term: str) -> tuple[str, ...]:
    """Return the words of a term as a text's words are cut: hyphens and underscores separate."""
    return tuple(term.replace("-", " ").replace("_", " ").split())


def build_index(signals: Iterable[Signal]) -> Index:
    """Return the lookup tables of `signals`; numbers are positions in it.

    Raises:
        ValueError: a stem is shorter than `PREFIX_CHARS`, or stands where no table would find it.
    """
    words: dict[str, list[int]] = {}
    prefixes: dict[str, list[tuple[str, int]]] = {}
    pairs: dict[Pair, list[tuple[tuple[str, ...], int]]] = {}
    stem_pairs: dict[str, list[tuple[str, int]]] = {}
    anywhere: list[tuple[str, int]] = []
    for number, signal in enumerate(signals):
        for term in (t.strip() for t in signal.terms.split(",")):
            parts = split_term(term)
            stem = parts[-1].endswith("*")
            if term[0] >= UNSPACED:
                anywhere.append((term, number))
            elif stem and (len(parts) > 2 or len(parts[-1]) <= PREFIX_CHARS):
                raise ValueError(f"the stem of {term!r} is too short or stands too late")
            elif stem and len(parts) == 2:
                stem_pairs.setdefault(parts[0], []).append((parts[1][:-1], number))
            elif len(parts) > 1:
                pairs.setdefault((parts[0], parts[1]), []).append((parts[2:], number))
            elif stem:
                prefixes.setdefault(parts[0][:PREFIX_CHARS], []).append((parts[0][:-1], number))
            else:
                words.setdefault(parts[0], []).append(number)
    return Index(
        {k: tuple(v) for k, v in words.items()},
        {k: tuple(v) for k, v in prefixes.items()},
        {k: tuple(v) for k, v in pairs.items()},
        {k: tuple(v) for k, v in stem_pairs.items()},
        tuple(anywhere),
    )
