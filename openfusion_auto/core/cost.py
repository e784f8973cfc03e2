"""Money: what a call should cost, what it can cost at most, what it did cost. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import stats
from openfusion_auto.core.price import RATES, LongPrice, reached
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Candidate, Level, Pin, Pool, Price, State, Task

Vector = npt.NDArray[np.float64]

MTOK = 1e-6
DEFAULT_MAX_OUTPUT = 32_000  # [tokens] bound assumed when neither the client nor the pool gives one

# Output of one turn [tokens] by complexity. Orders of magnitude seen in agent sessions, used to compare
# candidates with each other; live usage, not this table, is what gets booked.
OUTPUT_TOKENS: dict[str, dict[Level, int]] = {
    "aux": {"low": 60, "medium": 300, "high": 600},
    "chat": {"low": 200, "medium": 500, "high": 900},
    "tool": {"low": 250, "medium": 400, "high": 700},
    "user": {"low": 500, "medium": 1200, "high": 3000},
}

# A whole agent task in tokens: the shape of a published coding-agent run (OpenHands index: tens of turns over a
# growing, mostly cached prefix). It turns `cost_usd_per_task` into "how much dearer than its list price".
TASK_FRESH_INPUT = 90_000
TASK_CACHED_INPUT = 900_000
TASK_OUTPUT = 14_000
NOMINAL = Usage(8_000, 1_000)  # [tokens] one ordinary request
# Turns to come: of a session that has just begun, and at most. Real agents' sessions have some tens of turns.
FIRST_TURNS_LEFT, MOST_TURNS_LEFT = 4.0, 20.0
GROWTH_TOKENS = 1_500  # [tokens] that a turn adds to the next prompt: an answer and a tool's result
CACHE_MIN = 1_024  # [tokens] shortest prompt that OpenAI caches, and Anthropic for larger models
CACHE_TTL_S = 300.0  # [s] how long a prefix stays cached: Anthropic; OpenAI says 5 to 10 minutes
PAUSE_S = 60.0  # [s] half of all turns come sooner: a person reads an answer and writes
HOUR_WRITE = (
    2.0  # [input rates] a prefix that is cached for an hour: Anthropic, who alone tells of such
)
US_ONLY = 1.1  # times all token prices, for an answer computed in the US alone: Anthropic (see `wire/region.py`)
# Token counts are estimates from bytes: a prompt may be five percent longer than estimated.
ROOM = 1.05
EFFORT_BOUNDS = (0.5, 4.0)  # one published run is one sample: it may not move a price beyond this


def at(price: Price, tokens: int) -> Price | LongPrice:
    """Return the rates of a request that reads so many tokens, cached ones too."""
    return (price.long_context and reached(price.long_context, tokens)) or price


def longer(candidate: Candidate, tokens: int) -> LongPrice | None:
    """Return the price of longer prompts that so many tokens have reached; None where the ordinary one holds."""
    return None if candidate.price is None else reached(candidate.price.long_context, tokens)


def usd(price: Price, usage: Usage) -> float:
    """Return the price of one request's `usage` [USD]: its input decides which price holds for all of it."""
    return charged(at(price, usage.input), usage)


def known_rates(price: Price | LongPrice) -> dict[str, float]:
    """Return the parts of a price that are known (`RATES`) [USD per 1,000,000 tokens]."""
    return {part: usd for part in RATES if (usd := getattr(price, part)) is not None}


def charged(price: Price | LongPrice, usage: Usage) -> float:
    """Return what `usage` costs at these rates [USD].

    Cached and cache-written tokens are parts of the input at their own rates; where the pool does not know such
    a rate the full input rate is taken, so a bill is never understated.
    """
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    fresh = max(0, usage.input - usage.cached - usage.cache_write)
    total = (
        fresh * price.input
        + usage.cached * read
        + (usage.cache_write - usage.hour_write) * write
        + usage.hour_write * max(write, HOUR_WRITE * price.input)
        + usage.output * price.output
    )
    return round(total * MTOK, 10)


def times(usd: float, factor: float) -> float:
    """Return a price times what an answer costs over its list price [USD]."""
    return usd if factor == 1.0 else round(usd * factor, 10)


def asked_times(candidate: Candidate, task: Task) -> float:
    """Return how many times its list price a call will cost by what the request asks for."""
    return US_ONLY if candidate.upstream in task.options.us_only else 1.0


