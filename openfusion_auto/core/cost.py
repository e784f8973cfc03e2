"""Money: what a call should cost, what it can cost at most, what it did cost. Unknown is None, never 0."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Candidate, Level, Pin, Price, Task

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
EFFORT_BOUNDS = (0.5, 4.0)  # one published run is one sample: it may not move a price beyond this


def usd(price: Price, usage: Usage) -> float:
    """Return the price of `usage` [USD].

    Cached and cache-written tokens are parts of the input at their own rates; where the pool does not know such
    a rate the full input rate is taken, so a bill is never understated.
    """
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    fresh = max(0, usage.input - usage.cached - usage.cache_write)
    total = (
        fresh * price.input
        + usage.cached * read
        + usage.cache_write * write
        + usage.output * price.output
    )
    return round(total * MTOK, 10)


def effort(candidate: Candidate) -> float:
    """Return how much more than its list price a candidate really costs for the same work (1.0 = as listed).

    List prices mislead: models of one list price differ several times in dollars per task, by how much they
    write and how well they cache. Known only where `cost_per_task` is.
    """
    price, seen = candidate.price, candidate.cost_per_task
    if price is None or seen is None:
        return 1.0
    listed = usd(price, Usage(TASK_FRESH_INPUT + TASK_CACHED_INPUT, TASK_OUTPUT, TASK_CACHED_INPUT))
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


def expected_usd(
    candidate: Candidate, task: Task, pin: Pin | None, now_s: float, work: float
) -> float | None:
    """Return what one call of this turn should cost [USD]; None when the price is unknown.

    Args:
        candidate: The model.
        task: The request as read.
        pin: The session's pin; its cached prefix is priced at the cached rate while it is warm.
        now_s: Clock reading [s].
        work: `effort(candidate)`, computed once per pool.
    """
    if candidate.price is None:
        return None
    tokens_in = task.needs.input_tokens
    cached = min(tokens_in, warm_tokens(pin, candidate.id, now_s))
    usage = Usage(tokens_in, output_tokens(task) * task.needs.n, cached)
    return round(usd(candidate.price, usage) * work, 10)


def warm_tokens(pin: Pin | None, candidate_id: str, now_s: float) -> int:
    """Return how many tokens of the session's prefix are believed cached at this candidate."""
    if pin is None or pin.candidate != candidate_id or now_s > pin.warm_until_s:
        return 0
    return pin.cached_tokens


def output_bound(candidate: Candidate, task: Task) -> int:
    """Return the longest answer that one call can bring [tokens]: the client's bound and the model's own."""
    bound = task.needs.max_output_tokens or candidate.max_output_tokens or DEFAULT_MAX_OUTPUT
    return bound if candidate.max_output_tokens is None else min(bound, candidate.max_output_tokens)


def worst_usd(candidate: Candidate, task: Task, extra_input: int = 0) -> float | None:
    """Return the most that one call can cost [USD]: nothing cached, output up to its bound."""
    if candidate.price is None:
        return None
    bound = output_bound(candidate, task)
    dearest = max(candidate.price.input, candidate.price.cache_write or 0.0)
    tokens_in = task.needs.input_tokens + extra_input
    tokens_out = bound * task.needs.n
    return round((tokens_in * dearest + tokens_out * candidate.price.output) * MTOK, 10)


def total(parts: list[float | None]) -> float | None:
    """Return the sum; None as soon as one part is unknown."""
    known = [p for p in parts if p is not None]
    return round(sum(known), 10) if len(known) == len(parts) else None
