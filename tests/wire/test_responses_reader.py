from __future__ import annotations

import json
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import CallDelta, ToolCall, Usage
from openfusion_auto.wire.chat_reader import CUT_SHORT
from openfusion_auto.wire.responses_answer import read_answer
from openfusion_auto.wire.responses_reader import ResponsesReader

from .responses_samples import (
    added,
    arguments,
    completed,
    created,
    custom,
    deltas,
    done,
    event,
    function,
    message,
    reasoning,
    response,
    sse,
    text,
)

SUMMARY = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
WHOLE = sse(
    created(),
    event("response.in_progress", response=response()),
    added(0, {**reasoning("", None)}),
    event("response.reasoning_summary_part.added", **SUMMARY, part={"type": "summary_text", "text": ""}),
    event("response.reasoning_summary_text.delta", **SUMMARY, delta="h"),
    event("response.reasoning_summary_text.delta", **SUMMARY, delta="m"),
    event("response.reasoning_summary_text.done", **SUMMARY, text="hm"),
    done(0, reasoning("hm", "blob")),
    added(1, {**message(), "content": []}),
    text("h", 1),
    text("i é", 1),
    done(1, message("hi é")),
    added(2, function("f", "", "c1")),
    arguments('{"a"', 2),
    arguments(":1}", 2),
    event("response.function_call_arguments.done", output_index=2, item_id="fc", arguments='{"a":1}'),
    done(2, function("f", '{"a":1}', "c1")),
    added(3, {**custom(text="")}),
    event("response.custom_tool_call_input.delta", output_index=3, item_id="ctc", delta="*** x"),
    event("response.custom_tool_call_input.done", output_index=3, item_id="ctc", input="*** x"),
    done(3, custom()),
    event("response.brand_new", odd=1),
    completed(reasoning("hm", "blob"), message("hi é"), function("f", '{"a":1}', "c1"), custom()),
)  # fmt: skip


def errors(stream: bytes) -> str:
    found = deltas(stream)
    assert all(d.error is None for d in found[:-1])
    assert not found[-1].done
    assert found[-1].error
    return found[-1].error


def answer_of(stream: bytes):
    reader = ResponsesReader()
    found = reader.feed(stream) + reader.close()
    assert found[-1].done, found[-1].error
    return reader.answer()


def test_a_stream_is_read_completely():
    found = deltas(WHOLE)
    assert b"".join(d.raw for d in found) == WHOLE
    assert "".join(d.text for d in found) == "hi é"
    assert "".join(d.reasoning for d in found) == "hm"
    assert [d.opaque for d in found if d.opaque] == ["blob"]
    assert [c for d in found for c in d.calls] == [
        CallDelta(0, 0, "c1", "f", ""),
        CallDelta(0, 0, None, None, '{"a"'),
        CallDelta(0, 0, None, None, ":1}"),
        CallDelta(0, 1, "call_9", "apply_patch", "", "custom"),
        CallDelta(0, 1, None, None, "*** x", "custom"),
    ]
    assert (found[-2].finish, found[-2].usage, found[-2].raw) == ("tool_calls", Usage(9, 5, 4, 1, 2), b"")  # fmt: skip
    assert found[-1].done
    assert {d.dialect for d in found} == {"responses"}


def test_the_answer_is_the_one_that_a_body_would_give():
    streamed = answer_of(WHOLE)
    body = read_answer(json.dumps(streamed.data).encode())
    for field in ("text", "reasoning", "opaque", "tool_calls", "finish", "usage", "model"):
        assert getattr(streamed, field) == getattr(body, field)
    assert len(streamed.deltas) == len(deltas(WHOLE))


def test_deltas_need_not_be_kept():
    reader = ResponsesReader(keep=False)
    reader.feed(WHOLE)
    assert reader.answer().deltas == ()
    assert reader.answer().text == "hi é"
    cut = ResponsesReader(keep=False)
    assert cut.close()[0].error
    assert cut.answer().deltas == ()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6))
def test_any_split_gives_the_same_deltas(cuts):
    reader = ResponsesReader()
    places = [0, *sorted(cuts), len(WHOLE)]
    found = []
    for start, end in pairwise(places):
        found += reader.feed(WHOLE[start:end])
    assert found + reader.close() == deltas(WHOLE)


