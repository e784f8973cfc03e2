"""One request's choice: who may serve, who is best, in which mode, at what price. The file to read first.

`decide(task, pool, state, policy)` is a function of its arguments alone. Order of work:

    eligible   every candidate passes all rules, or is rejected with the first rule it breaks
    rank       the eligible ones by their terms (score.py)
    mode       single, verify or panel (mode.py)
    plan       which candidates play which phase (plan.py), and the most it can cost; too dear is downgraded, said so
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import breaker, cost, lessons, mode
from openfusion_auto.core.plan import build
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.score import BENCHMARK, SPEED, WAIT, Table, score
from openfusion_auto.core.types import (
    Candidate,
    Decision,
    Plan,
    Policy,
    Pool,
    Preferences,
    Rejection,
    Score,
    State,
    Staying,
    Task,
)

MIN_OUTPUT = (
    1024  # [tokens] room for an answer that the context window must leave when no bound is asked
)
ROOM = (
    1.05  # token counts are estimates from bytes: ask for five percent more window than estimated
)
EMBEDDING = "embedding"  # the role of models that make vectors
NO_WISHES = (Preferences(), Preferences(fail_open=True))

Rule = Callable[[Candidate, Task, State], "str | None"]


def not_requested(c: Candidate, task: Task, _state: State) -> str | None:
    """The request names candidates (ids or model names) and this is none of them; or nobody named one that makes
    embeddings and holds no conversation.
    """
    wanted = task.only or task.options.candidates
    if wanted and c.id not in wanted and c.model not in wanted:
        return "the request restricts the choice to " + ", ".join(wanted)
    if is_embedding(c) and not wanted and task.role != EMBEDDING:
        return "it makes embeddings: asked for a conversation only when it is named"
    return None


def is_embedding(c: Candidate) -> bool:
    """Whether a candidate makes vectors and holds no conversation."""
    return EMBEDDING in c.roles or c.offers == ("embeddings",)


def role_not_played(c: Candidate, task: Task, _state: State) -> str | None:
    """The request names a role (`openfusion/<role>`) that this candidate does not play."""
    if task.role is None or task.role in c.roles:
        return None
    return f"plays {', '.join(c.roles) or 'no role'}, the request names {task.role}"


def not_ready(c: Candidate, _task: Task, state: State) -> str | None:
    """Its upstream cannot be called."""
    return state.unready.get(c.upstream)


def no_ability(c: Candidate, task: Task, _state: State) -> str | None:
    """It lacks what the request needs: tools, vision, structured output."""
    for wanted, ability in (
        (task.needs.tools, "tools"),
        (task.needs.vision, "vision"),
        (task.needs.json_schema, "json_schema"),
    ):
        if wanted and ability not in c.offers:
            return (
                f"the request needs {ability}, this model offers {', '.join(c.offers) or 'nothing'}"
            )
    return None


def context_too_small(c: Candidate, task: Task, _state: State) -> str | None:
    """The prompt and its answer do not fit the window."""
    if c.context_tokens is None:
        return None
    room = task.needs.max_output_tokens or MIN_OUTPUT
    if c.max_output_tokens is not None:
        room = min(room, c.max_output_tokens)
    wanted = int(task.needs.input_tokens * ROOM) + min(room, c.context_tokens // 4)
    if wanted > c.context_tokens:
        return f"needs about {wanted} tokens, the window holds {c.context_tokens}"
    return None


def breaker_open(c: Candidate, _task: Task, state: State) -> str | None:
    """It failed several times in a row and rests."""
    broken = state.breakers.get(c.id)
    if broken is None or breaker.admits(broken, state.now_s):
        return None
    wait_s = max(0.0, broken.until_s - state.now_s)
    return f"{broken.failures} failures in a row, tried again in {wait_s:.0f} s"


HARD_RULES: tuple[tuple[str, Rule], ...] = (
    ("not_requested", not_requested),
    ("role_not_played", role_not_played),
    ("upstream_not_ready", not_ready),
    ("ability_missing", no_ability),
    ("context_too_small", context_too_small),
    ("breaker_open", breaker_open),
)


def outside(
    c: Candidate, wish: Preferences, measured: dict[str, float | None]
) -> tuple[str, str] | None:
    """Return the operator's limit that a candidate breaks, as (rule, detail); an unknown number breaks none."""
    price = c.price
    checks: tuple[tuple[str, float | None, float | None, bool, str], ...] = (
        (
            "price_above_max",
            price.input if price else None,
            wish.max_input_price,
            True,
            "USD per 1M input",
        ),
        (
            "price_above_max",
            price.output if price else None,
            wish.max_output_price,
            True,
            "USD per 1M output",
        ),
        (
            "benchmark_below_min",
            measured["benchmark"],
            wish.min_benchmark,
            False,
            "percent",
        ),
        ("throughput_below_min", measured["throughput"], wish.min_tokens_per_s, False, "tokens/s"),
        ("latency_above_max", measured["latency"], wish.max_ttft_ms, True, "ms to the first token"),
    )
    for rule, value, limit, upper, unit in checks:
        if value is None or limit is None:
            continue
        if (value > limit) if upper else (value < limit):
            return rule, f"{value:g} {unit}, the limit is {limit:g}"
    return None


