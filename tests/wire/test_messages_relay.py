from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.messages_reader import MessagesReader
from openfusion_auto.wire.messages_relay import Relay, event_frame, is_whole

from .claude import (
    PING,
    accumulated,
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
    validated,
)

TRACE = {"trace_id": "t"}
LOOP = (
    start(),
    thinking(0, "h"),
    text(1, "a", "b"),
    call(2, '{"a"', ":1}"),
    call(3, "{}"),
    end("tool_use"),
)


def relay(*, guarded: bool = True, model: str | None = None) -> Relay:
    return Relay(guarded=guarded, model=model)


def steps(out: Relay, *events: object) -> list[bytes]:
    return [out.write(d) for d in deltas(*events)]


def stream(out: Relay, *events: object, trace=TRACE, usage: Usage | None = None) -> bytes:
    return b"".join(steps(out, *events)) + out.finish(trace, usage)


# --- relaying ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False])
def test_without_a_trace_a_stream_is_byte_for_byte_the_upstreams(guarded):
    assert stream(relay(guarded=guarded), *LOOP, trace=None) == sse(*LOOP)


def test_the_beginning_is_held_until_there_is_content():
    out = relay()
    begun = (
        start(),
        PING,
        block(0, {"type": "redacted_thinking", "data": "x"}),
        text(1, "hi", "!"),
    )
    found = steps(out, *begun, end())
    assert found[:5] == [b""] * 5
    assert found[5] == sse(*begun[:3], text(1, "hi")[:2])
    assert found[6] == frame(text(1, "!")[1])
    assert out.started


def test_nothing_has_started_before_content():
    out = relay()
    for delta in deltas(start(), PING, thinking(0), text(1, ""), call(2, '{"a"')):
        if delta.error is None:
            out.write(delta)
        assert not out.started


@pytest.mark.parametrize(
    "content", [thinking(0, "hm"), block(0, {"type": "server_tool_use", "id": "s"})]
)
def test_thinking_that_shows_and_server_tools_are_content(content):
    out = relay()
    steps(out, start(), content)[:-1]
    assert out.started


def test_the_name_to_report_stands_in_the_beginning():
    events = validated(stream(relay(model="openfusion/auto"), start(), text(0, "a"), end()))
    assert events[0]["message"]["model"] == "openfusion/auto"
    assert events[0]["message"]["id"] == "msg_1"


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"type": "ping"}\n\n', b'event: ping\r\ndata: {"type": "ping"}\r\n\r\n',
        b'event: ping\ndata: {"type":\ndata:  "ping"}\n\n', b'event: ping\ndata: {"type": "ping"}', b"",
    ],
)  # fmt: skip
def test_odd_framing_becomes_the_plain_one(raw):
    out = relay()
    steps(out, start(), text(0, "a"))[:-1]
    assert (
        out.write(Delta(raw, data=PING, dialect="messages"))
        == b'event: ping\ndata: {"type":"ping"}\n\n'
    )


def test_a_type_never_breaks_the_framing():
    assert event_frame({"type": "a\nb ü"}).startswith(b"event: ab?\ndata: ")


# --- tool calls ----------------------------------------------------------------------------------------------


def test_a_guarded_call_is_held_until_its_block_ends():
    out = relay()
    found = steps(out, start(), call(0, '{"a"', ":1}"), end("tool_use"))
    assert found[:4] == [b""] * 4
    assert found[4] == sse(start(), call(0, '{"a"', ":1}"))


def test_an_unguarded_call_is_relayed_as_it_comes():
    found = steps(relay(guarded=False), start(), call(0, '{"a"', ":1}"), end("tool_use"))
    assert found[1] == sse(start(), call(0)[:1])
    assert found[2] == frame(call(0, '{"a"')[1])


def test_a_half_call_breaks_the_answer_before_anyone_sees_it():
    out = relay()
    with pytest.raises(UpstreamBroken):
        steps(out, start(), call(0, '{"a"'), text(1, "more"), end("tool_use"))
    assert not out.started


def test_a_half_call_that_a_bound_has_cut_is_relayed():
    events = (start(), call(0, '{"a"'), end("max_tokens"))
    assert stream(relay(), *events, trace=None) == sse(*events)


