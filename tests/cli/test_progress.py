"""A line that is written over: whole, short enough, and only where a person looks."""

import sys
from types import SimpleNamespace

import pytest

from openfusion_auto.cli import progress


@pytest.fixture
def watched(monkeypatch):
    """Let a person look at stderr."""
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")


def test_nothing_is_written_into_a_pipe(capsys):
    bar = progress.Progress(2)
    bar.step("a")
    bar.clear()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("term", "seen"), [("xterm", True), ("dumb", False)])
def test_a_dumb_terminal_cannot_erase_a_line(monkeypatch, term, seen):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", term)
    assert progress.is_watched() is seen


def test_a_bar_counts_and_leaves_nothing(watched, capsys):
    bar = progress.Progress(4)
    bar.step("first")
    bar.step("second")
    bar.clear()
    bar.clear()
    lines = capsys.readouterr().err.split(progress.ERASE)
    assert lines == [
        "",
        "[#####...............] 1/4  first",
        "[##########..........] 2/4  second",
        "",
    ]


def test_a_line_never_wraps_nor_drives_the_terminal(watched, capsys):
    line = progress.StatusLine()
    line.show("\x1b[2J" + "语" * 30)
    line.show("a\nb" + "c" * 60)
    _, wide, long = capsys.readouterr().err.split(progress.ERASE)
    assert wide == "[2J" + "语" * 18  # 39 columns: one of 40 stays free
    assert long == "a b" + "c" * 36


def test_the_same_is_not_written_twice(watched, capsys):
    line = progress.StatusLine()
    line.show("x")
    line.show("x")
    assert capsys.readouterr().err == progress.ERASE + "x"
