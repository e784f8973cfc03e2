from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Prompt, ToolCall, Usage
from openfusion_auto.errors import (
    BadRequest,
    ContextTooLong,
    InternalError,
    UpstreamBroken,
    UpstreamRateLimited,
)
from openfusion_auto.wire.jsons import BOM
from openfusion_auto.wire.responses_answer import (
    echo_of,
    error_body,
    read_answer,
    read_usage,
    render_answer,
    render_error,
    render_usage,
)
from openfusion_auto.wire.responses_request import parse_request
from openfusion_auto.wire.responses_tools import ClientTools

from .responses_samples import (
    USAGE,
    accept_response,
    custom,
    function,
    message,
    raw,
    reasoning,
    response,
)

TRACE = {"trace_id": "t"}


def data(*output: object, **fields: object) -> bytes:
    return json.dumps(response(*output, **fields)).encode()


def shown(answer: Answer, usage: Usage | None = None, trace=TRACE, **more) -> dict[str, object]:
    rendered = render_answer(
        answer, trace, model="vendor/m", usage=usage, answer_id="resp_x", created=17, **more
    )
    return json.loads(rendered)


# --- reading -------------------------------------------------------------------------------------------------


def test_an_answer_is_read_completely():
    call = function("log", '{"a": 1}', "c1", namespace="git")
    answer = read_answer(BOM + data(reasoning("hm", "b1"), message("hi"), call, custom()))
    assert answer.text == "hi"
    assert answer.reasoning == "hm"
    assert answer.opaque == "b1"
    assert answer.tool_calls == (
        ToolCall("c1", "git__log", '{"a": 1}'),
        ToolCall("call_9", "apply_patch", "*** x", "custom"),
    )
    assert (answer.finish, answer.model, answer.dialect) == ("tool_calls", "vendor/m", "responses")
    assert answer.usage == Usage(9, 5, 4, 1, 2)
    assert not answer.raw.startswith(BOM)


def test_texts_and_reasoning_of_several_items_are_joined():
    raw_words = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "b"}]}  # fmt: skip
    refusal = {**message(), "content": [{"type": "refusal", "refusal": " no"}, {"type": "odd"}]}
    answer = read_answer(data(reasoning("a", None), raw_words, message("x"), refusal))
    assert (answer.text, answer.reasoning, answer.opaque) == ("x\n\n no", "a\n\nb", "")
    assert answer.finish == "stop"


@pytest.mark.parametrize(
    ("details", "finish"),
    [({"reason": "max_output_tokens"}, "length"), (None, "length"), ({"reason": "content_filter"}, "content_filter")],
)  # fmt: skip
def test_a_cut_answer_may_be_empty(details, finish):
    answer = read_answer(data(reasoning(), status="incomplete", incomplete_details=details))
    assert answer.finish == finish


@pytest.mark.parametrize(
    ("item", "finish"),
    [
        ({"type": "local_shell_call", "call_id": "c", "action": {}}, "tool_calls"),
        ({"type": "tool_search_call", "execution": "client"}, "tool_calls"),
        ({"type": "tool_search_call", "execution": "server"}, "stop"), ({"type": "brand_new"}, "stop"),
    ],
)  # fmt: skip
def test_items_that_the_hub_does_not_know_are_an_answer(item, finish):
    assert read_answer(data(item)).finish == finish


def test_a_call_without_an_id_gets_a_stable_one():
    call = {"type": "function_call", "name": "f", "arguments": None}
    one, two = read_answer(data(call, {**call, "id": "fc_7"})).tool_calls
    assert (one.id, one.arguments, two.id) == ("call_0_f", "", "fc_7")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"null", b"[]", b"{}", b'{"output":{}}', b'{"output":[1]}', b'{"error":{"code":"x"},"output":[]}',
        b'{"output":[]}', data(status="in_progress"), data(status="failed"), data(reasoning()), data(message("")),
        data({"type": "message", "content": None}), data({"type": "function_call", "name": ""}),
        data({"type": "function_call", "name": "f", "arguments": {}}), b'{"output":' + b"[" * 300,
    ],
)  # fmt: skip
def test_what_is_no_answer_is_broken(body):
    with pytest.raises(UpstreamBroken, match="cannot be used"):
        read_answer(body)


