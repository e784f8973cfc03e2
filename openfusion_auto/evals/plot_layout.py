"""Where everything of a chart goes, in pixels: scales, ticks, points, and labels that keep out of each other's way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from openfusion_auto.evals.plot_types import (
    TINY,
    Anchor,
    Chart,
    Colour,
    Dot,
    Line,
    Mark,
    Shape,
    Style,
    Text,
)

WIDTH, HEIGHT = 860, 540  # [pixels]
LEFT, RIGHT, TOP, BOTTOM = 78, 832, 92, 452  # the frame of the axes [pixels]
SIZE = 12.0  # of labels and ticks [pixels]
# Mean width of a character, as a share of the size; the fonts used are a little narrower.
CHARACTER = 0.58
LOG_FROM = 20.0  # ratio of largest to smallest x from which an axis is logarithmic
STEPS = 24  # pieces of a line between two points
FAR = 40.0  # what a label pays for each ring that it is farther away, as area that it covers [pixels^2]
CROWDED = 0.1  # a model's label that would be covered by more than this share is left out
MOST_LABELS = 80  # with more points only front and policies have labels

Place = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that is taken [pixels]."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the shared area."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Axis:
    """A direction: where a number goes, and the numbers that are written."""

    place: Place
    ticks: tuple[float, ...]
    log: bool = False


def layout(chart: Chart) -> list[Mark]:
    """Return all marks of a chart, in the order in which they are drawn."""
    chart = chart.checked()
    x = x_axis(chart)
    y = linear([dot.y for dot in chart.dots], BOTTOM, TOP)
    marks = [*frame(chart, x, y), *legend(chart)]
    for series in chart.series:
        if series.joined and len(series.dots) > 1:
            line = tuple((x.place(at), y.place(up)) for at, up in mixture(series.dots))
            marks.append(Line(line, series.style, 2))
    for series in reversed(chart.series):
        marks += (symbol(series.style, x.place(d.x), y.place(d.y)) for d in series.dots)
    return [*marks, *labels(chart, x.place, y.place, marks)]


def x_axis(chart: Chart) -> Axis:
    """Return the x axis, logarithmic where that shows more."""
    values = [dot.x for dot in chart.dots]
    spread = min(values) > TINY and max(values) >= LOG_FROM * min(values)
    return (logarithmic if spread else linear)(values, LEFT, RIGHT)


def linear(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis from pixel `start` to `end` with room for all values and 4 to 8 round ticks."""
    low, high = min(values), max(values)
    pad = 0.07 * (high - low)
    if pad <= TINY * max(1.0, abs(low), abs(high)):
        pad = 0.1 * abs(high) if abs(high) > TINY else 1.0
    low, high = (0.0 if low >= 0 and low < pad else low - pad), high + pad
    step = round_step((high - low) / 6)
    first = math.ceil(low / step)
    ticks = tuple(i * step for i in range(first, math.floor(high / step) + 1))
    scale = (end - start) / (high - low)
    return Axis(lambda v: start + (v - low) * scale, ticks)


