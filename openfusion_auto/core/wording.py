"""Words and their weights: how a text is cut up and looked up in the signals.

In a sentence a word counts in full, in a file name, path or identifier by half, in quotation marks or in a harmless
phrase ("dependency injection") not at all.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core.lexicon import PREFIX_CHARS, UNSPACED, word_set
from openfusion_auto.core.signals import INDEX, NEUTRAL_PHRASES, SIGNALS

TOKEN_CHARS = 80  # of what stands between two blanks; longer is a blob, not a word
NAME_WEIGHT = 0.5  # a word inside a file name, path or identifier
LATER_HEAD = 0.8  # an instruction after the first one
JOINED_HEAD = 0.6  # one behind "and" or a comma

_POLITE = word_set(
    "please pls can could would will you u kindly now then and also just hey hi hello ok okay so i we want "
    "need like i'd "
    "we'd to let's lets help me us should must first next finally quickly go try have bitte kannst du por favor i'll "
    "i'm going gonna simply maybe perhaps sure yes right"
)


class Word(NamedTuple):
    """A token of the words: folded, its weight, how much it begins an instruction (0: not), whether in "
    "parentheses."""

    text: str
    weight: float
    begins: float
    aside: bool = False


class Hit(NamedTuple):
    """A signal that fired: its number, its points at that place, and the term that was found."""

    signal: int
    points: float
    term: str
    aside: bool = False


# -- words -----------------------------------------------------------------------------------------------------------

_QUOTES = re.compile(
    r'"[^"\n]{0,160}"|\u201c[^\u201d\n]{0,160}\u201d|«[^»\n]{0,160}»|\u300c[^\u300d\n]{0,160}\u300d|'
    r"\u201e[^\u201c\u201d\n]{0,160}[\u201c\u201d]|(?<![\w)])'[^'\n]{1,100}'(?!\w)"
)
_BACKTICKS = re.compile(r"`([^`\n]{0,160})`")
_PIECES = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\d+(?:[.,]\d+)*[kKmM]?(?![^\W_])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME = re.compile(
    r"[\w\])]\.\w|[\w~.]/[\w.]|\w_\w|_\w|\w\(|^[a-z]+[A-Z]|\w=\w|^[<@$]|::|\w\[|^/\w|[{}]"
)
_ENDS = ".!?;:\u2014\u2013"


@lru_cache(maxsize=4096)
def _pieces(raw: str) -> tuple[tuple[str, ...], bool, str]:
    """Split what stands between two blanks: its folded words, whether it is a name, and its last character.

    Kept for the words of earlier requests: language repeats itself, and the answer depends on nothing else.
    """
    body = raw.strip("()[]{},.!?;:'\"*_—–-")
    name = _NAME.search(body) is not None
    if name:
        body = _CAMEL.sub(" ", body)[:200]
    words = tuple(w.replace("\u2019", "'") for w in _PIECES.findall(body.replace("_", " ").lower()))
    return words, name, raw[-1:]


def tokenise(text: str) -> list[Word]:
    """Return the words of a text with their weights; quotations are left out, code in backticks weighs like a "
    "name."""
    if '"' in text or "'" in text or not text.isascii():
        text = _QUOTES.sub(" \u0001 ", text)
    if "`" in text:
        text = _BACKTICKS.sub(lambda m: " `" + m.group(1).replace(" ", "` `") + "` ", text)
    words: list[Word] = []
    begins, joined, aside = 1.0, False, False
    for raw in text.split():
        if raw == "\u0001":
            words.append(Word('"', 0.0, 0.0))
            begins = 0.0
            continue
        pieces, name, end = _pieces(raw[:TOKEN_CHARS])
        aside = aside or raw[0] == "("
        weight = NAME_WEIGHT if name or raw[0] == "`" else 1.0
        for piece in pieces:
            words.append(Word(piece, weight, 0.0 if aside or weight < 1.0 else begins, aside))
            if piece not in _POLITE:
                begins = 0.0
        aside = aside and ")" not in raw
        joined = end == "," or (
            bool(pieces) and pieces[-1] in ("and", "then", "und", "et", "y", "or")
        )
        if end in _ENDS or (not pieces and raw in ("-", "*")):
            begins = LATER_HEAD if words else 1.0
        elif joined:
            begins = max(begins, JOINED_HEAD)
    return words


# -- signals ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def word_signals(word: str) -> tuple[int, ...]:
    """Return the numbers of the signals that one word fires. Kept like `_pieces`."""
    if len(word) > 6 and word.endswith(("error", "exception")):  # a class of errors is named
        return INDEX.words.get(word, ()) + tuple(
            n for rest, n in INDEX.phrases["named"] if rest == ("error",)
        )
    found = list(INDEX.words.get(word, ()))
    if word.endswith("'s"):
        found += INDEX.words.get(word[:-2], ())
    found += [n for stem, n in INDEX.prefixes.get(word[:PREFIX_CHARS], ()) if word.startswith(stem)]
    return tuple(dict.fromkeys(found))


def find_hits(words: list[Word], folded: str, scale: float) -> list[Hit]:
    """Return the signals that fire.

    Args:
        words: From `tokenise`; words in a harmless phrase lose their weight.
        folded: The whole text in lower case, for scripts without spaces; "" leaves those out.
        scale: Factor on all points.
    """
    hits: list[Hit] = []
    _mute_neutral(words)
    for i, word in enumerate(words):
        if word.weight == 0.0:
            continue
        weight = word.weight * scale
        hits.extend(
            Hit(n, SIGNALS[n].points * weight, word.text, word.aside)
            for n in word_signals(word.text)
        )
        for rest, n in INDEX.phrases.get(word.text, ()):
            if _follows(words, i + 1, rest):
                term = " ".join((word.text, *rest))
                hits.append(Hit(n, SIGNALS[n].points * weight, term, word.aside))
    if not folded.isascii() and max(folded, default="") >= UNSPACED:
        hits.extend(
            Hit(n, SIGNALS[n].points * scale, term) for term, n in INDEX.anywhere if term in folded
        )
    return hits


def _mute_neutral(words: list[Word]) -> None:
    """Take the weight from words that stand in a harmless phrase ("dependency injection")."""
    for i, word in enumerate(words):
        for rest in NEUTRAL_PHRASES.get(word.text, ()):
            if _follows(words, i + 1, rest):
                for k in range(i, i + 1 + len(rest)):
                    words[k] = words[k]._replace(weight=0.0)


def _follows(words: list[Word], at: int, rest: tuple[str, ...]) -> bool:
    if at + len(rest) > len(words):
        return False
    return all(
        words[at + k].text == want or (want[-1] == "*" and words[at + k].text.startswith(want[:-1]))
        for k, want in enumerate(rest)
    )


def strongest(hits: list[Hit], axis: str) -> list[Hit]:
    """Return one hit of each group of an axis, the strongest; the first of equals."""
    best: dict[str, Hit] = {}
    for hit in hits:
        signal = SIGNALS[hit.signal]
        if signal.axis == axis:
            known = best.get(signal.group)
            if known is None or abs(hit.points) > abs(known.points):
                best[signal.group] = hit
    return list(best.values())


def wide_length(text: str) -> int:
    """Length in characters, where one of an unspaced script says about as much as three of an alphabet."""
    return sum(3 if c >= "\u2e80" else 1 for c in text)
