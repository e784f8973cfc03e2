from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import CallDelta, Delta, Usage
from openfusion_auto.errors import InternalError, UpstreamBroken
from openfusion_auto.wire.responses_answer import render_usage
from openfusion_auto.wire.responses_reader import ResponsesReader
from openfusion_auto.wire.responses_tools import ClientTools
from openfusion_auto.wire.responses_writer import KEEP_ALIVE, ResponsesWriter

from .responses_samples import (
    accept_events,
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
    parsed,
    response,
    sse,
    text,
    types,
)
from .test_responses_reader import WHOLE

TRACE = {"trace_id": "t"}
CALL = function("f", '{"a":1}', "c1")
CALL_EVENTS = (
    added(0, {**CALL, "arguments": "", "status": "in_progress"}),
    arguments('{"a"'),
    arguments(":1}"),
    event("response.function_call_arguments.done", output_index=0, item_id="fc", arguments='{"a":1}'),
    done(0, CALL),
)  # fmt: skip


def writer(**options: object) -> ResponsesWriter:
    return ResponsesWriter(answer_id="resp_x", created=17, **options)


def steps(out: ResponsesWriter, stream: bytes) -> list[bytes]:
    return [out.write(d) for d in deltas(stream)]


def relayed(out: ResponsesWriter, stream: bytes, trace=None, usage: Usage | None = None) -> bytes:
    return b"".join(steps(out, stream)) + out.finish(trace, usage)


def made(*found: Delta, trace=TRACE, usage: Usage | None = None, **options: object):
    out = writer(**options)
    stream = b"".join(out.write(d) for d in found) + out.finish(trace, usage)
    events = parsed(stream)
    accept_events(events)
    return events


def chat_delta(**fields: object) -> Delta:
    return Delta(b"data: {}\n\n", data={"model": "vendor/m"}, **fields)


def call_delta(index: int, args: str = "", call_id=None, name=None) -> Delta:
    return chat_delta(calls=(CallDelta(0, index, call_id, name, args),))


STOP = chat_delta(finish="stop", usage=Usage(9, 5, 4, 1, 2))
CALLED = chat_delta(finish="tool_calls")


# --- relaying ------------------------------------------------------------------------------------------------


def test_without_a_trace_a_stream_is_byte_for_byte_the_upstreams():
    assert relayed(writer(), WHOLE) == WHOLE
    assert relayed(writer(guarded=False), WHOLE) == WHOLE


def test_the_trace_stands_in_the_response_of_the_last_event():
    out = relayed(writer(), WHOLE, TRACE)
    assert out[: WHOLE.rindex(b"event:")] == WHOLE[: WHOLE.rindex(b"event:")]
    events = parsed(out)
    assert events[-1]["response"]["openfusion"] == TRACE
    assert types(events) == types(parsed(WHOLE))
    assert all("openfusion" not in str(e) for e in events[:-1])


@given(st.lists(st.integers(0, len(WHOLE)), max_size=6), st.booleans())
def test_any_split_gives_the_same_bytes(cuts, guarded):
    out, reader = writer(guarded=guarded), ResponsesReader()
    places = [0, *sorted(cuts), len(WHOLE)]
    found = [d for start, end in pairwise(places) for d in reader.feed(WHOLE[start:end])]
    written = b"".join(out.write(d) for d in found + reader.close()) + out.finish(TRACE, None)
    assert written == relayed(writer(guarded=guarded), WHOLE, TRACE)


def test_nothing_goes_out_before_content():
    out = writer()
    openers = (
        created(),
        event("response.in_progress", response=response()),
        added(0, message()),
        event("response.odd"),
    )
    held = [out.write(d) for d in deltas(sse(*openers))[:-1]]
    assert held == [b""] * 4
    assert not out.started
    assert out.keep_alive() == KEEP_ALIVE


def held_stream() -> bytes:
    return sse(created(), added(0, message()), text("hi"), done(0, message("hi")), completed())


def test_content_releases_what_was_held_in_order():
    out = writer()
    first, second, third, *_ = steps(out, held_stream())
    assert (first, second) == (b"", b"")
    assert types(parsed(third)) == ["created", "output_item.added", "output_text.delta"]
    assert out.started


def test_a_call_is_held_until_it_is_whole():
    out = writer()
    *before, last = [out.write(d) for d in deltas(sse(*CALL_EVENTS, completed(CALL)))[:5]]
    assert before == [b""] * 4
    assert last == sse(*CALL_EVENTS)
    assert out.started


