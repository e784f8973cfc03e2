"""What is asked for: the kind of a task, from instructions, nouns and the form of the words.

Each kind collects points: the strongest instruction ("fix ..."), the strongest signal of each group, and what the form
says (a question, a stack trace under it). The kind with the most points wins.
"""

from __future__ import annotations

from itertools import pairwise

from openfusion_auto.core.facts import Facts
from openfusion_auto.core.lexicon import word_set
from openfusion_auto.core.signals import AMBIGUOUS_HEADS, HEAD_VERBS
from openfusion_auto.core.types import KINDS, Evidence, Kind
from openfusion_auto.core.wording import (
    JOINED_HEAD,
    LATER_HEAD,
    NAME_WEIGHT,
    Hit,
    Hits,
    Words,
    wide_length,
)

ASIDE_WEIGHT = 0.5  # what stands in parentheses says little about what is asked
BARE_JOINED = 0.6  # such a one behind "and" or a comma: "indexes, triggers and views"
BARE_HEAD = 0.75  # a verb that may be a noun, without a word like "the" behind it
SMALL_TALK_CHARS = (
    45  # of words without any signal; what is longer is some wish that no table knows
)
SMALL_TALK_WORDS = 16  # small talk is short

# Behind these a first word is no instruction but what the sentence is about ("Build fails on Windows").
_VERBAL = word_set(
    "is are was were fails fail failed crashes crash breaks broke hangs returns shows does doesn't has takes "
    "should must times "
    "errors still isn't aren't never stopped stops won't can't appears looks"
)
_JUDGED = word_set(
    "correct idiomatic right safe ok okay good clean sound valid optimal readable efficient thread pythonic"
)
_SUBJECTS = word_set("the our when after if on in since my a an some all about images your users")
_TELLING = word_set("we i i'm i've we've it's that's you you're haha lol")
# Behind these a verb is forbidden, or told of somebody.
_NO_ORDER = word_set("don't dont not never without no we i they you who that which")
_POINTERS = word_set(
    "the a an this that these those it them my our your all any every each its their both some one two three "
    "another"
)
_ASKING = word_set(
    "what what's which where why who when how does is are do can should could would was did has"
)
_BY_PASTE: dict[str, Kind] = {
    "code": "review",
    "diff": "review",
    "log": "explain",
    "trace": "bugfix",
}


def _head_points(words: Words) -> dict[Kind, tuple[float, str]]:
    """Return, for each kind, the points of the strongest instruction and the verb."""
    best: dict[Kind, tuple[float, str]] = {}
    texts = words.texts
    for i, begins in enumerate(words.begins):
        verbs = HEAD_VERBS.get(texts[i]) if begins else None
        if verbs is None or (i and texts[i - 1] in _NO_ORDER):
            continue
        weight = begins
        follower = texts[i + 1] if i + 1 < len(texts) else ""
        if (follower in _VERBAL and texts[i] not in _ASKING) or (
            follower == "me" and texts[i] in ("show", "give")
        ):
            continue
        doubtful = texts[i] in AMBIGUOUS_HEADS or begins == JOINED_HEAD
        if doubtful and follower not in _POINTERS and not follower[:1].isdigit():
            weight *= BARE_HEAD if begins != JOINED_HEAD else BARE_JOINED
        for kind, points in verbs:
            if points * weight > best.get(kind, (0.0, ""))[0]:
                best[kind] = (points * weight, texts[i])
    return best


class _Tally:
    """Points of the kinds, with a note for each."""

    def __init__(self) -> None:
        self.scores: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
        self.notes: list[tuple[Kind, str, float, str]] = []

    def add(self, kind: Kind, name: str, points: float, why: str) -> None:
        self.scores[kind] += points
        self.notes.append((kind, name, points, why))

    def best(self) -> Kind:
        """The kind with the most points; the first of equals in the order of `KINDS`."""
        return max(KINDS, key=self.scores.__getitem__)

    def evidence(self, kind: Kind) -> list[Evidence]:
        """What spoke for and against one kind."""
        return [Evidence(f"kind.{k}.{n}", round(p, 2), w) for k, n, p, w in self.notes if k == kind]


