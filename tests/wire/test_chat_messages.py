from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Message, Part, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_messages import only_allowed, read_messages, read_tools

from .chats import outcome

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def text(said: str) -> Part:
    """A text part that came as an object."""
    return Part("text", said, raw={"type": "text", "text": said})


def refused(read, value) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        read(value)
    assert caught.value.status == 400
    assert caught.value.message
    return caught.value


def test_a_conversation_with_tools_is_read_whole():
    found = read_messages(
        [
            {"role": "system", "content": "be good"},
            {
                "role": "developer",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "user", "content": ""},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "ok"}]},
            {"role": "assistant", "content": "done", "refusal": "no"},
        ]
    )
    assert found == (
        Message("system", (Part("text", "be good"),)),
        Message("developer", (text("a"), text("b"))),
        Message("user"),
        Message(
            "assistant",
            (Part("reasoning", "hm", raw={"reasoning_content": "hm"}),),
            (ToolCall("c1", "f", '{"a": 1}'),),
        ),
        Message("tool", (text("ok"),), tool_call_id="c1"),
        Message("assistant", (Part("text", "done"), Part("refusal", "no"))),
    )


def test_parts_that_are_not_text_have_their_weight():
    url = "data:image/png;base64," + "A" * 100
    parts = [
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "B" * 50, "format": "wav"}},
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "input_file", "file_data": "C" * 40},
        {"type": "video_url", "video_url": {}},
        {"type": "refusal", "refusal": "no"},
        {"type": "thinking", "thinking": "hm"},
        {"type": "redacted_thinking", "data": "xx"},
    ]
    (message,) = read_messages([{"role": "user", "content": parts}])
    assert [part.raw for part in message.parts] == parts
    assert [replace(part, raw=None) for part in message.parts] == [
        Part("image", size=len(url), url=url, media="image/png"),
        Part("audio", size=50, url="data:audio/wav;base64," + "B" * 50, media="audio/wav"),
        Part("file", size=3),
        Part(
            "file",
            size=40,
            url="data:application/octet-stream;base64," + "C" * 40,
            media="application/octet-stream",
        ),
        Part("other"),
        Part("refusal", "no"),
        Part("reasoning", "hm"),
        Part("reasoning", size=2, opaque="xx"),
    ]


@pytest.mark.parametrize(
    ("part", "want"),
    [
        ({"type": "thinking", "thinking": "a", "signature": "s"}, Part("reasoning", "a", 1, opaque="s")),
        ({"type": "thinking"}, Part("reasoning")),
        ({"type": "reasoning", "text": "b", "data": 5}, Part("reasoning", "b")),
    ],
)  # fmt: skip
def test_reasoning_in_the_content_keeps_its_signature_apart(part, want):
    (message,) = read_messages([{"role": "assistant", "content": [part]}])
    assert message.parts == (replace(want, raw=part),)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": None},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": None, "content": None, "refusal": None},
        {"role": "assistant", "reasoning_content": "hm"},
        {"role": "assistant", "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},
        {"role": "assistant", "content": "x", "refusal": ""},
        {"role": "assistant", "content": "", "reasoning": "hm", "audio": {"id": "a"}},
        {"role": "user", "content": [], "name": "bob", "unknown": {}},
    ],
)
def test_what_clients_leave_out_is_accepted(message):
    assert read_messages([message])[0].role == message["role"]


def test_a_legacy_function_result_counts_as_a_tool_result():
    assert read_messages([{"role": "function", "name": "f", "content": None}]) == (Message("tool"),)


def test_custom_calls_keep_their_free_text():
    call = {"id": "c", "type": "custom", "custom": {"name": "apply_patch", "input": "*** Begin"}}
    (message,) = read_messages([{"role": "assistant", "tool_calls": [call]}])
    assert message.tool_calls == (ToolCall("c", "apply_patch", "*** Begin", "custom"),)


