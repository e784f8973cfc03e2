from __future__ import annotations

import json
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import UpstreamBroken, UpstreamTimeout
from openfusion_auto.wire import chat_writer
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_writer import DONE, ChatWriter
from openfusion_auto.wire.jsons import is_json

from .chats import call, chunk, parsed, sse, usage_chunk

ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")
CALLS = chunk({}, "tool_calls")
TRACE = {"trace_id": "t"}


def writer(
    include_usage: bool = False, guarded: bool = True, model: str | None = None
) -> ChatWriter:
    return ChatWriter(include_usage=include_usage, guarded=guarded, model=model)


def deltas(*chunks: object, raw: bytes | None = None) -> list[Delta]:
    reader = ChatReader()
    return reader.feed(sse(*chunks) if raw is None else raw) + reader.close()


def steps(out: ChatWriter, *chunks: object) -> list[bytes]:
    return [out.write(d) for d in deltas(*chunks)]


def stream(out: ChatWriter, *chunks: object, trace=TRACE, usage: Usage | None = None) -> bytes:
    return b"".join(steps(out, *chunks)) + out.finish(trace, usage)


# --- relaying ------------------------------------------------------------------------------------------------


def test_content_is_relayed_at_once_as_it_came():
    data = b'data: {"z":1,  "choices":[{"index":0,"delta":{"content":"h\\u0069"}}]}\n\n'
    out = writer()
    first, *_ = deltas(raw=data + sse(STOP))
    assert out.write(first) == data
    assert out.started


def test_without_a_trace_a_plain_stream_is_byte_for_byte_the_upstreams():
    chunks = (
        ROLE,
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "hi"}),
        call(0, "c", "f", "{}"),
        CALLS,
        usage_chunk(),
    )
    assert stream(writer(include_usage=True), *chunks, trace=None) == sse(*chunks)


def test_the_role_is_held_until_there_is_content():
    out = writer()
    role, empty, text, *_ = steps(out, ROLE, chunk({}), chunk({"content": "hi"}), STOP)
    assert (role, empty) == (b"", b"")
    assert text == sse(ROLE, chunk({}), chunk({"content": "hi"}), done=False)


def test_nothing_has_started_before_content():
    held = writer()
    for delta in deltas(
        ROLE, chunk({"content": ""}), call(0, "c", "f", '{"a":'), call(0, args="1}")
    ):
        if delta.error is None:
            assert held.write(delta) == b""
    assert not held.started
    assert held.keep_alive() == b": keep-alive\n\n"
    assert not held.started


def test_empty_chunks_after_the_start_pass():
    out = writer()
    assert steps(out, chunk({"content": "a"}), chunk({}), STOP)[1] == sse(chunk({}), done=False)


@pytest.mark.parametrize("field", ["refusal", "audio", "images", "brand_new"])
def test_content_that_the_hub_does_not_know_is_content(field):
    out = writer()
    both = chunk({"content": "x"})
    first, *_ = steps(out, chunk({field: "x"}), both, STOP)
    assert first == sse(chunk({field: "x"}), done=False)
    assert out.started


@pytest.mark.parametrize(
    "raw",
    [
        b"data:{}\n\n", b"data: {}\r\n\r\n", b"data: {}\r\r", b": note\ndata: {}\n\n", b"id: 1\ndata: {}\n\n",
        b"event: message\ndata: {}\n\n", b"\n\ndata: {}\n\n", b"data: {}",
    ],
)  # fmt: skip
def test_odd_framing_becomes_the_plain_one(raw):
    inside = json.dumps(chunk({"content": "hi"})).encode()
    delta = Delta(raw.replace(b"{}", inside), text="hi", data=json.loads(inside))
    assert writer().write(delta) == b"data: " + inside + b"\n\n"


def test_data_over_several_lines_becomes_one():
    text = json.dumps(chunk({"content": "hi"}), indent=1)
    first, *_ = deltas(
        raw=b"data: " + text.replace("\n", "\ndata: ").encode() + b"\n\n" + sse(STOP)
    )
    assert parsed(writer().write(first)) == [chunk({"content": "hi"})]


