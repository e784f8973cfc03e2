from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import CallDelta, Delta, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_chunks import ChunkMaker
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_tools import wrap_input
from openfusion_auto.wire.chat_writer import DONE, ChatWriter

from .chats import parsed

START = {"type": "message_start", "message": {"id": "msg_1", "model": "vendor/m"}}
CREATED = {"response": {"id": "resp_1", "model": "vendor/m", "created_at": 1700000000.0}}


def said(text="", *, reasoning="", data=None, **fields) -> Delta:
    return Delta(
        b"event: x\ndata: {}\n\n", text, reasoning, data=data or {}, dialect="messages", **fields
    )


def called(index: int, args: str, call_id=None, name=None, kind="function") -> Delta:
    return said(calls=(CallDelta(0, index, call_id, name, args, kind),))


def end(finish="stop", usage: Usage | None = None) -> list[Delta]:
    return [said(finish=finish, usage=usage), said(done=True)]


def stream(*deltas: Delta, usage=None, trace=None, **options) -> list[object]:
    out = ChatWriter(**{"include_usage": False, "guarded": True, **options})
    return parsed(b"".join(out.write(d) for d in deltas) + out.finish(trace, usage))


def choices(objects: list[object]) -> list[dict]:
    return [o["choices"][0]["delta"] for o in objects[:-1] if o["choices"]]


