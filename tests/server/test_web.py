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
    offers = ["web_search"] if dialect == "responses" else ()  # it has no tool that fetches
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, offers=offers) as router,
    ):
        for path in (None, "/v1/estimate"):
            status, _, raw = await ask(router, dialect, path, openfusion=WEB)
            said = json.loads(raw)["error"]["message"]
            assert status == 400
            missing = (
                "upstream relay has no web_fetch: its dialect knows web_search alone"
                if dialect == "responses"
                else 'upstream relay does not declare web tools (offers = ["web_search"])'
            )
            assert missing in said
            assert ("web_fetch" in said) is (dialect == "responses")
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


# -- the upstreams' own, in Responses and Messages --------------------------------------------------------------------

# Items and blocks of two searches, as the upstreams show them.
SEARCHES = {
    "responses": tuple(
        {"type": "web_search_call", "id": f"ws_{i}", "status": "completed", "action": {"type": "search", "query": "q"}}
        for i in range(2)
    ),
    "messages": tuple(
        {"type": "server_tool_use", "id": f"srvtoolu_{i}", "name": "web_search", "input": {"query": "q"}}
        for i in range(2)
    ),
}  # fmt: skip
OWN = {
    "responses": {"type": "web_search", "external_web_access": True},
    "messages": {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
}
RUN = {
    "responses": {"type": "function", "name": "run", "parameters": {"type": "object"}},
    "messages": {"name": "run", "input_schema": {"type": "object"}},
}
NATIVE = ["responses", "messages"]
SEARCH = {"tools": {"web_search": True}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", NATIVE)
@pytest.mark.parametrize("client", DIALECTS)
async def test_whoever_answers_searches_with_its_upstreams_own_tool(start_router, client, dialect, streamed):  # fmt: skip
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, offers=["web_search"], search_usd=0.01) as router,
    ):  # fmt: skip
        up.script += [Says("plain"), Says("found", extra=SEARCHES[dialect])]
        asked = {**SEARCH, "mode": "single"}
        _, head, _ = await ask(router, client, stream=streamed, openfusion=asked)
        none = await router.trace(head["x-openfusion-trace-id"])
        _, head, raw = await ask(router, client, stream=streamed, openfusion=asked)
        two = await router.trace(head["x-openfusion-trace-id"])
        assert heard(client, raw, streamed=streamed).text == "found"
        assert none["usd"] > 0
        assert two["usd"] == pytest.approx(none["usd"] + 0.02, abs=1e-12)
        body = up.requests[0].body
        (tool,) = body["tools"]
        assert tool["type"].startswith("web_search")
        assert (tool.get("max_uses"), body.get("max_tool_calls")) in ((5, None), (None, 5))
        plan = two["decision"]["plan"]
        assert plan["worst_case_usd"] > two["usd"]
        assert plan["expected_usd"] > 0.01


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", NATIVE)
async def test_a_clients_own_goes_as_it_came_and_costs_what_it_searched(start_router, dialect, streamed):  # fmt: skip
    for known, usd in ((0.01, True), (None, False)):
        async with (
            Scripted(dialect) as up,
            start_router(up.url, candidates=FOUR, dialect=dialect, search_usd=known) as router,
        ):
            up.script += [Says("plain"), Says("found", extra=SEARCHES[dialect])]
            asked = {"stream": streamed, "tools": [OWN[dialect], RUN[dialect]], "model": "coder-a"}
            _, head, _ = await ask(router, dialect, **asked)
            none = await router.trace(head["x-openfusion-trace-id"])
            _, head, _ = await ask(router, dialect, **asked)
            two = await router.trace(head["x-openfusion-trace-id"])
            assert up.requests[0].body["tools"] == asked["tools"]
            # Without a search it is its tokens, whether a price of one is known or not.
            assert none["usd"] > 0
            assert two["usd"] == (pytest.approx(none["usd"] + 0.02, abs=1e-12) if usd else None)
            _, _, raw = await ask(router, dialect, "/v1/estimate", **asked)
            told = json.loads(raw)
            bounded = dialect == "messages"  # by max_uses; Responses would say max_tool_calls
            assert told["searching"] == [{"upstream": "relay", "usd": known, "most": 8 if bounded else None}]  # fmt: skip
            assert (told["usd"]["expected"] is not None) == usd
            assert (told["usd"]["worst_case"] is not None) == (usd and bounded)


@pytest.mark.parametrize("dialect", NATIVE)
async def test_under_a_limit_of_money_a_search_of_unknown_price_is_left_out_and_the_session_goes_on(start_router, dialect):  # fmt: skip
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, auto={"max_usd": 1.0}) as router,
    ):
        asked = {"tools": [OWN[dialect], RUN[dialect]], "model": "coder-a"}
        status, head, _ = await ask(router, dialect, **asked)
        full = await router.trace(head["x-openfusion-trace-id"])
        assert (status, up.requests[0].body["tools"]) == (200, [RUN[dialect]])
        assert full["notes"][0] == "web_search left out: its price is unknown here, and there is a limit of money"  # fmt: skip
        assert full["decision"]["plan"]["worst_case_usd"] >= full["usd"] > 0
        # What a request is about is not taken from it: then it says what is missing.
        status, _, raw = await ask(router, dialect, **{**asked, "tools": [OWN[dialect]]})
        assert (status, "fits the budget" in raw.decode()) == (400, True)


async def test_under_a_limit_a_search_of_known_price_is_held_for(start_router):
    async with (
        Scripted("messages") as up,
        start_router(up.url, candidates=FOUR, dialect="messages", auto={"max_usd": 5.0}, search_usd=0.01) as router,
    ):  # fmt: skip
        up.script.append(Says("found", extra=SEARCHES["messages"]))
        asked = {"tools": [OWN["messages"], RUN["messages"]], "model": "coder-a"}
        status, head, _ = await ask(router, "messages", **asked)
        full = await router.trace(head["x-openfusion-trace-id"])
        assert (status, up.requests[0].body["tools"]) == (200, asked["tools"])
        assert full["decision"]["plan"]["worst_case_usd"] > 0.08 > full["usd"] > 0.02


async def test_a_stream_that_breaks_before_a_search_is_its_tokens(start_router):
    async with (
        Scripted("messages") as up,
        start_router(up.url, candidates=FOUR[:1], dialect="messages", search_usd=0.01) as router,
    ):
        up.script.extend([Says("it is the co", fail="error")] * 4)
        _, head, _ = await ask(router, "messages", stream=True, tools=[OWN["messages"]])
        full = await router.trace(head["x-openfusion-trace-id"])
        assert full["attempts"][0]["status"] == "error"
        assert 0 < full["attempts"][0]["usd"] < 0.01


async def test_a_plugin_makes_the_estimate_unknown_where_it_is_forwarded(start_router):
    plugin = {"plugins": [{"id": "web"}], "model": "coder-a"}
    for offers, known in ((["plugins"], False), ((), True)):
        async with (
            Scripted("chat") as up,
            start_router(up.url, candidates=FOUR, offers=offers) as router,
        ):
            _, _, raw = await ask(router, "chat", "/v1/estimate", **plugin)
            told = json.loads(raw)["usd"]
            assert (told["expected"] is not None, told["worst_case"] is not None) == (known, known)
            assert up.requests == []
