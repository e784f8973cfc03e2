"""Check, then mend: which model answers first and which one mends what the check rejects.

With a check that finds a share `sensitivity` of wrong answers and accepts a share `specificity` of right ones,

    rejected = right * (1 - specificity) + (1 - right) * sensitivity
    chance   = right * (specificity + (1 - specificity) * mend) + (1 - right) * sensitivity * mend * SAME_TROUBLE
    cost     = cost(first) + rejected * cost(mender)

A pair is worth `quality - rate * cost` as every single model is. When the best pair begins with a cheaper model than
the best single one, verifying is a cascade: it saves money and mends what matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from openfusion_auto.core.score import PRICE, SKILL, Table
from openfusion_auto.core.types import Check, Score

# What one model got wrong is hard for others too: their chance there over their chance anywhere. Between the front's
# models 0.4 to 0.9, mostly near 0.7, on five recorded sets (OpenHands index, LiveCodeBench, LLMRouter).
SAME_TROUBLE = 0.7
# A judge without running anything (CodeJudgeBench, arXiv 2507.10535), free checks before it.
CHECK = Check(0.5, 0.9)
WORTH = 0.01  # gain that makes a cascade worth it: how good a check is, is itself not known so well
MOST = 16  # best-ranked candidates that are tried as first and as mender


class Pair(NamedTuple):
    """Who answers and who mends: ids, the chance of a right answer 0..1, and how often the check will reject."""

    first: str
    mender: str
    chance: float
    rejected: float
    gain: float


def best_pair(ranking: tuple[Score, ...], check: Check | None) -> Pair | None:
    """Return the pair of different candidates with the highest value; None when there are not two.

    Of a session that is stuck the best-ranked one answers first, whatever a pair without it were worth.

    Args:
        ranking: All of one table, best first.
        check: How good the check is; None = `CHECK`. `gain` is the value above that of the best single one, in
            quality after the knob's exchange, so it may be negative.
    """
    table = ranking[0].table if ranking else None
    if not isinstance(table, Table) or len(ranking) < 2:
        return None
    known = check or CHECK
    n = min(MOST, len(ranking))
    chance = table.values[:n, SKILL]
    skill = table.quality[SKILL]
    rest = table.values[:n] @ np.array(table.quality) - skill * chance
    cost = 1.0 - table.values[:n, PRICE]
    single = rest + skill * chance - table.rate * cost
    right, mend = chance[:, None], chance[None, :]
    rejected = right * (1 - known.specificity) + (1 - right) * known.sensitivity
    solved = right * (known.specificity + (1 - known.specificity) * mend)
    solved = solved + (1 - right) * known.sensitivity * mend * SAME_TROUBLE
    value = rest[:, None] + skill * solved
    value = value - table.rate * (cost[:, None] + rejected * cost[None, :])
    np.fill_diagonal(value, -np.inf)
    if table.held:  # the ranking says who goes on with a session that is stuck
        value[1:], single = -np.inf, single[:1]
    i, j = divmod(int(np.argmax(value)), n)
    return Pair(
        ranking[i].candidate,
        ranking[j].candidate,
        round(float(solved[i, j]), 6),
        round(float(rejected[i, 0]), 6),
        round(float(value[i, j] - single.max()), 9),
    )


def accepted_first(chances: Sequence[float], check: Check) -> float:
    """Return the chance that the first answer which a check accepts is right; of the first one when it accepts none.

    Args:
        chances: Of each answer to be right 0..1, in the order in which they are looked at; at least one.
        check: How good each verdict is.
    """
    solved, refused = 0.0, 1.0
    for right in chances:
        solved += refused * right * check.specificity
        refused *= rejected(right, check)
    first = rejected(chances[0], check)
    fooled = chances[0] * (1 - check.specificity)  # right, and refused
    return solved + (refused * fooled / first if first > 0 else 0.0)


def panel_chance(chances: Sequence[float], check: Check) -> float:
    """Return the chance that a panel picks a right answer: what one member gets wrong is hard for the others too.

    Args:
        chances: Of each member to be right 0..1, best-ranked first; at least one.
        check: How good the pick is, of each answer.
    """
    first, *others = chances
    wrong = [c * SAME_TROUBLE for c in others]
    right = (
        [min(1.0, (c - (1 - first) * w) / first) for c, w in zip(others, wrong, strict=True)]
        if first > 0
        else wrong
    )
    return first * accepted_first((1.0, *right), check) + (1 - first) * accepted_first(
        (0.0, *wrong), check
    )


def rejected(right: float, check: Check) -> float:
    """Return how often a check rejects an answer of this chance to be right."""
    return right * (1 - check.specificity) + (1 - right) * check.sensitivity
