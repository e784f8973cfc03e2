"""Limits on a running server: what is refused, how it is told in each dialect, and what the money does."""

import asyncio
import json

import pytest

from openfusion_auto.config.keyfile import Wish, create, path_in
from openfusion_auto.config.load import load
from openfusion_auto.core.limits import Spending, to_units
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.limits import SERVER
from openfusion_auto.server.build import build
from openfusion_auto.server.keys import LIMITER
from tests.server.conftest import FOUR, candidate
from tests.server.live import check_alive, send, serving
from tests.server.test_keyring import SURFACES, body, error_of, keyed

CHAT = "/chat/completions"


def counters(router):
    return router.app[LIMITER].counters


async def until(condition, within_s=30.0):
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


# -- the cap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SURFACES)
async def test_over_the_cap_of_the_server_is_a_503_with_retry_after_and_only_until_a_place_is_free(
    tmp_path, path
):
    async with serving(tmp_path, limits={"max_concurrent": 2}) as router:
        router.up.script = ["gate:end:ok"] * 2
        held = [
            asyncio.create_task(send(router, body(path, stream=n == 1), path=path))
            for n in range(2)
        ]
        await until(lambda: len(router.up.requests) == 2)
        assert counters(router).running(SERVER) == 2
        reply = await send(router, body(path), path=path)
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert error_of(reply, path) in ("overloaded", "overloaded_error")
        await check_alive(router)  # what calls no model is answered
        router.up.gates["end"].set()
        assert [r.status for r in await asyncio.gather(*held)] == [200, 200]
        assert (await send(router, body(path), path=path)).status == 200
        assert counters(router).running(SERVER) == 0


async def test_a_key_at_its_own_cap_leaves_the_others_alone(tmp_path):
    async with keyed(tmp_path, Wish("one", concurrent=1), Wish("two")) as (router, texts):
        router.up.script = ["gate:end:ok"]
        held = asyncio.create_task(send(router, body(CHAT), key=texts["one"]))
        await until(lambda: router.up.requests)
        reply = await send(router, body(CHAT), key=texts["one"])
        assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
        assert reply.headers["retry-after"] == "1"
        assert (await send(router, body(CHAT), key=texts["two"])).status == 200
        router.up.gates["end"].set()
        assert (await held).status == 200


async def test_who_sends_a_body_slowly_holds_no_place(tmp_path):
    async with serving(tmp_path, limits={"max_concurrent": 1}) as router:
        host = router.root.removeprefix("http://")
        _, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        await asyncio.sleep(0.1)
        assert (await send(router, body(CHAT))).status == 200
        writer.transport.abort()


# -- rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SURFACES)
async def test_a_key_over_its_rate_is_told_in_the_dialect_when_to_come_back(tmp_path, path):
    async with keyed(tmp_path, Wish("ci", requests_per_minute=2), Wish("other")) as (router, texts):
        for left in ("1", "0"):
            reply = await send(router, body(path), path=path, key=texts["ci"])
            assert reply.status == 200
            assert reply.headers["x-ratelimit-limit-requests"] == "2"
            assert reply.headers["x-ratelimit-remaining-requests"] == left
        reply = await send(router, body(path), path=path, key=texts["ci"])
        assert reply.status == 429
        assert 25 <= int(reply.headers["retry-after"]) <= 30
        assert error_of(reply, path) in ("rate_limit_exceeded", "rate_limit_error")
        assert "Please try again in" in json.dumps(reply.body)
        assert reply.headers["x-ratelimit-remaining-requests"] == "0"
        assert reply.headers["x-ratelimit-reset-requests"].endswith("s")
        other = await send(router, body(path), path=path, key=texts["other"])
        assert other.status == 200
        assert not [h for h in other.headers if h.startswith("x-ratelimit")]
        assert len(router.up.requests) == 3