@dataclass(frozen=True, eq=False)
class Frame:
    """What the hard rules ask of a pool, as columns (n,): the window [tokens], room for the answer, abilities."""

    window: npt.NDArray[np.float64]
    output: npt.NDArray[np.float64]
    lacks: Mapping[str, npt.NDArray[np.bool_]]
    embeds: npt.NDArray[np.bool_]
    at: Mapping[str, int]
    upstreams: frozenset[str]


@lru_cache(maxsize=64)
def frame(pool: Pool) -> Frame:
    """Return a pool's columns. Remembered: a pool is a value that never changes."""
    models = pool.candidates
    return Frame(
        window=np.array([c.context_tokens or np.inf for c in models], dtype=float),
        output=np.array([c.max_output_tokens or np.inf for c in models], dtype=float),
        lacks={
            a: np.array([a not in c.offers for c in models], dtype=bool)
            for a in ("tools", "vision", "json_schema")
        },
        embeds=np.array([is_embedding(c) for c in models], dtype=bool),
        at={c.id: i for i, c in enumerate(models)},
        upstreams=frozenset(c.upstream for c in models),
    )


def suspects(task: Task, pool: Pool, state: State) -> list[int]:
    """Return the rows that may break a rule; all others break none. The rules themselves say which and why."""
    f, needs = frame(pool), task.needs
    if (
        task.only
        or task.options.candidates
        or task.role
        or not f.upstreams.isdisjoint(state.unready)
    ):
        return list(range(len(pool.candidates)))
    room = np.minimum(needs.max_output_tokens or MIN_OUTPUT, f.output)
    bad = int(needs.input_tokens * ROOM) + np.minimum(room, np.floor(f.window / 4)) > f.window
    bad |= f.embeds
    for wanted, ability in (
        (needs.tools, "tools"),
        (needs.vision, "vision"),
        (needs.json_schema, "json_schema"),
    ):
        if wanted:
            bad |= f.lacks[ability]
    for name in state.breakers:
        if name in f.at:
            bad[f.at[name]] = True
    found: list[int] = np.flatnonzero(bad).tolist()
    return found


def by_hard_rules(task: Task, pool: Pool, state: State) -> tuple[list[int], list[Rejection]]:
    """Return the rows of candidates that could serve at all, and the others with the first rule they break."""
    rejected: dict[int, Rejection] = {}
    for i in suspects(task, pool, state):
        candidate = pool.candidates[i]
        for rule, broken in HARD_RULES:
            detail = broken(candidate, task, state)
            if detail is not None:
                rejected[i] = Rejection(candidate.id, rule, detail)
                break
    rows = [i for i in range(len(pool.candidates)) if i not in rejected]
    return rows, list(rejected.values())


def by_preferences(
    rows: list[int], ranked: tuple[Score, ...], pool: Pool, wish: Preferences
) -> tuple[list[int], list[Rejection]]:
    """Apply the operator's limits to scored rows; returns (kept rows, rejections)."""
    kept, rejected = [], []
    by_id = {s.candidate: s for s in ranked}
    for i in rows:
        terms = by_id[pool.candidates[i].id].terms
        measured = {
            "benchmark": terms[BENCHMARK].raw,
            "throughput": terms[SPEED].raw,
            "latency": terms[WAIT].raw,
        }
        broken = outside(pool.candidates[i], wish, measured)
        if broken is None:
            kept.append(i)
        else:
            rejected.append(Rejection(pool.candidates[i].id, *broken))
    return kept, rejected


