"""What a key is told about itself."""

import pytest

from openfusion_auto.config.keyfile import Wish
from tests.server.live import send, serving
from tests.server.test_keyring import body, keyed

NOTHING = {
    "requests_per_minute": None, "tokens_per_minute": None, "concurrent": None, "usd_per_day": None, "usd_per_month": None,
}  # fmt: skip


async def me(router, key=None):
    reply = await send(router, None, path="/keys/me", method="GET", key=key)
    assert reply.status == 200
    return reply.body


async def test_without_keys_and_limits_nothing_is_limited(tmp_path):
    async with serving(tmp_path) as router:
        assert await me(router) == {
            "object": "openfusion.key", "name": None, "models": None, "expires": None, "limits": NOTHING, "server_limits": None,
            "used": {"requests": None, "usd_today": None, "usd_month": None}, "left": {"usd": None, "requests": None, "tokens": None},
        }  # fmt: skip


async def test_a_key_is_told_its_limits_its_use_and_what_is_left(tmp_path):
    wish = Wish("ci", ("openfusion/auto",), "2099-01-01T00:00:00Z", 60, 100_000, 4, 2.0, 30.0)
    async with keyed(tmp_path, wish, Wish("other"), limits={"usd_per_day": 1.5}) as (router, texts):
        fresh = await me(router, texts["ci"])
        assert fresh["limits"] == {
            "requests_per_minute": 60, "tokens_per_minute": 100_000, "concurrent": 4, "usd_per_day": 2.0, "usd_per_month": 30.0,
        }  # fmt: skip
        assert fresh["server_limits"] == {**NOTHING, "usd_per_day": 1.5}
        assert (fresh["name"], fresh["models"], fresh["expires"]) == (
            "ci",
            ["openfusion/auto"],
            "2099-01-01T00:00:00Z",
        )
        assert fresh["left"] == {"usd": 1.5, "requests": 60, "tokens": 100_000}
        reply = await send(router, body("/chat/completions"), key=texts["ci"])
        used = await me(router, texts["ci"])
        cost = reply.body["openfusion"]["usd"]
        assert used["used"] == {
            "requests": 1,
            "usd_today": pytest.approx(cost),
            "usd_month": pytest.approx(cost),
        }
        assert used["left"]["usd"] == pytest.approx(1.5 - cost)
        assert used["left"]["requests"] == 59
        other = await me(router, texts["other"])
        assert (other["used"]["requests"], other["left"]["usd"]) == (
            0,
            used["left"]["usd"],
        )  # the server's is shared


async def test_without_keys_it_is_what_all_clients_together_may_do(tmp_path):
    async with serving(tmp_path, limits={"max_concurrent": 9, "usd_per_month": 3.0}) as router:
        await send(router, body("/chat/completions"))
        told = await me(router)
        assert told["limits"] == {**NOTHING, "concurrent": 9, "usd_per_month": 3.0}
        assert told["used"]["requests"] == 1


async def test_an_operators_key_has_no_limits_of_its_own(tmp_path):
    async with serving(tmp_path, client_keys="operator") as router:
        told = await me(router, "operator")
        assert (told["name"], told["limits"]) == ("OPENFUSION_API_KEYS", NOTHING)