def test_an_unguarded_call_is_relayed_as_it_comes():
    out = writer(guarded=False)
    found = steps(out, sse(*CALL_EVENTS, completed(CALL)))
    assert found[0] == b""
    assert types(parsed(found[1])) == ["output_item.added", "function_call_arguments.delta"]


def test_what_comes_behind_an_open_call_waits_for_it():
    out = writer()
    stream = sse(*CALL_EVENTS[:2], text("x", 1), *CALL_EVENTS[2:], completed(CALL))
    found = steps(out, stream)
    assert found[:5] == [b""] * 5
    assert found[5] == stream[: stream.rindex(b"event:")]


@pytest.mark.parametrize(
    "events",
    [
        (*CALL_EVENTS[:2], done(0, function("f", '{"a"', "c1"))), (done(0, function("f", '{"a"', "c1")),),
    ],
)  # fmt: skip
def test_a_call_that_was_cut_never_reaches_the_client(events):
    out = writer()
    with pytest.raises(UpstreamBroken, match="tool call"):
        steps(out, sse(*events, completed()))
    assert not out.started


def test_a_call_that_is_never_done_is_checked_at_the_end():
    cut = writer()
    assert not any(steps(cut, sse(*CALL_EVENTS[:2], completed(CALL)))[:2])
    with pytest.raises(UpstreamBroken, match="tool call"):
        cut.finish(None, None)
    whole = sse(*CALL_EVENTS[:3], event("response.completed", response={**response(), "output": []}))  # fmt: skip
    assert relayed(writer(), whole, usage=Usage(9, 5, 4, 1, 2)) == whole
    free = sse(added(0, custom(text="")), event("response.custom_tool_call_input.delta", output_index=0, delta="**"), completed())  # fmt: skip
    assert relayed(writer(), free) == free


def test_a_call_that_the_upstream_marks_as_cut_waits_for_its_end():
    half = function("f", '{"a"', "c1", status="incomplete")
    begun = (*CALL_EVENTS[:2], done(0, half))
    ended = event("response.incomplete", response=response(half, status="incomplete"))
    stream = sse(*begun, ended)
    out = writer()
    assert not any(steps(out, stream))
    assert out.finish(None, None) == stream
    lying = writer()
    steps(lying, sse(*begun, completed(half)))
    with pytest.raises(UpstreamBroken):
        lying.finish(None, None)


def test_a_custom_call_may_say_anything():
    item = custom(text='{"not')
    stream = sse(added(0, custom(text="")), done(0, item), completed(item))
    assert relayed(writer(), stream) == stream


def test_odd_framing_becomes_the_plain_one():
    data = b'{"type":"response.output_text.delta","sequence_number":0,"delta":"hi"}'
    for raw in (b"data: " + data + b"\n\n", b"event: x\ndata:" + data + b"\r\n\r\n"):
        out = writer()
        shown = out.write(deltas(raw)[0])
        (found,) = parsed(shown)
        assert found["delta"] == "hi"


def test_numbers_are_given_where_they_are_missing_or_wrong():
    bare = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"x"}\n\n'
    out = relayed(writer(), bare + sse(completed(), first=7))
    assert [e["sequence_number"] for e in parsed(out)] == [0, 1]


def test_numbers_that_begin_elsewhere_stay():
    stream = sse(text("x"), completed(), first=1)
    assert relayed(writer(), stream) == stream


@pytest.mark.parametrize("usage", [None, {"input_tokens": 3}])
def test_the_end_always_has_whole_usage(usage):
    out = relayed(writer(), sse(text("x"), completed(usage=usage)))
    expected = Usage(3) if usage else Usage()
    assert parsed(out)[-1]["response"]["usage"] == render_usage(expected)


def test_the_sum_of_all_calls_replaces_the_upstreams_usage():
    out = relayed(writer(), held_stream(), usage=Usage(100, 50))
    assert parsed(out)[-1]["response"]["usage"] == render_usage(Usage(100, 50))
    same = relayed(writer(), held_stream(), usage=Usage(9, 5, 4, 1, 2))
    assert same == held_stream()


def test_another_model_name_stands_in_every_response():
    out = parsed(relayed(writer(model="openfusion/auto"), held_stream()))
    assert {e["response"]["model"] for e in out if "response" in e} == {"openfusion/auto"}


def test_keep_alives_repeat_in_progress_and_numbers_go_on():
    out = writer()
    stream = b""
    for delta in deltas(held_stream()):
        stream += out.write(delta)
        if out.started:
            stream += out.keep_alive()
    events = parsed(stream + out.finish(TRACE, None))
    accept_events(events)
    kept = [e for e in events if e["type"] == "response.in_progress"]
    assert len(kept) == 4
    assert {e["response"]["id"] for e in kept} == {"resp_1"}
    assert {e["response"]["status"] for e in kept} == {"in_progress"}


