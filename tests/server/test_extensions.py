"""OpenRouter's fields over sockets: to upstreams that take them as they came, to no other; demands held or refused."""

from __future__ import annotations

import json

import pytest

from tests.server.conftest import FOUR
from tests.server.dialects import DIALECTS, Says, Scripted
from tests.server.test_naming import ask
from tests.wire.test_extensions import ALL, EXTRA

FIELDS = set(EXTRA)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("spoken", ["chat", "messages"])
async def test_an_upstream_gets_the_fields_that_it_takes_and_no_other(start_router, dialect, spoken):  # fmt: skip
    for offers, kept in ((ALL, FIELDS), (("provider",), {"provider"}), ((), set())):
        async with (
            Scripted(spoken) as up,
            start_router(up.url, candidates=FOUR, dialect=spoken, offers=offers) as router,
        ):
            status, head, _ = await ask(
                router, dialect, **EXTRA, openfusion={"mode": "single", "trace": "full"}
            )
            assert status == 200
            (got,) = up.requests
            assert got.body.keys() & FIELDS == kept
            assert {k: got.body[k] for k in kept} == {k: EXTRA[k] for k in kept}
            full = await router.trace(head["x-openfusion-trace-id"])
            lost = " ".join(full["attempts"][0]["lost"])
            assert ("field plugins" in lost, "provider" in lost) == (
                "plugins" not in kept,
                not kept,
            )
            assert "session_id" not in lost


async def test_members_and_judge_of_a_panel_are_treated_alike(start_router):
    async with Scripted("chat") as up, start_router(up.url, candidates=FOUR) as router:
        status, _, _ = await ask(router, "chat", plugins=[{"id": "web"}], provider={"sort": "price"},
                                 openfusion={"mode": "panel"})  # fmt: skip
        assert status == 200
        assert len(up.requests) > 1
        assert not any(r.body.keys() & FIELDS for r in up.requests)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_nobody_can_hold_is_refused_by_name_before_any_call(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect) as router,
    ):
        for demand, says in (
            ({"data_collection": "deny"}, "provider.data_collection cannot be held at upstream relay"),
            ({"only": ["together"]}, "provider leaves out upstream relay"),
            ({"max_price": {"prompt": 0.01}}, "provider.max_price is 0.01"),
        ):  # fmt: skip
            for path in (None, "/v1/estimate"):
                status, _, raw = await ask(router, dialect, path, provider=demand)
                error = json.loads(raw)["error"]
                assert (status, says in error["message"]) == (400, True)
        assert up.requests == []
        status, _, raw = await ask(router, dialect, "/debug/route", provider={"max_price": {"completion": 2}})  # fmt: skip
        ranked = [r["candidate"] for r in json.loads(raw)["decision"]["ranking"]]
        assert sorted(ranked) == ["coder-a", "fast-a"]


@pytest.mark.parametrize(
    ("offers", "beside", "believed"),
    [
        (ALL, {}, True),  # its host may be dearer than the pool's price
        (ALL, {"plugins": [{"id": "web"}]}, True),
        (["provider"], {}, True),
        ([], {}, False),  # nobody knows the unit
        (["session_id", "cache_control"], {}, False),
    ],
)
async def test_what_one_like_openrouter_bills_is_booked(start_router, offers, beside, believed):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, offers=offers) as router,
    ):
        found = []
        for cost in (0.0421, None):
            up.script.append(Says("found", cost=cost))
            _, head, _ = await ask(router, "chat", **beside, openfusion={"mode": "single"})
            full = await router.trace(head["x-openfusion-trace-id"])
            found.append((full["usd"], full["attempts"][0]["billed"]))
            assert full["usd"] == full["attempts"][0]["usd"] == full["usage"][0]["usd"]
            assert full["usage"][0].get("billed", False) == full["attempts"][0]["billed"]
        (usd, billed), (listed, unbilled) = found
        assert (usd == 0.0421, billed, unbilled) == (believed, believed, False)
        # No bill: its tokens at the pool's price, and unknown with a plugin, which may have searched.
        assert listed is None if beside else 0 < listed < 0.01
        assert believed or usd == listed
