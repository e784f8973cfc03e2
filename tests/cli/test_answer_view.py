"""An answer at a terminal: finished blocks once, the rest drawn anew, and nothing foreign that drives or stops it."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from openfusion_auto.cli import answer_view, progress
from openfusion_auto.cli.answer_view import MarkdownView, PlainView, Watch, starts, told
from openfusion_auto.runtime.trace import Attempt, Trace

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXT = "# Head\n\nSome *words*.\n\n1. one\n2. two\n\n```python\nx = 1\n\ny = 2\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\nend"


def view(width=60, height=20):
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    return MarkdownView(console), out


def final(out):
    """What stays on the screen: lines that were drawn over are gone."""
    lines = [[]]
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n|\r)", out.getvalue()):
        if part == "\n":
            lines.append([])
        elif part == "\x1b[1A":
            lines.pop()
        elif part == "\x1b[2K":
            lines[-1] = []
        elif not ANSI.fullmatch(part) and part != "\r":
            lines[-1].append(part)
    return "\n".join("".join(line).rstrip() for line in lines)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_however_it_comes_the_same_stays_on_the_screen(size):
    shown, out = view()
    for i in range(0, len(TEXT), size):
        shown.show(TEXT[i : i + size])
        shown.tick()
    shown.end()
    text = final(out)
    words = re.sub(r"[^\w=.]+", " ", text).split()
    assert words == ["Head", "Some", "words.", "1", "one", "2", "two", "x", "=", "1", "y", "=", "2", "a", "b", "1", "2", "end"]  # fmt: skip
    whole, other = view()
    whole.show(TEXT)
    whole.end()
    assert text == final(other)


def test_what_is_written_is_seen_before_its_block_ends():
    shown, out = view(height=6)
    shown.show("```\n" + "\n".join(f"line {i}" for i in range(50)))
    shown.tick()
    assert "line 49" in out.getvalue()
    assert "line 30" not in out.getvalue()  # more than the screen holds is not drawn
    shown.end()
    assert final(out).count("line ") == 50


@given(
    st.text(alphabet="#*_`[]()|-> \n1.ab<&\x1b\x07\x9b\u202e语", max_size=200), st.integers(5, 40)
)
def test_no_text_and_no_width_ends_it_or_drives_the_terminal(text, width):
    shown, out = view(width=width)
    shown.show(text)
    shown.tick()
    shown.end()
    assert not set("\x07\x9b\u202e") & set(out.getvalue())
    assert "\x1b" not in ANSI.sub("", out.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        "<http://x.invalid/%1B%5D0;evil%07>",
        "| a |\n|---|\n| <http://x.invalid/%c2%9b2J> |",
        "a &#x202e;b",
    ],
)
def test_what_markdown_spells_out_does_not_drive_the_terminal(text):
    shown, out = view()
    shown.show(text)
    shown.tick()
    shown.end()
    assert not set("\x07\x9b\u202e") & set(out.getvalue())
    assert "\x1b" not in ANSI.sub("", out.getvalue())


@pytest.mark.parametrize("unit", ["[", "[a](b", "`a", "a", "- \n"])
def test_a_long_hostile_block_takes_no_long_time(unit):
    shown, out = view()
    text = unit * (60_000 // len(unit))
    began_s = time.process_time()
    for i in range(0, len(text), 4_000):
        shown.show(text[i : i + 4_000])
        shown.tick()
    shown.end()
    assert time.process_time() - began_s < 10  # 0.1 to 1 s measured
    assert len(final(out)) >= len(text) // 2


def test_links_show_where_they_lead():
    shown, out = view()
    shown.show("[safe](https://evil.invalid/x) ![pic](https://evil.invalid/p.png)")
    shown.end()
    assert "(https://evil.invalid/x)" in final(out)
    assert "\x1b]8" not in out.getvalue()


@pytest.mark.parametrize(
    ("text", "found"),
    [("", []), ("a\nb\n", [0]), ("a\n\nb\n", [0, 3]), ("- a\n\n- b\n", [0]), ("```\na\n\nb\n", [0]),
     ("```\na\n```\nb\n\n# c\n", [0, 10, 13])],
)  # fmt: skip
def test_a_block_begins_where_nothing_before_it_changes(text, found):
    assert starts(text) == found


def test_a_loose_list_stays_one_however_it_comes():
    shown, out = view()
    for ch in "1. a\n\n2. b\n\nend":
        shown.show(ch)
        shown.tick()
    shown.end()
    assert final(out).split("\n")[:2] == [" 1 a", " 2 b"]


def test_nothing_leaves_nothing():
    shown, out = view()
    shown.tick()
    shown.end()
    assert out.getvalue() == ""


def test_text_goes_into_a_pipe_as_it_is(capsys):
    assert isinstance(answer_view.view_here(), PlainView)
    shown = PlainView()
    shown.show("# a\x1b[2J *b*")
    shown.tick()
    shown.end()
    assert capsys.readouterr().out == "# a[2J *b*\n"


@pytest.mark.parametrize(("term", "kind"), [("dumb", PlainView), ("xterm", MarkdownView)])
def test_a_terminal_that_can_gets_markdown(monkeypatch, term, kind):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", term)
    assert isinstance(answer_view.view_here(), kind)


# -- who is asked ----------------------------------------------------------------------------------------------------


def call(candidate, status="running", **more):
    return Attempt("member", candidate, f"m/{candidate}", "u", 0.0, status, **more)


def request(*calls, steps=2):
    made = Trace("tr_1", "openfusion/auto", "chat", stream=True, at=100.0, attempts=list(calls))
    made.decision = SimpleNamespace(plan=SimpleNamespace(steps=range(steps)))
    return made


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(progress, "is_watched", lambda: True)


def test_a_panel_says_who_answered_who_is_out_and_who_is_waited_for(watched, capsys):
    trace = request(call("a", "ok", ms=1500.0, usd=0.0012), call("b", "error", ms=20.0, error="upstream_timeout"), call("c"))  # fmt: skip
    watch = Watch(lambda: trace)
    watch.tick(104.0)
    said = capsys.readouterr().err
    assert "member: a answered after 1.5 s, $0.0012\n" in said
    assert "member: b is out after 20 ms (upstream_timeout)\n" in said
    assert said.endswith("waiting for c  4 s")
    trace.attempts[2].status = "cancelled"
    watch.end()
    assert "member: c is out after 0 ms (too slow)\n" in capsys.readouterr().err


def test_one_model_that_answers_is_not_worth_a_line_but_one_that_is_out_is(watched, capsys):
    trace = request(call("a", "error", ms=1.0), call("b", "ok"), steps=1)
    Watch(lambda: trace).end()
    assert capsys.readouterr().err.splitlines() == ["  member: a is out after 1 ms (error)"]


def test_who_stops_an_answer_is_not_told_that_its_calls_were_too_slow(watched, capsys):
    trace = request(call("a", "cancelled"))
    trace.outcome = "cancelled"
    Watch(lambda: trace).end()
    assert capsys.readouterr().err == ""


def test_in_a_pipe_nothing_is_said(capsys):
    trace = request(call("a", "error"), call("b"))
    watch = Watch(lambda: trace)
    watch.tick(101.0)
    watch.end()
    Watch(lambda: None).end()
    assert capsys.readouterr().err == ""


def test_a_dry_run_names_no_money():
    assert told(call("a", "ok", usd=0.0), dry_run=True) == "member: a answered after 0 ms"