def test_another_model_name_stands_in_every_chunk():
    out = stream(
        writer(include_usage=True, model="shown/m"),
        ROLE,
        chunk({"content": "hi"}),
        STOP,
        usage_chunk(),
    )
    *objects, done = parsed(out)
    assert {o["model"] for o in objects} == {"shown/m"}
    assert done == "[DONE]"
    assert b"vendor/m" not in stream(
        writer(model="shown/m"), chunk({"content": "hi"}), STOP, usage_chunk()
    )


# --- the end -------------------------------------------------------------------------------------------------


def test_the_trace_stands_on_the_finish_chunk_which_is_last():
    *before, last, done = parsed(
        stream(writer(), ROLE, chunk({"content": "hi"}), STOP, usage_chunk())
    )
    assert before == [ROLE, chunk({"content": "hi"})]
    assert last == {**STOP, "openfusion": TRACE}
    assert done == "[DONE]"


def test_the_trace_stands_on_the_usage_chunk_where_the_client_asked_for_one():
    *_, finish, last, done = parsed(
        stream(writer(include_usage=True), chunk({"content": "hi"}), STOP, usage_chunk())
    )
    assert finish == STOP
    assert last == {**usage_chunk(), "openfusion": TRACE}
    assert done == "[DONE]"


def test_an_upstreams_own_trace_is_replaced():
    out = stream(writer(), chunk({"content": "hi"}), {**STOP, "openfusion": {"other": 1}})
    assert out.count(b"openfusion") == 1
    assert parsed(out)[-2]["openfusion"] == TRACE


@pytest.mark.parametrize("usage", [None, Usage(7, 2)])
def test_a_usage_chunk_whose_sums_hold_is_the_upstreams_own(usage):
    own = {**usage_chunk(), "x": 1}
    assert (
        parsed(
            stream(
                writer(include_usage=True),
                chunk({"content": "a"}),
                STOP,
                own,
                trace=None,
                usage=usage,
            )
        )[-2]
        == own
    )


@pytest.mark.parametrize("chunks", [(usage_chunk(),), ()])
def test_a_usage_chunk_is_made_where_there_is_none_or_the_sums_differ(chunks):
    out = stream(
        writer(include_usage=True), chunk({"content": "a"}), STOP, *chunks, usage=Usage(70, 20)
    )
    last = parsed(out)[-2]
    shared = ("id", "object", "created", "model", "choices")
    assert {k: last[k] for k in shared} == {k: usage_chunk()[k] for k in shared}
    assert (last["usage"]["prompt_tokens"], last["usage"]["total_tokens"]) == (70, 90)
    assert last["openfusion"] == TRACE


def test_without_any_usage_no_chunk_is_invented():
    assert parsed(stream(writer(include_usage=True), chunk({"content": "a"}), STOP))[-2] == {
        **STOP,
        "openfusion": TRACE,
    }


def test_usage_on_the_finish_chunk_is_shown_as_a_chunk_of_its_own():
    finish = {**STOP, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    last = parsed(stream(writer(include_usage=True, model="m"), chunk({"content": "a"}), finish))[
        -2
    ]
    assert (last["choices"], last["usage"]["prompt_tokens"], last["model"]) == ([], 3, "m")


def test_usage_on_the_finish_chunk_agrees_with_the_ledger():
    finish = {**STOP, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    last = parsed(stream(writer(), chunk({"content": "a"}), finish, usage=Usage(30, 10)))[-2]
    assert last["usage"]["total_tokens"] == 40
    last = parsed(stream(writer(), chunk({"content": "a"}), finish, usage=Usage(3, 1)))[-2]
    assert last["usage"] == finish["usage"]


def test_usage_behind_the_finish_on_an_empty_choice_is_no_chunk_of_the_clients():
    late = {
        **chunk({"role": "assistant", "content": ""}),
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }
    assert parsed(stream(writer(), chunk({"content": "a"}), STOP, late))[-2] == {
        **STOP,
        "openfusion": TRACE,
    }
    last = parsed(stream(writer(include_usage=True), chunk({"content": "a"}), STOP, late))[-2]
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], 5)


def test_running_usage_before_the_finish_is_relayed_with_its_chunk():
    running = {**chunk({"role": "assistant"}), "usage": {"prompt_tokens": 5}}
    assert stream(writer(), running, chunk({"content": "a"}), STOP, trace=None) == sse(
        running, chunk({"content": "a"}), STOP
    )


