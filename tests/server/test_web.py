"""Web tools over sockets: for those who answer and nobody else, billed as the upstream says, refused where none are."""

from __future__ import annotations

import json

import pytest

from tests.server.conftest import FOUR
from tests.server.dialects import DIALECTS, Says, Scripted, heard
from tests.server.test_naming import ask

WEB = {"tools": {"web_search": True, "web_fetch": True}}
TYPES = ["openrouter:web_search", "openrouter:web_fetch"]


def web_of(request):
    return [t["type"] for t in request.body.get("tools", ()) if t["type"].startswith("openrouter:")]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_one_model_searches_and_its_bill_is_what_it_cost(start_router, dialect, streamed):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, offers=["web_search"]) as router,
    ):
        up.script.append(Says("found", cost=0.0421))
        status, head, raw = await ask(
            router, dialect, stream=streamed, openfusion={**WEB, "mode": "single"}
        )
        assert (status, heard(dialect, raw, streamed=streamed).text) == (200, "found")
        (got,) = up.requests
        assert web_of(got) == TYPES
        full = await router.trace(head["x-openfusion-trace-id"])
        assert (full["usd"], full["attempts"][0]["usd"]) == (0.0421, 0.0421)
        assert "may use web_search and web_fetch" in full["notes"][-1]
        # What searching costs is not known before: nor is the worst case.
        plan = full["decision"]["plan"]
        assert (plan["expected_usd"], plan["worst_case_usd"]) == (None, None)


async def test_members_search_and_the_judge_does_not(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, offers=["web_search"]) as router,
    ):
        up.script.extend([Says("one", cost=0.01), Says("two", cost=0.02), *[Says('{"best": 1}')] * 2, Says("x")])  # fmt: skip
        status, head, _ = await ask(router, "chat", model="coder-a,fast-a", openfusion={**WEB, "aggregator": "judge"})  # fmt: skip
        assert status == 200
        assert [web_of(r) for r in up.requests] == [TYPES, TYPES, [], [], []]
        full = await router.trace(head["x-openfusion-trace-id"])
        by_phase = {(a["phase"], a["usd"]) for a in full["attempts"]}
        assert {("member", 0.01), ("member", 0.02)} < by_phase
        judging = [a["usd"] for a in full["attempts"] if a["phase"] != "member"]
        assert full["usd"] == pytest.approx(0.03 + sum(judging), abs=1e-9)


async def test_without_a_bill_the_cost_is_unknown(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, offers=["web_search"]) as router,
    ):
        _, head, _ = await ask(router, "chat", openfusion={**WEB, "mode": "single"})
        full = await router.trace(head["x-openfusion-trace-id"])
        assert (full["usd"], full["attempts"][0]["usd"]) == (None, None)
        status, _, raw = await ask(router, "chat", openfusion={**WEB, "max_usd": 1})
        assert (status, "a price is unknown" in raw.decode() or "fits the budget" in raw.decode()) == (400, True)  # fmt: skip
        assert len(up.requests) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_where_no_upstream_has_them_it_is_a_400_that_says_what_is_missing(start_router, dialect):  # fmt: skip
    offers = () if dialect == "chat" else ["web_search"]  # known in the dialect chat alone
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, offers=offers) as router,
    ):
        for path in (None, "/v1/estimate"):
            status, _, raw = await ask(router, dialect, path, openfusion=WEB)
            said = json.loads(raw)["error"]["message"]
            assert status == 400
            assert 'upstream relay has no web tools: it must speak chat and declare them (offers = ["web_search"])' in said  # fmt: skip
        assert up.requests == []


async def test_a_tool_that_the_client_sends_itself_stays_as_it_is(start_router):
    own = {"type": "openrouter:web_search", "parameters": {"max_results": 2}}
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, offers=["web_search"]) as router,
    ):
        body = {
            "model": "coder-a",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": [own],
        }
        status, _, _ = await router.chat(body)
        assert (status, up.requests[0].body["tools"]) == (200, [own])


async def test_who_answers_at_the_end_of_a_pipeline_searches(start_router):
    steps = [
        {"name": n, "role": r, "words": "Do."} for n, r in (("plan", "reasoner"), ("code", "coder"))
    ]
    async with (
        Scripted("chat") as up,
        start_router(
            up.url, candidates=FOUR, offers=["web_search"], auto={"pipeline": steps}
        ) as router,
    ):
        up.script.extend([Says("a plan", cost=0.01), Says("done", cost=0.02)])
        _, head, _ = await ask(router, "chat", openfusion={**WEB, "strategy": "pipeline"})
        assert [web_of(r) for r in up.requests] == [[], TYPES]
        full = await router.trace(head["x-openfusion-trace-id"])
        assert full["attempts"][-1]["usd"] == 0.02
        assert full["decision"]["plan"]["worst_case_usd"] is None
