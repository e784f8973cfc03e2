"""The scripted upstream over a socket: whole and streamed answers agree, other dialects are refused."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from tests.agents.agents import TASK
from tests.agents.say import DIALECTS
from tests.agents.upstream import ScriptedUpstream

SCHEMA = {"type": "object", "properties": {"path": {}, "content": {}}, "required": ["path"]}
FLAT = {"type": "function", "name": "write", "parameters": SCHEMA, "input_schema": SCHEMA}
SAID = [{"role": "user", "content": TASK + " [[script:reason]]"}]
BODIES = {
    "chat": {"messages": SAID, "tools": [{"type": "function", "function": FLAT}]},
    "responses": {"input": SAID, "tools": [FLAT]},
    "messages": {"messages": SAID, "tools": [FLAT]},
}


def ask(up, dialect, **more):
    body = json.dumps({"model": "m", **BODIES[dialect], **more}).encode()
    url = up.url.removesuffix("/v1") + DIALECTS[dialect].path
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as answer:
        return answer.read().decode()


def arguments_whole(dialect, answer):
    if dialect == "chat":
        return answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    if dialect == "responses":
        return answer["output"][-1]["arguments"]
    return json.dumps(answer["content"][-1]["input"])


def arguments_streamed(dialect, events):
    if dialect == "chat":
        deltas = [c["delta"] for e in events for c in e["choices"]]
        calls = [call for d in deltas for call in d.get("tool_calls", [])]
        return "".join(call["function"]["arguments"] for call in calls)
    if dialect == "responses":
        wanted = "response.function_call_arguments.delta"
        return "".join(e["delta"] for e in events if e["type"] == wanted)
    return "".join(e["delta"].get("partial_json", "") for e in events if e["type"] == "content_block_delta")  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_and_streamed_answers_call_the_same(dialect):
    with ScriptedUpstream(dialect) as up:
        whole = json.loads(ask(up, dialect))
        stream = ask(up, dialect, stream=True, stream_options={"include_usage": True})
        datas = [line[6:] for line in stream.splitlines() if line.startswith("data: ")]
        assert (datas[-1] == "[DONE]") == (dialect == "chat")
        events = [json.loads(d) for d in datas if d != "[DONE]"]
        assert arguments_whole(dialect, whole) == arguments_streamed(dialect, events)
        assert "The user wants" in json.dumps(whole)
        assert [(e.dialect, e.step) for e in up.journal] == [(dialect, "write")] * 2
        up.forget()
        assert up.journal == []


@pytest.mark.parametrize("only", DIALECTS)
def test_the_other_dialects_are_refused_and_written_down(only):
    with ScriptedUpstream(only) as up:
        for other in set(DIALECTS) - {only}:
            with pytest.raises(urllib.error.HTTPError, match="404") as refused:
                ask(up, other)
            refused.value.close()
        assert [e.step for e in up.journal] == ["refused"] * 2


def test_what_cannot_be_played_is_a_failure_and_written_down():
    with ScriptedUpstream() as up:
        with pytest.raises(urllib.error.HTTPError, match="500") as failed:
            ask(up, "chat", tools=[{"type": "function", "function": {"name": "think"}}])
        failed.value.close()
        assert up.journal[0].step.startswith("broken: LookupError")
