"""What would have been decided otherwise: a decision made again with other settings, and how it differs, term by term.

made_again   the same task, pool and state with another `cost_quality` and other weights of the terms
difference   of any two decisions as JSON: settings, pools or versions may have changed between them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from openfusion_auto.core.decide import decide
from openfusion_auto.core.digest import plain
from openfusion_auto.core.score import PRICE, QUALITY_WEIGHTS, TERMS
from openfusion_auto.core.types import Decision, Policy, Pool, State, Task

Json = dict[str, object]
Document = Mapping[str, Any]

# The terms that have a weight of their own; how much the price counts is said by `cost_quality`.
WEIGHTS: Mapping[str, float] = {
    name: weight
    for row, (name, weight) in enumerate(zip(TERMS, QUALITY_WEIGHTS, strict=True))
    if row != PRICE
}


def made_again(
    task: Task,
    pool: Pool,
    state: State,
    policy: Policy,
    *,
    cost_quality: float,
    weights: Mapping[str, float],
) -> Decision:
    """Decide a request again with other settings; what it asked for itself as `cost_quality` gives way, too.

    Args:
        task: As it was read.
        pool: The candidates it was decided over.
        state: The live numbers of that moment.
        policy: The operator's settings of that moment.
        cost_quality: 0 quality .. 10 cheap.
        weights: Of the terms in `WEIGHTS`, any scale; those that are not named weigh what they do.

    Raises:
        ValueError: no term of that name, a weight that is negative or not finite, or none above 0.
    """
    asked = replace(task, options=replace(task.options, cost_quality=None))
    return decide(
        asked,
        pool,
        state,
        replace(policy, cost_quality=cost_quality),
        weights=shares(weights),
    )


def shares(weights: Mapping[str, float]) -> tuple[float, ...]:
    """Return weights in the order of `TERMS`, made to add up to 1; the usual ones as they are.

    Raises:
        ValueError: as in `made_again`.
    """
    if unknown := sorted(set(weights) - set(WEIGHTS)):
        raise ValueError(f"no term {unknown[0]!r}; there are {', '.join(WEIGHTS)}")
    wanted = {**WEIGHTS, **weights}
    if wanted == WEIGHTS:
        return QUALITY_WEIGHTS
    if any(not 0 <= w <= 1e9 for w in wanted.values()):
        raise ValueError("a weight is a number from 0 up")
    total = sum(wanted.values())
    if total <= 0:
        raise ValueError("one weight at least must be above 0")
    return tuple(wanted[name] / total if name in wanted else 0.0 for name in TERMS)


def difference(old: Document, new: Document) -> Json:
    """Return what differs between two decisions: pick, mode, plan, and each candidate's terms, rank and rejection."""
    ranks = [{r["candidate"]: (i, r) for i, r in enumerate(d["ranking"], 1)} for d in (old, new)]
    rules = [{r["candidate"]: r["rule"] for r in d["rejected"]} for d in (old, new)]
    names = sorted({*ranks[0], *ranks[1], *rules[0], *rules[1]})
    rows = [candidate_difference(n, ranks[0].get(n), ranks[1].get(n), rules) for n in names]
    return {
        "same": old["digest"] == new["digest"],
        "pick": [first(old), first(new)],
        "mode": [old["mode"], new["mode"]],
        "expected_usd": [old["plan"]["expected_usd"], new["plan"]["expected_usd"]],
        "worst_case_usd": [old["plan"]["worst_case_usd"], new["plan"]["worst_case_usd"]],
        "digest": [old["digest"], new["digest"]],
        "candidates": [r for r in rows if r is not None],
    }


def first(decision: Document) -> str | None:
    """Return who is asked first."""
    steps = decision["plan"]["steps"]
    return steps[0]["candidates"][0] if steps else None


def candidate_difference(
    name: str,
    old: tuple[int, Document] | None,
    new: tuple[int, Document] | None,
    rules: Sequence[Mapping[str, str]],
) -> Json | None:
    """Return what differs for one candidate; None when nothing does. Pairs are before and after."""
    terms = [{t["name"]: t for t in side[1]["terms"]} if side else {} for side in (old, new)]
    moved = []
    for term in [*terms[0], *(t for t in terms[1] if t not in terms[0])]:
        before, after = terms[0].get(term), terms[1].get(term)
        if plain(before) != plain(after):
            row: Json = {"name": term}
            for key in ("raw", "value", "weight", "points"):
                row[key] = [before[key] if before else None, after[key] if after else None]
            moved.append(row)
    pairs: dict[str, list[Any]] = {
        "rank": [old[0] if old else None, new[0] if new else None],
        "total": [old[1]["total"] if old else None, new[1]["total"] if new else None],
        "rejected": [rules[0].get(name), rules[1].get(name)],
    }
    if not moved and all(a == b for a, b in pairs.values()):
        return None
    return {"candidate": name, **pairs, "terms": moved}
