"""A recorded request as people read it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from openfusion_auto.cli import trace_view


def call(**more):
    usage = {"input": 1200, "output": 50, "cached": 1000, "cache_write": 0, "reasoning": 0}
    known = {
        "phase": "primary", "candidate": "coder-a", "status": "ok", "at_ms": 0.0, "ttft_ms": 90.0, "ms": 400.0,
        "usage": usage, "estimated": False, "usd": 0.0123, "error": None, "detail": None,
    }  # fmt: skip
    return {**known, **more}


def trace(**more):
    known = {
        "trace_id": "tr_1", "outcome": "ok", "at": 1_780_000_000.0, "requested_model": "openfusion/auto",
        "dialect": "chat", "stream": True, "mode": "single", "answered_by": "coder-a", "ms": 412.0, "usd": 0.0123,
        "task": {"kind": "bugfix", "risk": "high", "complexity": "low", "turn": "user"}, "error": None,
        "attempts": [call()], "notes": [], "decision": {"reasons": ["single: because"]},
    }  # fmt: skip
    return {**known, **more}


def render(show, value, width=80, terminal=False):
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = Console(
        file=file, width=width, force_terminal=terminal, highlight=False, markup=False,
        color_system="truecolor" if terminal else None,
    )  # fmt: skip
    show(value, console)
    file.flush()
    return file.buffer.getvalue().decode()


def test_a_request_shows_task_answer_calls_and_reasons():
    text = render(trace_view.show, trace())
    assert "asked for openfusion/auto (chat, stream)" in text
    assert "read as bugfix: risk high, complexity low, turn user" in text
    assert "single, answered by coder-a after 412 ms, $0.0123" in text
    row = next(line for line in text.splitlines() if "primary" in line)
    for number in ("90", "400", "1,200", "1,000", "50", "$0.0123"):
        assert number in row
    assert "single: because" in text
    assert "Notes" not in text


def test_what_a_server_says_drives_nothing():
    assert "\x1b" not in render(trace_view.show, trace(dialect="\x1b[2Jchat"))


def test_a_failed_call_says_why_and_the_next_one_stands_below():
    failed = call(
        status="error", error="upstream_timeout", detail="it fell \x1b[2Jsilent", usage=None
    )
    text = render(trace_view.show, trace(attempts=[failed, call(candidate="fast-b", at_ms=400.0)]))
    assert "coder-a: upstream_timeout: it fell [2Jsilent" in text
    assert text.index("error") < text.index("fast-b")
    row = next(line for line in text.splitlines() if "primary" in line and "error" in line)
    assert "$" not in row


def test_counted_tokens_are_marked_and_unknown_money_is_said():
    text = render(trace_view.show, trace(attempts=[call(estimated=True, usd=None)], usd=None))
    assert "~1,200" in text
    assert text.count("unknown") == 2
    assert "cost unknown" in text


def test_a_request_that_was_refused_has_neither_task_nor_calls():
    text = render(
        trace_view.show,
        trace(task=None, decision=None, attempts=[], outcome="error", error="model_not_found",
              stream=False, answered_by=None, notes=["noted \x07this"]),
    )  # fmt: skip
    assert "not read" in text
    assert "(chat, whole)" in text
    assert "answered by nobody" in text
    assert "error: model_not_found" in text
    assert "none" in text
    assert "noted this" in text


def test_a_dry_run_is_never_shown_with_a_price():
    text = render(trace_view.show, trace(dry_run=True))
    assert "after 412 ms, dry run" in text


def test_a_wide_terminal_draws_the_times():
    both = trace(attempts=[call(ms=200.0), call(at_ms=200.0, ms=200.0)])
    half = trace_view.BAR_CELLS // 2
    rows = [line for line in render(trace_view.show, both, 120).splitlines() if "primary" in line]
    assert [row.rstrip().rpartition("  ")[2] for row in rows] == ["#" * half, "#" * half]
    assert rows[1].index("#") == rows[0].index("#") + half
    assert "\u2588" * half in render(trace_view.show, both, 120, terminal=True)
    assert "#" not in render(trace_view.show, both, 80)


def test_no_id_is_cut_in_a_narrow_list_and_a_wide_one_says_more():
    rows = [{**trace(), "trace_id": "tr_" + "0123456789abcdef01234567"}]
    narrow = render(trace_view.show_list, rows)
    assert "tr_0123456789abcdef01234567" in narrow
    assert "bugfix" not in narrow
    assert "bugfix" in render(trace_view.show_list, rows, 120)
    assert max(map(len, narrow.splitlines())) <= 80


def test_a_line_of_a_list_fits_a_usual_terminal_also_in_a_dry_run():
    row = {**trace(), "trace_id": "tr_" + 24 * "0", "answered_by": "deepseek-v4-flash", "ms": 144.0}
    assert len(render(trace_view.show_list, [{**row, "dry_run": True}]).splitlines()) == 2


def test_a_running_request_has_no_time_yet():
    row = next(
        line for line in render(trace_view.show_list, [trace(ms=None, task=None)]).splitlines()[1:]
    )
    assert " - " in row


@given(
    st.floats(min_value=0, max_value=1e6),
    st.one_of(st.none(), st.floats(min_value=0, max_value=1e6)),
    st.floats(min_value=0, max_value=1e6),
)
def test_a_span_stays_inside_its_cells_and_can_be_seen(at, ms, rest):
    total = at + (ms or 0.0) + rest
    drawn = trace_view.span({"at_ms": at, "ms": ms}, total, fancy=False)
    assert len(drawn) <= trace_view.BAR_CELLS
    assert drawn.endswith("#") is (total > 0)


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0, "0"), (1234.6, "1,235")])
def test_durations_are_whole_milliseconds(value, shown):
    assert trace_view.milliseconds(value) == shown


@pytest.mark.parametrize("at", [3e11, float("nan"), -1.0, None])
def test_a_moment_of_which_no_date_can_be_written_is_a_dash(at):
    assert trace_view.when(at) == "-"
