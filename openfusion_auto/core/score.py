"""The terms of a score. Each has a raw number with unit and source, a value 0..1, a weight, and points.

What does not change between requests (benchmark strength, effort, roles) is computed once per pool; a request
adds its own numbers (price, live latency, ...) and the matrix `values * weights` is the answer. Values are rounded
to 1e-9, so that no vectorisation detail can change a digest.

    total = (1 - p) * quality + p * price        p = price_share(cost_quality, task)

Within one task the weights of all quality terms keep their ratios and only `p` moves with the knob. So raising
`cost_quality` can never pick a dearer model: the standard argument for a weighted sum of two aims.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import cost, stats
from openfusion_auto.core.types import (
    Candidate,
    Kind,
    Level,
    Performance,
    Pin,
    Pool,
    RoleName,
    Score,
    State,
    Stats,
    Task,
    Term,
)

Live = tuple[float | None, str]  # a number, None when nobody knows it, and where it comes from

# Relative weights of the quality terms before the knob; only ratios matter.
QUALITY_WEIGHTS = {
    "skill": 0.34,
    "benchmark": 0.22,
    "availability": 0.16,
    "role": 0.12,
    "latency": 0.07,
    "throughput": 0.06,
    "stickiness": 0.03,
}
# An easy task does not need the strongest model: there the benchmark term counts less.
BENCHMARK_BY_COMPLEXITY: dict[Level, float] = {"low": 0.35, "medium": 1.0, "high": 1.5}
LOCK_WEIGHT = (
    2.0  # a tool turn's stickiness: more than all other terms together, so the session stays
)

# Strength (0..1, see `strength`) that a task of a complexity asks for, and what risk adds.
# The best of a pool with three publishers reaches about 0.7: the prior keeps everybody from the ends.
NEED: dict[Level, float] = {"low": 0.12, "medium": 0.42, "high": 0.58}
NEED_RISK: dict[Level, float] = {"low": -0.04, "medium": 0.0, "high": 0.08}
NEED_SLOPE = 0.08  # strength over which adequacy goes from likely to unlikely
NEED_STRUGGLING = 0.20  # added when the session's model is stuck

USD_DEAR, USD_CHEAP = (
    3.0,
    1e-5,
)  # [USD] a request at these prices has price value 0 and 1, log scale between
TTFT_HALF_MS = 2500.0  # [ms] latency value 0.5; a person notices a wait of some seconds
TPS_HALF = 60.0  # [tokens/s] throughput value 0.5
UNKNOWN = 0.5  # value of a latency or throughput nobody knows
UNSEEN = (
    round(stats.availability(None), 6),
    "prior",
)  # of a candidate that has not been called yet
UNKNOWN_PRICE_VALUE = 0.0  # an unknown price may be any price: it earns nothing

# How much a benchmark says about a kind of task: longest matching prefix of the name, then the kind.
RELEVANCE: dict[str, dict[str, float]] = {
    "swebench": {
        "bugfix": 1.0,
        "feature": 0.8,
        "refactor": 0.8,
        "test": 0.6,
        "review": 0.6,
        "": 0.4,
    },
    "swt_bench": {"test": 1.0, "bugfix": 0.8, "review": 0.6, "feature": 0.6, "": 0.4},
    "aider_polyglot": {"feature": 0.8, "refactor": 0.9, "bugfix": 0.6, "test": 0.6, "": 0.4},
    "livebench_coding": {"feature": 0.8, "test": 0.7, "refactor": 0.7, "": 0.4},
    "livebench_agentic_coding": {
        "bugfix": 0.8,
        "feature": 0.8,
        "ops": 1.0,
        "refactor": 0.7,
        "": 0.4,
    },
    "livebench_reasoning": {"review": 0.8, "explain": 0.8, "": 0.3},
    "livebench_language": {"docs": 1.0, "explain": 0.8, "chat": 1.0, "": 0.1},
    "livebench_if": {"docs": 0.8, "aux": 1.0, "chat": 0.8, "": 0.2},
    "gaia": {"ops": 0.6, "chat": 0.6, "explain": 0.5, "": 0.2},
    "": {"": 0.4},
}
SOURCE_CAP = 1.0  # weight of all benchmarks of one publisher together
PRIOR_SOURCES = (
    1.0  # weight of "an average model": one source alone moves a candidate half way at most
)
SPREAD_MIN = 8.0  # [points] differences below about five points of one run are noise

# Roles that suit a kind of task, best first.
ROLES_FOR: dict[Kind, tuple[RoleName, ...]] = {
    "bugfix": ("coder", "reasoner"),
    "feature": ("coder", "reasoner"),
    "refactor": ("coder",),
    "test": ("coder",),
    "ops": ("coder", "reasoner"),
    "review": ("reasoner", "verifier", "coder"),
    "explain": ("fast", "writer", "reasoner"),
    "docs": ("writer", "fast"),
    "aux": ("fast",),
    "chat": ("fast", "writer"),
}


@dataclass(frozen=True)
class Static:
    """What a pool and a kind of task say alone, one entry per candidate.

    `latency`, `throughput` and `role` are those of a candidate that has not been called yet and of a task that
    names no role; `price_source` that of a known price.
    """

    strength: tuple[float, ...]
    benchmark: tuple[float, ...]
    benchmark_raw: tuple[float | None, ...]
    benchmark_source: tuple[str, ...]
    effort: tuple[float, ...]
    price_source: tuple[str, ...]
    latency: tuple[Live, ...]
    throughput: tuple[Live, ...]
    role: tuple[float, ...]


def relevance(name: str, kind: str) -> float:
    """Return how much benchmark `name` says about tasks of `kind`, 0..1."""
    prefix = max((p for p in RELEVANCE if name.startswith(p)), key=len)
    row = RELEVANCE[prefix]
    return row.get(kind, row[""])


def lower_bound(score: float, n: int | None) -> float:
    """Return a score [percent] one standard error down; a source that names no sample size counts as n = 100."""
    share = min(1.0, max(0.0, score / 100))
    return 100 * max(0.0, share - math.sqrt(share * (1 - share) / (n or 100)))


def percentiles(pool: Pool, kind: str) -> list[float]:
    """Return each candidate's benchmark percentile 0..1 for `kind`: the mean over several sources.

    A benchmark's percentile is that of a normal curve around the pool's median, at least `SPREAD_MIN` points wide.
    All benchmarks of one publisher together weigh at most `SOURCE_CAP`, and the mean is pulled to 0.5 by
    `PRIOR_SOURCES`: an unmeasured model is average, not bad, and one publisher moves a model half way at most.
    """
    names = sorted({b.name for c in pool.candidates for b in c.benchmarks})
    told: list[dict[str, list[tuple[float, float]]]] = [{} for _ in pool.candidates]
    for name in names:
        share = relevance(name, kind)
        bounds = {
            (i, publisher(b.source)): lower_bound(b.score, b.n)
            for i, c in enumerate(pool.candidates)
            for b in c.benchmarks
            if b.name == name
        }
        ordered = np.array(sorted(bounds.values()))
        middle = float(np.median(ordered))
        spread = max(SPREAD_MIN, 1.4826 * float(np.median(np.abs(ordered - middle))))
        for (i, source), bound in bounds.items():
            percentile = 0.5 * (1 + math.erf((bound - middle) / (spread * math.sqrt(2))))
            told[i].setdefault(source, []).append((share, percentile))
    return [pooled(by_source) for by_source in told]


def pooled(by_source: Mapping[str, list[tuple[float, float]]]) -> float:
    """Return the capped mean of `{publisher: [(weight, percentile), ...]}`, pulled to 0.5."""
    total, weight = 0.5 * PRIOR_SOURCES, PRIOR_SOURCES
    for rows in by_source.values():
        whole = sum(share for share, _ in rows)
        scale = min(1.0, SOURCE_CAP / whole)
        total += scale * sum(share * percentile for share, percentile in rows)
        weight += scale * whole
    return total / weight


def publisher(source: str) -> str:
    """Return who published a number: the source without its version and remarks."""
    return source.partition("@")[0].partition(" ")[0]


def headline(candidate: Candidate, kind: str) -> tuple[float | None, str]:
    """Return the most telling score of a candidate for `kind` [percent] and what it is, for people to read."""
    if not candidate.benchmarks:
        return None, "none published"
    best = max(candidate.benchmarks, key=lambda b: (relevance(b.name, kind), b.name))
    others = len(candidate.benchmarks) - 1
    return best.score, f"{best.name} {best.as_of}" + (f" and {others} more" if others else "")


@lru_cache(maxsize=64)
def static(pool: Pool, kind: Kind) -> Static:
    """Return the columns that only pool and kind decide. Remembered: a pool is a value that never changes."""
    models = pool.candidates
    heads = [headline(c, kind) for c in models]
    efforts = cost.efforts(models)
    published = [c.performance or Performance() for c in models]
    return Static(
        strength=tuple(percentiles(pool, "bugfix")),
        benchmark=tuple(percentiles(pool, kind)),
        benchmark_raw=tuple(h[0] for h in heads),
        benchmark_source=tuple(h[1] for h in heads),
        effort=efforts,
        price_source=tuple(price_source(c, 0.0, e) for c, e in zip(models, efforts, strict=True)),
        latency=tuple(live(None, p.ttft_ms_p50, "ttft") for p in published),
        throughput=tuple(live(None, p.tokens_per_s_p50, "tps") for p in published),
        role=tuple(role_fit(c, ROLES_FOR[kind]) for c in models),
    )


def need(task: Task) -> float:
    """Return the strength a task asks for, 0..1."""
    if task.turn == "aux" or task.kind in ("aux", "chat"):
        return 0.0
    extra = NEED_STRUGGLING if task.struggling else 0.0
    return NEED[task.complexity] + NEED_RISK[task.risk] + extra


def price_share(cost_quality: float, task: Task) -> float:
    """Return the weight of price 0..1 at this knob position; rises strictly with the knob.

    High risk takes three tenths off the weight of money; calls that a client makes for itself (titles, summaries) are
    bought by price.
    """
    t = min(10.0, max(0.0, cost_quality)) / 10
    share = 0.04 + 0.90 * math.pow(t, 1.3)
    if task.turn == "aux" or task.kind == "aux":
        share = 0.70 + 0.29 * t
    elif task.risk == "high":
        share *= 0.7
    return share


def cheapness(usd: float | None) -> float:
    """Return the value of a price 0..1: 1 at `USD_CHEAP` and below, 0 at `USD_DEAR` and above, log between."""
    if usd is None:
        return UNKNOWN_PRICE_VALUE
    if usd <= USD_CHEAP:
        return 1.0
    return max(0.0, math.log(USD_DEAR / usd) / math.log(USD_DEAR / USD_CHEAP))


def usd_for(cheap: float) -> float:
    """Return the price [USD] whose value is `cheap`: the inverse of `cheapness`."""
    return USD_DEAR * math.exp(-cheap * math.log(USD_DEAR / USD_CHEAP))


def role_value(candidate: Candidate, task: Task) -> float:
    """Return how well a candidate's roles suit the task, see `role_fit`."""
    return role_fit(candidate, (task.role,) if task.role else ROLES_FOR[task.kind])


