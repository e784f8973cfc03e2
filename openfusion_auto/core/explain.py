"""Say why: the decision as the JSON of `contract`, and for each loser the smallest changes that would let it win.

A `Flip` is one number that would have to be another for a loser to be ranked first, all else as it was. It is computed
from the very table the decision was made on, and it is the least such change, rounded to the side where it is true:
with the stated number the loser is first, with a little less of a change it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from openfusion_auto.core import digest as digests
from openfusion_auto.core import knob
from openfusion_auto.core.live import TTFT_HALF_MS
from openfusion_auto.core.score import (
    PRICE,
    SKILL,
    STUCK,
    WAIT,
    Table,
    Vector,
)
from openfusion_auto.core.types import Decision, Needs, Score
from openfusion_auto.core.words import sum_of

# [points] a stated change goes so much beyond the point where two totals are equal: above what rounding does (1e-13).
EPSILON = 5e-13
VALUE_STEPS = 1e9  # in one: `score` rounds values to nine digits
LEAST_GAP = 0.001  # [points] of a total that are told as a number
LEAST_MS = 1.0  # [ms] a shorter time to the first token is not worth stating


class Flip(NamedTuple):
    """A change that would put a loser first: the number `of` would be `to` instead of `now`, in `unit`.

    `of` is price [USD of a turn], cost_quality, skill [chance of solving the task] or latency [ms to the first token].
    """

    of: str
    now: float
    to: float
    unit: str

    def __str__(self) -> str:
        match self.of:
            case "price":
                return f"at {self.to:.4g} USD a turn instead of {self.now:.4g}"
            case "cost_quality":
                return f"at cost_quality {self.to:g} instead of {self.now:g}"
            case "skill":
                return f"if it solved {100 * self.to:.4g} % of such tasks instead of {100 * self.now:.4g} %"
            case _:
                return f"at {self.to:.4g} ms to the first token instead of {self.now:.4g}"


def flips(loser: Score, decision: Decision) -> tuple[Flip, ...]:
    """Return the changes of one number that would make `loser` the pick, each the smallest of its kind."""
    table = loser.table
    if not isinstance(table, Table) or table.locked or not loser.row:
        return ()
    gap = float(table.totals[0] - table.totals[loser.row]) + EPSILON
    found = (
        price_flip(table, loser.row, gap),
        knob_flip(table, loser.row, decision),
        skill_flip(table, loser.row, gap),
        wait_flip(table, loser.row, gap),
    )
    return tuple(f for f in found if f is not None)


def needed(table: Table, row: int, term: int, gap: float) -> float | None:
    """Return the value of a term with which a row's total would grow by `gap`; None when even 1 is not enough."""
    weight = float(table.weights[term])
    if weight <= 0:
        return None
    # Up to the next step of what values are rounded to.
    wanted = math.ceil((float(table.values[row, term]) + gap / weight) * VALUE_STEPS) / VALUE_STEPS
    return wanted if wanted <= 1 else None


def price_flip(table: Table, row: int, gap: float) -> Flip | None:
    """Return the price of a turn [USD] at which the loser would win."""
    now, value = float(table.turn_usd[row]), needed(table, row, PRICE, gap)
    if math.isnan(now) or value is None or table.dearest_usd <= 0:
        return None
    to = (1 - value) * table.dearest_usd
    return Flip("price", round(now, 10), digits_below(to), "usd/turn")


def digits_below(amount: float) -> float:
    """Return an amount with four digits, rounded down: a stated price must be low enough to be true."""
    return four_digits(amount, math.floor)


def four_digits(amount: float, whole: Callable[[float], int]) -> float:
    """Return an amount with four digits, the last of them made by `whole` (floor or ceil); 0 stays 0."""
    if amount <= 0:
        return 0.0
    places = 3 - math.floor(math.log10(amount))
    return round(whole(amount * 10.0**places) / 10.0**places, max(0, places))


