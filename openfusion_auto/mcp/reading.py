"""From the router's JSON to what the tools tell. Nothing in it is trusted: what does not fit is left out.

The words of models reach a person's terminal through the agent, so control characters are taken out of them.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from openfusion_auto.core import words as driving
from openfusion_auto.mcp.shapes import (
    Attempt,
    Call,
    Decision,
    Evidence,
    Member,
    Money,
    Ranked,
    Rejected,
    Task,
    Who,
)

Row = Mapping[str, Any]
D = TypeVar("D", bound=Decision)
ANSWER_CHARS = 200_000  # [characters] of an answer: more is no use to whoever has to read it
LINE_CHARS = 2_000  # [characters] of anything else
MOST_ROWS = 64  # of a list
MOST_RANKED = 8  # candidates of a ranking: the rest is in the trace


def clean(text: str) -> str:
    """Return text without what drives a terminal or reorders text, and without halves of pairs (no JSON)."""
    return driving.clean(text).encode("utf-8", "ignore").decode()


def words(value: object, most: int = LINE_CHARS) -> str:
    """Return a text, cleaned and bounded; "" for what is none."""
    return clean(value)[:most] if isinstance(value, str) else ""


def word(value: object) -> str | None:
    """Return a text as above, None for what is none."""
    return words(value) or None


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good and isinstance(value, int | float) else None


def whole(value: object) -> int | None:
    """Return a whole number, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def row(value: object) -> Row:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """Return a list's first entries, none for anything else."""
    return value[:MOST_ROWS] if isinstance(value, list) else []


def rows(value: object) -> list[Row]:
    """Return those entries of a list that are objects."""
    return [entry for entry in listed(value) if isinstance(entry, dict)]


def lines(value: object) -> list[str]:
    """Return those entries of a list that are texts."""
    return [said for entry in listed(value) if (said := words(entry))]


def cleaned(value: object, depth: int = 0) -> object:
    """Return JSON whose texts are cleaned and bounded; what is deeper than an analysis goes is left out."""
    if isinstance(value, str):
        return words(value)
    if depth > 6:
        return None
    if isinstance(value, dict):
        return {words(key): cleaned(v, depth + 1) for key, v in value.items()}
    if isinstance(value, list):
        return [cleaned(v, depth + 1) for v in listed(value)]
    return value if isinstance(value, bool) or value is None else number(value)


def answer_of(body: Row) -> tuple[str, bool]:
    """Return the text of a chat completion, and whether it has no end."""
    first = next(iter(rows(body.get("choices"))), {})
    text = words(row(first.get("message")).get("content"), ANSWER_CHARS + 1)
    cut = len(text) > ANSWER_CHARS or first.get("finish_reason") == "length"
    return text[:ANSWER_CHARS], cut


def money_of(trace: Row) -> Money:
    """Return what a request cost."""
    calls = [
        Call(
            phase=word(line.get("phase")),
            model=word(line.get("model")),
            input_tokens=whole(line.get("input_tokens")),
            cached_tokens=whole(line.get("cached_tokens")),
            output_tokens=whole(line.get("output_tokens")),
            usd=number(line.get("usd")),
            estimated=line.get("estimated") is True,
        )
        for line in rows(trace.get("usage"))
    ]
    return Money(usd=number(trace.get("usd")), calls=calls)


def attempts_of(trace: Row) -> list[Attempt]:
    """Return the calls of a request; the words of an upstream's error are left out."""
    return [
        Attempt(
            phase=word(a.get("phase")),
            candidate=word(a.get("candidate")),
            status=word(a.get("status")),
            error=word(a.get("error")),
            ms=number(a.get("ms")),
        )
        for a in rows(trace.get("attempts"))
    ]


def models_of(trace: Row) -> dict[str, str | None]:
    """Return the model of each candidate that was asked or ranked."""
    ranking = rows(row(trace.get("decision")).get("ranking"))
    seen = [*ranking, *rows(trace.get("attempts"))]
    return {words(a.get("candidate")): word(a.get("model")) for a in seen}


