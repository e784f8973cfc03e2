"""What a reading rests on: the features of a task's words, each tied to the words that show it.

    word      "fix"            a word, lower case               +fix the    two neighbours       ^fix  the first word(s)
    pieces    "<fi", "ix>"     three to five letters of a word, so that unseen words and inflections say something;
                               of scripts without spaces one to three characters
    code      c:auth           a word in a path, an identifier, quotes or backticks (and, less, the word itself)
    pasted    k:grant          a word of code that was pasted and is to be judged
    proposal  p:delete         a word of the assistant's proposal that was agreed to
    shape     #trace           what form the request has: pasted traces, a question, lists, length

Everything is bounded by what `facts.py` keeps. Training (`evals/train_reading.py`) calls this very function.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from openfusion_auto.core.facts import Facts

UNSPACED = "\u2e80"  # from here on (CJK, kana, Hangul) words are not told apart by spaces
PIECES = (3, 4, 5)  # letters in a piece of a word
PIECES_UNSPACED = (1, 2, 3)
LONG_WORD = 24  # [letters] of a word that are cut into pieces
WORDS_REMEMBERED = 4_096  # words whose pieces are kept in memory: 1 to 4 KB each
CODE_WORDS = 60  # of pasted code
LONGEST_THANKS = 80  # [characters] at the end of a text where a please or thanks is looked for
SHAPE = 0.35  # value of a feature of form; those of words share a length of 1
_TOKEN = re.compile(r"`[^`\n]{1,80}`|\"[^\"\n]{1,80}\"|[^\s`\"]+")
_WORD = re.compile(r"[^\W_]+(?:'[^\W\d_]+)?")
_CODE = re.compile(r"[`\"]|\w[._/\\:()<>=]+\w|\w\(|^[-.@/]\w|[a-z][A-Z]|_\w")
_MARK = re.compile(r"[?!;:]")
_QUESTION = ("?", "\uff1f", "\u061f")
_LENGTHS = (15, 30, 55, 90, 140, 220, 400)  # [characters]
_BULLET = re.compile(r"(?:^|; )\s*(?:[-*\u2022]|\d{1,2}[.)])\s")
_NUMBER = re.compile(r"\b\d{2,}\b")


class Features(NamedTuple):
    """Features of a text by block: `words` with the words that show them, `cut` the words that count by their pieces.

    Words and pieces are looked up in the vocabulary and scaled to length 1 each; `shape` has values of its own.
    """

    words: dict[str, str]
    cut: tuple[str, ...]
    shape: dict[str, float]

    def pieces(self) -> dict[str, str]:
        """Return every piece with the first word that holds it."""
        found: dict[str, str] = {}
        for word in self.cut:
            for piece in pieces_of(word):
                found.setdefault(piece, word)
        return found


def features_of(facts: Facts) -> Features:
    """Return the features of what was read."""
    words: dict[str, str] = {}
    asked = without_courtesy(facts.words)
    plain, cut = _add_words(asked, words)
    for a, b in pairwise(plain):
        words.setdefault(f"+{a} {b}", f"{a} {b}")
    if plain:
        words[f"^{plain[0]}"] = plain[0]
        words["^" + " ".join(plain[:2])] = " ".join(plain[:2])
    code = _WORD.findall(facts.code.lower())[:CODE_WORDS]
    words.update({f"k:{word}": word for word in code})
    words.update({f"p:{word}": word for word in _WORD.findall(facts.proposal)})
    return Features(words, cut, _shape(facts, asked, plain))


def without_courtesy(text: str) -> str:
    """Return a text without the greeting and the please before or behind it: it asks for the same; unchanged when that
    is all it says, or when a greeting is followed by a question, which may be talk.

    "Could you fix it?" is no question but asks to fix it, so its question mark goes too.
    """
    begun = _BEGUN.match(text)
    start = begun.end() if begun else 0
    ended = _ENDED.search(text, max(start, len(text) - LONGEST_THANKS))
    rest = text[start : ended.start() if ended else len(text)]
    if begun and begun["could"]:
        rest = rest.rstrip(" ?\uff1f")
    elif begun and begun["hello"] and is_question(rest):
        return text
    return rest if len(_WORD.findall(rest)) > 1 or wide_length(rest) > 9 else text


_PLEASE = (
    r"(?:(?:please|pls|plz|kindly|bitte|s'il (?:te|vous) pla[iî]t|stp|svp|por favor|per favore|"
    r"alsjeblieft|graag|пожалуйста|proszę|lütfen)\b|请|請|麻烦(?:你)?)"
)
_THANKS = (
    r"(?:(?:many )?thanks?(?: you)?(?: a lot| so much| in advance)?|thx|ty|cheers|danke(?: dir)?|"
    r"merci(?: d'avance)?|gracias|grazie|obrigad[oa]|bedankt|спасибо|谢谢|謝謝|ありがとう(?:ございます)?)"
)
_HELLO = (
    r"(?P<hello>hey|hi|hello|hallo|hej|hola|bonjour|salut|ciao|olá|привет|你好|こんにちは)(?: there| all)?"
    r"(?:\s*[,!.:\uff0c\u3002\uff01\u3001]\s*|\s+)"
)
_BEGUN = re.compile(
    rf"(?:{_HELLO}|{_PLEASE}[\s,:]*|(?P<could>(?:could|can|would|will) you )(?:also |just |maybe |perhaps )?)+",
    re.IGNORECASE,
)
_ENDED = re.compile(rf"[\s,.;!\u3002\uff0c-]*(?<!\w)(?:{_PLEASE}|{_THANKS})[\s.!]*$", re.IGNORECASE)


def _add_words(text: str, words: dict[str, str]) -> tuple[list[str], tuple[str, ...]]:
    """Add the words of a text; returns the plain ones in order, and all different ones."""
    plain: list[str] = []
    every: dict[str, None] = {}
    for token in _TOKEN.findall(text):
        code = _CODE.search(token) is not None
        for word in _WORD.findall(token.lower()):
            if code:
                words.setdefault(f"c:{word}", word)
            else:
                plain.append(word)
                words.setdefault(word, word)
            every[word] = None
        if not code:
            plain += _MARK.findall(token)
    return plain, tuple(every)


def pieces_of(word: str) -> tuple[str, ...]:
    """Return the pieces of a word, its ends marked."""
    if word[:1] >= UNSPACED:
        cut = word[: 3 * LONG_WORD]
        return tuple(cut[i : i + n] for n in PIECES_UNSPACED for i in range(len(cut) - n + 1))
    marked = f"<{word[:LONG_WORD]}>"
    return tuple(marked[i : i + n] for n in PIECES for i in range(len(marked) - n + 1))


def _shape(facts: Facts, text: str, plain: list[str]) -> dict[str, float]:
    """Return the features of form."""
    found = dict.fromkeys((f"#{mark}" for mark in facts.marks), 2 * SHAPE)
    length = wide_length(text)
    found.update((f"#over {n} characters", SHAPE) for n in _LENGTHS if length > n)
    if is_question(text):
        found["#question"] = 2 * SHAPE
    for name, count in (
        ("parts", text.count(",") + text.count("\u3001") + text.count("\uff0c")),
        ("bullets", len(_BULLET.findall(text))),
        ("numbers", len(_NUMBER.findall(text))),
        ("sentences", sum(text.count(m) for m in (". ", "; ", "\u3002"))),
    ):
        found.update((f"#{name} {n}", SHAPE) for n in (1, 2, 4) if count >= n)
    if facts.pasted:
        found["#pasted"] = SHAPE
    if facts.proposal:
        found["#proposal"] = SHAPE
    if not plain:
        found["#no words"] = SHAPE
    return found


def is_question(text: str) -> bool:
    """Whether a text ends as a question does, in any script."""
    return text[-40:].rstrip(" )\"'*_;").endswith(_QUESTION)


def wide_length(text: str) -> int:
    """Length in characters, where one of an unspaced script says about as much as three of an alphabet."""
    return len(text) if text.isascii() else sum(3 if c >= UNSPACED else 1 for c in text)
