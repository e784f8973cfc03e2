"""What happened to one request, as it happens, and its two renderings: compact (in the answer) and full (by id)."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal

from openfusion_auto.core import cost
from openfusion_auto.core.digest import plain
from openfusion_auto.core.explain import decision_json, one_sentence
from openfusion_auto.core.hedge import PHASE
from openfusion_auto.core.prompt import Dialect, TraceLevel, Usage
from openfusion_auto.core.recipes import Deliberation, Outcome
from openfusion_auto.core.types import Candidate, Decision, Policy, Pool, State
from openfusion_auto.runtime.texts import Texts

Status = Literal["ok", "error", "cancelled", "running"]
WHY_CHARS = 300  # [characters] of the sentence in a compact trace
COMPACT_BYTES = 2_000  # [bytes] of a compact trace as JSON: it rides on every answer


@dataclass(slots=True)
class Attempt:
    """One upstream call: a line of the books. Times are milliseconds since the request came in.

    `lost` lists what the candidate's dialect could not say. `usd` is None when the price is unknown. `estimated`
    marks usage that the upstream never reported (it was cut, or says nothing): then the tokens are counted from bytes.
    `billed`: `usd` is not the tokens at the pool's price but what the upstream says that it charges, None where it does
    not say. `least_usd` is then what it cost at least, where that is known: budgets count it. So they do the prompt of
    a call that was cut while it was silent, of which nobody knows whether it is billed. `times` its list price is what
    the call cost, by where it was computed.
    """

    phase: str
    candidate: str
    model: str
    upstream: str
    at_ms: float
    status: Status = "running"
    ttft_ms: float | None = None
    ms: float | None = None
    usage: Usage | None = None
    estimated: bool = False
    usd: float | None = None
    billed: bool = False
    finish: str | None = None
    error: str | None = None
    detail: str | None = None
    lost: tuple[str, ...] = ()
    least_usd: float | None = None
    times: float = field(default=1.0, metadata={"sparse": True})

    @property
    def known_usd(self) -> float:
        """What the call cost as far as that is known [USD]."""
        return (self.least_usd if self.usd is None else self.usd) or 0.0

    def book(self, candidate: Candidate, usage: Usage | None, *, estimated: bool = False) -> None:
        """Enter what the call used and what that costs."""
        self.usage = usage
        self.estimated = estimated
        if usage is not None and candidate.price is not None:
            self.usd = cost.usd(candidate.price, usage)


@dataclass(frozen=True, slots=True)
class Hedged:
    """A second call was made beside a first that was silent.

    Attributes:
        first, second: Who was asked.
        after_ms: How long the first had been silent then [ms], which `rule` said.
        won: Who said something first; None while, or when, neither did.
    """

    first: str
    second: str
    after_ms: float
    rule: str
    won: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The answer was kept from an earlier request: its trace and mode, who answered, when it came [s since 1970]."""

    trace: str
    mode: str
    model: str
    at: float


@dataclass(slots=True)
class Trace:
    """One request. `outcome` is `ok`, `error`, `cancelled` or `running`.

    `session` is a hash of the session's key, `owner` one of the id of the gateway key that asked (None without one).
    `surface` names where it came in when that is not its dialect's own path. `parent` is the caller's span, as a
    `traceparent` of W3C's version 00. `texts` are there where the operator lets words be kept, else None. `pool` is
    what was decided over, where that is not the configured one: the request named models outside it.
    """

    id: str
    requested_model: str
    dialect: Dialect
    stream: bool
    at: float
    session: str = ""
    owner: str | None = None
    session_source: str = ""
    pinned: bool = False
    decision: Decision | None = None
    state: State | None = None
    policy: Policy | None = None
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: Status = "running"
    answered_by: str | None = None
    answered_phase: str | None = None
    error: str | None = None
    ms: float | None = None
    dry_run: bool = False
    cached: Again | None = None
    surface: str | None = None
    deliberation: Deliberation | None = None
    hedge: Hedged | None = None
    parent: str | None = None
    texts: Texts | None = None
    pool: Pool | None = None

    def speaker(self) -> str | None:
        """Return who answers, as far as that is known: when it is not over, who was asked last or won."""
        if self.answered_by is not None or not self.attempts:
            return self.answered_by
        last = self.attempts[-1]
        if last.phase == PHASE and self.hedge is not None and self.hedge.won is not None:
            return self.hedge.won
        return last.candidate

    def heard(self, outcome: Outcome) -> None:
        """Enter how an answer came about."""
        self.notes.extend(outcome.notes)
        self.deliberation = outcome.deliberation
        if self.texts is not None:
            self.texts.heard(outcome.deliberation)

    @property
    def mode(self) -> str | None:
        """Return the mode in which the answer was made, as far as that is decided.

        Where there is nothing to decide (embeddings), one model is asked; a classifier is asked before that is known.
        """
        if self.cached is not None:
            return self.cached.mode
        if self.decision is None:
            return "single" if any(a.phase != "classify" for a in self.attempts) else None
        return self.decision.mode

    def usage(self) -> Usage:
        """Return the tokens of all calls together."""
        return summed(self.attempts)

    def told_usage(self, *, alone: bool = False) -> Usage | None:
        """Return what the client is told instead of its answer's own usage; None = that.

        The sum of several calls, or what one must have used whose upstream did not say: of the three dialects only
        chat can leave usage out, and a coding agent that reads 0 never compacts its history.

        Args:
            alone: The answering call's, whatever else was called: an agent that reads the sum compacts too early.
        """
        lines = [a for a in self.attempts if a.usage is not None]
        if alone:
            who = self.answered_by, self.answered_phase
            lines = [a for a in lines if (a.candidate, a.phase) == who and a.status == "ok"][-1:]
        unsaid = self.dialect != "chat" and any(a.estimated for a in lines)
        return summed(lines) if len(lines) > 1 or unsaid else None

    def usd(self) -> float | None:
        """Return the sum of the lines [USD]; None when a call with tokens has no known price."""
        return cost.total([a.usd for a in self.attempts if a.usage is not None])


