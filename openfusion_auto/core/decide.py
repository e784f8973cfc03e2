"""One request's choice: who may serve, who is best, in which mode, at what price. The file to read first.

`decide(task, pool, state, policy)` is a function of its arguments alone. Order of work:

    eligible   every candidate passes all rules, or is rejected with the first rule it breaks (eligible.py)
    rank       the eligible ones by their terms (score.py)
    mode       single, verify or panel (mode.py)
    plan       which candidates play which phase (plan.py), and the most it can cost; too dear is downgraded, said so
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from openfusion_auto.core import cost, lessons, mode
from openfusion_auto.core.eligible import by_hard_rules, strong_enough, wished
from openfusion_auto.core.patience import patience
from openfusion_auto.core.plan import LACKS, Chosen, build, looks_twice
from openfusion_auto.core.prompt import ModeName, Options
from openfusion_auto.core.score import QUALITY_WEIGHTS, Table, score
from openfusion_auto.core.strategy import ORDERED, Patience
from openfusion_auto.core.types import (
    Decision,
    Plan,
    Policy,
    Pool,
    Score,
    State,
    Staying,
    Task,
)
from openfusion_auto.core.words import sum_of


def decide(
    task: Task,
    pool: Pool,
    state: State,
    policy: Policy | None = None,
    *,
    weights: tuple[float, ...] = QUALITY_WEIGHTS,
) -> Decision:
    """Decide one request.

    Args:
        task: The request as read (`classify.read`).
        pool: The candidates.
        state: Live numbers, the session's pin, one clock reading.
        policy: The operator's settings; defaults when None.
        weights: Of the terms, other than the usual ones only to see what they would change (`whatif.py`).

    Returns:
        The decision. `plan.steps` is empty when every candidate was rejected; the reasons are in `rejected`.
    """
    policy = policy or Policy()
    knob = policy.cost_quality if task.options.cost_quality is None else task.options.cost_quality
    reasons: list[str] = []
    rows, rejected = by_hard_rules(task, pool, state)
    if not rows and any(r.rule == "breaker_open" for r in rejected):
        # All rest at once: refusing everybody would turn a passing fault into an outage.
        rows, rejected = by_hard_rules(task, pool, replace(state, breakers={}))
        reasons.append("every breaker is open: tried all the same")
    rows, out = wished(rows, task, pool, state, policy.preferences, reasons)
    rows, weak = strong_enough(rows, task, pool, state)
    rejected += [*out, *weak]
    locked = is_locked(task, pool, rows, state, reasons)
    stuck = escalating(task, pool, state, locked=locked)
    scored = partial(
        score, pool, rows, state=state, cost_quality=knob, locked=locked, stuck=stuck, weights=weights
    )  # fmt: skip
    ranking = scored(task)
    reasons += moved_on(stuck, ranking, task)
    if task.lifts and ranking:
        reasons += lessons.told(ranking, scored(replace(task, lifts=())))
    choice = mode.choose(task, policy, ranking, pool)
    reasons += choice.reasons
    taken, strategy, plan = fit_budget(choice.mode, ranking, task, pool, policy, reasons)
    return Decision(
        mode=taken,
        reasons=tuple(reasons),
        task=task,
        ranking=ranking,
        rejected=tuple(sorted(rejected, key=lambda r: r.candidate)),
        plan=plan,
        aggregator=task.options.aggregator,
        pool_digest=pool.digest,
        cost_quality=float(knob),
        staying=staying(ranking, task, state),
        escalates=stuck is not None,
        strategy=strategy,
        patience=waiting(plan, task, pool, state, policy) if taken == "panel" else None,
        hold=holds(task, plan, policy),
        twice=policy.judge_twice == "always" and looks_twice(plan),
    )


def waiting(plan: Plan, task: Task, pool: Pool, state: State, policy: Policy) -> Patience:
    """Return how long the members of a panel are waited for."""
    return patience(plan.steps, task, pool, state, policy.panel_wait_s)


def holds(task: Task, plan: Plan, policy: Policy) -> bool:
    """Whether calls that destroy something wait for the plan's verifier."""
    wanted = policy.hold_destructive and task.needs.tools
    return wanted and any(s.phase == "verify" for s in plan.steps)


def is_locked(task: Task, pool: Pool, rows: list[int], state: State, reasons: list[str]) -> bool:
    """Whether a tool turn stays with the session's model; says why or why not."""
    if task.turn != "tool" or state.pin is None:
        return False
    holder = state.pin.candidate
    if all(pool.candidates[i].id != holder for i in rows):
        reasons.append(f"{holder} cannot serve this turn: the session changes its model")
        return False
    if task.struggling and not state.pin.escalated:
        return False
    again = ", chosen when this task was stuck" if state.pin.escalated else ""
    reasons.append(f"a tool turn stays with {holder}{again}")
    return True


def escalating(task: Task, pool: Pool, state: State, *, locked: bool) -> str | None:
    """Return the session's model when it is stuck and a stronger one is looked for, else None.

    None, too, when the pool has it no more: then nobody can say who is stronger.
    """
    if task.turn == "aux" or not task.struggling or locked or state.pin is None:
        return None
    return state.pin.candidate if pool.get(state.pin.candidate) is not None else None


def moved_on(stuck: str | None, ranking: tuple[Score, ...], task: Task) -> tuple[str, ...]:
    """Say what became of a session whose model is stuck; nothing of another one."""
    if stuck is None:
        return ()
    taken = ranking[0].candidate if ranking else stuck
    if taken == stuck:
        return (
            f"{stuck} is stuck ({task.struggle}) and stays: nobody stronger is worth the price",
        )
    return (f"{stuck} is stuck ({task.struggle}): {taken} is brought in for this task",)


