"""Answers from a dearer tier (OpenAI's `service_tier`, Anthropic's `speed`): nobody says what they cost."""

import pytest

from openfusion_auto.evals.runner import recorded
from openfusion_auto.evals.verify import money
from tests.server.conftest import candidate, price
from tests.server.dialects import DIALECTS, Says, Scripted, request_for
from tests.server.test_surfaces import tell, ways

LISTED = (16 * 1.0 + 4 * 0.1 + 7 * 4.0) / 1e6  # 20 tokens of which 4 are cached, and 7


@ways
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_in_a_dearer_tier_costs_an_unknown_sum_and_its_tokens_at_least(
    start_router, dialect, streamed
):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, dialect=dialect, candidates=[candidate()]) as router,
    ):
        lines = []
        for fast in (True, False):
            up.script.append(Says("ok", fast=fast))
            status, _, raw = await tell(router, dialect, request_for(dialect), streamed=streamed)
            assert status == 200, raw
            trace = router.engine.traces.latest(1)[0]
            (line,) = trace.attempts
            lines.append((line.usd, line.billed, line.known_usd))
            assert any("faster tier" in note for note in trace.notes) is fast
            assert list(money(recorded(trace), router.engine.means.pool, "", dry=False)) == []
        assert lines[0] == (None, True, pytest.approx(LISTED))
        assert lines[1] == (pytest.approx(LISTED), False, pytest.approx(LISTED))


async def test_a_free_model_is_free_in_any_tier(start_router):
    free = candidate(price_usd_per_mtok=price(0.0, 0.0))
    async with Scripted("chat") as up, start_router(up.url, candidates=[free]) as router:
        up.script.append(Says("ok", fast=True))
        await tell(router, "chat", request_for("chat"))
        (line,) = router.engine.traces.latest(1)[0].attempts
        assert (line.usd, line.billed) == (0, False)
