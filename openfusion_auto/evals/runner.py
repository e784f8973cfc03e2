"""Asks an engine every case once for each contender and writes down what came of it: decision, calls, money, grade.

A run is a session of its own, so that no contender finds another's pin. Runs are recorded in the order of cases and
contenders, however many go on at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from openfusion_auto.core.digest import plain
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Task
from openfusion_auto.errors import ConfigError, FusionError
from openfusion_auto.evals.cases import Case, Expect
from openfusion_auto.evals.contenders import Contender
from openfusion_auto.evals.graders import Graded, grade
from openfusion_auto.evals.sandbox import Sandbox
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.wire.chat_request import parse_request

Json = dict[str, object]
NOT_RUN = "not_run"  # outcome of a run that the ceiling of money left out
# Of an attempt; `detail` may quote an upstream, so it stays in the trace.
ATTEMPT = (
    "phase", "candidate", "model", "upstream", "status", "at_ms", "ttft_ms", "ms", "usd",
    "estimated", "billed", "finish", "error", "lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class How:
    """How cases are run: at once, how often, up to which sum [USD], with how many characters of texts kept."""

    parallel: int = 1
    repeat: int = 1
    max_usd: float | None = None
    excerpt: int = 0
    sandbox: Sandbox | None = None


@dataclass(slots=True)
class Purse:
    """What may be spent [USD], and what was. An unknown price may be any: after one nothing is left."""

    max_usd: float | None = None
    spent: float = 0.0

    @property
    def empty(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.max_usd is not None and self.spent >= self.max_usd

    def pay(self, usd: object) -> None:
        """Take money out; None is an unknown sum."""
        self.spent += usd if isinstance(usd, int | float) else math.inf


@dataclass(frozen=True, slots=True)
class Run:
    """One request and its answer: the record that a receipt keeps, and the text, which it does not."""

    case: Case
    contender: Contender
    text: str
    record: Json


async def run_all(
    engine: Engine,
    cases: Sequence[Case],
    contenders: Sequence[Contender],
    how: How,
    progress: Callable[[Run], None] = lambda _: None,
    purse: Purse | None = None,
) -> list[Run]:
    """Return a run for each case, repetition and contender; `purse` pays, a new one by `how` when there is none."""
    gate = asyncio.Semaphore(how.parallel)
    money = purse or Purse(how.max_usd)

    async def one(case: Case, contender: Contender, repeat: int) -> Run:
        async with gate:
            if money.empty:
                return left_out(case, contender, repeat)
            run = await run_one(engine, case, contender, repeat, how)
            money.pay(run.record["usd"])
            progress(run)
            return run

    order = [(c, x, r) for c in cases for r in range(how.repeat) for x in contenders]
    return list(await asyncio.gather(*(one(*each) for each in order)))


async def run_one(engine: Engine, case: Case, contender: Contender, repeat: int, how: How) -> Run:
    """Return one run; an error is its outcome, never raised."""
    incoming, sent = request(case, contender, f"eval {contender.name} {case.id} {repeat}")
    trace = engine.open(incoming)
    answer: Json = {}
    with contextlib.suppress(FusionError):  # the trace has it
        answer = json.loads(await engine.answer(incoming, trace, None))
    text, tools = said(answer)
    record: Json = {
        "case": case.id,
        "contender": contender.name,
        "repeat": repeat,
        "request": content(sent, how.excerpt, case.question()),
        "answer": content(text.encode(errors="replace"), how.excerpt, text) if answer else None,
        "tools": tools,
        **recorded(trace),
        "checks": checks(case.expect, trace, tools, judged=contender.name == "auto"),
        "grade": None,
    }
    if case.grade is not None:
        found = Graded("unanswered", "there is no answer")
        if answer:
            found = await asyncio.to_thread(grade, case.grade, text, how.sandbox)
        record["grade"] = graded(case.grade.by, found)
    return Run(case, contender, text, record)


def request(case: Case, contender: Contender, identity: str) -> tuple[Incoming, bytes]:
    """Return the request of a run, and the bytes of what is asked: the same for every contender."""
    asked = case.body()
    options: Json = {"mode": case.mode, "cost_quality": case.cost_quality, **contender.options}
    chosen = {k: v for k, v in options.items() if v is not None}
    body = {"model": contender.model, **asked, "openfusion": {**chosen, "trace": "none"}}
    sent = json.dumps(asked, sort_keys=True).encode()
    return Incoming(parse_request(json.dumps(body).encode()), {}, identity), sent


def check_requests(cases: Sequence[Case], contenders: Sequence[Contender]) -> None:
    """See that every request can be made, before the first is paid for.

    Raises:
        ConfigError: one cannot; it is named.
    """
    for case in cases:
        for contender in contenders:
            try:
                request(case, contender, "")
            except FusionError as error:
                raise ConfigError(f"case {case.id}: {error.message}") from None


def content(data: bytes, excerpt: int, text: str) -> Json:
    """Return what is kept of a text: its digest and size, its beginning only when asked for."""
    kept: Json = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    if excerpt:
        kept["excerpt"] = text[:excerpt]
    return kept


def said(answer: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return the text of a chat completion and the names of the tools that it calls."""
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict):
        return "", []
    text = message.get("content")
    calls = message.get("tool_calls")
    named = [c.get("function", {}).get("name") for c in calls] if isinstance(calls, list) else []
    return (text if isinstance(text, str) else ""), [n for n in named if isinstance(n, str)]


