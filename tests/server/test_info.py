"""What the server says about itself."""

import json
from urllib.parse import quote

import pytest

from openfusion_auto.core.types import Rejection
from openfusion_auto.runtime.judging import reasons
from tests.server.conftest import FOUR, ask
from tests.support.faulty import FaultyUpstream


async def route(router, body, **headers):
    async with router.http.post(f"{router.root}/debug/route", json=body, headers=headers) as r:
        return r.status, await r.json()


class TestRoute:
    async def test_it_decides_the_request_that_would_be_served_and_calls_nothing(
        self, start_router
    ):
        body = ask("Fix the SQL injection in the login endpoint")
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, shown = await route(router, body)
            assert up.requests == []
            _, _, answer = await router.chat(body)
            full = await router.trace(answer["openfusion"]["trace_id"])
        assert status == 200
        assert shown["object"] == "openfusion.route"
        assert shown["decision"] == full["decision"]

    async def test_its_shape_is_the_contract(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            _, shown = await route(router, ask("Add a search box to the orders table"))
        decision = shown["decision"]
        assert decision["digest"].startswith("sha256:")
        assert decision["mode"] in ("single", "verify", "panel")
        assert {"kind", "risk", "complexity", "turn", "evidence"} <= set(decision["task"])
        assert {"signal", "points", "why"} == set(decision["task"]["evidence"][0])
        best, *others = decision["ranking"]
        assert best["why_not"] is None
        assert all(o["why_not"] for o in others)
        for row in decision["ranking"]:
            assert row["total"] == pytest.approx(sum(t["points"] for t in row["terms"]))
            names = {"name", "raw", "unit", "value", "weight", "points", "source"}
            assert all(set(t) == names for t in row["terms"])
        assert decision["plan"]["steps"][0]["candidates"][0] == best["candidate"]
        assert decision["plan"]["worst_case_usd"] >= best["expected_usd"]

    async def test_only_the_named_candidates_are_ranked(self, start_router):
        body = ask("hi", openfusion={"candidates": ["coder-a", "vendor/verifier-a"]})
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            _, shown = await route(router, body)
        decision = shown["decision"]
        assert {r["candidate"] for r in decision["ranking"]} == {"coder-a", "verifier-a"}
        assert {r["rule"] for r in decision["rejected"]} == {"not_requested"}

    async def test_it_changes_no_pin(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            for _ in range(2):
                _, shown = await route(router, ask("hi"), **{"x-session-id": "s1"})
            assert router.engine.means.live.snapshot("id:s1").pin is None
            await router.chat(ask("hi"), **{"x-session-id": "s1"})
            assert router.engine.means.live.snapshot("id:s1").pin is not None
        assert shown["decision"]["task"]["turn"] == "user"

    async def test_a_bad_request_is_refused_as_it_would_be(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            status, body = await route(router, {"model": "openfusion/auto", "messages": []})
        assert (status, body["error"]["param"]) == (400, "messages")


class TestEstimate:
    async def test_it_prices_what_would_be_done_and_calls_nothing(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            body = ask("fix the failing test in auth.py", max_tokens=200)
            _, decided = await route(router, body)
            async with router.http.post(f"{router.root}/v1/estimate", json=body) as r:
                said = await r.json()
            assert up.requests == []
        plan = decided["decision"]["plan"]
        assert r.status == 200
        assert said["object"] == "openfusion.estimate"
        assert said["mode"] == decided["decision"]["mode"]
        assert said["usd"]["worst_case"] == plan["worst_case_usd"]
        assert said["tokens"]["output_most"] == 200
        assert {m["mode"] for m in said["modes"]} == {"single", "verify", "panel"}

    async def test_the_bill_of_one_call_is_within_its_worst_case(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            body = ask("say hello", max_tokens=50, openfusion={"mode": "single"})
            async with router.http.post(f"{router.root}/v1/estimate", json=body) as r:
                said = await r.json()
            await router.chat({**body, "stream": False})
            trace = router.engine.traces.latest(1)[0]
        assert trace.answered_by == said["candidate"]
        assert 0 < trace.usd() <= said["usd"]["worst_case"]

    @pytest.mark.parametrize("dialect", ["responses", "messages"])
    async def test_each_dialect_is_understood(self, start_router, dialect):
        body = {"model": "openfusion/auto", "max_tokens": 9, "messages": ask("hi")["messages"]}
        headers = {"anthropic-version": "2023-06-01"}
        if dialect == "responses":
            body, headers = {"model": "openfusion/auto", "input": "hi"}, {}
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            url = f"{router.root}/v1/estimate"
            async with router.http.post(url, json=body, headers=headers) as r:
                assert (await r.json())["object"] == "openfusion.estimate"

    async def test_what_the_request_would_be_refused_for_is_refused_here(self, start_router):
        body = ask("hi", openfusion={"max_usd": 1e-9})
        async with (
            FaultyUpstream() as up,
            start_router(up.url, candidates=FOUR) as router,
            router.http.post(f"{router.root}/v1/estimate", json=body) as r,
        ):
            said = await r.json()
        assert (r.status, said["error"]["code"]) == (400, "budget_exceeded")


class TestConfig:
    async def test_it_shows_policy_upstreams_and_the_pool_with_its_sources(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, said = await router.get("/v1/config")
        assert status == 200
        assert said["policy"]["mode"] in ("auto", "single", "verify", "panel")
        assert [u["ready"] for u in said["upstreams"]] == [True]
        assert [c["id"] for c in said["pool"]["candidates"]] == sorted(c["id"] for c in FOUR)
        assert said["pool"]["digest"]
        assert all("source" in b for c in said["pool"]["candidates"] for b in c["benchmarks"])

    async def test_no_key_and_no_address_stands_in_it(self, start_router):
        async with (
            FaultyUpstream() as up,
            start_router(up.url, candidates=FOUR) as router,
            router.http.get(f"{router.root}/v1/config") as r,
        ):
            text = await r.text()
        assert str(up.port) not in text
        assert "sk-" not in text


class TestTraces:
    async def test_the_newest_comes_first_and_by_id_is_whole(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            for word in ("one", "two"):
                _, _, answer = await router.chat(ask(f"[[say:{word}]]"))
            _, listed = await router.get("/v1/traces?limit=1")
            _, full = await router.get(f"/v1/traces/{listed['data'][0]['trace_id']}")
        assert [t["trace_id"] for t in listed["data"]] == [answer["openfusion"]["trace_id"]]
        assert full["attempts"][0]["status"] == "ok"
        assert full["attempts"][0]["ms"] > 0
        assert full["state"]["now_s"] > 0
        assert full["decision"]["ranking"]

    async def test_no_prompt_and_no_answer_text_stands_in_a_trace(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            body = ask("please refactor zanzibar-secret-words [[say:quicksilver reply]]")
            _, _, answer = await router.chat(body)
            _, full = await router.get(f"/v1/traces/{answer['openfusion']['trace_id']}")
        assert "zanzibar" not in json.dumps(full)
        assert "quicksilver" not in json.dumps(full)

    async def test_only_the_latest_are_kept_in_memory(self, start_router):
        kept = {"server": {"traces_kept": 2}, "store": {"enabled": False}}
        async with FaultyUpstream() as up, start_router(up.url, **kept) as router:
            ids = []
            for _ in range(3):
                _, _, answer = await router.chat(ask("hi"))
                ids.append(answer["openfusion"]["trace_id"])
            status, body = await router.get(f"/v1/traces/{ids[0]}")
            _, listed = await router.get("/v1/traces")
        assert (status, body["error"]["type"]) == (404, "invalid_request_error")
        assert [t["trace_id"] for t in listed["data"]] == ids[:0:-1]

    @pytest.mark.parametrize(
        "limit", ["0", "x", "-1", "201", "1e9", "٣", "", "1\n", "0000000019999"]
    )
    async def test_a_bad_limit_is_refused(self, start_router, limit):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            status, body = await router.get(f"/v1/traces?limit={quote(limit)}")
        assert (status, body["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize(
    ("path", "told"),
    [("/v1//chat/completions", True), ("/v1/models/", True), ("/v1/completions", False)],
)
async def test_a_slash_too_many_is_told(start_router, path, told):
    async with start_router("https://relay.example/v1", api_key="") as router:
        status, _, raw = await router.post(path, {})
    assert (status, b"a slash too many" in raw) == (404, told)


class TestHealth:
    @pytest.mark.parametrize("path", ["/", "/health", "/api/hello"])
    async def test_it_answers_without_a_key_and_to_head(self, start_router, path):
        async with FaultyUpstream() as up, start_router(up.url, client_keys="k1") as router:
            status, body = await router.get(path)
            async with router.http.head(router.root + path) as r:
                assert r.status == 200
        assert (status, body["ok"]) == (200, True)

    async def test_without_a_page_a_browser_is_told_the_same(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            accept = {"Accept": "text/html"}
            async with router.http.get(router.root + "/", headers=accept) as r:
                assert (await r.json())["ok"] is True

    async def test_ready_means_that_somebody_can_be_called(self, start_router):
        async with start_router("https://relay.example/v1", api_key="") as router:
            status, body = await router.get("/ready")
            chat, _, refused = await router.chat(ask("hi"))
        assert status == 503
        assert "RELAY_API_KEY" in body["unready"]["relay"]
        assert (chat, refused["error"]["code"]) == (503, "no_eligible_candidate")
        assert "RELAY_API_KEY" in refused["error"]["message"]

    async def test_a_dry_run_is_ready_and_says_so(self, start_router):
        async with start_router("https://relay.example/v1", api_key="", dry_run=True) as router:
            status, body = await router.get("/ready")
            _, _, answer = await router.chat(ask("hi"))
        assert (status, body["dry_run"]) == (200, True)
        assert "DRY RUN" in answer["choices"][0]["message"]["content"]
        assert answer["openfusion"]["dry_run"] is True


def test_candidates_that_are_rejected_for_one_reason_stand_together():
    found = [
        Rejection("a", "upstream_not_ready", "set KEY"),
        Rejection("b", "no_tools", "x"),
        Rejection("c", "upstream_not_ready", "set KEY"),
    ]
    assert reasons(found) == "a, c: upstream_not_ready (set KEY); b: no_tools (x)"
