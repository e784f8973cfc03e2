"""Say why: the decision as the JSON of `contract`, and for each loser the smallest change that would let it win."""

from __future__ import annotations

import math

from openfusion_auto.core import digest as digests
from openfusion_auto.core.score import price_share, usd_for
from openfusion_auto.core.types import Decision, Score, Task

EPSILON = 1e-6  # a stated change is this much beyond the point where the two are equal


def why_not(winner: Score, loser: Score, decision: Decision) -> str:
    """Return one sentence: what would have to change for `loser` to be picked instead of `winner`."""
    gap = winner.total - loser.total
    behind = max(
        zip(winner.terms, loser.terms, strict=True),
        key=lambda pair: pair[0].points - pair[1].points,
    )
    text = f"{gap:.3f} behind, most of it on {behind[0].name} ({behind[1].value:.2f} against {behind[0].value:.2f})"
    flips = [f for f in (price_flip(loser, gap), knob_flip(winner, loser, decision)) if f]
    return text + (
        "; would win " + " or ".join(flips) if flips else "; no single price or knob would do"
    )


def price_flip(loser: Score, gap: float) -> str | None:
    """Return the expected price at which the loser would win, when there is one."""
    term = next(t for t in loser.terms if t.name == "price")
    if term.weight <= 0 or loser.expected_usd is None:
        return None
    wanted = term.value + (gap + EPSILON) / term.weight
    if wanted > 1:
        return None
    return f"at {money_below(usd_for(wanted))} USD a turn instead of {loser.expected_usd:.3g}"


def money_below(usd: float) -> str:
    """Return a positive amount with three digits, rounded down: a stated price must be low enough to be true."""
    places = 2 - math.floor(math.log10(usd))
    return f"{math.floor(usd * 10.0**places) / 10.0**places:.{max(0, places)}f}"


def knob_flip(winner: Score, loser: Score, decision: Decision) -> str | None:
    """Return the `cost_quality` from which the loser would be ahead of the winner, when there is one in 0..10."""
    task = decision.task
    locked = any(t.name == "stickiness" and t.weight > 1 for t in winner.terms)
    if locked:
        return None
    low, high = 0.0, 10.0
    ahead_low = ahead(loser, winner, decision.cost_quality, low, task)
    if ahead_low == ahead(loser, winner, decision.cost_quality, high, task):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        if ahead(loser, winner, decision.cost_quality, middle, task) == ahead_low:
            low = middle
        else:
            high = middle
    # Rounded to the side where the loser is ahead, so that the stated number itself is true.
    if ahead_low:
        stated = f"{math.floor(low * 100) / 100:.2f} or below"
    else:
        stated = f"{math.ceil(high * 100) / 100:.2f} or above"
    return f"at cost_quality {stated} instead of {decision.cost_quality:g}"


def ahead(loser: Score, winner: Score, old: float, new: float, task: Task) -> bool:
    """Whether `loser` beats `winner` with the knob at `new`, both scored at `old`."""
    return reweighted(loser, old, new, task) > reweighted(winner, old, new, task)


def reweighted(scored: Score, old: float, new: float, task: Task) -> float:
    """Return the total with the knob moved: price by its new share, the rest keeps its ratios."""
    share_old, share_new = price_share(old, task), price_share(new, task)
    price = next(t for t in scored.terms if t.name == "price")
    quality = (scored.total - price.points) / (1 - share_old)
    return (1 - share_new) * quality + share_new * price.value


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
            "role": task.role,
            "needs": digests.plain(task.needs),
            "evidence": [digests.plain(e) for e in task.evidence],
        },
        "ranking": ranking_json(decision),
        "rejected": [digests.plain(r) for r in decision.rejected],
        "plan": {
            "steps": [digests.plain(s) for s in decision.plan.steps],
            "expected_usd": decision.plan.expected_usd,
            "worst_case_usd": decision.plan.worst_case_usd,
        },
        "aggregator": decision.aggregator,
        "cost_quality": decision.cost_quality,
        "pool_digest": decision.pool_digest,
    }


def ranking_json(decision: Decision) -> list[dict[str, object]]:
    """Return the ranking, best first, each loser with its `why_not`."""
    rows: list[dict[str, object]] = []
    for place, scored in enumerate(decision.ranking):
        reason = why_not(decision.ranking[0], scored, decision) if place else None
        rows.append(
            {
                "candidate": scored.candidate,
                "model": scored.model,
                "total": scored.total,
                "expected_usd": scored.expected_usd,
                "terms": [digests.plain(t) for t in scored.terms],
                "why_not": reason,
            }
        )
    return rows


def one_sentence(decision: Decision) -> str:
    """Return why this model in this mode, for the compact trace and the log."""
    if not decision.ranking:
        return "no candidate could serve"
    # Under a budget the first that is asked need not be the best-ranked one.
    first = decision.plan.steps[0].candidates[0] if decision.plan.steps else ""
    best = next((s for s in decision.ranking if s.candidate == first), decision.ranking[0])
    task = decision.task
    said = [r for r in decision.reasons if r.startswith(decision.mode + ":")]
    taken = said[0] if said and decision.plan.steps else decision.reasons[-1]
    cheap = f", about {best.expected_usd:.4f} USD" if best.expected_usd is not None else ""
    return (
        f"{best.candidate} for a {task.turn} turn ({task.kind}, {task.risk} risk, {task.complexity}): "
        f"{best.total:.3f} of {len(decision.ranking)} ranked{cheap}; {taken}"
    )