def effort(candidate: Candidate) -> float:
    """Return how much more than its list price a candidate really costs for the same work (1.0 = as listed).

    List prices mislead: models of one list price differ several times in dollars per task, by how much they
    write and how well they cache. Known only where `cost_per_task` is.
    """
    price, seen = candidate.price, candidate.cost_per_task
    if price is None or seen is None:
        return 1.0
    many = Usage(TASK_FRESH_INPUT + TASK_CACHED_INPUT, TASK_OUTPUT, TASK_CACHED_INPUT)
    listed = charged(price, many)  # tens of requests, each of an ordinary length
    if listed <= 0:
        return 1.0
    low, high = EFFORT_BOUNDS
    return min(high, max(low, seen.value / listed))


def efforts(candidates: Sequence[Candidate]) -> tuple[float, ...]:
    """Return each candidate's `effort`; one that nobody measured is taken for ordinary, not for cheap.

    Ordinary is the median of those that were measured, or 1.0 where nobody was.
    """
    known = [effort(c) for c in candidates if c.cost_per_task is not None and c.price is not None]
    ordinary = median(known) if known else 1.0
    return tuple(ordinary if c.cost_per_task is None else effort(c) for c in candidates)


def output_tokens(task: Task) -> int:
    """Return the output to expect of one turn [tokens], never above what the client allows."""
    row = "chat" if task.kind == "chat" and task.turn == "user" else task.turn
    expected = OUTPUT_TOKENS[row][task.complexity]
    asked = task.needs.max_output_tokens
    return expected if asked is None else min(expected, asked)


@dataclass(frozen=True, eq=False)
class Prices:
    """The prices of a pool's candidates as columns [USD per token], (n,) each; NaN = unknown.

    `read` is the input rate where no cached one is known; `caches` says where one is. `work` is `efforts`. `longer` has
    the lengths of prompts at which some price changes [tokens], rising, and the prices above each.
    """

    input: Vector
    output: Vector
    read: Vector
    caches: npt.NDArray[np.bool_]
    work: Vector
    longer: tuple[tuple[int, Prices], ...] = ()

    def at(self, tokens: float) -> Prices:
        """Return the prices of a request that reads so many tokens."""
        found = self
        for above, rates in self.longer:
            if tokens > above:
                found = rates
        return found

    def times(self, factors: Vector) -> Prices:
        """Return the prices of candidates that cost so many times what they are listed at, (n,)."""
        longer = tuple((n, rates.times(factors)) for n, rates in self.longer)
        return replace(self, work=self.work * factors, longer=longer)


class Expected(NamedTuple):
    """What candidates should cost [USD], (n,) each; NaN = unknown.

    `request` this request with what is warm, `turn` a turn on average over the rest of the session if it stays there,
    `cold` such a turn if nothing were ever cached.
    """

    cold: Vector
    request: Vector
    turn: Vector


def prices(candidates: Sequence[Candidate]) -> Prices:
    """Return the prices of candidates as columns."""
    listed = [c.price for c in candidates]
    work = np.array(efforts(candidates))
    lengths = sorted({p.above_tokens for c in listed if c is not None for p in c.long_context})
    longer = [
        (n, columns([None if p is None else at(p, n + 1) for p in listed], work)) for n in lengths
    ]
    return columns(listed, work, tuple(longer))


def columns(
    rates: Sequence[Price | LongPrice | None],
    work: Vector,
    longer: tuple[tuple[int, Prices], ...] = (),
) -> Prices:
    """Return rates as columns, those of longer prompts behind them."""

    def column(rate: Callable[[Price | LongPrice], float]) -> Vector:
        return np.array([np.nan if p is None else rate(p) * MTOK for p in rates])

    return Prices(
        input=column(lambda p: p.input),
        output=column(lambda p: p.output),
        read=column(lambda p: p.input if p.cache_read is None else p.cache_read),
        caches=np.array([p is not None and p.cache_read is not None for p in rates], dtype=bool),
        work=work,
        longer=longer,
    )


def usual(rates: Prices) -> Vector:
    """Return what a request of ordinary size costs at each candidate [USD], nothing cached; NaN = unknown."""
    rates = rates.at(NOMINAL.input)
    usd: Vector = (NOMINAL.input * rates.input + NOMINAL.output * rates.output) * rates.work
    return usd