@pytest.mark.parametrize("arguments", ["not json", "", None])
def test_arguments_in_the_history_are_not_judged(arguments):
    call = {"id": "c", "function": {"name": "f", "arguments": arguments}}
    (message,) = read_messages([{"role": "assistant", "tool_calls": [call]}])
    assert message.tool_calls[0].arguments == (arguments or "")


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        (None, "messages", "missing_required_parameter"),
        ("hi", "messages", "invalid_type"),
        ({}, "messages", "invalid_type"),
        ([], "messages", "empty_array"),
        (["hi"], "messages[0]", "invalid_type"),
        ([None], "messages[0]", "invalid_type"),
        ([{"content": "x"}], "messages[0].role", "missing_required_parameter"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role", "invalid_value"),
        ([{"role": 1, "content": "x"}], "messages[0].role", "invalid_type"),
        ([{"role": "user"}], "messages[0].content", "missing_required_parameter"),
        ([{"role": "assistant"}], "messages[0].content", "missing_required_parameter"),
        ([{"role": "user", "content": None}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": 5}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": {}}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]", "invalid_type"),
        (
            [{"role": "user", "content": [{"text": "x"}]}],
            "messages[0].content[0].type",
            "missing_required_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "smell"}]}],
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            [{"role": "user", "content": [{"type": "text", "text": 5}]}],
            "messages[0].content[0].text",
            "invalid_type",
        ),
        (
            [{"role": "user", "content": [{"type": "text"}]}],
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "messages[0].content[0].image_url",
            "invalid_type",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            "messages[0].content[0].image_url.url",
            "invalid_type",
        ),
        ([{"role": "assistant", "tool_calls": "x"}], "messages[0].tool_calls", "invalid_type"),
        ([{"role": "assistant", "tool_calls": [1]}], "messages[0].tool_calls[0]", "invalid_type"),
        (
            [{"role": "assistant", "tool_calls": [{"id": "c"}]}],
            "messages[0].tool_calls[0].function",
            "invalid_type",
        ),
        (
            [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
                }
            ],
            "messages[0].tool_calls[0].function.arguments",
            "invalid_type",
        ),
        (
            [{"role": "assistant", "content": "x", "refusal": 1}],
            "messages[0].refusal",
            "invalid_type",
        ),
        (
            [{"role": "tool", "content": "x"}],
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        (
            [{"role": "tool", "content": "x", "tool_call_id": 1}],
            "messages[0].tool_call_id",
            "invalid_type",
        ),
        (
            [{"role": "tool", "content": "x", "tool_call_id": "c1"}],
            "messages[0].tool_call_id",
            "invalid_value",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(messages, param, code):
    error = refused(read_messages, messages)
    assert (error.param, error.code) == (param, code)


def test_a_result_must_stand_behind_its_call():
    call = {"role": "assistant", "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "x"}
    note = {"role": "user", "content": "info"}
    assert len(read_messages([call, note, result])) == 3
    assert refused(read_messages, [result, call]).param == "messages[0].tool_call_id"


def test_tools_of_every_kind_are_read():
    schema = {"type": "object", "properties": {"model": {"type": "string"}}}
    form = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    body = {
        "tools": [
            {"type": "function", "function": {"name": "a", "parameters": schema, "strict": True}},
            {"type": "function", "function": {"name": "b", "description": "does b"}},
            {"function": {"name": "c", "parameters": None, "description": 5, "strict": "yes"}},
            {"type": "custom", "custom": {"name": "d", "format": form, "description": "does d"}},
            {"type": "custom", "custom": {"name": "e", "format": 5}},
            {"type": "web_search", "max_results": 3},
        ],
        "functions": [{"name": "old", "parameters": {}}],
    }
    found = read_tools(body)
    assert [tool.raw for tool in found] == body["tools"] + body["functions"]
    assert [replace(tool, raw=None) for tool in found] == [
        Tool("a", schema=schema, strict=True),
        Tool("b", description="does b"),
        Tool("c"),
        Tool("d", "custom", description="does d", grammar=form),
        Tool("e", "custom"),
        Tool("web_search", "server"),
        Tool("old", schema={}),
    ]
    assert read_tools({"tools": None}) == read_tools({}) == ()
    assert len(read_tools({"tools": body["tools"][:1] * 1000})) == 1000


@pytest.mark.parametrize(
    ("tools", "param", "code"),
    [
        ({}, "tools", "invalid_type"),
        ([None], "tools[0]", "invalid_type"),
        ([{"type": "function"}], "tools[0].function", "missing_required_parameter"),
        (
            [{"type": "function", "function": {}}],
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        ([{"type": "function", "function": {"name": 1}}], "tools[0].function.name", "invalid_type"),
        (
            [{"type": "function", "function": {"name": ""}}],
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            [{"type": "function", "function": {"name": "a\n"}}],
            "tools[0].function.name",
            "invalid_value",
        ),
        ([{"type": "function", "function": "f"}], "tools[0].function", "invalid_type"),
        (
            [{"type": "function", "function": {"name": "a", "parameters": "x"}}],
            "tools[0].function.parameters",
            "invalid_type",
        ),
        ([{"type": "custom"}], "tools[0].custom", "invalid_type"),
        ([{"type": None}], "tools[0].type", "invalid_type"),
        ([{"type": ""}], "tools[0].type", "invalid_value"),
    ],
)
def test_broken_tools_are_refused_by_their_place(tools, param, code):
    error = refused(read_tools, {"tools": tools})
    assert (error.param, error.code) == (param, code)
    if tools == {}:
        assert refused(read_tools, {"functions": tools}).param == "functions"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "tool_calls",
                    "id",
                    "function",
                    "name",
                    "arguments",
                    "tool_call_id",
                    "image_url",
                    "url",
                    "parameters",
                    "custom",
                    "refusal",
                    "reasoning",
                ]
            ),
            inner
            | st.sampled_from(
                ["user", "assistant", "tool", "text", "image_url", "function", "custom", "file"]
            ),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSON)
def test_any_json_is_read_or_a_400(value):
    for read, arg in (
        (read_messages, value),
        (read_messages, [value]),
        (read_tools, {"tools": [value]}),
    ):
        found = outcome(read, arg, of=BadRequest)
        assert isinstance(found, tuple) or (found.status == 400 and found.param)


def test_the_thinking_of_mistrals_models_is_a_list_of_parts():
    thinking = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    part = {"type": "thinking", "thinking": thinking}
    said = {"role": "assistant", "content": [part, {"type": "text", "text": "c"}]}
    (message,) = read_messages([said])
    assert [(p.kind, p.text) for p in message.parts] == [("reasoning", "ab"), ("text", "c")]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["f", "g", "web_search"]),
        ({"type": "allowed_tools"}, ["f", "g", "web_search"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": "g"}}]}},
            ["g"],
        ),
        ({"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "web_search"}, 3]}}, ["web_search"]),
        ({"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": {}}}]}}, []),
    ],
)  # fmt: skip
def test_a_choice_may_leave_only_some_tools(choice, names):
    tools = (Tool("f"), Tool("g"), Tool("web_search", "server"))
    assert [tool.name for tool in only_allowed(tools, choice)] == names
