from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import CallDelta, ToolCall, Usage
from openfusion_auto.wire.messages_reader import MessagesReader

from .claude import (
    PING,
    block,
    call,
    deltas,
    end,
    frame,
    parsed,
    splits,
    sse,
    start,
    text,
    thinking,
)

WHOLE = (
    start(),
    PING,
    thinking(0, "h", "m"),
    text(1, "h", "i"),
    call(2, '{"a"', ":1}"),
    end("tool_use"),
)


def read(data: bytes) -> MessagesReader:
    reader = MessagesReader()
    reader.feed(data)
    reader.close()
    return reader


def errors(*events: object) -> str:
    *before, last = deltas(*events)
    assert all(d.error is None for d in before)
    return last.error or ""


# --- what is read --------------------------------------------------------------------------------------------


def test_a_stream_is_read_whole():
    answer = read(sse(*WHOLE)).answer()
    assert (answer.text, answer.reasoning, answer.opaque) == ("hi", "hm", "c2ln")
    assert answer.tool_calls == (ToolCall("toolu_1", "edit", '{"a":1}'),)
    assert (answer.finish, answer.model, answer.usage) == ("tool_calls", "claude-x", Usage(7, 9))
    assert answer.dialect == "messages"
    assert b"".join(d.raw for d in answer.deltas) == sse(*WHOLE)


def test_each_event_is_a_delta_with_what_it_adds():
    found = deltas(*WHOLE)
    assert "".join(d.text for d in found) == "hi"
    assert "".join(d.reasoning for d in found) == "hm"
    assert [d.opaque for d in found if d.opaque] == ["c2ln"]
    assert [c for d in found for c in d.calls] == [
        CallDelta(0, 0, "toolu_1", "edit", ""),
        CallDelta(0, 0, None, None, '{"a"'),
        CallDelta(0, 0, None, None, ":1}"),
    ]
    assert [d.finish for d in found if d.finish] == ["tool_calls"]
    assert [d.done for d in found] == [False] * (len(found) - 1) + [True]
    assert {d.dialect for d in found} == {"messages"}


def test_usage_is_a_running_total():
    begun = start(usage={"input_tokens": 3, "cache_read_input_tokens": 90, "output_tokens": 1})
    late = {"input_tokens": 0, "output_tokens": 8, "cache_read_input_tokens": None}
    found = deltas(begun, text(0, "a"), end(usage=late))
    assert [d.usage for d in found if d.usage] == [Usage(93, 1, 90), Usage(93, 8, 90)]


def test_usage_that_is_told_at_the_end_alone_counts():
    begun = start(usage={"input_tokens": 0, "output_tokens": 0})
    found = deltas(begun, text(0, "a"), end(usage={"input_tokens": 5, "output_tokens": 2}))
    assert [d.usage for d in found if d.usage] == [Usage(5, 2)]
    assert read(sse(begun, text(0, "a"), end(usage=None))).answer().usage is None


def test_arguments_of_a_call_are_written_at_its_end_where_no_piece_held_them():
    whole = block(0, {"type": "tool_use", "id": "t", "name": "edit", "input": {"a": 1}})
    assert read(sse(start(), whole, end("tool_use"))).answer().tool_calls[0].arguments == '{"a":1}'
    bare = read(sse(start(), call(0, ""), end("tool_use"))).answer().tool_calls[0]
    assert bare.arguments == "{}"
    streamed = block(
        0,
        {"type": "tool_use", "id": "t", "name": "edit", "input": {"a": 1}},
        {"type": "input_json_delta", "partial_json": '{"b":2}'},
    )
    assert (
        read(sse(start(), streamed, end("tool_use"))).answer().tool_calls[0].arguments == '{"b":2}'
    )


def test_a_call_without_an_id_gets_a_stable_one():
    answer = read(sse(start(), call(0, "{}", call_id=""), end("tool_use"))).answer()
    assert answer.tool_calls[0].id == "call_0_edit"


def test_an_end_with_calls_is_tool_calls():
    assert read(sse(start(), call(0, "{}"), end("end_turn"))).answer().finish == "tool_calls"


def test_redacted_thinking_is_opaque():
    hidden = block(0, {"type": "redacted_thinking", "data": "ZW5j"})
    assert read(sse(start(), hidden, text(1, "a"), end())).answer().opaque == "ZW5j"


def test_text_in_the_start_of_a_block_counts():
    begun = block(0, {"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"})
    thought = block(1, {"type": "thinking", "thinking": "c", "signature": "s"})
    answer = read(sse(start(), begun, thought, end())).answer()
    assert (answer.text, answer.reasoning, answer.opaque) == ("ab", "c", "s")


def test_unknown_events_blocks_and_deltas_pass_as_they_came():
    odd = block(0, {"type": "brand_new", "text": "no text"}, {"type": "newer_delta", "text": "?"})
    events = (start(), {"type": "later", "x": 1}, odd, end())
    found = deltas(*events)
    assert b"".join(d.raw for d in found) == sse(*events)
    assert found[-1].done
    assert read(sse(*events)).answer().text == ""


