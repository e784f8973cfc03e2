from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.wire import responses
from openfusion_auto.wire.responses import Reader, Writer, deltas_of, read_answer
from openfusion_auto.wire.responses_tools import ClientTools

from .responses_samples import (
    accept_events,
    custom,
    deltas,
    function,
    message,
    parsed,
    reasoning,
    response,
    types,
)
from .test_responses_answer import ANSWERS
from .test_responses_reader import WHOLE

HUB = ("text", "reasoning", "opaque", "tool_calls", "finish", "usage", "model")


def stream(answer: Answer, **options: object) -> bytes:
    return b"".join(d.raw for d in deltas_of(answer, **options))


def hub(answer: Answer) -> list[object]:
    return [getattr(answer, name) for name in HUB]


def test_the_interface_is_whole():
    assert all(hasattr(responses, name) for name in responses.__all__)
    assert (Reader, Writer) == (responses.ResponsesReader, responses.ResponsesWriter)


def test_a_streamed_answer_gives_its_own_deltas():
    reader = Reader()
    came = tuple(reader.feed(WHOLE))
    assert deltas_of(reader.answer()) == came


@pytest.mark.parametrize(
    "output",
    [
        (message("hi"),), (reasoning(), message("hi"), function("f", '{"a":1}'), custom()),
        ({"type": "web_search_call", "id": "ws", "status": "completed"}, message("x")),
    ],
)  # fmt: skip
def test_a_body_becomes_a_stream_that_says_the_same(output):
    answer = read_answer(json.dumps(response(*output, openfusion={"old": 1})).encode())
    found = deltas_of(answer)
    assert found[-1].done
    reader = Reader()
    reader.feed(b"".join(d.raw for d in found))
    assert hub(reader.answer()) == hub(answer)
    events = parsed(b"".join(d.raw for d in found))
    assert events[-1]["response"]["output"] == list(output)
    assert "openfusion" not in events[0]["response"]
    assert types(events)[:2] == ["created", "in_progress"]


def test_a_cut_body_is_a_cut_stream():
    cut = response(
        message("x"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    events = parsed(stream(read_answer(json.dumps(cut).encode())))
    assert events[-1]["type"] == "response.incomplete"
    assert events[0]["response"]["incomplete_details"] is None


def test_a_recipes_answer_is_built():
    answer = Answer(
        tool_calls=(
            ToolCall("c", "git__log", "{}"),
            ToolCall("d", "apply_patch", '{"input":"*"}'),
        ),
        finish="tool_calls",
        usage=Usage(1, 2),
    )
    known = ClientTools(frozenset(), {"git__log": ("git", "log")})
    options = {"tools": known, "custom": frozenset({"apply_patch"}), "echo": {"instructions": "r"}}
    events = parsed(stream(answer, model="m", answer_id="resp_z", created=5, **options))
    accept_events(events)
    final = events[-1]["response"]
    assert [i.get("namespace", i.get("input")) for i in final["output"]] == ["git", "*"]
    assert (final["id"], final["created_at"], final["model"], final["instructions"]) == (
        "resp_z", 5, "m", "r",
    )  # fmt: skip


@given(ANSWERS, st.booleans())
def test_any_answer_streamed_and_relayed_is_valid_and_means_the_same(answer, guarded):
    found = deltas_of(answer, model="m")
    if found[-1].error is not None:
        assert not answer.text
        assert not answer.tool_calls
        return
    out = Writer(guarded=guarded)
    if guarded and any(c.arguments == "free" and c.kind == "function" for c in answer.tool_calls):
        return
    written = b"".join(out.write(d) for d in found) + out.finish({"trace_id": "t"}, None)
    events = parsed(written)
    accept_events(events)
    assert events[-1]["response"]["openfusion"] == {"trace_id": "t"}
    back = deltas(written)
    assert "".join(d.text for d in back) == answer.text
    assert "".join(d.reasoning for d in back) == answer.reasoning
