"""A decision as people read it: complete, in step with the numbers, at home in 80 columns and in a pipe."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from openfusion_auto.cli import route_view
from openfusion_auto.cli.common import load_settings
from openfusion_auto.cli.route import decide_here, request_body


@pytest.fixture
def decision():
    body = request_body("Fix the race in the login", options={}, system=None, tools=True)
    return decide_here(load_settings(None), body)["decision"]


def shown(decision, width=80, terminal=False):
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(
        file=file, width=width, force_terminal=terminal, highlight=False, markup=False,
        color_system="truecolor" if terminal else None,
    )  # fmt: skip
    route_view.show(decision, console)
    file.flush()
    return file.buffer.getvalue().decode()


def test_everything_that_decided_is_there(decision):
    text = shown(decision, 120)
    task = decision["task"]
    first = text.splitlines()[0]
    for key in ("kind", "risk", "complexity", "turn"):
        assert task[key] in first
    for row in task["evidence"]:
        assert f"{row['points']:+.1f}" in text
        assert row["signal"] in text
    places = [text.index(f" {row['total']:.3f} ") for row in decision["ranking"]]
    assert places == sorted(places)
    assert decision["ranking"][0]["model"] in text
    for step in decision["plan"]["steps"]:
        assert f"{step['phase']}: {' > '.join(step['candidates'])}" in text
    assert decision["digest"] in text
    assert f"worst case ${decision['plan']['worst_case_usd']:.4f}" in text
    assert "(8 more with --json)" in text


@pytest.mark.parametrize("width", [44, 60, 80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_cut(decision, width, terminal):
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(decision, width, terminal=terminal))
    lines = text.splitlines()
    assert max(len(line) for line in lines if not line.startswith("digest ")) <= width
    assert "..." not in text
    assert "\u2026" not in text
    for place, row in enumerate(decision["ranking"], 1):
        (line,) = (each for each in lines if re.match(rf" *{place}  {row['candidate']} ", each))
        assert f" {row['total']:.3f} " in line


def test_a_terminal_without_room_for_bars_has_no_legend_either(decision):
    assert "points by term" not in shown(decision, 44)
    assert "s=skill" not in shown(decision, 44)
    assert "s=skill" in shown(decision, 60)


def test_a_pipe_gets_plain_ascii(decision):
    text = shown(decision)
    assert text.isascii()
    assert "s=skill" in text


def test_a_terminal_gets_blocks_and_one_colour_a_term(decision):
    text = shown(decision, 120, terminal=True)
    legend = next(line for line in text.splitlines() if "stickiness" in line)
    colours = re.findall(r"\x1b\[(\d+)m " + route_view.BLOCK, legend)
    assert len(set(colours)) == len(colours) == len(decision["ranking"][0]["terms"])


@pytest.mark.parametrize("width", [60, 99, 100, 110, 115, 120])
def test_a_candidate_takes_one_line_in_any_usual_terminal(decision, width):
    names = [row["candidate"] for row in decision["ranking"]]
    lines = shown(decision, width).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Ranked")) + 2
    told = [line.split()[1] for line in lines[start : start + len(names)]]
    assert told == names
    whole = [row["model"] in lines[start + i] for i, row in enumerate(decision["ranking"])]
    assert all(whole) == (width >= 100)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_legend_keeps_a_mark_beside_its_name(width):
    names = ["skill", "benchmark", "price", "throughput", "latency", "availability", "role"]
    lines = route_view.legend(names, list("sbptlar"), width, fancy=False).plain.splitlines()
    assert [item.split("=")[1] for line in lines for item in line.split()] == names
    assert max(map(len, lines)) <= width


def test_one_candidate_has_no_why_not(decision):
    decision["ranking"] = decision["ranking"][:1]
    text = shown(decision)
    assert "Why not" not in text


def test_few_losers_are_all_explained(decision):
    decision["ranking"] = decision["ranking"][:3]
    text = shown(decision)
    assert text.count(" behind, most of it on ") == 2
    assert "more with --json" not in text


def test_rejections_stand_with_their_rule_and_reason(decision):
    decision["rejected"] = [
        {"candidate": "tiny", "rule": "context_too_small", "detail": "needs 9 \x1b[31mtokens"}
    ]
    text = shown(decision)
    line = next(line for line in text.splitlines() if "tiny" in line)
    assert "context_too_small" in line
    assert "\x1b" not in text


def test_many_that_are_rejected_for_one_reason_stand_together(decision):
    others = {"rule": "not_requested", "detail": "the request restricts the choice to a"}
    decision["rejected"] = [
        {"candidate": "tiny", "rule": "context_too_small", "detail": "needs 9 tokens"},
        *({"candidate": f"other-{i}", **others} for i in range(6)),
    ]
    text = shown(decision)
    assert text.count("not_requested") == 1
    assert all(f"other-{i}" in text for i in range(6))
    assert "tiny  context_too_small" in text


def test_nobody_is_said_when_nobody_can_serve(decision):
    decision["ranking"], decision["plan"] = (
        [],
        {"steps": [], "expected_usd": None, "worst_case_usd": None},
    )
    text = shown(decision)
    assert "by nobody, expected unknown" in text
    assert "nothing is called" in text
    assert "Ranked" not in text


TERMS = st.lists(st.floats(min_value=-1, max_value=3), min_size=1, max_size=9)


@given(TERMS, st.floats(min_value=0.001, max_value=9), st.integers(min_value=1, max_value=60))
def test_a_bar_is_as_long_as_its_points(points, best, cells):
    terms = [{"points": p} for p in points]
    letters = [chr(97 + i) for i in range(len(points))]
    drawn = route_view.bar(terms, best, cells, letters, fancy=False).plain
    total = 0.0
    for p in points:
        total += max(0.0, p)
    assert len(drawn) == round(cells * total / best)
    assert list(drawn) == sorted(drawn)
    for letter, p in zip(letters, points, strict=True):
        assert abs(drawn.count(letter) - max(0.0, p) * cells / best) <= 1.001


def test_a_bar_of_nothing_is_empty():
    assert route_view.bar([{"points": 0.0}], 0.0, 10, ["a"], fancy=True).plain == ""


@given(st.lists(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), max_size=12, unique=True))
def test_every_term_has_a_letter_of_its_own(names):
    letters = route_view.letters_for(names)
    assert len(set(letters)) == len(names)
    assert all(len(letter) == 1 and letter.isascii() and letter.isalpha() for letter in letters)


def test_a_term_uses_its_own_first_letter_while_it_is_free():
    assert route_view.letters_for(["skill", "price", "stickiness", "s"]) == ["s", "p", "t", "A"]