def relative(usd: Vector) -> Vector:
    """Return costs as shares of the dearest known one, 0..1; NaN stays."""
    dearest = np.nanmax(usd) if usd.size and not np.isnan(usd).all() else 0.0
    return usd / dearest if dearest > 0 else usd * 0.0


def turns_left(task: Task, pin: Pin | None) -> float:
    """Return how many further turns the session is expected to have.

    A session that has had many turns is likely to have many more; one that has just begun is an agent's when it
    carries tools. A call that a client makes for itself is alone.
    """
    if task.turn == "aux" or task.kind == "aux":
        return 0.0
    if pin is None:
        return FIRST_TURNS_LEFT if task.needs.tools else 0.0
    return float(min(MOST_TURNS_LEFT, max(FIRST_TURNS_LEFT, pin.turns)))


def expected(rates: Prices, task: Task, state: State, pool: Pool) -> Expected:
    """Return what this request should cost at each candidate, and a turn of the session from here on [USD].

    The part of the prompt that is believed warm in a provider's cache is priced at the cached rate there. Of the turns
    after this one, the share that comes in time (`kept`) finds the prompt cached where the provider caches at all: that
    is what a switch pays for once and a session earns every turn. Nobody knows how many turns will come, so what a
    switch costs now above staying is counted in full, not spread over them. Where a price changes with the length of
    the prompt, later turns have the price of the middle one of them.
    """
    tokens_in, tokens_out = task.needs.input_tokens, output_tokens(task) * task.needs.n
    if task.options.us_only:
        rates = rates.times(np.array([asked_times(c, task) for c in pool.candidates]))
    now = rates.at(tokens_in)
    cold = uncached_usd(now, tokens_in, tokens_out)
    saved = (now.input - now.read) * now.work
    request = cold - saved * warm(task, state, pool)
    left = turns_left(task, state.pin)
    if not left:
        return Expected(cold, request, request)
    holder = None if state.pin is None else pool.row_of.get(state.pin.candidate)
    timely = (tokens_in >= minimum(state, pool)) * kept(state, pool, holder)
    uncached = cold + GROWTH_TOKENS * now.input * now.work
    later = uncached - saved * tokens_in * (now.caches * timely)
    entry = request - later
    then = rates.at(middle_tokens(tokens_in, left))
    if then is not now:
        uncached = uncached_usd(then, tokens_in + GROWTH_TOKENS, tokens_out)
        saved = (then.input - then.read) * then.work
        later = uncached - saved * tokens_in * (then.caches * timely)
    turn = request + left * later
    if holder is not None and not np.isnan(request[holder]):
        turn += left * np.maximum(0.0, entry - max(0.0, float(entry[holder])))
    return Expected((cold + left * uncached) / (1 + left), request, turn / (1 + left))


def uncached_usd(rates: Prices, tokens_in: int, tokens_out: int) -> Vector:
    """Return what a request costs at each candidate [USD] when nothing is cached."""
    usd: Vector = (tokens_in * rates.input + tokens_out * rates.output) * rates.work
    return usd


def middle_tokens(tokens_in: int, left: float) -> float:
    """Return how long the prompt will be on average over the turns to come [tokens]."""
    return tokens_in + GROWTH_TOKENS * (1 + left) / 2


def kept(state: State, pool: Pool, holder: int | None) -> Vector:
    """Return which share of later turns comes before each candidate's cache has expired, (n,).

    By a log-logistic law of pauses with median `PAUSE_S`. The session's own model has the benefit of the doubt: to
    leave it must pay even if its cache holds from now on, and even if all pauses are such that a cache of a shorter
    life than its own is lost each time.
    """
    ttl_s = by_upstream(pool, state.cache_ttl, state.cache_ttl.get("", CACHE_TTL_S))
    share: Vector = ttl_s / (ttl_s + PAUSE_S)
    if holder is not None:
        share[ttl_s < ttl_s[holder]] = 0.0
        share[holder] = 1.0
    return share


def by_upstream(pool: Pool, known: Mapping[str, float], usual: float) -> Vector:
    """Return each candidate's number by its upstream, `usual` where it is not known, (n,)."""
    column = np.full(len(pool.candidates), usual, dtype=float)
    for name, rows in upstream_rows(pool).items():
        if name in known:
            column[rows] = known[name]
    return column


