"""The terms of a score. Each has a raw number with unit and source, a value 0..1, a weight, and points.

    quality = sum of all terms but price: skill, benchmark, throughput, latency, availability, role, stickiness
    total   = (1 - p) * quality + p * (1 - cost)           p = rate / (1 + rate), rate by `knob.py`

`cost` is relative to what this request would cost at the pool's dearest candidate, caches cold. So totals rank by
`quality - rate * cost`: a sum of two aims in which every pick is a corner of the front, the length of a prompt moves
nobody, and raising `cost_quality` never picks a dearer candidate.

What does not change between requests is kept per pool (`fixed`); a request adds its own numbers and the matrix
`values * weights` is the answer. Values are rounded to 1e-9, so that no vectorisation detail can change a digest;
points finer, since a weight may be as small as 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import cost, knob, stats
from openfusion_auto.core.front import front
from openfusion_auto.core.live import (
    NO_FIGURES,
    UNSEEN,
    Live,
    live,
    live_values,
    speed_value,
    up_value,
    wait_value,
)
from openfusion_auto.core.price import reached
from openfusion_auto.core.strength import is_embedding, strengths
from openfusion_auto.core.types import (
    Candidate,
    Kind,
    Level,
    Pool,
    RoleName,
    Score,
    State,
    Task,
    Term,
)

Vector = npt.NDArray[np.float64]

TERMS = (
    "skill", "benchmark", "price", "throughput", "latency", "availability", "role", "stickiness",
)  # fmt: skip
UNITS = ("chance", "percent", "usd/turn", "tokens/s", "ms", "share", "fit", "pinned")
SKILL, BENCHMARK, PRICE, SPEED, WAIT, UP, ROLE, STUCK = range(8)
# Weights of the quality terms; they add up to 1. Skill is the reason to pick a model and rests on all benchmarks; their
# percentile only breaks ties (more of it bent the front on recorded outcomes), the others settle near ties.
QUALITY_WEIGHTS = (0.64, 0.01, 0.0, 0.06, 0.07, 0.14, 0.06, 0.02)
LOCK_WEIGHT = 2.0  # a tool turn's stickiness: more than all other terms together

# How much easier or harder than a benchmark's tasks [log-odds]: SWE-bench Verified's issues of under 15 minutes, of
# 15 minutes to an hour, and of more lie about so far apart for one model.
EASE: dict[Level, float] = {"low": 1.3, "medium": 0.0, "high": -1.3}
EASE_TALK = 3.0  # aux and chat: hardly anybody fails
EASE_STRUGGLING = -1.0  # the session's model is stuck: harder than it read

STUCK_SHARE = 0.5  # of its chance is left to a model that just failed again and again

DIGITS = 13  # of weights and points

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


Behind = tuple[tuple[float | None, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Fixed:
    """What a pool and a kind of task say alone: columns of one entry per candidate, and the front's slopes.

    `values` is (n, 8), the term values of candidates that have not been called yet, for a task of ease 0 that names no
    role. `logit` is the strength [log-odds]; `slopes` fall [quality per relative cost].
    """

    values: Vector
    logit: Vector
    prices: cost.Prices
    headline: tuple[float | None, ...]
    headline_source: tuple[str, ...]
    price_source: tuple[str, ...]
    latency: tuple[Live, ...]
    throughput: tuple[Live, ...]
    slopes: tuple[float, ...]


@lru_cache(maxsize=64)
def fixed(pool: Pool, kind: Kind) -> Fixed:
    """Return what only pool and kind decide. Remembered: a pool is a value that never changes."""
    models = pool.candidates
    strong = strengths(pool, kind)
    prices = cost.prices(models)
    published = [c.performance or NO_FIGURES for c in models]
    latency = tuple(live(None, p.ttft_ms_p50, "ttft") for p in published)
    throughput = tuple(live(None, p.tokens_per_s_p50, "tps") for p in published)
    logit = np.array(strong.logit, dtype=np.float64)
    values = np.zeros((len(models), len(TERMS)))
    values[:, SKILL] = chances(logit, 0.0)
    values[:, BENCHMARK] = strong.percentile
    values[:, SPEED] = [speed_value(v) for v, _ in throughput]
    values[:, WAIT] = [wait_value(v) for v, _ in latency]
    values[:, UP] = up_value(UNSEEN)
    values[:, ROLE] = [role_fit(c, ROLES_FOR[kind]) for c in models]
    return Fixed(
        values=values,
        logit=logit,
        prices=prices,
        headline=strong.headline,
        headline_source=strong.source,
        price_source=tuple(price_source(c, w) for c, w in zip(models, prices.work, strict=True)),
        latency=latency,
        throughput=throughput,
        slopes=slopes_of(pool, values, prices, QUALITY_WEIGHTS),
    )


def slopes_of(
    pool: Pool, values: Vector, prices: cost.Prices, weights: tuple[float, ...]
) -> tuple[float, ...]:
    """Return the slopes of a pool's front when the quality terms weigh so much; who makes embeddings is not on it."""
    relative = cost.relative(cost.usual(prices))
    quality = values @ np.array(weights)
    rows = [
        (c.id, float(relative[i]), float(quality[i]))
        for i, c in enumerate(pool.candidates)
        if c.price is not None and not is_embedding(c)
    ]
    return front(rows).slopes


