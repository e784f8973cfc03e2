"""Models that refuse a field by name: the request goes on without it, and so do those behind it."""

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Says, Scripted, request_for
from tests.server.test_surfaces import each, tell, ways
from tests.wire.test_refused import BOUND, HEAT

REFUSALS = [
    Says(
        fail=400, error={"message": BOUND, "param": "max_tokens", "code": "unsupported_parameter"}
    ),
    Says(fail=400, error={"message": HEAT, "param": "temperature", "code": "unsupported_value"}),
]


@each
@ways
async def test_openais_reasoning_models_get_what_they_take(start_router, client, streamed):
    bound = "max_output_tokens" if client == "responses" else "max_tokens"
    body = {**request_for(client), bound: 500, "temperature": 0}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.extend(REFUSALS)
        status, _, raw = await tell(router, client, body, streamed=streamed)
        assert status == 200, raw
        first, _, last = up.requests
        assert (first.body["max_tokens"], first.body["temperature"]) == (500, 0)
        assert last.body["max_completion_tokens"] == 500
        assert not {"max_tokens", "temperature"} & last.body.keys()
        lost = router.engine.traces.latest(1)[0].attempts[-1].lost
        assert "field temperature, which the model refuses" in lost
        assert (await tell(router, client, body, streamed=streamed))[0] == 200
        assert len(up.requests) == 4  # the second request knows
        assert up.requests[3].body.keys() == last.body.keys()


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_a_model_that_keeps_refusing_ends_in_its_refusal(start_router, upstream):
    body = {**request_for(upstream), "temperature": 0}
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=[candidate("c")]) as router,
    ):
        up.script.extend([REFUSALS[1]] * 9)
        status, _, _ = await tell(router, upstream, body)
        assert status == 400
        assert len(up.requests) == 4
