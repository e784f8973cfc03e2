"""What a plot is made of: the chart that a caller describes, and the marks that a renderer draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

TINY = 1e-12  # what is nearer to 0 counts as 0 on an axis

Style = Literal["front", "policy", "model"]
Colour = Literal["paper", "grid", "soft", "ink", "front", "policy", "model"]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Dot:
    """One point, in the units of the axes."""

    label: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind: `front` discs, `policy` diamonds, `model` rings; `joined` by a line from left to right."""

    name: str
    style: Style
    dots: tuple[Dot, ...]
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole plot.

    Attributes:
        title: First line.
        x_label: What runs along x: money, in USD.
        y_label: What runs along y, with its unit.
        series: In order of importance: labels of the first get the best places.
        source: Where the numbers are from; the last line.
        y_suffix: Behind each number along y, such as ` %`.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    source: str = ""
    y_suffix: str = ""

    @property
    def dots(self) -> tuple[Dot, ...]:
        """All points."""
        return tuple(dot for series in self.series for dot in series.dots)

    def checked(self) -> Chart:
        """Return the chart itself.

        Raises:
            ValueError: there is nothing to draw, or a number is not finite.
        """
        if not self.dots:
            raise ValueError("there is nothing to draw")
        for dot in self.dots:
            if not (math.isfinite(dot.x) and math.isfinite(dot.y)):
                raise ValueError(f"{dot.label!r} has a number that is not finite")
        return self


@dataclass(frozen=True, slots=True)
class Line:
    """A stroke through points [pixels from the upper left]."""

    points: tuple[tuple[float, float], ...]
    colour: Colour
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """A closed outline; filled with its colour, or with paper."""

    points: tuple[tuple[float, float], ...]
    colour: Colour
    filled: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `y` is the middle of its height [pixels]."""

    x: float
    y: float
    text: str
    size: float
    colour: Colour = "ink"
    anchor: Anchor = "start"
    bold: bool = False
    upright: bool = True


Mark = Line | Shape | Text