def chances(strength: Vector, ease: float) -> Vector:
    """Return the probability that each candidate solves a task of `ease` [log-odds], see `strength.chance`."""
    solved: Vector = 1.0 / (1.0 + np.exp(-(strength + ease)))
    return solved


def ease_of(task: Task) -> float:
    """Return how much easier the task is than a benchmark's [log-odds]."""
    easy = task.risk != "high" and (task.turn == "aux" or task.kind in ("aux", "chat"))
    if task.ease is None and easy:
        return EASE_TALK
    known = EASE[task.complexity] if task.ease is None else task.ease
    return known + (EASE_STRUGGLING if task.struggling else 0.0)


def role_fit(candidate: Candidate, wanted: tuple[RoleName, ...]) -> float:
    """Return 1 for the best of the wanted roles, less for later ones, 0.4 for none of them."""
    for place, role in enumerate(wanted):
        if role in candidate.roles:
            return 1.0 - 0.2 * place
    return 0.4 if candidate.roles else 0.6


def price_source(candidate: Candidate, work: float, now: int = 0, later: float = 0) -> str:
    """Say where an expected price comes from; `now` and `later` are lengths of this prompt and of those to come."""
    price = candidate.price
    if price is None:
        return "unknown"
    listed = f"list price {price.as_of}".strip()
    for tokens, when in ((now, ""), (later, " in later turns")):
        dearer = reached(price.long_context, int(tokens))
        if dearer is not None:
            listed += f", that above {dearer.above_tokens:,} tokens{when}"
            break
    if work == 1.0:
        return listed
    known = "by cost per task" if candidate.cost_per_task else "as the pool's median cost per task"
    return f"{listed}, x{work:.2f} {known}"


@dataclass(frozen=True, eq=False)
class Table:
    """One request's scores, a row per ranked candidate; `Score` reads its terms here when somebody looks.

    `values` and `points` are (n, 8), `weights` (8,) made of `quality` and the rate; `turn_usd` is a turn's expected
    price over the rest of the session, NaN = unknown, `dearest_usd` what this request costs at the pool's dearest.
    `behind` returns the numbers behind a row's values, and where each comes from.
    """

    values: Vector
    weights: Vector
    points: Vector
    totals: Vector
    turn_usd: Vector
    dearest_usd: float
    rate: float
    slopes: tuple[float, ...]
    locked: bool
    behind: Callable[[int], Behind]
    quality: tuple[float, ...] = QUALITY_WEIGHTS

    @property
    def held(self) -> bool:
        """Whether stickiness outweighs all other terms: of a locked session, and of one that is stuck."""
        return float(self.weights[STUCK]) >= LOCK_WEIGHT

    def terms(self, row: int) -> tuple[Term, ...]:
        """Return the eight terms of a row."""
        raws, sources = self.behind(row)
        values, points = self.values[row].tolist(), self.points[row].tolist()
        return tuple(map(Term, TERMS, raws, UNITS, values, self.weights.tolist(), points, sources))


