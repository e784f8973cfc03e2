from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire import messages_build
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_stream import deltas_of as chat_deltas
from openfusion_auto.wire.messages_blocks import UNSIGNED
from openfusion_auto.wire.messages_build import PING, Build

from .chats import call as chat_call
from .chats import chunk, usage_chunk
from .chats import sse as chat_sse
from .claude import accumulated, answers, parsed, splits, validated

TRACE = {"trace_id": "t"}


def build(
    *, guarded: bool = True, model: str | None = None, answer_id: str = "", reasoning: bool = True
) -> Build:
    return Build(guarded=guarded, model=model, answer_id=answer_id, reasoning=reasoning)


def call(
    index: int, call_id: str | None = None, name: str | None = None, said: str = "", **more
) -> Delta:
    return Delta(b"", calls=(CallDelta(more.pop("choice", 0), index, call_id, name, said, **more),))


def say(text: str = "", reasoning: str = "") -> Delta:
    return Delta(b"", text=text, reasoning=reasoning)


def end(finish: str = "stop", usage: Usage | None = None) -> Delta:
    return Delta(b"", finish=finish, usage=usage)


def stream(out: Build, *deltas: Delta, trace=TRACE, usage: Usage | None = None) -> bytes:
    return b"".join(map(out.write, deltas)) + out.finish(trace, usage)


def message(*deltas: Delta, guarded: bool = True):
    return accumulated(stream(build(guarded=guarded), *deltas))


def kinds(data: bytes) -> list[str]:
    return [str(e["type"]) for e in parsed(data)]


# --- text and thinking ---------------------------------------------------------------------------------------


def test_a_chat_is_a_message_in_the_order_that_the_api_promises():
    events = validated(stream(build(), say("h"), say("i"), end(usage=Usage(9, 2, 4))))
    assert [e["type"] for e in events] == [
        "message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta",
        "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {
            "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 2,
        },
        "openfusion": TRACE,
    }  # fmt: skip


def test_words_are_given_out_at_once():
    out = build()
    assert kinds(out.write(say("h"))) == [
        "message_start", "ping", "content_block_start", "content_block_delta",
    ]  # fmt: skip
    assert out.started
    assert kinds(out.write(say("i"))) == ["content_block_delta"]


def test_thinking_is_a_block_of_its_own_with_our_mark():
    found = message(say(reasoning="h"), say(reasoning="m"), say("hi"), end())
    thought, said = found.content
    assert (thought.thinking, thought.signature, said.text) == ("hm", UNSIGNED, "hi")


def test_thinking_that_nobody_asked_for_is_left_out():
    out = build(reasoning=False)
    assert out.write(say(reasoning="hm")) == b""
    assert not out.started
    assert [b.type for b in accumulated(stream(out, say("hi"), end())).content] == ["text"]


def test_what_says_nothing_writes_nothing():
    out = build()
    assert out.write(Delta(b": x", data={"id": "a"})) == b""
    assert not out.started


# --- name and id ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [{"id": "c-1", "model": "v/m"}, {"response": {"id": "c-1", "model": "v/m"}}]
)
def test_name_and_id_are_the_upstreams(data):
    first = parsed(stream(build(), Delta(b"", text="a", data=data), end()))[0]["message"]
    assert (first["id"], first["model"]) == ("msg_c-1", "v/m")


def test_name_and_id_can_be_given_or_missing():
    seen = Delta(b"", text="a", data={"id": "c-1", "model": "v/m"})
    first = parsed(stream(build(model="m", answer_id="msg_2"), seen, end()))[0]["message"]
    assert (first["id"], first["model"]) == ("msg_2", "m")
    first = parsed(stream(build(), say("a"), end()))[0]["message"]
    assert (first["id"], first["model"]) == ("msg_openfusion", "")


