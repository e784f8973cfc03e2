from __future__ import annotations

import json

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.errors import (
    BadRequest,
    ContextTooLong,
    FusionError,
    ModelNotFound,
    NoCandidate,
    NotAuthorized,
    Overloaded,
    TooLarge,
    UpstreamBroken,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from openfusion_auto.wire.messages_answer import (
    error_body,
    finish_of,
    read_answer,
    read_usage,
    render_answer,
    render_usage,
    stop_reason,
)
from openfusion_auto.wire.messages_blocks import UNSIGNED

from .claude import CALL, answers, message, usages

TRACE = {"trace_id": "t"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
TEXT = {"type": "text", "text": "hi"}


def read(*blocks: object, **fields: object) -> Answer:
    return read_answer(json.dumps(message(*blocks, **fields)).encode())


def written(answer: Answer, trace=TRACE, usage: Usage | None = None, **named: object) -> bytes:
    given = {"model": "m", "answer_id": "msg_9", "created": 0, **named}
    return render_answer(answer, trace, usage=usage, **given)


# --- reading -------------------------------------------------------------------------------------------------


def test_an_answer_is_read_whole():
    found = read(THOUGHT, TEXT, {"type": "text", "text": "!"}, CALL, stop="tool_use")
    assert (found.text, found.reasoning, found.opaque) == ("hi!", "hm", "c2ln")
    assert found.tool_calls == (ToolCall("toolu_1", "edit", '{"path":"a.py"}'),)
    assert (found.finish, found.model, found.usage) == ("tool_calls", "claude-x", Usage(7, 2))
    assert (found.dialect, found.data["id"]) == ("messages", "msg_1")


def test_a_byte_order_mark_and_missing_fields_are_tolerated():
    found = read_answer(b'\xef\xbb\xbf{"content":[{"type":"text","text":"hi"}]}')
    assert (found.text, found.finish, found.usage, found.model) == ("hi", None, None, None)
    assert found.raw.startswith(b"{")


def test_a_call_without_an_id_gets_a_stable_one():
    bare = {**CALL, "id": None, "input": None}
    first, second = read(bare, {**bare, "name": "bash"}, stop="tool_use").tool_calls
    assert (first, second.id) == (ToolCall("call_0_edit", "edit", "{}"), "call_1_bash")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"null", b"{}", b'{"content":null}', b'{"content":[1]}', b'{"content":[{}]}',
        b'{"content":[]}', b'{"content":[{"type":"text","text":""}]}', b'{"content":[{"type":"text","text":1}]}',
        b'{"content":[{"type":"tool_use","input":{}}]}', b'{"content":[{"type":"tool_use","name":"f","input":"x"}]}',
        b'{"content":[{"type":"thinking","thinking":"hm"}],"stop_reason":"end_turn"}',
        b'{"type":"error","error":{"type":"overloaded_error","message":"sk-secret"}}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(UpstreamBroken) as error:
        read_answer(body)
    assert "sk-secret" not in error.value.message


def test_an_error_object_is_told_by_its_type():
    with pytest.raises(UpstreamBroken, match=r"\(overloaded_error\)"):
        read_answer(b'{"type":"error","error":{"type":"overloaded_error"}}')


@pytest.mark.parametrize("stop", ["max_tokens", "refusal"])
def test_an_answer_that_was_cut_may_be_empty(stop):
    assert read({"type": "text", "text": ""}, stop=stop).text == ""


def test_what_a_server_tool_did_is_content():
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert read(used).finish == "stop"


@pytest.mark.parametrize(
    ("reason", "calls", "finish"),
    [("end_turn", True, "tool_calls"), ("max_tokens", True, "length"), ("brand_new", False, "stop"),
     ("model_context_window_exceeded", False, "length"), ("pause_turn", False, "length"), (None, True, None), (3, False, None)],
)  # fmt: skip
def test_stop_reasons_are_the_hubs_words(reason, calls, finish):
    assert finish_of(reason, calls=calls) == finish


@pytest.mark.parametrize(
    ("finish", "calls", "reason"),
    [("stop", False, "end_turn"), ("stop", True, "tool_use"), ("length", True, "max_tokens"), (None, False, "end_turn"),
     ("content_filter", False, "refusal"), ("wild", True, "tool_use")],
)  # fmt: skip
def test_finishes_are_stop_reasons(finish, calls, reason):
    assert stop_reason(finish, calls=calls) == reason


# --- usage ---------------------------------------------------------------------------------------------------


def test_the_cached_parts_are_in_the_hubs_input_and_not_in_anthropics():
    usage = {
        "input_tokens": 3, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }  # fmt: skip
    assert read_usage(usage) == Usage(100, 5, 90, 7, 2)
    assert render_usage(Usage(100, 5, 90, 7, 2)) == usage


@pytest.mark.parametrize(
    ("lives", "hour"),
    [
        ({"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200}, 200),
        ({"ephemeral_5m_input_tokens": 500}, 0),
        ({"ephemeral_1h_input_tokens": 900}, 500),
        (None, 0),
    ],
)
def test_what_is_cached_for_an_hour_is_told_apart(lives, hour):
    given = {"input_tokens": 3, "output_tokens": 5, "cache_creation_input_tokens": 500}
    usage = read_usage({**given, "cache_creation": lives})
    assert usage == Usage(503, 5, 0, 500, 0, hour)
    assert read_usage(render_usage(usage)) == usage


def test_a_compaction_on_the_way_is_used_tokens_too():
    # As Anthropic's guide shows it: the top level is the answer alone. An advisor is another model.
    steps = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
        {"type": "advisor_message", "input_tokens": 9, "output_tokens": 9},
    ]
    told = {"input_tokens": 23_000, "output_tokens": 1_000, "iterations": steps}
    assert read_usage(told) == Usage(203_000, 4_500)
    for junk in (None, "x", [None, 5, {"type": "compaction", "input_tokens": -1}]):
        assert read_usage({**told, "iterations": junk}) == Usage(23_000, 1_000)


def test_a_count_of_an_hour_that_cannot_be_spoils_the_whole_usage():
    assert (
        read_usage({"input_tokens": 3, "cache_creation": {"ephemeral_1h_input_tokens": -1}}) is None
    )


@given(usages)
def test_usage_survives_the_round_trip(usage):
    assert read_usage(render_usage(usage)) == usage


@pytest.mark.parametrize(
    "value", [None, [], {}, {"input_tokens": -1}, {"output_tokens": "9"}, {"input_tokens": 10**13}]
)
def test_usage_that_cannot_be_is_none(value):
    assert read_usage(value) is None


# --- writing -------------------------------------------------------------------------------------------------


def test_a_body_is_given_back_as_it_came_with_the_trace_in_it():
    data = b'{"z" : 1, "content":[{"type":"text","text":"h\\u0069"}]}\n'
    answer = read_answer(data)
    assert written(answer, None) == data
    assert written(answer) == data.rstrip()[:-1] + b',"openfusion":{"trace_id":"t"}}'


def test_the_sums_of_the_ledger_are_told():
    answer = read(TEXT, usage={"input_tokens": 7, "output_tokens": 2, "service_tier": "standard"})
    assert b"openfusion" in written(answer, usage=Usage(7, 2))
    out = json.loads(written(answer, usage=Usage(70, 20, 10)))
    assert out["usage"]["input_tokens"] == 60
    assert out["usage"]["service_tier"] == "standard"
    assert out["openfusion"] == TRACE


def test_an_upstreams_own_trace_is_replaced():
    out = written(read(TEXT, openfusion={"other": 1}))
    assert out.count(b"openfusion") == 1
    assert json.loads(out)["openfusion"] == TRACE


def test_citations_of_null_are_taken_out():
    cited = {**TEXT, "citations": [{"type": "char_location"}]}
    out = json.loads(written(read({**TEXT, "citations": None}, cited, THOUGHT)))
    assert out["content"] == [TEXT, cited, THOUGHT]


def test_another_dialects_answer_is_built_anew():
    found = Answer(
        "hi", "hm", (ToolCall("c", "edit", '{"a":1}'),), "stop", Usage(9, 3, 4), raw=b"{}", data={}
    )
    out = json.loads(written(found))
    assert out == {
        **message(
            {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
            TEXT,
            {"type": "tool_use", "id": "c", "name": "edit", "input": {"a": 1}},
            stop="tool_use",
        ),
        "id": "msg_9", "model": "m", "usage": render_usage(Usage(9, 3, 4)), "openfusion": TRACE,
    }  # fmt: skip
    assert [b["type"] for b in json.loads(written(found, reasoning=False))["content"]] == [
        "text", "tool_use",
    ]  # fmt: skip


def test_calls_that_hold_no_object_are_objects_here():
    calls = (ToolCall("a", "f", "{"), ToolCall("", "g", "*** x", "custom"), ToolCall("c", "h", ""))
    first, second, third = json.loads(written(Answer(tool_calls=calls)))["content"]
    assert first["input"] == {"arguments": "{"}
    assert (second["id"], second["input"]) == ("call_1_g", {"input": "*** x"})
    assert third["input"] == {}


@given(answers(), st.none() | usages)
def test_a_built_answer_is_the_sdks_and_reads_the_same(answer, usage):
    out = written(answer, usage=usage)
    Message.model_validate_json(out)
    back = read_answer(out)
    assert (back.text, back.reasoning, back.finish) == (
        answer.text,
        answer.reasoning,
        answer.finish,
    )
    assert [(c.id, c.name, json.loads(c.arguments)) for c in back.tool_calls] == [
        (c.id, c.name, json.loads(c.arguments)) for c in answer.tool_calls
    ]
    assert back.usage == (usage or answer.usage or Usage())
    assert b"citations" not in out


# --- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadRequest("x"), "invalid_request_error"), (NotAuthorized("x"), "authentication_error"),
        (ModelNotFound("x"), "not_found_error"), (TooLarge("x"), "request_too_large"),
        (UpstreamRateLimited("x"), "rate_limit_error"), (NoCandidate("x"), "overloaded_error"),
        (Overloaded("x"), "overloaded_error"), (UpstreamTimeout("x"), "timeout_error"),
        (UpstreamBroken("x"), "api_error"), (FusionError("x", status=418), "invalid_request_error"),
    ],
)  # fmt: skip
def test_errors_have_anthropics_shape(error, kind):
    expected = {"type": "error", "error": {"type": kind, "message": "x"}}
    assert error_body(error) == expected
    assert error_body(error, "req_1") == {**expected, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("maximum context length is 8,192 tokens. However, your messages resulted in 99999 tokens.",
         "prompt is too long: 99999 tokens > 8192 maximum"),
        ("The upstream said: Prompt is too long: 210,000 tokens > 200,000 maximum",
         "prompt is too long: 210,000 tokens > 200,000 maximum"),
        ("the context of qwen3 is exceeded", "prompt is too long. the context of qwen3 is exceeded"),
    ],
)  # fmt: skip
def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_know(said, told):
    assert error_body(ContextTooLong(said))["error"] == {
        "type": "invalid_request_error", "message": told,
    }  # fmt: skip


def test_an_answer_with_calls_ends_with_the_word_on_which_agents_act():
    body = {
        "type": "message",
        "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {}}],
        "stop_reason": "end_turn",
    }
    answer = read_answer(json.dumps(body).encode())
    shown = json.loads(render_answer(answer, None, model="m", usage=None, answer_id="", created=0))
    assert (answer.finish, shown["stop_reason"]) == ("tool_calls", "tool_use")