def test_usage_without_choices_is_not_relayed():
    out = stream(
        writer(),
        chunk({"content": "a"}),
        {"choices": None, "usage": {"prompt_tokens": 5}},
        STOP,
        trace=None,
    )
    assert out == sse(chunk({"content": "a"}), STOP)


def test_a_whole_answer_in_the_finish_chunk_is_given_at_the_end():
    both = chunk({"content": "hi"}, "stop")
    out = writer()
    assert steps(out, ROLE, both)[:2] == [b"", b""]
    assert not out.started
    assert parsed(out.finish(TRACE, None)) == [ROLE, {**both, "openfusion": TRACE}, "[DONE]"]
    assert out.started


def test_no_finish_is_never_made_up():
    out = writer()
    out.write(deltas(chunk({"content": "hi"}))[0])
    with pytest.raises(UpstreamBroken, match="before its answer was finished"):
        out.finish(TRACE, None)


def test_an_error_delta_is_raised_and_the_error_event_has_no_done():
    out = writer()
    for delta in deltas(chunk({"content": "hi"})):
        if delta.error:
            with pytest.raises(UpstreamBroken, match="cut"):
                out.write(delta)
        else:
            out.write(delta)
    event = out.fail(UpstreamTimeout("Silent."))
    shown = {
        "message": "Silent.",
        "type": UpstreamTimeout.type,
        "param": None,
        "code": "upstream_timeout",
    }
    assert parsed(event) == [{"error": shown}]
    assert DONE not in event


def test_a_finish_is_given_once_for_each_choice():
    chunks = (
        chunk({"content": "a"}),
        STOP,
        chunk({"content": "b"}, "stop"),
        {**STOP, "usage": {"prompt_tokens": 4}},
        STOP,
    )
    objects = parsed(stream(writer(include_usage=True), *chunks))[:-1]
    assert [c["finish_reason"] for o in objects for c in o["choices"]] == [None, None, "stop"]
    assert objects[1]["choices"][0]["delta"] == {"content": "b"}
    assert objects[-1]["usage"]["prompt_tokens"] == 4


# --- tool calls ----------------------------------------------------------------------------------------------


def test_a_call_is_held_until_it_is_whole_and_then_comes_as_it_came():
    pieces = [call(0, "c0", "f"), call(0, args='{"q": "a\\"'), call(0, args=' 😀\\n"}')]
    more = [call(1, "c1", "g"), call(1, args="{}")]
    out = writer()
    *held, second, third, finish, _ = steps(out, ROLE, *pieces, *more, CALLS)
    assert held == [b""] * 4
    assert second == sse(ROLE, *pieces, done=False)
    assert third == b""
    assert finish == sse(*more, done=False)
    assert parsed(out.finish(TRACE, None)) == [{**CALLS, "openfusion": TRACE}, "[DONE]"]


def test_unguarded_calls_pass_at_once():
    out = writer(guarded=False)
    first, *_ = steps(out, call(0, "c", "f", '{"a'), CALLS)
    assert first == sse(call(0, "c", "f", '{"a'), done=False)
    assert parsed(out.finish(None, None))[-1] == "[DONE]"


@pytest.mark.parametrize(
    "chunks",
    [
        (call(0, "c", "f", '{"a": '), CALLS),
        (call(0, "c", "f", '{"a": '), STOP),
        (call(0, "c", "f", '{"a": '), call(1, "d", "g", "{}"), CALLS),
        (call(0, "c", "f", "NaN"), CALLS),
        (call(0, "c", "f", '{"a": 1'), chunk({"content": "text"}), CALLS),
    ],
)
def test_a_cut_call_is_an_error_and_nothing_of_it_went_out(chunks):
    out = writer()
    with pytest.raises(UpstreamBroken, match="tool call"):
        stream(out, ROLE, *chunks)
    assert not out.started


def test_a_call_cut_by_the_output_bound_is_the_clients_to_see():
    chunks = (call(0, "c", "f", '{"a": '), chunk({}, "length"))
    assert stream(writer(), *chunks, trace=None) == sse(*chunks)


