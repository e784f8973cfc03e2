from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming._deltas import accumulate_delta

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, ToolCall, Usage
from openfusion_auto.wire.chat_reader import CUT_SHORT, ChatReader

from .chats import call, chunk, sse, usage_chunk

SECRET = "sk-upstream-secret-0123456789"
ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop")


def read(data: bytes) -> tuple[list[Delta], Answer]:
    reader = ChatReader()
    deltas = reader.feed(data) + reader.close()
    return deltas, reader.answer()


def last(data: bytes) -> Delta:
    deltas, _ = read(data)
    assert all(d.error is None and not d.done for d in deltas[:-1])
    return deltas[-1]


def test_a_stream_is_read_whole():
    data = sse(
        ROLE,
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "he"}),
        chunk({"content": "llo"}),
        STOP,
        usage_chunk(),
    )
    deltas, answer = read(data)
    assert [d.text for d in deltas] == ["", "", "he", "llo", "", "", ""]
    assert [d.finish for d in deltas] == [None, None, None, None, "stop", None, None]
    assert deltas[1].reasoning == "hm"
    assert deltas[5].usage == Usage(7, 2)
    assert deltas[6].done
    assert b"".join(d.raw for d in deltas) == data
    assert answer == Answer(
        "hello", "hm", (), "stop", Usage(7, 2), "vendor/m", deltas=tuple(deltas)
    )


def test_parallel_calls_keep_every_byte_of_their_arguments():
    args = ('{"q": "a\\"b\\n', '😀"}')
    data = sse(
        call(0, "c0", "f"),
        call(0, args=args[0]),
        call(0, args=args[1]),
        call(1, "c1", "g", "{}"),
        chunk({}, "tool_calls"),
    )
    deltas, answer = read(data)
    assert deltas[0].calls == (CallDelta(0, 0, "c0", "f", ""),)
    assert deltas[1].calls == (CallDelta(0, 0, None, None, args[0]),)
    assert answer.tool_calls == (ToolCall("c0", "f", "".join(args)), ToolCall("c1", "g", "{}"))
    assert answer.finish == "tool_calls"


@given(st.lists(st.integers(0, 2000), max_size=6))
def test_any_split_gives_the_same_deltas(cuts):
    data = sse(
        ROLE, chunk({"content": "日本 é 😀"}), call(0, "c", "f", '{"a":1}'), STOP, usage_chunk()
    )
    reader = ChatReader()
    places = sorted({min(c, len(data)) for c in cuts} | {0, len(data)})
    deltas = [d for low, high in pairwise(places) for d in reader.feed(data[low:high])]
    assert deltas + reader.close() == read(data)[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "form",
    ["data: {}", "data:{}", ": note{end}data: {}", "id: 1{end}retry: 5{end}data: {}", "event: message{end}data: {}",
     "event: odd{end}data: {}", "{end}{end}data: {}"],
)  # fmt: skip
def test_every_framing_gives_the_whole_text(form, end):
    texts = [json.dumps(c) for c in (ROLE, chunk({"content": "hi"}), STOP)] + ["[DONE]"]
    stream = "".join(form.replace("{end}", end).replace("{}", text) + end + end for text in texts)
    reader = ChatReader()
    deltas = [
        d for i in range(len(stream)) for d in reader.feed(stream[i : i + 1].encode())
    ] + reader.close()
    if form.startswith("event: odd"):
        assert deltas[-1].done
    assert reader.answer().text == "hi"
    assert deltas[-1].done


def test_multi_line_data_and_a_byte_order_mark_are_read():
    data = (
        b"\xef\xbb\xbfdata: "
        + json.dumps(chunk({"content": "hi"}), indent=1).replace("\n", "\ndata: ").encode()
        + b"\n\n"
    )
    deltas, answer = read(data + sse(STOP))
    assert answer.text == "hi"
    assert deltas[-1].done


def test_comments_pings_and_objects_that_are_no_chunk_are_dropped():
    noise = b': ping\n\nevent: ping\ndata: {}\n\nevent: odd\ndata: hello\n\nevent: x\ndata: [1]\n\ndata: {"a": 1}\n\ndata:\n\n'
    deltas, answer = read(noise + sse(chunk({"content": "hi"}), done=False) + noise + sse(STOP))
    assert len(deltas) == 3
    assert answer.text == "hi"