def staying(ranking: tuple[Score, ...], task: Task, state: State) -> Staying | None:
    """Return what staying with the session's model costs against the best other candidate; None without a session.

    None, too, when the session's model cannot serve: then there is nothing to stay with.
    """
    pin = state.pin
    own = next((s for s in ranking if pin is not None and s.candidate == pin.candidate), None)
    if pin is None or own is None:
        return None
    other = next((s for s in ranking if s is not own), None)

    def warm(scored: Score | None) -> int:
        if scored is None:
            return 0
        tokens = cost.warm_tokens(pin, scored.candidate, state.now_s)
        return min(task.needs.input_tokens, tokens)

    return Staying(
        candidate=own.candidate,
        warm_tokens=warm(own),
        stay_usd=own.expected_usd,
        stay_usd_per_turn=per_turn(own),
        switch_to=other.candidate if other else None,
        switch_warm_tokens=warm(other),
        switch_usd=other.expected_usd if other else None,
        switch_usd_per_turn=per_turn(other),
    )


def per_turn(scored: Score | None) -> float | None:
    """Return a candidate's price of a turn over the rest of the session [USD]; None = unknown."""
    if scored is None or not isinstance(scored.table, Table):
        return None
    usd = float(scored.table.turn_usd[scored.row])
    return None if math.isnan(usd) else round(usd, 10)


def fit_budget(
    wanted: ModeName,
    ranking: tuple[Score, ...],
    task: Task,
    pool: Pool,
    policy: Policy,
    reasons: list[str],
) -> tuple[ModeName, Chosen, Plan]:
    """Return the first of panel, verify, single (from `wanted` down), then a cheaper single, that fits the limits.

    A strategy that the request asks for comes before its plain mode. When not even the cheapest single call fits, its
    plan has no steps and the reason says so.
    """
    if not ranking:
        return "single", "", Plan((), None, None)
    max_calls, max_usd = bounds(policy, task.options)
    if max_calls < 1:
        reasons.append("the limit of calls is 0")
        return "single", "", Plan((), None, None)
    for mode_name, strategy in ways(wanted, task):
        name = strategy or mode_name
        make = partial(build, mode_name, ranking, task, pool, policy, strategy)
        plan = make()
        if plan is None:
            reasons.append(
                f"not {name}: {LACKS.get(name, 'it needs two candidates that can serve')}"
            )
            continue
        over = beyond(plan, max_calls, max_usd)
        if over is not None and looks_twice(plan):
            fewer = make(twice=False)
            if fewer is not None and beyond(fewer, max_calls, max_usd) is None:
                reasons.append(f"the judge is asked once: twice is {over}")
                return mode_name, strategy, fewer
        if over is None:
            return mode_name, strategy, plan
        reasons.append(f"not {name}: {over}")
    return "single", "", cheaper_single(ranking, task, pool, policy, max_usd, reasons)


def beyond(plan: Plan, max_calls: int, max_usd: float | None) -> str | None:
    """Return which limit a plan does not fit, None when it fits them all."""
    if len(plan.steps) > max_calls:
        return f"{len(plan.steps)} calls, the limit is {max_calls}"
    if max_usd is None:
        return None
    if plan.worst_case_usd is None:
        return f"a price is unknown and the limit is {max_usd:g} USD"
    if plan.worst_case_usd > max_usd:
        return f"{sum_of(plan.worst_case_usd)} at worst, the limit is {max_usd:g} USD"
    return None


def ways(wanted: ModeName, task: Task) -> list[tuple[ModeName, Chosen]]:
    """Return what to try, the dearest first: the strategy asked for, then the modes from its own down."""
    order: tuple[ModeName, ...] = ("panel", "verify", "single")
    plain: list[tuple[ModeName, Chosen]] = [(m, "") for m in order[order.index(wanted) :]]
    asked = task.options.strategy
    if asked in ORDERED:
        return [("single", asked)]
    return plain if asked == "panel" else [(wanted, asked), *plain]


def bounds(policy: Policy, options: Options) -> tuple[int, float | None]:
    """Return how many calls a request may make and what it may cost [USD]: by the operator's limits and its own."""
    calls = min(policy.max_calls, options.max_calls or policy.max_calls)
    return calls, tightest(policy.max_usd, options.max_usd)


def tightest(a: float | None, b: float | None) -> float | None:
    """Return the smaller of two limits; None is no limit."""
    known = [x for x in (a, b) if x is not None]
    return min(known) if known else None


def cheaper_single(
    ranking: tuple[Score, ...],
    task: Task,
    pool: Pool,
    policy: Policy,
    max_usd: float | None,
    reasons: list[str],
) -> Plan:
    """Return a single call of the best-ranked candidates whose worst case fits the budget."""
    fitting = tuple(
        s
        for s in ranking
        if max_usd is None
        or ((worst := worst_of(pool, s.candidate, task)) is not None and worst <= max_usd)
    )
    plan = build("single", fitting, task, pool, policy) if fitting else None
    if plan is None:
        reasons.append("no candidate fits the budget")
        return Plan((), None, None)
    reasons.append(f"single with {plan.steps[0].candidates[0]}: the best that fits the budget")
    return plan


def worst_of(pool: Pool, candidate_id: str, task: Task) -> float | None:
    """Return the most one call of that candidate can cost [USD]."""
    candidate = pool.get(candidate_id)
    return None if candidate is None else cost.worst_usd(candidate, task)
