"""The router's ledger against its upstream's meter: every call in both, once, with the same tokens and the same money.

A line with tokens that were reported says by them which call it is of (`upstream.tokens_of`). Others are matched within
their request, by the model. What a line may be without:

    a call      when its request was cancelled before the call had reached the upstream: then it holds no tokens
    its tokens  when the call broke or was cut before the upstream told them: counted by bytes, or none when nothing came
"""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.load.ask import Seen
from tests.load.rig import nano_usd
from tests.load.upstream import Metered

BYTES_PER_TOKEN = 3.6  # core/tokens.py: what a call is counted by that nobody told the tokens of
UNDER_WAY = 64  # [characters] of a stream, some pieces: on their way when their reader leaves on a busy machine


class Line(NamedTuple):
    """A line of the ledger, as the file holds it."""

    trace: str
    phase: str
    model: str
    status: str
    input: int | None
    output: int | None
    usd: float | None
    estimated: bool


class Kept(NamedTuple):
    """A trace as the file holds it: its id, its session's hash, how it ended, how many calls it has."""

    id: str
    session: str
    outcome: str
    calls: int


def read_ledger(path: Path) -> list[Line]:
    """Return all lines of a store's file."""
    columns = "trace, phase, model, status, input, output, usd, estimated"
    with closing(sqlite3.connect(path)) as db:
        return [Line(*row) for row in db.execute(f"SELECT {columns} FROM ledger ORDER BY id")]


def read_traces(path: Path) -> list[Kept]:
    """Return all traces of a store's file."""
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT id, outcome, document FROM traces").fetchall()
    kept = []
    for name, outcome, document in rows:
        trace = json.loads(zlib.decompress(document))["trace"]
        kept.append(Kept(name, trace["session"], outcome, len(trace["attempts"])))
    return kept


@dataclass
class Found:
    """What a comparison found: counts of what is in order, and problems in words."""

    problems: list[str] = field(default_factory=list)
    exact: int = 0  # lines with the call's own tokens and money
    counted: int = 0  # lines counted by bytes, of calls that broke or were left
    blank: int = 0  # lines without tokens, of calls that failed before anything came
    unreached: int = 0  # lines of cancelled calls that never reached the upstream
    cancelled: int = 0  # of the lines, those of calls whose client had left
    nano: int = 0  # what the exact ones cost [1e-9 USD]
    counted_nano: int = 0  # what the counted ones cost [1e-9 USD]
    tokens: int = 0  # of the exact ones

    def say(self, problem: str) -> None:
        self.problems.append(problem)


def compare(lines: Iterable[Line], calls: Iterable[Metered], who: dict[str, str]) -> Found:
    """Compare a ledger with a meter.

    Args:
        lines: Of the ledger.
        calls: Of the meter, all that have ended.
        who: The trace of each request, by the ID that its prompt carried.
    """
    found = Found()
    by_trace: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_trace[line.trace].append(line)
        found.cancelled += line.status == "cancelled"
    by_asked: dict[str, list[Metered]] = defaultdict(list)
    for call in calls:
        by_asked[call.asked].append(call)
    for asked, made in by_asked.items():
        trace = who.get(asked)
        if trace is None:
            found.say(f"request {asked}: {len(made)} calls, and no trace that is its own")
            continue
        match(trace, by_trace.pop(trace, []), made, found)
    for trace, rest in by_trace.items():
        match(trace, rest, [], found)
    return found


def match(trace: str, lines: Sequence[Line], calls: Sequence[Metered], found: Found) -> None:
    """Compare what there is of one request."""
    open_calls = list(calls)
    unsure: list[Line] = []
    for line in lines:
        if line.input is None or line.estimated:
            unsure.append(line)
            continue
        same = [c for c in open_calls if c.tokens == (line.input, line.output) and c.told]
        if not same or same[0].model != line.model:
            found.say(f"{trace}: a line that is no call's, or another line's again: {line}")
            continue
        open_calls.remove(same[0])
        exact(trace, line, same[0], found)
    for line in unsure:
        same = [c for c in open_calls if c.model == line.model]
        # Of several that broke, the one that fits best: right ones last, they are the exact lines' own.
        said = (line.output or 0) * BYTES_PER_TOKEN
        same.sort(key=lambda c: (c.whole, abs(c.sent - said)))
        if same:
            open_calls.remove(same[0])
        unsure_one(trace, line, same[0] if same else None, found)
    for call in open_calls:
        found.say(f"{trace}: a call without a line: {call}")


