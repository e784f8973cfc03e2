"""A replay as JSON and as a chart."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.types import Check
from openfusion_auto.evals import replay
from openfusion_auto.evals.plot import svg
from openfusion_auto.evals.replay_report import as_json, chart_of, short
from tests.evals.recorded import coarsen, source


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        coarsen(patch)
        return replay.replay(source(40))


def test_the_json_says_how_it_was_made_and_holds_no_prompt(report):
    shown = as_json([report], "made.jsonl", Check(0.7, 0.9), 3)
    text = json.dumps(shown, allow_nan=False)
    assert shown["object"] == "openfusion.replay"
    assert shown["method"]["check"] == {"sensitivity": 0.7, "specificity": 0.9}
    assert shown["method"]["seed"] == 3
    assert "deadlock" not in text
    (one,) = shown["sources"]
    assert one["tasks"] == 40
    assert [m["model"] for m in one["front"]] == ["cheap", "strong"]
    auto = one["policies"][0]
    assert auto["policy"] == "auto"
    assert [p["cost_quality"] for p in auto["points"]] == list(replay.SETTINGS)
    assert all("usd" in p for p in auto["points"])
    assert all("usd" not in p for p in shown["overall"][0]["points"])


def test_the_chart_shows_front_models_and_auto(report):
    chart = chart_of(report).checked()
    names = [s.name for s in chart.series]
    assert names == ["front of single models", "auto", "auto with a check", "other models"]
    assert [d.label for d in chart.series[3].dots] == ["idle"]
    assert "<svg" in svg(chart)


def test_a_models_short_name_is_without_its_maker():
    assert short("anthropic/claude-x") == "claude-x"
    assert short("plain") == "plain"