def test_block_indexes_are_counted_from_zero():
    holes = deltas(start(), text(1, "a"), call(3, "{}"), end())
    again = deltas(start(), text(0, "a"), call(0, "{}"), end())
    expected = parsed(sse(start(), text(0, "a"), call(1, "{}"), end()))
    for found in (holes, again):
        assert parsed(b"".join(d.raw for d in found)) == expected
        assert [d.data for d in found] == expected


def test_an_event_without_a_type_takes_the_name_of_its_event():
    data = b'event: ping\ndata: {"x":1}\n\n'
    first, *_ = MessagesReader().feed(data)
    assert first.data == {"x": 1, "type": "ping"}
    assert parsed(first.raw) == [{"x": 1, "type": "ping"}]


def test_an_event_of_the_servers_own_is_skipped():
    own = b'event: x.status\ndata: {"queue": 3}\n\n'
    error = b'event: x\ndata: {"error": {"type": "overloaded_error"}}\n\n'
    assert MessagesReader().feed(own) == []
    assert MessagesReader().feed(error)[0].error


def test_citations_of_null_are_taken_out():
    cited = block(0, {"type": "text", "text": "", "citations": None})
    _, first, *_ = deltas(start(), cited)
    assert parsed(first.raw)[0]["content_block"] == {"type": "text", "text": ""}


def test_comments_and_framing_of_any_kind_are_read():
    data = b": hi\n\n" + sse(*WHOLE).replace(b"\n", b"\r\n")
    assert read(data).answer().text == "hi"


def test_without_keeping_nothing_is_kept():
    reader = MessagesReader(keep=False)
    assert reader.feed(sse(*WHOLE))[-1].done
    assert reader.answer().deltas == ()
    assert reader.answer().text == "hi"


def test_what_comes_behind_the_end_is_dropped():
    reader = MessagesReader()
    reader.feed(sse(*WHOLE))
    assert reader.feed(sse(text(9, "more"))) == []
    assert reader.close() == []


# --- how a stream ends ---------------------------------------------------------------------------------------


def test_a_stream_may_end_without_message_stop():
    *_, last = deltas(start(), text(0, "a"), end()[:1])
    assert last.done
    assert last.raw == b""


def test_a_last_event_without_its_blank_line_is_read():
    reader = MessagesReader()
    reader.feed(sse(start(), text(0, "a"), end()).removesuffix(b"\n\n"))
    assert [d.done for d in reader.close()] == [True]


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((), "empty"), ((PING,), "empty"), ((start(), text(0, "a")), "cut"), ((start(), end()), "empty answer"),
        ((start(), thinking(0, "hm"), end()), "empty answer"), ((start(), text(0, ""), end()), "empty answer"),
        ((start(), text(0, "a"), {"type": "message_stop"}), "cut"),
        ((text(0, "a"),), "does not begin with message_start"), (({"type": "message_start"},), "no message"),
        ((start(), {"type": "content_block_start", "index": 0}), "no block"),
        ((start(), {"type": "content_block_delta", "index": 0, "delta": {}}), "no content block"),
        ((start(), {"type": "content_block_stop", "index": 0}), "no content block"),
        ((start(), call(0, "{}", name="")), "no name"),
        ((start(), block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": 5})), "not text"),
        (({"type": "error", "error": {"type": "overloaded_error", "message": "sk-x"}},), "(overloaded_error)"),
        ((start(), {"type": "odd", "error": {"code": "boom"}}), "(boom)"),
    ],
)  # fmt: skip
def test_a_stream_that_breaks_says_how_in_our_own_words(events, why):
    said = errors(*events)
    assert why in said
    assert "sk-x" not in said


@pytest.mark.parametrize("stop", ["max_tokens", "refusal"])
def test_an_answer_that_was_cut_may_be_empty(stop):
    assert deltas(start(), end(stop))[-1].done


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b"data: [1]\n\n", b"data: NaN\n\n", b"data: \xff\n\n"]
)
def test_an_event_that_is_no_object_is_an_error(data):
    reader = MessagesReader()
    (last,) = reader.feed(data)
    assert last.error
    assert reader.feed(sse(*WHOLE)) == []


def test_a_half_event_at_the_end_is_a_cut():
    reader = MessagesReader()
    reader.feed(sse(start(), text(0, "a")) + b'event: message_delta\ndata: {"type":"mess')
    assert "cut" in reader.close()[-1].error


def test_an_endless_event_is_an_error():
    reader = MessagesReader(limit=50)
    assert "too long" in reader.feed(b"data: " + b"x" * 100)[-1].error


@given(st.lists(st.integers(0, 10**6), max_size=8))
def test_any_split_of_the_bytes_gives_the_same_deltas(cuts):
    data = sse(*WHOLE)
    reader = MessagesReader()
    found = [d for piece in splits(data, cuts) for d in reader.feed(piece)] + reader.close()
    assert found == deltas(*WHOLE)


EVENTS = [e for item in WHOLE for e in (item if isinstance(item, list) else [item])]


@given(st.lists(st.sampled_from(EVENTS), max_size=12), st.binary(max_size=20))
def test_any_order_of_events_ends_once_and_never_breaks_the_reader(events, junk):
    reader = MessagesReader()
    found = reader.feed(b"".join(map(frame, events)) + junk) + reader.close()
    assert [bool(d.done or d.error) for d in found] == [False] * (len(found) - 1) + [True]
    json.dumps([d.data for d in found])
