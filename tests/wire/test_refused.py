"""Fields that a model refuses by name: which they are, and the request without them."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.refused import (
    BETA,
    LEFT_OUT,
    RENAMED,
    refused_field,
    with_value,
    without_flags,
    without_refused,
)
from openfusion_auto.wire.rendered import Rendered

BOUND = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
HEAT = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."


@pytest.mark.parametrize(
    ("error", "field"),
    [
        ({"message": BOUND, "param": "max_tokens", "code": "unsupported_parameter"}, "max_tokens"),
        ({"message": BOUND}, "max_tokens"),
        (
            {"message": HEAT, "param": "temperature", "code": "unsupported_value"},
            "temperature=",
        ),
        ({"message": HEAT, "code": 400}, "temperature="),
        ({"param": "reasoning.summary", "code": "unsupported_value"}, "reasoning.summary="),
        ({"param": "reasoning.effort", "code": "unsupported_parameter"}, "reasoning"),
        ({"message": "context_management: Extra inputs are not permitted"}, "context_management"),
        ({"message": "output_config.effort: Extra inputs are not permitted"}, "output_config"),
        (
            {"message": "tools.11.custom.defer_loading: Extra inputs are not permitted"},
            "tools.defer_loading",
        ),
        ({"message": "invalid beta flag"}, BETA + "="),
        ({"message": "Unexpected value(s) `x-1` for the `anthropic-beta` header."}, BETA + "="),
        (
            {"message": "Unsupported value: 'messages[0].role' does not support 'system'."},
            "role system",
        ),
        # Strict servers name what they do not know, each in its own words.
        ({"message": "property 'enable_thinking' is unsupported"}, "enable_thinking"),
        (
            {
                "message": "'messages.2' : for 'role:assistant' the following must be satisfied[('messages.2' : property "
                "'reasoning_content' is unsupported)]"
            },
            "messages.reasoning_content",
        ),
        (
            {"message": "messages.1.assistant.reasoning_content: property 'x' is unsupported"},
            None,
        ),
        (
            {"message": "property 'messages.1.assistant.reasoning_content' is unsupported"},
            "messages.reasoning_content",
        ),
        (
            {"param": "messages[3].reasoning_content", "code": "unknown_parameter"},
            "messages.reasoning_content",
        ),
        (
            {
                "message": "messages.0.system.content.0.cache_control: Extra inputs are not permitted"
            },
            "messages.cache_control",
        ),
        (
            {"message": "Unrecognized request argument supplied: parallel_tool_calls"},
            "parallel_tool_calls",
        ),
        (
            {"message": 'Invalid JSON payload received. Unknown name "store": Cannot find field.'},
            "store",
        ),
        (
            {"message": "Argument not supported on this model: presencePenalty"},
            "presence_penalty",
        ),
        ({"message": "`temperature` is deprecated for this model."}, "temperature"),
        (
            {"message": "`temperature` and `top_p` cannot both be specified for this model."},
            "top_p=",
        ),
        (
            {"message": "reasoning_effort: Input should be 'low', 'medium' or 'high'"},
            "reasoning_effort=",
        ),
        (
            {"message": "Encrypted content is not supported with this model.", "param": "include"},
            "include=",
        ),
        # A request without these asks for another thing.
        ({"message": "messages.1.content.0.x: Extra inputs are not permitted"}, None),
        ({"message": "tools.0.custom.input_schema: Extra inputs are not permitted"}, None),
        ({"param": "tools", "code": "unsupported_parameter"}, None),
        ({"param": "response_format", "code": "unsupported_value"}, None),
        ({"param": "temperature", "code": "invalid_value", "message": "too high"}, None),
        ({"param": 3, "code": "unsupported_parameter", "message": None}, None),
        ({}, None),
    ],
)
def test_the_field_that_is_refused_is_known(error, field):
    assert refused_field(error) == field


def sent(**fields: object) -> Rendered:
    return Rendered(json.dumps({"model": "m", **fields, "x": 1}).encode(), ("a loss",))


def test_refused_fields_are_left_out_and_told():
    found = without_refused(
        sent(temperature=0, seed=1), {"temperature", "stop", "reasoning_content"}
    )
    assert json.loads(found.body) == {"model": "m", "seed": 1, "x": 1}
    assert found.lost == ("a loss", "field temperature, which the model refuses")


def test_a_bound_gets_the_name_that_the_model_knows():
    found = without_refused(sent(max_tokens=7), {"max_tokens"})
    assert json.loads(found.body) == {"model": "m", "x": 1, "max_completion_tokens": 7}
    assert found.lost == ("a loss",)
    other = without_refused(sent(max_completion_tokens=7), {"max_completion_tokens"})
    assert json.loads(other.body) == {"model": "m", "x": 1, "max_tokens": 7}
    both = without_refused(sent(max_tokens=7, max_completion_tokens=5), {"max_tokens"})
    assert json.loads(both.body)["max_completion_tokens"] == 5


def test_a_request_with_nothing_refused_stays_as_it_is():
    whole = sent(seed=1)
    assert without_refused(whole, {"temperature"}) is whole


def test_what_a_request_asks_for_is_never_left_out():
    asks = {"model", "messages", "input", "tools", "tool_choice", "response_format", "text", "n"}
    assert not (asks & (LEFT_OUT | RENAMED.keys()))


def test_keys_of_tools_and_an_effort_go_and_all_else_of_them_stays():
    tool = {"name": "f", "input_schema": {"defer_loading": {}}}
    config = {"effort": "high", "format": {"type": "json_schema"}}
    found = without_refused(
        sent(tools=[{**tool, "defer_loading": True}, tool], output_config=config),
        {"tools.defer_loading", "tools.strict", "output_config", BETA},
    )
    said = json.loads(found.body)
    assert said["tools"] == [tool, tool]
    assert said["output_config"] == {"format": {"type": "json_schema"}}
    assert "defer_loading of tools, which the model refuses" in found.lost
    bare = without_refused(sent(output_config={"effort": "low"}), {"output_config"})
    assert "output_config" not in json.loads(bare.body)


def test_what_a_history_holds_beside_its_words_goes_where_it_is_refused():
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "content": "cache_control", "tool_call_id": "c"},
    ]
    wants = {"messages.reasoning_content", "messages.cache_control"}
    found = without_refused(sent(messages=said), wants)
    assert json.loads(found.body)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        said[2],
    ]
    assert found.lost[1:] == (
        "cache_control of messages, which the model refuses",
        "reasoning_content of messages, which the model refuses",
    )
    bare = sent(messages=[said[2]])
    assert without_refused(bare, wants) is bare


def test_a_key_goes_from_what_chat_says_of_a_function_and_stays_in_its_schema():
    schema = {"properties": {"strict": {"type": "boolean"}}}
    function = {"name": "f", "parameters": schema}
    tools = [{"type": "function", "function": {**function, "strict": True}}]
    found = without_refused(sent(tools=tools), {"tools.strict"})
    assert json.loads(found.body)["tools"] == [{"type": "function", "function": function}]


def test_roles_and_keys_of_one_history_go_together():
    said = [{"role": "developer", "content": "d", "reasoning": "r"}]
    found = without_refused(sent(messages=said), {"role developer", "messages.reasoning"})
    assert json.loads(found.body)["messages"] == [{"role": "system", "content": "d"}]


def refused(want: str, **fields: object) -> str:
    return with_value(want, sent(**fields).body, {})


def test_a_refused_value_goes_and_others_of_the_field_stay():
    wants = {
        refused("reasoning_effort=", reasoning_effort="xhigh"),
        refused("temperature=", temperature=0),
    }
    found = without_refused(sent(reasoning_effort="xhigh", temperature=0.5), wants)
    assert json.loads(found.body) == {"model": "m", "temperature": 0.5, "x": 1}
    assert found.lost == ("a loss", "field reasoning_effort, whose value the model refuses")
    other = sent(reasoning_effort="high")
    assert without_refused(other, wants) is other


def test_a_refused_value_inside_a_field_leaves_the_rest_of_it():
    thinks = {"effort": "high", "summary": "auto"}
    wants = {refused("reasoning.summary=", reasoning=thinks)}
    found = json.loads(without_refused(sent(reasoning=thinks), wants).body)
    assert found["reasoning"] == {"effort": "high"}
    wants.add(refused("reasoning.effort=", reasoning=thinks))
    assert "reasoning" not in json.loads(without_refused(sent(reasoning=thinks), wants).body)


def test_one_number_is_one_value_however_it_is_written():
    wants = {refused("temperature=", temperature=0)}
    assert "temperature" not in json.loads(without_refused(sent(temperature=0.0), wants).body)


def test_a_value_that_was_not_sent_is_none():
    assert refused("reasoning.effort=") == "reasoning"
    assert refused("seed") == "seed"


def test_flags_go_where_these_were_refused():
    flags = {BETA: "a,b", "x-app": "cli"}
    wants = {with_value(BETA + "=", b"{}", flags)}
    assert without_flags(flags, wants) == ({"x-app": "cli"}, (f"{BETA}, which the model refuses",))
    assert without_flags({BETA: "a"}, wants) == ({BETA: "a"}, ())
    assert without_flags({}, wants) == ({}, ())
