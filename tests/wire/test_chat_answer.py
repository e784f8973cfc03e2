from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import (
    finish_reason,
    read_answer,
    read_usage,
    render_answer,
    render_usage,
)
from openfusion_auto.wire.codec import with_custom

from .chats import completion

SECRET = "sk-upstream-secret-0123456789"
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":"ü\\n"}'}}


def data(*args, **fields) -> bytes:
    return json.dumps(completion(*args, **fields), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def render(answer: Answer, trace=None, usage=None) -> bytes:
    return render_answer(
        answer, trace, model="shown/m", usage=usage, answer_id="chatcmpl-9", created=5
    )


# --- reading -------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_read_and_its_bytes_kept():
    raw = data(
        {"role": "assistant", "content": "hi", "reasoning_content": "hm", "tool_calls": [CALL]},
        "tool_calls",
    )
    answer = read_answer(raw)
    assert answer == Answer(
        "hi",
        "hm",
        (ToolCall("c1", "f", '{"a":"ü\\n"}'),),
        "tool_calls",
        Usage(7, 2),
        "vendor/m",
        raw,
        (),
        json.loads(raw),
    )


def picture(url):
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": None, "tool_calls": [CALL]}, "", ""),
        ({"tool_calls": [CALL], "reasoning": "r"}, "", "r"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "x"}, "y", {"text": "b"}]}, "ab", ""),
        ({"content": None, "refusal": "no"}, "no", ""),
        ({"content": None, "audio": {"id": "a"}}, "", ""),
        ({"content": "", "audio": {"data": "UklGR", "transcript": "hello"}}, "hello", ""),
        ({"content": "here:", "images": [picture("https://x.test/a.png")]},
         "here:\n![picture](https://x.test/a.png)\n", ""),
        ({"content": "", "images": [picture("data:image/png;base64,iVBO"), None, {}, {"image_url": 1}]},
         "\n[a picture (image/png), which this API has no place for]\n", ""),
        ({"content": "", "images": "many"}, "", ""),
        ({"content": "x", "tool_calls": None, "reasoning_content": None, "new": 1}, "x", ""),
    ],
)  # fmt: skip
def test_the_forms_of_content_in_use_are_read(message, text, reasoning):
    answer = read_answer(data(message))
    assert (answer.text, answer.reasoning) == (text, reasoning)


def test_missing_usage_model_and_finish_are_tolerated():
    answer = read_answer(b'{"choices":[{"message":{"content":"x"}}],"model":5}')
    assert (answer.usage, answer.finish, answer.model) == (None, None, None)


def test_a_byte_order_mark_goes():
    assert read_answer(b"\xef\xbb\xbf" + data()).raw == data()


def test_the_choice_with_index_0_is_the_hubs():
    choices = [{"index": 1, "message": {"content": "b"}}, {"index": 0, "message": {"content": "a"}}]
    assert read_answer(data(choices=choices)).text == "a"


def test_custom_calls_are_read():
    calls = [{"id": "c", "custom": {"name": "p", "input": "free"}}]
    came = data({"tool_calls": calls}, "tool_calls")
    answer = read_answer(came)
    assert answer.tool_calls == (ToolCall("c", "p", "free", "custom"),)
    assert answer.raw == came


def test_a_call_without_an_id_gets_a_stable_one_in_the_hub_and_in_the_body():
    calls = [
        {"function": {"name": "f"}},
        {"id": "", "function": {"name": "g"}},
        {"id": "x", "function": {"name": "h"}},
    ]
    first, again = (read_answer(data({"tool_calls": calls})) for _ in range(2))
    assert [c.id for c in first.tool_calls] == ["call_0_f", "call_1_g", "x"]
    assert first == again
    shown = json.loads(render_answer(first, None, model="", usage=None, answer_id="", created=0))
    assert [c["id"] for c in shown["choices"][0]["message"]["tool_calls"]] == [
        "call_0_f",
        "call_1_g",
        "x",
    ]