NO_BENCHMARK = "none published: taken for the pool's middle"


@dataclass(frozen=True, eq=False)
class Seen:
    """What is behind a live table's values: pool and live numbers, put together when somebody looks."""

    pool: Pool
    fixed: Fixed
    rows: npt.NDArray[np.int64]
    values: Vector
    turn_usd: Vector
    state: State
    task: Task
    locked: bool
    stuck: str | None

    def __call__(self, row: int) -> Behind:
        """Return the numbers behind the eight values of a row, and where each comes from."""
        i = int(self.rows[row])
        candidate, f = self.pool.candidates[i], self.fixed
        known = self.state.stats.get(candidate.id)
        speed, wait, up = f.throughput[i], f.latency[i], (UNSEEN, "prior")
        if known is not None:
            published = candidate.performance or NO_FIGURES
            known = stats.decayed(known, self.state.now_s)
            speed = live(known, published.tokens_per_s_p50, "tps")
            wait = live(known, published.ttft_ms_p50, "ttft")
            up = (round(stats.availability(known), 6), f"live n={known.ok + known.failed:.1f}")
        turn = float(self.turn_usd[row])
        values = self.values[row].tolist()
        raws = (
            values[SKILL], f.headline[i], None if math.isnan(turn) else round(turn, 10), speed[0],
            wait[0], up[0], values[ROLE], values[STUCK],
        )  # fmt: skip
        pinned = "session pin, locked on a tool turn" if self.locked else "session pin"
        if self.stuck:
            pinned = f"{self.stuck} is stuck: it or a stronger one"
        strong = NO_BENCHMARK if f.headline[i] is None else "pool benchmarks"
        lift = dict(self.task.lifts).get(candidate.id)
        if lift:
            strong += f"; {100 * lift:+.1f} points by outcomes of earlier tasks"
        sources = (
            strong, f.headline_source[i], self.listed(i), speed[1], wait[1], up[1],
            "pool roles", pinned,
        )  # fmt: skip
        return raws, sources

    def listed(self, i: int) -> str:
        """Say where the price of the pool's candidate `i` comes from."""
        candidate = self.pool.candidates[i]
        if candidate.price is None or not candidate.price.long_context:
            return self.fixed.price_source[i]
        now, left = self.task.needs.input_tokens, cost.turns_left(self.task, self.state.pin)
        work = float(self.fixed.prices.work[i])
        return price_source(candidate, work, now, cost.middle_tokens(now, left) if left else now)


def points_of(values: Vector, weights: Vector) -> Vector:
    """Return what values (n, 8) are worth under weights (8,)."""
    points: Vector = (values * weights).round(DIGITS)
    return points


def score(
    pool: Pool,
    rows: list[int],
    task: Task,
    state: State,
    cost_quality: float,
    *,
    locked: bool,
    stuck: str | None = None,
    weights: tuple[float, ...] = QUALITY_WEIGHTS,
) -> tuple[Score, ...]:
    """Score the candidates at `rows` of the pool, best first; equals by id.

    Args:
        pool: All candidates (strength and relative cost are those of the whole pool, so rejecting one changes no
            other's score).
        rows: Indices of the eligible candidates, (n,), rising.
        task: The request as read.
        state: Live numbers.
        cost_quality: 0 quality .. 10 cheap.
        locked: A tool turn of a pinned session.
        stuck: The session's model when it keeps failing: it and all that are no stronger are worth half, and of those
            only itself may go on.
        weights: Of the terms before the price takes its share, (8,); they add up to 1, and the price's is 0.
    """
    if not rows:
        return ()
    base = fixed(pool, task.kind)
    usd = cost.expected(base.prices, task, state, pool)
    usual = weights == QUALITY_WEIGHTS
    slopes = base.slopes if usual else slopes_of(pool, base.values, base.prices, weights)
    rate = knob.rate(cost_quality, slopes, task)
    index = np.array(rows)
    values = term_values(pool, index, base, task, state, locked=locked)
    if stuck is not None:
        hopeless(values, pool, index, base, stuck)
    dearest = float(np.fmax.reduce(usd.cold))
    if math.isnan(dearest):  # no price is known
        dearest = 0.0
    turn = usd.turn[index]
    values[:, PRICE] = price_values(turn, dearest)
    values = values.round(9)
    shares = term_weights(rate, weights, locked=locked or stuck is not None)
    points = points_of(values, shares)
    totals = points.sum(axis=1).round(DIGITS)
    order = np.argsort(-totals, kind="stable")
    rows_ranked, turn = index[order], turn[order]
    values, points, request = values[order], points[order], usd.request[index][order].round(10)
    behind = Seen(pool, base, rows_ranked, values, turn, state, task, locked, stuck)
    table = Table(
        values, shares, points, totals[order], turn, dearest, rate, slopes, locked, behind, weights
    )
    prices = [None if math.isnan(p) else p for p in request.tolist()]
    return tuple(
        Score(pool.candidates[i].id, pool.candidates[i].model, usd, total, row, table)
        for row, (i, usd, total) in enumerate(
            zip(rows_ranked.tolist(), prices, table.totals.tolist(), strict=True)
        )
    )