@lru_cache(maxsize=64)
def upstream_rows(pool: Pool) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return which candidates each upstream serves, (n,). Remembered: a pool is a value that never changes."""
    names = [c.upstream for c in pool.candidates]
    return {name: np.array([n == name for n in names], dtype=bool) for name in sorted(set(names))}


def warm(task: Task, state: State, pool: Pool) -> Vector | float:
    """Return how many tokens of the prompt are believed warm at each candidate, (n,); 0.0 when nowhere.

    A belief is corrected by how much of earlier ones the candidate's usage confirmed (`Stats.cache_hit`).
    """
    if state.pin is None or not state.pin.caches:
        return 0.0
    tokens = np.zeros(len(pool.candidates))
    for name in {k.candidate for k in state.pin.caches}:
        row = pool.row_of.get(name)
        if row is not None:
            believed = warm_tokens(state.pin, name, state.now_s)
            known = state.stats.get(name)
            share = 1.0 if known is None else stats.confirmed(known)
            tokens[row] = min(task.needs.input_tokens, believed) * share
    return tokens


def warm_tokens(pin: Pin | None, candidate_id: str, now_s: float) -> int:
    """Return how many tokens of the session's prefix are believed cached at this candidate."""
    if pin is None:
        return 0
    return max(
        (k.tokens for k in pin.caches if k.candidate == candidate_id and now_s <= k.until_s),
        default=0,
    )


def minimum(state: State, pool: Pool) -> Vector | float:
    """Return from how many tokens on each candidate's provider caches a prompt [tokens]."""
    if not state.cache_min:
        return float(CACHE_MIN)
    return by_upstream(pool, state.cache_min, CACHE_MIN)


def output_bound(candidate: Candidate, task: Task) -> int:
    """Return the longest answer that one call can bring [tokens]: the client's bound and the model's own."""
    bound = task.needs.max_output_tokens or candidate.max_output_tokens or DEFAULT_MAX_OUTPUT
    return bound if candidate.max_output_tokens is None else min(bound, candidate.max_output_tokens)


def worst_usd(candidate: Candidate, task: Task, extra_input: int = 0) -> float | None:
    """Return the most that one call can cost [USD]: nothing cached, output up to its bound.

    Just below a length from which on prompts cost more it is that price: the length is an estimate (`ROOM`). What a
    search finds is read at the price of input: it may fill the window. None when its price is unknown, or what the
    upstream takes for searching the web, or how often it may, or for a dearer service tier.
    """
    searched = task.options.searched_at(candidate.upstream) if task.options.searching else None
    unsaid = task.needs.web and searched is None
    if candidate.price is None or unsaid or is_dearer(candidate, task):
        return None
    bound = output_bound(candidate, task)
    tokens_in = task.needs.input_tokens + extra_input
    fees = 0.0
    if searched is not None:
        most, window = searched.cost(searched.most), candidate.context_tokens
        if most is None or window is None:
            return None
        fees, tokens_in = most, max(tokens_in, window)
    price = at(candidate.price, int(tokens_in * ROOM))
    dearest = max(price.input, price.cache_write or 0.0, price.cache_read or 0.0)
    if task.needs.hour_cache and price.cache_write is not None:
        dearest = max(dearest, HOUR_WRITE * price.input)
    tokens_out = bound * task.needs.n
    worst = (tokens_in * dearest + tokens_out * price.output) * MTOK * asked_times(candidate, task)
    return round(worst + fees, 10)


def is_dearer(candidate: Candidate, task: Task) -> bool:
    """Whether a call is asked of a service tier that costs more than the list price: nobody says how much more."""
    if not task.options.tiers or candidate.price is None:
        return False
    free = not (candidate.price.input or candidate.price.output)
    return not free and task.options.tier_at(candidate.upstream) == "dearer"


def search_usd(candidate: Candidate, task: Task) -> float | None:
    """Return what searching is expected to add to a call [USD]: one search where it may; None = unknown."""
    searched = task.options.searched_at(candidate.upstream) if task.options.searching else None
    if searched is None:
        return None if task.needs.web else 0.0
    return searched.cost(1 if searched.most is None else min(1, searched.most))


def total(parts: list[float | None]) -> float | None:
    """Return the sum; None as soon as one part is unknown."""
    known = [p for p in parts if p is not None]
    return round(sum(known), 10) if len(known) == len(parts) else None