def skill_flip(table: Table, row: int, gap: float) -> Flip | None:
    """Return the chance of solving the task with which the loser would win."""
    value = needed(table, row, SKILL, gap)
    if value is None:
        return None
    to = min(1.0, four_digits(value, math.ceil))
    return Flip("skill", float(table.values[row, SKILL]), to, "chance")


def wait_flip(table: Table, row: int, gap: float) -> Flip | None:
    """Return the time to the first token [ms] with which the loser would win, where the present one is known."""
    value = needed(table, row, WAIT, gap)
    now = table.terms(row)[WAIT].raw
    if value is None or now is None:
        return None
    to = digits_below(TTFT_HALF_MS * (1 / value - 1))
    return Flip("latency", now, to, "ms") if to >= LEAST_MS else None


def knob_flip(table: Table, row: int, decision: Decision) -> Flip | None:
    """Return the `cost_quality` nearest to the present one at which the loser would be first of all."""
    task, now, slopes = decision.task, decision.cost_quality, table.slopes
    quality = table.values @ np.array(table.quality)
    cheap = table.values[:, PRICE]
    if table.held:  # only those that it leaves in the running can be first
        out = table.values[:, STUCK] < table.values[0, STUCK]
        if out[row]:
            return None
        quality = np.where(out, -np.inf, quality)
    inside = rates_of(quality.tolist(), cheap.tolist(), row)
    if inside is None:
        return None
    rising = inside[0] > table.rate
    edge = knob.position(inside[0] if rising else inside[1], slopes, task)
    if edge is None:
        return None
    for scale in (100.0, 10_000.0):
        whole = math.ceil(edge * scale) if rising else math.floor(edge * scale)
        for step in (0, 1):
            to = (whole + (step if rising else -step)) / scale
            if 0 <= to <= 10 and leads(quality, cheap, knob.rate(to, slopes, task), row):
                return Flip("cost_quality", now, to, "0..10")
    return None


def leads(quality: Vector, cheap: Vector, rate: float, row: int) -> bool:
    """Whether a row is first of all at an exchange rate, and not by rounding only."""
    totals = (quality + rate * cheap) / (1 + rate)
    own, totals[row] = float(totals[row]), -math.inf
    return own > float(totals.max()) + EPSILON


def rates_of(quality: list[float], cheap: list[float], row: int) -> tuple[float, float] | None:
    """Return between which exchange rates a row is first: its stretch of the upper envelope; None when nowhere.

    Args:
        quality: Of all rows, the present pick's first.
        cheap: Their values of price; equals in both go by their order.
        row: Whose stretch is wanted.
    """
    low, high = 0.0, math.inf
    for other, (q, v) in enumerate(zip(quality, cheap, strict=True)):
        ahead, cheaper = q - quality[row], cheap[row] - v
        if cheaper > 0:
            low = max(low, ahead / cheaper)
        elif cheaper < 0:
            high = min(high, ahead / cheaper)
        elif ahead > EPSILON or (ahead > -EPSILON and other < row):
            return None
    return (low, high) if low < high else None


def why_not(loser: Score, decision: Decision) -> str:
    """Return one sentence: what would have to change for `loser` to be picked."""
    winner = decision.ranking[0]
    text = behind(winner, loser)
    table = loser.table
    if isinstance(table, Table) and table.locked:
        return f"{text}; the session stays with {winner.candidate} while its tools run"
    return text + told(flips(loser, decision))


def behind(winner: Score, loser: Score) -> str:
    """Say by how much a candidate is behind, and where most of it was lost; of equals, what decided."""
    gap = winner.total - loser.total
    if gap <= 0:
        return f"level with {winner.candidate}, whose id comes first"
    lost = zip(winner.terms, loser.terms, strict=True)
    best, own = max(lost, key=lambda p: p[0].points - p[1].points)
    much = f"{gap:.3f}" if gap >= LEAST_GAP / 2 else f"less than {LEAST_GAP:g}"
    return f"{much} behind, most of it on {best.name} ({own.value:.2f} against {best.value:.2f})"


