"""What a mode means for a ranking: which candidates play which phase, and what that can cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from openfusion_auto.core import cascade, cost
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.score import Table
from openfusion_auto.core.strength import chance, strengths
from openfusion_auto.core.types import Kind, Plan, Policy, Pool, Score, Step, Task

# Members of a panel lie at most this far below the strongest: quality of members beats diversity.
CLOSE_STRENGTH = 0.25
INNER_OUTPUT = 4_096  # [tokens] bound of a verifier's or judge's answer (recipes use the same)
INNER_WORDS = (
    1_500  # [tokens] at most of a recipe's own words: instructions, five findings of 500 characters
)
MENDED = 0.2  # share of answers that are written again, where nothing better is known
CHECKING = ("verify", "judge")  # phases that write a verdict
ESCAPED = 1.25  # answers under judgement travel as JSON strings: quotes and newlines grow


def build(
    name: ModeName, ranking: tuple[Score, ...], task: Task, pool: Pool, policy: Policy
) -> Plan | None:
    """Return the plan of a mode, or None when the ranking cannot carry it."""
    if not ranking:
        return Plan((), None, None) if name == "single" else None
    ids = tuple(s.candidate for s in ranking)
    primary = Step("primary", ids[: 1 + policy.fallbacks])
    if name == "single":
        return priced((primary,), ranking, task, pool)
    if name == "verify":
        return verified(ranking, task, pool, policy)
    members = panel_members(ranking, task, pool, policy)
    if len(members) < 2:
        return None
    judges = verifiers(ranking, task, pool, away_from=members)
    # The picked member writes anew itself, whichever it is: all of them count for the worst case.
    writers = tuple(dict.fromkeys((*members, judges[0])))
    steps = tuple(Step("member", (m,)) for m in members)
    steps += (Step("judge", judges[:2]), Step("synthesis", writers))
    return priced(steps, ranking, task, pool)


def verified(ranking: tuple[Score, ...], task: Task, pool: Pool, policy: Policy) -> Plan | None:
    """Return the plan of a check: who answers and who mends are the pair of most value (`cascade.py`)."""
    ids = tuple(s.candidate for s in ranking)
    pair = None if is_locked(ranking) else cascade.best_pair(ranking, policy.check)
    if pair is None and task.options.mode != "verify":
        return None
    first = pair.first if pair else ids[0]
    order = (first, *(i for i in ids if i != first))
    checkers = verifiers(ranking, task, pool, away_from=(first,))
    menders = (pair.mender if pair else checkers[0], first)
    steps = (
        Step("primary", order[: 1 + policy.fallbacks]),
        Step("verify", checkers[:2]),
        Step("mend", tuple(dict.fromkeys(menders))),
    )
    return priced(steps, ranking, task, pool, mended=pair.rejected if pair else MENDED)


def is_locked(ranking: tuple[Score, ...]) -> bool:
    """Whether the session is held by its model."""
    table = ranking[0].table
    return isinstance(table, Table) and table.locked


def panel_members(
    ranking: tuple[Score, ...], task: Task, pool: Pool, policy: Policy
) -> tuple[str, ...]:
    """Return the members: those the request names, else the best-ranked ones that are close in strength.

    Two entries of one model count once: a panel lives from independent answers.
    """
    if task.options.panel:
        named = task.options.panel
        return tuple(s.candidate for s in ranking if s.candidate in named or s.model in named)[
            : len(named)
        ]
    strength = usual_chance(pool, task.kind)
    best = max(strength[s.candidate] for s in ranking)
    close = [s for s in ranking if strength[s.candidate] >= best - CLOSE_STRENGTH]
    # Too few: independence counts for more than closeness, and two samples of one model for more than one.
    chosen = next((few for few in (distinct(close), distinct(ranking)) if len(few) > 1), ranking)
    return tuple(s.candidate for s in chosen[: policy.panel_size])


@lru_cache(maxsize=64)
def usual_chance(pool: Pool, kind: Kind) -> Mapping[str, float]:
    """Return each candidate's chance to solve a task of `kind` as hard as a benchmark's, 0..1. Remembered."""
    logits = strengths(pool, kind).logit
    return {c.id: chance(v, 0.0) for c, v in zip(pool.candidates, logits, strict=True)}


def distinct(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Return the first of each model, in order."""
    first: dict[str, Score] = {}
    for scored in scores:
        first.setdefault(scored.model, scored)
    return tuple(first.values())


def verifiers(
    ranking: tuple[Score, ...], task: Task, pool: Pool, *, away_from: tuple[str, ...]
) -> tuple[str, ...]:
    """Return who may check or judge, best first: the one named, then role verifier and strength; those in
    `away_from` come last, since a model is a poor judge of itself."""
    named = task.options.judge
    there = {s.candidate: s for s in ranking}
    able = [there[i] for i in by_review(pool) if i in there]

    def order(s: Score) -> tuple[bool, bool]:
        return s.candidate != named and s.model != named, s.candidate in away_from

    return tuple(s.candidate for s in sorted(able, key=order))


@lru_cache(maxsize=64)
def by_review(pool: Pool) -> tuple[str, ...]:
    """Return the pool's candidates, the best to check another's answer first. Remembered."""
    strength = usual_chance(pool, "review")

    def order(i: str) -> tuple[bool, float, str]:
        return "verifier" not in pool.by_id[i].roles, -strength[i], i

    return tuple(sorted(strength, key=order))


def priced(
    steps: tuple[Step, ...],
    ranking: tuple[Score, ...],
    task: Task,
    pool: Pool,
    *,
    mended: float = MENDED,
) -> Plan:
    """Return the plan with its money: the first candidate of each step for the expectation, the dearest of each
    for the worst case. Phases behind an answer read the answers too, at their longest; a verifier or judge writes
    at most `INNER_OUTPUT` tokens."""
    expected_by_id = {s.candidate: s.expected_usd for s in ranking}
    checked = any(s.phase in CHECKING for s in steps)
    checking = (
        replace(task, needs=replace(task.needs, max_output_tokens=INNER_OUTPUT))
        if checked
        else task
    )
    members = {s: [c for c in (pool.get(i) for i in s.candidates) if c] for s in steps}
    written = sum(
        max(cost.output_bound(c, task) for c in members[s])
        for s in steps
        if s.phase in ("primary", "member")
    )
    behind = INNER_WORDS + int(written * ESCAPED)
    expected: list[float | None] = []
    worst: list[float | None] = []
    for step in steps:
        shares = {"mend": mended, "synthesis": MENDED}.get(step.phase, 1.0)
        first = expected_by_id.get(step.candidates[0])
        expected.append(None if first is None else first * shares)
        asked = checking if step.phase in CHECKING else task
        extra = 0 if step.phase in ("primary", "member") else behind
        options = [cost.worst_usd(c, asked, extra) for c in members[step]]
        worst.append(None if None in options else max(o for o in options if o is not None))
    return Plan(steps, cost.total(expected), cost.total(worst))
