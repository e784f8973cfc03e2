from __future__ import annotations

import itertools
import json

import pytest
from anthropic.types import MessageParam
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from openfusion_auto.core.prompt import Message, Part, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.messages_blocks import data_url
from openfusion_auto.wire.messages_turns import (
    CONTINUED,
    input_of,
    render_system,
    render_tools,
    render_turns,
)

from .claude import calls, numbered, words

PARAM = TypeAdapter(list[MessageParam])


def of(role: str, *texts: str) -> Message:
    return Message(role, tuple(Part("text", t) for t in texts))


def turns(*messages: Message, begin: bool = True):
    lost: list[str] = []
    return render_turns(messages, lost, begin=begin), lost


def told(text: str) -> dict[str, object]:
    return {"type": "text", "text": text}


def test_instructions_at_the_beginning_are_the_system_prompt():
    messages = (of("system", "a"), of("developer", "b", " "), of("user", "hi"))
    assert render_system(messages) == [told("a"), told("b")]
    assert turns(*messages) == ([("user", [told("hi")])], [])


def test_later_instructions_are_the_users_words_and_listed():
    found, lost = turns(of("user", "hi"), of("system", "mind"), of("developer", "this"))
    assert found == [("user", [told("hi"), told("mind"), told("this")])]
    assert lost == ["instructions as user text of 2 messages"]


def test_neighbours_of_one_role_are_one_turn_with_results_first():
    asked = Message("assistant", (), (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")))
    found, lost = turns(
        of("user", "hi"),
        asked,
        of("user", "by the way"),
        Message("tool", (Part("text", "1"),), tool_call_id="a"),
        Message("tool", (Part("text", "2"),), tool_call_id="b"),
    )
    assert [role for role, _ in found] == ["user", "assistant", "user"]
    assert [b.get("tool_use_id", b.get("text")) for b in found[2][1]] == ["a", "b", "by the way"]
    assert lost == []


def test_a_conversation_begins_with_the_user():
    found, lost = turns(of("assistant", "hello"))
    assert found == [("user", [told(CONTINUED)]), ("assistant", [told("hello")])]
    assert lost == ["beginning by the assistant"]
    assert turns(of("assistant", "hello"), begin=False) == ([("assistant", [told("hello")])], [])


def test_a_system_prompt_alone_is_what_the_user_says():
    found, lost = turns(of("system", "translate"))
    assert found == [("user", [told("translate")])]
    assert lost == ["system prompt said again as the user's words"]


def test_a_conversation_without_words_is_refused():
    with pytest.raises(BadRequest):
        turns(of("user", " "), of("assistant", ""))
    assert turns(of("user", ""), begin=False) == ([], [])


def test_empty_text_which_the_api_refuses_is_left_out():
    assert turns(of("user", "a", "\n "))[0] == [("user", [told("a")])]


def test_refusals_are_text_and_reasoning_is_listed():
    said = Message("assistant", (Part("reasoning", "hm", opaque="x"), Part("refusal", "no")))
    found, lost = turns(of("user", "hi"), said, of("user", "why"), said)
    assert found[1] == ("assistant", [told("no")])
    assert lost == ["reasoning of 2 messages"]


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (Part("image", url=data_url("image/png", "aGk=")), {"type": "base64", "media_type": "image/png", "data": "aGk="}),
        (Part("image", url="https://x.test/a.png"), {"type": "url", "url": "https://x.test/a.png"}),
        (Part("file", url=data_url("application/pdf", "aGk=")),
         {"type": "base64", "media_type": "application/pdf", "data": "aGk="}),
        (Part("file", url="https://x.test/a.pdf"), {"type": "url", "url": "https://x.test/a.pdf"}),
        (Part("file", url=data_url("text/markdown", "aGk=")), {"type": "text", "media_type": "text/plain", "data": "hi"}),
        (Part("file", "hi"), {"type": "text", "media_type": "text/plain", "data": "hi"}),
    ],
)  # fmt: skip
def test_pictures_and_files_are_sent_on(part, source):
    kind = "image" if part.kind == "image" else "document"
    assert turns(Message("user", (part,)))[0] == [("user", [{"type": kind, "source": source}])]


@pytest.mark.parametrize(
    "part",
    [
        Part("image"), Part("image", url="file:///etc/passwd"), Part("audio", url=data_url("audio/wav", "aGk=")),
        Part("file"), Part("file", url=data_url("text/plain", "/w==")), Part("file", url=data_url("text/plain", "!")),
        Part("file", url=data_url("application/zip", "aGk=")), Part("other", raw={"type": "brand_new"}),
        Part("other", raw={"type": "not a word"}), Part("other"),
    ],
)  # fmt: skip
def test_what_a_user_sent_is_never_dropped(part):
    for message in (Message("user", (part,)), Message("tool", (part,), tool_call_id="a")):
        with pytest.raises(BadRequest) as error:
            turns(message)
        assert (error.value.param, error.value.code) == ("messages", "unsupported_content")


