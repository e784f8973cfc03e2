"""What is asked for: the kind of a task, from instructions, nouns and the form of the words.

Each kind collects points: the strongest instruction ("fix ..."), the strongest signal of each group, and what the form
says (a question, a stack trace under it). The kind with the most points wins.
"""

from __future__ import annotations

from openfusion_auto.core.facts import Facts
from openfusion_auto.core.lexicon import word_set
from openfusion_auto.core.signals import AMBIGUOUS_HEADS, HEAD_VERBS, SIGNALS
from openfusion_auto.core.types import KINDS, Evidence, Kind
from openfusion_auto.core.wording import (
    JOINED_HEAD,
    LATER_HEAD,
    NAME_WEIGHT,
    Hit,
    Word,
    strongest,
    wide_length,
)

ASIDE_WEIGHT = 0.5  # what stands in parentheses says little about what is asked
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


def _head_points(words: list[Word]) -> dict[Kind, tuple[float, str]]:
    """Return, for each kind, the points of the strongest instruction and the verb."""
    best: dict[Kind, tuple[float, str]] = {}
    for i, word in enumerate(words):
        verbs = HEAD_VERBS.get(word.text) if word.begins else None
        if verbs is None or (i and words[i - 1].text in _NO_ORDER):
            continue
        weight = word.begins
        follower = words[i + 1].text if i + 1 < len(words) else ""
        if follower in _VERBAL or (follower == "me" and word.text in ("show", "give")):
            continue
        doubtful = word.text in AMBIGUOUS_HEADS or word.begins == JOINED_HEAD
        if doubtful and follower not in _POINTERS and not follower[:1].isdigit():
            weight *= BARE_HEAD
        for kind, points in verbs:
            if points * weight > best.get(kind, (0.0, ""))[0]:
                best[kind] = (points * weight, word.text)
    return best


class _Tally:
    """Points of the kinds, with a note for each."""

    def __init__(self) -> None:
        self.scores: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
        self.notes: dict[Kind, list[Evidence]] = {kind: [] for kind in KINDS}

    def add(self, kind: Kind, name: str, points: float, why: str) -> None:
        self.scores[kind] += points
        self.notes[kind].append(Evidence(f"kind.{kind}.{name}", round(points, 2), why))

    def best(self) -> Kind:
        """The kind with the most points; the first of equals in the order of `KINDS`."""
        return max(KINDS, key=self.scores.__getitem__)


def read_kind(facts: Facts, words: list[Word], hits: list[Hit]) -> tuple[Kind, list[Evidence]]:
    """Return what is asked for and the evidence that spoke for it."""
    tally = _Tally()
    heads = _head_points(words)
    for kind, (points, verb) in heads.items():
        tally.add(kind, "asks", points, verb)
    for kind in KINDS:
        for hit in strongest(hits, kind):
            points = hit.points * ASIDE_WEIGHT if hit.aside else hit.points
            tally.add(kind, SIGNALS[hit.signal].name, points, hit.term)
    _add_shape(facts, words, tally, heads=bool(heads))
    best = tally.best()
    if tally.scores[best] <= 0.0:
        best = _fallback(facts, words)
        tally.add(best, "nothing else", 0.1, "no signal")
    return best, tally.notes[best]


def _add_shape(facts: Facts, words: list[Word], tally: _Tally, *, heads: bool) -> None:
    """Add what the form says: a question, a trace or code under it, small talk that grows too long."""
    texts = [w.text for w in words]
    first = next((t for t in texts if t not in ("so", "and", "but", "hey", "hi")), "")
    if _is_question(facts.words[-160:]) and first in _ASKING and "you" not in texts[1:2]:
        tally.add("explain", "form", 1.2, "question")
    if first == "use" and "instead" in texts:
        tally.add("refactor", "form", 3.5, "use instead")
    judged = first in ("is", "are", "does") and not _JUDGED.isdisjoint(texts)
    if judged and (
        not facts.marks.isdisjoint(("code", "diff")) or any(w.weight == NAME_WEIGHT for w in words)
    ):
        tally.add("review", "form", 4.4, "question about code")
    if "trace" in facts.marks and tally.scores["explain"] < 2.0:
        tally.add("bugfix", "form", 1.5, "stack trace")
    if "diff" in facts.marks and tally.scores["review"] > 0:
        tally.add("review", "form", 1.0, "diff")
    statement = words and not any(w.begins == 1.0 and w.text in HEAD_VERBS for w in words[:8])
    if statement and texts[0] in _SUBJECTS and any(w.begins == LATER_HEAD for w in words):
        tally.add("bugfix", "form", 1.2, "states, then asks")
    tally.add("chat", "form", *_small_talk(facts, texts, tally, heads=heads))


def _small_talk(facts: Facts, texts: list[str], tally: _Tally, *, heads: bool) -> tuple[float, str]:
    """Return what speaks for or against small talk in the form of the words."""
    tasks = max(tally.scores[k] for k in KINDS if k not in ("chat", "explain"))
    if len(texts) > SMALL_TALK_WORDS or tasks >= 2.5:
        return -3.0, "asks for work"
    if "?" in facts.words:
        to_you = texts[:2] in (["do", "you"], ["are", "you"], ["can", "you"])
        return (3.5, "asks about you") if to_you and len(texts) <= 5 and not tasks else (0.0, "")
    if not heads and not _TELLING.isdisjoint(texts[:4]):
        return 2.5, "asks for nothing"
    return 0.0, ""


def _is_question(text: str) -> bool:
    return text.rstrip(" )\"'*_;").endswith(("?", "\uff1f", "\u061f"))


def _fallback(facts: Facts, words: list[Word]) -> Kind:
    if not facts.words:
        return _BY_PASTE.get(next(iter(sorted(facts.marks)), ""), "chat")
    if _is_question(facts.words[-160:]):
        return "explain"
    if (
        wide_length(facts.words) > SMALL_TALK_CHARS
        or any(0 < w.weight < 1 for w in words)
        or facts.marks
    ):
        return "feature"
    return "chat"
