"""Chat's first way of calling: said in today's words on the way up, and told as it was spoken on the way down."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import CallDelta, Delta
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import read_answer
from openfusion_auto.wire.chat_legacy import LegacyWriter, is_legacy, legacy_body, modern
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_request import parse_request, render_request, splice_request
from openfusion_auto.wire.chat_writer import ChatWriter

EDIT = {"name": "edit", "parameters": {"type": "object"}}
SAID = {
    "model": "m",
    "functions": [EDIT],
    "function_call": "auto",
    "messages": [
        {"role": "user", "content": "do it"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "edit", "arguments": "{}"},
        },
        {"role": "function", "name": "edit", "content": "done"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "ok", "function_call": {"name": "edit", "arguments": "1"}},
        {"role": "function", "name": "edit", "content": "done too"},
    ],
    "seed": 1,
}


def call(call_id, arguments):
    return {"id": call_id, "type": "function", "function": {"name": "edit", "arguments": arguments}}


MODERN = [
    SAID["messages"][0],
    {"role": "assistant", "content": None, "tool_calls": [call("call_1_edit", "{}")]},
    {"role": "tool", "content": "done", "tool_call_id": "call_1_edit"},
    SAID["messages"][3],
    {"role": "assistant", "content": "ok", "tool_calls": [call("call_4_edit", "1")]},
    {"role": "tool", "content": "done too", "tool_call_id": "call_4_edit"},
]


def parsed(**more):
    return parse_request(json.dumps({**SAID, **more}).encode())


def test_a_request_goes_up_in_todays_words_as_it_came_and_anew():
    prompt = parsed()
    wanted = {
        "model": "v",
        "messages": MODERN,
        "seed": 1,
        "tools": [{"type": "function", "function": EDIT}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    assert json.loads(splice_request(prompt, "v")) == wanted
    anew = render_request(prompt.extend(seed=1), "v")
    assert json.loads(anew) == wanted


def test_the_hub_reads_calls_results_and_the_choice():
    prompt = parsed(function_call={"name": "edit"})
    assert [c.id for m in prompt.messages for c in m.tool_calls] == ["call_1_edit", "call_4_edit"]
    assert [m.tool_call_id for m in prompt.messages if m.role == "tool"] == [
        "call_1_edit",
        "call_4_edit",
    ]
    assert prompt.settings.tool_choice == "tool:edit"
    assert prompt.settings.parallel is False
    assert parsed(function_call="none").tool_choice_none
    assert is_legacy(prompt.body)


@pytest.mark.parametrize(
    "said",
    [
        {"messages": [{"role": "user", "content": '"function_call"'}]},
        {"messages": [{"role": "function", "name": "f", "content": "x"}], "functions": None},
        {"functions": [{"name": 3}]},
        {"functions": "x", "messages": "y"},
        {"messages": [{"role": "function", "name": ["f"]}, {"function_call": {"name": []}}]},
    ],
)
def test_what_is_not_of_the_first_way_stays(said):
    assert modern(said) == {}


def test_tools_beside_functions_are_todays_way():
    assert not is_legacy({"functions": [EDIT], "tools": [{"type": "function"}]})
    assert not is_legacy({"functions": []})


def wrote(*deltas):
    writer = LegacyWriter(ChatWriter(include_usage=False, guarded=True))
    out = b"".join(writer.write(delta) for delta in deltas)
    assert writer.started
    out += writer.finish(None, None)
    events = [e.removeprefix("data: ") for e in out.decode().split("\n\n") if e]
    assert events.pop() == "[DONE]"
    return [json.loads(event)["choices"][0] for event in events]


def told(choices):
    calls = [c["delta"]["function_call"] for c in choices if "function_call" in c["delta"]]
    assert not any("tool_calls" in c["delta"] for c in choices)
    name = "".join(call.get("name", "") for call in calls)
    return name, "".join(call.get("arguments", "") for call in calls), choices[-1]["finish_reason"]


def test_a_stream_of_another_dialect_is_told_as_the_client_spoke():
    choices = wrote(
        Delta(b"", calls=(CallDelta(0, 0, "c1", "edit", '{"a":'),), dialect="messages"),
        Delta(b"", calls=(CallDelta(0, 0, None, None, "1}"),), dialect="messages"),
        Delta(b"", calls=(CallDelta(0, 1, "c2", "edit", "{}"),), dialect="messages"),
        Delta(b"", finish="tool_calls", dialect="messages"),
    )
    assert told(choices) == ("edit", '{"a":1}', "function_call")


def chunk(delta, finish=None):
    held = {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(held).encode() + b"\n\n"


FIRST_WAY = (
    chunk(
        {"role": "assistant", "content": None, "function_call": {"name": "edit", "arguments": ""}}
    )
    + chunk({"function_call": {"arguments": '{"a":'}})
    + chunk({"function_call": {"arguments": "1}"}})
    + chunk({}, "function_call")
    + b"data: [DONE]\n\n"
)


def test_an_upstream_that_answers_in_the_first_way_is_read_and_told():
    reader = ChatReader()
    deltas = [*reader.feed(FIRST_WAY), *reader.close()]
    answer = reader.answer()
    (found,) = answer.tool_calls
    assert (found.name, found.arguments, answer.finish) == ("edit", '{"a":1}', "tool_calls")
    assert found.id
    assert told(wrote(*deltas)) == ("edit", '{"a":1}', "function_call")


def whole(message, finish="function_call"):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "x", "choices": [choice]}).encode()


def test_a_whole_answer_is_read_and_told():
    held = {"name": "edit", "arguments": "{}"}
    answer = read_answer(whole({"content": None, "function_call": held}))
    assert [(c.name, c.arguments) for c in answer.tool_calls] == [("edit", "{}")]
    assert answer.finish == "tool_calls"
    choice = json.loads(legacy_body(answer.raw))["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": None, "function_call": held}
    assert choice["finish_reason"] == "function_call"


def test_an_answer_without_a_call_stays():
    raw = whole({"content": "ok", "function_call": None}, "stop")
    assert read_answer(raw).raw == raw
    assert legacy_body(raw) == raw


def test_failures_and_keep_alives_are_chats():
    inner = ChatWriter(include_usage=False, guarded=True)
    writer = LegacyWriter(inner)
    error = UpstreamBroken("cut")
    assert (writer.keep_alive(), writer.fail(error)) == (inner.keep_alive(), inner.fail(error))
    assert not writer.started
