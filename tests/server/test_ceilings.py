"""`[max_tokens]` from end to end: what goes up for each phase, and what a client is refused."""

from __future__ import annotations

import pytest

from tests.server.conftest import FOUR, candidate
from tests.server.live import send, serving

CEILINGS = {"answer": 1000, "member": 300, "check": 200}
PATHS = ("/chat/completions", "/responses", "/messages")


def body_for(path, most=None, **more):
    said = [{"role": "user", "content": "[[say:fine]] Name the states of the parser"}]
    field = "max_output_tokens" if path == "/responses" else "max_tokens"
    talk = {"input": said} if path == "/responses" else {"messages": said}
    bound = {} if most is None else {field: most}
    return {"model": "openfusion/auto", **talk, **bound, **more}


def bounds(router):
    """The bound of each call that went up, by the model it was for."""
    return [r.body.get("max_tokens") for r in router.up.requests]


@pytest.mark.parametrize("streamed", [False, True])
async def test_each_phase_has_its_ceiling(tmp_path, streamed):
    async with serving(tmp_path, candidates=FOUR, max_tokens=CEILINGS) as router:
        for mode, wanted in (
            ("single", [1000]),
            ("verify", [1000, 200]),
            ("panel", [300, 300, 300]),
        ):
            router.up.requests.clear()
            asked = body_for(PATHS[0], openfusion={"mode": mode}, stream=streamed)
            assert (await send(router, asked)).status == 200
            assert bounds(router)[: len(wanted)] == wanted
        router.up.requests.clear()
        lower = body_for(PATHS[0], 50, openfusion={"mode": "panel"})
        assert (await send(router, lower)).status == 200
        assert set(bounds(router)[:3]) == {50}


async def test_models_are_listed_with_the_longest_answer_that_may_be_asked_for(tmp_path):
    pool = [candidate(), candidate("short-a", max_output_tokens=500)]
    async with (
        serving(tmp_path, candidates=pool, max_tokens=CEILINGS) as router,
        router.http.get(f"{router.base}/models") as reply,
    ):
        listed = {m["id"]: m["max_output_tokens"] for m in (await reply.json())["data"]}
    assert (listed["coder-a"], listed["short-a"], listed["openfusion/auto"]) == (1000, 500, 500)


@pytest.mark.parametrize("path", PATHS)
async def test_above_the_ceiling_is_a_400_and_costs_no_call(tmp_path, path):
    async with serving(tmp_path, max_tokens=CEILINGS) as router:
        refused = await send(router, body_for(path, 1001), path=path)
        assert refused.status == 400
        assert "1000" in refused.error["message"]
        assert router.up.requests == []
        assert (await send(router, body_for(path, 1000), path=path)).status == 200
        assert bounds(router) == [1000]
