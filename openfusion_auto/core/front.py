"""The cost-quality front: which candidates a mixture of others cannot beat, and what more quality costs along it.

Points are (name, cost, quality). A point is *dominated* when another one costs no more and is no worse. It is *mixed*
when no single point beats it, but asking two members of the front in turn would give as much quality for the money. The
rest, the corners of the upper convex hull, are the *members*: a weighted sum of cost and quality needs no other.

Source: the hull is Andrew's monotone chain (1979), upper half, cut off behind the point of highest quality.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Point = tuple[str, float, float]  # name, cost, quality


@dataclass(frozen=True, slots=True)
class Front:
    """The front of some points. Costs and qualities are in the unit of the points.

    Attributes:
        members: Names on the convex front, in order of rising cost and rising quality; empty without points.
        costs: Their costs.
        qualities: Their qualities.
        slopes: Quality per cost between neighbours, falling; one less than members.
        dominated: Name -> the best one that costs no more and is no worse.
        mixed: Name -> the two members between which it lies, on or below the line that joins them.
    """

    members: tuple[str, ...]
    costs: tuple[float, ...]
    qualities: tuple[float, ...]
    slopes: tuple[float, ...]
    dominated: Mapping[str, str]
    mixed: Mapping[str, tuple[str, str]]

    def quality_at(self, cost: float) -> float | None:
        """Return the quality that `cost` buys on the front.

        Between two members it is that of asking them in turn so that the mean cost is `cost`. Above the dearest
        member it is the dearest's; below the cheapest, and without members, None.
        """
        right = bisect_right(self.costs, cost)
        if right == 0:
            return None
        low = self.qualities[right - 1]
        if right == len(self.costs):
            return low
        begin, high = self.costs[right - 1], self.qualities[right]
        share = (cost - begin) / (self.costs[right] - begin)
        return min(high, low + share * (high - low))


def front(points: Sequence[Point]) -> Front:
    """Return the cost-quality front of `points`. The order of the points does not matter.

    Of several points with equal cost and quality the first name stands for all; the others count as dominated by it.

    Args:
        points: (name, cost, quality); names once each, cost at least 0. Leave out what is not known.

    Raises:
        ValueError: a name is used twice, or a number is negative (cost) or not finite.
    """
    for name, cost, quality in points:
        if not (math.isfinite(cost) and math.isfinite(quality) and cost >= 0):
            raise ValueError(
                f"{name!r}: cost {cost} and quality {quality} must be finite, cost >= 0"
            )
    if len({name for name, _, _ in points}) < len(points):
        raise ValueError("a name is used twice")
    best, dominated = undominated(points)
    hull, slopes = upper_hull(best)
    members = tuple(name for name, _, _ in hull)
    costs = tuple(cost for _, cost, _ in hull)
    inside = set(members)
    mixed = {
        name: (members[right - 1], members[right])
        for name, cost, _ in best
        if name not in inside and (right := bisect_right(costs, cost))
    }
    return Front(members, costs, tuple(q for _, _, q in hull), slopes, dominated, mixed)


def undominated(points: Sequence[Point]) -> tuple[list[Point], dict[str, str]]:
    """Return the points that no single other one beats, cost and quality rising, and by whom the others are beaten."""
    best: list[Point] = []
    beaten: dict[str, str] = {}
    for point in sorted(points, key=lambda p: (p[1], -p[2], p[0])):
        if best and point[2] <= best[-1][2]:
            beaten[point[0]] = best[-1][0]
        else:
            best.append(point)
    return best, beaten


def upper_hull(points: Sequence[Point]) -> tuple[list[Point], tuple[float, ...]]:
    """Return the corners of the upper hull of `points` (cost and quality strictly rising) and the slopes between them.

    The slopes themselves are compared, not cross products, so the returned ones fall strictly, rounding and all.
    """
    hull: list[Point] = []
    slopes: list[float] = []
    for point in points:
        while slopes and slopes[-1] <= slope(hull[-1], point):
            hull.pop()
            slopes.pop()
        if hull:
            slopes.append(slope(hull[-1], point))
        hull.append(point)
    return hull, tuple(slopes)


def slope(start: Point, end: Point) -> float:
    """Return the quality gained per cost added from `start` to `end`, which costs more."""
    return (end[2] - start[2]) / (end[1] - start[1])
