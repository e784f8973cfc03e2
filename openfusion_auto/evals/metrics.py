"""Figures of a routing policy over recorded outcomes.

AIQ (RouterBench, arXiv 2403.12031): the mean height of a policy's non-decreasing convex front between the cost of the
cheapest and of the dearest model. APGR (RouteLLM, arXiv 2406.18665): the share of the gap in quality between the
cheapest and the strongest model that is recovered, averaged over the calls that go to anybody but the cheapest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.front import Front, front

Vector = npt.NDArray[np.float64]

GRID = 2001  # places at which a front's height is read
RESAMPLES = 200  # bootstrap samples of tasks
LOW, HIGH = 0.025, 0.975  # a 95 % interval
Z = 1.959963984540054  # the normal distribution's quantile of 97.5 %


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of 95 %: (low, high)."""

    low: float
    high: float


def wilson(successes: int, of: int) -> Interval | None:
    """Return the 95 % interval of a share; None of nothing. Holds also for few, and for none or all of them.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22, 209-212, without continuity correction.
    """
    if of == 0:
        return None
    share, spread = successes / of, Z * Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return Interval(round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6))


def front_of(points: Sequence[tuple[float, float]]) -> Front:
    """Return the convex front of (usd, score) points."""
    return front([(str(i), usd, score) for i, (usd, score) in enumerate(points)])


def aiq(points: Sequence[tuple[float, float]], cheapest: float, dearest: float) -> float:
    """Return the mean height of the points' convex front between two costs [USD].

    Left of a policy's cheapest point its front is 0 high: a policy that cannot be cheap pays for it; right of its
    dearest it stays level.
    """
    found = front_of(points)
    at = np.linspace(cheapest, dearest, GRID)
    height = np.interp(at, found.costs, found.qualities, left=np.nan)
    near = at >= found.costs[0] * (1 - 1e-9)
    height[np.isnan(height) & near] = found.qualities[0]
    return float(np.nan_to_num(height, nan=0.0).mean())


def gain_over(found: Front, usd: float, score: float) -> float:
    """Return by how much a score lies above the front at its cost; left of the front above its cheapest member."""
    at = found.quality_at(usd)
    return score - (found.qualities[0] if at is None else at)


def apgr(shares: Sequence[float], scores: Sequence[float], weak: float, strong: float) -> float:
    """Return the average recovered share of the gap between the weak and the strong model.

    Args:
        shares: For each setting of a policy the share of its calls that did not go to the weak model, 0..1.
        scores: Its mean scores.
        weak: Mean score of the cheapest model.
        strong: Mean score of the strongest.
    """
    if strong <= weak:
        return 0.0
    order = np.argsort(shares, kind="stable")
    x = np.concatenate([[0.0], np.array(shares)[order], [1.0]])
    recovered = (np.array(scores)[order] - weak) / (strong - weak)
    y = np.concatenate([[0.0], recovered, [recovered[-1] if len(recovered) else 1.0]])
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())


def bootstrap(
    figure: Callable[[npt.NDArray[np.int64]], float],
    groups: Sequence[str],
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the interval of a figure when groups of tasks are drawn anew, whole groups together.

    Args:
        figure: Of the numbers of the tasks drawn, repeats included.
        groups: The group of each task.
        seed: Of the drawing.
        resamples: How often.
    """
    members: dict[str, list[int]] = {}
    for i, name in enumerate(groups):
        members.setdefault(name, []).append(i)
    blocks = [np.array(members[name]) for name in sorted(members)]
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = rng.integers(0, len(blocks), len(blocks))
        found.append(figure(np.concatenate([blocks[i] for i in drawn])))
    low, high = np.quantile(found, [LOW, HIGH])
    return Interval(round(float(low), 6), round(float(high), 6))
