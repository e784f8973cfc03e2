"""What a mode means for a ranking: which candidates play which phase, and what that can cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from openfusion_auto.core import cascade, cost
from openfusion_auto.core.prompt import ModeName, Strategy
from openfusion_auto.core.score import PRICE, SKILL, WAIT, Table
from openfusion_auto.core.strategy import IN_TURN, ORDERED, Stage
from openfusion_auto.core.strength import chance, strengths
from openfusion_auto.core.turns import order, takers
from openfusion_auto.core.types import Candidate, Kind, Plan, Policy, Pool, Score, Step, Task

# Members of a panel lie at most this far below the strongest: quality of members beats diversity.
CLOSE_STRENGTH = 0.25
INNER_OUTPUT = 4_096  # [tokens] bound of a verifier's or judge's answer (recipes use the same)
# [tokens] at most of a recipe's own words: instructions, five findings of 500 characters.
INNER_WORDS = 1_500
MENDED = 0.2  # share of answers that are written again, where nothing better is known
AGAIN = 0.2  # share of larger panels whose judge is asked twice: two answers are left of them, or the vote is tied
CHECKING = ("verify", "judge", "analysis")  # phases that write a verdict
UNNAMED = -math.inf  # the place of a candidate in an order that does not name it
ESCAPED = 1.25  # answers under judgement travel as JSON strings: quotes and newlines grow


Chosen = Strategy | Literal[""]  # the strategy of a plan; "" = its mode's only way
# Why a strategy cannot be had, where that is not a second candidate.
LACKS = {
    "pipeline": "no pipeline is configured",
    "cascade": "it needs a cheaper candidate before a better one",
    "self_fusion": "it needs a candidate",
}


def build(
    name: ModeName,
    ranking: tuple[Score, ...],
    task: Task,
    pool: Pool,
    policy: Policy,
    strategy: Chosen = "",
    *,
    twice: bool = True,
) -> Plan | None:
    """Return the plan of a mode, or of a strategy of it; None when the ranking cannot carry it.

    Its judge may be asked twice where the policy says so; not without `twice`.
    """
    if not ranking:
        return Plan((), None, None) if name == "single" else None
    ranking = in_order(ranking, task, pool)
    able = answering(ranking, task)
    ids = tuple(s.candidate for s in able)
    primary = Step("primary", ids[: reach(task, policy)])
    if strategy == "pipeline":
        return piped(ranking, task, pool, policy)
    if strategy == "cascade":
        return climbing(ranking, able, task, pool)
    if name == "single":
        held = policy.hold_destructive and task.needs.tools and len(ranking) > 1
        behind = checking(ranking, task, pool, ids[0]) if held else ()
        return priced((primary, *behind), ranking, task, pool)
    if name == "verify":
        return verified(ranking, able, task, pool, policy)
    members = panel_members(ranking, task, pool, policy)
    if strategy == "self_fusion":
        fan = task.options.fan
        samples = (fan.count if fan is not None else None) or policy.samples
        members = (members if task.options.panel else ids)[:1] * samples
    if len(members) < 2:
        return None
    judges = verifiers(ranking, task, pool, away_from=members)
    instead = standing_behind(ranking, task)
    steps = tuple(Step("member", tuple(dict.fromkeys((m, *instead)))) for m in members)
    if strategy == "debate":
        steps += tuple(Step("revision", (m,)) for m in members) * policy.debate_rounds
    if task.options.analysis:
        steps += (Step("analysis", judges[:2]),)
    writers = writing(ranking, task, members, judges[0])
    again = second_look(policy, len(members)) if twice else 0.0
    steps += aggregating(judges, writers, task, 2 if again else 1)
    return priced(steps, ranking, task, pool, again=again)


def aggregating(
    judges: tuple[str, ...], writers: tuple[str, ...], task: Task, looks: int
) -> tuple[Step, ...]:
    """Return what may follow the members: nobody for a vote; a judge, asked up to `looks` times, and where its
    aggregator may write, a writer."""
    if task.options.aggregator == "vote":
        return ()
    judge = (Step("judge", judges[:2]),) * looks
    if task.options.aggregator == "ranked":
        return judge
    return *judge, Step("synthesis", writers)


def second_look(policy: Policy, members: int) -> float:
    """Return how often the judge of a panel of so many is expected to be asked twice, 0..1."""
    if policy.judge_twice == "never":
        return 0.0
    return 1.0 if policy.judge_twice == "always" or members == 2 else AGAIN


def looks_twice(plan: Plan) -> bool:
    """Whether a plan's judge may be asked twice."""
    return sum(s.phase == "judge" for s in plan.steps) > 1