def test_a_stream_of_another_dialect_is_a_whole_chat_stream():
    found = stream(
        said(data=START, usage=Usage(9)),
        said(reasoning="hm"),
        said(opaque="sealed"),
        said("hi"),
        called(3, "", "toolu_1", "f"),
        called(3, '{"a":'),
        called(3, "1}"),
        called(5, "{}", "toolu_2", "g"),
        *end("tool_calls", Usage(9, 4, 5)),
        include_usage=True,
        trace={"trace_id": "t"},
        created=7,
    )
    assert {(o["id"], o["object"], o["created"], o["model"]) for o in found[:-1]} == {
        ("msg_1", "chat.completion.chunk", 7, "vendor/m")
    }
    function = {"name": "f", "arguments": ""}
    assert choices(found) == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "hi"},
        {"tool_calls": [{"index": 0, "id": "toolu_1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        {"tool_calls": [{"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
        {},
    ]  # fmt: skip
    *_, finish, last, done = found
    assert finish["choices"][0]["finish_reason"] == "tool_calls"
    assert (last["choices"], last["openfusion"], done) == ([], {"trace_id": "t"}, "[DONE]")
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 5}


@pytest.mark.parametrize(
    ("data", "options", "want"),
    [
        (CREATED, {}, ("resp_1", 1700000000, "vendor/m")),
        (CREATED, {"answer_id": "x", "created": 5, "model": "shown"}, ("x", 5, "shown")),
        ({"response": {"id": 5, "model": None, "created_at": "now"}}, {}, ("chatcmpl-openfusion", 0, "")),
        (None, {}, ("chatcmpl-openfusion", 0, "")),
    ],
)  # fmt: skip
def test_id_time_and_model_are_the_givers_or_the_upstreams(data, options, want):
    found = stream(said("a", data=data), said("b", data=START), *end(), **options)[:-1]
    assert {(o["id"], o["created"], o["model"]) for o in found} == {want}


def test_nothing_goes_out_before_there_is_something_to_say():
    out = ChatWriter(include_usage=True, guarded=True)
    held = [said(data=START, usage=Usage(9)), said(opaque="s"), called(0, '{"a', "c", "f")]
    assert [out.write(d) for d in held] == [b"", b"", b""]
    assert not out.started
    assert out.write(said("hi")) == b""
    assert parsed(out.write(called(0, '":1}')) + out.write(said("more")))
    assert out.started


def test_usage_is_not_shown_where_it_was_not_asked_for():
    assert all("usage" not in o for o in stream(said("a"), *end(usage=Usage(3, 1)))[:-1])


def test_the_ledgers_sum_is_shown_for_the_upstreams():
    last = stream(said("a"), *end(usage=Usage(3, 1)), include_usage=True, usage=Usage(30, 10))[-2]
    assert last["usage"]["total_tokens"] == 40


def test_an_end_with_calls_is_tool_calls_whatever_the_upstream_says():
    finish = stream(called(0, "{}", "c", "f"), *end("stop"))[-2]
    assert finish["choices"][0]["finish_reason"] == "tool_calls"


def test_a_call_without_an_id_gets_a_stable_one():
    found = choices(stream(called(4, "{}", None, "f"), called(4, ""), *end()))
    assert [c["tool_calls"][0].get("id") for c in found[1:-1]] == ["call_0_f", None]


@pytest.mark.parametrize("guarded", [True, False])
def test_a_cut_call_is_an_error_and_an_error_is_raised(guarded):
    out = ChatWriter(include_usage=False, guarded=guarded, custom=frozenset({"p"}))
    out.write(called(0, '{"input": "half', "c", "p"))
    with pytest.raises(UpstreamBroken, match="tool call"):
        out.write(said(finish="tool_calls"))
    with pytest.raises(UpstreamBroken, match="overloaded"):
        ChatWriter(include_usage=False, guarded=guarded).write(said(error="overloaded"))


def test_an_end_without_a_finish_is_never_made_up():
    out = ChatWriter(include_usage=False, guarded=True)
    out.write(said("a"))
    assert out.write(said(done=True)) == b""
    with pytest.raises(UpstreamBroken):
        out.finish(None, None)


# --- free-text tools -----------------------------------------------------------------------------------------

PATCH = frozenset({"patch"})


def custom(text: str, index: int = 0) -> dict:
    return {
        "tool_calls": [
            {
                "index": index,
                "id": "c",
                "type": "custom",
                "custom": {"name": "patch", "input": text},
            }
        ]
    }


@pytest.mark.parametrize("guarded", [True, False])
def test_a_function_that_stands_for_a_free_text_tool_is_that_tool_again_and_whole(guarded):
    out = ChatWriter(include_usage=False, guarded=guarded, custom=PATCH)
    head = b"".join(
        out.write(d)
        for d in (called(0, "", "c", "patch"), called(0, '{"input":"a\\n'), called(0, 'b"}'))
    )
    assert b"custom" not in head
    tail = out.write(said(finish="tool_calls")) + out.finish(None, None)
    assert choices(parsed(head + tail))[1:-1] == [custom("a\nb")]


def test_a_whole_free_text_call_comes_before_what_follows_it():
    found = stream(
        called(0, '{"input":"x"}', "c", "patch"), said("text"), called(1, "{}", "d", "f"), *end(), custom=PATCH
    )  # fmt: skip
    assert choices(found)[1:3] == [custom("x"), {"content": "text"}]
    assert [c["tool_calls"][0]["index"] for c in choices(found) if "tool_calls" in c] == [0, 1]


def test_a_free_text_call_that_is_not_whole_yet_waits_for_its_end():
    found = stream(
        called(0, "", "c", "patch"), called(1, "{}", "d", "f"), called(0, '{"input":"x"}'), *end(), custom=PATCH
    )  # fmt: skip
    assert [
        next(iter(c["tool_calls"][0].keys() & {"custom", "function"})) for c in choices(found)[1:-1]
    ] == ["function", "custom"]


def test_an_odd_brace_in_the_text_is_not_taken_for_the_end():
    pieces = (called(0, '{"input":"if (x) {}', "c", "patch"), said("a"), called(0, '"}'))
    assert choices(stream(*pieces, *end(), custom=PATCH))[2:-1] == [custom("if (x) {}")]


def test_free_text_cut_by_the_bound_is_given_raw():
    cut = '{"input":"*** Begin'
    assert choices(stream(called(0, cut, "c", "patch"), *end("length"), custom=PATCH))[1] == custom(
        cut
    )


def test_an_empty_free_text_call_is_empty():
    assert choices(stream(called(0, "", "c", "patch"), *end(), custom=PATCH))[1] == custom("")


def test_an_upstreams_own_free_text_call_stays_one():
    found = stream(called(0, "a {", "c", "patch", "custom"), called(0, "b", kind="custom"), *end())
    assert choices(found)[1:-1] == [
        custom("a {"),
        {"tool_calls": [{"index": 0, "custom": {"input": "b"}}]},
    ]


# --- properties ----------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
ARGS = st.dictionaries(WORDS, WORDS | st.integers(), max_size=3).map(json.dumps)


@st.composite
def streams(draw) -> tuple[list[Delta], dict[str, object]]:
    """A stream of another dialect, and what it says."""
    reasoning, texts = (
        draw(st.lists(WORDS, max_size=2)),
        draw(st.lists(WORDS.filter(bool), min_size=1, max_size=3)),
    )
    deltas = [said(data=draw(st.sampled_from([START, CREATED, {}])))]
    deltas += [said(reasoning=r) for r in reasoning] + [said(t) for t in texts]
    calls = []
    for at in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["f", "patch"]))
        text = draw(WORDS) if name == "patch" else draw(ARGS)
        args = wrap_input(text) if name == "patch" else text
        cut = draw(st.integers(0, len(args)))
        deltas += [called(2 * at, args[:cut], f"c{at}", name), called(2 * at, args[cut:])]
        calls.append(ToolCall(f"c{at}", name, text, "custom" if name == "patch" else "function"))
    usage = draw(st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9)))
    deltas += end(draw(st.sampled_from(["stop", "tool_calls", "length"])), usage)
    return deltas, {
        "text": "".join(texts),
        "reasoning": "".join(reasoning),
        "calls": tuple(calls),
        "usage": usage,
    }


