"""A panel over real sockets with members that fail and stall: in time, kept alive, whole in the trace, right in money."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from aiohttp import web

from openfusion_auto.core.tokens import estimate
from tests.server.conftest import candidate, openfusion_of, price
from tests.support.faulty import SSE

WAIT_S = 3.0  # [s] the limit that is configured for the panel's members
SLACK_S = 25.0  # [s] for a busy machine; who waits for the stalled member waits for ever
STALLED = "It begins well, and then nothing more comes of it. "
PRICES = {f"vendor/m{i}": (0.5 + i, 2.0 + 3 * i) for i in range(4)}  # USD per 1M tokens: in, out
BODY = {
    "model": "openfusion/auto",
    "messages": [{"role": "user", "content": "Why does the login fail after the deploy?"}],
    "openfusion": {"mode": "panel", "trace": "full"},
}


class Metered:
    """A provider that keeps its own meter: m0 and m1 answer, m2 begins and stalls, m3 fails; a judge picks.

    `usd` is what it would bill for whole answers, `sent` what it had sent of the answer that stalled.
    """

    def __init__(self, failing=401):
        self.failing = failing
        self.usd: list[float] = []
        self.sent = 0
        self.left = asyncio.Event()

    async def answer(self, request):
        body = await request.json()
        model, size = body["model"], int(request.headers["Content-Length"])
        if model == "vendor/m3":
            return web.json_response({"error": {"message": "not you"}}, status=self.failing)
        judging = "You are a judge" in json.dumps(body["messages"][-1])
        text = '{"best": 1}' if judging else f"{model} thinks it is the cookie's domain."
        usage = {
            "prompt_tokens": size // 4,
            "completion_tokens": len(text),
            "total_tokens": size // 4 + len(text),
        }
        if model == "vendor/m2" and not judging:
            return await self.stall(request)
        into, out = PRICES[model]
        self.usd.append((usage["prompt_tokens"] * into + usage["completion_tokens"] * out) / 1e6)
        if not body.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"id": "x", "object": "chat.completion", "created": 1, "model": model,
                                      "choices": [choice], "usage": usage})  # fmt: skip
        response = await self.begin(request)
        await response.write(chunk(model, {"role": "assistant", "content": text}))
        await response.write(chunk(model, {}, "stop", usage=usage))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def stall(self, request):
        response = await self.begin(request)
        await response.write(chunk("vendor/m2", {"role": "assistant", "content": STALLED}))
        self.sent = len(STALLED)
        try:
            await asyncio.sleep(600)
        finally:
            self.left.set()
        return response

    @staticmethod
    async def begin(request):
        response = web.StreamResponse(headers={"Content-Type": SSE})
        await response.prepare(request)
        return response


def chunk(model, delta, finish=None, **more):
    said = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}  # fmt: skip
    return f"data: {json.dumps(said)}\n\n".encode()


@contextlib.asynccontextmanager
async def metered(**how):
    meter = Metered(**how)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", meter.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield meter, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def members():
    return [candidate(f"m{i}", price_usd_per_mtok=price(*PRICES[f"vendor/m{i}"])) for i in range(4)]


AUTO = {"panel_size": 4, "panel_wait_s": WAIT_S}


async def test_a_stalled_and_a_failing_member_hold_up_neither_answer_nor_books(start_router):
    clock = asyncio.get_running_loop().time
    times = []
    async with (
        metered() as (meter, url),
        start_router(url, candidates=members(), auto=AUTO, server={"keep_alive_s": 0.5}) as router,
    ):
        began_s = clock()
        raw = b""
        async with router.http.post(
            f"{router.base}/chat/completions", json={**BODY, "stream": True}
        ) as r:
            async for piece in r.content.iter_any():
                times.append(clock())
                raw += piece
        took_s = clock() - began_s
        async with asyncio.timeout(SLACK_S):
            await meter.left.wait()  # the stalled call was closed
        events = [e[6:] for e in raw.decode().split("\n\n") if e.startswith("data: ")]
        told = openfusion_of(events)
        trace = await router.trace(told["trace_id"])
    assert took_s < WAIT_S + SLACK_S
    pauses = [b - a for a, b in zip([began_s, *times], times, strict=False)]
    assert max(pauses) < 10.0, pauses
    assert raw.count(b"\n\n") > len(events), "no keep-alive came while the members were waited for"
    text = "".join(
        c["delta"].get("content") or "" for e in events[:-1] for c in json.loads(e)["choices"]
    )
    assert "thinks it is the cookie's domain." in text

    calls = {(a["phase"], a["candidate"]): a for a in trace["attempts"]}
    assert {c for p, c in calls if p == "member"} == {"m0", "m1", "m2", "m3"}
    assert calls["member", "m0"]["status"] == calls["member", "m1"]["status"] == "ok"
    assert calls["member", "m2"]["status"] == "cancelled"
    assert calls["member", "m3"]["error"] == "upstream_denied"
    assert calls["member", "m3"]["usd"] is None
    assert all(a["ms"] is not None for a in trace["attempts"])

    stalled = calls["member", "m2"]
    assert stalled["estimated"] is True
    assert stalled["usage"]["output"] == estimate(meter.sent)
    whole = sum(a["usd"] for a in trace["attempts"] if a["status"] == "ok")
    assert round(whole, 6) == round(sum(meter.usd), 6)
    into, out = PRICES["vendor/m2"]
    cut = (stalled["usage"]["input"] * into + stalled["usage"]["output"] * out) / 1e6
    assert trace["usd"] == told["usd"] == pytest.approx(sum(meter.usd) + cut, abs=1e-9)
    # Of two answers the judge saw both orders, said "the first" each time, and so preferred nobody.
    judged = trace["panel"]["judged"]
    assert (judged["outcome"], judged["orders"][0]) == ("tie", judged["orders"][1][::-1])
    judging = [a["usd"] for a in trace["attempts"] if a["phase"] == "judge"]
    assert judging == pytest.approx(meter.usd[2:], abs=1e-9)

    panel = trace["panel"]
    became = {m["candidate"]: m["outcome"] for m in panel["members"]}
    assert became == {"m0": "usable", "m1": "usable", "m2": "straggler", "m3": "upstream_denied"}
    assert (panel["best_of"], panel["aggregator"], panel["usd"]) == (2, "rank", trace["usd"])
    assert panel["alone"]["candidate"] == trace["decision"]["ranking"][0]["candidate"]
    assert panel["alone"]["usd"] is not None


async def test_a_member_that_is_refused_is_that_members_matter(start_router):
    fast = {"panel_size": 4, "panel_wait_s": 0.5}
    for failing in (401, 429, 402):
        async with (
            metered(failing=failing) as (_, url),
            start_router(url, candidates=members(), auto=fast) as router,
        ):
            status, _, body = await router.chat(BODY)
            assert status == 200
            assert body["openfusion"]["panel"]["best_of"] == 2


async def test_a_panel_that_all_refuse_alike_ends_with_that_status(start_router):
    only = [candidate("m3"), candidate("m4", model="vendor/m3b")]
    only[1]["model"] = "vendor/m3"
    async with (
        metered(failing=422) as (_, url),
        start_router(url, candidates=only) as router,
    ):
        status, _, body = await router.chat(BODY)
    assert (status, body["error"]["type"]) == (422, "invalid_request_error")
