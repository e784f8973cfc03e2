"""Words and their weights: how a text is cut up and looked up in the signals.

In a sentence a word counts in full, in a file name, path or identifier by half, in quotation marks or in a harmless
phrase ("dependency injection") not at all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from openfusion_auto.core.lexicon import PREFIX_CHARS, UNSPACED, word_set
from openfusion_auto.core.signals import INDEX, NEUTRAL_PAIRS, SIGNALS

TOKEN_CHARS = 80  # of what stands between two blanks; longer is a blob, not a word
PLURAL_CHARS = 5  # [characters]
DANGER = (
    3.0  # signals so strong are found by the plural and the singular, whichever the table holds
)
NAME_WEIGHT = 0.5  # a word inside a file name, path or identifier
LATER_HEAD = 0.8  # an instruction after the first one
JOINED_HEAD = 0.6  # one behind "and" or a comma

_POLITE = word_set(
    "please pls can could would will you u kindly now then and also just hey hi hello ok okay so i we want "
    "need like i'd "
    "we'd to let's lets help me us should must first next finally quickly go try have bitte kannst du por favor i'll "
    "i'm going gonna simply maybe perhaps sure yes right"
)


# Behind these a noun says what something is for, not what is asked ("the parser for release notes").
_ABOUT = word_set("for about using with")


class Words(NamedTuple):
    """The words of a text in lists of one length: as folded, what each weighs (0..1), how much it begins an instruction
    (0: not at all), and whether it stands in parentheses."""

    texts: list[str]
    weights: list[float]
    begins: list[float]
    asides: list[bool]

    @property
    def first(self) -> str:
        """The first word, or ""."""
        return self.texts[0] if self.texts else ""


class Hit(NamedTuple):
    """A signal that fired: its name, its points at that place, the term found, and whether it is said in passing."""

    name: str
    points: float
    term: str
    aside: bool


# Axis -> group -> the strongest hit of that group, the first of equals.
Hits = dict[str, dict[str, Hit]]


# -- words -----------------------------------------------------------------------------------------------------------

_QUOTES = re.compile(
    r'"[^"\n]{0,160}"|\u201c[^\u201d\n]{0,160}\u201d|«[^»\n]{0,160}»|\u300c[^\u300d\n]{0,160}\u300d|'
    r"\u201e[^\u201c\u201d\n]{0,160}[\u201c\u201d]|(?<![\w)])'[^'\n]{1,100}'(?!\w)"
)
_BACKTICKS = re.compile(r"`([^`\n]{0,160})`")
_PIECES = re.compile(r"\d+(?:[.,]\d+)*[kKmM]?(?![^\W_])|[^\W_]+(?:['\u2019][^\W\d_]+)?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME = re.compile(
    r"[\w\])]\.\w|[\w~.]/[\w.]|\w_\w|_\w|\w\(|^[a-z]+[A-Z]|\w=\w|^[<@$]|::|\w\[|^/\w|[{}]"
)
_ENDS = ".!?;:\u2014\u2013"


class _Chunk(NamedTuple):
    """What stands between two blanks: its words, their weight, and what it opens, closes and ends."""

    pieces: tuple[str, ...]
    weight: float
    opens: bool
    closes: bool
    ends: bool
    joins: bool


@lru_cache(maxsize=4096)
def _chunk(raw: str) -> _Chunk:
    """Take apart what stands between two blanks.

    Kept for the words of earlier requests: language repeats itself, and the answer depends on nothing else.
    """
    body = raw.strip("()[]{},.!?;:'\"*_—–-")
    name = _NAME.search(raw.strip(",.!?;:'\"*")) is not None
    if name:
        body = _CAMEL.sub(" ", body)
    words = tuple(w.replace("\u2019", "'") for w in _PIECES.findall(body.replace("_", " ").lower()))
    return _Chunk(
        words,
        NAME_WEIGHT if name or raw[0] == "`" else 1.0,
        opens=raw[0] == "(",
        closes=")" in raw,
        ends=raw[-1] in _ENDS or (not words and raw in ("-", "*")),
        joins=raw[-1] == "," or words[-1:] in _JOINTS,
    )


_JOINTS = (("and",), ("then",), ("und",), ("et",), ("y",), ("or",))


def tokenise(text: str) -> Words:
    """Return the words of a text with their weights; quotations are left out, code in backticks weighs like a name."""
    if '"' in text or "'" in text or not text.isascii():
        text = _QUOTES.sub(" \u0001 ", text)
    if "`" in text:
        text = _BACKTICKS.sub(lambda m: " `" + m.group(1).replace(" ", "` `") + "` ", text)
    words = Words([], [], [], [])
    begin, aside = 1.0, False
    for raw in text.split():
        chunk = _chunk(raw[:TOKEN_CHARS])
        if raw == "\u0001":
            begin = 0.0
        aside = aside or chunk.opens
        plain = chunk.weight == 1.0 and not aside
        for piece in chunk.pieces:
            words.texts.append(piece)
            words.begins.append(begin if plain else 0.0)
            if begin and piece not in _POLITE:
                begin = 0.0
        words.weights.extend([chunk.weight] * len(chunk.pieces))
        words.asides.extend([aside] * len(chunk.pieces))
        aside = aside and not chunk.closes
        if chunk.ends:
            begin = LATER_HEAD if words.texts else 1.0
        elif chunk.joins:
            begin = max(begin, JOINED_HEAD)
    return words


# -- signals ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def word_signals(word: str) -> tuple[int, ...]:
    """Return the numbers of the signals that one word fires. Kept like `_chunk`."""
    found = list(INDEX.words.get(word, ()))
    if word.endswith(("error", "exception")) and word not in ("error", "exception"):
        return (*found, *(n for _, n in INDEX.pairs["named", "error"]))
    if word.endswith("'s"):
        found += INDEX.words.get(word[:-2], ())
    found += [n for stem, n in INDEX.prefixes.get(word[:PREFIX_CHARS], ()) if word.startswith(stem)]
    if not found and len(word) >= PLURAL_CHARS:
        other = word[:-1] if word[-1] == "s" else f"{word}s"
        found += [n for n in INDEX.words.get(other, ()) if SIGNALS[n].points >= DANGER]
    return tuple(dict.fromkeys(found))


_PAIR_HEADS = frozenset(head for head, _ in INDEX.pairs)
_NEUTRAL_HEADS = frozenset(head for head, _ in NEUTRAL_PAIRS)


@lru_cache(maxsize=4096)
def _may_fire(word: str) -> bool:
    """Whether any signal begins with this word: most words of a text begin none."""
    return word in _PAIR_HEADS or word in INDEX.stem_pairs or bool(word_signals(word))


def find_hits(words: Words, folded: str, scale: float = 1.0) -> Hits:
    """Return the strongest signals that fire, by axis and group.

    Args:
        words: From `tokenise`.
        folded: The whole text in lower case, for scripts without spaces; "" leaves those out.
        scale: Factor on all points.
    """
    hits: Hits = {}
    texts = words.texts
    alone = _without_neutral(words)
    for i, text in enumerate(texts):
        if not _may_fire(text):
            continue
        weight = words.weights[i] * scale
        aside = words.asides[i] or not _ABOUT.isdisjoint(texts[max(0, i - 2) : i])
        following = texts[i + 1] if i + 1 < len(texts) else ""
        for n in word_signals(text) if alone[i] else ():
            _put(hits, n, weight, text, aside=aside)
        for rest, n in INDEX.pairs.get((text, following), ()):
            if _follows(texts, i + 2, rest):
                _put(hits, n, weight, " ".join((text, following, *rest)), aside=aside)
        for stem, n in INDEX.stem_pairs.get(text, ()):
            if following.startswith(stem):
                _put(hits, n, weight, f"{text} {following}", aside=aside)
    if not folded.isascii():
        _find_anywhere(hits, folded, scale)
    return hits


def _find_anywhere(hits: Hits, folded: str, scale: float) -> None:
    if max(folded) < UNSPACED:
        return
    for term, n in INDEX.anywhere:
        if term in folded:
            _put(hits, n, scale, term, aside=False)


def merge(hits: Hits, more: Hits) -> Hits:
    """Return the strongest of both, group by group; the first one's of equals."""
    merged = {axis: dict(groups) for axis, groups in hits.items()}
    for axis, groups in more.items():
        into = merged.setdefault(axis, {})
        for group, hit in groups.items():
            if group not in into or abs(hit.points) > abs(into[group].points):
                into[group] = hit
    return merged


def _put(hits: Hits, number: int, weight: float, term: str, *, aside: bool) -> None:
    name, axis, points, group, _ = SIGNALS[number]
    groups = hits.setdefault(axis, {})
    known = groups.get(group)
    if known is None or abs(points * weight) > abs(known.points):
        groups[group] = Hit(name, points * weight, term, aside)


def _without_neutral(words: Words) -> list[float]:
    """Return the weights, 0 for words that stand in a harmless phrase ("dependency injection")."""
    texts, weights = words.texts, words.weights
    if _NEUTRAL_HEADS.isdisjoint(texts):
        return weights
    for i, pair in enumerate(pairwise(texts)):
        for rest in NEUTRAL_PAIRS.get(pair, ()):
            if _follows(texts, i + 2, rest):
                if weights is words.weights:
                    weights = list(weights)
                weights[i : i + 2 + len(rest)] = [0.0] * (2 + len(rest))
    return weights


def _follows(texts: list[str], at: int, rest: tuple[str, ...]) -> bool:
    return not rest or tuple(texts[at : at + len(rest)]) == rest


def wide_length(text: str) -> int:
    """Length in characters, where one of an unspaced script says about as much as three of an alphabet."""
    return sum(3 if c >= "\u2e80" else 1 for c in text)