def test_what_another_upstreams_model_did_is_dropped_and_listed():
    said = Message(
        "assistant", (Part("other", raw={"type": "web_search_call"}), Part("text", "ok"))
    )
    found, lost = turns(of("user", "hi"), said)
    assert found[1] == ("assistant", [told("ok")])
    assert lost == ["part of type web_search_call"]


def test_results_keep_their_parts_and_their_failure():
    picture = Part("image", url=data_url("image/png", "aGk="))
    one = Message("tool", (Part("text", " "),), tool_call_id="a", failed=True)
    two = Message("tool", (Part("text", "x"), Part("text", ""), picture), tool_call_id="b")
    bare = Message("tool", tool_call_id="c")
    blocks = turns(one, two, bare)[0][0][1]
    assert blocks[0] == {
        "type": "tool_result", "tool_use_id": "a", "content": " ", "is_error": True,
    }  # fmt: skip
    assert [b["type"] for b in blocks[1]["content"]] == ["text", "image"]
    assert blocks[2] == {"type": "tool_result", "tool_use_id": "c"}


def test_a_legacy_result_without_a_call_is_the_users_text():
    assert turns(Message("tool", (Part("text", "42"),)))[0] == [("user", [told("42")])]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (ToolCall("a", "f", ""), {}), (ToolCall("a", "f", " "), {}), (ToolCall("a", "f", '{"x": 1}'), {"x": 1}),
        (ToolCall("a", "f", "*** Begin", "custom"), {"input": "*** Begin"}), (ToolCall("a", "f", "[1]"), None),
        (ToolCall("a", "f", '{"x"'), None),
    ],
)  # fmt: skip
def test_arguments_are_the_object_that_they_hold(call, expected):
    assert input_of(call) == expected


def test_arguments_that_are_no_object_are_kept_as_text_and_listed():
    broken = Message("assistant", (), (ToolCall("a", "f", '{"x"'),))
    found, lost = turns(of("user", "hi"), broken)
    assert found[1][1][0]["input"] == {"arguments": '{"x"'}
    assert lost == ["form of the arguments of a call of f, which are no JSON object"]


def test_tools_are_objects_with_a_schema():
    lost: list[str] = []
    tools = [
        Tool("f", description="does", schema={"type": "object"}, strict=True),
        Tool("g", schema={"properties": {}}, strict=False),
        Tool("h"),
        Tool("web", "server"),
    ]
    assert render_tools(tools, lost) == [
        {"name": "f", "description": "does", "input_schema": {"type": "object"}, "strict": True},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert lost == ["server tool web"]


def test_a_free_text_tool_takes_one_string_and_describes_its_grammar():
    lost: list[str] = []
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: patch"}
    (tool,) = render_tools(
        [Tool("apply_patch", "custom", description="Patches.", grammar=grammar)], lost
    )
    assert tool["input_schema"]["required"] == ["input"]
    assert "Patches." in tool["description"]
    assert "start: patch" in tool["description"]
    assert lost == ["grammar of custom tool apply_patch"]


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    out: list[Message] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["system", "user", "assistant", "loop"]))
        if kind != "loop":
            out.append(of(kind, *draw(st.lists(words, max_size=2))))
            continue
        asked = numbered(draw(st.lists(calls, min_size=1, max_size=2)))
        out.append(
            Message(
                "assistant",
                tuple(Part("text", t) for t in draw(st.lists(words, max_size=1))),
                asked,
            )
        )
        out += (Message("tool", (Part("text", draw(words)),), tool_call_id=c.id) for c in asked)
    return out


def test_a_file_keeps_its_name():
    part = Part("file", url="data:application/pdf;base64,QQ==", raw={"file": {"filename": "a.pdf"}})
    ((_, (block,)),), _ = turns(Message("user", (part,)))
    assert (block["type"], block["title"]) == ("document", "a.pdf")


@given(conversations())
def test_turns_are_what_the_api_wants(messages):
    try:
        found, _ = turns(*messages)
    except BadRequest:
        assert not any(p.text.strip() for m in messages for p in m.parts)
        return
    roles = [role for role, _ in found]
    assert roles[0] == "user"
    assert all(a != b for a, b in itertools.pairwise(roles))
    for role, content in found:
        assert content
        kinds = [b["type"] for b in content]
        assert role == "user" or "tool_result" not in kinds
        results = kinds.count("tool_result")
        assert kinds[:results] == ["tool_result"] * results
        assert all(b["text"].strip() for b in content if b["type"] == "text")
    PARAM.validate_python([{"role": r, "content": c} for r, c in found])
    asked = [b["id"] for _, c in found for b in c if b["type"] == "tool_use"]
    assert asked == [c.id for m in messages for c in m.tool_calls]
    json.dumps(found)