# --- tool calls ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guarded", [True, False])
def test_calls_are_blocks_with_their_ids(guarded):
    found = message(
        say("ok"), call(0, "a", "edit"), call(0, said='{"x"'), call(0, said=":1}"), call(1, "b", "bash", "{}"),
        end("tool_calls"), guarded=guarded,
    )  # fmt: skip
    assert [b.type for b in found.content] == ["text", "tool_use", "tool_use"]
    assert [(b.id, b.name, b.input) for b in found.content[1:]] == [
        ("a", "edit", {"x": 1}), ("b", "bash", {}),
    ]  # fmt: skip
    assert found.stop_reason == "tool_use"


def test_a_guarded_call_is_held_until_another_begins_or_the_answer_ends():
    out = build()
    assert out.write(call(0, "a", "edit", '{"x"')) == b""
    assert out.write(call(0, said=":1}")) == b""
    assert not out.started
    assert kinds(out.write(call(1, "b", "bash", "{}")))[-3:] == [
        "content_block_start", "content_block_delta", "content_block_stop",
    ]  # fmt: skip
    assert kinds(out.write(end("tool_calls")))[0] == "content_block_start"


def test_an_unguarded_call_is_given_out_as_it_comes():
    out = build(guarded=False)
    assert kinds(out.write(call(0, "a", "edit")))[-1] == "content_block_start"
    assert parsed(out.write(call(0, said='{"x"')))[0]["delta"]["partial_json"] == '{"x"'
    assert kinds(out.write(end("tool_calls"))) == ["content_block_stop"]


def test_unguarded_calls_that_come_interleaved_are_told_one_after_another():
    found = message(
        call(0, "a", "edit", '{"x"'), call(1, "b", "bash", '{"y"'), call(0, said=":1}"), call(1, said=":2}"),
        end("tool_calls"), guarded=False,
    )  # fmt: skip
    assert [(b.id, b.input) for b in found.content] == [("a", {"x": 1}), ("b", {"y": 2})]


def test_words_behind_a_whole_call_follow_it():
    found = message(call(0, "a", "edit", "{}"), say("next"), end())
    assert [b.type for b in found.content] == ["tool_use", "text"]
    assert found.stop_reason == "tool_use"


def test_words_within_a_call_wait_for_it():
    out = build()
    assert out.write(call(0, "a", "edit", '{"x"')) == b""
    assert out.write(say("?")) == b""
    found = accumulated(stream(out, call(0, said=":1}"), end()))
    assert [b.type for b in found.content] == ["tool_use", "text"]


def test_a_half_call_breaks_the_answer_before_anyone_sees_it():
    out = build()
    out.write(call(0, "a", "edit", '{"x"'))
    with pytest.raises(UpstreamBroken):
        out.write(end("tool_calls"))
    assert not out.started


def test_a_half_call_that_a_bound_has_cut_is_told_as_it_is():
    out = stream(build(), call(0, "a", "edit", '{"x"'), end("length"))
    assert [
        e["delta"].get("partial_json") for e in parsed(out) if e["type"] == "content_block_delta"
    ] == ['{"x"']
    assert parsed(out)[-2]["delta"]["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("guarded", [True, False])
def test_a_free_text_call_is_the_object_that_holds_its_text(guarded):
    patch = '*** Begin "Patch"\n+ü\n'
    found = message(
        call(0, "a", "apply_patch", patch[:5], kind="custom"), call(0, said=patch[5:], kind="custom"), end(),
        guarded=guarded,
    )  # fmt: skip
    assert found.content[0].input == {"input": patch}


def test_arguments_that_are_no_object_are_kept_as_text():
    assert message(call(0, "a", "f", "[1]"), end()).content[0].input == {"arguments": "[1]"}
    assert message(call(0, "a", "f"), end()).content[0].input == {}


def test_a_call_without_an_id_gets_a_stable_one_and_a_late_one_counts():
    late = message(
        call(0, None, "edit"), call(0, "a", None, "{}"), call(1, None, "bash", "{}"), end()
    )
    assert [b.id for b in late.content] == ["a", "call_1_bash"]


def test_a_call_without_a_name_breaks_the_answer():
    with pytest.raises(UpstreamBroken, match="no name"):
        build().write(end()) or stream(build(), call(0, "a", None, "{}"), end())


def test_a_call_that_goes_on_behind_its_end_breaks_the_answer():
    out = build()
    out.write(call(0, "a", "edit", "{}"))
    out.write(say("then"))
    with pytest.raises(UpstreamBroken):
        out.write(call(0, said="{}"))


def test_other_choices_are_not_the_clients():
    assert message(say("a"), call(0, "a", "edit", "{", choice=1), end()).stop_reason == "end_turn"


# --- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_tokens"), ("content_filter", "refusal")]
)
def test_an_answer_that_was_cut_before_a_word_is_whole(finish, reason):
    found = message(end(finish))
    assert (found.content, found.stop_reason) == ([], reason)