def test_an_errors_code_is_named_and_its_words_are_not():
    with pytest.raises(UpstreamBroken, match=r"\(rate_limit\)") as caught:
        read_answer(b'{"error":{"code":"rate_limit","message":"key sk-12345678"}}')
    assert "sk-" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        (USAGE, Usage(9, 5, 4, 1, 2)), (None, None), ({}, None), ("x", None), ({"input_tokens": 3}, Usage(3)),
        ({"input_tokens": -1}, None), ({"input_tokens": True}, None), ({"output_tokens": 10**13}, None),
        ({"input_tokens": 3, "input_tokens_details": {"cached_tokens": 9}}, Usage(12, 0, 9)),
        ({"output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 9}}, Usage(0, 11, 0, 0, 9)),
    ],
)  # fmt: skip
def test_usage_is_read_or_none(value, usage):
    assert read_usage(value) == usage


@given(st.builds(Usage, st.integers(50, 99), st.integers(50, 99), *([st.integers(0, 50)] * 3)))
def test_usage_survives_writing(usage):
    assert read_usage(render_usage(usage)) == usage
    assert render_usage(usage)["total_tokens"] == usage.input + usage.output


# --- writing -------------------------------------------------------------------------------------------------


def test_a_body_of_this_dialect_is_given_back_as_it_came():
    came = data().replace(b'"id": "resp_1"', b'"id" : "resp_1", "odd":[1.50]') + b"\n"
    answer = read_answer(came)
    how = {"model": "x", "usage": None, "answer_id": "y", "created": 1}
    assert render_answer(answer, None, **how) == came
    traced = render_answer(answer, TRACE, **how)
    assert traced == came.rstrip()[:-1] + b',"openfusion":{"trace_id":"t"}}'


def test_a_field_of_our_name_is_replaced_and_sums_are_shown():
    answer = read_answer(data(openfusion="theirs"))
    assert shown(answer)["openfusion"] == TRACE
    summed = shown(read_answer(data()), Usage(100, 50))
    assert summed["usage"] == render_usage(Usage(100, 50))
    assert summed["id"] == "resp_1"


@pytest.mark.parametrize("usage", [None, {"input_tokens": 3, "output_tokens": 1}])
def test_usage_that_is_not_whole_is_completed(usage):
    found = shown(read_answer(data(usage=usage)), trace=None)
    assert found["usage"] == render_usage(Usage(3, 1) if usage else Usage())


def test_an_answer_of_another_dialect_is_built_whole():
    answer = Answer(
        text="hi",
        reasoning="hm",
        opaque="sig",
        tool_calls=(
            ToolCall("c1", "git__log", '{"a": 1}'),
            ToolCall("c2", "apply_patch", '{"input":"*** x\\n"}'),
            ToolCall("", "f", ""),
        ),
        finish="tool_calls",
        usage=Usage(9, 5, 4, 1, 2),
        dialect="messages",
    )
    known = ClientTools(frozenset(), {"git__log": ("git", "log")})
    found = shown(answer, tools=known, custom=frozenset({"apply_patch"}), echo={"store": True})
    assert [item["type"] for item in found["output"]] == [
        "reasoning", "message", "function_call", "custom_tool_call", "function_call",
    ]  # fmt: skip
    _, _, log, patch, third = found["output"]
    assert (log["call_id"], log["name"], log["namespace"]) == ("c1", "log", "git")
    assert log["arguments"] == '{"a": 1}'
    assert (patch["call_id"], patch["input"]) == ("c2", "*** x\n")
    assert (third["call_id"], third["arguments"]) == ("call_2_f_x", "{}")
    assert found["output"][0]["encrypted_content"] == "openfusion:sig"
    assert found["usage"] == render_usage(Usage(9, 5, 4, 1, 2))
    assert (found["status"], found["model"], found["created_at"], found["id"]) == (
        "completed", "vendor/m", 17, "resp_x",
    )  # fmt: skip
    assert found["store"] is True
    assert found["openfusion"] == TRACE


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None), (None, "completed", None), ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)  # fmt: skip
def test_ends_have_this_dialects_names(finish, status, details):
    found = shown(Answer(text="x", finish=finish))
    assert (found["status"], found["incomplete_details"]) == (status, details)
    assert found["output"][0]["status"] == status


