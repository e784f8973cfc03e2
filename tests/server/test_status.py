"""What a person watches: money of the last day and who rests."""

import pytest

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.errors import UpstreamUnreachable
from tests.server.conftest import FOUR, candidate
from tests.server.live import GOOD, send, serving
from tests.server.test_keyring import body, keyed


async def status(router, key=None):
    reply = await send(router, None, path="/status", method="GET", key=key)
    assert reply.status == 200
    return reply.body


async def test_the_money_of_all_calls_is_summed_and_nothing_rests(tmp_path):
    async with serving(tmp_path) as router:
        fresh = await status(router)
        assert fresh["spend"] == {"window_s": 86400.0, "usd": 0, "known_usd": 0, "calls": 0, "unknown_calls": 0}  # fmt: skip
        cost = (await send(router, GOOD)).body["openfusion"]["usd"]
        now = await status(router)
    assert now["spend"]["usd"] == now["spend"]["known_usd"] == pytest.approx(cost)
    assert now["spend"]["calls"] == 1
    assert (now["breakers"], now["candidates"], now["dry_run"]) == ({}, 1, False)


async def test_one_unknown_price_makes_the_sum_unknown(tmp_path):
    unpriced = candidate()
    del unpriced["price_usd_per_mtok"]
    async with serving(tmp_path, candidates=[unpriced]) as router:
        await send(router, GOOD)
        spend = (await status(router))["spend"]
    assert (spend["usd"], spend["known_usd"], spend["unknown_calls"]) == (None, 0, 1)


async def test_a_breaker_that_is_not_closed_is_named(tmp_path):
    async with serving(tmp_path, candidates=FOUR) as router:
        for _ in range(10):
            router.engine.means.live.failed("fast-a", UpstreamUnreachable("gone"))
        assert (await status(router))["breakers"] == {"fast-a": "open"}


async def test_a_key_is_told_its_own_money_alone(tmp_path):
    async with keyed(tmp_path, Wish("one"), Wish("two")) as (router, texts):
        cost = (await send(router, body("/chat/completions"), key=texts["one"])).body["openfusion"]["usd"]  # fmt: skip
        one, two = [(await status(router, texts[name]))["spend"] for name in ("one", "two")]
        assert (await send(router, None, path="/status", method="GET")).status == 401
    assert (one["usd"], one["calls"]) == (pytest.approx(cost), None)
    assert two["usd"] == 0