@pytest.mark.parametrize("args", ["", "{}", "null"])
def test_a_call_without_arguments_is_whole_at_its_finish(args):
    chunks = (call(0, "c", "f", args), call(1, "d", "g", args), CALLS)
    assert stream(writer(), *chunks, trace=None) == sse(*chunks)


def test_interleaved_calls_are_not_taken_for_cut():
    chunks = (
        call(0, "c", "f"),
        call(1, "d", "g"),
        call(0, args='{"a"'),
        call(1, args='{"b"'),
        call(0, args=":1}"),
        call(1, args=":2}"),
        CALLS,
    )
    out = writer()
    assert steps(out, *chunks)[:6] == [b""] * 6
    assert out.finish(None, None).endswith(DONE)


def test_a_fragment_behind_a_released_call_is_held_again():
    out = writer()
    texts = steps(out, call(0, "c", "f", "{}"), chunk({"content": "x"}), call(0, args=" "), CALLS)
    assert texts[1] == sse(call(0, "c", "f", "{}"), chunk({"content": "x"}), done=False)
    assert texts[2] == b""
    assert texts[3] == sse(call(0, args=" "), done=False)


def test_content_behind_an_open_call_waits_in_its_place():
    chunks = (
        call(0, "c", "f", '{"a'),
        chunk({"content": "x"}),
        chunk({}),
        call(0, args='":1}'),
        CALLS,
    )
    out = writer()
    assert steps(out, *chunks)[:4] == [b""] * 4
    again = writer()
    assert stream(again, *chunks, trace=None) == sse(*chunks)


def test_each_choice_is_guarded_on_its_own():
    good = (
        call(0, "a", "f", "{}"),
        call(0, "b", "g", '{"x"', choice=1),
        CALLS,
        call(0, args=":1}", choice=1),
        chunk({}, "tool_calls", 1),
    )
    out = writer()
    assert steps(out, *good)[2] == b""
    tail = parsed(stream(writer(), *good))
    assert [o["choices"][0]["index"] for o in tail[:-1]] == [0, 1, 1, 0, 1]
    assert tail[-2] == {**chunk({}, "tool_calls", 1), "openfusion": TRACE}
    with pytest.raises(UpstreamBroken):
        stream(writer(), *good[:3], chunk({}, "tool_calls", 1))


def test_free_text_of_a_custom_call_is_not_judged():
    item = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}
    chunks = (chunk({"tool_calls": [item]}), call(1, "d", "g", "{}"), CALLS)
    assert stream(writer(), *chunks, trace=None) == sse(*chunks)


def test_calls_of_several_choices_in_one_chunk_are_told_apart():
    item = {"index": 0, "id": "c", "custom": {"name": "p", "input": "free {"}}
    plain = {"index": 0, "id": "d", "function": {"name": "f", "arguments": "{}"}}
    both = chunk() | {
        "choices": [
            {"index": 0, "delta": {"tool_calls": [plain]}},
            {"index": 1, "delta": {"tool_calls": [item]}},
            {"index": 2, "delta": {"content": "x"}},
        ]
    }
    chunks = (both, CALLS, chunk({}, "tool_calls", 1), chunk({}, "stop", 2))
    assert stream(writer(), *chunks, trace=None) == sse(*chunks)


@pytest.mark.parametrize("include_usage", [False, True])
def test_stop_behind_calls_becomes_tool_calls(include_usage):
    out = stream(
        writer(include_usage=include_usage),
        call(0, "c", "f", "{}"),
        STOP,
        usage_chunk(),
        trace=None,
    )
    (finish,) = [o for o in parsed(out)[:-1] if o["choices"] and o["choices"][0]["finish_reason"]]
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def test_calls_in_the_finish_chunk_are_judged_and_given_whole():
    whole = chunk(
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]},
        "tool_calls",
    )
    assert parsed(stream(writer(), ROLE, whole)) == [ROLE, {**whole, "openfusion": TRACE}, "[DONE]"]
    cut = json.loads(json.dumps(whole).replace("{}", "{"))
    with pytest.raises(UpstreamBroken):
        stream(writer(), ROLE, cut)