def writing(
    ranking: tuple[Score, ...], task: Task, members: tuple[str, ...], judge: str
) -> tuple[str, ...]:
    """Return who may write an answer anew: who is named for it, with who stands behind.

    Else the picked member itself, whichever it is: all of them count for the worst case.
    """
    fan = task.options.fan
    named = first_of(ranking, fan.synthesis) if fan is not None and fan.synthesis else None
    if named is None:
        return tuple(dict.fromkeys((*members, judge)))
    return tuple(dict.fromkeys((named.candidate, *standing_behind(ranking, task))))


def standing_behind(ranking: tuple[Score, ...], task: Task) -> tuple[str, ...]:
    """Return who answers in the place of a member that fails: one, where a model of the operator's own names it."""
    fan = task.options.fan
    named = first_of(ranking, fan.fallback) if fan is not None and fan.fallback else None
    return () if named is None else (named.candidate,)


def answering(ranking: tuple[Score, ...], task: Task) -> tuple[Score, ...]:
    """Return who may answer: of a model of the operator's own not who only judges or writes for its panel.

    Who stands behind its members comes last; a tool loop's model and one that is left alone answer all the same.
    """
    fan, named = task.options.fan, task.options.panel
    if fan is None or not named or is_locked(ranking):
        return ranking
    members = tuple(s for s in ranking if s.candidate in named or s.model in named)
    behind = standing_behind(ranking, task)
    return (
        *members,
        *(s for s in ranking if s.candidate in behind and s not in members),
    ) or ranking


def in_order(ranking: tuple[Score, ...], task: Task, pool: Pool) -> tuple[Score, ...]:
    """Return the ranking, in another order where the request's strategy asks for one; what nobody knows comes last.

    A session's model stays first in its tool loop, unless the request names its models in an order of their own.
    """
    if task.options.strategy not in ORDERED:
        return ranking
    in_turn = task.options.strategy == IN_TURN
    held = ranking[:1] if is_locked(ranking) and (in_turn or not task.only) else ()
    rest = by_weight(ranking[len(held) :], task)
    match task.options.strategy:
        case "fallback":
            worth = placed(rest, task.only or task.options.candidates)
        case "round_robin":
            names = takers(task.options, pool, task.role)
            worth = placed(rest, order(names, task.options, task.number))
        case "cost_optimized":
            worth = {s.candidate: less(s.terms[PRICE].raw) for s in rest}
        case "latency_optimized":
            worth = {s.candidate: less(s.terms[WAIT].raw) for s in rest}
        case _:
            worth = {s.candidate: s.terms[SKILL].value for s in rest}
    return (*held, *sorted(rest, key=lambda s: -worth[s.candidate]))


def placed(scores: Sequence[Score], names: Sequence[str]) -> dict[str, float]:
    """Return for each candidate how early it, or its model, is named: the higher the earlier."""
    place: dict[str, float] = {n: -i for i, n in reversed([*enumerate(names)])}
    return {
        s.candidate: max(place.get(s.candidate, UNNAMED), place.get(s.model, UNNAMED))
        for s in scores
    }


