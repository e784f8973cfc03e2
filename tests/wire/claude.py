"""Builders of Messages bodies and events, and a strict client, for the tests of this folder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence

from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import strategies as st
from pydantic import TypeAdapter

from openfusion_auto.core.prompt import Answer, Delta, ToolCall, Usage
from openfusion_auto.wire.messages_reader import MessagesReader

EVENT = TypeAdapter(RawMessageStreamEvent)
TOOL = {
    "name": "edit",
    "description": "Edits a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "edit", "input": {"path": "a.py"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
LOOP = [
    {"role": "user", "content": "fix it"},
    {"role": "assistant", "content": [CALL]},
    {"role": "user", "content": [RESULT]},
]


def body(**fields: object) -> dict[str, object]:
    whole = {
        "model": "openfusion/auto",
        "max_tokens": 500,
        "messages": [{"role": "user", "content": "hello"}],
        **fields,
    }
    return {key: value for key, value in whole.items() if value is not ...}


def raw(**fields: object) -> bytes:
    return json.dumps(body(**fields)).encode()


def message(*blocks: object, stop: str | None = "end_turn", **fields: object):
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(blocks) or [{"type": "text", "text": "hi"}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 2},
        **fields,
    }


# --- events --------------------------------------------------------------------------------------------------


def start(**fields: object):
    begun = message(stop=None, usage={"input_tokens": 7, "output_tokens": 1})
    return {"type": "message_start", "message": {**begun, "content": [], **fields}}


def block(index: int, content: dict[str, object], *deltas: dict[str, object]):
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str):
    deltas = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block(index, {"type": "text", "text": ""}, *deltas)


def thinking(index: int, *pieces: str, signature: str = "c2ln"):
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *deltas, signed)


def call(index: int, *pieces: str, call_id: str = "toolu_1", name: str = "edit"):
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return block(index, {"type": "tool_use", "id": call_id, "name": name, "input": {}}, *deltas)


def end(stop: str = "end_turn", **fields: object):
    return [
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 9},
            **fields,
        },
        {"type": "message_stop"},
    ]


def frame(event: object) -> bytes:
    data = json.dumps(event, ensure_ascii=False).encode()
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + data + b"\n\n"


def sse(*events: object) -> bytes:
    """Events, or lists of them, as a stream."""
    flat = [e for item in events for e in (item if isinstance(item, list) else [item])]
    return b"".join(frame(event) for event in flat)


PING = {"type": "ping"}


def deltas(*events: object) -> list[Delta]:
    reader = MessagesReader()
    return reader.feed(sse(*events)) + reader.close()


# --- a strict client -----------------------------------------------------------------------------------------


def parsed(stream: bytes) -> list[dict[str, object]]:
    """The events of a well-framed stream, each named by its type."""
    out = []
    for held in stream.split(b"\n\n")[:-1]:
        named, data = held.split(b"\n")
        event = json.loads(data.removeprefix(b"data: "))
        assert named == b"event: " + event["type"].encode()
        out.append(event)
    assert stream.endswith(b"\n\n") or not stream
    return out


def validated(stream: bytes) -> list[dict[str, object]]:
    """The events, held to the official SDK's types and to the order that the API promises."""
    events = parsed(stream)
    kinds = [e["type"] for e in events if e["type"] != "ping"]
    for event in events:
        if event["type"] != "ping":
            EVENT.validate_python(event)
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_delta") == 1
    open_: int | None = None
    count = 0
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_ is None
                assert event["index"] == count
                open_, count = count, count + 1
            case "content_block_delta":
                assert event["index"] == open_
            case "content_block_stop":
                assert event["index"] == open_
                open_ = None
    assert open_ is None
    return events


def accumulated(stream: bytes) -> Message:
    """The message that an SDK puts together of a valid stream."""
    whole: dict[str, object] = {}
    content: list[dict[str, object]] = []
    for event in validated(stream):
        match event["type"]:
            case "message_start":
                whole = dict(event["message"])
            case "content_block_start":
                content.append({**event["content_block"], "json": ""})
            case "content_block_delta":
                _grow(content[event["index"]], event["delta"])
            case "message_delta":
                whole |= event["delta"]
                whole["usage"] = {**whole["usage"], **event["usage"]}
    for held in content:
        said = held.pop("json")
        if held["type"] == "tool_use" and said:
            held["input"] = json.loads(said)
    return Message.model_validate({**whole, "content": content})


def _grow(held: dict[str, object], delta: dict[str, object]) -> None:
    match delta["type"]:
        case "text_delta":
            held["text"] += delta["text"]
        case "thinking_delta":
            held["thinking"] += delta["thinking"]
        case "signature_delta":
            held["signature"] = delta["signature"]
        case "input_json_delta":
            held["json"] += delta["partial_json"]


# --- random values -------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
names = st.sampled_from(["edit", "bash", "apply_patch", "mcp__git__log"])
objects = st.dictionaries(words, words | st.integers(-(2**60), 2**60) | st.none(), max_size=3)
usages = st.builds(
    lambda fresh, cached, written, out, thought: Usage(
        fresh + cached + written, out + thought, cached, written, thought
    ),
    *[st.integers(0, 10**6)] * 5,
)
calls = st.builds(
    lambda name, given: ToolCall("", name, json.dumps(given, ensure_ascii=False)), names, objects
)


def numbered(found: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(f"call_{i}", c.name, c.arguments, c.kind) for i, c in enumerate(found))


@st.composite
def answers(draw: st.DrawFn, dialect: str = "chat") -> Answer:
    """Answers with content, as read from another dialect."""
    asked = numbered(draw(st.lists(calls, max_size=3)))
    said = draw(words)
    if not asked and not said:
        said = "x"
    finish = "tool_calls" if asked else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return Answer(
        text=said,
        reasoning=draw(words),
        tool_calls=asked,
        finish=finish,
        usage=draw(st.none() | usages),
        dialect=dialect,
    )


def splits(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]
