from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.wire.chat_answer import read_answer, render_usage
from openfusion_auto.wire.chat_stream import PIECE, ChatReader, ChatWriter, deltas_of

from .chats import completion, parsed, sse

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "😀"}'}}


def body_answer(*args, **fields) -> Answer:
    return read_answer(json.dumps(completion(*args, **fields)).encode())


def objects(answer: Answer) -> list[dict]:
    return parsed(b"".join(d.raw for d in deltas_of(answer)))[:-1]


def test_a_body_becomes_the_stream_it_would_have_been():
    message = {
        "role": "assistant",
        "content": "hi",
        "reasoning_content": "hm",
        "tool_calls": [CALL],
    }
    found = objects(body_answer(message, "tool_calls", system_fingerprint="fp"))
    assert [o["choices"][0]["delta"] if o["choices"] else None for o in found] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "hi"},
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": "😀"}'}}]},
        {},
        None,
    ]
    assert [o["choices"][0]["finish_reason"] for o in found[:-1]] == [None] * 5 + ["tool_calls"]
    assert found[-1]["usage"] == completion()["usage"]
    shared = ("id", "object", "created", "model", "system_fingerprint")
    assert {tuple(o[k] for k in shared) for o in found} == {
        ("chatcmpl-1", "chat.completion.chunk", 1700000000, "vendor/m", "fp")
    }


def test_an_answer_of_a_recipe_is_one_stream_of_its_model():
    call = ToolCall("c", "p", "free", "custom")
    found = objects(Answer("hi", tool_calls=(call,), usage=Usage(3, 1), model="m"))
    assert {(o["id"], o["created"], o["model"]) for o in found} == {("chatcmpl-openfusion", 0, "m")}
    assert found[2]["choices"][0]["delta"]["tool_calls"][0]["custom"] == {"name": "p", "input": ""}
    assert found[3]["choices"][0]["delta"]["tool_calls"][0] == {
        "index": 0,
        "custom": {"input": "free"},
    }
    assert found[-1]["usage"] == render_usage(Usage(3, 1))


def test_deltas_that_were_streamed_are_given_again():
    reader = ChatReader()
    reader.feed(sse(*objects(body_answer())))
    answer = reader.answer()
    assert deltas_of(answer) is answer.deltas


def test_further_choices_and_unknown_content_are_kept():
    second = {
        "index": 1,
        "message": {"content": "b", "annotations": [1], "refusal": None},
        "finish_reason": "length",
    }
    first = {
        "index": 0,
        "message": {"content": "a"},
        "finish_reason": "stop",
        "logprobs": {"content": [{"token": "a"}]},
    }
    found = objects(body_answer(choices=[first, second]))
    shown = [
        (o["choices"][0]["index"], o["choices"][0]["delta"], o["choices"][0]["finish_reason"])
        for o in found[:-1]
    ]
    role = {"role": "assistant", "content": ""}
    assert shown == [
        (0, role, None), (0, {"content": "a"}, None), (0, {}, "stop"),
        (1, role, None), (1, {"content": "b"}, None), (1, {"annotations": [1]}, None), (1, {}, "length"),
    ]  # fmt: skip
    assert found[1]["choices"][0]["logprobs"] == {"content": [{"token": "a"}]}


def test_stop_with_calls_and_a_foreign_body_are_mended():
    assert (
        objects(body_answer({"tool_calls": [CALL]}, "stop"))[-2]["choices"][0]["finish_reason"]
        == "tool_calls"
    )
    foreign = Answer("hi", raw=b"{}", data={"type": "message"})
    assert objects(foreign)[1]["choices"][0]["delta"] == {"content": "hi"}


def test_no_event_passes_the_line_limits_of_readers():
    answer = Answer(
        "\u2028😀" * 10 * PIECE, tool_calls=(ToolCall("c", "f", json.dumps("é" * 10 * PIECE)),)
    )
    deltas = deltas_of(answer)
    assert max(len(d.raw) for d in deltas) < 64 * 1024
    assert "".join(d.text for d in deltas) == answer.text


def test_an_empty_answer_of_a_recipe_is_an_error_not_a_success():
    assert deltas_of(Answer())[-1].error.startswith("empty answer")


@pytest.mark.parametrize("include_usage", [True, False])
@given(
    text=st.text(max_size=30),
    reasoning=st.text(max_size=9),
    args=st.lists(st.integers().map(str), max_size=3),
    usage=st.booleans(),
)
def test_a_client_reads_the_same_answer_from_the_stream(
    include_usage, text, reasoning, args, usage
):
    calls = tuple(ToolCall(f"c{i}", f"f{i}", a) for i, a in enumerate(args))
    answer = Answer(text + "x", reasoning, calls, usage=Usage(5, 4) if usage else None, model="m")
    writer = ChatWriter(include_usage=include_usage, guarded=True)
    out = b"".join(writer.write(d) for d in deltas_of(answer)) + writer.finish(
        {"t": 1}, answer.usage
    )
    reader = ChatReader()
    assert reader.feed(out)[-1].done
    got = reader.answer()
    assert (got.text, got.reasoning, got.tool_calls, got.model) == (
        answer.text,
        reasoning,
        calls,
        "m",
    )
    assert got.finish == ("tool_calls" if calls else "stop")
    assert got.usage == (answer.usage if include_usage else None)