def by_weight(scores: tuple[Score, ...], task: Task) -> tuple[Score, ...]:
    """Return candidates with the heavier first, where a strategy object gives weights; else as they were."""
    said = {e.name: e.weight for e in task.options.each if e.weight is not None}
    return tuple(
        sorted(scores, key=lambda s: -max(said.get(s.candidate, 0.0), said.get(s.model, 0.0)))
    )


def reach(task: Task, policy: Policy) -> int:
    """Return how many candidates a single call may try: all that a request names in an order, else the policy's."""
    named = task.only or task.options.candidates
    if task.options.strategy in ORDERED and named:
        return max(len(named), 1 + policy.fallbacks)
    return 1 + policy.fallbacks


def less(raw: float | None) -> float:
    """Return a number that is the higher the less there is of something, the lowest where it is not known."""
    return -math.inf if raw is None else -raw


def checking(ranking: tuple[Score, ...], task: Task, pool: Pool, first: str) -> tuple[Step, Step]:
    """Return the steps behind an answer of `first` whose calls may be held: who reads them, who answers anew."""
    checkers = verifiers(ranking, task, pool, away_from=(first,))
    menders = tuple(dict.fromkeys((first, checkers[0])))
    return Step("verify", checkers[:2]), Step("mend", menders)


def piped(ranking: tuple[Score, ...], task: Task, pool: Pool, policy: Policy) -> Plan | None:
    """Return the plan of the configured pipeline: each step has its role's best-ranked, then everybody else."""
    if not policy.pipeline:
        return None
    ids = tuple(s.candidate for s in ranking)

    def able(stage: Stage) -> tuple[str, ...]:
        own = [i for i in ids if stage.role in pool.by_id[i].roles]
        return tuple(dict.fromkeys((*own, *ids)))[: 1 + policy.fallbacks]

    *before, last = policy.pipeline
    steps = [Step(f"step:{s.name}", able(s), s.words) for s in before]
    return priced((*steps, Step("final", able(last), last.words)), ranking, task, pool)


def climbing(
    ranking: tuple[Score, ...], able: tuple[Score, ...], task: Task, pool: Pool
) -> Plan | None:
    """Return the plan of a cascade: the cheapest, then the best-ranked and the strongest, where they are more."""
    strength = usual_chance(pool, task.kind)
    known = {s.candidate: s.expected_usd for s in able if s.expected_usd is not None}
    if not known:
        return None
    cheapest = min(known, key=lambda i: (known[i], i))
    strongest = max(known, key=lambda i: (strength[i], i))
    rungs = [cheapest]
    for i in (able[0].candidate, strongest):
        if i in known and known[i] > known[rungs[-1]] and strength[i] > strength[rungs[-1]]:
            rungs.append(i)
    if len(rungs) < 2:
        return None
    checkers = verifiers(ranking, task, pool, away_from=tuple(rungs[:-1]))[:2]
    steps = [Step("primary", (rungs[0],))]
    for i in rungs[1:]:
        steps += [Step("verify", checkers), Step("escalation", (i,))]
    return priced(tuple(steps), ranking, task, pool)