def test_one_byte_at_a_time():
    reader = ResponsesReader()
    found = [d for byte in WHOLE for d in reader.feed(bytes([byte]))]
    assert found == deltas(WHOLE)


def test_unknown_events_keep_their_bytes_and_say_nothing():
    (first, *_) = deltas(sse(event("response.brand_new", text="x")))
    assert first.raw.startswith(b"event: response.brand_new\n")
    assert (first.text, first.calls, first.error) == ("", (), None)


def test_a_call_in_a_namespace_has_one_name():
    call = function("log", "{}", namespace="git")
    assert answer_of(sse(added(0, call), done(0, call), completed(call))).tool_calls == (
        ToolCall("call_1", "git__log", "{}"),
    )


@pytest.mark.parametrize(
    ("kind", "details", "finish"),
    [
        ("response.incomplete", {"reason": "max_output_tokens"}, "length"),
        ("response.incomplete", {"reason": "content_filter"}, "content_filter"),
        ("response.completed", None, "stop"),
    ],
)
def test_ends_in_the_hubs_words(kind, details, finish):
    status = {"status": None} if kind == "response.incomplete" else {}
    end = event(kind, response=response(incomplete_details=details, **status))
    assert answer_of(sse(text("x"), end)).finish == finish


def test_a_cut_answer_may_be_empty():
    end = event("response.incomplete", response={"status": "incomplete", "output": []})
    found = deltas(sse(end))
    assert found[-1].done
    assert found[-2].finish == "length"


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_what_an_answer_without_content_used_is_told_all_the_same(status):
    failed = {"error": {"code": "server_error", "message": "no"}} if status == "failed" else {}
    end = event(f"response.{status}", response=response(status=status, output=[], **failed))
    reader = ResponsesReader()
    found = reader.feed(sse(created(), end))
    assert found[-1].error
    assert reader.answer().usage == Usage(9, 5, 4, 1, 2)


# --- servers that leave something out ------------------------------------------------------------------------


def test_texts_that_come_whole_are_taken_once():
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    both = sse(
        text("hi"),
        event("response.output_text.done", **place, text="hi"),
        done(0, message("hi")),
        completed(message("hi")),
    )
    alone = sse(event("response.output_text.done", **place, text="hi"), completed(message("hi")))
    item = sse(done(0, message("hi")), completed(message("hi")))
    end = sse(created(), completed(message("hi")))
    for stream in (both, alone, item, end):
        assert answer_of(stream).text == "hi"


def test_refusals_are_text():
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    refusal = {**message(), "content": [{"type": "refusal", "refusal": "no"}]}
    stream = sse(
        event("response.refusal.delta", **place, delta="n"),
        event("response.refusal.delta", **place, delta="o"),
        event("response.refusal.done", **place, refusal="no"),
        completed(refusal),
    )
    assert answer_of(stream).text == "no"
    assert answer_of(sse(event("response.refusal.done", **place, refusal="no"), completed(refusal))).text == "no"  # fmt: skip


def test_reasoning_said_twice_is_read_once():
    place = {"item_id": "r", "output_index": 0, "content_index": 0}
    words = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]}
    stream = sse(
        event("response.reasoning_text.delta", **place, delta="long"),
        event("response.reasoning_text.done", **place, text="long"),
        event("response.reasoning_summary_text.done", **SUMMARY, text="s"),
        done(0, {**words, "content": [{"type": "reasoning_text", "text": "long"}]}),
        text("x", 1),
        completed(),
    )
    assert answer_of(stream).reasoning == "long"


def test_messages_of_one_answer_stand_apart():
    """GPT-5's models comment on what they do in a message of its own, before the calls."""
    items = message("Looking."), function("f", "{}", "c1"), message("Found it.")
    stream = sse(
        created(),
        added(0, {**message(), "content": []}),
        text("Look", 0),
        text("ing.", 0),
        done(0, items[0]),
        added(1, items[1]),
        done(1, items[1]),
        added(2, {**message(), "content": []}),
        text("Found ", 2),
        text("it.", 2),
        done(2, items[2]),
        completed(*items),
    )
    reader = ResponsesReader()
    found = "".join(delta.text for delta in reader.feed(stream))
    whole = read_answer(json.dumps(response(*items)).encode()).text
    assert found == reader.answer().text == whole == "Looking.\n\nFound it."