def told(found: Iterable[Flip]) -> str:
    """Return flips as the end of a sentence."""
    said = [str(f) for f in found]
    return "; would win " + ", or ".join(said) if said else "; no single number would do"


def needs_json(needs: Needs) -> dict[str, object]:
    """Return what a request needs as JSON; `hour_cache` only where it does, so that older receipts read the same."""
    told = {f.name: digests.plain(getattr(needs, f.name)) for f in fields(needs)}
    return {k: v for k, v in told.items() if v or k != "hour_cache"}


def decision_json(decision: Decision) -> dict[str, object]:
    """Return the decision as JSON types: the object that routes, traces and receipts show."""
    content = content_json(decision)
    return {"digest": digests.digest(content), **content}


def decision_digest(decision: Decision) -> str:
    """Return the digest that names a decision: same inputs, same digest, in any process."""
    return digests.digest(content_json(decision))


def content_json(decision: Decision) -> dict[str, object]:
    """Return everything the digest covers."""
    task = decision.task
    return {
        "mode": decision.mode,
        "reasons": list(decision.reasons),
        "task": {
            "kind": task.kind,
            "risk": task.risk,
            "complexity": task.complexity,
            "turn": task.turn,
            "struggling": task.struggling,
            "struggle": task.struggle,
            "role": task.role,
            "prefer": task.prefer,
            "forced": None if task.forced is None else digests.plain(task.forced),
            "ease": task.ease,
            "lifts": dict(task.lifts),
            # Only where experience says so: what was decided without one keeps its digest.
            **({"effort": task.effort} if task.effort != 1.0 else {}),
            "needs": needs_json(task.needs),
            "evidence": [digests.plain(e) for e in task.evidence],
        },
        "ranking": ranking_json(decision),
        "rejected": [digests.plain(r) for r in decision.rejected],
        "plan": {
            "steps": [
                {"phase": s.phase, "candidates": list(s.candidates)} for s in decision.plan.steps
            ],
            "expected_usd": decision.plan.expected_usd,
            "worst_case_usd": decision.plan.worst_case_usd,
        },
        "staying": None if decision.staying is None else digests.plain(decision.staying),
        "aggregator": decision.aggregator,
        "strategy": decision.strategy,
        "patience": None if decision.patience is None else digests.plain(decision.patience),
        "cost_quality": decision.cost_quality,
        "pool_digest": decision.pool_digest,
    }


def ranking_json(decision: Decision) -> list[dict[str, object]]:
    """Return the ranking, best first, each loser with its `why_not`."""
    rows: list[dict[str, object]] = []
    for place, scored in enumerate(decision.ranking):
        rows.append(
            {
                "candidate": scored.candidate,
                "model": scored.model,
                "total": scored.total,
                "expected_usd": scored.expected_usd,
                "terms": [digests.plain(t) for t in scored.terms],
                "why_not": why_not(scored, decision) if place else None,
                "flips": [digests.plain(f) for f in flips(scored, decision)] if place else [],
            }
        )
    return rows


def one_sentence(decision: Decision) -> str:
    """Return why this model in this mode, for the compact trace and the log."""
    if not decision.ranking:
        return "no candidate could serve"
    # Under a budget the first that is asked need not be the best-ranked one.
    first = decision.plan.steps[0].candidates[0] if decision.plan.steps else ""
    ranked = decision.ranking
    place = next((i for i, s in enumerate(ranked) if s.candidate == first), 0)
    best = ranked[place]
    task = decision.task
    said = [r for r in decision.reasons if r.startswith(decision.mode + ":")]
    taken = said[0] if said and decision.plan.steps else decision.reasons[-1]
    cheap = f", about {sum_of(best.expected_usd)}" if best.expected_usd is not None else ""
    read = f"{task.kind}, {task.risk} risk, {task.complexity} complexity"
    return (
        f"{best.candidate} for a {task.turn} turn ({read}): "
        f"ranked {place + 1} of {len(ranked)} with {best.total:.3f}{cheap}; {taken}"
    )