def test_before_the_upstream_said_what_its_response_is_a_keep_alive_is_a_comment():
    out = writer()
    out.write(deltas(sse(text("x")))[0])
    assert out.keep_alive() == KEEP_ALIVE


def test_a_failure_is_the_last_event():
    out = writer()
    stream = b"".join(out.write(d) for d in deltas(held_stream())[:3])
    events = parsed(stream + out.fail(InternalError("went wrong")))
    accept_events(events)
    failed = events[-1]
    assert failed["type"] == "response.failed"
    assert failed["response"]["id"] == "resp_1"
    assert (failed["response"]["status"], failed["response"]["error"]) == (
        "failed", {"code": "server_error", "message": "went wrong"},
    )  # fmt: skip


def test_a_stream_that_fails_before_it_began_is_begun_first():
    events = parsed(writer().fail(InternalError("x")))
    accept_events(events)
    assert types(events) == ["created", "in_progress", "failed"]
    bare = writer()
    bare.write(deltas(sse(text("x")))[0])
    late = bare.fail(InternalError("x"))
    accept_events(parsed(late))


def test_an_error_or_a_missing_end_is_broken():
    out = writer()
    with pytest.raises(UpstreamBroken, match="why"):
        out.write(Delta(b"", error="why", dialect="responses"))
    with pytest.raises(UpstreamBroken, match="before its answer"):
        writer().finish(None, None)
    unfinished = writer()
    unfinished.write(chat_delta(text="x"))
    with pytest.raises(UpstreamBroken, match="before its answer"):
        unfinished.finish(None, None)


# --- opened ahead of the answer ------------------------------------------------------------------------------


def test_a_stream_may_be_opened_and_kept_alive_before_any_answer():
    first = writer()
    stream = first.open("openfusion/auto") + first.keep_alive()
    assert first.open() == b""
    assert not first.started
    first.write(deltas(sse(created(), added(0, message())))[0])
    second = writer(head=first.head)
    stream += relayed(second, held_stream(), TRACE)
    events = parsed(stream)
    accept_events(events)
    assert types(events)[:4] == ["created", "in_progress", "in_progress", "output_item.added"]
    assert types(events).count("created") == 1
    assert {e["response"]["id"] for e in events if "response" in e} == {"resp_x"}
    assert events[0]["response"]["model"] == "openfusion/auto"
    assert events[-1]["response"]["model"] == "vendor/m"


def test_an_opened_stream_takes_an_answer_of_another_dialect():
    out = writer()
    events = parsed(out.open() + out.write(chat_delta(text="x")) + out.write(STOP) + out.finish(None, None))  # fmt: skip
    accept_events(events)
    assert types(events).count("created") == 1


# --- other dialects ------------------------------------------------------------------------------------------


def test_another_dialects_answer_is_a_full_stream():
    events = made(
        chat_delta(reasoning="hm"),
        chat_delta(text="h"),
        chat_delta(text="i"),
        call_delta(0, "", "c1", "f"),
        call_delta(0, "{}"),
        chat_delta(finish="tool_calls"),
        chat_delta(usage=Usage(9, 5, 4, 1, 2)),
        Delta(b"data: [DONE]\n\n", done=True),
    )
    assert types(events)[:4] == ["created", "in_progress", "output_item.added", "reasoning_summary_part.added"]  # fmt: skip
    final = events[-1]["response"]
    assert (events[-1]["type"], final["status"]) == ("response.completed", "completed")
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call"]
    assert (final["id"], final["created_at"], final["model"]) == ("resp_x", 17, "vendor/m")
    assert final["usage"] == render_usage(Usage(9, 5, 4, 1, 2))
    assert final["openfusion"] == TRACE
    assert events[0]["response"]["usage"] is None


def test_nothing_of_another_dialect_goes_out_before_content():
    out = writer()
    assert out.write(chat_delta()) == b""
    assert out.write(call_delta(0, '{"a"', "c", "f")) == b""
    assert not out.started
    assert out.write(chat_delta(text="x"))
    assert out.started
    assert types(parsed(out.keep_alive())) == ["in_progress"]


@pytest.mark.parametrize(
    ("finish", "kind", "reason"),
    [
        ("length", "response.incomplete", "max_output_tokens"), ("content_filter", "response.incomplete", "content_filter"),
        ("stop", "response.completed", None),
    ],
)  # fmt: skip
def test_ends_have_this_dialects_names(finish, kind, reason):
    events = made(chat_delta(text="x"), chat_delta(finish=finish))
    assert events[-1]["type"] == kind
    assert (events[-1]["response"]["incomplete_details"] or {}).get("reason") == reason
    assert events[-1]["response"]["usage"] == render_usage(Usage())


