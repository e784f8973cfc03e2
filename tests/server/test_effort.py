"""Reasoning effort, which agents send whoever answers: between dialects it goes to models that reason alone."""

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import Scripted, request_for
from tests.server.test_surfaces import foreign, tell

ASKED = {
    "chat": {"reasoning_effort": "high"},
    "responses": {"reasoning": {"effort": "high", "summary": "auto"}},
    "messages": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
}


@foreign
@pytest.mark.parametrize("reasons", [True, False])
async def test_effort_goes_to_who_reasons(start_router, client, upstream, reasons):
    offers = ["tools", "reasoning"] if reasons else ["tools"]
    async with (
        Scripted(upstream) as up,
        start_router(
            up.url, dialect=upstream, candidates=[candidate("c", offers=offers)]
        ) as router,
    ):
        body = {**request_for(client), **ASKED[client]}
        assert (await tell(router, client, body))[0] == 200
        sent = up.requests[0].body
        assert any(field in sent for field in ASKED[upstream]) == reasons
        (attempt,) = router.engine.traces.latest(1)[0].attempts
        assert ("reasoning effort: the model offers none" in attempt.lost) != reasons
