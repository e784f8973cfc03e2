"""What the pictures of a trace are made of: places and widths in an SVG of `WIDE` units, from the trace's own numbers.

Pure: a trace's JSON in (`runtime/trace.py:full`), values for the templates out. Nothing is computed here but where a
thing stands.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from openfusion_auto.page.render import breakable

Document = Mapping[str, Any]

WIDE = 1000.0  # [units] of every picture from left to right
LEAST = 3.0  # [units] of what happened at all: seen, however short
TICKS = (1, 2, 5)  # steps of a scale, times powers of ten
MOST_TICKS = 6
READ, BESIDES = ("kind", "risk", "complexity"), "besides"  # a rule's word, a classifier's
COLOURS = 8  # classes c0..c7 of the style sheet


@dataclass(frozen=True, slots=True)
class Piece:
    """One term of a candidate's total: where it stands in the bar, and the term itself."""

    term: Document
    colour: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One ranked candidate. `first` is asked first; `row` is its entry in the decision."""

    row: Document
    place: int
    first: bool
    pieces: tuple[Piece, ...]


def bars(decision: Document) -> tuple[Bar, ...]:
    """Return the ranking as stacked bars, all on one scale: the longest is as wide as the picture."""
    rows: Sequence[Document] = decision["ranking"]
    longest = max((sum(over_zero(t) for t in r["terms"]) for r in rows), default=0.0) or 1.0
    steps = decision["plan"]["steps"]
    asked = steps[0]["candidates"][0] if steps else None
    return tuple(
        Bar(row, place, row["candidate"] == asked, pieces(row["terms"], WIDE / longest))
        for place, row in enumerate(rows, 1)
    )


def pieces(terms: Sequence[Document], scale: float) -> tuple[Piece, ...]:
    """Return the terms of one candidate side by side, `scale` units a point."""
    found, x = [], 0.0
    for i, term in enumerate(terms):
        width = over_zero(term) * scale
        found.append(Piece(term, f"c{i % COLOURS}", round(x, 2), round(width, 2)))
        x += width
    return tuple(found)


def over_zero(term: Document) -> float:
    """Return the points of a term as far as a bar can show them."""
    return max(0.0, float(term["points"]))


@dataclass(frozen=True, slots=True)
class Lane:
    """One call on the timeline.

    Attributes:
        call: Its entry among the trace's attempts.
        note: What it was in the course of things: a retry, a fallback, the second call of a hedge, a straggler.
        x: Where it began.
        wait: How wide the time to its first token is; all of it when none came.
        width: How wide the whole call is.
    """

    call: Document
    note: str
    x: float
    wait: float
    width: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """All calls of a request over its time. `ticks` are places and their milliseconds."""

    total_ms: float
    lanes: tuple[Lane, ...]
    ticks: tuple[tuple[float, float], ...]


def timeline(trace: Document) -> Timeline:
    """Return a trace's calls on one scale, from when the request came in to its end."""
    calls: Sequence[Document] = trace["attempts"]
    ends = [c["at_ms"] + (c["ms"] or 0.0) for c in calls]
    total = max([trace["ms"] or 0.0, *ends]) or 1.0
    scale = WIDE / total
    notes = notes_of(trace)
    lanes = []
    for call, note in zip(calls, notes, strict=True):
        # What is still running lasts until now, which is not known here: to the picture's end.
        lasted = call["ms"] if call["ms"] is not None else total - call["at_ms"]
        width = max(LEAST, lasted * scale)
        wait = width if call["ttft_ms"] is None else min(width, call["ttft_ms"] * scale)
        x = min(call["at_ms"] * scale, WIDE - width)
        lanes.append(Lane(call, note, round(max(0.0, x), 2), round(wait, 2), round(width, 2)))
    step = tick(total)
    marks = [i * step for i in range(1, int(total / step) + 1)]
    return Timeline(total, tuple(lanes), tuple((round(m * scale, 2), m) for m in marks))


def tick(total: float) -> float:
    """Return a round step of which at most `MOST_TICKS` fit."""
    power = 0.001
    while True:
        for base in TICKS:
            if total / (base * power) <= MOST_TICKS:
                return base * power
        power *= 10


def notes_of(trace: Document) -> list[str]:
    """Return what each call was in the course of things, "" for what needs no word."""
    calls: Sequence[Document] = trace["attempts"]
    won = trace["hedge"]["won"] if trace.get("hedge") else None
    tried: Counter[tuple[str, str]] = Counter()
    failed: dict[str, str] = {}
    said = []
    for call in calls:
        key = (call["phase"], call["candidate"])
        tried[key] += 1
        if call["phase"] == "hedge":
            note = "second call, came first" if won == call["candidate"] else "second call"
        elif call["status"] == "cancelled":
            note = "cut: slower than the others" if call["phase"] == "member" else "cut"
        elif tried[key] > 1:
            note = f"try {tried[key]}"
        elif call["phase"] != "member" and failed.get(call["phase"]):
            note = f"instead of {failed[call['phase']]}"
        else:
            note = ""
        if call["status"] == "error":
            failed[call["phase"]] = call["candidate"]
        said.append(note)
    return said


@dataclass(frozen=True, slots=True)
class Reading:
    """What the task was read as in one respect (kind, risk, complexity), and the evidence for it, strongest first."""

    what: str
    word: str
    evidence: tuple[tuple[Document, float], ...]


def readings(task: Document) -> tuple[Reading, ...]:
    """Return the task's readings; each piece of evidence with the share 0..`WIDE` that its points are of the most."""
    rows: Sequence[Document] = task["evidence"]
    most = max((abs(e["points"]) for e in rows), default=0.0) or 1.0
    sorts: dict[str, list[tuple[Document, float]]] = {what: [] for what in (*READ, BESIDES)}
    for e in sorted(rows, key=lambda e: -abs(e["points"])):
        what = e["signal"].partition(".")[0]
        share = round(WIDE * abs(e["points"]) / most, 1)
        sorts[what if what in READ else BESIDES].append((e, share))
    return tuple(
        Reading(what, task.get(what, ""), tuple(own))
        for what, own in sorts.items()
        if own or what != BESIDES
    )


def marked(text: str, words: Sequence[str]) -> Markup:
    """Return text as HTML in which those words are marked, whole and in any case."""
    known = sorted({re.escape(w) for w in words if w.strip()}, key=len, reverse=True)
    found = re.compile(rf"(?<!\w)({'|'.join(known) or '(?!)'})(?!\w)", re.IGNORECASE)
    parts = found.split(text)  # every second one is a word
    return Markup("").join(
        Markup("<mark>{}</mark>").format(p) if i % 2 else breakable(p) for i, p in enumerate(parts)
    )


def figure(value: float | None) -> str:
    """Return a measured number with four digits that count; a dash for what is not known."""
    return "\N{EN DASH}" if value is None else f"{value:,.4g}"