def test_usage_behind_the_finish_and_the_ledgers_sums_are_told():
    late = Delta(b"", usage=Usage(30, 3))
    assert (
        parsed(stream(build(), say("a"), end(usage=Usage(1, 1)), late))[-2]["usage"]["input_tokens"]
        == 30
    )
    out = stream(build(), say("a"), end(), late, usage=Usage(50, 5), trace=None)
    assert parsed(out)[-2]["usage"]["output_tokens"] == 5
    assert b"openfusion" not in out.split(b"event: message_delta")[1]


def test_a_second_finish_changes_nothing():
    assert message(say("a"), end("length"), end("stop")).stop_reason == "max_tokens"


def test_without_a_finish_there_is_no_end():
    out = build()
    out.write(say("a"))
    with pytest.raises(UpstreamBroken):
        out.finish(None, None)


# --- against the chat dialect --------------------------------------------------------------------------------

CHAT = chat_sse(
    chunk({"role": "assistant", "content": ""}), chunk({"reasoning_content": "hm"}), chunk({"content": "hi"}),
    chat_call(0, "a", "edit", '{"x"'), chat_call(0, args=":1}"), chat_call(1, "b", "bash", "{}"),
    chunk({}, "tool_calls"), usage_chunk(),
)  # fmt: skip


def chat(pieces: list[bytes], *, guarded: bool = True) -> bytes:
    reader, out = ChatReader(), build(guarded=guarded)
    found = [d for piece in pieces for d in reader.feed(piece)] + reader.close()
    return stream(out, *found)


def test_a_chat_stream_is_a_message_of_the_sdk():
    found = accumulated(chat([CHAT]))
    assert [b.type for b in found.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (found.id, found.model, found.usage.input_tokens) == ("msg_chatcmpl-1", "vendor/m", 7)


@given(st.lists(st.integers(0, 10**6), max_size=6), st.booleans())
def test_any_split_of_the_bytes_is_written_the_same(cuts, guarded):
    assert chat(splits(CHAT, cuts), guarded=guarded) == chat([CHAT], guarded=guarded)


@given(answers(), st.booleans())
def test_any_answer_of_another_dialect_is_the_sdks(answer: Answer, guarded):
    found = accumulated(stream(build(guarded=guarded), *chat_deltas(answer)))
    said = "".join(b.text for b in found.content if b.type == "text")
    thought = "".join(b.thinking for b in found.content if b.type == "thinking")
    asked = [(b.id, b.name, b.input) for b in found.content if b.type == "tool_use"]
    assert (said, thought) == (answer.text, answer.reasoning)
    assert asked == [(c.id, c.name, json.loads(c.arguments)) for c in answer.tool_calls]


def test_a_ping_is_what_clients_know():
    assert PING == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_calls_that_wait_are_read_again_only_when_they_have_grown(monkeypatch):
    looks: list[str] = []
    monkeypatch.setattr(messages_build, "is_whole", lambda said: looks.append(said) or said != "{")
    out = build()
    held = [call(i, f"c{i}", "f", "{") for i in range(50)]
    ended = [call(i, said="}") for i in range(49)]
    behind = [call(i, f"c{i}", "f", "{}") for i in range(50, 100)]
    assert b"tool_use" not in b"".join(map(out.write, (*held, *ended, *behind)))
    assert looks.count("{}") == 49 + 49
    assert (
        kinds(out.write(call(49, said="}")) + out.write(end("tool_calls"))).count(
            "content_block_start"
        )
        == 100
    )
