"""Who may serve a request at all: every candidate passes all rules, or is rejected with the first rule it breaks.

The hard rules come from the request and the state (`HARD_RULES`, one function each); the operator's limits look at
measured numbers and come after them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import breaker
from openfusion_auto.core.cost import ROOM, at
from openfusion_auto.core.prompt import Each
from openfusion_auto.core.score import BENCHMARK, SKILL, SPEED, WAIT, score
from openfusion_auto.core.strength import EMBEDDING, is_embedding
from openfusion_auto.core.types import (
    Candidate,
    Pool,
    Preferences,
    Rejection,
    Score,
    State,
    Task,
)

# Offered for `web_search` by an upstream whose dialect lacks others of the web tools that are asked for.
SEARCH_ALONE = "web_search alone"
# [tokens] room for an answer that the context window must leave when no bound is asked.
MIN_OUTPUT = 1024
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


def too_dear(c: Candidate, task: Task, _state: State) -> str | None:
    """Its price is over what the request's strategy object lets this model cost."""
    limits = [e.max_usd_per_1k for e in said_of(c, task) if e.max_usd_per_1k is not None]
    if not limits:
        return None
    limit = min(limits)
    if c.price is None:
        return f"its price is unknown, the request's limit is {limit:g} USD per 1,000 tokens"
    rates = at(c.price, task.needs.input_tokens)
    dearest = max(rates.input, rates.output) / 1000
    if dearest <= limit * (1 + 1e-9):
        return None
    return f"{dearest:g} USD per 1,000 tokens, the request's limit is {limit:g}"


def provider_unmet(c: Candidate, task: Task, state: State) -> str | None:
    """Its upstream does not read the request's `provider`, and what that demands is not so here, or cannot be held."""
    hosts = task.options.hosts
    if hosts is None or "provider" in state.offers.get(c.upstream, ()):
        return None
    if hosts.unmet:
        return (
            f"provider.{hosts.unmet[0]} cannot be held at upstream {c.upstream}: it does not read the field"
            ' (offers = ["provider"])'
        )
    name = c.upstream.lower()
    if (hosts.only and name not in hosts.only) or name in hosts.ignore:
        return f"provider leaves out upstream {c.upstream}"
    for kind, limit in (("input", hosts.max_input), ("output", hosts.max_output)):
        rates = None if c.price is None else at(c.price, task.needs.input_tokens)
        asked: float | None = None if rates is None else getattr(rates, kind)
        if limit is not None and (asked is None or asked > limit):
            known = "an unknown price" if asked is None else f"{asked:g} USD"
            return f"{known} per 1M {kind}, provider.max_price is {limit:g}"
    return None


def web_not_offered(c: Candidate, task: Task, state: State) -> str | None:
    """The request lets models search the web, and its upstream has no tool for that."""
    offers = state.offers.get(c.upstream, ())
    if not task.needs.web or "web_search" in offers:
        return None
    if SEARCH_ALONE in offers:
        return f"upstream {c.upstream} has no web_fetch: its dialect knows web_search alone"
    return f'upstream {c.upstream} does not declare web tools (offers = ["web_search"])'


def said_of(c: Candidate, task: Task) -> list[Each]:
    """Return what the request's strategy object says of a candidate."""
    return [e for e in task.options.each if e.name in (c.id, c.model)]


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
    ("price_above_requested", too_dear),
    ("provider_unmet", provider_unmet),
    ("web_not_offered", web_not_offered),
    ("role_not_played", role_not_played),
    ("upstream_not_ready", not_ready),
    ("ability_missing", no_ability),
    ("context_too_small", context_too_small),
    ("breaker_open", breaker_open),
)


def outside(
    c: Candidate, tokens_in: int, wish: Preferences, measured: dict[str, float | None]
) -> tuple[str, str] | None:
    """Return the operator's limit that a candidate breaks, as (rule, detail); an unknown number breaks none.

    Its price is that of a prompt of `tokens_in` tokens.
    """
    price = None if c.price is None else at(c.price, tokens_in)
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
        or task.options.each
        or task.options.hosts
        or needs.web
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
    rows: list[int], ranked: tuple[Score, ...], task: Task, pool: Pool, wish: Preferences
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
        broken = outside(pool.candidates[i], task.needs.input_tokens, wish, measured)
        if broken is None:
            kept.append(i)
        else:
            rejected.append(Rejection(pool.candidates[i].id, *broken))
    return kept, rejected


def strong_enough(
    rows: list[int], task: Task, pool: Pool, state: State
) -> tuple[list[int], list[Rejection]]:
    """Return the rows whose chance to solve the task is what the strategy object wants, the others rejected."""
    if not any(each.min_score for each in task.options.each):
        return rows, []
    ranked = {s.candidate: s for s in score(pool, rows, task, state, 0.0, locked=False)}
    kept, rejected = [], []
    for i in rows:
        candidate = pool.candidates[i]
        chance = ranked[candidate.id].terms[SKILL].value
        wanted = max((e.min_score or 0.0 for e in said_of(candidate, task)), default=0.0)
        if chance >= wanted:
            kept.append(i)
        else:
            said = f"its chance to solve this is {chance:.3g}, the request wants {wanted:g}"
            rejected.append(Rejection(candidate.id, "performance_below_requested", said))
    return kept, rejected


def wished(
    rows: list[int], task: Task, pool: Pool, state: State, wish: Preferences, reasons: list[str]
) -> tuple[list[int], list[Rejection]]:
    """Return the rows that keep the operator's limits, the others rejected; says when `fail_open` set them aside."""
    if wish in NO_WISHES:
        return rows, []
    # The limits look at raw numbers only, which neither the knob nor a lock changes.
    measured = score(pool, rows, task, state, 0.0, locked=False)
    kept, out = by_preferences(rows, measured, task, pool, wish)
    if kept or not wish.fail_open:
        return kept, out
    if out:
        reasons.append("no candidate keeps all preferences: they were set aside (fail_open)")
    return rows, []
