"""Three servers as processes of their own before one upstream, with a real Redis: what holds for all of them together."""

import asyncio
import contextlib
import json
import os
import time

import aiohttp
import pytest
import pytest_asyncio

from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError
from openfusion_auto.server.build import build
from openfusion_auto.server.sharing import build_link
from tests.cli.processes import environment, serving
from tests.server.conftest import KEY_ENV, candidate
from tests.server.live import GOOD, written
from tests.support.faulty import FaultyUpstream
from tests.support.redis_server import PATIENT_S, redis_server
from tests.support.workers import refilled

PRICE = {"input": 1.0, "output": 1000.0, "source": "test", "as_of": "2026-11-01"}
COSTLY = candidate(price_usd_per_mtok=PRICE, max_output_tokens=1000)


class Team:
    """Servers that share a Redis; `post` asks one of them."""

    def __init__(self, urls, up, redis, http):
        self.urls, self.up, self.redis, self._http = urls, up, redis, http

    async def post(self, number, text="[[say:fine]] go", **more):
        asked = {**GOOD, "messages": [{"role": "user", "content": text}], **more}
        url = f"{self.urls[number % len(self.urls)]}/v1/chat/completions"
        async with self._http.post(url, json=asked) as reply:
            return reply.status, reply.headers, await reply.read()

    async def get(self, number, path):
        async with self._http.get(self.urls[number] + path) as reply:
            return await reply.json()

    async def until(self, condition, within_s):
        async with asyncio.timeout(within_s):
            while not await condition():
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def team(folder, tool, *, candidates=None, **tables):
    async with (
        redis_server(tool("redis-server")) as redis,
        FaultyUpstream() as up,
        aiohttp.ClientSession() as http,
    ):
        tables["redis"] = {"wait_s": PATIENT_S}
        config = written(folder, up.url, candidates or [candidate()], tables)
        with contextlib.ExitStack() as running:

            def begin(number):
                state = str(folder / f"state{number}")
                env = {KEY_ENV: "sk-x", "OPENFUSION_STATE_DIR": state}
                own = environment(**env, OPENFUSION_REDIS_URL=redis.url)
                server = serving("--config", str(config), env=own, cwd=folder)
                return running.enter_context(server)[0]

            urls = await asyncio.gather(*(asyncio.to_thread(begin, n) for n in range(3)))
            yield Team(urls, up, redis, http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ample(tmp_path_factory, tool):
    """One team for all tests whose limits are never reached; a server takes a second to start."""
    tables = {
        "limits": {"requests_per_minute": 100_000, "usd_per_day": 1000.0},
        "cache": {"enabled": True},
    }
    two = [candidate(), candidate("coder-b")]  # of a single one the breaker would not count
    async with team(tmp_path_factory.mktemp("ample"), tool, candidates=two, **tables) as all_:
        yield all_


together = pytest.mark.asyncio(loop_scope="module")


async def test_a_limit_holds_for_all_servers_together(tmp_path, tool):
    async with team(
        tmp_path, tool, limits={"requests_per_minute": 6, "max_concurrent": 50}
    ) as all_:
        began_s = time.monotonic()
        replies = await asyncio.gather(*(all_.post(n) for n in range(18)))
        statuses = [status for status, _, _ in replies]
        assert set(statuses) == {200, 429}
        assert 6 <= statuses.count(200) <= 6 + refilled(began_s, 6)
        assert len(all_.up.requests) == statuses.count(200)
        health = await all_.get(0, "/health")
        assert health["redis"] == {"state": "shared", "problem": None}


async def test_a_cap_holds_for_all_servers_together(tmp_path, tool):
    async with team(tmp_path, tool, limits={"max_concurrent": 4}) as all_:
        most, watching = 0, True

        async def watch():
            nonlocal most
            while watching:
                most = max(most, all_.up.open_now)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(watch())
        replies = await asyncio.gather(
            *(all_.post(n, "[[sleep:1]] [[say:fine]] go") for n in range(15))
        )
        watching = False
        await task
        statuses = [status for status, _, _ in replies]
        assert set(statuses) == {200, 503}
        assert 1 <= most <= 4
        assert (await all_.post(0))[0] == 200


@together
async def test_a_session_goes_on_at_another_server(ample):
    session = {"session_id": "s-1"}
    first = json.loads((await ample.post(0, **session))[2])["openfusion"]
    assert first["session"]["pinned"] is False

    for number in (1, 2, 0):
        # Heard within half a second; asked until it is, on a machine that is busy with others.

        async def pinned(number=number):
            told = json.loads((await ample.post(number, **session))[2])["openfusion"]
            chosen = told["selected"][0]["candidate"]
            return told["session"]["pinned"] and chosen == first["selected"][0]["candidate"]

        await ample.until(pinned, 30)


async def test_a_budget_holds_for_all_servers_together(tmp_path, tool):
    tables = {"limits": {"usd_per_day": 3.0}, "auto": {"mode": "single"}}
    async with team(tmp_path, tool, candidates=[COSTLY], **tables) as all_:
        # One call is 1 USD at worst: of many at once never more than three are out.
        replies = await asyncio.gather(
            *(all_.post(n, "[[sleep:1]] [[words:900]] go") for n in range(12))
        )
        statuses = [status for status, _, _ in replies]
        assert set(statuses) <= {200, 429}
        assert 1 <= statuses.count(200) <= 3
        assert len(all_.up.requests) == statuses.count(200)

        async def all_know():
            seen = [(await all_.get(n, "/v1/keys/me"))["used"]["usd_today"] for n in range(3)]
            return min(seen) > 0 and len(set(seen)) == 1

        await all_.until(all_know, 60)
        spent = (await all_.get(0, "/v1/keys/me"))["used"]["usd_today"]
        assert 0 < spent <= 3.0


@together
async def test_redis_killed_and_back_fails_no_request_and_is_said(ample):
    statuses, stop = [], asyncio.Event()

    async def load(number):
        while not stop.is_set():
            statuses.append((await ample.post(number))[0])

    async def state(wanted):
        return all([(await ample.get(n, "/health"))["redis"]["state"] == wanted for n in range(3)])

    loads = [asyncio.create_task(load(n)) for n in range(6)]
    await asyncio.sleep(0.5)
    ample.redis.kill()
    await ample.until(lambda: state("local"), 60)
    await asyncio.sleep(0.5)
    await ample.redis.start()
    await ample.until(lambda: state("shared"), 60)
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*loads)
    assert set(statuses) == {200}
    assert len(statuses) > 20

    async def agree():
        seen = [(await ample.get(n, "/v1/keys/me"))["used"]["usd_today"] for n in range(3)]
        return min(seen) > 0 and max(seen) - min(seen) < 1e-9

    await ample.until(agree, 60)