@pytest.mark.parametrize("path", SURFACES)
async def test_tokens_are_counted_by_what_was_used_and_told_on_streams_too(tmp_path, path):
    async with keyed(tmp_path, Wish("ci", tokens_per_minute=5000)) as (router, texts):
        reply = await send(router, body(path, stream=True), path=path, key=texts["ci"])
        assert reply.status == 200
        before = int(reply.headers["x-ratelimit-remaining-tokens"])
        trace = await send(
            router,
            None,
            path=f"/traces/{reply.headers['x-openfusion-trace-id']}",
            method="GET",
            key=texts["ci"],
        )
        used = sum(u["input_tokens"] + u["output_tokens"] for u in trace.body["usage"])
        me = await send(router, None, path="/keys/me", method="GET", key=texts["ci"])
        assert 4900 < before < 5000
        assert abs(me.body["left"]["tokens"] - (5000 - used)) <= 100  # some came back since


async def test_who_leaves_before_the_answer_has_used_the_tokens_of_the_prompt(tmp_path):
    wish = Wish("ci", tokens_per_minute=100_000)
    long = {**body(CHAT), "messages": [{"role": "user", "content": "word " * 40_000}]}
    async with keyed(tmp_path, wish) as (router, texts):
        router.up.script = ["gate:never:ok"]
        asked = asyncio.create_task(send(router, long, key=texts["ci"]))
        await until(lambda: router.up.requests)
        asked.cancel()
        await until(lambda: router.engine.traces.latest(1))
        await until(lambda: router.engine.traces.latest(1)[0].outcome != "running")
        me = (await send(router, None, path="/keys/me", method="GET", key=texts["ci"])).body
        assert me["left"]["tokens"] < 90_000  # they come back within a minute


async def test_a_request_larger_than_a_minutes_tokens_is_told_not_to_try_again(tmp_path):
    async with keyed(tmp_path, Wish("ci", tokens_per_minute=10)) as (router, texts):
        reply = await send(router, body(CHAT), key=texts["ci"])
        assert reply.status == 429
        assert reply.headers["x-should-retry"] == "false"
        assert "retry-after" not in reply.headers


async def test_the_rate_of_the_server_counts_all_clients_together(tmp_path):
    async with keyed(tmp_path, Wish("a"), Wish("b"), limits={"requests_per_minute": 2}) as (
        router,
        texts,
    ):
        assert (await send(router, body(CHAT), key=texts["a"])).status == 200
        assert (await send(router, body(CHAT), key=texts["b"])).status == 200
        reply = await send(router, body(CHAT), key=texts["b"])
        assert reply.status == 429
        assert "this server" in reply.error["message"]


# -- money -----------------------------------------------------------------------------------------------------------


def costly(**more):
    return body(CHAT, max_tokens=1000, **more)


@pytest.mark.parametrize("mode", ["panel", "verify"])
async def test_a_shrinking_budget_goes_down_mode_by_mode_and_refuses_last(tmp_path, mode):
    budgets = [round(0.2 * 0.7**n, 8) for n in range(20)]
    wishes = [Wish(f"k{n}", max_usd_per_day=usd) for n, usd in enumerate(budgets)]
    async with keyed(tmp_path, *wishes, candidates=FOUR) as (router, texts):
        seen, singles = [], set()
        for n, usd in enumerate(budgets):
            reply = await send(
                router, costly(openfusion={"mode": mode, "trace": "full"}), key=texts[f"k{n}"]
            )
            if reply.status == 429:
                assert (reply.error["code"], reply.error["type"]) == ("insufficient_quota",) * 2
                assert reply.headers["x-should-retry"] == "false"
                assert f"the key 'k{n}'" in reply.error["message"]
                seen.append("refused")
                continue
            assert reply.status == 200
            told = reply.body["openfusion"]
            assert told["decision"]["plan"]["worst_case_usd"] <= usd
            assert any("were left of its budgets" in note for note in told["notes"])
            seen.append(reply.headers["x-openfusion-mode"])
            if seen[-1] == "single":
                singles.add(reply.headers["x-openfusion-model"])
        order = ["panel", "verify", "single", "refused"]
        assert {mode, "single", "refused"} <= set(seen)
        assert seen == sorted(seen, key=order.index)
        assert len(singles) > 1  # a cheaper model stands in before anybody is refused