def test_usage_in_the_last_choice_is_read():
    ended = chunk({}, "stop")
    ended["choices"][0]["usage"] = {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4}
    _, answer = read(sse(chunk({"content": "hi"}), ended))
    assert answer.usage == Usage(9, 2, 4)
    ended["choices"][0]["usage"] = None
    assert read(sse(chunk({"content": "hi"}), ended))[1].usage is None


def test_usage_that_comes_in_pieces_is_put_together():
    begun = chunk({"content": "hi"})
    begun["usage"] = {
        "prompt_tokens": 900,
        "prompt_tokens_details": {"cached_tokens": 4},
        "cost": 0.5,
    }
    ended = chunk({}, "stop")
    for rest in ({"completion_tokens": 7}, {"prompt_tokens": 0, "completion_tokens": 7}):
        ended["usage"] = rest
        deltas, answer = read(sse(begun, ended))
        assert answer.usage == deltas[1].usage == Usage(900, 7, 4)
        assert answer.billed_usd == 0.5
    ended["usage"] = {"prompt_tokens": 800, "completion_tokens": 2, "cost": 0.4}
    _, answer = read(sse(begun, ended))
    assert (answer.usage, answer.billed_usd) == (Usage(800, 2), 0.4)


def test_usage_beside_no_choices_is_read_but_not_passed_on():
    data = sse(chunk({"content": "hi"}, "stop"), {"choices": None, "usage": {"prompt_tokens": 3}})
    deltas, answer = read(data)
    assert (deltas[1].raw, deltas[1].usage, answer.usage) == (b"", Usage(3), Usage(3))


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"data: [DONE]",
        b"data: [DONE]\n\n" * 2,
        b"data:[DONE]\n\n" + sse(chunk({"content": "x"})),
    ],
)
def test_the_end_is_one_done_whatever_follows(tail):
    deltas, answer = read(sse(chunk({"content": "hi"}), STOP, done=False) + tail)
    assert [d.done for d in deltas] == [False, False, True]
    assert answer.text == "hi"
    assert answer.deltas == tuple(deltas)


@pytest.mark.parametrize(
    "data",
    [
        sse(ROLE, chunk({"content": "hi"}), done=False),
        sse(ROLE, chunk({"content": "hi"})),
        sse(chunk({"content": "hi"}), done=False) + b'data: {"choices": [{"del',
        sse(call(0, "c", "f", '{"a'), done=False),
        sse(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, index=1)),
    ],
)
def test_a_stream_that_ends_before_its_finish_is_cut(data):
    assert last(data).error == CUT_SHORT
    assert CUT_SHORT.startswith("cut")


@pytest.mark.parametrize(
    "data",
    [b"", b"data: [DONE]\n\n", b": hi\n\n", b"<html><body>busy</body></html>", b'{"choices":[]}'],
)
def test_an_empty_stream_is_an_error(data):
    assert last(data).error == "the upstream's stream was empty"


@pytest.mark.parametrize("data", [sse(ROLE, STOP), sse(chunk({"reasoning": "hm"}), STOP)])
def test_an_empty_answer_is_an_error(data):
    assert last(data).error.startswith("empty answer")


@pytest.mark.parametrize(
    "data",
    [sse(ROLE, chunk({}, "length")), sse(chunk({}, "content_filter")), sse(chunk({"refusal": "no"}), STOP),
     sse(chunk({"audio": {"data": "x"}}), STOP)],
)  # fmt: skip
def test_a_cut_by_a_bound_and_other_content_are_answers(data):
    assert last(data).done