FOREIGN = Answer(
    text="hi",
    reasoning="hm",
    tool_calls=(ToolCall("", "f", "{}"), ToolCall("c2", "patch", '{"input":"a\\nb"}')),
    finish="tool_calls",
    usage=Usage(9, 4, 5, 1, 2),
    model="vendor/m",
    raw=b'{"id":"msg_1","choices":"no chat"}',
    data={"id": "msg_1", "choices": "no chat"},
    opaque="sealed",
    dialect="messages",
)


def test_an_answer_of_another_dialect_is_built_anew_from_the_hub():
    body = json.loads(
        render_answer(
            with_custom(FOREIGN, frozenset({"patch"})), {"trace_id": "t"},
            model="vendor/m", usage=Usage(10, 4), answer_id="chatcmpl-9", created=7,
        )
    )  # fmt: skip
    assert (body["id"], body["created"], body["model"], body["openfusion"]) == (
        "chatcmpl-9", 7, "vendor/m", {"trace_id": "t"},
    )  # fmt: skip
    assert body["usage"]["prompt_tokens"] == 10
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "call_0_f", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "a\nb"}},
        ],
    }
    assert b"sealed" not in json.dumps(body).encode()


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@given(
    st.builds(
        Answer,
        text=TEXTS,
        reasoning=TEXTS,
        tool_calls=st.lists(
            st.builds(ToolCall, TEXTS, TEXTS.filter(bool), TEXTS, st.sampled_from(["function", "custom"])), max_size=3
        ).map(tuple),
        finish=st.sampled_from(["stop", "length", "tool_calls", "content_filter", None]),
        usage=st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
        dialect=st.sampled_from(["responses", "messages"]),
    )
)  # fmt: skip
def test_any_answer_of_another_dialect_is_what_the_official_sdk_reads(answer):
    from openai.types.chat import ChatCompletion

    raw = render_answer(answer, {"x": 1}, model="m", usage=None, answer_id="i", created=1)
    shown = ChatCompletion.model_validate_json(raw)
    (choice,) = shown.choices
    assert choice.message.content == (answer.text or (None if answer.tool_calls else ""))
    assert [c.type for c in choice.message.tool_calls or ()] == [c.kind for c in answer.tool_calls]
    assert all(c.id for c in choice.message.tool_calls or ())
    assert (shown.usage is None) == (answer.usage is None)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_a_bound_has_cut_may_be_empty(finish):
    assert read_answer(data({"content": ""}, finish)).finish == finish


@pytest.mark.parametrize(
    "message",
    [
        {"content": ""},
        {"content": None},
        {},
        {"content": [], "tool_calls": []},
        {"content": "", "reasoning": "r"},
    ],
)
def test_an_empty_answer_is_broken(message):
    with pytest.raises(UpstreamBroken, match="empty answer"):
        read_answer(data(message))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"junk", b"<html>busy</html>", b"[]", b"null", b'"x"', b"{}", b'{"choices":null}', b'{"choices":[]}',
        b'{"choices":{}}', b'{"choices":[null]}', b'{"choices":[{}]}', b'{"choices":[{"message":null}]}',
        b'{"choices":[{"message":"x"}]}', data()[:-20], data() + b"x", b"\xff" + data(), b"[" * 200_000,
        data(choices=[{"message": {"content": 5}}]), data({"content": "x", "tool_calls": "y"}), data(x=float("nan")),
        data({"tool_calls": [{"id": "c"}]}), data({"tool_calls": ["x"]}), data({"content": "\ud800"}),
        data({"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}),
        data({"tool_calls": [{"id": "c", "function": {"name": "", "arguments": ""}}]}),
        data().replace(b"1700000000", b"1" * 6000), data({"content": "x"}, "error"),
        data(choices=[{"message": {"content": "a"}}, {"message": None}]),
    ],
)  # fmt: skip
def test_what_is_no_completion_is_broken(raw):
    with pytest.raises(UpstreamBroken) as caught:
        read_answer(raw)
    assert (caught.value.status, caught.value.scope) == (502, "candidate")
    assert "html" not in caught.value.message


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"message": SECRET, "code": "rate_limit"}, "(rate_limit)"),
        (SECRET, "an error"),
        ({"code": SECRET}, "an error"),
    ],
)
def test_an_error_object_is_broken_and_its_words_stay_here(error, shown):
    for raw in (data(error=error), data(choices=[{"message": {"content": "x"}, "error": error}])):
        with pytest.raises(UpstreamBroken) as caught:
            read_answer(raw)
        assert SECRET not in caught.value.message
        assert shown in caught.value.message


