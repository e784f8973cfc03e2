"""Plots as files: SVG by ourselves, PNG by matplotlib, both of the same marks."""

import struct
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals import plot
from openfusion_auto.evals.plot import png, save, svg
from openfusion_auto.evals.plot_types import Chart, Dot, Series

NAMESPACE = "{http://www.w3.org/2000/svg}"
CHART = Chart(
    title='Cost & quality <of> "all"',
    x_label="cost",
    y_label="solved",
    series=(
        Series("policy", "policy", (Dot("auto", 0.1, 80),)),
        Series("front", "front", (Dot("cheap", 0.02, 70), Dot("dear", 2, 90)), joined=True),
        Series("models", "model", (Dot("$x_1$ ^ \\frac", 1, 60), Dot("模型", 0.5, 65))),
    ),
    source="made up",
    y_suffix=" %",
)


def test_an_svg_is_xml_with_every_name_and_number():
    root = ET.fromstring(svg(CHART))
    shown = [node.text for node in root.iter(f"{NAMESPACE}text")]
    for word in (
        CHART.title,
        "auto",
        "cheap",
        "dear",
        "$x_1$ ^ \\frac",
        "模型",
        "solved",
        "made up",
        "$0.1",
        "80 %",
    ):
        assert word in shown
    assert root.find(f"{NAMESPACE}title").text == CHART.title
    assert "cheap: 0.02, 70" in root.find(f"{NAMESPACE}desc").text


def test_an_svg_follows_the_theme_and_names_no_font_or_address_of_others():
    text = svg(CHART)
    assert "prefers-color-scheme: dark" in text
    for colour in ("paper", "grid", "soft", "ink", "front", "policy", "model"):
        assert text.count(f".f-{colour}{{") == 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [plot.LIGHT, plot.DARK], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("colour", "least"), [("ink", 7), ("soft", 4.5), ("front", 3), ("policy", 3), ("model", 3)]
)
def test_text_and_signs_stand_out(theme, colour, least):
    """Contrast by WCAG 2: 4.5 for text, 3 for signs."""
    light, dark = sorted((luminance(theme["paper"]), luminance(theme[colour])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= least


def test_the_same_chart_gives_the_same_bytes():
    assert svg(CHART) == svg(CHART)


def test_a_png_is_one_of_twice_the_size():
    raw = png(CHART)
    assert raw.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", raw[16:24]) == (2 * plot.WIDTH, 2 * plot.HEIGHT)


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<svg"), ("a.PNG", b"\x89PNG")])
def test_the_end_of_the_name_says_the_kind(tmp_path, name, start):
    save(CHART, tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.pdf", "a"])
def test_another_end_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        save(CHART, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install 'openfusion_auto\[plot\]'"):
        save(CHART, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
    save(CHART, tmp_path / "a.svg")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_stays_xml(title, label):
    made = Chart(title, label, label, (Series(title, "policy", (Dot(label, 1, 1),)),), source=title)
    ET.fromstring(svg(made).encode("utf-8"))