def read_kind(facts: Facts, words: Words, hits: Hits) -> tuple[Kind, list[Evidence]]:
    """Return what is asked for and the evidence that spoke for it."""
    tally = _Tally()
    heads = _head_points(words)
    for kind, (points, verb) in heads.items():
        tally.add(kind, "asks", points, verb)
    for kind in KINDS:
        for name, points, term, aside in hits.get(kind, _NOTHING).values():
            tally.add(kind, name, points * ASIDE_WEIGHT if aside else points, term)
    _add_shape(facts, words, tally)
    _add_small_talk(facts, words, tally, heads=bool(heads))
    best = tally.best()
    if tally.scores[best] <= 0.0:
        best = _fallback(facts, words)
        tally.add(best, "nothing else", 0.1, "no signal")
    return best, tally.evidence(best)


_NOTHING: dict[str, Hit] = {}


def _add_shape(facts: Facts, words: Words, tally: _Tally) -> None:
    """Add what the form says: a question, a judgement asked for, a trace or a diff under it."""
    texts = words.texts
    first = next((t for t in texts if t not in _OPENERS), "")
    if first in _ASKING and "you" not in texts[1:2] and is_question(facts.words):
        tally.add("explain", "form", 1.2, "question")
    if first == "use" and "instead" in texts:
        tally.add("refactor", "form", 3.5, "use instead")
    code = "code" in facts.marks or "diff" in facts.marks or NAME_WEIGHT in words.weights
    if code and first in ("is", "are", "does") and not _JUDGED.isdisjoint(texts):
        tally.add("review", "form", 4.4, "question about code")
    if "trace" in facts.marks and tally.scores["explain"] < 2.0:
        tally.add("bugfix", "form", 1.5, "stack trace")
    if "diff" in facts.marks and tally.scores["review"] > 0:
        tally.add("review", "form", 1.0, "diff")
    it = ("make", "it") in pairwise(texts) or ("make", "them") in pairwise(texts)
    stated = LATER_HEAD in words.begins and not _begins_with_order(words)
    if stated and (it or words.first in _SUBJECTS):
        tally.add("bugfix", "form", 2.4 if it else 1.2, "states, then asks")


def _begins_with_order(words: Words) -> bool:
    return any(
        b == 1.0 and t in HEAD_VERBS for t, b in zip(words.texts[:8], words.begins, strict=False)
    )


def _add_small_talk(facts: Facts, words: Words, tally: _Tally, *, heads: bool) -> None:
    """Add what speaks for or against small talk in the form of the words."""
    texts = words.texts
    tasks = max(tally.scores[k] for k in _TASKS)
    if len(texts) > SMALL_TALK_WORDS or tasks >= 2.5:
        tally.add("chat", "form", -3.0, "asks for work")
    elif "?" in facts.words:
        to_you = texts[:2] in (["do", "you"], ["are", "you"], ["can", "you"])
        if to_you and len(texts) <= 5 and not tasks:
            tally.add("chat", "form", 3.5, "asks about you")
    elif not heads and not facts.marks and not _TELLING.isdisjoint(texts[:4]):
        tally.add("chat", "form", 2.5, "asks for nothing")


_TASKS = tuple(k for k in KINDS if k not in ("chat", "explain"))
_OPENERS = ("so", "and", "but", "hey", "hi")


def is_question(text: str) -> bool:
    """Whether a text ends as a question does, in any script."""
    return text[-40:].rstrip(" )\"'*_;").endswith(("?", "\uff1f", "\u061f"))


def _fallback(facts: Facts, words: Words) -> Kind:
    if not facts.words:
        return _BY_PASTE.get(min(facts.marks, default=""), "chat")
    if is_question(facts.words):
        return "explain"
    some_wish = wide_length(facts.words) > SMALL_TALK_CHARS or NAME_WEIGHT in words.weights
    return "feature" if some_wish or facts.marks else "chat"
