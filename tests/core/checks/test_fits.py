"""Which calls fit their tool's schema, and that what cannot be judged is left alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Answer, Tool, ToolCall

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "edits": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["path"],
    "additionalProperties": False,
}
TOOLS = (
    Tool("edit", schema=SCHEMA),
    Tool("bare"),
    Tool("patch", "custom", schema=SCHEMA),
    Tool("search", "server", schema=SCHEMA),
    Tool("twice", schema=SCHEMA),
    Tool("twice", schema={"type": "object"}),
)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ("{}", "required"),
        ('{"path": 5}', "properties/path/type"),
        ('{"path": "a", "edits": [{}, "sk-secret"]}', "properties/edits/items/type"),
        ('{"path": "a", "sk-secret": 1}', "additionalProperties"),
        ("[]", "type"),
    ],
)
def test_a_misfit_names_tool_and_rule_and_nothing_of_the_arguments(arguments, rule):
    found = Fits(TOOLS).misfit("edit", arguments)
    assert found == f"a call of edit breaks its schema at {rule}"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edit", '{"path": "a", "edits": [{"x": 1}]}'),
        ("edit", ""),
        ("edit", "  "),
        ("edit", '{"path": '),
        ("edit", "[" * 100_000),
        ("bare", "5"),
        ("patch", "5"),
        ("search", "5"),
        ("twice", '"which?"'),
        ("never_offered", "5"),
    ],
)
def test_what_fits_or_cannot_be_judged_fits(name, arguments):
    assert Fits(TOOLS).misfit(name, arguments) is None


def test_the_first_misfit_of_an_answer_is_told_and_free_text_is_left_alone():
    good, bad = ToolCall("1", "edit", '{"path": "a"}'), ToolCall("2", "edit", "{}")
    free = ToolCall("3", "edit", "{}", "custom")
    assert Fits(TOOLS).first_misfit(Answer(tool_calls=(good, free))) is None
    assert "required" in Fits(TOOLS).first_misfit(Answer(tool_calls=(good, free, bad)))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()), max_size=4))
def test_nothing_that_the_arguments_chose_is_told(arguments):
    found = Fits((Tool("t", schema={"additionalProperties": {"type": "null"}}),)).misfit(
        "t", json.dumps(arguments)
    )
    told = "a call of t breaks its schema at additionalProperties/type"
    assert found == (told if arguments else None)
