"""What a wrong answer costs and how hard the task is: sums of signals, cut into three levels.

Risk asks what breaks when the answer is wrong; text, tests and explanations are low whatever they mention. Complexity
asks how many places, how much thought, how unknown the cause. Length alone never makes a task hard.
"""

from __future__ import annotations

import re

from openfusion_auto.core.facts import Facts
from openfusion_auto.core.lexicon import word_set
from openfusion_auto.core.signals import COMMANDS, LOCAL_COMMANDS, ONLY_FOR
from openfusion_auto.core.types import Evidence, Kind, Level
from openfusion_auto.core.wording import Hits, Words, wide_length

RISK_HIGH = 3.0  # one full signal of a dangerous field, or two halves
RISK_MEDIUM = 0.0  # trivial edits go below
COMPLEX_HIGH = 1.9
COMPLEX_MEDIUM = -0.5
WEAK_MOST = (
    1.5  # what parts, length and lists may add together: a long ordinary task stays ordinary
)
OPERATES_LIVE = 0.8  # running something on a live system, against changing code that will run there
STRONG = 1.5  # a signal of a hard thing
SHORT_PASTE = 600  # [characters] beside the words: a trace that shows little but the place
TINY_DIFF = 160  # [characters]
COMMAND_WORDS = 12  # a longer command is more than one step
SHORT_WORDS = 20
MANY_FILES = 3
FILE_CHARS = 100
MANY_WISHES = 4  # commas behind a colon: five wishes or more are a system, not a feature
MANY_WISHES_CHARS = 110
LIST_ITEMS = 2  # commas of a list of wishes
LINES_PER_UNIT = 100  # so many lines of code weigh like one file

# What a wrong answer costs before anything else is known: shipped behaviour against text that people read.
_HARMLESS: frozenset[Kind] = frozenset({"test", "docs", "explain", "aux", "chat"})
_BASE_RISK = 0.6
# How hard a task of that kind is when nothing is known about it.
_BASE_COMPLEXITY: dict[Kind, float] = {
    "bugfix": 0.1, "feature": 0.0, "review": 0.4, "refactor": 0.0, "test": 0.3, "docs": -0.5, "explain": -0.6,
    "ops": -0.1, "aux": -3.0, "chat": -3.0,
}  # fmt: skip
# Points by the length of the words [characters]: below 55 a wish is mostly one place, above 170 it has parts.
_LENGTHS = ((55, -0.6), (90, -0.3), (170, 0.0), (260, 0.3))
LONGEST = 0.5
_EXPLAINING = word_set("explain describe walk understand teach elaborate")
_UNITS = re.compile(
    r"(?:(?:file|component|handler|service|endpoint|module|package|pipeline|workload|caller|controller|screen|table|"
    r"model|view|repo|job|integration|client|state|place|site|page|route|migration|script|mesh|microservice|"
    r"app|region|plugin|provider|consumer|tenant|line)(?:s|es)|classes|repositories|queries|libraries|kloc|loc)$"
)
_NUMBERS = {
    w: n
    for n, w in enumerate("one two three four five six seven eight nine ten eleven twelve".split(), 1)  # noqa: SIM905 - a list
} | {"dozen": 12, "dozens": 30, "hundred": 100, "hundreds": 300, "thousand": 1000, "thousands": 2000}  # fmt: skip


def read_risk(facts: Facts, kind: Kind, words: Words, hits: Hits) -> tuple[Level, list[Evidence]]:
    """Return what a wrong answer costs, and the evidence for and against."""
    if kind in _HARMLESS:
        return "low", [Evidence("risk.kind", 0.0, kind)]
    notes = [Evidence("risk.base", _BASE_RISK, kind)]
    notes += _notes(hits, "risk", kind)
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("risk.tiny diff", -0.8, f"{len(facts.code)} characters"))
    if kind == "ops" and any(n.signal == "risk.live system" for n in notes):
        notes.append(Evidence("risk.operates on it", OPERATES_LIVE, "ops"))
    if kind == "ops" and words.first in LOCAL_COMMANDS and all(n.points <= 0 for n in notes[1:]):
        notes.append(Evidence("risk.local command", -1.0, words.first))
    total = sum(n.points for n in notes)
    level: Level = "high" if total >= RISK_HIGH else "low" if total < RISK_MEDIUM else "medium"
    return level, notes


def read_complexity(
    facts: Facts, kind: Kind, words: Words, hits: Hits
) -> tuple[Level, list[Evidence]]:
    """Return how hard the task is, and the evidence for and against."""
    if facts.aux is not None:
        level: Level = "medium" if facts.aux.name in ("compaction", "memory") else "low"
        return level, [Evidence("complexity.kind", 0.0, facts.aux.name)]
    if kind == "chat":
        return "low", [Evidence("complexity.kind", 0.0, kind)]
    notes = [Evidence("complexity.base", _BASE_COMPLEXITY[kind], kind)]
    notes += _notes(hits, "complexity", kind)
    # Few words can name a hard thing: then they are no sign of an easy one.
    hard = any(n.points >= STRONG for n in notes)
    notes += _size_notes(facts, words, kind, hard=hard)
    notes += _place_notes(facts, kind, words)
    notes += _form_notes(facts, kind, words)
    weak = sum(n.points for n in notes if n.points > 0 and n.signal in _WEAK_COMPLEXITY)
    if weak > WEAK_MOST:
        notes.append(
            Evidence(
                "complexity.cap", round(WEAK_MOST - weak, 2), "ordinary parts add up to a limit"
            )
        )
    total = sum(n.points for n in notes)
    if total >= COMPLEX_HIGH:
        return "high", notes
    return "low" if total < COMPLEX_MEDIUM else "medium", notes