def test_a_call_without_its_end_is_closed():
    events = (start(), call(0, "{}")[:2], end("tool_use"))
    events = validated(stream(relay(), *events))
    assert events[3]["type"] == "content_block_stop"


def test_what_comes_behind_a_half_call_waits_for_it():
    out = relay()
    half, words = call(0, '{"a"'), text(1, "b")
    found = steps(out, start(), half, words, end("max_tokens"))
    assert b"".join(found) == sse(start(), half, words)
    assert found.count(b"") == len(found) - 1


@pytest.mark.parametrize(("said", "whole"), [("", True), (" ", True), ("{}", True), ("{", False)])
def test_no_arguments_are_whole(said, whole):
    assert is_whole(said) is whole


# --- the end -------------------------------------------------------------------------------------------------


def test_the_trace_stands_on_message_delta():
    *_, last, stop = validated(stream(relay(), start(), text(0, "a"), end(x=1)))
    assert last == {**end(x=1)[0], "openfusion": TRACE}
    assert stop == {"type": "message_stop"}


def test_an_upstreams_own_trace_is_replaced():
    out = stream(relay(), start(), text(0, "a"), end(openfusion={"other": 1}))
    assert out.count(b"openfusion") == 1


def test_the_sums_of_the_ledger_are_told():
    own = {"output_tokens": 9, "service_tier": "standard"}
    out = stream(relay(), start(), text(0, "a"), end(usage=own), usage=Usage(100, 20, 60))
    usage = validated(out)[-2]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["service_tier"]) == (
        40, 20, "standard",
    )  # fmt: skip
    same = stream(relay(), start(), text(0, "a"), end(), usage=Usage(7, 9))
    assert validated(same)[-2]["usage"] == {"output_tokens": 9}


def test_a_missing_usage_which_clients_need_is_filled():
    out = stream(
        relay(), start(), text(0, "a"), [{k: v for k, v in end()[0].items() if k != "usage"}]
    )
    assert validated(out)[-2]["usage"]["output_tokens"] == 0


def test_an_end_with_calls_is_tool_use():
    events = validated(stream(relay(), start(), call(0, "{}"), end("end_turn")))
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_usage_behind_the_stop_reason_joins_it():
    late = {
        "type": "message_delta",
        "delta": {},
        "usage": {"output_tokens": 30, "input_tokens": None},
    }
    out = validated(stream(relay(), start(), text(0, "a"), end()[0], late))
    assert out[-2]["usage"] == {"output_tokens": 30}
    assert out[-2]["delta"]["stop_reason"] == "end_turn"


def test_running_usage_before_the_stop_reason_is_relayed():
    running = {
        "type": "message_delta",
        "delta": {"stop_reason": None},
        "usage": {"output_tokens": 3},
    }
    events = (start(), text(0, "a"), running, end())
    assert stream(relay(), *events, trace=None) == sse(*events)


def test_a_missing_message_stop_is_written():
    out = stream(relay(), start(), text(0, "a"), end()[0], trace=None)
    assert parsed(out)[-1] == {"type": "message_stop"}


def test_without_a_stop_reason_there_is_no_end():
    out = relay()
    out.write(deltas(start())[0])
    with pytest.raises(UpstreamBroken):
        out.finish(TRACE, None)


def test_an_answer_that_was_cut_before_a_word_is_whole():
    assert validated(stream(relay(), start(), end("max_tokens")))[0]["type"] == "message_start"


@given(st.lists(st.integers(0, 10**6), max_size=6), st.booleans())
def test_any_split_of_the_bytes_is_written_the_same(cuts, guarded):
    data = sse(*LOOP)
    reader, out = MessagesReader(), relay(guarded=guarded)
    found = [d for piece in splits(data, cuts) for d in reader.feed(piece)] + reader.close()
    written = b"".join(map(out.write, found)) + out.finish(TRACE, None)
    assert written == stream(relay(guarded=guarded), *LOOP)
    message = accumulated(written)
    assert [b.type for b in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert json.loads(written.split(b"data: ")[-2].split(b"\n")[0])["openfusion"] == TRACE