def test_a_recipes_answer_is_built_anew():
    answer = Answer(text="mended", finish="stop", dialect="responses", model="vendor/m")
    assert shown(answer)["output"][0]["content"][0]["text"] == "mended"


def test_a_streamed_answer_of_this_dialect_is_shown_as_it_ended():
    answer = Answer(text="x", dialect="responses", data=response(message("x"), odd=1))
    found = shown(answer)
    assert (found["odd"], found["openfusion"]) == (1, TRACE)


CALLS = st.builds(
    ToolCall, st.text(max_size=5), st.text(min_size=1, max_size=5), st.sampled_from(["", "{}", '{"a":1}', "free"]),
    st.sampled_from(["function", "custom"]),
)  # fmt: skip
ANSWERS = st.builds(
    Answer,
    text=st.text(max_size=20),
    reasoning=st.text(max_size=20),
    opaque=st.text(max_size=5),
    tool_calls=st.lists(CALLS, max_size=3).map(tuple),
    finish=st.sampled_from([None, "stop", "length", "tool_calls", "content_filter"]),
    usage=st.none() | st.just(Usage(9, 5, 4, 1, 2)),
)


@given(ANSWERS)
def test_any_answer_built_here_is_the_sdks_own_type_and_reads_back(answer):
    found = shown(answer)
    accept_response(found)
    if not (answer.text or answer.tool_calls or answer.finish in ("length", "content_filter")):
        return
    back = read_answer(json.dumps(found).encode())
    assert (back.text, back.reasoning, back.opaque) == (
        answer.text, answer.reasoning, answer.opaque,
    )  # fmt: skip
    assert [c.name for c in back.tool_calls] == [c.name for c in answer.tool_calls]
    assert [c.kind for c in back.tool_calls] == [c.kind for c in answer.tool_calls]
    for was, now in zip(answer.tool_calls, back.tool_calls, strict=True):
        assert was.id in ("", now.id)
        empty = "{}" if was.kind == "function" else ""
        assert now.arguments == (was.arguments or empty)


# --- what is shown of the request, errors ----------------------------------------------------------------------


def test_an_answer_shows_what_was_asked():
    tools = [
        {"type": "function", "name": "f"},
        {"type": "custom", "name": "p"},
        {"type": "web_search"},
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
    ]
    prompt = parse_request(
        raw(
            instructions="rules",
            temperature=0.5,
            tools=tools,
            metadata={"a": "b", "c": 1},
            text={"verbosity": "low"},
            reasoning={"effort": "low"},
            max_output_tokens=None,
        )
    )
    found = shown(Answer(text="x"), echo=echo_of(prompt))
    accept_response(found)
    assert found["instructions"] == "rules"
    assert (found["temperature"], found["metadata"]) == (0.5, {"a": "b"})
    assert found["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert [t["name"] for t in found["tools"]] == ["f", "p"]
    assert "text" not in echo_of(parse_request(raw()))
    assert echo_of(Prompt("chat", "m", (), body={"temperature": 1})) == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InternalError("x"), "server_error"), (UpstreamBroken("x"), "server_error"), (BadRequest("x"), "invalid_prompt"),
        (ContextTooLong("x"), "context_length_exceeded"), (UpstreamRateLimited("x"), "rate_limit_exceeded"),
    ],
)  # fmt: skip
def test_a_failed_response_names_a_code_that_clients_know(error, code):
    assert render_error(error) == {"code": code, "message": "x"}


def test_the_wait_after_a_rate_limit_is_said_in_words():
    error = UpstreamRateLimited("Slow down.", retry_after_s=7.5)
    assert render_error(error)["message"] == "Slow down. Please try again in 7.5s."


def test_errors_have_openais_shape():
    assert error_body(BadRequest("no", param="input", code="invalid_type"), "req_1") == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "input", "code": "invalid_type"}
    }  # fmt: skip