def wished(
    rows: list[int], task: Task, pool: Pool, state: State, wish: Preferences, reasons: list[str]
) -> tuple[list[int], list[Rejection]]:
    """Return the rows that keep the operator's limits, the others rejected; says when `fail_open` set them aside."""
    if wish in NO_WISHES:
        return rows, []
    # The limits look at raw numbers only, which neither the knob nor a lock changes.
    measured = score(pool, rows, task, state, 0.0, locked=False)
    kept, out = by_preferences(rows, measured, pool, wish)
    if kept or not wish.fail_open:
        return kept, out
    if out:
        reasons.append("no candidate keeps all preferences: they were set aside (fail_open)")
    return rows, []


def decide(task: Task, pool: Pool, state: State, policy: Policy | None = None) -> Decision:
    """Decide one request.

    Args:
        task: The request as read (`classify.read`).
        pool: The candidates.
        state: Live numbers, the session's pin, one clock reading.
        policy: The operator's settings; defaults when None.

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
    rejected += out
    locked = is_locked(task, pool, rows, state, reasons)
    stuck = escalating(task, pool, state, locked=locked)
    ranking = score(pool, rows, task, state, knob, locked=locked, stuck=stuck)
    if task.lifts and ranking:
        plain = replace(task, lifts=())
        without = score(pool, rows, plain, state, knob, locked=locked, stuck=stuck)
        reasons += lessons.told(ranking, without)
    choice = mode.choose(task, policy, ranking, pool)
    reasons += choice.reasons
    taken, plan = fit_budget(choice.mode, ranking, task, pool, policy, reasons)
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
    )


def is_locked(task: Task, pool: Pool, rows: list[int], state: State, reasons: list[str]) -> bool:
    """Whether a tool turn stays with the session's model; says why or why not."""
    if task.turn != "tool" or state.pin is None:
        return False
    holder = state.pin.candidate
    if all(pool.candidates[i].id != holder for i in rows):
        reasons.append(f"{holder} cannot serve this turn: the session changes its model")
        return False
    if task.struggling and not state.pin.escalated:
        reasons.append(
            f"{holder} is stuck ({task.struggle}): the session may move to a stronger model, once"
        )
        return False
    again = ", which was brought in for this task" if state.pin.escalated else ""
    reasons.append(f"a tool turn stays with {holder}{again}")
    return True


def escalating(task: Task, pool: Pool, state: State, *, locked: bool) -> str | None:
    """Return the session's model when it is stuck and a stronger one is looked for, else None.

    None, too, when the pool has it no more: then nobody can say who is stronger.
    """
    if task.turn != "tool" or not task.struggling or locked or state.pin is None:
        return None
    return state.pin.candidate if pool.get(state.pin.candidate) is not None else None


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
) -> tuple[ModeName, Plan]:
    """Return the first of panel, verify, single (from `wanted` down), then a cheaper single, that fits the limits.

    When not even the cheapest single call fits, its plan has no steps and the reason says so.
    """
    if not ranking:
        return "single", Plan((), None, None)
    max_usd = tightest(policy.max_usd, task.options.max_usd)
    max_calls = min(policy.max_calls, task.options.max_calls or policy.max_calls)
    if max_calls < 1:
        reasons.append("the limit of calls is 0")
        return "single", Plan((), None, None)
    order: tuple[ModeName, ...] = ("panel", "verify", "single")
    for name in order[order.index(wanted) :]:
        plan = build(name, ranking, task, pool, policy)
        if plan is None:
            reasons.append(f"not {name}: it needs two candidates that can serve")
            continue
        calls = len(plan.steps)
        if calls > max_calls:
            reasons.append(f"not {name}: {calls} calls, the limit is {max_calls}")
        elif max_usd is not None and plan.worst_case_usd is None:
            reasons.append(f"not {name}: a price is unknown and the limit is {max_usd:g} USD")
        elif max_usd is not None and (plan.worst_case_usd or 0.0) > max_usd:
            reasons.append(
                f"not {name}: {plan.worst_case_usd:.4f} USD at worst, the limit is {max_usd:g} USD"
            )
        else:
            return name, plan
    return "single", cheaper_single(ranking, task, pool, policy, max_usd, reasons)


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