async def test_what_was_really_spent_is_what_the_budget_loses(tmp_path):
    async with keyed(tmp_path, Wish("ci", max_usd_per_day=1.0), candidates=FOUR) as (router, texts):
        total = 0.0
        for mode in ("single", "verify", "panel"):
            reply = await send(router, costly(openfusion={"mode": mode}), key=texts["ci"])
            total += reply.body["openfusion"]["usd"]
        me = (await send(router, None, path="/keys/me", method="GET", key=texts["ci"])).body
        assert total > 0
        assert me["used"]["usd_today"] == pytest.approx(total, abs=1e-10)
        assert me["left"]["usd"] == pytest.approx(1.0 - total, abs=1e-10)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_before_the_answer_uses_the_budget_up_all_the_same(tmp_path, stream):
    async with serving(tmp_path, limits={"usd_per_day": 5.0}) as router:
        router.up.script = ["gate:never:ok"]
        asked = asyncio.create_task(send(router, body(CHAT, stream=stream), path=CHAT))
        await until(lambda: router.up.requests)
        asked.cancel()
        await until(lambda: not counters(router).running(SERVER))
        trace = router.engine.traces.latest(1)[0]
        (line,) = trace.attempts
        assert (line.status, line.usage, line.usd) == ("cancelled", None, None)
        assert any("only budgets count it" in note for note in trace.notes)
        ((_, spent),) = counters(router).spending(SERVER).day
        assert spent == to_units(line.known_usd) > 0


async def test_the_route_shows_what_the_budget_would_do_and_takes_nothing(tmp_path):
    async with keyed(
        tmp_path, Wish("poor", max_usd_per_day=0.001), Wish("rich"), candidates=FOUR
    ) as (router, texts):
        asked = costly(openfusion={"mode": "panel"})
        poor, rich = [
            (await send(router, asked, path="/../debug/route", key=texts[k])).body["decision"]
            for k in ("poor", "rich")
        ]
        assert (poor["mode"], rich["mode"]) == ("single", "panel")
        assert any("the limit is 0.001 USD" in reason for reason in poor["reasons"])
        me = (await send(router, None, path="/keys/me", method="GET", key=texts["poor"])).body
        assert me["used"] == {"requests": 0, "usd_today": 0.0, "usd_month": 0.0}


async def test_the_requests_own_ceiling_is_still_a_400(tmp_path):
    async with keyed(tmp_path, Wish("ci", max_usd_per_day=5.0)) as (router, texts):
        reply = await send(router, costly(openfusion={"max_usd": 0.0000001}), key=texts["ci"])
        assert (reply.status, reply.error["code"]) == (400, "budget_exceeded")


async def test_a_model_without_a_price_cannot_be_asked_on_a_budget_and_a_free_one_always(tmp_path):
    unknown = candidate("unknown")
    del unknown["price_usd_per_mtok"]
    free = candidate(
        "free",
        price_usd_per_mtok={"input": 0.0, "output": 0.0, "source": "test", "as_of": "2026-11-01"},
    )
    wish = Wish("ci", max_usd_per_day=0.0001)
    async with keyed(tmp_path, wish, candidates=[unknown, free]) as (router, texts):
        reply = await send(router, costly() | {"model": "unknown"}, key=texts["ci"])
        assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
        reply = await send(router, costly() | {"model": "free"}, key=texts["ci"])
        assert reply.status == 200


@pytest.mark.parametrize("path", SURFACES)
async def test_a_session_has_its_own_budget(tmp_path, path):
    price = {"input": 100.0, "output": 100.0, "source": "test", "as_of": "2026-11-01"}
    dear = [candidate(price_usd_per_mtok=price, max_output_tokens=1000)]
    async with serving(tmp_path, candidates=dear, limits={"usd_per_session": 0.12}) as router:

        async def ask(session, agent=None):
            headers = {"session-id": session, "thread-id": agent or session}
            return await send(router, body(path), path=path, headers=headers)

        served = 0
        while (reply := await ask("one")).status == 200:
            served += 1
        assert 0 < served < 100
        assert (await ask("one", "a sub-agent's")).status == 429
        assert reply.status == 429
        assert error_of(reply, path) in ("insufficient_quota", "rate_limit_error")
        assert "this session" in json.dumps(reply.body)
        assert (await ask("two")).status == 200