def role_fit(candidate: Candidate, wanted: tuple[RoleName, ...]) -> float:
    """Return 1 for the best of the wanted roles, less for later ones, 0.4 for none of them."""
    for place, role in enumerate(wanted):
        if role in candidate.roles:
            return 1.0 - 0.2 * place
    return 0.4 if candidate.roles else 0.6


def live(stats_of: Stats | None, prior: float | None, what: Literal["ttft", "tps"]) -> Live:
    """Return a live number blended with its prior, and where it comes from."""
    mean, weight = 0.0, 0.0
    if stats_of is not None:
        mean, weight = (
            (stats_of.ttft_ms, stats_of.ttft_weight)
            if what == "ttft"
            else (stats_of.tokens_per_s, stats_of.tps_weight)
        )
    value = stats.blend(mean, weight, prior)
    if value is None:
        return None, "unknown"
    return round(value, 3), f"live n={weight:.1f}" if weight >= 1 else "pool"


@dataclass(frozen=True, slots=True)
class Columns:
    """Raw numbers and sources of one request, one entry per candidate."""

    price: list[float | None]
    latency: list[Live]
    throughput: list[Live]
    availability: list[tuple[float, str]]
    stuck: list[float]
    role: list[float]


def measure(pool: Pool, rows: list[int], fixed: Static, task: Task, state: State) -> Columns:
    """Gather the raw numbers of the candidates at `rows`."""
    seen = Columns([], [], [], [], [], [])
    for i in rows:
        c = pool.candidates[i]
        seen.price.append(cost.expected_usd(c, task, state.pin, state.now_s, fixed.effort[i]))
        seen.stuck.append(1.0 if holds(state.pin, c.id) and not task.struggling else 0.0)
        seen.role.append(role_value(c, task) if task.role else fixed.role[i])
        known = aged(state, c.id)
        if known is None:
            seen.latency.append(fixed.latency[i])
            seen.throughput.append(fixed.throughput[i])
            seen.availability.append(UNSEEN)
        else:
            published = c.performance or Performance()
            seen.latency.append(live(known, published.ttft_ms_p50, "ttft"))
            seen.throughput.append(live(known, published.tokens_per_s_p50, "tps"))
            calls = f"live n={known.ok + known.failed:.1f}"
            seen.availability.append((round(stats.availability(known), 6), calls))
    return seen


