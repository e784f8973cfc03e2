"""Answers that Anthropic's API pauses between two steps of its own tools (`pause_turn`)."""

from tests.server.conftest import candidate
from tests.server.dialects import Says, Scripted, heard, request_for
from tests.server.test_surfaces import each, tell, ways

SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "x"},
}
PAUSED = Says("Searching.", finish="pause_turn", extra=(SEARCH,))
TWO = [candidate("a"), candidate("b")]


@each
@ways
async def test_a_paused_answer_is_no_finished_one(start_router, client, streamed):
    async with (
        Scripted("messages") as up,
        start_router(up.url, dialect="messages") as router,
    ):
        up.script.append(PAUSED)
        status, _, raw = await tell(router, client, request_for(client), streamed=streamed)
        assert status == 200, raw
        assert len(up.requests) == 1
        if client == "messages":
            assert b'"pause_turn"' in raw
            assert b"srvtoolu_1" in raw
        else:
            said = heard(client, raw, streamed=streamed)
            assert (said.text, said.finish) == ("Searching.", "length")


@ways
async def test_it_goes_on_with_its_own_model(start_router, streamed):
    body = request_for("messages", "Find the newest release", system="you are an agent")
    content = [{"type": "text", "text": "Searching."}, SEARCH]
    async with (
        Scripted("messages") as up,
        start_router(up.url, dialect="messages", candidates=TWO) as router,
    ):
        up.script.append(PAUSED)
        for name, more in (("b", {"candidates": ["b"]}), ("a", {"candidates": ["a"]})):
            first = {**body, "openfusion": {**more, "session": name}}
            assert (await tell(router, "messages", first, streamed=streamed))[0] == 200
            paused = [*body["messages"], {"role": "assistant", "content": content}]
            again = {**body, "messages": paused, "openfusion": {"session": name}}
            assert (await tell(router, "messages", again, streamed=streamed))[0] == 200
            assert up.requests[-1].body["messages"] == paused
            trace = router.engine.traces.latest(1)[0]
            assert (trace.decision.task.turn, trace.attempts[-1].candidate) == ("tool", name)