def test_parts_of_reasoning_stand_apart():
    two = reasoning("b", "blob")
    stream = sse(
        event("response.reasoning_summary_text.delta", **SUMMARY, delta="a"),
        event("response.reasoning_summary_text.delta", **{**SUMMARY, "summary_index": 1}, delta="b"),
        done(2, two),
        text("x", 3),
        completed(),
    )  # fmt: skip
    assert answer_of(stream).reasoning == "a\n\nb\n\nb"


def test_an_empty_delta_is_nothing():
    assert answer_of(sse(text(""), text("x"), completed())).text == "x"


def test_a_call_may_come_in_one_event_or_only_at_the_end():
    call = function("f", '{"a":1}', "c1")
    for stream in (
        sse(done(0, call), completed(call)),
        sse(added(0, {**call, "arguments": ""}), done(0, call), completed(call)),
        sse(created(), completed(call)),
        sse(added(0, {**call, "arguments": ""}), arguments('{"a"'), done(0, call), completed(call)),
    ):
        assert answer_of(stream).tool_calls == (ToolCall("c1", "f", '{"a":1}'),)


def test_arguments_may_come_before_their_item():
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    stream = sse(arguments("{}"), done(0, call), completed(call))
    assert answer_of(stream).tool_calls == (ToolCall("call_0", "f", "{}"),)
    named = [c for d in deltas(stream) for c in d.calls]
    assert named[0] == CallDelta(0, 0, "call_0", None, "{}")
    assert named[1].name == "f"


def test_a_done_event_without_arguments_adds_none():
    call = function("f", "{}", "c1")
    bare = event("response.function_call_arguments.done", output_index=0, item_id="fc")
    stream = sse(added(0, {**call, "arguments": ""}), bare, done(0, call), completed(call))
    assert answer_of(stream).tool_calls == (ToolCall("c1", "f", "{}"),)


def test_events_without_an_index_are_told_apart_by_id_or_order():
    call = function("f", "", "c1")
    by_id = [
        {"type": "response.output_item.added", "item": call},
        {"type": "response.function_call_arguments.delta", "item_id": call["id"], "delta": "{}"},
        {"type": "response.output_item.done", "item": {**call, "arguments": "{}"}},
    ]
    by_order = [
        {"type": "response.output_item.added", "item": {"type": "function_call", "name": "f", "call_id": "c1"}},
        {"type": "response.function_call_arguments.delta", "delta": "{}"},
    ]  # fmt: skip
    for events in (by_id, by_order):
        end = completed({**call, "arguments": "{}"})
        assert answer_of(sse(*events, end)).tool_calls[0] == ToolCall("c1", "f", "{}")
    bare = [{"type": "response.output_text.delta", "delta": "x"}]
    assert answer_of(sse(*bare, completed(message("x")))).text == "x"


def test_an_end_with_an_empty_output_takes_the_items_that_came():
    ended = event("response.completed", response={**response(), "output": []})
    answer = answer_of(sse(done(0, message("hi")), ended))
    assert answer.data is not None
    assert answer.data["output"] == [message("hi")]


def test_an_event_may_have_its_type_in_its_name_alone():
    delta = b'event: response.output_text.delta\ndata: {"delta":"hi"}\n\n'
    assert answer_of(delta + sse(completed(message("hi")))).text == "hi"


@pytest.mark.parametrize(
    "item",
    [
        {"type": "web_search_call"},
        {"type": "local_shell_call", "call_id": "c"},
        {"type": "brand_new"},
    ],
)
def test_items_that_the_hub_does_not_know_are_an_answer(item):
    answer = answer_of(sse(added(0, item), done(0, item), completed(item)))
    assert answer.finish == ("tool_calls" if item["type"] == "local_shell_call" else "stop")


