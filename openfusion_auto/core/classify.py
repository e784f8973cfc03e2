"""Read a task: what kind it is, how risky, how hard, with the evidence for every point.

`read(prompt)` is the whole of it. Words are looked up in `signals.py`; where they stand says how much they count:
in a sentence in full, in a file name or an identifier by half, in quotation marks not at all. The envelope, tool
schemas and system prompts are never looked at here, so they cannot make a task harder.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.signals import (
    AMBIGUOUS_HEADS,
    COMMANDS,
    HEAD_VERBS,
    LOCAL_COMMANDS,
    ONLY_FOR,
    SIGNALS,
)
from openfusion_auto.core.tokens import input_tokens
from openfusion_auto.core.types import KINDS, Evidence, Kind, Level, Needs, Task
from openfusion_auto.core.wording import (
    JOINED_HEAD,
    LATER_HEAD,
    NAME_WEIGHT,
    Hit,
    Word,
    find_hits,
    strongest,
    tokenise,
)

MAX_EVIDENCE = 12  # the strongest ones; a trace is read by people
CODE_WEIGHT = 0.5  # a word in code pasted under the question
PROPOSAL_WEIGHT = 0.5  # a word of the assistant's proposal that was agreed to
ASIDE_WEIGHT = 0.5  # what stands in parentheses says little about what is asked
BARE_HEAD = 0.75  # a verb that may be a noun, without a word like "the" behind it

RISK_HIGH = 3.0  # one full signal of a dangerous field, or two halves
RISK_MEDIUM = 0.0  # trivial edits go below
COMPLEX_HIGH = 1.9
COMPLEX_MEDIUM = -0.5
WEAK_MOST = 1.5  # what parts, length and lists may add together: a long ordinary task stays ordinary

# What a wrong answer costs before anything else is known: shipped behaviour against text that people read.
_HARMLESS: frozenset[Kind] = frozenset({"test", "docs", "explain", "aux", "chat"})
_BASE_RISK = 0.6
# How hard a task of that kind is when nothing is known about it.
_BASE_COMPLEXITY: dict[Kind, float] = {
    "bugfix": 0.1, "feature": 0.0, "review": 0.4, "refactor": 0.0, "test": 0.3, "docs": -0.5, "explain": -0.6,
    "ops": -0.1, "aux": -3.0, "chat": -3.0,
}  # fmt: skip

# Behind these a first word is no instruction but what the sentence is about ("Build fails on Windows").
_VERBAL = frozenset(
    "is are was were fails fail failed crashes crash breaks broke hangs returns shows does doesn't has takes should must times "
    "errors still isn't aren't never stopped stops won't can't appears looks".split()  # noqa: SIM905 - a list of words
)
_JUDGED = frozenset(
    "correct idiomatic right safe ok okay good clean sound valid optimal readable efficient thread pythonic".split()  # noqa: SIM905 - a list of words
)
_SUBJECTS = frozenset("the our when after if on in since my a an some all about images your users".split())  # noqa: SIM905 - a list
_EXPLAINING = frozenset("explain describe walk understand teach elaborate".split())  # noqa: SIM905 - a list
_TELLING = frozenset("we i i'm i've we've it's that's you you're haha lol".split())  # noqa: SIM905 - a list of words
# Behind these a verb is forbidden, or told of somebody.
_NO_ORDER = frozenset("don't dont not never without no we i they you who that which".split())  # noqa: SIM905 - a list of words
_POINTERS = frozenset(
    "the a an this that these those it them my our your all any every each its their both some one two three "
    "another".split()  # noqa: SIM905 - a list of words
)
_ASKING = frozenset(
    "what what's which where why who when how does is are do can should could would was did has".split()  # noqa: SIM905 - a list of words
)
_UNITS = re.compile(
    r"(?:(?:file|component|handler|service|endpoint|module|package|pipeline|workload|caller|controller|screen|table|"
    r"model|view|repo|job|integration|client|state|place|site|page|route|migration|script|mesh|microservice|"
    r"app|region|plugin|provider|consumer|tenant|line)(?:s|es)|classes|repositories|queries|libraries|kloc|loc)$"
)
_NUMBERS = {
    w: n
    for n, w in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1)  # noqa: SIM905 - a list
} | {"dozen": 12, "dozens": 30, "hundred": 100, "hundreds": 300, "thousand": 1000, "thousands": 2000}  # fmt: skip
SHORT_PASTE = 600  # [characters] beside the words: a trace that shows little but the place
COMMAND_WORDS = 12
TINY_DIFF = 160  # [characters]
SMALL_TALK_CHARS = 45  # of words without any signal; what is longer is some wish that no table knows
SMALL_TALK_WORDS = 16  # small talk is short
OPERATES_LIVE = 0.8  # running something on a live system, against changing code that will run there
LIST_ITEMS = 2  # commas of a list of wishes
_BY_PASTE: dict[str, Kind] = {"code": "review", "diff": "review", "log": "explain", "trace": "bugfix"}
LINES_PER_UNIT = 100  # so many lines of code weigh like one file


class Verdict(NamedTuple):
    """The three readings and what they rest on."""

    kind: Kind
    risk: Level
    complexity: Level
    evidence: tuple[Evidence, ...]


# -- kind ------------------------------------------------------------------------------------------------------------


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
        if word.text in AMBIGUOUS_HEADS or word.begins == JOINED_HEAD:
            if follower not in _POINTERS and not follower[:1].isdigit():
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


def _kind(facts: Facts, words: list[Word], hits: list[Hit]) -> tuple[Kind, list[Evidence]]:
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
    if judged and (not facts.marks.isdisjoint(("code", "diff")) or any(w.weight == NAME_WEIGHT for w in words)):
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
    if _wide_length(facts.words) > SMALL_TALK_CHARS or any(0 < w.weight < 1 for w in words) or facts.marks:
        return "feature"
    return "chat"


# -- risk and complexity ---------------------------------------------------------------------------------------------


def _risk(
    facts: Facts, kind: Kind, words: list[Word], hits: list[Hit]
) -> tuple[Level, list[Evidence]]:
    if kind in _HARMLESS:
        return "low", [Evidence("risk.kind", 0.0, kind)]
    notes = [Evidence("risk.base", _BASE_RISK, kind)]
    notes += _notes(hits, "risk", kind)
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("risk.tiny diff", -0.8, f"{len(facts.code)} characters"))
    if kind == "ops" and any(n.signal == "risk.live system" for n in notes):
        notes.append(Evidence("risk.operates on it", OPERATES_LIVE, "ops"))
    first = words[0].text if words else ""
    if kind == "ops" and first in LOCAL_COMMANDS and not any(n.points > 0 for n in notes[1:]):
        notes.append(Evidence("risk.local command", -1.0, first))
    total = sum(n.points for n in notes)
    level: Level = "high" if total >= RISK_HIGH else "low" if total < RISK_MEDIUM else "medium"
    return level, notes


def _complexity(
    facts: Facts, kind: Kind, words: list[Word], hits: list[Hit]
) -> tuple[Level, list[Evidence]]:
    if facts.aux is not None:
        level: Level = "medium" if facts.aux.name in ("compaction", "memory") else "low"
        return level, [Evidence("complexity.kind", 0.0, facts.aux.name)]
    if kind == "chat":
        return "low", [Evidence("complexity.kind", 0.0, kind)]
    notes = [Evidence("complexity.base", _BASE_COMPLEXITY[kind], kind)]
    notes += _notes(hits, "complexity", kind)
    notes += _size_notes(facts, words)
    notes += _place_notes(facts, kind, words)
    weak = sum(n.points for n in notes if n.points > 0 and n.signal in _WEAK_COMPLEXITY)
    if weak > WEAK_MOST:
        notes.append(Evidence("complexity.cap", round(WEAK_MOST - weak, 2), "ordinary parts add up to a limit"))
    total = sum(n.points for n in notes)
    if total >= COMPLEX_HIGH:
        return "high", notes
    return "low" if total < COMPLEX_MEDIUM else "medium", notes


_WEAK_COMPLEXITY = frozenset(
    f"complexity.{name}" for name in ("several parts", "some thought", "length", "list", "files")
)


def _notes(hits: list[Hit], axis: str, kind: Kind) -> list[Evidence]:
    notes = [
        Evidence(f"{axis}.{SIGNALS[h.signal].name}", round(h.points, 2), h.term)
        for h in strongest(hits, axis)
    ]
    return [n for n in notes if ONLY_FOR.get(n.signal, kind) == kind]


def _place_notes(facts: Facts, kind: Kind, words: list[Word]) -> list[Evidence]:
    """How exactly the place is named: one file, a short trace, a tiny diff; several files mean several places."""
    notes = []
    files = len({m.group() for m in _FILE.finditer(facts.words)})
    if files == 1 and kind in ("bugfix", "feature", "refactor"):
        notes.append(Evidence("complexity.one file", -0.4, "1 file"))
    elif files >= 3:
        notes.append(Evidence("complexity.files", 0.5, f"{files} files"))
    first = words[0].text if words else ""
    if kind == "ops" and first in COMMANDS and len(words) <= COMMAND_WORDS:
        notes.append(Evidence("complexity.plain command", -1.0, first))
    if "trace" in facts.marks and facts.pasted < SHORT_PASTE and kind == "bugfix" and len(words) < 20:
        notes.append(Evidence("complexity.short trace", -0.6, "names the place"))
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("complexity.tiny diff", -1.2, f"{len(facts.code)} characters"))
    if kind == "explain" and "code" in facts.marks:
        notes.append(Evidence("complexity.code to explain", 0.8, "code"))
    elif kind == "explain" and any(w.begins and w.text in _EXPLAINING for w in words):
        notes.append(Evidence("complexity.wants to understand", 0.6, "explain"))
    return notes


_FILE = re.compile(r"[\w/-]+\.[a-z]{1,5}\b(?!\()")


def _size_notes(facts: Facts, words: list[Word]) -> list[Evidence]:
    """Counts, lists and the length of the words. Length alone is worth less than one level, whatever it is."""
    notes = []
    count, unit = _largest_count(words)
    for least, points in ((40, 2.4), (10, 1.2), (3, 0.3)):
        if count >= least:
            notes.append(Evidence("complexity.count", points, unit))
            break
    items = facts.words.count(",") + facts.words.count("\u3001") + facts.words.count("\uff0c")
    if items >= LIST_ITEMS and ":" in facts.words.replace("\uff1a", ":"):
        points = 1.0 if items > 2 * LIST_ITEMS - 1 else 0.6
        notes.append(Evidence("complexity.list", points, f"{items} commas"))
    length = len(facts.words) if facts.words.isascii() else _wide_length(facts.words)
    for most, points in ((55, -0.6), (90, -0.3), (170, 0.0), (260, 0.3)):
        if length < most:
            break
    else:
        points = 0.5
    if points:
        notes.append(Evidence("complexity.length", points, f"{length} characters"))
    return notes


def _wide_length(text: str) -> int:
    """Length in characters, where one of an unspaced script says about as much as three of an alphabet."""
    return sum(3 if c >= "\u2e80" else 1 for c in text)


def _largest_count(words: list[Word]) -> tuple[float, str]:
    """Return the largest number of parts named ("140 components", "9k lines"), and the words that say so."""
    best, said = 0.0, ""
    for i, word in enumerate(words):
        number = _number(word.text)
        if number < 3:
            continue
        for after in words[i + 1 : i + 4]:
            if after.weight == 1.0 and _UNITS.match(after.text):
                if after.text.startswith(("line", "loc")):
                    number /= LINES_PER_UNIT
                if number > best and (after.text[-1] == "s" or number > 12):
                    best, said = number, f"{word.text} {after.text}"
                break
    return best, said


def _number(text: str) -> float:
    if not text[0].isdigit():
        return float(_NUMBERS.get(text, 0))
    scale = {"k": 1_000.0, "m": 1_000_000.0}.get(text[-1], 1.0)
    digits = text.rstrip("km").replace(",", "")
    try:
        return float(digits) * scale
    except ValueError:  # "1.2.3", or digits of a script that float() does not read
        return 0.0


# -- the whole -------------------------------------------------------------------------------------------------------


def classify(facts: Facts) -> Verdict:
    """Judge what was read. Pure; equal facts give equal verdicts, evidence included."""
    if facts.aux is not None:
        kind: Kind = "aux"
        notes = [Evidence(f"kind.aux.{facts.aux.name}", 5.0, facts.aux.why)]
        words: list[Word] = []
        hits: list[Hit] = []
    elif facts.closing:
        kind, notes, words, hits = "chat", [Evidence("kind.chat.closing", 5.0, "closes the task")], [], []
    else:
        words = tokenise(facts.words)
        hits = find_hits(words, facts.words.lower(), 1.0)
        kind, notes = _kind(facts, words, hits)
        if facts.proposal:
            kind, notes = _agreed_kind(facts, kind, notes)
        hits += _other_hits(facts, kind)
    risk, risk_notes = _risk(facts, kind, words, hits)
    complexity, complexity_notes = _complexity(facts, kind, words, hits)
    evidence = sorted(
        (*notes, *risk_notes, *complexity_notes), key=lambda e: (-abs(e.points), e.signal, e.why)
    )
    return Verdict(kind, risk, complexity, tuple(evidence[:MAX_EVIDENCE]))


def _agreed_kind(facts: Facts, kind: Kind, notes: list[Evidence]) -> tuple[Kind, list[Evidence]]:
    """A question answered with an offer that is accepted becomes the offer; any other task stays what it was."""
    if kind not in ("explain", "chat"):
        return kind, notes
    words = tokenise(_OFFER_HEAD.sub("", facts.proposal))
    offered, why = _kind(facts, words, find_hits(words, facts.proposal, 1.0))
    return (offered, why) if offered not in ("explain", "chat") else (kind, notes)


_OFFER_HEAD = re.compile(r"^(?:shall i|should i|want me to|would you like me to|do you want me to|i can|i could)\s+(?:also )?")


def _other_hits(facts: Facts, kind: Kind) -> list[Hit]:
    """Return what speaks from beside the words: pasted code when it is to be judged or mended, the agreed proposal."""
    hits: list[Hit] = []
    if facts.code and kind in ("review", "bugfix"):
        plain = [w._replace(weight=1.0) for w in tokenise(facts.code) if w.weight]
        found = find_hits(plain, "", CODE_WEIGHT)
        hits += [h for h in found if SIGNALS[h.signal].axis == "risk" and h.points > 0]
    if facts.proposal:
        hits += find_hits(tokenise(facts.proposal), facts.proposal, PROPOSAL_WEIGHT)
    return hits


def read(prompt: Prompt, *, role: str | None = None, only: tuple[str, ...] = ()) -> Task:
    """Read a request into a `Task`. Pure, bounded, never raises.

    Args:
        prompt: The request, from any surface.
        role: The role that the model name asked for (`openfusion/<role>`), or None.
        only: Candidate ids that the choice is restricted to; empty = all.
    """
    facts = read_facts(prompt)
    verdict = classify(facts)
    return Task(
        kind=verdict.kind,
        risk=verdict.risk,
        complexity=verdict.complexity,
        turn=facts.turn,
        needs=Needs(
            tools=(bool(prompt.tools) and not prompt.tool_choice_none) or facts.tool_calls,
            vision=facts.images > 0,
            json_schema=prompt.shape == "json_schema",
            input_tokens=input_tokens(prompt),
            max_output_tokens=prompt.max_output_tokens,
        ),
        evidence=verdict.evidence,
        struggling=facts.struggling,
        role=role,
        only=only,
        options=prompt.options,
    )