def who_of(candidate: object, models: Mapping[str, str | None]) -> Who | None:
    """Return a candidate with its model; None without one."""
    name = word(candidate)
    return Who(candidate=name, model=models.get(name)) if name else None


def members_of(trace: Row) -> list[Member]:
    """Return who sat on the panel and what came of each."""
    models = models_of(trace)
    return [
        Member(
            candidate=word(m.get("candidate")),
            model=models.get(words(m.get("candidate"))),
            outcome=word(m.get("outcome")),
            votes=whole(m.get("votes")) or 0,
        )
        for m in rows(row(trace.get("panel")).get("members"))
    ]


def analysis_of(trace: Row) -> dict[str, list[Any]] | None:
    """Return the analysis of a panel's answers, None where there is none."""
    found = cleaned(trace.get("analysis"))
    if not isinstance(found, dict):
        return None
    return {key: value for key, value in found.items() if isinstance(value, list)} or None


def decision_of(decision: Row, kind: type[D]) -> D:
    """Return a decision as a `Decision` or what is made of one."""
    plan, task = row(decision.get("plan")), row(decision.get("task"))
    ranking = rows(decision.get("ranking"))
    steps = rows(plan.get("steps"))
    first = next(iter(listed(steps[0].get("candidates"))), None) if steps else None
    models = {words(r.get("candidate")): word(r.get("model")) for r in ranking}
    return kind(
        mode=word(decision.get("mode")),
        pick=who_of(first, models),
        expected_usd=number(plan.get("expected_usd")),
        worst_case_usd=number(plan.get("worst_case_usd")),
        reasons=lines(decision.get("reasons")),
        task=task_of(task) if task else None,
        ranking=[ranked(r) for r in ranking[:MOST_RANKED]],
        ranked=len(ranking),
        rejected=[
            Rejected(
                candidate=word(r.get("candidate")),
                rule=word(r.get("rule")),
                detail=word(r.get("detail")),
            )
            for r in rows(decision.get("rejected"))
        ],
        digest=word(decision.get("digest")),
    )


def task_of(task: Row) -> Task:
    """Return how a request was read."""
    return Task(
        kind=word(task.get("kind")),
        risk=word(task.get("risk")),
        complexity=word(task.get("complexity")),
        turn=word(task.get("turn")),
        evidence=[
            Evidence(
                signal=word(e.get("signal")),
                points=number(e.get("points")),
                why=word(e.get("why")),
            )
            for e in rows(task.get("evidence"))
        ],
    )


def ranked(entry: Row) -> Ranked:
    """Return a candidate of a ranking."""
    return Ranked(
        candidate=word(entry.get("candidate")),
        model=word(entry.get("model")),
        total=number(entry.get("total")),
        expected_usd=number(entry.get("expected_usd")),
        why_not=word(entry.get("why_not")),
    )


def moment_of(trace: Row) -> str | None:
    """Return when a request came, as ISO 8601 in UTC."""
    at = number(trace.get("at"))
    try:
        found = None if at is None else dt.datetime.fromtimestamp(at, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return None
    return found.isoformat(timespec="seconds") if found else None


def stage_of(trace: Row) -> str:
    """Return how far a running request is, in a few words."""
    calls = attempts_of(trace)
    waits = [c for c in calls if c.status == "running"]
    if not calls:
        return "deciding whom to ask"
    names = ", ".join(f"{c.phase} {c.candidate}" for c in waits)
    told = f"{len(calls) - len(waits)} of {len(calls)} calls done"
    return f"{told}, waiting for {names}" if names else told


def ids_of(ranking: Iterable[Row]) -> list[tuple[str, str]]:
    """Return (candidate, model) of a ranking, in its order."""
    return [(words(r.get("candidate")), words(r.get("model"))) for r in ranking]