@given(st.binary(max_size=50))
def test_any_bytes_are_broken_not_a_crash(raw):
    with pytest.raises(UpstreamBroken):
        read_answer(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "usage",
                    "error",
                    "finish_reason",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(JSON, JSON)
def test_any_object_is_an_answer_or_broken(message, choice):
    for value in ({"choices": [{"message": message}]}, {"choices": [choice]}, {"choices": choice}):
        try:
            answer = read_answer(json.dumps(value).encode())
        except UpstreamBroken:
            continue
        assert json.loads(render(answer, {"trace_id": "t"}))["openfusion"] == {"trace_id": "t"}


# --- usage ---------------------------------------------------------------------------------------------------


def test_usage_is_read_with_its_details():
    assert read_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
            "completion_tokens_details": {"reasoning_tokens": 5},
        }
    ) == Usage(100, 20, 60, 30, 5)
    assert read_usage({"prompt_tokens": 9, "cached_tokens": 4}) == Usage(9, 0, 4)  # Kimi
    lives = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    details = {
        "cached_tokens": 4, "cache_creation_tokens": 3, "cache_creation_token_details": lives,
    }  # fmt: skip
    litellm = {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": details}
    assert read_usage(litellm) == Usage(9, 1, 4, 3, 0, 2)
    details["cache_creation_token_details"] = None
    assert read_usage(litellm) == Usage(9, 1, 4, 3)
    assert read_usage({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}) == Usage(9, 0, 4)
    assert read_usage(
        {"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None}
    ) == Usage(9)


@pytest.mark.parametrize(
    ("completion", "total", "details", "output", "reasoning"),
    [
        (1499, 14428, 2809, 4308, 2809),  # as xAI's Grok
        (198, 10723, None, 603, 405),  # as Gemini, which does not say what the rest is
        (0, 10180, 60, 60, 60),
        (1499, 11619, 400, 1499, 400),  # as OpenAI
        (1499, 12000, 2809, 1499, 1499),  # nobody's rule: nothing is made of it
        (1499, 10, 0, 1499, 0),
        (1499, "14428", 0, 1499, 0),
    ],
)
def test_reasoning_that_stands_in_the_total_alone_is_output(
    completion, total, details, output, reasoning
):
    told = {"prompt_tokens": 10120, "completion_tokens": completion, "total_tokens": total}
    if details is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": details}
    assert read_usage(told) == Usage(10120, output, 0, 0, reasoning)


@pytest.mark.parametrize("bad", [-1, True, 1.5, "7", 10**13, []])
def test_a_count_that_cannot_be_spoils_the_whole_usage(bad):
    assert read_usage({"prompt_tokens": bad, "completion_tokens": 1}) is None
    assert (
        read_usage({"prompt_tokens": 1, "completion_tokens_details": {"reasoning_tokens": bad}})
        is None
    )


@pytest.mark.parametrize("junk", [None, [], "x", 5, {}, {"total_tokens": 5}])
def test_junk_is_no_usage(junk):
    assert read_usage(junk) is None


def test_a_cache_that_stands_beside_the_input_is_in_it():
    portkey = {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 515,
        "cache_read_input_tokens": 450, "cache_creation_input_tokens": 50,
    }  # fmt: skip
    assert read_usage(portkey) == Usage(510, 5, 450, 50)
    details = {"prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 60}}
    assert read_usage({"prompt_tokens": 10, "completion_tokens": 1, **details}) == Usage(
        120, 1, 50, 60
    )


COUNTS = st.integers(0, 1000)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_rendered_usage_reads_as_itself(cached, rest, output, reasoning, written):
    usage = Usage(cached + written + rest, output + reasoning, cached, written, reasoning)
    rendered = render_usage(usage)
    assert read_usage(rendered) == usage
    assert rendered["total_tokens"] == usage.input + usage.output
    assert ("cache_write_tokens" in rendered["prompt_tokens_details"]) == (written > 0)


# --- rendering -----------------------------------------------------------------------------------------------


@given(st.text(), st.sampled_from([None, 2]), st.sampled_from(["", " \n"]))
def test_the_trace_goes_in_before_the_last_brace_and_all_else_stays(text, indent, tail):
    raw = (json.dumps(completion({"content": text + "x"}), indent=indent) + tail).encode()
    rendered = render(read_answer(raw), {"trace_id": "t}"})
    assert rendered.startswith(raw.rstrip()[:-1])
    assert json.loads(rendered) == {**json.loads(raw), "openfusion": {"trace_id": "t}"}}


def test_without_a_trace_the_bytes_are_the_upstreams():
    raw = data(openfusion={"x": 1}) + b"\n"
    assert render(read_answer(raw)) == raw


def test_an_upstreams_own_trace_is_replaced_not_doubled():
    rendered = render(read_answer(data(openfusion={"other": 1})), {"trace_id": "t"})
    assert rendered.count(b'"openfusion"') == 1
    assert json.loads(rendered)["openfusion"] == {"trace_id": "t"}


def test_usage_is_replaced_only_when_it_differs():
    answer = read_answer(data())
    assert render(answer, usage=Usage(7, 2)) == answer.raw
    rendered = json.loads(render(answer, {"t": 1}, Usage(70, 20)))
    assert rendered == {**answer.data, "usage": render_usage(Usage(70, 20)), "openfusion": {"t": 1}}


def test_an_answer_without_bytes_becomes_a_completion():
    answer = Answer("hi", "hm", usage=Usage(1, 2))
    assert json.loads(render(answer, {"t": 1}, Usage(3, 4))) == {
        "id": "chatcmpl-9",
        "object": "chat.completion",
        "created": 5,
        "model": "shown/m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "hi",
                    "refusal": None,
                    "reasoning_content": "hm",
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": render_usage(Usage(3, 4)),
        "openfusion": {"t": 1},
    }


def test_built_calls_keep_their_arguments_and_say_tool_calls():
    calls = (ToolCall("c", "f", '{"a": 1}'), ToolCall("d", "p", "free", "custom"))
    built = json.loads(render(Answer(tool_calls=calls, finish="stop")))
    (choice,) = built["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert "usage" not in built
    assert read_answer(json.dumps(built).encode()).tool_calls == calls


def test_a_body_of_another_dialect_is_not_passed_on():
    answer = Answer("hi", raw=b'{"type":"message"}', data={"type": "message"})
    assert json.loads(render(answer))["choices"][0]["message"]["content"] == "hi"


@pytest.mark.parametrize(
    ("finish", "calls", "shown"),
    [
        (None, False, "stop"), (None, True, "tool_calls"), ("end_turn", False, "stop"), ("tool_use", True, "tool_calls"),
        ("max_tokens", True, "length"), ("length", False, "length"), ("odd", False, "odd"), ("stop", True, "tool_calls"),
    ],
)  # fmt: skip
def test_ends_have_openais_names(finish, calls, shown):
    assert finish_reason(finish, calls=calls) == shown


def test_an_answer_with_calls_ends_with_the_word_on_which_agents_act():
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    }
    answer = read_answer(data(choices=[{"index": 0, "message": message, "finish_reason": "stop"}]))
    assert answer.finish == "tool_calls"
    shown = json.loads(render_answer(answer, None, model="m", usage=None, answer_id="", created=0))
    assert shown["choices"][0]["finish_reason"] == "tool_calls"
