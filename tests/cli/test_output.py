"""What may reach a terminal, and how numbers read."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from openfusion_auto.cli import output


@given(st.text())
def test_clean_text_holds_no_control_character_and_loses_nothing_else(text):
    cleaned = output.clean(text)
    assert not any(ch < " " and ch not in "\n\t" for ch in cleaned)
    assert not any("\x7f" <= ch <= "\x9f" for ch in cleaned)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(cleaned)
    assert cleaned == "".join(ch for ch in text if ch in cleaned)


def test_an_escape_sequence_cannot_drive_the_terminal(capsys):
    output.emit("a\x1b[31mb\x9b2J\x07c")
    output.note("\x1b]0;title\x07x")
    out, err = capsys.readouterr()
    assert out == "a[31mb2Jc\n"
    assert err == "]0;titlex\n"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_data_is_ascii_json_that_reads_back_the_same(value):
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stream)
        output.data(value)
    assert stream.getvalue().isascii()
    assert json.loads(stream.getvalue()) == value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "unknown"),
        (0, "$0.0000"),
        (0.0, "$0.0000"),
        (0.0123, "$0.0123"),
        (0.0000234, "$0.000023"),
        (12.5, "$12.5000"),
        ("?", "unknown"),
    ],
)
def test_money_that_is_not_known_is_never_shown_as_0(value, shown):
    assert output.usd(value) == shown


@given(st.floats(min_value=1e-12, max_value=1e6))
def test_no_positive_sum_is_shown_as_0(value):
    assert float(output.usd(value)[1:]) > 0


def test_numbers_of_tokens_have_their_thousands_apart():
    assert output.count(1048576) == "1,048,576"
    assert output.count(None) == "-"


def test_a_stdout_that_is_no_file_is_left_alone(monkeypatch):
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stderr", file)
    output.tolerate_any_text()
    assert file.errors == "replace"


def test_a_member_becomes_one_clean_line():
    row = {"a": "x\n y\x1b", "n": None, "i": 3}
    assert output.text_of(row, "a") == "x y"
    assert output.text_of(row, "n") == "-"
    assert output.text_of(row, "gone", "nobody") == "nobody"
    assert output.text_of(row, "i") == "3"


@pytest.mark.parametrize(
    ("terminal", "encoding", "no_color", "fancy"),
    [
        (True, "utf-8", False, True),
        (True, "ascii", False, False),
        (True, "utf-8", True, False),
        (False, "utf-8", False, False),
    ],
)
def test_blocks_are_drawn_only_where_they_are_seen(terminal, encoding, no_color, fancy):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert output.is_fancy(Console(file=file, force_terminal=terminal, no_color=no_color)) is fancy


def test_a_colour_is_left_out_under_no_color(monkeypatch):
    assert output.coloured("x", "red") == "\x1b[31m\x1b[1mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.coloured("x", "red") == "x"


def test_paint_keeps_foreign_text_plain(capsys):
    output.paint(output.coloured("PASS", "green"), " \x1b[2Jx")
    assert capsys.readouterr().out == "PASS [2Jx\n"


def test_what_is_logged_without_logging_looks_like_all_else():
    formatter = logging.lastResort.formatter
    try:
        output.log_as_notes()
        record = logging.makeLogRecord({"msg": "it is %s", "args": ("odd",)})
        assert logging.lastResort.format(record) == "openfusion: it is odd"
    finally:
        logging.lastResort.setFormatter(formatter)