def exact(trace: str, line: Line, call: Metered, found: Found) -> None:
    """Judge a line that holds what its call told."""
    nano = nano_usd(call.model, *call.tokens)
    if line.usd is None or round(line.usd * 1e9) != nano:
        found.say(f"{trace}: {line.usd} USD of a call of {nano * 1e-9:.9f}: {line}")
    if (line.status == "ok") != call.whole and line.status != "cancelled":
        found.say(f"{trace}: {line.status!r} of a call that was {call.fault or 'whole'}: {line}")
    found.exact += 1
    found.nano += nano
    found.tokens += sum(call.tokens)


def unsure_one(trace: str, line: Line, call: Metered | None, found: Found) -> None:
    """Judge a line whose call never told its tokens, or told them to nobody any more."""
    if line.status == "ok":
        found.say(f"{trace}: a good call whose tokens are not the reported ones: {line}")
    if call is None:
        if line.status == "cancelled" and line.input is None:
            found.unreached += 1
        else:
            found.say(f"{trace}: a line without a call: {line}")
        return
    if call.whole and line.status not in ("cancelled", "timeout"):
        found.say(f"{trace}: {line.status!r} of a call that was whole: {line}, {call}")
    if line.input is None:
        found.blank += 1
        return
    nano = nano_usd(line.model, line.input, line.output or 0)
    begun = int(call.dialect == "messages" and call.stream)  # its streams begin with one token told
    most = max(begun, math.ceil(call.sent / BYTES_PER_TOKEN))
    if line.usd is None or round(line.usd * 1e9) != nano:
        found.say(f"{trace}: {line.usd} USD of a line worth {nano * 1e-9:.9f}: {line}")
    # Of a call whose client left, what was said last may never have been read.
    unread = call.sent == 0 or (line.status == "cancelled" and call.sent <= UNDER_WAY)
    if not (0 if unread else 1) <= (line.output or 0) <= most:
        found.say(f"{trace}: {line.output} tokens counted where {call.sent} characters were said")
    found.counted += 1
    found.counted_nano += nano


def traces_of(seen: Sequence[Seen], kept: Sequence[Kept], hashed: dict[str, str]) -> dict[str, str]:
    """Return the trace of each request: as its answer said, else the only one of its session.

    Args:
        seen: The requests.
        kept: The traces of the file.
        hashed: The name that a session is kept under.
    """
    by_session: dict[str, list[str]] = defaultdict(list)
    for trace in kept:
        by_session[trace.session].append(trace.id)
    who = {}
    for one in seen:
        own = by_session.get(hashed.get(one.want.session, ""), [])
        if one.trace is not None:
            who[one.want.id] = one.trace
        elif len(own) == 1:
            who[one.want.id] = own[0]
    return who


ENDS = {"ok": {"ok"}, "error": {"error"}, "left": {"ok", "cancelled", "error"}}


def trace_problems(
    seen: Sequence[Seen], kept: Sequence[Kept], lines: Iterable[Line], who: dict[str, str]
) -> list[str]:
    """Return what is wrong with the traces: exactly one a request, with as many calls as the ledger has lines."""
    problems = []
    counts = Counter(line.trace for line in lines)
    by_id = {trace.id: trace for trace in kept}
    claimed = Counter(who.values())
    for one in seen:
        trace = by_id.get(who.get(one.want.id, ""))
        if trace is None:
            if one.want.leaves != 0 or one.trace is not None:
                problems.append(f"request {one.want.id} ({one.outcome} {one.note}): no trace")
            continue
        if claimed[trace.id] != 1:
            problems.append(f"{trace.id} is the trace of {claimed[trace.id]} requests")
        if trace.outcome not in ENDS.get(one.outcome, {trace.outcome}):
            problems.append(f"{trace.id}: {trace.outcome!r}, its client saw {one.outcome!r}")
    for trace in kept:
        if not claimed[trace.id]:
            problems.append(f"{trace.id}: a trace of no request")
        if trace.calls != counts[trace.id]:
            problems.append(f"{trace.id}: {trace.calls} calls, {counts[trace.id]} lines")
    return problems