def hopeless(
    values: Vector, pool: Pool, index: npt.NDArray[np.int64], base: Fixed, stuck: str
) -> None:
    """Halve the chance of the model that is stuck and of all that are no stronger, in place.

    Its stickiness is that of the stronger ones, too: who is no stronger is not brought in, however cheap.
    """
    row = pool.row_of[stuck]
    weaker = base.logit[index] <= base.logit[row]
    values[weaker, SKILL] *= STUCK_SHARE
    values[:, STUCK] = ~weaker | (index == row)


def price_values(turn_usd: Vector, dearest_usd: float) -> Vector:
    """Return 1 for what is free, 0 for the dearest and for what nobody knows (it may be any price)."""
    unknown = np.isnan(turn_usd)
    values = np.ones(len(turn_usd)) if dearest_usd <= 0 else 1.0 - turn_usd / dearest_usd
    values[unknown | (values < 0.0)] = 0.0
    return np.minimum(values, 1.0)


@lru_cache(maxsize=256)
def term_weights(rate: float, quality: tuple[float, ...], *, locked: bool) -> Vector:
    """Return the weight of every term, (8,), read only; all but a lock's stickiness add up to 1. Remembered."""
    share = rate / (1.0 + rate)
    weights = [round((1.0 - share) * w, DIGITS) for w in quality]
    weights[PRICE] = round(share, DIGITS)
    if locked:
        weights[STUCK] = LOCK_WEIGHT
    column = np.array(weights)
    column.setflags(write=False)
    return column


def term_values(
    pool: Pool,
    index: npt.NDArray[np.int64],
    base: Fixed,
    task: Task,
    state: State,
    *,
    locked: bool,
) -> Vector:
    """Return the values (n, 8) of all terms but price."""
    values = base.values[index]
    lift = dict(task.lifts)
    ease = ease_of(task)
    if ease:
        values[:, SKILL] = chances(base.logit[index], ease)
    if not (state.stats or lift or state.pin):
        return as_named(values, pool, index, task)
    at = {i: k for k, i in enumerate(index.tolist())}
    for name, points in lift.items():
        k = at.get(pool.row_of.get(name, -1), -1)
        if k >= 0:
            values[k, SKILL] = min(1.0, max(0.0, values[k, SKILL] + points))
    if state.pin is not None and (locked or not task.struggling):
        k = at.get(pool.row_of.get(state.pin.candidate, -1), -1)
        if k >= 0:
            values[k, STUCK] = 1.0
    seen = [
        (at[i], live_values(known, state.now_s, pool.candidates[i]))
        for name, known in state.stats.items()
        if (i := pool.row_of.get(name, -1)) in at
    ]
    if seen:
        rows, found = zip(*seen, strict=True)
        values[list(rows), SPEED : UP + 1] = found
    return as_named(values, pool, index, task)


def as_named(values: Vector, pool: Pool, index: npt.NDArray[np.int64], task: Task) -> Vector:
    """Return the values with the roles' fit to the role that the request names or a rule prefers, if any."""
    wanted = task.role or task.prefer
    if wanted:
        values[:, ROLE] = [role_fit(pool.candidates[i], (wanted,)) for i in index.tolist()]
    return values
