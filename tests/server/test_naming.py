"""Several models in one request, over sockets and in every dialect: panels, orders, refusals, previews."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from tests.server.conftest import FOUR, bench, candidate, price
from tests.server.dialects import DIALECTS, PATHS, Says, Scripted, heard, request_for
from tests.wire.test_naming import ARTICLE


async def ask(router, dialect, path=None, **body):
    full = request_for(dialect, "Why does the login fail after the deploy?", **body)
    headers = {"anthropic-version": "2023-06-01"} if dialect == "messages" else {}
    status, head, raw = await router.post(path or "/v1" + PATHS[dialect], full, **headers)
    return status, head, raw


def models_asked(up):
    return [r.body["model"] for r in up.requests]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_array_is_tried_in_its_order(start_router, dialect, streamed):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        up.script.extend([Says(fail=404), Says("from the second")])
        model = ["verifier-a", "vendor/fast-a", "coder-a"]
        status, head, raw = await ask(router, dialect, model=model, stream=streamed)
        assert status == 200
        assert models_asked(up) == ["vendor/verifier-a", "vendor/fast-a"]
        got = heard(dialect, raw, streamed=streamed)
        assert got.text == "from the second"
        assert got.trace["requested_model"] == "verifier-a,vendor/fast-a,coder-a"
        assert [a["candidate"] for a in got.trace["attempts"]] == ["verifier-a", "fast-a"]
        assert "the request asks for fallback" in got.trace["why"]
        full = await router.trace(head["x-openfusion-trace-id"])
        assert full["decision"]["strategy"] == "fallback"
        assert full["decision"]["plan"]["steps"] == [
            {"phase": "primary", "candidates": ["verifier-a", "fast-a", "coder-a"]}
        ]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_models_beside_a_model_are_its_fallbacks_and_stay_here(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        up.script.extend([Says(fail=404), Says("ok")])
        body = {
            "model": "coder-a",
            "models": ["fast-a"],
            "route": "fallback",
            "metadata": {"user_id": "u"},
        }
        status, _, _ = await ask(router, dialect, **body)
        assert (status, models_asked(up)) == (200, ["vendor/coder-a", "vendor/fast-a"])
        assert all(r.body.keys().isdisjoint({"models", "route"}) for r in up.requests)
        assert all(r.body["metadata"] == {"user_id": "u"} for r in up.requests)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_list_with_commas_asks_its_members_and_nobody_else(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        up.script.extend([Says("the cookie"), Says("the cookie")])
        status, head, raw = await ask(router, dialect, model="fast-a, vendor/coder-a")
        assert (status, head["x-openfusion-mode"]) == (200, "panel")
        assert sorted(models_asked(up)) == ["vendor/coder-a", "vendor/fast-a"]
        assert heard(dialect, raw, streamed=False).text == "the cookie"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_strategy_object_orders_by_its_number(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        model = {"strategy": "cost_optimized", "models": [{"id": "verifier-a"}, {"id": "fast-a"}]}
        status, _, _ = await ask(router, dialect, model=model)
        assert (status, models_asked(up)) == (200, ["vendor/fast-a"])


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_preset_picks_the_way_in_every_dialect(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        told = {}
        for preset in ("quality", "budget", "fast"):
            _, _, raw = await ask(
                router,
                dialect,
                "/debug/route",
                openfusion={"preset": preset},
                model="openfusion/auto",
            )
            told[preset] = json.loads(raw)["decision"]
        assert [d["mode"] for d in told.values()] == ["panel", "panel", "single"]
        assert [d["cost_quality"] for d in told.values()] == [0.0, 10.0, 5.0]
        assert [d["aggregator"] for d in told.values()] == ["auto", "vote", "auto"]
        assert told["fast"]["strategy"] == "latency_optimized"
        assert told["quality"]["plan"]["expected_usd"] > told["fast"]["plan"]["expected_usd"]
        up.script.extend([Says("the cookie"), Says("the cookie"), Says("the cookie")])
        status, head, _ = await ask(router, dialect, openfusion={"preset": "budget"})
        assert (status, head["x-openfusion-mode"]) == (200, "panel")
        status, _, raw = await ask(router, dialect, openfusion={"preset": "cheap"})
        assert status == 400
        assert "'quality', 'budget', 'fast'" in json.loads(raw)["error"]["message"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_plugin_fusion_asks_its_models_and_does_not_go_on(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        up.script.extend([Says("the cookie"), Says("the cookie")])
        fusion = {"id": "fusion", "analysis_models": ["fast-a", "vendor/coder-a"]}
        status, head, _ = await ask(router, dialect, plugins=[fusion])
        assert (status, head["x-openfusion-mode"]) == (200, "panel")
        assert sorted(models_asked(up)) == ["vendor/coder-a", "vendor/fast-a"]
        assert all("plugins" not in r.body for r in up.requests)
        wrong = {"id": "fusion", "analysis_models": ["fast-a", "codr-a"]}
        status, _, raw = await ask(router, dialect, plugins=[wrong])
        assert status == 400
        assert "'codr-a'" in json.loads(raw)["error"]["message"]


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        ({"model": "coder-a,codr-a"}, 404, "'codr-a' does not exist. Did you mean coder-a"),
        ({"model": ["coder-a", "fsat-a"]}, 404, "'fsat-a' does not exist. Did you mean fast-a"),
        ({"model": "coder-a", "models": ["nobody"]}, 404, "'nobody' does not exist"),
        ({"model": ["coder-a", "openfusion/auto"]}, 400, "a virtual model stands alone"),
        ({"model": "coder-a,openfusion/auto"}, 400, "'openfusion/auto' is no single model"),
        ({"model": {"strategy": "round_robbin", "models": ["coder-a"]}}, 400, "'round_robin'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_wrong_name_is_refused_everywhere_before_any_call(
    start_router, dialect, body, expected, says
):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        for path in (None, "/debug/route", "/v1/estimate"):
            status, _, raw = await ask(router, dialect, path, **body)
            assert (status, says in json.loads(raw)["error"]["message"]) == (expected, True)
        status, _, raw = await ask(router, dialect, **body)
        assert json.loads(raw).get("type") == ("error" if dialect == "messages" else None)
        assert up.requests == []


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_shown_before_is_what_would_be_done(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        _, _, raw = await ask(router, dialect, "/debug/route", model=["verifier-a", "fast-a"])
        decision = json.loads(raw)["decision"]
        assert decision["plan"]["steps"] == [
            {"phase": "primary", "candidates": ["verifier-a", "fast-a"]}
        ]
        assert {r["candidate"]: r["rule"] for r in decision["rejected"]} == {
            "coder-a": "not_requested", "reasoner-a": "not_requested",
        }  # fmt: skip
        _, _, raw = await ask(router, dialect, "/v1/estimate", model="verifier-a,fast-a")
        members = [s["candidate"] for s in json.loads(raw)["steps"] if s["phase"] == "member"]
        assert sorted(members) == ["fast-a", "verifier-a"]
        assert up.requests == []


def turns(model, *, number):
    """The models that a round robin over some asks, as the upstream names them."""
    return [f"vendor/{i}" for i in (model * number)[:number]]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_models_take_turns_and_looking_takes_none(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        model = {"strategy": "round_robin", "models": ["verifier-a", {"id": "fast-a"}, "coder-a"]}
        firsts = []
        for _ in range(4):
            for path in ("/debug/route", "/v1/estimate"):
                _, _, raw = await ask(router, dialect, path, model=model)
            firsts.append(json.loads(raw)["candidate"])
            status, head, _ = await ask(router, dialect, model=model)
            assert status == 200
        assert models_asked(up) == turns(["verifier-a", "fast-a", "coder-a"], number=4)
        assert [f"vendor/{f}" for f in firsts] == models_asked(up)
        full = await router.trace(head["x-openfusion-trace-id"])
        assert full["decision"]["plan"]["steps"] == [
            {"phase": "primary", "candidates": ["verifier-a", "fast-a", "coder-a"]}
        ]


async def test_requests_at_once_have_a_turn_each(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR) as router,
    ):
        weights = {"verifier-a": 1, "fast-a": 3}
        models = [{"id": i, "weight": w} for i, w in weights.items()]
        model = {"strategy": "round_robin", "models": [*models, "coder-a"]}
        await asyncio.gather(*(ask(router, "chat", model=model) for _ in range(16)))
        asked = Counter(models_asked(up))
        assert asked == {"vendor/fast-a": 12, "vendor/verifier-a": 4}


async def test_a_turn_whose_model_fails_goes_to_the_next_and_counts(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR) as router,
    ):
        up.script.extend([Says(fail=404), Says("ok"), Says("ok")])
        for _ in range(2):
            await ask(router, "chat", openfusion={"strategy": "round_robin", "candidates": ["coder-a", "fast-a"]})  # fmt: skip
        assert models_asked(up) == ["vendor/coder-a", "vendor/fast-a", "vendor/fast-a"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_strategy_object_of_the_article_works_as_it_is_written(start_router, dialect):
    named = [m["id"] for m in ARTICLE["models"]]
    prices = {named[0]: (10.0, 30.0), named[1]: (15.0, 75.0), named[2]: (0.7, 0.7)}
    pool = [candidate(n.rpartition("/")[2], model=n, price_usd_per_mtok=price(*prices[n]), benchmarks=bench(70.0)) for n in named]  # fmt: skip
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=pool, dialect=dialect) as router,
    ):
        up.script.extend([Says("one"), Says("two"), Says("three"), Says("no verdict"), Says("no verdict")])  # fmt: skip
        status, head, _ = await ask(router, dialect, model=ARTICLE)
        assert (status, head["x-openfusion-mode"]) == (200, "panel")
        assert sorted(models_asked(up)[:3]) == sorted(named)
        # The judge says nothing that can be read: the heaviest is taken.
        assert head["x-openfusion-model"] == named[0]
        tight = {**ARTICLE, "models": [{**m, "max_cost_per_1k_tokens": 0.03} for m in ARTICLE["models"]]}  # fmt: skip
        _, _, raw = await ask(router, dialect, "/debug/route", model=tight)
        decision = json.loads(raw)["decision"]
        assert [(r["candidate"], r["rule"]) for r in decision["rejected"]] == [("claude-3-opus", "price_above_requested")]  # fmt: skip
        assert "0.075 USD per 1,000 tokens, the request's limit is 0.03" in raw.decode()
        strong = {"strategy": "performance_based", "models": [{"id": n, "min_performance_score": 1} for n in named]}  # fmt: skip
        status, _, raw = await ask(router, dialect, model=strong)
        assert (status, json.loads(raw)["error"]["message"][:42]) == (
            400,
            "No candidate is what this request asks for",
        )
        assert "performance_below_requested" in raw.decode()
