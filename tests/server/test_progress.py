"""Who asks for it is told how the calls go, in comments that every reader of event streams skips."""

import asyncio
import json

import pytest

from tests.server.conftest import FOUR
from tests.support.faulty import FaultyUpstream

ASKED = {"X-OpenFusion-Progress": "comments"}
SIGN = b": openfusion "
TALK = [{"role": "user", "content": "[[say:fine]] Is it so?"}]
BODIES = {
    "chat/completions": {"messages": TALK},
    "messages": {"messages": TALK, "max_tokens": 100},
    "responses": {"input": "[[say:fine]] Is it so?"},
}


def post(router, path="chat/completions", headers=None, **more):
    body = {"model": "openfusion/auto", "stream": True, **BODIES[path], **more}
    return router.http.post(f"{router.base}/{path}", json=body, headers=headers or ASKED)


def read(line):
    return json.loads(line.removeprefix(SIGN))


@pytest.mark.parametrize("path", BODIES)
async def test_every_call_is_told_until_the_answer_begins_and_nothing_after(start_router, path):
    panel = {"mode": "panel", "aggregator": "vote"}
    quiet = {"server": {"keep_alive_s": 0.0}}  # signs of life are another matter
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR, **quiet) as router:
        up.script = ["ok", "ok", "gate:third:ok"]
        async with asyncio.timeout(10), post(router, path, openfusion=panel) as r:
            lines = []
            while True:
                lines.append(await r.content.readline())
                if lines[-1].startswith(SIGN) and [c["status"] for c in read(lines[-1])["calls"]].count("ok") == 2:  # fmt: skip
                    break
            up.gates["third"].set()
            lines += (await r.content.read()).splitlines(keepends=True)
            told = [read(line) for line in lines if line.startswith(SIGN)]
            trace = r.headers["x-openfusion-trace-id"]
    assert told[-1]["trace_id"] == trace
    assert told[-1]["mode"] == "panel"
    assert [s["phase"] for s in told[-1]["plan"]][:3] == ["member"] * 3
    assert {c["phase"] for c in told[-1]["calls"]} == {"member"}
    assert len({json.dumps(t) for t in told}) == len(told)
    text = b"".join(lines)
    assert text.rindex(SIGN) < text.index(b"fine")
    if path == "responses":
        assert text.index(b"response.created") < text.index(SIGN)
        assert text.count(b"event: response.created") == 1


@pytest.mark.parametrize("headers", [{}, {"X-OpenFusion-Progress": "events"}])
async def test_who_does_not_ask_is_told_nothing(start_router, headers):
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        body = {"messages": [{"role": "user", "content": "[[sleep:0.7]][[say:fine]] hi"}]}
        async with post(router, headers={"X-Other": "1", **headers}, **body) as r:
            assert SIGN not in await r.read()


async def test_one_model_is_told_too_and_what_fails_then_is_an_event(start_router):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        body = {"messages": [{"role": "user", "content": "[[sleep:0.7]][[fault:F25]] hi"}]}
        async with post(router, **body) as r:
            assert r.status == 200  # the head went out with the first comment
            text = await r.read()
    (first, *_) = [read(line) for line in text.splitlines() if line.startswith(SIGN)]
    assert first["calls"] == [{"phase": "primary", "candidate": "coder-a", "status": "running", "ms": None}]  # fmt: skip
    assert b'"error"' in text
