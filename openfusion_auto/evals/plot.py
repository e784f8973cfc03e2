"""Plots of cost against quality, as SVG text made here, or as PNG drawn by matplotlib (the extra `plot`).

Both draw the same marks at the same places, see `plot_layout.py`. An SVG follows the reader's light or dark theme.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.plot_layout import HEIGHT, WIDTH, layout, summary
from openfusion_auto.evals.plot_types import Chart, Colour, Line, Mark, Shape, Text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".png")
LIGHT: Mapping[Colour, str] = {
    "paper": "#ffffff", "grid": "#e5e9f0", "soft": "#57606a", "ink": "#1f2328",
    "front": "#2563eb", "policy": "#c2410c", "model": "#7a8594",
}  # fmt: skip
DARK: Mapping[Colour, str] = {
    "paper": "#0d1117", "grid": "#222b36", "soft": "#9aa5b1", "ink": "#e6edf3",
    "front": "#6ea8fe", "policy": "#fb923c", "model": "#8b96a5",
}  # fmt: skip
FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
PIXELS_PER_INCH = 100  # of the PNG before it is doubled for sharp screens


def save(chart: Chart, path: Path) -> None:
    """Write a plot; the end of the name, `.svg` or `.png`, says which kind.

    Raises:
        ConfigError: another end, or PNG without matplotlib.
        ValueError: the chart cannot be drawn, see `Chart.checked`.
        OSError: the file cannot be written.
    """
    match path.suffix.lower():
        case ".svg":
            path.write_text(svg(chart), encoding="utf-8")
        case ".png":
            path.write_bytes(png(chart))
        case _:
            raise ConfigError(f"{path}: a plot is written as {' or '.join(SUFFIXES)}")


def svg(chart: Chart) -> str:
    """Return the plot as an SVG document: text, the same bytes for the same chart."""
    marks = layout(chart)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    named = f'role="img" aria-labelledby="t d" font-family="{FONTS}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {named}>',
        f'<title id="t">{written(chart.title)}</title>',
        f'<desc id="d">{written(f"{chart.x_label}, {chart.y_label}: {summary(chart.dots)}")}</desc>',
        f"<style>{rules(LIGHT)} @media (prefers-color-scheme: dark) {{ {rules(DARK)} }}</style>",
        f'<rect class="f-paper" width="{WIDTH}" height="{HEIGHT}"/>',
        *(element for mark in marks for element in elements(mark)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def rules(colours: Mapping[Colour, str]) -> str:
    """Return the style rules of a theme: `f-` fills, `s-` strokes."""
    return " ".join(f".f-{n}{{fill:{c}}} .s-{n}{{stroke:{c}}}" for n, c in colours.items())


def elements(mark: Mark) -> Iterator[str]:
    """Yield the SVG elements of a mark."""
    match mark:
        case Line():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            yield (
                f'<polyline class="s-{mark.colour}" points="{points}" fill="none" stroke-width="{mark.width:g}" '
                'stroke-linejoin="round"/>'
            )
        case Shape():
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in mark.points)
            fill = mark.colour if mark.filled else "paper"
            edge = "paper" if mark.filled else mark.colour
            yield f'<polygon class="f-{fill} s-{edge}" points="{points}" stroke-width="1.6"/>'
        case Text():
            turned = "" if mark.upright else f' transform="rotate(-90 {mark.x:.1f} {mark.y:.1f})"'
            bold = ' font-weight="600"' if mark.bold else ""
            # A third of the size below the middle is where letters stand, in every renderer.
            yield (
                f'<text class="f-{mark.colour}" x="{mark.x:.1f}" y="{mark.y + mark.size * 0.35:.1f}" '
                f'font-size="{mark.size:g}" text-anchor="{mark.anchor}"{bold}{turned}>{written(mark.text)}</text>'
            )


def written(text: str) -> str:
    """Return text as XML: escaped, without what XML cannot hold."""
    return escape("".join(ch for ch in text if ch.isprintable()), {'"': "&quot;"})


def png(chart: Chart) -> bytes:
    """Return the plot as a PNG in light colours, at twice its size in pixels.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    marks = layout(chart)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "PNG needs matplotlib, which is not installed: pip install 'openfusion_auto[plot]'. SVG needs nothing"
        ) from error
    size = (WIDTH / PIXELS_PER_INCH, HEIGHT / PIXELS_PER_INCH)
    figure = Figure(figsize=size, dpi=2 * PIXELS_PER_INCH, facecolor=LIGHT["paper"])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(HEIGHT, 0)
    for order, mark in enumerate(marks):
        paint(axes, mark, order)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks is drawn as a box
        figure.savefig(out, format="png")
    return out.getvalue()


def paint(axes: Axes, mark: Mark, order: int) -> None:
    """Draw a mark on matplotlib axes whose units are pixels."""
    point = 72 / PIXELS_PER_INCH  # one pixel in points
    match mark:
        case Line():
            xs, ys = zip(*mark.points, strict=True)
            axes.plot(xs, ys, color=LIGHT[mark.colour], linewidth=mark.width * point, zorder=order)
        case Shape():
            fill = LIGHT[mark.colour if mark.filled else "paper"]
            edge = LIGHT["paper" if mark.filled else mark.colour]
            xs, ys = zip(*mark.points, strict=True)
            axes.fill(xs, ys, facecolor=fill, edgecolor=edge, linewidth=1.6 * point, zorder=order)
        case Text():
            align = {"start": "left", "middle": "center", "end": "right"}[mark.anchor]
            axes.text(
                mark.x,
                mark.y,
                "".join(ch for ch in mark.text if ch.isprintable()),
                # DejaVu, the only font that matplotlib brings, is wider than what browsers take.
                fontsize=mark.size * point * 0.92,
                color=LIGHT[mark.colour],
                ha=align,
                va="center",
                weight="bold" if mark.bold else "normal",
                rotation=0 if mark.upright else 90,
                rotation_mode="default",
                parse_math=False,
                zorder=order,
            )