def test_deltas_without_parsed_data_are_read_from_their_bytes():
    raw = sse(STOP, done=False)
    out = writer()
    out.write(Delta(sse(chunk({"content": "a"}), done=False), text="a"))
    assert out.write(Delta(raw, finish="stop")) == b""
    assert parsed(out.finish(TRACE, None)) == [{**STOP, "openfusion": TRACE}, "[DONE]"]
    assert writer(model="m").write(Delta(b": nothing\n\n", text="x")) == b""


# --- properties ----------------------------------------------------------------------------------------------

ARGS = st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.integers(), max_size=3).map(
    lambda v: json.dumps(v, ensure_ascii=False)
)


@st.composite
def good_streams(draw) -> list[object]:
    chunks: list[object] = [ROLE] if draw(st.booleans()) else []
    chunks += [chunk({"content": t}) for t in draw(st.lists(st.text(max_size=5), max_size=4))]
    for at, args in enumerate(draw(st.lists(ARGS, max_size=3))):
        chunks.append(call(at, f"c{at}", f"f{at}"))
        cuts = sorted(draw(st.sets(st.integers(0, len(args)), max_size=3)) | {0, len(args)})
        chunks += [call(at, args=args[a:b]) for a, b in pairwise(cuts)]
    chunks += [
        chunk({"content": "end"}),
        chunk({}, draw(st.sampled_from(["stop", "tool_calls", "length"]))),
    ]
    if draw(st.booleans()):
        chunks.append(usage_chunk())
    return chunks


@given(good_streams(), st.booleans(), st.booleans())
def test_the_client_reads_what_the_upstream_said(chunks, include_usage, guarded):
    upstream = ChatReader()
    upstream.feed(sse(*chunks))
    client = ChatReader()
    out = stream(writer(include_usage=include_usage, guarded=guarded), *chunks)
    end = client.feed(out)[-1]
    assert end.done
    assert out.endswith(DONE)
    assert out.count(b"[DONE]") == 1
    want, got = upstream.answer(), client.answer()
    assert (got.text, got.tool_calls, got.model) == (want.text, want.tool_calls, want.model)
    assert got.usage == (want.usage if include_usage else None)
    objects = parsed(out)[:-1]
    assert [("openfusion" in o) for o in objects] == [False] * (len(objects) - 1) + [True]
    assert sum(bool(c["finish_reason"]) for o in objects for c in o["choices"]) == 1


@given(good_streams(), st.integers(0, 40))
def test_a_guarded_client_never_sees_part_of_a_call(chunks, stop_at):
    out = writer()
    seen = b"".join(out.write(d) for d in deltas(*chunks)[:stop_at] if d.error is None)
    shown = ChatReader()
    shown.feed(seen)
    whole = ChatReader()
    whole.feed(sse(*chunks))
    complete = whole.answer().tool_calls
    assert shown.answer().tool_calls == complete[: len(shown.answer().tool_calls)]


@pytest.mark.bench
@pytest.mark.skipif(sys.gettrace() is not None, reason="measured without a tracer")
def test_relaying_a_chunk_costs_little_beside_parsing_it():
    from timeit import repeat

    frames = [sse(chunk({"content": f"word {i}"}), done=False) for i in range(500)]

    def relay() -> None:
        reader, out = ChatReader(keep=False), writer()
        for frame in frames:
            for delta in reader.feed(frame):
                out.write(delta)

    relay_s = min(repeat(relay, number=1, repeat=7))
    parse_s = min(repeat(lambda: [json.loads(f[6:]) for f in frames], number=1, repeat=7))
    assert relay_s < 6 * parse_s


def test_calls_that_wait_are_read_again_only_when_they_have_grown(monkeypatch):
    looks: list[str] = []
    monkeypatch.setattr(chat_writer, "is_json", lambda said: looks.append(said) or is_json(said))
    out = writer()
    begun = [call(0, "c0", "f", '{"a": 1')] + [call(i, f"c{i}", "f", "{}") for i in range(1, 100)]
    fragments = [*begun, call(0, args="}"), call(100, "d", "f", "{}")]
    came = steps(out, *fragments, CALLS)
    assert b"".join(came[:101]) == b""
    assert came[101].count(b"data: ") == 101
    assert len(looks) < 250
