"""Chat servers' own ways of speaking, said plainly to the hub and to clients."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.chat_answer import read_answer
from openfusion_auto.wire.chat_plain import make_plain
from openfusion_auto.wire.chat_reader import ChatReader

HELD = {"name": "f", "arguments": "{}"}
THOUGHT = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
}
TEXT = {"type": "text", "text": "c"}


def call(arguments: object) -> dict[str, object]:
    return {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    }


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        (
            {"function_call": HELD},
            {"tool_calls": [{"index": 0, "type": "function", "function": HELD}]},
        ),
        ({"function_call": HELD, "tool_calls": [call("{}")]}, {"tool_calls": [call("{}")]}),
        ({"content": [THOUGHT]}, {"content": "", "reasoning_content": "ab"}),
        ({"content": [THOUGHT, TEXT]}, {"content": "c", "reasoning_content": "ab"}),
        ({"content": [TEXT, {"type": "text", "text": None}]}, {"content": "c"}),
        ({"tool_calls": [call(None)]}, {"tool_calls": [call("")]}),
    ],
)
def test_what_is_not_plain_is_mended(said, plain):
    choices = [{"index": 0, "delta": json.loads(json.dumps(said)), "finish_reason": None}]
    assert make_plain(choices, "delta")
    assert choices[0]["delta"] == plain


@pytest.mark.parametrize(
    "said",
    [
        {"content": "c", "tool_calls": [call("{}")], "function_call": None},
        {"content": [TEXT, {"type": "image_url", "image_url": {}}]},
        {"content": []},
        {"content": ["x"]},
        {"content": [{"type": ["text"]}, TEXT]},
        {"tool_calls": [call("{}"), 3, {"function": None}]},
        {"tool_calls": "x"},
    ],
)
def test_what_is_plain_or_cannot_be_stays(said):
    choices = [{"index": 0, "message": json.loads(json.dumps(said))}, "x", {"message": None}]
    assert not make_plain(choices, "message")
    assert choices[0]["message"] == said
    assert not make_plain(None, "message")


def test_a_stream_is_read_and_relayed_plainly():
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": [THOUGHT]}}]},
        {"choices": [{"index": 0, "delta": {"content": "c"}}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [call(None)]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    reader = ChatReader()
    raw = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    thought, text, called, _ = reader.feed(raw)
    assert json.loads(thought.raw[6:])["choices"][0]["delta"]["content"] == ""
    assert (thought.reasoning, text.text) == ("ab", "c")
    assert b"null" not in called.raw
    assert reader.answer().reasoning == "ab"


def test_a_whole_answer_is_read_and_told_plainly():
    choice = {"index": 0, "message": {"role": "assistant", "content": [THOUGHT, TEXT]}}
    answer = read_answer(json.dumps({"choices": [choice]}).encode())
    assert (answer.text, answer.reasoning) == ("c", "ab")
    assert json.loads(answer.raw)["choices"][0]["message"]["content"] == "c"
