"""Where things stand in the pictures of a trace."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.types import Evidence, Policy, State
from openfusion_auto.page.figures import (  # fmt: skip
    LEAST,
    MOST_TICKS,
    WIDE,
    bars,
    figure,
    marked,
    notes_of,
    readings,
    tick,
    timeline,
)
from tests.support.pools import FOUR, task

TIMES = st.floats(0, 1e6, allow_nan=False)


def decision(**changes):
    return decision_json(decide(task(**changes), FOUR, State(), Policy(mode="single")))


def call(phase="primary", candidate="a", status="ok", at_ms=0.0, ms=10.0, ttft_ms=4.0, **more):
    return {
        "phase": phase, "candidate": candidate, "status": status, "at_ms": at_ms, "ms": ms, "ttft_ms": ttft_ms, **more
    }  # fmt: skip


def trace(*calls, ms=100.0, hedge=None):
    return {"attempts": list(calls), "ms": ms, "hedge": hedge}


def test_bars_are_on_one_scale_and_their_pieces_are_the_terms_points():
    found = bars(decision())
    ends = [sum(p.width for p in bar.pieces) for bar in found]
    assert math.isclose(max(ends), WIDE, abs_tol=0.1)
    for bar, end in zip(found, ends, strict=True):
        assert math.isclose(end / ends[0], bar.row["total"] / found[0].row["total"], rel_tol=1e-3)
        x = 0.0
        for piece, term in zip(bar.pieces, bar.row["terms"], strict=True):
            assert math.isclose(piece.x, x, abs_tol=0.1)
            assert piece.term is term
            x += piece.width
    assert [bar.place for bar in found] == [1, 2, 3, 4]
    assert [bar.first for bar in found] == [True, False, False, False]


def test_nobody_ranked_is_no_bar():
    assert bars(decision(only=("nobody",))) == ()


@given(
    st.lists(st.tuples(TIMES, st.none() | TIMES, st.none() | TIMES), max_size=6), st.none() | TIMES
)
def test_every_call_stands_inside_the_picture(calls, ms):
    found = timeline(trace(*(call(at_ms=a, ms=m, ttft_ms=t) for a, m, t in calls), ms=ms))
    assert len(found.ticks) <= MOST_TICKS
    for lane in found.lanes:
        assert lane.x >= 0
        assert lane.x + lane.width <= WIDE + 0.1 or lane.width == LEAST
        assert 0 <= lane.wait <= lane.width
        assert lane.width >= LEAST


def test_a_call_that_runs_still_lasts_to_the_end():
    (lane,) = timeline(trace(call(status="running", at_ms=25.0, ms=None, ttft_ms=None))).lanes
    assert (lane.x, lane.width, lane.wait) == (250.0, 750.0, 750.0)


@pytest.mark.parametrize(("total", "step"), [(74, 20), (1, 0.2), (600, 100), (90_000, 20_000)])
def test_steps_of_the_scale_are_round(total, step):
    assert math.isclose(tick(total), step)


def test_retries_fallbacks_stragglers_and_second_calls_are_named():
    said = notes_of(
        trace(
            call(status="error"),
            call(status="error"),
            call(candidate="b"),
            call("member", "c"),
            call("member", "d", "cancelled"),
            call("hedge", "e"),
            call("judge", "f", "cancelled"),
            hedge={"won": "e"},
        )
    )
    assert said == [
        "", "try 2", "instead of a", "", "cut: slower than the others", "second call, came first", "cut",
    ]  # fmt: skip


def test_evidence_stands_with_what_it_is_for_the_strongest_first():
    asked = task(
        evidence=(
            Evidence("kind.bugfix", 0.5, "fix"),
            Evidence("kind.bugfix", -2.0, "docs"),
            Evidence("risk.high", 1.0, "prod"),
            Evidence("rule.mine", 0.0, "by a rule"),
        )
    )
    found = {r.what: r for r in readings(decision_json(decide(asked, FOUR, State(), Policy()))["task"])}  # fmt: skip
    assert [(e["why"], width) for e, width in found["kind"].evidence] == [("docs", WIDE), ("fix", WIDE / 4)]  # fmt: skip
    assert found["risk"].word == "medium"
    assert found["complexity"].evidence == ()
    assert [e["why"] for e, _ in found["besides"].evidence] == ["by a rule"]


@pytest.mark.parametrize(
    ("text", "words", "html"),
    [
        ("Fix the <b> prefix", ["fix"], "<mark>Fix</mark> the &lt;b&gt; prefix"),
        ("src/auth.py", ["auth", "src"], "<mark>src</mark>/<mark>auth</mark>.py"),
        ("a.c", ["a.c", ".", " "], "<mark>a.c</mark>"),
        ("plain & <x>", [], "plain &amp; &lt;x&gt;"),
        ("<script>", ["script"], "&lt;<mark>script</mark>&gt;"),
    ],
)
def test_words_that_are_evidence_are_marked_and_all_is_escaped(text, words, html):
    assert marked(text, words) == html


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0.0022519, "0.002252"), (1234.5, "1,234"), (0, "0")]
)
def test_a_figure_has_four_digits_that_count(value, text):
    assert figure(value) == text