def test_comments_and_crlf_and_events_of_the_servers_own_pass():
    stream = b": hi\n\n" + sse(text("a")).replace(b"\n", b"\r\n") + b"event: ping\ndata: x\n\n"
    found = deltas(stream + sse(completed(message("a"))))
    assert found[-1].done
    assert "".join(d.text for d in found) == "a"


def test_what_comes_behind_the_end_is_dropped():
    reader = ResponsesReader()
    reader.feed(sse(text("a"), completed(), text("b")))
    assert reader.feed(sse(text("c"))) == []
    assert reader.close() == []
    assert reader.answer().text == "a"


# --- broken streams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"", "empty"), (b"data: [DONE]\n\n", "empty"), (sse(created()), CUT_SHORT), (sse(text("x")), CUT_SHORT),
        (sse(text("x")) + b"data: [DONE]\n\n", CUT_SHORT), (sse(text("x")) + b'data: {"type":"respo', CUT_SHORT),
        (b"<html>\n\n", "empty"), (b"data: <html>\n\n", "not JSON"), (b"event: response.x\ndata: y\n\n", "not JSON"),
        (b"data: [1]\n\n", "not an object"), (b'data: {"error":{"code":"bad"}}\n\n', r"\(bad\)"),
        (sse(event("error", code="oops", message="sk-123")), r"\(oops\)"),
        (sse(text("x"), event("response.failed", response={"error": {"code": "server_error"}})), r"\(server_error\)"),
        (sse(event("response.failed")), "error event"), (sse(created(), completed(reasoning())), "empty answer"),
        (sse(created(), completed(message(""))), "empty answer"), (sse(event("response.completed")), "not an object"),
        (sse(event("response.completed", response={"error": {"code": "x"}})), r"failed \(x\)"),
        (sse(added(0, function()), arguments("{}x"), done(0, function())), "contradict"),
        (sse(event("response.output_text.delta", delta=3)), "not text"),
        (sse(event("response.function_call_arguments.delta", delta=None)), "not text"),
        (sse(added(0, message()), arguments("{}", 0)), "no tool call"),
        (sse(done(0, {"type": "message", "content": 7})), "not a list"),
        (sse(added(0, {"type": "function_call", "call_id": "c"}), completed()), "no name"),
    ],
)  # fmt: skip
def test_a_broken_stream_ends_in_an_error_without_the_upstreams_words(stream, why):
    said = errors(stream)
    assert re.search(why, said)
    assert "sk-123" not in said


def test_an_endless_event_is_stopped():
    reader = ResponsesReader(limit=100)
    (failed,) = reader.feed(b"data: " + b"x" * 200)
    assert failed.error == "an event is too long"
    assert reader.close() == []


def test_calls_at_other_places_of_the_finished_output_are_not_taken_twice():
    one, two = function(call_id="c1"), {**function(call_id="c2"), "id": None}
    stream = sse(
        created(),
        done(0, reasoning()),
        *(e for at, call in ((1, one), (2, two)) for e in (added(at, call), done(at, call))),
        done(3, message("hi")),
        completed(one, two, message("hi")),
    )
    reader = ResponsesReader()
    found = [*reader.feed(stream), *reader.close()]
    assert found[-1].done
    assert [c.id for c in reader.answer().tool_calls] == ["c1", "c2"]
    assert reader.answer().text == "hi"


def test_the_items_of_a_long_answer_are_found_again_in_little_time():
    calls = [{**function("f", "{}", f"c{i}"), "id": f"fc_{i}"} for i in range(3_000)]
    begun = [
        e
        for i, call in enumerate(calls)
        for e in (added(i, {**call, "arguments": ""}), done(i, call))
    ]
    stream = sse(*begun, completed(*calls))
    began = time.process_time()
    found = answer_of(stream)
    assert time.process_time() - began < 0.8
    assert [call.id for call in found.tool_calls] == [f"c{i}" for i in range(3_000)]


def test_an_item_that_stands_twice_in_the_response_alone_counts_once():
    call = function("f", "{}", "c1")
    assert answer_of(sse(created(), completed(call, call))).tool_calls == (
        ToolCall("c1", "f", "{}"),
    )