async def test_a_budget_of_the_server_binds_without_any_key(tmp_path):
    async with serving(tmp_path, limits={"usd_per_day": 0.00001}) as router:
        reply = await send(router, costly())
        assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
        assert "this server" in reply.error["message"]


async def test_an_embedding_too_counts_and_is_refused_when_nothing_is_left(tmp_path):
    vectors = candidate(
        "vec",
        roles=["embedding"],
        offers=["embeddings"],
        price_usd_per_mtok={"input": 1.0, "output": 0.0, "source": "test", "as_of": "2026-11-01"},
    )
    wishes = (
        Wish("poor", max_usd_per_day=1e-8),
        Wish("rich", max_usd_per_day=1.0, requests_per_minute=1),
    )
    async with keyed(tmp_path, *wishes, candidates=[vectors]) as (router, texts):
        asked = {"model": "vec", "input": "some words that are turned into numbers"}
        reply = await send(router, asked, path="/embeddings", key=texts["poor"])
        assert (reply.status, reply.error["code"]) == (429, "insufficient_quota")
        assert router.up.requests == []
        reply = await send(router, asked, path="/embeddings", key=texts["rich"])
        assert reply.headers["x-ratelimit-remaining-requests"] == "0"
        assert (await send(router, asked, path="/embeddings", key=texts["rich"])).status == 429
        assert len(router.up.requests) == 1


async def test_a_restart_gives_nobody_a_fresh_budget(tmp_path):
    wish = Wish("ci", max_usd_per_day=1.0)
    async with keyed(tmp_path, wish, candidates=FOUR) as (router, texts):
        await send(router, costly(), key=texts["ci"])
        before = (await send(router, None, path="/keys/me", method="GET", key=texts["ci"])).body
    assert before["used"]["usd_today"] > 0
    async with serving(tmp_path, candidates=FOUR) as router:
        after = (await send(router, None, path="/keys/me", method="GET", key=texts["ci"])).body
    assert (after["used"], after["left"]) == (before["used"], before["left"])


async def test_a_further_call_that_the_plan_did_not_count_is_made_only_when_the_budget_covers_it(
    tmp_path,
):
    """A plan counts one call a step. When one fails that has cost something, the next needs more than is held."""
    twins = [candidate("coder-a"), candidate("coder-b")]
    asked = costly(stream=True)
    asked["messages"] = [
        {"role": "user", "content": "[[fault:F75]] go"}
    ]  # cut inside a tool call: the client saw nothing
    async with serving(tmp_path, candidates=twins) as router:
        route = await send(router, asked, path="/../debug/route")
        worst = route.body["decision"]["plan"]["worst_case_usd"]
    wishes = (Wish("tight", max_usd_per_day=worst), Wish("roomy", max_usd_per_day=3 * worst))
    async with keyed(tmp_path, *wishes, candidates=twins) as (router, texts):
        calls = {}
        for name in texts:
            before = len(router.up.requests)
            reply = await send(router, asked, key=texts[name])
            assert reply.status == 502
            calls[name] = len(router.up.requests) - before
        assert calls["tight"] == 1
        assert calls["roomy"] > 1

        def spenders():
            return [name for name, _ in router.engine.means.books.store.load(Spending, 0.0)]

        await until(lambda: len(spenders()) == 2, 30)  # told within a tenth of a second
        scopes = spenders()
        for scope in scopes:
            assert (counters(router).held(scope), counters(router).running(scope)) == (0, 0)


def test_budgets_do_not_begin_anew_because_the_store_is_broken(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "state.sqlite3").write_bytes(b"no database, for a hundred bytes and more" * 9)

    def built(limits=""):
        (tmp_path / "openfusion.toml").write_text(limits)
        env = {"OPENFUSION_STATE_DIR": str(state)}
        return build(load(None, env, {}, tmp_path), dry_run=False)

    assert built()  # without a budget it works in memory, and says so
    with pytest.raises(ConfigError, match=r"state\.sqlite3 cannot be used.*--no-store"):
        built("[limits]\nusd_per_day = 5\n")
    assert built("[limits]\nusd_per_day = 5\n[store]\nenabled = false\n")
    create(path_in(state), Wish("ci", max_usd_per_month=5.0), 1_800_000_000.0)
    with pytest.raises(ConfigError, match="begin anew"):
        built()