def test_an_empty_answer_that_was_cut_is_a_stream_too():
    assert types(made(chat_delta(finish="length"))) == ["created", "in_progress", "incomplete"]


def test_a_cut_call_of_another_dialect_never_reaches_the_client():
    out = writer()
    assert out.write(call_delta(0, '{"a"', "c", "f")) == b""
    assert out.write(CALLED) == b""
    with pytest.raises(UpstreamBroken, match="tool call"):
        out.finish(None, None)
    assert not out.started


@pytest.mark.parametrize(
    "options",
    [
        {"custom": frozenset({"apply_patch"})}, {"tools": ClientTools(frozenset({"apply_patch"}))},
    ],
)  # fmt: skip
@pytest.mark.parametrize("guarded", [True, False])
def test_a_custom_tools_call_comes_back_as_its_text(options, guarded):
    events = made(
        call_delta(0, '{"input":"*** a', "c1", "apply_patch"),
        call_delta(0, '\\n"}'),
        CALLED,
        guarded=guarded,
        **options,
    )
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["call_id"], item["input"]) == ("custom_tool_call", "c1", "*** a\n")


def test_a_namespaced_call_comes_back_under_its_own_name():
    known = ClientTools(frozenset(), {"git__log": ("git", "log")})
    (item,) = made(call_delta(0, "{}", "c", "git__log"), CALLED, tools=known)[-1]["response"]["output"]  # fmt: skip
    assert (item["name"], item["namespace"]) == ("log", "git")


def test_the_model_is_taken_from_where_a_dialect_says_it():
    begun = Delta(b"", data={"message": {"model": "claude"}}, dialect="messages")
    assert made(begun, chat_delta(text="x"), STOP)[-1]["response"]["model"] == "claude"
    assert made(Delta(b"", text="x"), STOP, model="shown")[-1]["response"]["model"] == "shown"
    assert made(Delta(b"", text="x", data={"model": 7}), Delta(b"", finish="stop"))[-1]["response"]["model"] == ""  # fmt: skip


@pytest.mark.parametrize(
    ("data", "answer_id"),
    [
        ({"id": "chatcmpl-a1_b"}, "resp_a1_b"), ({"message": {"id": "msg_01X"}}, "resp_01X"), ({"id": "plain"}, "resp_plain"),
        ({"id": "a-"}, "resp_a-"), ({"id": "<b>"}, "resp_openfusion"), ({}, "resp_openfusion"),
    ],
)  # fmt: skip
def test_ids_that_nobody_gave_are_made_of_the_upstreams(data, answer_id):
    out = ResponsesWriter()
    stream = out.write(Delta(b"", data=data)) + out.write(Delta(b"", text="x"))
    stream += out.write(Delta(b"", finish="stop")) + out.finish(None, None)
    events = parsed(stream)
    accept_events(events)
    assert {e["response"]["id"] for e in events if "response" in e} == {answer_id}
    assert events[2]["item"]["id"] == f"msg_{answer_id[5:]}_0"


def test_what_is_shown_of_the_request():
    events = made(chat_delta(text="x"), STOP, echo={"instructions": "rules"})
    assert {e["response"]["instructions"] for e in events if "response" in e} == {"rules"}


TEXTS = st.text(max_size=5)


@given(
    st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=5),
    st.sampled_from(["stop", "length"]),
    st.booleans(),
)
def test_any_foreign_answer_reads_back_the_same(said, finish, guarded):
    found = [chat_delta(text=t, reasoning=r, opaque=o) for t, r, o in said]
    if not any(t for t, _, _ in said):
        finish = "length"
    out = writer(guarded=guarded)
    stream = b"".join(out.write(d) for d in (*found, chat_delta(finish=finish)))
    stream += out.finish(TRACE, Usage(1, 2))
    accept_events(parsed(stream))
    reader = ResponsesReader()
    assert (reader.feed(stream) + reader.close())[-1].done
    back = reader.answer()
    paragraphs, apart = [], True
    for words, thought, seal in said:
        apart = apart or bool(thought or seal)
        if words and apart:
            paragraphs.append(words)
        elif words:
            paragraphs[-1] += words
        apart = apart and not words
    assert back.text == "\n\n".join(paragraphs)
    assert back.reasoning.replace("\n\n", "") == "".join(r for _, r, _ in said).replace("\n\n", "")
    assert (back.finish, back.usage) == (finish, Usage(1, 2))