def aged(state: State, candidate_id: str) -> Stats | None:
    """Return a candidate's live numbers as they count now: old failures fade although nobody calls it."""
    known = state.stats.get(candidate_id)
    return None if known is None else stats.decayed(known, state.now_s)


def holds(pin: Pin | None, candidate_id: str) -> bool:
    """Whether the session is pinned to that candidate."""
    return pin is not None and pin.candidate == candidate_id


def weights(task: Task, cost_quality: float, *, locked: bool) -> dict[str, float]:
    """Return the weight of every term; all but a lock's stickiness add up to 1."""
    base = dict(QUALITY_WEIGHTS)
    base["benchmark"] *= BENCHMARK_BY_COMPLEXITY[task.complexity]
    share = price_share(cost_quality, task)
    whole = sum(base.values())
    scaled = {name: (1 - share) * w / whole for name, w in base.items()}
    scaled["price"] = share
    if locked:
        scaled["stickiness"] = LOCK_WEIGHT
    return {name: round(w, 9) for name, w in scaled.items()}


TERMS = (
    "skill", "benchmark", "price", "throughput", "latency", "availability", "role", "stickiness",
)  # fmt: skip
UNITS = ("strength", "percent", "usd", "tokens/s", "ms", "share", "fit", "pinned")


def score(
    pool: Pool, rows: list[int], task: Task, state: State, cost_quality: float, *, locked: bool
) -> tuple[Score, ...]:
    """Score the candidates at `rows` of the pool; not sorted.

    Args:
        pool: All candidates (strength is relative to the whole pool, so rejecting one changes no other's score).
        rows: Indices of the eligible candidates, (n,).
        task: The request as read.
        state: Live numbers.
        cost_quality: 0 quality .. 10 cheap.
        locked: A tool turn of a pinned session.

    Returns:
        One `Score` per row. Inside, `values` is (n, 8) float64 and `points = values * weights`, (8,).
    """
    if not rows:
        return ()
    fixed = static(pool, task.kind)
    seen = measure(pool, rows, fixed, task, state)
    weight = weights(task, cost_quality, locked=locked)
    row_weights = [weight[name] for name in TERMS]
    values = matrix(rows, fixed, seen, need(task))
    points = (values * row_weights).round(9)
    pinned = "session pin, locked on a tool turn" if locked else "session pin"
    scores = []
    for k, (i, v, p) in enumerate(zip(rows, values.tolist(), points.tolist(), strict=True)):
        price, speed, wait, up = (
            seen.price[k],
            seen.throughput[k],
            seen.latency[k],
            seen.availability[k],
        )
        raws = (
            round(fixed.strength[i], 6), fixed.benchmark_raw[i], price, speed[0], wait[0], up[0],
            seen.role[k], seen.stuck[k],
        )  # fmt: skip
        bought = "unknown" if price is None else fixed.price_source[i]
        sources = (
            "pool benchmarks", fixed.benchmark_source[i], bought, speed[1], wait[1], up[1],
            "pool roles", pinned,
        )  # fmt: skip
        terms = tuple(map(Term, TERMS, raws, UNITS, v, row_weights, p, sources))
        candidate = pool.candidates[i]
        scores.append(Score(candidate.id, candidate.model, price, terms))
    return tuple(scores)