@together
async def test_a_kept_answer_is_given_by_every_server(ample):
    headers = {}

    async def hit():
        nonlocal headers
        status, headers, body = await ample.post(1, "[[say:fine]] keep", temperature=0)
        assert (status, b"fine" in body) == (200, True)
        return headers.get("x-openfusion-cache") == "hit"

    # Without a key the address and program that ask are the credential: the same for both.
    assert (await ample.post(0, "[[say:fine]] keep", temperature=0))[0] == 200
    await ample.until(hit, 30)  # it is kept behind the answer, so one more may be made before
    calls = len(ample.up.requests)
    assert await hit()
    assert len(ample.up.requests) == calls


@together
async def test_a_breaker_that_opens_in_one_is_seen_by_the_others_within_a_second(ample):
    """The last that asks this team: the breaker stays open for half a minute."""
    for _ in range(3):
        await ample.post(0, "[[fault:F02]] go")
    calls = len(ample.up.requests)

    async def rejected():
        asked = {**GOOD, "messages": [{"role": "user", "content": "go"}]}
        async with ample._http.post(f"{ample.urls[1]}/debug/route", json=asked) as reply:
            decision = (await reply.json())["decision"]
        rules = [r["rule"] for r in decision["rejected"]]
        return "breaker_open" in rules or any("breaker" in r for r in decision["reasons"])

    await ample.until(rejected, 30)
    assert len(ample.up.requests) == calls


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no url"])
def test_a_url_that_is_none_ends_the_start_and_is_not_shown(tmp_path, url):
    config = written(tmp_path, "http://127.0.0.1:1/v1", [candidate()], {})
    env = {"OPENFUSION_STATE_DIR": str(tmp_path / "state"), "OPENFUSION_REDIS_URL": url}
    with pytest.raises(ConfigError, match="OPENFUSION_REDIS_URL") as caught:
        build(load(config, {**env, KEY_ENV: "k"}, {}, tmp_path), dry_run=False)
    assert url not in caught.value.message


def test_the_variable_may_have_another_name(tmp_path):
    config = written(
        tmp_path, "http://127.0.0.1:1/v1", [candidate()], {"redis": {"url_env": "TEAM_REDIS"}}
    )
    found = load(config, {"TEAM_REDIS": "redis://127.0.0.1:1", "HOME": os.sep}, {}, tmp_path)
    assert found.redis_url == "redis://127.0.0.1:1"
    assert "TEAM_REDIS" not in repr(found)


def test_how_long_redis_may_take_is_configured(tmp_path):
    config = written(tmp_path, "http://127.0.0.1:1/v1", [candidate()], {"redis": {"wait_s": 3.0}})
    env = {
        "OPENFUSION_STATE_DIR": str(tmp_path / "state"),
        "OPENFUSION_REDIS_URL": "redis://127.0.0.1:1",
    }
    link = build_link(load(config, env, {}, tmp_path), dry_run=False)
    assert link._wait_s == 3.0
