"""A bound of the answer that is over what a model can write: models refuse it, so it comes down on the way."""

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Scripted, request_for
from tests.server.test_surfaces import each, tell, ways

MOST = 8_000
FIELDS = {
    "chat": ("max_tokens", "max_completion_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
}
SMALL = [candidate("small", max_output_tokens=MOST)]


def bound_of(sent):
    (found,) = {sent[name] for names in FIELDS.values() for name in names if name in sent}
    return found


@each
@ways
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("asked", [32_000, 500])
async def test_a_bound_over_the_models_own_comes_down_to_it(
    start_router, client, upstream, streamed, asked
):
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=SMALL) as router,
    ):
        for field in FIELDS[client]:
            body = {**request_for(client), field: asked, "x_unknown": {"b": 1.0}}
            status, _, raw = await tell(router, client, body, streamed=streamed)
            assert status == 200, raw
            sent = up.requests[-1].body
            assert bound_of(sent) == min(asked, MOST)
            if client == upstream:
                assert {**sent, field: asked, "model": body["model"]} | {"stream_options": 0} == {
                    **body,
                    **({"stream": True} if streamed else {}),
                    "stream_options": 0,
                }
            (attempt,) = router.engine.traces.latest(1)[0].attempts
            told = f"bound of the answer {asked} as {MOST}"
            assert (told in attempt.lost) == (asked > MOST)


async def test_a_budget_for_thinking_stays_below_the_bound(start_router):
    thinking = {"type": "enabled", "budget_tokens": 31_999}
    body = {**request_for("messages"), "max_tokens": 32_000, "thinking": thinking}
    async with (
        Scripted("messages") as up,
        start_router(up.url, dialect="messages", candidates=SMALL) as router,
    ):
        assert (await tell(router, "messages", body))[0] == 200
        sent = up.requests[0].body
        assert sent["max_tokens"] == MOST
        assert 1024 <= sent["thinking"]["budget_tokens"] < MOST


@ways
@pytest.mark.parametrize("more", [{}, {"provider": {"sort": "price"}}], ids=["as it came", "anew"])
async def test_a_chat_clients_budget_stays_below_the_bound_too(start_router, streamed, more):
    reasoning = {"max_tokens": 20_000, "exclude": True}
    thinking = {"type": "enabled", "budget_tokens": 9_000}
    body = {**request_for("chat"), "max_tokens": 32_000, "reasoning": reasoning, **more}
    async with Scripted("chat") as up, start_router(up.url, candidates=SMALL) as router:
        for said in (body, {**body, "reasoning": None, "thinking": thinking}):
            assert (await tell(router, "chat", said, streamed=streamed))[0] == 200
        first, second = (r.body for r in up.requests)
        assert first["max_tokens"] == MOST
        assert first["reasoning"] == {"max_tokens": MOST // 2, "exclude": True}
        assert second["thinking"] == {"type": "enabled", "budget_tokens": MOST // 2}


async def test_a_budget_below_the_bound_stays_and_so_does_what_no_bound_has_changed(start_router):
    low, own = {"max_tokens": 7_000}, {"max_tokens": 400}
    async with Scripted("chat") as up, start_router(up.url, candidates=SMALL) as router:
        for most, reasoning in ((32_000, low), (400, own)):
            body = {**request_for("chat"), "max_tokens": most, "reasoning": reasoning}
            assert (await tell(router, "chat", body))[0] == 200
        assert [r.body["reasoning"] for r in up.requests] == [low, own]


async def test_calls_behind_an_answer_are_bounded_too(start_router):
    body = {
        **request_for("chat", "Fix the SQL injection in the login endpoint"),
        "max_tokens": 32_000,
    }
    two = [*SMALL, candidate("other", max_output_tokens=MOST)]
    body["openfusion"] = {"mode": "panel"}
    async with Scripted("chat") as up, start_router(up.url, candidates=two) as router:
        assert (await tell(router, "chat", body))[0] == 200
        assert len(up.requests) > 1
        assert all(bound_of(r.body) <= MOST for r in up.requests)
