"""Models of the operator's own over sockets: panels of their own, previews, lists, keys, reload, replay and money."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from openfusion_auto.config.adopt import adopt
from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.own import OwnModel
from openfusion_auto.core.prompt import FanOut, Options
from openfusion_auto.runtime.access import view_of
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.names import wanted
from openfusion_auto.upstream.reply import Reply
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.portable import is_bound
from tests.config.test_adopt import POLICIES
from tests.server.conftest import FOUR
from tests.server.dialects import DIALECTS, Says, Scripted, heard
from tests.server.test_follow import Place, upstream  # noqa: F401 - a fixture
from tests.server.test_naming import ask, models_asked
from tests.support.pools import FOUR as POOL
from tests.support.rig import Rig

CAREFUL = {
    "name": "team/careful",
    "candidates": ["coder-a", "fast-a"],
    "fanout": 3,
    "synthesis": "verifier-a",
    "fallback": "reasoner-a",
    "aggregator": "judge",
}


def phases(trace):
    return [(a["phase"], a["candidate"], a["status"]) for a in trace["attempts"]]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_its_members_answer_in_turn_and_its_writer_writes(start_router, dialect, streamed):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, models=[CAREFUL]) as router,
    ):
        up.script.extend([Says("one"), Says("two"), Says("three"), Says('{"best": 1}'), Says("written")])  # fmt: skip
        status, head, raw = await ask(router, dialect, model="team/careful", stream=streamed)
        assert status == 200
        assert sorted(models_asked(up)[:3]) == ["vendor/coder-a", "vendor/coder-a", "vendor/fast-a"]
        assert models_asked(up)[3:] == ["vendor/verifier-a", "vendor/verifier-a"]
        got = heard(dialect, raw, streamed=streamed)
        assert got.text == "written"
        assert got.trace["requested_model"] == "team/careful"
        full = await router.trace(head["x-openfusion-trace-id"])
        assert [s["phase"] for s in full["decision"]["plan"]["steps"]] == ["member"] * 3 + ["judge", "judge", "synthesis"]  # fmt: skip
        assert full["decision"]["reasons"][0] == "panel: team/careful asks for it"
        async with router.http.get(f"{router.root}/metrics") as r:
            assert 'model="team/careful"' in await r.text()
        lines = [a["usd"] for a in full["attempts"]]
        assert len(lines) == 5
        assert full["usd"] == pytest.approx(sum(lines), abs=1e-9)
        assert full["decision"]["plan"]["worst_case_usd"] >= full["usd"]


async def test_a_member_that_fails_is_answered_for_by_the_fallback(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, models=[{**CAREFUL, "fanout": 2}]) as router,
    ):
        up.script.extend([Says(fail=404), Says(fail=404), Says("same"), Says("same")])
        status, head, _ = await ask(router, "chat", model="team/careful")
        full = await router.trace(head["x-openfusion-trace-id"])
        assert status == 200
        assert [p[1:] for p in phases(full)][2:] == [("reasoner-a", "ok"), ("reasoner-a", "ok")]


async def test_a_writer_that_fails_leaves_it_to_the_fallback_and_then_to_the_pick(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, models=[{**CAREFUL, "fanout": 2}]) as router,
    ):
        for last, said in ((Says("mended"), "mended"), (Says(fail=404), None)):
            judged = [Says('{"best": 1}')] * 2
            up.script.extend([Says("one"), Says("two"), *judged, Says(fail=404), last])
            status, head, raw = await ask(router, "chat", model="team/careful")
            full = await router.trace(head["x-openfusion-trace-id"])
            assert status == 200
            assert [p[:2] for p in phases(full)][-2:] == [
                ("synthesis", "verifier-a"), ("synthesis", "reasoner-a"),
            ]  # fmt: skip
            text = json.loads(raw)["choices"][0]["message"]["content"]
            assert text == said or (said is None and text in ("one", "two"))


async def test_the_policy_of_the_fanout_readme_answers_as_it_is_written_there(start_router):
    """Its models are not in the pool: their prices are unknown, and so is what they cost."""
    tables = adopt(POLICIES, "p.json", frozenset()).tables
    async with (
        Scripted("chat") as up,
        start_router(
            up.url, candidates=FOUR, models=[{**m, "upstream": "relay"} for m in tables["models"]]
        ) as r,
    ):
        up.script.extend([Says("one"), Says("two"), *[Says('{"best": 2}')] * 2, Says("written")])
        status, head, raw = await ask(r, "chat", model="fanout/minimal")
        assert (status, json.loads(raw)["choices"][0]["message"]["content"]) == (200, "written")
        assert sorted(models_asked(up)[:2]) == ["anthropic/claude-haiku-4.5", "openai/gpt-5.4-nano"]
        assert models_asked(up)[2:] == ["anthropic/claude-haiku-4.5"] * 3
        full = await r.trace(head["x-openfusion-trace-id"])
        assert (full["usd"], full["decision"]["plan"]["worst_case_usd"]) == (None, None)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_shown_before_is_what_would_be_done(start_router, dialect):
    async with (
        Scripted(dialect) as up,
        start_router(up.url, candidates=FOUR, dialect=dialect, models=[CAREFUL]) as router,
    ):
        _, _, raw = await ask(router, dialect, "/debug/route", model="team/careful")
        decision = json.loads(raw)["decision"]
        assert [s["candidates"] for s in decision["plan"]["steps"] if s["phase"] == "member"] == [
            ["fast-a", "reasoner-a"] if m == "fast-a" else ["coder-a", "reasoner-a"]
            for m in [s["candidates"][0] for s in decision["plan"]["steps"][:3]]
        ]
        assert decision["plan"]["steps"][-1] == {
            "phase": "synthesis", "candidates": ["verifier-a", "reasoner-a"],
        }  # fmt: skip
        _, _, raw = await ask(router, dialect, "/v1/estimate", model="team/careful")
        told = json.loads(raw)
        assert [s["phase"] for s in told["steps"]] == ["member"] * 3 + [
            "judge",
            "judge",
            "synthesis",
        ]
        assert told["usd"]["worst_case"] == decision["plan"]["worst_case_usd"] > 0
        _, _, raw = await ask(router, dialect, "/v1/estimate", model="team/careful",
                              openfusion={"mode": "single"})  # fmt: skip
        assert json.loads(raw)["mode"] == "single"
        assert up.requests == []


async def test_it_is_listed_with_its_candidates_and_said_by_the_configuration(start_router):
    own = {**CAREFUL, "description": "two and a judge", "created": 1710000000}
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, models=[own]) as router,
    ):
        async with router.http.get(f"{router.base}/models") as r:
            listed = {m["id"]: m for m in (await r.json())["data"]}
        shown = listed["team/careful"]
        assert (shown["created"], shown["created_at"]) == (1710000000, "2024-03-09T16:00:00Z")
        assert shown["openfusion"] == {
            "virtual": True,
            "description": "two and a judge",
            "candidates": ["coder-a", "fast-a", "reasoner-a", "verifier-a"],
            "offers": ["json_schema", "reasoning", "tools", "vision"],
            "price_range_usd_per_mtok": {"input": [0.1, 3.0], "output": [0.4, 15.0]},
        }
        async with router.http.get(f"{router.base}/models/team/careful") as r:
            assert await r.json() == shown
        async with router.http.get(f"{router.base}/config") as r:
            (said,) = (await r.json())["models"]
        assert {k: said[k] for k in ("name", "mode", "fanout", "judge", "synthesis")} == {
            "name": "team/careful", "mode": "panel", "fanout": 3, "judge": "verifier-a",
            "synthesis": "verifier-a",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"model": "team/carefull"}, 404, "Did you mean team/careful"),
        ({"model": ["team/careful", "coder-a"]}, 400, "'team/careful' is no single model"),
        ({"model": "team/careful", "openfusion": {"panel": ["coder-a"]}}, 400, "and so does 'openfusion.panel'"),
        ({"model": "team/careful", "openfusion": {"judge": "fast-a"}}, 200, ""),
        ({"model": "team/careful", "openfusion": {"max_calls": 1}}, 200, ""),
    ],
)  # fmt: skip
async def test_what_cannot_stand_beside_it_is_refused(start_router, body, status, says):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=FOUR, models=[CAREFUL]) as router,
    ):
        got, head, raw = await ask(router, "chat", **body)
        assert got == status
        assert says in raw.decode()
        if "max_calls" in str(body):
            assert (head["x-openfusion-mode"], len(up.requests)) == ("single", 1)


async def test_a_running_server_follows_its_table(tmp_path, upstream):  # noqa: F811 - the fixture
    place = Place(tmp_path, upstream[0])
    place.pool("coder-a", "coder-b")
    async with place.serve() as router:
        body = {"model": "mine", "messages": [{"role": "user", "content": "hi"}]}
        assert (await router.chat(body))[0] == 404
        place.write(models=[{"name": "mine", "candidates": ["coder-b"], "mode": "single"}])
        await place.tick()
        status, headers, _ = await router.chat(body)
        assert (status, headers["x-openfusion-model"]) == (200, "vendor/coder-b")
        place.write(models=[{"name": "mine", "candidates": ["codr-b"]}])
        await place.tick()
        async with router.http.get(f"{router.root}/health") as r:
            error = (await r.json())["config"]["error"]
        assert "models[0].candidates" in error
        assert (await router.chat(body))[0] == 200


def test_a_key_for_some_candidates_gets_no_other_behind_the_name():
    far = candidate_outside()
    own = {"mine": OwnModel("mine", "", Options(panel=("coder-a", "far/m"), candidates=("coder-a", "far/m", "fast-a"), fan=FanOut("mine", True, 2)), (far,))}  # fmt: skip
    narrow = view_of(POOL, ("mine", "coder-a"))
    want = wanted("mine", Options(), narrow.pool, {}, narrow.own(own, POOL))
    assert [c.id for c in narrow.pool.candidates] == ["coder-a"]
    assert want.outside == ()
    wide = view_of(POOL, ("mine",))
    want = wanted("mine", Options(), wide.pool, {}, wide.own(own, POOL))
    assert {c.id for c in want.outside} == {"coder-a", "fast-a", "far/m"}


def candidate_outside():
    return replace(POOL.candidates[0], id="far/m", model="far/m", price=None)


async def test_its_decision_is_made_again_bit_for_bit():
    options = Options(mode="panel", panel=("coder-a", "fast-a"), candidates=("coder-a", "fast-a", "verifier-a"), judge="verifier-a", fan=FanOut("mine", True, 5, "verifier-a", "coder-a"))  # fmt: skip
    rig = Rig(_said, own={"mine": OwnModel("mine", "", options)})
    _, trace = await rig.ask("Which?", model="mine")
    again = decide(trace.decision.task, POOL, trace.state, trace.policy)
    assert decision_json(again) == decision_json(trace.decision)
    members = [s.candidates[0] for s in again.plan.steps if s.phase == "member"]
    assert sorted(members) == ["coder-a"] * 3 + ["fast-a"] * 2


def _said(body):
    judging = "You are a judge" in json.dumps(body["messages"][-1])
    return Reply('{"best": 1}' if judging else f"{body['model']} thinks so")


async def test_a_history_that_binds_to_a_dialect_leaves_models_outside_the_pool_where_it_is_spoken():
    far = candidate_outside()
    options = Options(panel=("far/m",), candidates=("far/m",), mode="single", fan=FanOut("mine"))
    rig = Rig([Reply("fine")], own={"mine": OwnModel("mine", "", options, (far,))})
    rig.upstream.dialect = "messages"
    block = {"type": "from_the_future", "data": "x"}
    raw = {"model": "mine", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]}
    prompt = CODECS["messages"].parse_request(json.dumps(raw).encode(), {})
    assert is_bound(prompt)
    judged = rig.engine.judge(Incoming(prompt, {}, "me"))
    assert [s.candidate for s in judged.decision.ranking] == ["far/m"]