def test_a_refusal_is_text_where_there_is_none():
    assert (
        read(sse(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), STOP))[1].text == "I won't"
    )


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (sse({"error": {"message": SECRET, "code": "server_error"}}, done=False), "(server_error)"),
        (sse({"error": SECRET}, done=False), "error event"),
        (
            b'event: error\ndata: {"error": {"type": "overloaded_error", "message": "x"}}\n\n',
            "(overloaded_error)",
        ),
        (b'event: error\ndata: {"code": 502}\n\n', "(502)"),
        (b"event: error\ndata: [1]\n\n", "error event"),
        (sse(chunk({}, "error"), done=False), "ended with an error"),
        (sse({"choices": [{"error": {"code": 502}}]}, done=False), "(502)"),
        (b"data: {broken\n\n", "not JSON"),
        (b"event: error\ndata: broken\n\n", "not JSON"),
        (b'data: {"choices": NaN}\n\n', "not JSON"),
        (b'data: "\xff"\n\n', "not JSON"),
        (b"data: [1]\n\n", "not an object"),
        (b"data: <html>\n\n", "not JSON"),
        (sse({"choices": 5}, done=False), "not a list"),
        (sse({"choices": [5]}, done=False), "not an object"),
        (sse({"choices": [{"index": "x"}]}, done=False), "not a number"),
        (sse({"choices": [{"delta": "x"}]}, done=False), "not an object"),
        (sse(chunk({"content": 5}), done=False), "content"),
        (sse(chunk({"tool_calls": 5}), done=False), "not a list"),
        (sse(chunk({"tool_calls": [5]}), done=False), "not an object"),
        (
            sse(chunk({"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}), done=False),
            "not text",
        ),
    ],
)
@pytest.mark.parametrize("before", [b"", sse(ROLE, chunk({"content": "hi"}), done=False)])
def test_a_broken_event_ends_the_stream_with_a_safe_error(event, shown, before):
    reader = ChatReader()
    deltas = reader.feed(before + event + sse(chunk({"content": "late"}), STOP))
    assert shown in deltas[-1].error
    assert SECRET not in deltas[-1].error
    assert len(deltas) == (3 if before else 1)
    assert reader.feed(sse(STOP)) == reader.close() == []
    assert reader.answer().text == ("hi" if before else "")


def test_an_event_over_the_limit_is_an_error_not_a_crash():
    reader = ChatReader(limit=100)
    assert reader.feed(b"data: " + b"x" * 200)[0].error == "an event is too long"
    assert reader.close() == []


def test_three_megabytes_in_one_event_and_many_events_are_read():
    big = "x" * 3_000_000
    assert read(sse(chunk({"content": big}), STOP))[1].text == big
    many = sse(*[chunk({"content": "ab"})] * 20_000, STOP)
    assert read(many)[1].text == "ab" * 20_000


def test_deltas_are_kept_only_where_wanted():
    reader = ChatReader(keep=False)
    reader.feed(sse(chunk({"content": "hi"}), STOP, done=False))
    reader.close()
    assert reader.answer() == Answer("hi", finish="stop", model="vendor/m")


def test_only_the_first_choice_is_the_hubs():
    both = {**chunk(), "choices": [
        {"index": 1, "delta": {"content": "b", "reasoning": "y"}}, {"index": 0, "delta": {"content": "a"}, "finish_reason": ""},
    ]}  # fmt: skip
    data = sse(
        both, call(0, "c1", "f", "{}", choice=1), chunk({}, "tool_calls", 1), chunk({}, "stop", 0)
    )
    deltas, answer = read(data)
    assert deltas[0].text == "a"
    assert deltas[1].calls == (CallDelta(1, 0, "c1", "f", "{}"),)
    assert (answer.text, answer.reasoning, answer.tool_calls, answer.finish) == (
        "a",
        "",
        (),
        "stop",
    )
    assert deltas[-1].done


def test_content_as_a_list_of_parts_is_text():
    assert read(sse(chunk({"content": [{"type": "text", "text": "a"}]}), STOP))[1].text == "a"


def test_custom_calls_are_told_apart():
    item = {"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}
    more = {"index": 0, "custom": {"input": "free"}}
    data = sse(
        chunk({"tool_calls": [item]}), chunk({"tool_calls": [more]}), chunk({}, "tool_calls")
    )
    assert read(data)[1].tool_calls == (ToolCall("c", "p", "free", "custom"),)


def numbered(*indexes: tuple[int | None, str | None]) -> list[int]:
    """The indexes that clients get for fragments with these indexes and ids; the bytes and the hub must agree."""
    data = sse(
        *[call(i, c, "f" if c else None, "{}" if c else " ") for i, c in indexes],
        chunk({}, "tool_calls"),
    )
    deltas, _ = read(data)
    found = [d.calls[0].index for d in deltas if d.calls]
    shown = [
        json.loads(d.raw[6:])["choices"][0]["delta"]["tool_calls"][0]["index"]
        for d in deltas
        if d.calls
    ]
    assert found == shown
    return found


def test_call_indexes_are_contiguous_from_zero_whatever_the_upstream_counts():
    assert numbered((0, "a"), (0, None), (1, "b"), (1, None)) == [0, 0, 1, 1]
    assert numbered((1, "a"), (1, None), (3, "b"), (3, None)) == [0, 0, 1, 1]
    assert numbered((0, "a"), (0, "b"), (0, None)) == [0, 1, 1]
    assert numbered((None, "a"), (None, None), (None, "b"), (None, "a")) == [0, 0, 1, 0]
    assert numbered((None, None)) == [0]
    assert numbered((0, "a"), (0, "a"), (1, "b"), (0, None)) == [0, 0, 1, 0]


def test_good_indexes_leave_the_bytes_alone():
    data = sse(call(0, "a", "f", "{}"), chunk({}, "tool_calls"))
    assert b"".join(d.raw for d in read(data)[0]) == data


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "index",
                    "delta",
                    "content",
                    "tool_calls",
                    "function",
                    "arguments",
                    "finish_reason",
                    "usage",
                    "error",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.lists(JSON, max_size=3), JSON)
def test_any_events_end_in_exactly_one_done_or_error(choices, other):
    deltas, answer = read(sse({"choices": choices}, other, {"choices": [{"delta": other}]}))
    assert [bool(d.done or d.error) for d in deltas] == [False] * (len(deltas) - 1) + [True]
    assert isinstance(answer, Answer)


def called(*items: dict[str, object]) -> tuple[list[tuple[str, str, str]], list[dict[str, object]]]:
    """The calls of a stream of such fragments, as the hub has them and as the official SDK adds up the bytes."""
    chunks = [chunk({"tool_calls": [item]}) for item in items]
    deltas, answer = read(sse(*chunks, chunk(finish="tool_calls")))
    assert deltas[-1].done, deltas[-1].error
    added: dict[int, dict[str, object]] = {}
    for delta in deltas:
        said = json.loads(delta.raw[6:])["choices"] if delta.calls else [{"delta": {}}]
        for item in said[0]["delta"].get("tool_calls", ()):
            index = item.pop("index")
            known = added.get(index)
            added[index] = item if known is None else accumulate_delta(known, item)
    return [(c.id, c.name, c.arguments) for c in answer.tool_calls], list(added.values())


def fragment(args: str, *, index: int | None = 0, call_id: str = "", name: str = ""):
    function = {"arguments": args, **({"name": name} if name else {})}
    item = {"function": function, **({"id": call_id} if call_id else {})}
    return item if index is None else {"index": index, **item}


ONE, TWO = '{"a": 1}', '{"b": 2}'


@pytest.mark.parametrize(
    ("items", "found"),
    [
        # An id of its own for each fragment; clients would take each for a call.
        (
            [
                fragment("", call_id="x", name="f"),
                fragment('{"a"', call_id="y"),
                fragment(": 1}", call_id="z"),
            ],
            [("x", "f", ONE)],
        ),
        (
            [
                fragment('{"a"', index=None, call_id="x", name="f"),
                fragment(": 1}", index=None, call_id="y"),
            ],
            [("x", "f", ONE)],
        ),
        # Id and name in each fragment; clients would double them.
        (
            [fragment('{"a"', call_id="x", name="f"), fragment(": 1}", call_id="x", name="f")],
            [("x", "f", ONE)],
        ),
        (
            [fragment(ONE, call_id="x", name="f"), fragment("", call_id="x", name="f")],
            [("x", "f", ONE)],
        ),
        # Two whole calls at one index, without ids.
        (
            [fragment(ONE, name="f"), fragment(TWO, name="f")],
            [("call_0_f", "f", ONE), ("call_1_f", "f", TWO)],
        ),
        (
            [fragment(ONE, index=None, name="f"), fragment(TWO, index=None, name="g")],
            [("call_0_f", "f", ONE), ("call_1_g", "g", TWO)],
        ),
        # The name comes late.
        ([fragment("", call_id="x"), fragment(ONE, name="f")], [("x", "f", ONE)]),
    ],
)
def test_fragments_of_odd_servers_are_the_calls_that_they_mean(items, found):
    hub, added = called(*items)
    assert hub == found
    shown = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in added]
    assert shown == found


def test_a_call_without_any_name_breaks_the_answer():
    data = sse(
        chunk({"tool_calls": [fragment(ONE, call_id="x")]}), chunk(finish="tool_calls"), done=False
    )
    assert "no name" in (last(data).error or "")


def test_a_refusal_is_told_to_clients_of_other_dialects():
    deltas, answer = read(sse(chunk({"refusal": "I can"}), chunk({"refusal": "not"}, "stop")))
    assert "".join(d.text for d in deltas) == answer.text == "I cannot"
