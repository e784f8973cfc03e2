"""`cost_quality`, the one knob: how much quality a request gives up for its money, along the pool's own front.

Cost is relative: a candidate's cost of this request over that of the pool's dearest (`score.py`), so the length of a
prompt moves nobody. The exchange rate is in quality per such cost; between two neighbours on the front, the dearer one
is taken when the slope of the line that joins them is above the rate. So the rates worth having are those between the
front's flattest and steepest slope, and the knob walks through them evenly on a log scale:

    knob   0               1                 5              9                10
    rate   flattest / 50   flattest / 2      the middle     steepest * 2     steepest * 50
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from openfusion_auto.core.types import Level, Task

KNOTS = (0.0, 1.0, 9.0, 10.0)
NO_FRONT = 0.2  # slope taken for a pool whose front has one member or whose prices are unknown
# A flatter slope is noise: nobody should pay the whole pool's spread for it. A steeper one is no choice: all the
# quality there is for a thousandth of the dearest price.
FLATTEST, STEEPEST = 1e-3, 1e3
# Money counts less where a wrong answer is dear, more where it costs a glance.
BY_RISK: dict[Level, float] = {"low": 1.5, "medium": 1.0, "high": 0.35}
# Calls that a client makes for itself (titles, summaries) are bought by price alone, unless something runs by them.
FOR_ITSELF = 1e4


def scale(cost_quality: float) -> tuple[float, float, float]:
    """Return the knob as (weight of log flattest, weight of log steepest, constant): log rate is their sum."""
    k = min(10.0, max(0.0, cost_quality))
    if k < KNOTS[1]:
        return 1.0, 0.0, math.log(1 / 50) + k * (math.log(1 / 2) - math.log(1 / 50))
    if k > KNOTS[2]:
        return 0.0, 1.0, math.log(2) + (k - KNOTS[2]) * (math.log(50) - math.log(2))
    t = (k - KNOTS[1]) / (KNOTS[2] - KNOTS[1])
    return 1 - t, t, (1 - t) * math.log(1 / 2) + t * math.log(2)


def ends(slopes: Sequence[float]) -> tuple[float, float]:
    """Return the flattest and the steepest slope of a front, falling slopes given."""
    if not slopes:
        return NO_FRONT, NO_FRONT
    low, high = (min(STEEPEST, max(FLATTEST, s)) for s in (slopes[-1], slopes[0]))
    return low, high


def factor(task: Task) -> float:
    """Return by what the task multiplies the rate.

    Cost is a share of what this task costs at the dearest candidate; a task of twice the effort makes each such share
    twice the money.
    """
    if (task.turn == "aux" or task.kind == "aux") and task.risk != "high":
        return FOR_ITSELF
    return BY_RISK[task.risk] * task.effort


def rate(cost_quality: float, slopes: Sequence[float], task: Task) -> float:
    """Return the exchange rate: quality worth giving up for one unit of relative cost. Rises with the knob.

    Args:
        cost_quality: 0 quality .. 10 cheap.
        slopes: Of the pool's front, falling [quality per relative cost]; empty = no front.
        task: Its risk, its effort, and whether the client asks for itself, move the rate.
    """
    flattest, steepest = ends(slopes)
    a, b, c = scale(cost_quality)
    return math.exp(a * math.log(flattest) + b * math.log(steepest) + c) * factor(task)


def position(wanted: float, slopes: Sequence[float], task: Task) -> float | None:
    """Return the knob 0..10 at which the rate is `wanted`, None when no position has it: the inverse of `rate`."""
    if wanted <= 0:
        return None
    low, high = 0.0, 10.0
    if not rate(low, slopes, task) <= wanted <= rate(high, slopes, task):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        if rate(middle, slopes, task) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2