def verified(
    ranking: tuple[Score, ...], able: tuple[Score, ...], task: Task, pool: Pool, policy: Policy
) -> Plan | None:
    """Return the plan of a check: who answers and who mends are the pair of most value (`cascade.py`).

    Where some only judge (`able` is not the whole table) the best-ranked of the others answers.
    """
    ids = tuple(s.candidate for s in able)
    apart = len(able) < len(ranking)
    free = not apart and not is_locked(ranking)
    pair = cascade.best_pair(ranking, policy.check) if free else None
    if pair is None and not apart and task.options.mode != "verify":
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
        # One for each name: a model that two upstreams serve does not take another member's place.
        named = [first_of(ranking, name) for name in task.options.panel]
        fan = task.options.fan
        if fan is not None and fan.count is not None:
            there = [s for s in named if s is not None]
            turns = there * -(-fan.count // max(1, len(there)))
            return tuple(s.candidate for s in sorted(turns[: fan.count], key=ranking.index))
        return tuple(s.candidate for s in by_weight(ranking, task) if s in named)
    strength = usual_chance(pool, task.kind)
    best = max(strength[s.candidate] for s in ranking)
    close = [s for s in ranking if strength[s.candidate] >= best - CLOSE_STRENGTH]
    # Too few: independence counts for more than closeness, and two samples of one model for more than one.
    chosen = next((few for few in (distinct(close), distinct(ranking)) if len(few) > 1), ranking)
    return tuple(s.candidate for s in chosen[: policy.panel_size])


def first_of(ranking: tuple[Score, ...], name: str) -> Score | None:
    """Return the best-ranked candidate of a name, an id or a model's."""
    return next((s for s in ranking if name in (s.candidate, s.model)), None)


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


DRAFTS = ("primary", "member", "escalation")  # phases that answer the client's own prompt


def is_short(step: Step) -> bool:
    """Whether a step is asked for a verdict or a note, not for an answer."""
    return step.phase in CHECKING or is_note(step)


def without_search(task: Task) -> Task:
    """Return a task of whoever only reads answers: nothing is searched for it."""
    options = replace(task.options, searching=())
    return replace(task, needs=replace(task.needs, web=False), options=options)


def with_rest(usd: float | None, first: Sequence[Candidate], task: Task) -> float | None:
    """Return what a call is expected to cost [USD] with what it may search; None = unknown, as in a dearer tier."""
    if first and cost.is_dearer(first[0], task):
        return None
    more = cost.search_usd(first[0], task) if first else 0.0
    return None if usd is None or more is None else usd + more


def is_note(step: Step) -> bool:
    """Whether a step is a pipeline's, before its last: its text is for later steps."""
    return step.phase.startswith("step:")


def priced(
    steps: tuple[Step, ...],
    ranking: tuple[Score, ...],
    task: Task,
    pool: Pool,
    *,
    mended: float = MENDED,
    again: float = AGAIN,
) -> Plan:
    """Return the plan with its money: the first candidate of each step for the expectation, the dearest of each
    for the worst case. Phases behind an answer read the answers too, at their longest; a verifier or judge writes
    at most `INNER_OUTPUT` tokens. `mended` and `again` are how often a mend and a judge's second look are expected."""
    anew = 1.0 if task.options.aggregator == "judge" else MENDED
    expected_by_id = {s.candidate: s.expected_usd for s in ranking}
    checked = any(is_short(s) for s in steps)
    offline = without_search(task) if task.needs.web or task.options.searching else task
    short = (
        replace(offline, needs=replace(offline.needs, max_output_tokens=INNER_OUTPUT))
        if checked
        else task
    )
    members = {s: [c for c in (pool.get(i) for i in s.candidates) if c] for s in steps}
    written = sum(
        max(cost.output_bound(c, task) for c in members[s]) for s in steps if s.phase in DRAFTS
    ) + INNER_OUTPUT * sum(is_note(s) for s in steps)
    behind = INNER_WORDS + int(written * ESCAPED)
    expected: list[float | None] = []
    worst: list[float | None] = []
    for place, step in enumerate(steps):
        shares = {"mend": mended, "synthesis": anew, "escalation": MENDED}.get(step.phase, 1.0)
        if step.phase == "judge" and step in steps[:place]:
            shares = again
        asked = short if is_short(step) else offline if step.phase == "synthesis" else task
        first = with_rest(expected_by_id.get(step.candidates[0]), members[step][:1], asked)
        expected.append(None if first is None else first * shares)
        extra = 0 if step.phase in DRAFTS else behind
        options = [cost.worst_usd(c, asked, extra) for c in members[step]]
        worst.append(None if None in options else max(o for o in options if o is not None))
    return Plan(steps, cost.total(expected), cost.total(worst))
