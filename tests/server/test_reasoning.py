"""Models that refuse a history without reasoning: each client's session goes on, whoever began it."""

import json

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import Says, Scripted, request_for
from tests.server.test_surfaces import each, tell, ways
from tests.wire.test_call_ids import blocks, chat, items

REFUSED = Says(
    fail=400,
    error="thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
)
HISTORIES = {"chat": chat, "responses": items, "messages": blocks}
THOUGHTS = {
    "chat": lambda said: said["messages"][1].update(reasoning="hm"),
    "responses": lambda said: said["input"].insert(
        1,
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "openfusion:",
        },
    ),
    "messages": lambda said: said["messages"][1]["content"].insert(
        0, {"type": "thinking", "thinking": "hm", "signature": "openfusion-unsigned"}
    ),
}


def spoken(request):
    return [m for m in request.body["messages"] if m["role"] == "assistant"]


@each
@ways
@pytest.mark.parametrize("thought", [True, False], ids=["known", "unknown"])
async def test_reasoning_goes_along_from_the_first_refusal_on(
    start_router, client, streamed, thought
):
    said = HISTORIES[client]("call_1")[1]
    if thought:
        THOUGHTS[client](said)
    body = {**request_for(client, tools=True), **said}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(REFUSED)
        status, _, raw = await tell(router, client, body, streamed=streamed)
        assert status == 200, raw
        assert (await tell(router, client, body, streamed=streamed))[0] == 200
        first, *later = up.requests
        assert len(later) == 2  # the second request knows
        assert "reasoning_content" not in spoken(first)[0]
        for request in later:
            (answer,) = spoken(request)
            assert answer["reasoning_content"] == ("hm" if thought else " ")
            assert answer["tool_calls"][0]["id"] == "call_1"


async def test_other_candidates_get_none(start_router):
    body = {**request_for("responses", tools=True), **items("call_1")[1]}
    two = [candidate("a"), candidate("b")]
    async with Scripted("chat") as up, start_router(up.url, candidates=two) as router:
        up.script.append(REFUSED)
        for name in ("a", "b"):
            named = {**body, "openfusion": {"candidates": [name]}}
            assert (await tell(router, "responses", named))[0] == 200
        assert "reasoning_content" in json.dumps(up.requests[1].body)
        assert "reasoning_content" not in json.dumps(up.requests[2].body)


@each
@ways
async def test_calls_get_a_signature_from_the_first_refusal_on(start_router, client, streamed):
    refused = Says(
        fail=400,
        error="Function call is missing a thought_signature in functionCall parts. This is required for tools.",
    )
    body = {**request_for(client, tools=True), **HISTORIES[client]("call_1")[1]}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(refused)
        for _ in range(2):
            assert (await tell(router, client, body, streamed=streamed))[0] == 200
        first, *later = up.requests
        assert len(later) == 2
        assert "extra_content" not in json.dumps(first.body)
        for request in later:
            (answer,) = spoken(request)
            extra = answer["tool_calls"][0]["extra_content"]
            assert extra == {"google": {"thought_signature": "skip_thought_signature_validator"}}
