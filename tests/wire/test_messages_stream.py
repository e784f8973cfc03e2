from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.wire.messages_answer import read_answer
from openfusion_auto.wire.messages_stream import deltas_of
from openfusion_auto.wire.messages_writer import MessagesWriter

from .claude import CALL, accumulated, answers, deltas, end, message, start, text, validated

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}


def stream(found: tuple[Delta, ...]) -> bytes:
    out = MessagesWriter()
    return b"".join(map(out.write, found)) + out.finish({"trace_id": "t"}, None)


def test_an_answer_that_was_streamed_gives_its_own_deltas():
    own = tuple(deltas(start(), text(0, "a"), end()))
    assert deltas_of(Answer("a", deltas=own, dialect="messages")) == own


def test_a_stream_of_another_dialect_is_made_anew():
    found = deltas_of(Answer("a", deltas=(Delta(b"data: {}\n\n", "a"),), finish="stop"))
    assert accumulated(stream(found)).content[0].text == "a"


def test_a_body_keeps_all_that_it_holds():
    citation = {
        "type": "char_location", "cited_text": "x", "document_index": 0, "start_char_index": 0,
        "end_char_index": 1, "document_title": None,
    }  # fmt: skip
    redacted = {"type": "redacted_thinking", "data": "ZW5j"}
    blocks = (
        THOUGHT,
        redacted,
        {"type": "text", "text": "x" * 9000, "citations": [citation]},
        CALL,
    )
    body = message(*blocks, stop="tool_use", brand_new=1, openfusion={"own": 1})
    found = deltas_of(read_answer(json.dumps(body).encode()))
    events = validated(stream(found))
    assert events[0]["message"]["brand_new"] == 1
    assert "openfusion" not in events[0]["message"]
    whole = accumulated(stream(found))
    assert [b.type for b in whole.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    assert (whole.content[0].signature, whole.content[1].data) == ("c2ln", "ZW5j")
    assert whole.content[2].text == "x" * 9000
    assert {"type": "citations_delta", "citation": citation} in [e.get("delta") for e in events]
    assert (whole.content[3].input, whole.stop_reason) == ({"path": "a.py"}, "tool_use")
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (7, 2)


def test_citations_of_null_and_thinking_without_a_signature_are_valid():
    blocks = ({"type": "text", "text": "a", "citations": None}, {**THOUGHT, "signature": None})
    out = stream(deltas_of(read_answer(json.dumps(message(*blocks)).encode())))
    assert b"citations" not in out
    assert [b.type for b in accumulated(out).content] == ["text", "thinking"]


def test_usage_that_is_not_known_is_not_reported():
    body = message(usage=None)
    del body["usage"]
    found = deltas_of(read_answer(json.dumps(body).encode()))
    assert all(d.usage is None for d in found)
    validated(stream(found))


@given(answers())
def test_any_answer_is_the_sdks_as_a_stream(answer):
    found = deltas_of(replace(answer, model="m"))
    assert found[-1].done
    whole = accumulated(stream(found))
    assert (whole.id, whole.model) == ("msg_openfusion", "m")
    assert "".join(b.text for b in whole.content if b.type == "text") == answer.text
    asked = [(b.id, b.name, b.input) for b in whole.content if b.type == "tool_use"]
    assert asked == [(c.id, c.name, json.loads(c.arguments)) for c in answer.tool_calls]


@given(answers())
def test_a_body_and_its_stream_read_the_same(answer):
    once = deltas_of(answer)
    again = deltas_of(replace(answer, dialect="messages"))
    assert [d.data for d in once] == [d.data for d in again]
