from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Prompt, Tool
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.responses_tools import (
    client_tools,
    flat_name,
    free_text,
    read_choice,
    read_tools,
    render_choice,
    render_tool,
)

FUNCTION = {
    "type": "function",
    "name": "read",
    "description": "Reads.",
    "parameters": {"type": "object", "properties": {"p": {"type": "string"}}},
    "strict": True,
}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Patches.", "format": GRAMMAR}
SPACE = {"type": "namespace", "name": "crm", "description": "d", "tools": [FUNCTION, PATCH]}


def test_functions_and_custom_tools_are_read_completely():
    read, patch = read_tools([FUNCTION, PATCH])
    assert read == Tool(
        "read", "function", FUNCTION["parameters"], "Reads.", strict=True, raw=FUNCTION
    )
    assert patch == Tool("apply_patch", "custom", None, "Patches.", grammar=GRAMMAR, raw=PATCH)


def test_a_function_may_leave_out_all_but_its_name():
    (tool,) = read_tools([{"type": "function", "name": "f", "parameters": None, "strict": None}])
    assert (tool.schema, tool.description, tool.strict) == (None, "", None)
    (patch,) = read_tools([{"type": "custom", "name": "p"}])
    assert (patch.kind, patch.grammar) == ("custom", None)


def test_no_tools_are_none():
    assert read_tools(None) == ()


@pytest.mark.parametrize(
    "kind", ["web_search", "tool_search", "image_generation", "local_shell", "mcp", "brand_new"]
)
def test_a_type_that_is_not_the_clients_own_runs_at_the_upstream(kind):
    (tool,) = read_tools([{"type": kind, "x": 1}])
    assert (tool.name, tool.kind, tool.raw) == (kind, "server", {"type": kind, "x": 1})


def test_a_namespace_is_flat_and_its_calls_find_back():
    prompt = Prompt("responses", "m", (), read_tools([SPACE]))
    assert [t.name for t in prompt.tools] == ["crm__read", "crm__apply_patch"]
    assert prompt.tools[0].schema == FUNCTION["parameters"]
    known = client_tools(prompt)
    assert known.namespaces == {
        "crm__read": ("crm", "read"),
        "crm__apply_patch": ("crm", "apply_patch"),
    }
    assert known.custom == {"crm__apply_patch"}


def test_a_server_tool_in_a_namespace_stays_one():
    (tool,) = read_tools([{"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]}])
    assert (tool.name, tool.kind) == ("web_search", "server")


def test_a_namespace_that_ends_in_the_joint_is_not_joined_twice():
    assert flat_name("mcp__git__", "log") == "mcp__git__log"
    assert flat_name("git", "log") == "git__log"


def test_tools_among_the_items_are_added_once():
    found = read_tools([FUNCTION], [("input[0].tools[0]", FUNCTION), ("input[0].tools[1]", PATCH)])
    assert [t.name for t in found] == ["read", "apply_patch"]


def test_a_function_with_a_field_named_namespace_in_another_dialect_is_no_namespace():
    tool = Tool("f", raw={"name": "f", "namespace": "x"})
    assert client_tools(Prompt("chat", "m", (), (tool,))).namespaces == {}


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("x", "tools"), ([1], "tools[0]"), ([{}], "tools[0].type"), ([{"type": 1}], "tools[0].type"),
        ([{"type": "function"}], "tools[0].name"), ([{"type": "function", "name": ""}], "tools[0].name"),
        ([{**FUNCTION, "parameters": "x"}], "tools[0].parameters"), ([{**FUNCTION, "strict": "x"}], "tools[0].strict"),
        ([{**FUNCTION, "description": 1}], "tools[0].description"), ([{**PATCH, "format": "x"}], "tools[0].format"),
        ([{"type": "namespace", "name": "n"}], "tools[0].tools"),
        ([{"type": "namespace", "tools": []}], "tools[0].name"),
        ([{"type": "namespace", "name": "n", "tools": [{}]}], "tools[0].tools[0].type"),
    ],
)  # fmt: skip
def test_a_tool_that_cannot_be_is_refused_by_its_place(tools, param):
    with pytest.raises(BadRequest) as caught:
        read_tools(tools)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, None), ("auto", "auto"), ("none", "none"), ("required", "required"),
        ({"type": "function", "name": "read"}, "tool:read"), ({"type": "custom", "name": "apply_patch"}, "tool:apply_patch"),
        ({"type": "function", "name": "read", "namespace": "crm"}, "tool:crm__read"),
        ({"type": "web_search"}, "tool:web_search"),
    ],
)  # fmt: skip
def test_a_choice_in_the_hubs_words(value, choice):
    assert read_choice(value, read_tools([FUNCTION, PATCH, SPACE])) == (choice, None)


def test_allowed_tools_are_a_mode_and_a_set():
    value = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "read"}, {"type": "web_search"}],
    }
    assert read_choice(value, ()) == ("required", frozenset({"read", "web_search"}))


@pytest.mark.parametrize(
    "value",
    [
        "maybe", 3, {}, {"type": "function"}, {"type": "function", "name": "other"},
        {"type": "allowed_tools", "mode": "x", "tools": []}, {"type": "allowed_tools"}, {"type": "allowed_tools", "tools": [{}]},
    ],
)  # fmt: skip
def test_a_choice_that_cannot_be_is_refused(value):
    with pytest.raises(BadRequest, match="tool_choice"):
        read_choice(value, read_tools([FUNCTION]))


def test_tools_are_written_for_an_upstream_of_this_dialect():
    assert [render_tool(t) for t in read_tools([FUNCTION, PATCH])] == [FUNCTION, PATCH]


def test_strictness_that_nobody_asked_for_is_switched_off():
    assert render_tool(Tool("f")) == {
        "type": "function",
        "name": "f",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }


def test_the_chat_dialects_nested_grammar_is_unfolded():
    nested = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
    assert render_tool(Tool("p", "custom", grammar=nested)) == {
        "type": "custom",
        "name": "p",
        "format": GRAMMAR,
    }
    assert render_tool(Tool("p", "custom")) == {"type": "custom", "name": "p"}


def test_a_server_tool_is_not_written():
    assert render_tool(Tool("web_search", "server")) is None


def test_choices_are_written():
    assert render_choice("auto", frozenset()) == "auto"
    assert render_choice("tool:f", frozenset()) == {"type": "function", "name": "f"}
    assert render_choice("tool:p", frozenset({"p"})) == {"type": "custom", "name": "p"}


@given(st.text())
def test_the_text_in_a_disguised_call_comes_out_byte_for_byte(text):
    assert free_text(json.dumps({"input": text})) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin Patch", "*** Begin Patch"), ('"quoted"', "quoted"), ('{"patch":"x"}', '{"patch":"x"}'),
        ("[1]", "[1]"), ('{"input": 3}', '{"input": 3}'), ('{"input": "cu', None), (' {"in', None), ("", ""),
    ],
)  # fmt: skip
def test_what_is_no_such_object_is_the_text_itself_unless_it_was_cut(arguments, text):
    assert free_text(arguments) == text
