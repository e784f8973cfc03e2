"""Code blocks that parse, that do not, and that are no code to be parsed."""

from __future__ import annotations

import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.code import MAX_CODE, code_findings, parse_problem


def block(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```"


def test_the_parsers_words_are_told_with_the_line_and_none_of_the_code():
    found = code_findings(block("x = 1\nsecret_name = (2"))
    assert found == ["a block of Python does not parse: '(' was never closed (line 2)"] or (
        len(found) == 1 and "secret" not in found[0] and "line 2" in found[0]
    )


@pytest.mark.parametrize("code", ['"\\d"', "assert (1, 'x')", "x is 1"])
def test_a_warning_about_the_code_is_not_ours(code):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_findings(block(code)) == []


@pytest.mark.parametrize("code", ["-" * 20_000 + "1", "(" * 20_000, "x = " + "[" * 3_000, "a\0b"])
def test_what_the_parser_chokes_on_raises_nothing(code):
    assert len(code_findings(block(code))) <= 1


def test_a_very_long_block_is_not_parsed():
    assert code_findings(block("(" + " " * MAX_CODE)) == []


def test_the_blocks_of_one_answer_share_what_is_parsed():
    long = block("x = 1\n" * (MAX_CODE // 10))
    assert code_findings(long + "\n" + block("x = (")) != []
    assert code_findings(long + "\n" + long + "\n" + block("x = (")) != []
    assert code_findings(long + "\n" + block("y = 2\n" * (MAX_CODE // 10) + "x = (")) == []


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("\n" * 20_000 + "x = (", "python"),
        ("def " + " " * 20_000 + "\nx", "python"),
        ("x" + "\n" * 20_000 + "y", "json"),
    ],
)
def test_what_was_made_to_be_slow_takes_no_longer_than_it_is_long(code, language):
    began = time.process_time()
    assert code_findings(block(code, language)) != []
    assert time.process_time() - began < 0.3


def test_a_block_that_was_cut_is_another_checks_finding():
    assert code_findings("```python\nx = (") == []


def test_json_is_read_too_and_what_nobody_here_knows_is_not():
    assert code_findings(block('{"a": 1,}', "json")) == ["a block of JSON does not parse"]
    assert code_findings(block('{"a": 1,}', "json5") + "\n" + block("fun f(\n", "kotlin")) == []


@given(st.text(alphabet="abc :=()[]{}'\"\\\n\t#@.1", max_size=60))
def test_no_code_raises_and_no_message_has_a_newline(code):
    assert "\n" not in parse_problem(code)
    assert len(code_findings(block(code)) + code_findings(block(code, "json"))) <= 2