@given(streams(), st.booleans(), st.booleans())
def test_a_chat_client_reads_what_the_upstream_said(made, include_usage, guarded):
    deltas, want = made
    out = ChatWriter(include_usage=include_usage, guarded=guarded, custom=PATCH)
    seen = b"".join(out.write(d) for d in deltas) + out.finish({"t": 1}, None)
    client = ChatReader()
    read = client.feed(seen)
    got = client.answer()
    assert read[-1].done
    assert (got.text, got.reasoning) == (want["text"], want["reasoning"])
    assert {c.id: c for c in got.tool_calls} == {c.id: c for c in want["calls"]}
    assert got.usage == (want["usage"] if include_usage else None)
    assert b"".join(d.raw for d in read) == seen
    assert seen.endswith(DONE)
    assert sum("openfusion" in o for o in parsed(seen)[:-1]) == 1


@given(streams())
def test_every_chunk_is_what_the_official_sdk_reads(made):
    from openai.types.chat import ChatCompletionChunk

    # The SDK's stream types know no custom calls, so all tools are functions here.
    objects = stream(*made[0], include_usage=True)[:-1]
    chunks = [ChatCompletionChunk.model_validate(o) for o in objects]
    reasons = [c.finish_reason for k in chunks for c in k.choices]
    assert reasons.count(None) == len(reasons) - 1
    assert chunks[0].choices[0].delta.role == "assistant"
    indexes = [call.index for k in chunks for c in k.choices for call in c.delta.tool_calls or ()]
    assert sorted(set(indexes)) == list(range(len(set(indexes))))


def test_a_maker_says_the_role_once_and_signatures_never():
    maker = ChunkMaker(answer_id="", created=0, model=None, custom=frozenset())
    assert maker.chunks(said(opaque="sealed")) == []
    first, second = maker.chunks(said("a")), maker.chunks(said("b"))
    assert [d.data["choices"][0]["delta"] for d in first] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
    ]
    assert [d.text for d in first + second] == ["", "a", "b"]
    assert all(d.dialect == "chat" for d in first + second)