def matrix(rows: list[int], fixed: Static, seen: Columns, needed: float) -> npt.NDArray[np.float64]:
    """Return the values of all terms, 0..1: (n, 8) float64, in the order of `TERMS`."""
    values = [
        (
            1.0 / (1.0 + math.exp((needed - fixed.strength[i]) / NEED_SLOPE)),
            fixed.benchmark[i],
            cheapness(price),
            UNKNOWN if speed is None else speed / (speed + TPS_HALF),
            UNKNOWN if wait is None else TTFT_HALF_MS / (wait + TTFT_HALF_MS),
            min(1.0, max(0.0, up * 2 - 1)),
            role,
            stuck,
        )
        for i, price, (speed, _), (wait, _), (up, _), role, stuck in zip(
            rows, seen.price, seen.throughput, seen.latency, seen.availability, seen.role, seen.stuck,
            strict=True,
        )
    ]  # fmt: skip
    return np.array(values).round(9)


def price_source(candidate: Candidate, usd: float | None, work: float) -> str:
    """Say where an expected price comes from."""
    if usd is None or candidate.price is None:
        return "unknown"
    listed = f"list price {candidate.price.as_of}".strip()
    if work == 1.0:
        return listed
    known = "by cost per task" if candidate.cost_per_task else "as the pool's median cost per task"
    return f"{listed}, x{work:.2f} {known}"
