"""Clients that speak chat's first way of calling, before upstreams of every dialect."""

import json

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Says, Scripted
from tests.server.test_surfaces import tell, ways

EDIT = {"name": "edit", "description": "d", "parameters": {"type": "object"}}
ARGUMENTS = '{"path": "ä\\n"}'
CALL = Says("", calls=(("function", "edit", ARGUMENTS, "call_9"),))
BODY = {
    "model": "openfusion/auto",
    "functions": [EDIT],
    "function_call": {"name": "edit"},
    "messages": [
        {"role": "user", "content": "do it"},
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "edit", "arguments": "{}"},
        },
        {"role": "function", "name": "edit", "content": "no such file"},
    ],
}


def called(raw, *, streamed):
    """The call that the client hears, and how the answer ended."""
    if not streamed:
        choice = json.loads(raw)["choices"][0]
        return choice["message"]["function_call"], choice["finish_reason"]
    assert raw.endswith(b"data: [DONE]\n\n")
    events = [json.loads(e[6:]) for e in raw.decode().split("\n\n")[:-2]]
    choices = [c for event in events for c in event["choices"]]
    pieces = [c["delta"]["function_call"] for c in choices if c["delta"].get("function_call")]
    whole = {k: "".join(p.get(k) or "" for p in pieces) for k in ("name", "arguments")}
    assert "openfusion" in events[-1]
    return whole, next(c["finish_reason"] for c in choices if c["finish_reason"])


@ways
@pytest.mark.parametrize("upstream", DIALECTS)
async def test_a_call_its_result_and_the_next_call(start_router, upstream, streamed):
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream) as router,
    ):
        up.script.append(CALL)
        status, _, raw = await tell(router, "chat", BODY, streamed=streamed)
        assert status == 200, raw
        assert b"tool_calls" not in raw
        call, finish = called(raw, streamed=streamed)
        assert call["name"] == "edit"
        assert json.loads(call["arguments"]) == json.loads(ARGUMENTS)
        assert finish == "function_call"
        sent = up.requests[0].body
        assert not {"functions", "function_call"} & sent.keys()
        assert json.dumps(sent).count("call_1_edit") == 2  # the call and its result
        choice = sent["tool_choice"]
        assert "edit" in (choice.get("name"), choice.get("function", {}).get("name"))
        (attempt,) = router.engine.traces.latest(1)[0].attempts
        assert not any("function_call" in said for said in attempt.lost)


@ways
async def test_a_panel_before_such_a_client(start_router, streamed):
    body = {**BODY, "function_call": "auto", "openfusion": {"mode": "panel"}}
    body["messages"] = BODY["messages"][:1]
    two = [candidate("a"), candidate("b")]
    async with Scripted("chat") as up, start_router(up.url, candidates=two) as router:
        up.script.extend([CALL] * 4)
        status, _, raw = await tell(router, "chat", body, streamed=streamed)
        assert status == 200, raw
        call, finish = called(raw, streamed=streamed)
        assert (call["name"], call["arguments"], finish) == ("edit", ARGUMENTS, "function_call")
        assert all("functions" not in r.body for r in up.requests)