def summed(lines: list[Attempt]) -> Usage:
    """Return the tokens of calls together."""
    total = Usage()
    for line in lines:
        if line.usage is not None:
            total = total + line.usage
    return total


def usage_lines(trace: Trace) -> list[dict[str, object]]:
    """Return the lines of the books that hold tokens."""
    return [
        {
            "phase": a.phase,
            "model": a.model,
            "input_tokens": a.usage.input,
            "cached_tokens": a.usage.cached,
            "output_tokens": a.usage.output,
            "usd": a.usd,
            **({"estimated": True} if a.estimated else {}),
            **({"billed": True} if a.billed else {}),
        }
        for a in trace.attempts
        if a.usage is not None
    ]


def compact(trace: Trace) -> dict[str, object]:
    """Return the trace as it stands in an answer: no prompt text, no terms, at most `COMPACT_BYTES` as JSON.

    Lists that are too long lose their ends; `more` says how many entries only the full trace has.
    """
    rendered = outlined(trace)
    rendered["requested_model"] = trace.requested_model[:100]
    rendered["why"] = str(rendered["why"])[:WHY_CHARS]
    return shortened(rendered)


def outlined(trace: Trace) -> dict[str, object]:
    """Return what a compact trace tells, uncut."""
    decision = trace.decision
    rendered: dict[str, object] = {
        "trace_id": trace.id,
        "mode": trace.mode,
        "requested_model": trace.requested_model,
        "task": None,
        "selected": [],
        "attempts": [
            {"candidate": a.candidate, "status": a.error or a.status} for a in trace.attempts
        ],
        "session": {"source": trace.session_source, "pinned": trace.pinned},
        "usage": usage_lines(trace),
        "usd": trace.usd(),
        "why": "",
    }
    if trace.dry_run:
        rendered["dry_run"] = True
    if trace.hedge is not None:
        rendered["hedge"] = {"second": trace.hedge.second, "won": trace.hedge.won}
    if trace.cached is not None:
        rendered["cached"] = True
        rendered["why"] = (
            f"The same request was answered before ({trace.cached.trace}); that answer was kept."
        )
    if decision is not None:
        task = decision.task
        rendered["task"] = {
            "kind": task.kind,
            "risk": task.risk,
            "complexity": task.complexity,
            "turn": task.turn,
        }
        rendered["selected"] = selected(decision)
        rendered["why"] = one_sentence(decision)
    return rendered


def shortened(rendered: dict[str, object]) -> dict[str, object]:
    """Return a compact trace that fits `COMPACT_BYTES`: the list that takes most room loses its last entry first."""
    if json_bytes(rendered) <= COMPACT_BYTES:
        return rendered
    lists = {k: list(v) for k, v in rendered.items() if isinstance(v, list)}
    sizes = {k: [json_bytes(entry) + 2 for entry in entries] for k, entries in lists.items()}
    more = dict.fromkeys(lists, 0)
    over = json_bytes({**rendered, "more": more}) - COMPACT_BYTES
    while over > 0 and any(len(entries) > 1 for entries in lists.values()):
        longest = max((k for k in lists if len(lists[k]) > 1), key=lambda k: sum(sizes[k]))
        lists[longest].pop()
        over -= sizes[longest].pop()
        more[longest] += 1
    texts = {}
    for name in ("why", "requested_model"):
        text = str(rendered[name])
        texts[name] = text[: max(0, len(text) - max(0, over))]
        over -= json_bytes(text) - json_bytes(texts[name])
    return {**rendered, **texts, **lists, "more": {k: n for k, n in more.items() if n}}


