from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Tool, ToolCall
from openfusion_auto.wire.chat_tools import (
    as_custom,
    describe_custom,
    render_call,
    render_tools,
    stable_id,
    unwrap_input,
    wrap_input,
)


@given(st.text())
def test_free_text_survives_the_way_through_a_function(text):
    assert json.loads(wrap_input(text)) == {"input": text}
    assert unwrap_input(wrap_input(text)) == text


@pytest.mark.parametrize(
    "said", ["*** Begin Patch", "", '{"patch":"x"}', '{"input":5}', "[1]", '{"input":"a']
)
def test_text_without_the_object_around_it_is_the_text(said):
    assert unwrap_input(said) == said


def test_only_functions_of_that_name_become_custom_again():
    calls = (
        ToolCall("a", "patch", '{"input":"x"}'),
        ToolCall("b", "f", '{"input":"x"}'),
        ToolCall("c", "patch", "y", "custom"),
    )
    assert as_custom(calls, frozenset({"patch"})) == (
        ToolCall("a", "patch", "x", "custom"),
        *calls[1:],
    )


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "grammar", "syntax": "lark", "definition": "start: X"},
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}},
    ],
)
def test_a_grammar_is_told_in_the_description(grammar):
    said = describe_custom(Tool("p", "custom", description="Patches.", grammar=grammar))
    assert said.startswith("Patches.\n\n")
    assert said.endswith("this grammar (lark):\nstart: X")
    assert "`input`" in said


def test_a_custom_tool_without_a_grammar_says_how_to_be_called():
    assert "`input`" in describe_custom(Tool("p", "custom"))
    assert "grammar" not in describe_custom(Tool("p", "custom", grammar={"type": "text"}))
    assert describe_custom(Tool("p", "custom", grammar={"definition": "X"})).endswith("grammar:\nX")


def test_tools_become_functions_and_what_they_lose_is_told():
    schema = {"type": "object", "properties": {"a": {}}}
    lost: list[str] = []
    tools = (
        Tool("f", schema=schema, description="d", strict=False),
        Tool("g"),
        Tool("p", "custom", grammar={"definition": "X"}, strict=True),
        Tool("web_search", "server"),
    )
    functions = [tool["function"] for tool in render_tools(tools, lost)]
    assert functions[0] == {"name": "f", "description": "d", "parameters": schema, "strict": False}
    assert functions[1] == {"name": "g", "parameters": {"type": "object", "properties": {}}}
    assert functions[2]["parameters"] == {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
        "additionalProperties": False,
    }
    assert "strict" not in functions[2]
    assert len(functions) == 3
    assert lost == ["grammar of custom tool p", "server tool web_search"]


def test_calls_keep_their_ids_and_bytes():
    assert render_call(ToolCall("c", "f", '{"a" : 1}')) == {
        "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a" : 1}'},
    }  # fmt: skip
    assert render_call(ToolCall("c", "p", 'x"', "custom"))["function"] == {
        "name": "p",
        "arguments": '{"input":"x\\""}',
    }


def test_made_ids_differ_between_answers_and_are_what_any_api_takes():
    one, two = (
        stable_id(0, "mcp.hub/" + 60 * "x", "0123456789ab"),
        stable_id(0, "f", "ba9876543210"),
    )
    assert one != stable_id(0, "mcp.hub/" + 60 * "x", "ba9876543210")
    assert two == "call_0_f_ba9876543210"
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", one)
    assert one.endswith("_0123456789ab")


def test_a_made_id_is_the_same_for_the_same_place_and_name():
    assert stable_id(1, "f") == stable_id(1, "f") == "call_1_f"
    assert len({stable_id(0, "f"), stable_id(1, "f"), stable_id(0, "g"), stable_id(0, "")}) == 4