def recorded(trace: Trace) -> Json:
    """Return what a receipt keeps of a trace: what was decided from what, every call, the sums."""
    decision = trace.decision
    return {
        "trace": trace.id,
        "outcome": trace.outcome,
        "error": trace.error,
        "mode": trace.mode,
        "answered_by": trace.answered_by,
        "answered_phase": trace.answered_phase,
        "inputs": inputs(trace),
        "decision": decision_json(decision) if decision is not None else None,
        "attempts": [attempt_json(a) for a in trace.attempts],
        "usage": plain(trace.usage()),
        "usd": trace.usd(),
        "ms": trace.ms,
    }


def inputs(trace: Trace) -> Json | None:
    """Return what the decision is a function of, but the pool, which a receipt keeps once; no session's name."""
    if trace.decision is None or trace.state is None or trace.policy is None:
        return None
    task: Task = trace.decision.task
    nameless = replace(task, options=replace(task.options, session=None))
    return {"task": plain(nameless), "state": plain(trace.state), "policy": plain(trace.policy)}


def attempt_json(attempt: Attempt) -> Json:
    """Return one call as a receipt keeps it."""
    shown: Json = {name: plain(getattr(attempt, name)) for name in ATTEMPT}
    used: Usage | None = attempt.usage
    times = {} if attempt.times == 1.0 else {"times": attempt.times}
    return {**shown, **times, "usage": plain(used) if used is not None else None}


def checks(expect: Expect, trace: Trace, tools: Sequence[str], *, judged: bool) -> list[Json]:
    """Return for each expectation what came instead; only Auto is judged by what it decides."""
    decision = trace.decision
    if not judged or decision is None:
        return []
    task = decision.task
    got: Mapping[str, Sequence[str]] = {
        "kind": [task.kind],
        "risk": [task.risk],
        "complexity": [task.complexity],
        "turn": [task.turn],
        "mode": [decision.mode],
        "tool": tools,
    }
    return [
        {
            "of": name,
            "wanted": list(wanted),
            "got": list(got[name]),
            "ok": any(g in wanted for g in got[name]),
        }
        for name, wanted in expect.wanted().items()
    ]


def graded(by: str, found: Graded) -> Json:
    """Return a grade as a receipt keeps it."""
    return {"by": by, "verdict": found.verdict, "detail": found.detail}


def left_out(case: Case, contender: Contender, repeat: int) -> Run:
    """Return the record of a run that was not made: the ceiling of money was reached."""
    nothing: Json = dict.fromkeys(
        ("request", "answer", "trace", "mode", "answered_by", "answered_phase", "inputs", "decision", "ms", "grade")
    )  # fmt: skip
    record: Json = {
        "case": case.id,
        "contender": contender.name,
        "repeat": repeat,
        **nothing,
        "outcome": NOT_RUN,
        "error": "max_usd",
        "tools": [],
        "attempts": [],
        "usage": plain(Usage()),
        "usd": 0,
        "checks": [],
    }
    return Run(case, contender, "", record)
