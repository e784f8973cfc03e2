"""How one client's answers are written: by its dialect and what its own request says."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, ToolCall, Usage
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import stream_of, telling
from tests.wire import claude
from tests.wire import responses_samples as items

CUSTOM = {
    "chat": {"type": "custom", "custom": {"name": "apply_patch"}},
    "responses": {"type": "custom", "name": "apply_patch"},
}
WRAPPED = '{"input": "*** x"}'


def prompt(dialect, **more):
    body = {
        "chat": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
        "responses": items.body(),
        "messages": claude.body(),
    }[dialect]
    return CODECS[dialect].parse_request(json.dumps({**body, **more}).encode())


def told(dialect, **more):
    return telling(prompt(dialect, **more), answer_id="id_1", created=7)


def body_of(telling_, answer):
    raw = telling_.body(answer, {"t": 1}, model="v", usage=None, answer_id="id_1", created=7)
    return json.loads(raw)


@pytest.mark.parametrize("dialect", ["chat", "responses"])
@pytest.mark.parametrize("upstream", ["chat", "messages"])
def test_a_free_text_tools_call_of_another_dialect_is_decoded(dialect, upstream):
    answer = Answer(
        tool_calls=(ToolCall("c1", "apply_patch", WRAPPED),),
        finish="tool_calls",
        usage=Usage(1, 1),
        dialect=upstream,
    )
    found = json.dumps(body_of(told(dialect, tools=[CUSTOM[dialect]]), answer))
    assert ('"*** x"' in found) == (dialect != upstream)
    assert "openfusion" in found


@pytest.mark.parametrize("asked", [None, {"type": "disabled"}, {"type": "adaptive"}])
def test_thinking_is_shown_to_those_who_asked(asked):
    answer = Answer("hi", "hm", finish="stop", usage=Usage(1, 1))
    found = body_of(told("messages", **({"thinking": asked} if asked else {})), answer)
    shown = asked == {"type": "adaptive"}
    assert [b["type"] for b in found["content"]] == (["thinking"] if shown else []) + ["text"]
    writer = told("messages", **({"thinking": asked} if asked else {})).writer(
        guarded=True, model=None
    )
    assert (b"thinking_delta" in writer.write(Delta(b"", reasoning="hm"))) == shown


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_only_responses_opens_a_stream_before_an_answer(dialect):
    assert told(dialect).opening("openfusion/auto") == b""


def test_an_opened_stream_goes_on_under_its_id_and_numbers_over_all_attempts():
    one = told("responses")
    opened = items.parsed(one.opening("openfusion/auto"))
    assert items.types(opened) == ["created", "in_progress"]
    assert opened[0]["response"]["id"] == "id_1"
    assert opened[0]["response"]["created_at"] == 7
    assert opened[0]["response"]["model"] == "openfusion/auto"
    assert one.opening("openfusion/auto") == b""
    for n in range(2):
        writer = one.writer(guarded=True, model=None)
        if n:
            out = writer.write(Delta(b"", text="hi")) + writer.write(Delta(b"", finish="stop"))
            events = items.parsed(out + writer.finish({"t": 1}, None))
    assert events[0]["sequence_number"] == 2
    assert events[-1]["response"]["id"] == "id_1"


def test_a_chat_writer_knows_the_clients_tools_and_wish_for_usage():
    one = told("chat", tools=[CUSTOM["chat"]], stream=True, stream_options={"include_usage": True})
    writer = one.writer(guarded=True, model="shown")
    call = CallDelta(0, 0, "c1", "apply_patch", WRAPPED)
    out = b"".join(
        writer.write(d)
        for d in (
            Delta(b"", calls=(call,), dialect="messages"),
            Delta(b"", finish="tool_calls", usage=Usage(3, 2), dialect="messages"),
            Delta(b"", done=True, dialect="messages"),
        )
    )
    out += writer.finish(None, None)
    assert b'"*** x"' in out
    assert b'"prompt_tokens":3' in out
    assert b'"id":"id_1"' in out


@pytest.mark.parametrize("dialect", ["chat", "responses", "messages"])
def test_a_streamed_answer_gives_its_own_events_and_a_whole_one_is_made_into_some(dialect):
    own = (Delta(b"x", text="x", dialect=dialect),)
    assert stream_of(Answer("x", deltas=own, dialect=dialect)) is own
    made = stream_of(Answer("hello", finish="stop", usage=Usage(1, 1), dialect=dialect))
    assert "".join(d.text for d in made) == "hello"
    assert made[-1].done