def round_step(rough: float) -> float:
    """Return the next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))


def logarithmic(values: Sequence[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis with ticks at 1, 2, 5, at 1 and 3, or at powers of ten alone, as many as have room."""
    low, high = math.log10(min(values)), math.log10(max(values))
    # At least 0.4 of a decade, so that one of 1, 2, 5 is always inside.
    pad = max(0.07 * (high - low), (0.4 - (high - low)) / 2)
    low, high = low - pad, high + pad
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks: tuple[float, ...] = ()
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = tuple(
            m * 10.0**e for e in decades for m in steps if low <= math.log10(m * 10.0**e) <= high
        )
        if len(ticks) <= 10:
            break
    scale = (end - start) / (high - low)
    return Axis(
        lambda v: start + (math.log10(v) - low) * scale, ticks[:: len(ticks) // 10 + 1], log=True
    )


def frame(chart: Chart, x: Axis, y: Axis) -> Iterator[Mark]:
    """Yield grid, ticks, names of the axes, title and source."""
    for value in y.ticks:
        at = y.place(value)
        yield Line(((LEFT, at), (RIGHT, at)), "grid")
        yield Text(LEFT - 10, at, f"{value:.6g}{chart.y_suffix}", SIZE, "soft", "end")
    for value in x.ticks:
        at = x.place(value)
        yield Line(((at, TOP), (at, BOTTOM)), "grid")
        yield Text(at, BOTTOM + 18, f"${plain_number(value)}", SIZE, "soft", "middle")
    yield Line(((LEFT, BOTTOM), (RIGHT, BOTTOM)), "soft")
    label = fitted(chart.x_label + (", log scale" if x.log else ""), RIGHT - LEFT, SIZE + 1)
    yield Text((LEFT + RIGHT) / 2, BOTTOM + 44, label, SIZE + 1, "ink", "middle")
    name = fitted(chart.y_label, BOTTOM - TOP + 60, SIZE + 1)
    yield Text(18, (TOP + BOTTOM) / 2, name, SIZE + 1, "ink", "middle", upright=False)
    yield Text(LEFT - 54, 28, fitted(chart.title, WIDTH - 60, 19), 19, bold=True)
    if chart.source:
        yield Text(
            LEFT - 54, HEIGHT - 18, fitted(chart.source, WIDTH - 50, SIZE - 1), SIZE - 1, "soft"
        )


def plain_number(value: float) -> str:
    """Return a tick without an exponent where that is short."""
    return f"{value:.10f}".rstrip("0").rstrip(".") if 1e-6 <= abs(value) < 1e6 else f"{value:g}"


def width_of(text: str, size: float) -> float:
    """Return about how wide a text is [pixels]."""
    return len(text) * size * CHARACTER


def fitted(text: str, room: float, size: float) -> str:
    """Return a text that has room, its end cut off where it must be."""
    most = max(1, int(room / (size * CHARACTER)))
    return text if len(text) <= most else text[: most - 1] + "…"


def legend(chart: Chart) -> Iterator[Mark]:
    """Yield a symbol and a name for each series, side by side below the title."""
    at = float(LEFT - 54)
    for series in chart.series:
        name = fitted(series.name, 240, SIZE)
        if series.joined:
            yield Line(((at, 58), (at + 22, 58)), series.style, 2)
        yield symbol(series.style, at + 11, 58)
        yield Text(at + 28, 58, name, SIZE, "soft")
        at += 28 + width_of(name, SIZE) + 22


def symbol(style: Style, x: float, y: float) -> Shape:
    """Return the sign of a style: a disc for the front, a diamond for a policy, a ring for a model."""
    if style == "policy":
        r = 7.0
        return Shape(((x, y - r), (x + r, y), (x, y + r), (x - r, y)), style)
    r = 5.0 if style == "front" else 4.2
    turn = [math.tau * i / 24 for i in range(24)]
    points = tuple((x + r * math.cos(a), y + r * math.sin(a)) for a in turn)
    return Shape(points, style, filled=style == "front")


def mixture(dots: Sequence[Dot]) -> Iterator[tuple[float, float]]:
    """Yield a line through points, in steps: what lies straight between two points is bent on a logarithmic axis."""
    ordered = sorted(dots, key=lambda d: d.x)
    yield ordered[0].x, ordered[0].y
    for a, b in pairwise(ordered):
        for i in range(1, STEPS + 1):
            yield a.x + (b.x - a.x) * i / STEPS, a.y + (b.y - a.y) * i / STEPS


def labels(chart: Chart, x: Place, y: Place, marks: Sequence[Mark]) -> Iterator[Mark]:
    """Yield the names of the points, each where it covers least; one that had to go far has a line to its point."""
    taken = [box for mark in marks if not isinstance(mark, Text) for box in boxes(mark)]
    few = len(chart.dots) <= MOST_LABELS
    for series in chart.series:
        bold = series.style == "policy"
        for dot in series.dots if few or series.style != "model" else ():
            if not dot.label:
                continue
            name = fitted(dot.label, 230, SIZE)
            at = x(dot.x), y(dot.y)
            box, ring = best_place(at, width_of(name, SIZE) * (1.06 if bold else 1.0), taken)
            if series.style == "model" and cost_of(box, taken) > CROWDED * box.overlap(box):
                continue
            taken.append(box)
            if ring:
                yield leader(at, box)
            colour: Colour = "soft" if series.style == "model" else "ink"
            where, anchor = held_at(at[0], box)
            yield Text(where, (box.top + box.bottom) / 2, name, SIZE, colour, anchor, bold)


def boxes(mark: Line | Shape) -> Iterator[Box]:
    """Yield the places that a mark takes; a line in short pieces. The grid takes none."""
    if mark.colour in ("grid", "soft"):
        return
    if isinstance(mark, Shape):
        xs, ys = zip(*mark.points, strict=True)
        yield Box(min(xs) - 1, min(ys) - 1, max(xs) + 1, max(ys) + 1)
        return
    for (x0, y0), (x1, y1) in pairwise(mark.points):
        pieces = max(1, int(math.hypot(x1 - x0, y1 - y0) / 6))
        for i in range(pieces + 1):
            px, py = x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces
            yield Box(px - 2, py - 2, px + 2, py + 2)


def best_place(at: tuple[float, float], wide: float, taken: Sequence[Box]) -> tuple[Box, int]:
    """Return the box for a label of this width, and how many rings away from its point it is (0 = beside it)."""
    places = [
        (cost_of(box, taken) + FAR * ring + 0.5 * turn, ring, turn, box)
        for ring, gap in enumerate((9.0, 22.0, 38.0))
        for turn, box in enumerate(around(at, wide, gap))
    ]
    _, ring, _, box = min(places, key=lambda place: place[:3])
    return box, ring


def cost_of(box: Box, taken: Sequence[Box]) -> float:
    """Return the area that a label would cover there; far too much outside the frame."""
    inside = (
        box.left >= LEFT
        and box.right <= WIDTH - 6
        and box.top >= TOP - 12
        and box.bottom <= BOTTOM - 2
    )
    return sum(box.overlap(other) for other in taken) + (0.0 if inside else 1e6)


def around(at: tuple[float, float], wide: float, gap: float) -> Iterator[Box]:
    """Yield eight boxes around a point: right, left, above, below, and the corners."""
    high = SIZE + 2
    for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)):
        x, y = at[0] + gap * dx, at[1] + (gap + (high / 4 if dx == 0 else 0)) * dy
        left = x - wide / 2 if dx == 0 else x if dx > 0 else x - wide
        yield Box(left, y - high / 2, left + wide, y + high / 2)


def held_at(x: float, box: Box) -> tuple[float, Anchor]:
    """Return where a label is fastened: at its side towards the point, however wide its letters really are."""
    if box.left >= x:
        return box.left, "start"
    return (box.right, "end") if box.right <= x else ((box.left + box.right) / 2, "middle")


def leader(at: tuple[float, float], box: Box) -> Line:
    """Return the thin line from a point to its label."""
    x = min(max(at[0], box.left), box.right)
    y = min(max(at[1], box.top), box.bottom)
    return Line((at, (x, y)), "soft", 0.7)


def summary(dots: Sequence[Dot]) -> str:
    """Return the points as text, for those who cannot see the plot."""
    return "; ".join(f"{d.label}: {d.x:.4g}, {d.y:.4g}" for d in dots[:MOST_LABELS])
