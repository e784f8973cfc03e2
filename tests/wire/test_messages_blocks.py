from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Message, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.messages_blocks import (
    UNSIGNED,
    data_url,
    is_unsigned,
    read_messages,
    read_system,
    read_tools,
    split_data_url,
)

from .claude import CALL, LOOP, RESULT, TOOL

USER = {"role": "user", "content": "hi"}


def refused(read, value) -> str:
    with pytest.raises(BadRequest) as error:
        read(value)
    return str(error.value.param)


def said(*blocks: object, role: str = "user") -> tuple[Message, ...]:
    return read_messages([*LOOP[:2], {"role": role, "content": list(blocks)}])[2:]


# --- system --------------------------------------------------------------------------------------------------


def test_the_system_prompt_is_one_message():
    assert read_system("be brief")[0].text == "be brief"
    both = [{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b"}]
    (message,) = read_system(both)
    assert (message.role, message.text) == ("system", "a\nb")
    assert message.parts[0].raw == both[0]


@pytest.mark.parametrize("value", [None, "", []])
def test_no_system_prompt_is_no_message(value):
    assert read_system(value) == ()


def test_the_billing_header_is_left_out():
    header = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1f"}
    assert read_system([header]) == ()
    assert read_system([header, {"type": "text", "text": "rules"}])[0].text == "rules"


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (5, "system"), ([1], "system[0]"), ([{"type": "image"}], "system[0].type"),
        ([{"type": "text"}], "system[0].text"),
    ],
)  # fmt: skip
def test_a_system_prompt_that_cannot_be_is_refused(value, at):
    assert refused(read_system, value) == at


# --- messages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (None, "messages"), ("hi", "messages"), ([], "messages"), ([1], "messages[0]"),
        ([{"content": "x"}], "messages[0].role"), ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"), ([{"role": "user", "content": 1}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": 5}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "No type!"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image"}]}], "messages[0].content[0].source"),
        ([{"role": "user", "content": [{"type": "image", "source": {}}]}], "messages[0].content[0].source.type"),
        ([{"role": "user", "content": [{"type": "image", "source": {"type": "base64"}}]}],
         "messages[0].content[0].source.media_type"),
        ([{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}],
         "messages[0].content[0].source.url"),
        ([{"role": "user", "content": [{"type": "document", "source": {"type": "text"}}]}],
         "messages[0].content[0].source.data"),
        ([{"role": "user", "content": [RESULT]}], "messages[0].content[0].tool_use_id"),
        ([{"role": "user", "content": [{"type": "tool_result"}]}], "messages[0].content[0].tool_use_id"),
        ([USER, {"role": "assistant", "content": [RESULT]}], "messages[1].content"),
        ([USER, {"role": "assistant", "content": [{**CALL, "id": None}]}], "messages[1].content[0].id"),
        ([USER, {"role": "assistant", "content": [{**CALL, "name": ""}]}], "messages[1].content[0].name"),
        ([USER, {"role": "assistant", "content": [{**CALL, "input": "x"}]}], "messages[1].content[0].input"),
        ([*LOOP[:2], {"role": "user", "content": [{**RESULT, "is_error": "no"}]}],
         "messages[2].content[0].is_error"),
        ([*LOOP[:2], {"role": "user", "content": [{**RESULT, "content": 7}]}],
         "messages[2].content[0].content"),
    ],
)  # fmt: skip
def test_messages_that_cannot_be_are_refused_by_their_place(value, at):
    assert refused(read_messages, value) == at


def test_a_system_message_stands_in_its_place_but_not_first():
    told = {"role": "system", "content": [{"type": "text", "text": "mind the tests"}]}
    plain = {"role": "system", "content": "and the docs"}
    found = read_messages([USER, told, plain, USER])
    assert [m.role for m in found] == ["user", "system", "system", "user"]
    assert [m.text for m in found[1:3]] == ["mind the tests", "and the docs"]
    assert refused(read_messages, [told, USER]) == "messages[0].role"


def test_a_string_is_one_text_and_an_empty_one_none():
    assert read_messages([USER])[0].text == "hi"
    assert read_messages([{"role": "user", "content": ""}]) == (Message("user"),)


def test_results_and_the_words_around_them_are_messages_of_their_own():
    found = said({"type": "text", "text": "before"}, RESULT, {"type": "text", "text": "after"})
    assert [(m.role, m.text, m.tool_call_id) for m in found] == [
        ("user", "before", None), ("tool", "done", "toolu_1"), ("user", "after", None),
    ]  # fmt: skip
    assert [m.role for m in said(RESULT)] == ["tool"]


def test_a_failed_result_says_so_and_an_empty_one_is_empty():
    (failed,) = said({**RESULT, "is_error": True})
    assert failed.failed
    assert not said(RESULT)[0].failed
    assert said({"type": "tool_result", "tool_use_id": "toolu_1"})[0].parts == ()