def json_bytes(value: object) -> int:
    """Return the size of a value as JSON with everything escaped [bytes]: what a surface sends is not longer."""
    return len(json.dumps(value))


def selected(decision: Decision) -> list[dict[str, object]]:
    """Return the first candidate of each step with its score."""
    scores = {s.candidate: s for s in decision.ranking}
    return [
        {
            "candidate": step.candidates[0],
            "model": scores[step.candidates[0]].model,
            "phase": step.phase,
            "total": round(scores[step.candidates[0]].total, 4),
        }
        for step in decision.plan.steps
    ]


def full(trace: Trace) -> dict[str, object]:
    """Return everything recorded, as JSON types: what `/v1/traces/{id}` shows and a replay needs."""
    state = trace.state
    words = {} if trace.texts is None else {"texts": plain(trace.texts)}
    return {
        "object": "openfusion.trace",
        **outlined(trace),
        "at": trace.at,
        "dialect": trace.dialect,
        "owner": trace.owner,
        "session_hash": trace.session or None,
        "stream": trace.stream,
        "outcome": trace.outcome,
        "answered_by": trace.answered_by,
        "answered_phase": trace.answered_phase,
        "error": trace.error,
        "ms": trace.ms,
        "attempts": [plain(a) for a in trace.attempts],
        "parent": trace.parent,
        "hedge": plain(trace.hedge) if trace.hedge is not None else None,
        "notes": list(trace.notes),
        "panel": panel_json(trace),
        "decision": decision_json(trace.decision) if trace.decision else None,
        "state": plain(state) if state is not None else None,
        "policy": plain(trace.policy) if trace.policy is not None else None,
        "pool": plain(trace.pool) if trace.pool is not None else None,
        **words,
    }


def shown(trace: Trace, level: TraceLevel) -> dict[str, object] | None:
    """Return what stands of the trace in an answer: its own words not once more, but a panel's analysis."""
    if level == "none":
        return None
    rendered = full(trace) if level == "full" else compact(trace)
    rendered.pop("texts", None)
    told = trace.deliberation
    if told is not None and told.analysis is not None:
        rendered["analysis"] = dict(told.analysis)
    return rendered


def progress(trace: Trace) -> dict[str, object]:
    """Return how the calls of a request go: what is told before the answer to who asks for it."""
    steps = trace.decision.plan.steps if trace.decision is not None else ()
    return {
        "trace_id": trace.id,
        "mode": trace.mode,
        "plan": [{"phase": s.phase, "candidate": s.candidates[0]} for s in steps],
        "calls": [
            {"phase": a.phase, "candidate": a.candidate, "status": a.error or a.status, "ms": a.ms}
            for a in trace.attempts
        ],
    }


def panel_json(trace: Trace) -> dict[str, object] | None:
    """Return how a panel came to its answer, beside who would have answered alone and for how much; None without one.

    `alone.usd` is what that candidate's own call cost here, or (`estimated`) what it was expected to.
    """
    told, decision = trace.deliberation, trace.decision
    if told is None or decision is None or not decision.ranking:
        return None
    first = decision.ranking[0]
    calls = [a for a in trace.attempts if (a.phase, a.candidate) == ("member", first.candidate)]
    own = next((a for a in calls if a.status == "ok"), None)
    return {
        "strategy": decision.strategy or "panel",
        "aggregator": told.aggregator,
        "best_of": told.best_of,
        "members": [plain(m) for m in told.members],
        "judged": plain(told.judged),
        "usd": trace.usd(),
        "alone": {
            "candidate": first.candidate,
            "usd": first.expected_usd if own is None else own.usd,
            "estimated": own is None,
            "ms": None if own is None else own.ms,
            "same_answer": None if own is None else first.candidate in told.same_as,
        },
    }


class TraceStore:
    """The latest traces, in memory."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def add(self, trace: Trace) -> None:
        """Remember a trace; the oldest goes when there are too many."""
        self._traces[trace.id] = trace
        while len(self._traces) > self._keep:
            self._traces.popitem(last=False)

    def get(self, trace_id: str) -> Trace | None:
        """Return a trace by id."""
        return self._traces.get(trace_id)

    def latest(self, count: int | None = None) -> list[Trace]:
        """Return the newest traces, newest first; all without a `count`."""
        return list(reversed(self._traces.values()))[:count]
