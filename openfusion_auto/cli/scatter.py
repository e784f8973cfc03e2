"""Points in the terminal: a small picture of letters, for a first look; the numbers stand in the table below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

LOG_FROM = 20.0  # ratio of largest to smallest x from which the axis is logarithmic, as in plots


class Point(NamedTuple):
    """A letter at a place."""

    key: str
    x: float
    y: float


class Range(NamedTuple):
    """The numbers along one side of the picture."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float, cells: int) -> int:
        """Return the cell of a number, 0 to `cells` - 1."""
        low, high, at = (self.low, self.high, value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(max(value, self.low))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(min(1.0, max(0.0, share)) * (cells - 1))

    def value(self, cell: int, cells: int) -> float:
        """Return the number that stands at the middle of a cell."""
        share = cell / (cells - 1)
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + share * (self.high - self.low)


def scatter(
    points: Sequence[Point],
    curve: Callable[[float], float | None],
    names: tuple[Callable[[float], str], Callable[[float], str]],
    size: tuple[int, int],
    dot: str = ".",
) -> list[str]:
    """Return the lines of a picture.

    Args:
        points: At least one; the first of several at one place is seen, the next goes beside it where there is room.
        curve: A line through the picture: y at x, None where there is none.
        names: How numbers along x and along y are written.
        size: Columns and rows of the picture itself.
        dot: What the line is made of.
    """
    columns, rows = size
    xs, ys = [p.x for p in points], [p.y for p in points]
    x = Range(min(xs), max(xs), min(xs) > 0 and max(xs) >= LOG_FROM * min(xs))
    y = Range(min(ys), max(ys))
    cells = [[" "] * columns for _ in range(rows)]
    for column in range(columns):
        up = curve(x.value(column, columns))
        if up is not None:
            cells[rows - 1 - y.place(up, rows)][column] = dot
    for point in points:
        row = cells[rows - 1 - y.place(point.y, rows)]
        at = x.place(point.x, columns)
        free = [
            i
            for i in (at, at + 1, at - 1, at + 2, at - 2)
            if 0 <= i < columns and row[i] in (" ", dot)
        ]
        row[free[0] if free else at] = point.key if free else row[at]
    return framed(cells, x, y, names)


def framed(
    cells: Sequence[Sequence[str]],
    x: Range,
    y: Range,
    names: tuple[Callable[[float], str], Callable[[float], str]],
) -> list[str]:
    """Return the picture with its axes: three numbers beside it, three below."""
    name_x, name_y = names
    rows, columns = len(cells), len(cells[0])
    marks = {
        0: name_y(y.high),
        rows // 2: name_y(y.value(rows - 1 - rows // 2, rows)),
        rows - 1: name_y(y.low),
    }
    wide = max(map(len, marks.values()))
    lines = [f"{marks.get(i, ''):>{wide}} |{''.join(row)}".rstrip() for i, row in enumerate(cells)]
    lines.append(" " * wide + " +" + "-" * columns)
    left, middle, right = (name_x(x.value(c, columns)) for c in (0, columns // 2, columns - 1))
    room = columns - len(left) - len(right)
    lines.append(" " * (wide + 2) + left + middle.center(room) + right)
    return lines
