from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Form
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.messages_checks import (
    check_body,
    check_max_tokens,
    check_stream,
    read_settings,
    session_fields,
    shape_of,
)

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}}
NONE = frozenset()


def refused(read, *args, **named) -> str:
    with pytest.raises(BadRequest) as error:
        read(*args, **named)
    return str(error.value.param)


# --- max_tokens, stream --------------------------------------------------------------------------------------


def test_max_tokens_is_required_but_not_for_counting():
    assert refused(check_max_tokens, {}, required=True) == "max_tokens"
    assert check_max_tokens({}, required=False) is None
    assert check_max_tokens({"max_tokens": 9}, required=False) == 9


@pytest.mark.parametrize("value", [-1, 1.5, "9", True])
def test_max_tokens_is_a_count(value):
    assert refused(check_max_tokens, {"max_tokens": value}, required=True) == "max_tokens"


def test_a_bound_of_nothing_which_warms_a_cache_is_the_least_bound():
    assert check_max_tokens({"max_tokens": 0}, required=True) == 1


def test_stream_is_a_boolean():
    assert check_stream({"stream": True})
    assert not check_stream({"stream": None})
    assert refused(check_stream, {"stream": "yes"}) == "stream"


# --- settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", 1.1), ("temperature", "0"), ("top_p", -0.1), ("top_k", -1), ("stop_sequences", "x"),
        ("stop_sequences", [1]), ("thinking", "adaptive"), ("output_config", []), ("tool_choice", "auto"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_name(field, value):
    assert refused(read_settings, {field: value}, NONE).startswith(field)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": "x"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"output_format": {"type": "json_schema", "schema": 1}}, "output_format.schema"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
         "tool_choice.disable_parallel_tool_use"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ],
)  # fmt: skip
def test_inner_values_are_refused_by_their_place(body, at):
    assert refused(read_settings, body, NONE) == at


def test_nulls_ask_for_nothing():
    fields = (
        "temperature", "top_p", "top_k", "stop_sequences", "thinking", "output_config", "tool_choice", "output_format",
    )  # fmt: skip
    assert read_settings(dict.fromkeys(fields), NONE) == read_settings({}, NONE)


def test_sampling_is_read():
    read = read_settings(
        {"temperature": 0, "top_p": 0.5, "top_k": 3, "stop_sequences": ["a"]}, NONE
    )
    assert (read.temperature, read.top_p, read.stop) == (0.0, 0.5, ("a",))


@pytest.mark.parametrize(
    ("thinking", "config", "expected"),
    [
        ({"type": "disabled"}, None, ("none", None)),
        ({"type": "disabled"}, {"effort": "high"}, ("none", None)),
        ({"type": "adaptive", "display": "omitted"}, {"effort": "max"}, ("max", None)),
        ({"type": "enabled", "budget_tokens": 2048}, None, (None, 2048)),
        ({"type": "between_tools"}, None, (None, None)),
        (None, {"effort": "brand_new"}, ("brand_new", None)),
    ],
)
def test_thinking_and_effort_are_the_hubs(thinking, config, expected):
    read = read_settings({"thinking": thinking, "output_config": config}, NONE)
    assert (read.effort, read.thinking_tokens) == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ("auto", None)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "none"}, ("none", None)),
        ({"type": "tool", "name": "edit", "disable_parallel_tool_use": False}, ("tool:edit", True)),
    ],
)
def test_tool_choice_is_the_hubs(choice, expected):
    read = read_settings({"tool_choice": choice}, frozenset({"edit"}))
    assert (read.tool_choice, read.parallel) == expected


def test_a_forced_tool_must_be_offered():
    forced = {"tool_choice": {"type": "tool", "name": "gone"}}
    assert refused(read_settings, forced, frozenset({"edit"})) == "tool_choice"


@pytest.mark.parametrize("field", ["output_config", "output_format"])
def test_a_schema_is_the_form_of_the_answer(field):
    form = {"type": "json_schema", "schema": SCHEMA}
    read = read_settings({field: {"format": form} if field == "output_config" else form}, NONE)
    assert read.form == Form(schema=SCHEMA)
    assert shape_of(read) == "json_schema"
    assert shape_of(read_settings({}, NONE)) == "text"


# --- session -------------------------------------------------------------------------------------------------


def test_claude_codes_user_id_holds_the_session():
    user = json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"})
    assert session_fields({"metadata": {"user_id": user}}) == {"metadata.user_id": "s-1"}


def test_the_older_form_holds_it_too():
    user = "user_abc_account__session_s-2"
    assert session_fields({"metadata": {"user_id": user}}) == {"metadata.user_id": "s-2"}


@pytest.mark.parametrize(
    "user", ["alice", '{"broken', "[1]", '{"session_id": 5}', "{}", 7, None, ""]
)
def test_a_mere_user_is_no_session(user):
    assert session_fields({"metadata": {"user_id": user}}) == {}


def test_plain_session_fields_are_taken():
    body = {"session_id": "a", "prompt_cache_key": "b", "metadata": {"session_id": "c"}}
    expected = {"session_id": "a", "prompt_cache_key": "b", "metadata.session_id": "c"}
    assert session_fields(body) == expected
    assert session_fields({"metadata": "x"}) == {}


# --- forbidden -----------------------------------------------------------------------------------------------


def test_addresses_and_keys_are_refused_but_not_in_the_clients_schemas():
    assert refused(check_body, {"metadata": {}, "container": {"api_key": "x"}}) == "container"
    form = {"type": "json_schema", "schema": {"properties": {"api_key": {"type": "string"}}}}
    check_body(
        {"output_config": {"format": form}, "output_format": form, "tools": [{"api_key": 1}]}
    )
