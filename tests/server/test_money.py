"""What calls cost where list prices do not say it: service tiers, sound, bills, and answers that come to nothing."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from openfusion_auto.evals.runner import recorded
from openfusion_auto.evals.verify import money
from tests.server.conftest import candidate, price
from tests.server.dialects import DIALECTS, Says, Scripted, request_for
from tests.server.test_surfaces import tell, ways

LISTED = (16 * 1.0 + 4 * 0.1 + 7 * 4.0) / 1e6  # 20 tokens of which 4 are cached, and 7
FIELD = {"chat": "service_tier", "responses": "service_tier", "messages": "speed"}
FAST = {"chat": "priority", "responses": "priority", "messages": "fast"}


def asking(dialect):
    return {**request_for(dialect), FIELD[dialect]: FAST[dialect]}


@ways
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_in_a_dearer_tier_costs_an_unknown_sum_and_its_tokens_at_least(
    start_router, dialect, streamed
):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, dialect=dialect, candidates=[candidate()]) as router,
    ):
        told = [
            (request_for(dialect), "priority", True),
            (request_for(dialect), "", False),
            (asking(dialect), "default", False),  # the provider was busy, and says so
            (asking(dialect), "", True),  # one that does not say came from where it was asked for
        ]
        for body, tier, dearer in told:
            up.script.append(Says("ok", tier=tier))
            status, _, raw = await tell(router, dialect, body, streamed=streamed)
            assert status == 200, raw
            trace = router.engine.traces.latest(1)[0]
            (line,) = trace.attempts
            known = (line.usd, line.billed, line.known_usd)
            usd = None if dearer else pytest.approx(LISTED)
            assert known == (usd, dearer, pytest.approx(LISTED)), (body, tier)
            assert any("faster tier" in note for note in trace.notes) is dearer
            assert list(money(recorded(trace), router.engine.means.pool, "", dry=False)) == []


@ways
async def test_tokens_of_sound_have_no_known_price_and_cost_that_of_text_at_least(
    start_router, streamed
):
    async with Scripted("chat") as up, start_router(up.url, candidates=[candidate()]) as router:
        up.script.append(Says("ok", sound=9))
        status, _, raw = await tell(router, "chat", request_for("chat"), streamed=streamed)
        assert status == 200, raw
        trace = router.engine.traces.latest(1)[0]
        (line,) = trace.attempts
        assert (line.usd, line.billed, line.known_usd) == (None, True, pytest.approx(LISTED))
        assert any("sound" in note for note in trace.notes)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_long_prompt_is_booked_and_estimated_at_its_price_and_the_trace_says_why(
    start_router, dialect
):
    def stepped(above):  # the scripted answer reads 20 tokens, the router estimates some more
        rates = {"above_tokens": above, "input": 2.0, "output": 8.0, "cache_read": 0.2}
        return candidate(price_usd_per_mtok={**candidate()["price_usd_per_mtok"], "long_context": [rates]})  # fmt: skip

    for above, times in ((19, 2), (20, 1)):
        async with (
            Scripted(dialect) as up,
            start_router(up.url, dialect=dialect, candidates=[stepped(above)]) as router,
        ):
            up.script.append(Says("ok"))
            status, _, raw = await tell(router, dialect, request_for(dialect), streamed=False)
            assert status == 200, raw
            trace = router.engine.traces.latest(1)[0]
            (line,) = trace.attempts
            assert line.usd == pytest.approx(times * LISTED)
            said = [
                note for note in trace.notes if "coder-a read 20 tokens: above 19 tokens" in note
            ]
            assert len(said) == times - 1
            assert list(money(recorded(trace), router.engine.means.pool, "", dry=False)) == []
            body = {"messages": [{"role": "user", "content": "word " * 200}]}
            _, _, raw = await router.post("/v1/estimate", {"model": "openfusion/auto", **body})
            assert json.loads(raw)["price_above_tokens"] == above


@ways
async def test_an_answer_computed_in_the_us_alone_costs_a_tenth_more_in_books_estimates_and_receipts(
    start_router, streamed
):
    async with (
        Scripted("messages") as up,
        start_router(up.url, dialect="messages", candidates=[candidate()]) as router,
    ):
        asked = request_for("messages")
        for body, where, times in (
            (asked, "us", 1.1),  # the workspace's own setting
            ({**asked, "inference_geo": "us"}, "", 1.1),
            ({**asked, "inference_geo": "us"}, "global", 1.0),
            (asked, "global", 1.0),
        ):
            up.script.append(Says("ok", where=where))
            status, _, raw = await tell(router, "messages", body, streamed=streamed)
            assert status == 200, raw
            trace = router.engine.traces.latest(1)[0]
            (line,) = trace.attempts
            assert (line.usd, line.times, line.billed) == (
                pytest.approx(times * LISTED),
                times,
                False,
            )
            record = recorded(trace)
            assert list(money(record, router.engine.means.pool, "", dry=False)) == []
            if times > 1:
                record["attempts"][0]["times"] = 1.0
                assert list(money(record, router.engine.means.pool, "", dry=False))
        named = {"anthropic-version": "2023-06-01"}
        found = []
        for where in ("us", "eu"):  # of one length: the body's counts
            body = {**asked, "inference_geo": where}
            _, _, raw = await router.post("/v1/estimate", body, **named)
            found.append(json.loads(raw))
        assert (found[0]["us_only"], found[1]["us_only"]) == (["relay"], [])
        for part in ("expected", "worst_case"):
            assert found[0]["usd"][part] == pytest.approx(1.1 * found[1]["usd"][part])


async def test_a_call_in_a_cheaper_tier_is_booked_at_its_list_price_and_says_so(start_router):
    async with Scripted("chat") as up, start_router(up.url, candidates=[candidate()]) as router:
        up.script.append(Says("ok", tier="flex"))
        await tell(router, "chat", {**request_for("chat"), "service_tier": "flex"})
        trace = router.engine.traces.latest(1)[0]
        assert trace.attempts[0].usd == pytest.approx(LISTED)
        assert any("slower tier" in note for note in trace.notes)


async def test_a_tier_that_the_model_refuses_is_none_and_its_price_is_known(start_router):
    async with Scripted("chat") as up, start_router(up.url, candidates=[candidate()]) as router:
        no = {
            "message": "Unsupported parameter: 'service_tier'",
            "code": "unsupported_parameter",
            "param": "service_tier",
        }
        up.script += [Says(fail=400, error=no), Says("ok")]
        status, _, raw = await tell(router, "chat", asking("chat"))
        assert status == 200, raw
        assert [FIELD["chat"] in r.body for r in up.requests] == [True, False]
        line = router.engine.traces.latest(1)[0].attempts[-1]
        assert (line.usd, line.billed) == (pytest.approx(LISTED), False)


async def test_a_free_model_is_free_in_any_tier(start_router):
    free = candidate(price_usd_per_mtok=price(0.0, 0.0))
    async with Scripted("chat") as up, start_router(up.url, candidates=[free]) as router:
        up.script.append(Says("ok", tier="priority"))
        await tell(router, "chat", asking("chat"))
        trace = router.engine.traces.latest(1)[0]
        assert (trace.attempts[0].usd, trace.attempts[0].billed) == (0, False)
        assert trace.decision.plan.worst_case_usd == 0


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_an_estimate_knows_no_price_of_a_dearer_tier(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, dialect=dialect, candidates=[candidate()]) as router,
    ):
        told = []
        for body in (asking(dialect), request_for(dialect)):
            named = {"anthropic-version": "2023-06-01"} if dialect == "messages" else {}
            status, _, raw = await router.post("/v1/estimate", body, **named)
            assert status == 200, raw
            told.append(json.loads(raw))
        fast, usual = told
        assert fast["tiers"] == [{"upstream": "relay", "tier": "dearer"}]
        assert (fast["usd"]["expected"], fast["usd"]["worst_case"]) == (None, None)
        assert usual["tiers"] == []
        assert usual["usd"]["worst_case"] > usual["usd"]["expected"] > 0


@ways
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_under_a_limit_of_money_a_dearer_tier_is_not_asked_for_and_the_session_goes_on(
    start_router, dialect, streamed
):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, dialect=dialect, candidates=[candidate()], limits={"usd_per_day": 1.0}) as router,
    ):  # fmt: skip
        status, _, raw = await tell(router, dialect, asking(dialect), streamed=streamed)
        assert status == 200, raw
        assert FIELD[dialect] not in up.requests[0].body
        trace = router.engine.traces.latest(1)[0]
        assert "service tier left out" in trace.notes[0]
        assert trace.decision.plan.worst_case_usd >= trace.usd() > 0


@ways
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_an_upstream_bills_is_believed_in_every_dialect(start_router, dialect, streamed):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, dialect=dialect, candidates=[candidate()], offers=["provider"]) as router,
    ):  # fmt: skip
        up.script.append(Says("ok", cost=0.0421, tier="priority"))
        status, _, raw = await tell(router, dialect, request_for(dialect), streamed=streamed)
        assert status == 200, raw
        (line,) = router.engine.traces.latest(1)[0].attempts
        assert (line.usd, line.billed) == (0.0421, True)


@ways
async def test_what_is_billed_for_an_answer_that_comes_to_nothing_is_believed(
    start_router, streamed
):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=[candidate()], offers=["provider"]) as router,
    ):
        up.script += [Says("", cost=0.0421), Says("ok", cost=0.01)]
        status, _, raw = await tell(router, "chat", request_for("chat"), streamed=streamed)
        assert status == 200, raw
        lines = router.engine.traces.latest(1)[0].attempts
        assert [(a.status, a.usd, a.billed) for a in lines] == [
            ("error", 0.0421, True),
            ("ok", 0.01, True),
        ]


async def test_an_error_page_with_status_200_is_no_models_writing(start_router):
    told = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    bodies = [json.dumps(told).encode(), b"<html>" + b"x" * 50_000]

    async def answer(request):
        await request.read()
        return web.Response(body=bodies.pop())

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    async with (
        TestServer(app) as up,
        start_router(str(up.make_url("/v1")), candidates=[candidate()]) as router,
    ):
        status, _, raw = await tell(router, "chat", request_for("chat"))
        assert status == 200, raw
        page_line, good = router.engine.traces.latest(1)[0].attempts
        assert (page_line.status, page_line.usage.output) == ("error", 0)
        assert page_line.usage.input == good.usage.input > 0