def test_a_result_holds_pictures():
    source = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    inside = [{"type": "text", "text": "see"}, {"type": "image", "source": source}]
    (result,) = said({**RESULT, "content": inside})
    assert [p.kind for p in result.parts] == ["text", "image"]
    picture = result.parts[1]
    assert (picture.url, picture.media, picture.size) == (
        "data:image/png;base64,aGk=", "image/png", 4,
    )  # fmt: skip


def test_behind_a_compaction_a_call_may_be_gone():
    squeezed = {"role": "assistant", "content": [{"type": "compaction", "content": "summary"}]}
    orphan = {"role": "user", "content": [{**RESULT, "tool_use_id": "gone"}]}
    assert read_messages([USER, squeezed, orphan])[2].tool_call_id == "gone"


def test_calls_keep_id_name_and_input():
    (message,) = said(
        {"type": "text", "text": "ok"}, CALL, {**CALL, "input": None}, role="assistant"
    )
    assert message.text == "ok"
    assert message.tool_calls[0] == ToolCall("toolu_1", "edit", '{"path":"a.py"}')
    assert message.tool_calls[1].arguments == "{}"


def test_thinking_keeps_its_signature_and_redacted_thinking_its_data():
    signed = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    hidden = {"type": "redacted_thinking", "data": "ZW5j"}
    (message,) = said(signed, hidden, {"type": "thinking"}, role="assistant")
    assert [(p.kind, p.text, p.opaque) for p in message.parts] == [
        ("reasoning", "hm", "c2ln"), ("reasoning", "", "ZW5j"), ("reasoning", "", ""),
    ]  # fmt: skip
    assert message.parts[0].raw == signed


def test_thinking_that_this_router_made_is_signed_by_nobody():
    made = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    (message,) = said(made, role="assistant")
    assert (message.parts[0].text, message.parts[0].opaque) == ("hm", "")
    assert is_unsigned(made)
    assert not is_unsigned({**made, "signature": "c2ln"})
    assert not is_unsigned("thinking")


def test_documents_are_files_and_plain_ones_can_be_read():
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}
    plain = {"type": "text", "media_type": "text/plain", "data": "naïve"}
    blocks = [{"type": "document", "source": s} for s in (
        pdf, plain, {"type": "url", "url": "https://x.test/a.pdf"}, {"type": "file", "file_id": "f"},
        {"type": "content", "content": []},
    )]  # fmt: skip
    (message,) = said(*blocks)
    first, second, third, fourth, fifth = message.parts
    assert (first.kind, first.media, first.url) == (
        "file", "application/pdf", "data:application/pdf;base64,JVBERg==",
    )  # fmt: skip
    assert (second.text, second.size, second.media) == ("naïve", 6, "text/plain")
    assert third.url == "https://x.test/a.pdf"
    assert (fourth.kind, fourth.url) == ("file", "")
    assert fifth.kind == "other"


@pytest.mark.parametrize("kind", ["search_result", "server_tool_use", "brand_new_block"])
def test_unknown_blocks_are_kept_as_they_came(kind):
    block = {"type": kind, "anything": [1]}
    (message,) = said(block, role="assistant")
    assert (message.parts[0].kind, message.parts[0].raw) == ("other", block)
    assert message.parts[0].size == len(json.dumps(block, separators=(",", ":")))


# --- tools ---------------------------------------------------------------------------------------------------


def test_a_tool_is_read_whole():
    given = {**TOOL, "strict": True, "defer_loading": True, "eager_input_streaming": True}
    (tool,) = read_tools([given])
    assert (tool.name, tool.kind, tool.description, tool.strict) == (
        "edit", "function", "Edits a file.", True,
    )  # fmt: skip
    assert tool.schema == TOOL["input_schema"]
    assert tool.raw == given
    assert read_tools(None) == ()
    assert read_tools([{"name": "bare", "type": "custom"}])[0].schema is None


def test_a_tool_that_anthropic_defines_is_a_server_tool():
    named, bare = read_tools(
        [{"type": "web_search_20260318", "name": "web_search"}, {"type": "mcp_toolset"}]
    )
    assert (named.name, named.kind) == ("web_search", "server")
    assert (bare.name, bare.kind) == ("mcp_toolset", "server")


@pytest.mark.parametrize(
    ("tools", "at"),
    [
        ({}, "tools"), ([1], "tools[0]"), ([{}], "tools[0].name"), ([{"name": 5}], "tools[0].name"),
        ([{"type": 1}], "tools[0].type"), ([{**TOOL, "input_schema": "x"}], "tools[0].input_schema"),
        ([{**TOOL, "description": 1}], "tools[0].description"), ([{**TOOL, "strict": 1}], "tools[0].strict"),
    ],
)  # fmt: skip
def test_tools_that_cannot_be_are_refused_by_their_place(tools, at):
    assert refused(read_tools, tools) == at


@pytest.mark.parametrize(
    "url", ["https://x.test/a", "data:image/png,raw", "data:image/png;base64", ""]
)
def test_only_base64_data_urls_are_split(url):
    assert split_data_url(url) is None
    assert split_data_url(data_url("image/png", "aGk=")) == ("image/png", "aGk=")
