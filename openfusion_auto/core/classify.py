"""Read a task: what kind it is, how risky, how hard, with the evidence for every point.

`read(prompt)` is the whole of it. Words are looked up in `signals.py`; where they stand says how much they count:
in a sentence in full, in a file name or an identifier by half, in quotation marks not at all. The envelope, tool
schemas and system prompts are never looked at here, so they cannot make a task harder.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.signals import (
    AMBIGUOUS_HEADS,
    HEAD_VERBS,
    INDEX,
    NEUTRAL_PHRASES,
    ONLY_FOR,
    PREFIX_CHARS,
    SIGNALS,
    UNSPACED,
)
from openfusion_auto.core.tokens import input_tokens
from openfusion_auto.core.types import KINDS, Evidence, Kind, Level, Needs, Task

MAX_EVIDENCE = 12  # the strongest ones; a trace is read by people
NAME_WEIGHT = 0.5  # a word inside a file name, path or identifier
CODE_WEIGHT = 0.5  # a word in code pasted under the question
PROPOSAL_WEIGHT = 0.5  # a word of the assistant's proposal that was agreed to
LATER_HEAD = 0.8  # an instruction after the first one
JOINED_HEAD = 0.6  # one behind "and" or a comma
BARE_HEAD = 0.75  # a verb that may be a noun, without a word like "the" behind it

RISK_HIGH = 3.0  # one full signal of a dangerous field, or two halves
RISK_MEDIUM = 0.0  # trivial edits go below
COMPLEX_HIGH = 2.1
COMPLEX_MEDIUM = -0.35

# What a wrong answer costs before anything else is known: shipped behaviour against text that people read.
_HARMLESS: frozenset[Kind] = frozenset({"test", "docs", "explain", "aux", "chat"})
_BASE_RISK = 0.6
# How hard a task of that kind is when nothing is known about it.
_BASE_COMPLEXITY: dict[Kind, float] = {
    "bugfix": 0.1, "feature": 0.0, "review": 0.4, "refactor": 0.0, "test": 0.3, "docs": -0.5, "explain": -0.6,
    "ops": -0.1, "aux": -3.0, "chat": -3.0,
}  # fmt: skip

_POLITE = frozenset(
    "please pls can could would will you u kindly now then and also just hey hi hello ok okay so i we want need like i'd "
    "we'd to let's lets help me us should must first next finally quickly go try have bitte kannst du por favor i'll "
    "i'm going gonna simply maybe perhaps sure yes right".split()  # noqa: SIM905 - a list of words
)
# Behind these a first word is no instruction but what the sentence is about ("Build fails on Windows").
_VERBAL = frozenset(
    "is are was were fails fail failed crashes crash breaks broke hangs returns shows does doesn't has takes should must times "
    "errors still isn't aren't never stopped stops won't can't appears looks".split()  # noqa: SIM905 - a list of words
)
_JUDGED = frozenset(
    "correct idiomatic right safe ok okay good clean sound valid optimal readable efficient thread pythonic".split()  # noqa: SIM905 - a list of words
)
_TELLING = frozenset("we i i'm i've we've it's that's you you're haha lol".split())  # noqa: SIM905 - a list of words
_NOT = frozenset("don't dont not never without no".split())  # noqa: SIM905 - a list of words
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
TINY_DIFF = 160  # [characters]
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


class _Word(NamedTuple):
    """A token of the words: folded, its weight, and whether it begins an instruction (0 no, else its weight)."""

    text: str
    weight: float
    begins: float


class _Hit(NamedTuple):
    signal: int
    points: float
    term: str


# -- words -----------------------------------------------------------------------------------------------------------

_QUOTES = re.compile(
    r'"[^"\n]{0,160}"|\u201c[^\u201d\n]{0,160}\u201d|«[^»\n]{0,160}»|\u300c[^\u300d\n]{0,160}\u300d|'
    r"\u201e[^\u201c\u201d\n]{0,160}[\u201c\u201d]|(?<![\w)])'[^'\n]{1,100}'(?!\w)"
)
_BACKTICKS = re.compile(r"`([^`\n]{0,160})`")
_PIECES = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?|\d+(?:[.,]\d+)*[kKmM]?(?![^\W_])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NAME = re.compile(r"[\w\])]\.\w|[\w~.]/[\w.]|\w_\w|_\w|\w\(|^[a-z]+[A-Z]|\w=\w|^[<@$]|::|\w\[|^/\w|[{}]")
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


def _tokenise(text: str) -> list[_Word]:
    """Return the words of a text with their weights; quotations are left out, code in backticks weighs like a name."""
    if '"' in text or "'" in text or not text.isascii():
        text = _QUOTES.sub(" \u0001 ", text)
    if "`" in text:
        text = _BACKTICKS.sub(lambda m: " `" + m.group(1).replace(" ", "` `") + "` ", text)
    words: list[_Word] = []
    begins, joined = 1.0, False
    for raw in text.split():
        if raw == "\u0001":
            words.append(_Word('"', 0.0, 0.0))
            begins = 0.0
            continue
        pieces, name, end = _pieces(raw)
        weight = NAME_WEIGHT if name or raw[0] == "`" else 1.0
        for piece in pieces:
            words.append(_Word(piece, weight, begins if weight == 1.0 else 0.0))
            if piece not in _POLITE:
                begins = 0.0
        joined = end == "," or (bool(pieces) and pieces[-1] in ("and", "then", "und", "et", "y", "or"))
        if end in _ENDS or (not pieces and raw in ("-", "*")):
            begins = LATER_HEAD if words else 1.0
        elif joined:
            begins = max(begins, JOINED_HEAD)
    return words


# -- signals ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _word_signals(word: str) -> tuple[int, ...]:
    """Return the numbers of the signals that one word fires. Kept like `_pieces`."""
    found = list(INDEX.words.get(word, ()))
    if word.endswith("'s"):
        found += INDEX.words.get(word[:-2], ())
    found += [n for stem, n in INDEX.prefixes.get(word[:PREFIX_CHARS], ()) if word.startswith(stem)]
    return tuple(dict.fromkeys(found))


def _find_hits(words: list[_Word], folded: str, scale: float) -> list[_Hit]:
    hits: list[_Hit] = []
    _mute_neutral(words)
    for i, word in enumerate(words):
        if word.weight == 0.0:
            continue
        weight = word.weight * scale
        hits.extend(_Hit(n, SIGNALS[n].points * weight, word.text) for n in _word_signals(word.text))
        for rest, n in INDEX.phrases.get(word.text, ()):
            if _follows(words, i + 1, rest):
                term = " ".join((word.text, *rest))
                hits.append(_Hit(n, SIGNALS[n].points * weight, term))
    if not folded.isascii() and max(folded, default="") >= UNSPACED:
        hits.extend(
            _Hit(n, SIGNALS[n].points * scale, term) for term, n in INDEX.anywhere if term in folded
        )
    return hits


def _mute_neutral(words: list[_Word]) -> None:
    """Take the weight from words that stand in a harmless phrase ("dependency injection")."""
    for i, word in enumerate(words):
        for rest in NEUTRAL_PHRASES.get(word.text, ()):
            if _follows(words, i + 1, rest):
                for k in range(i, i + 1 + len(rest)):
                    words[k] = words[k]._replace(weight=0.0)


def _follows(words: list[_Word], at: int, rest: tuple[str, ...]) -> bool:
    if at + len(rest) > len(words):
        return False
    return all(
        words[at + k].text == want
        or (want[-1] == "*" and words[at + k].text.startswith(want[:-1]))
        for k, want in enumerate(rest)
    )


def _strongest(hits: list[_Hit], axis: str) -> list[_Hit]:
    """Return one hit of each group of an axis, the strongest; the first of equals."""
    best: dict[str, _Hit] = {}
    for hit in hits:
        signal = SIGNALS[hit.signal]
        if signal.axis == axis:
            known = best.get(signal.group)
            if known is None or abs(hit.points) > abs(known.points):
                best[signal.group] = hit
    return list(best.values())


# -- kind ------------------------------------------------------------------------------------------------------------


def _head_points(words: list[_Word]) -> dict[Kind, tuple[float, str]]:
    """Return, for each kind, the points of the strongest instruction and the verb."""
    best: dict[Kind, tuple[float, str]] = {}
    for i, word in enumerate(words):
        verbs = HEAD_VERBS.get(word.text) if word.begins else None
        if verbs is None or (i and words[i - 1].text in _NOT):
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


def _kind(facts: Facts, words: list[_Word], hits: list[_Hit]) -> tuple[Kind, list[Evidence]]:
    tally = _Tally()
    heads = _head_points(words)
    for kind, (points, verb) in heads.items():
        tally.add(kind, "asks", points, verb)
    for kind in KINDS:
        for hit in _strongest(hits, kind):
            tally.add(kind, SIGNALS[hit.signal].name, hit.points, hit.term)
    _add_shape(facts, words, tally, heads=bool(heads))
    best = tally.best()
    if tally.scores[best] <= 0.0:
        best = _fallback(facts, words)
        tally.add(best, "nothing else", 0.1, "no signal")
    return best, tally.notes[best]


def _add_shape(facts: Facts, words: list[_Word], tally: _Tally, *, heads: bool) -> None:
    """Add what the form says: a question, a trace or code under it, small talk that grows too long."""
    texts = [w.text for w in words]
    first = next((t for t in texts if t not in ("so", "and", "but", "hey", "hi")), "")
    if _is_question(facts.words[-160:]) and first in _ASKING:
        tally.add("explain", "form", 1.2, "question")
    judged = first in ("is", "are", "does") and not _JUDGED.isdisjoint(texts)
    if judged and (not facts.marks.isdisjoint(("code", "diff")) or any(w.weight == NAME_WEIGHT for w in words)):
        tally.add("review", "form", 4.4, "question about code")
    if "trace" in facts.marks and tally.scores["explain"] < 2.0:
        tally.add("bugfix", "form", 1.5, "stack trace")
    if "diff" in facts.marks and tally.scores["review"] > 0:
        tally.add("review", "form", 1.0, "diff")
    tasks = max(tally.scores[k] for k in KINDS if k not in ("chat", "explain"))
    told = first in _TELLING or not _TELLING.isdisjoint(texts[:4])
    if told and not heads and tasks < 2.5 and "?" not in facts.words:
        tally.add("chat", "form", 2.5, "asks for nothing")
    elif len(words) > SMALL_TALK_WORDS or tasks >= 2.5:
        tally.add("chat", "form", -3.0, "asks for work")


def _is_question(text: str) -> bool:
    return text.rstrip(" )\"'*_;").endswith(("?", "\uff1f", "\u061f"))


def _fallback(facts: Facts, words: list[_Word]) -> Kind:
    if not facts.words:
        return _BY_PASTE.get(next(iter(sorted(facts.marks)), ""), "chat")
    if _is_question(facts.words[-160:]):
        return "explain"
    plain = len(words) <= SMALL_TALK_WORDS and not any(0 < w.weight < 1 for w in words)
    return "chat" if plain and not facts.marks else "feature"


# -- risk and complexity ---------------------------------------------------------------------------------------------


def _risk(facts: Facts, kind: Kind, hits: list[_Hit]) -> tuple[Level, list[Evidence]]:
    if kind in _HARMLESS:
        return "low", [Evidence("risk.kind", 0.0, kind)]
    notes = [Evidence("risk.base", _BASE_RISK, kind)]
    notes += _notes(hits, "risk", kind)
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("risk.tiny diff", -0.8, f"{len(facts.code)} characters"))
    if kind == "ops" and any(n.signal == "risk.live system" for n in notes):
        notes.append(Evidence("risk.operates on it", OPERATES_LIVE, "ops"))
    total = sum(n.points for n in notes)
    level: Level = "high" if total >= RISK_HIGH else "low" if total < RISK_MEDIUM else "medium"
    return level, notes


def _complexity(
    facts: Facts, kind: Kind, words: list[_Word], hits: list[_Hit]
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
    total = sum(n.points for n in notes)
    if total >= COMPLEX_HIGH:
        return "high", notes
    return "low" if total < COMPLEX_MEDIUM else "medium", notes


def _notes(hits: list[_Hit], axis: str, kind: Kind) -> list[Evidence]:
    notes = [
        Evidence(f"{axis}.{SIGNALS[h.signal].name}", round(h.points, 2), h.term)
        for h in _strongest(hits, axis)
    ]
    return [n for n in notes if ONLY_FOR.get(n.signal, kind) == kind]


def _place_notes(facts: Facts, kind: Kind, words: list[_Word]) -> list[Evidence]:
    """How exactly the place is named: one file, a short trace, a tiny diff; several files mean several places."""
    notes = []
    files = len({m.group() for m in _FILE.finditer(facts.words)})
    if files == 1 and kind in ("bugfix", "feature", "refactor"):
        notes.append(Evidence("complexity.one file", -0.4, "1 file"))
    elif files >= 3:
        notes.append(Evidence("complexity.files", 0.5, f"{files} files"))
    if "trace" in facts.marks and facts.pasted < SHORT_PASTE and kind == "bugfix" and len(words) < 20:
        notes.append(Evidence("complexity.short trace", -0.6, "names the place"))
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("complexity.tiny diff", -1.2, f"{len(facts.code)} characters"))
    if kind == "explain" and "code" in facts.marks:
        notes.append(Evidence("complexity.code to explain", 0.8, "code"))
    return notes


_FILE = re.compile(r"[\w/-]+\.[a-z]{1,5}\b(?!\()")


def _size_notes(facts: Facts, words: list[_Word]) -> list[Evidence]:
    """Counts, lists and the length of the words. Length alone is worth less than one level, whatever it is."""
    notes = []
    count, unit = _largest_count(words)
    for least, points in ((40, 2.4), (10, 1.2), (3, 0.6)):
        if count >= least:
            notes.append(Evidence("complexity.count", points, unit))
            break
    items = facts.words.count(",") + facts.words.count("\u3001") + facts.words.count("\uff0c")
    if items >= LIST_ITEMS and ":" in facts.words.replace("\uff1a", ":"):
        notes.append(Evidence("complexity.list", 0.6, f"{items} commas"))
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


def _largest_count(words: list[_Word]) -> tuple[float, str]:
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
        words: list[_Word] = []
        hits: list[_Hit] = []
    elif facts.closing:
        kind, notes, words, hits = "chat", [Evidence("kind.chat.closing", 5.0, "closes the task")], [], []
    else:
        words = _tokenise(facts.words)
        hits = _find_hits(words, facts.words.lower(), 1.0)
        kind, notes = _kind(facts, words, hits)
        if facts.proposal:
            kind, notes = _agreed_kind(facts, kind, notes)
        hits += _other_hits(facts, kind)
    risk, risk_notes = _risk(facts, kind, hits)
    complexity, complexity_notes = _complexity(facts, kind, words, hits)
    evidence = sorted(
        (*notes, *risk_notes, *complexity_notes), key=lambda e: (-abs(e.points), e.signal, e.why)
    )
    return Verdict(kind, risk, complexity, tuple(evidence[:MAX_EVIDENCE]))


def _agreed_kind(facts: Facts, kind: Kind, notes: list[Evidence]) -> tuple[Kind, list[Evidence]]:
    """A question answered with an offer that is accepted becomes the offer; any other task stays what it was."""
    if kind not in ("explain", "chat"):
        return kind, notes
    words = _tokenise(_OFFER_HEAD.sub("", facts.proposal))
    offered, why = _kind(facts, words, _find_hits(words, facts.proposal, 1.0))
    return (offered, why) if offered not in ("explain", "chat") else (kind, notes)


_OFFER_HEAD = re.compile(r"^(?:shall i|should i|want me to|would you like me to|do you want me to|i can|i could)\s+(?:also )?")


def _other_hits(facts: Facts, kind: Kind) -> list[_Hit]:
    """Return what speaks from beside the words: pasted code when it is to be judged or mended, the agreed proposal."""
    hits: list[_Hit] = []
    if facts.code and kind in ("review", "bugfix"):
        plain = [w._replace(weight=1.0) for w in _tokenise(facts.code) if w.weight]
        found = _find_hits(plain, "", CODE_WEIGHT)
        hits += [h for h in found if SIGNALS[h.signal].axis == "risk" and h.points > 0]
    if facts.proposal:
        hits += _find_hits(_tokenise(facts.proposal), facts.proposal, PROPOSAL_WEIGHT)
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
