"""The page on reading tells what the shipped weights do now."""

from __future__ import annotations

import re

from tests.reading.figures import BLOCK, DAY, PAGE, filled
from tests.reading.test_reading_quality import AT_LEAST


def test_the_figures_on_the_page_are_those_of_the_shipped_weights():
    text = PAGE.read_text(encoding="utf-8")
    (found,) = BLOCK.findall(text)
    day = DAY.search(found[1])
    assert day
    assert filled(text, day[0]) == text, "run: python -m tests.reading.figures"


def test_the_page_states_the_floors_that_are_held():
    text = PAGE.read_text(encoding="utf-8")
    (line,) = re.findall(r"^\| floor \| (.+) \|$", text, re.MULTILINE)
    stated = [float(value) for value in line.split(" | ")]
    assert stated == [
        AT_LEAST[name] for name in ("kind", "risk", "high_recall", "complexity", "mode")
    ]
