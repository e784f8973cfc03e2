"""Ids of tool calls over a session: none twice, and none that the next model's API refuses."""

import json

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Says, Scripted, heard, request_for
from tests.server.test_surfaces import each, tell, ways
from tests.wire.test_call_ids import FIT, KIMI, blocks, chat, items

HISTORIES = {"chat": chat, "responses": items, "messages": blocks}


@each
@ways
async def test_a_call_without_an_id_gets_another_one_in_each_answer(start_router, client, streamed):
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.extend([Says(calls=(("function", "edit", "{}", ""),))] * 2)
        seen = []
        for _ in range(2):
            body = request_for(client, tools=True)
            _, _, raw = await tell(router, client, body, streamed=streamed)
            seen += [call[3] for call in heard(client, raw, streamed=streamed).calls]
        assert len(set(seen)) == 2
        assert all(seen)


@each
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("model", ["anthropic/claude-x", "kimi-k2"])
async def test_ids_of_other_characters_reach_their_maker_alone(
    start_router, client, upstream, model
):
    body = {**request_for(client, tools=True), **HISTORIES[client](KIMI)[1]}
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=[candidate("c", model=model)]) as router,
    ):
        status, _, raw = await tell(router, client, body)
        assert status == 200, raw
        sent = json.dumps(up.requests[0].body)
        refuses = "claude" in model or (upstream == "messages" != client)
        assert sent.count(f'"{FIT}"') == (2 if refuses else 0)