_WEAK_COMPLEXITY = frozenset(
    f"complexity.{name}" for name in ("several parts", "some thought", "length", "list", "files")
)


def _notes(hits: Hits, axis: str, kind: Kind) -> list[Evidence]:
    return [
        Evidence(f"{axis}.{hit.name}", round(hit.points, 2), hit.term)
        for hit in hits.get(axis, {}).values()
        if ONLY_FOR.get(f"{axis}.{hit.name}", kind) == kind
    ]


def _place_notes(facts: Facts, kind: Kind, words: Words) -> list[Evidence]:
    """How exactly the place is named: one file, a short trace, a tiny diff; several files mean several places."""
    notes = []
    files = count_files(facts.words)
    if files == 1 and kind in ("bugfix", "feature", "refactor"):
        notes.append(Evidence("complexity.one file", -0.4, "1 file"))
    elif files >= MANY_FILES:
        notes.append(Evidence("complexity.files", 0.5, f"{files} files"))
    short = facts.pasted < SHORT_PASTE and len(words.texts) < SHORT_WORDS
    if kind == "bugfix" and "trace" in facts.marks and short:
        notes.append(Evidence("complexity.short trace", -0.6, "names the place"))
    if "diff" in facts.marks and len(facts.code) < TINY_DIFF:
        notes.append(Evidence("complexity.tiny diff", -1.2, f"{len(facts.code)} characters"))
    return notes


def _form_notes(facts: Facts, kind: Kind, words: Words) -> list[Evidence]:
    """What one kind's form says: a bare command, code to explain."""
    if kind == "ops" and words.first in COMMANDS and len(words.texts) <= COMMAND_WORDS:
        return [Evidence("complexity.plain command", -1.0, words.first)]
    if kind == "explain" and "code" in facts.marks:
        return [Evidence("complexity.code to explain", 0.8, "code")]
    explains = any(b and t in _EXPLAINING for t, b in zip(words.texts, words.begins, strict=True))
    if kind == "explain" and explains:
        return [Evidence("complexity.wants to understand", 0.6, "explain")]
    return []


def count_files(text: str) -> int:
    """Return how many different file names a text holds."""
    named = [raw[:FILE_CHARS] for raw in text.split() if "." in raw[1:-1]]
    return len({found.group() for raw in named if (found := _FILE.search(raw))})


_FILE = re.compile(r"[\w/-]+\.[a-z]{1,5}\b(?!\()")


def _size_notes(facts: Facts, words: Words, kind: Kind, *, hard: bool) -> list[Evidence]:
    """Counts, lists and the length of the words. Length alone is worth less than one level, whatever it is."""
    notes = []
    count, unit = _largest_count(words)
    for least, points in ((40, 2.4), (10, 1.2), (3, 0.3)):
        if count >= least:
            notes.append(Evidence("complexity.count", points, unit))
            hard = hard or points >= STRONG
            break
    items = facts.words.count(",") + facts.words.count("\u3001") + facts.words.count("\uff0c")
    if items >= LIST_ITEMS and ":" in facts.words.replace("\uff1a", ":"):
        points = 1.0 if items > 2 * LIST_ITEMS - 1 else 0.6
        notes.append(Evidence("complexity.list", points, f"{items} commas"))
        if kind == "feature" and items >= MANY_WISHES and len(facts.words) > MANY_WISHES_CHARS:
            notes.append(Evidence("complexity.many wishes", 0.8, f"{items} commas"))
    length = len(facts.words) if facts.words.isascii() else wide_length(facts.words)
    points = next((p for most, p in _LENGTHS if length < most), LONGEST)
    if points > 0 or (points < 0 and not hard):
        notes.append(Evidence("complexity.length", points, f"{length} characters"))
    return notes


def _largest_count(words: Words) -> tuple[float, str]:
    """Return the largest number of parts named ("140 components", "9k lines"), and the words that say so."""
    best, said = 0.0, ""
    for i, text in enumerate(words.texts):
        if (
            text[0] > "9" and text not in _NUMBERS
        ):  # words begin with a letter or a digit, letters sort later
            continue
        number = _number(text)
        unit = next((t for t in words.texts[i + 1 : i + 4] if _UNITS.match(t)), "")
        if unit.startswith(("line", "loc")):
            number /= LINES_PER_UNIT
        if unit and number > best:
            best, said = number, f"{text} {unit}"
    return best, said


def _number(text: str) -> float:
    if text in _NUMBERS:
        return float(_NUMBERS[text])
    scale = {"k": 1_000.0, "m": 1_000_000.0}.get(text[-1], 1.0)
    try:
        return float(text.rstrip("km").replace(",", "")) * scale
    except ValueError:  # "1.2.3", or digits of a script that float() does not read
        return 0.0
