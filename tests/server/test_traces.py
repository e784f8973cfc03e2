"""Traces over HTTP: listed and filtered, across pages and across restarts."""

import asyncio
import contextlib
import json
import sqlite3
import zlib
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from openfusion_auto.data import data_root
from tests.server.conftest import FOUR, ask
from tests.support.faulty import FaultyUpstream


async def listed(router, query=""):
    status, body = await router.get(f"/v1/traces{query}")
    assert status == 200, body
    return [t["trace_id"] for t in body["data"]]


async def asked(router, *bodies):
    """Ask and return the ids of the traces."""
    ids = []
    for body in bodies:
        async with router.http.post(f"{router.base}/chat/completions", json=body) as r:
            await r.read()
            ids.append(r.headers["x-openfusion-trace-id"])
    return ids


KEPT = {"server": {"traces_kept": 2}}
SCHEMAS = {
    name: Draft202012Validator(json.loads((data_root() / f"receipts/schemas/{name}.schema.json").read_text()))
    for name in ("decision", "trace")
}  # fmt: skip


async def test_traces_and_decisions_are_valid_by_the_schemas_that_are_shipped(start_router):
    more = {"cache": {"enabled": True}, "store": {"texts": True}}
    bodies = (
        ask(), ask(), ask(openfusion={"mode": "verify"}), ask("[[fault:F62]]", stream=True),
        ask(openfusion={"mode": "panel", "analysis": True}), ask(openfusion={"max_usd": 1e-9}), ask(model="coder-z"),
    )  # fmt: skip
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR, **more) as router:
        ids = await asked(router, *bodies)
        shown = [(await router.get(f"/v1/traces/{name}"))[1] for name in ids]
        async with router.http.post(f"{router.base}/chat/completions", json=ask(openfusion={"trace": "full"})) as r:  # fmt: skip
            shown.append((await r.json())["openfusion"])
        async with router.http.post(f"{router.root}/debug/route", json=ask()) as r:
            decision = (await r.json())["decision"]
    assert {(t["mode"], t["outcome"]) for t in shown} >= {("single", "ok"), ("verify", "ok"), ("panel", "ok"), (None, "error")}  # fmt: skip
    for trace in shown:
        assert [e.message for e in SCHEMAS["trace"].iter_errors(trace)] == [], trace["trace_id"]
    assert [e.message for e in SCHEMAS["decision"].iter_errors(decision)] == []


async def test_older_traces_come_from_the_store_in_lists_and_by_id(start_router):
    async with FaultyUpstream() as up, start_router(up.url, **KEPT) as router:
        ids = await asked(router, *[ask() for _ in range(5)])
        assert await listed(router) == ids[::-1]
        for name in ids:
            status, full = await router.get(f"/v1/traces/{name}")
            assert (status, full["trace_id"], full["attempts"][0]["status"]) == (200, name, "ok")
            assert full["decision"]["ranking"]


async def test_pages_follow_each_other_without_a_gap_or_a_double(start_router):
    async with FaultyUpstream() as up, start_router(up.url, **KEPT) as router:
        ids = await asked(router, *[ask() for _ in range(7)])
        seen, before = [], ""
        while True:
            _, page = await router.get(f"/v1/traces?limit=3{before}")
            seen += [t["trace_id"] for t in page["data"]]
            if not page["has_more"]:
                break
            before = f"&before={seen[-1]}"
        _, first = await router.get("/v1/traces?limit=200")
        moment = first["data"][2]["at"]
        assert await listed(router, f"?before={moment}") == ids[:4][::-1]
    assert seen == ids[::-1]


async def test_a_part_of_them_is_taken_by_model_mode_and_outcome(start_router):
    bodies = [
        ask("[[say:fine]]", model="coder-a"),
        ask("[[fault:F25]]", model="fast-a"),
        ask("[[say:fine]]", openfusion={"mode": "verify"}),
    ]
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR, **KEPT) as router:
        one, bad, two = await asked(router, *bodies)
        _, of_bad = await router.get(f"/v1/traces/{bad}")
        assert of_bad["outcome"] == "error"
        assert await listed(router, "?outcome=error") == [bad]
        assert await listed(router, "?outcome=ok") == [two, one]
        assert await listed(router, "?mode=verify") == [two]
        assert await listed(router, "?model=fast-a&outcome=error") == [bad]
        assert one in await listed(router, "?model=coder-a")
        assert one in await listed(router, f"?model={quote('vendor/coder-a', safe='')}")
        assert await listed(router, "?model=openfusion/auto&outcome=error") == []
        assert await listed(router, "?model=%ED%A0%80") == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("before=tr_unknown", "before"),
        ("before=nan", "before"),
        ("before=inf", "before"),
        ("before=", "before"),
        ("mode=both", "mode"),
        ("outcome=good", "outcome"),
        ("kind=any", "kind"),
        ("since=yesterday", "since"),
        ("since=nan", "since"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(start_router, query, param):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        status, body = await router.get(f"/v1/traces?{query}")
    assert (status, body["error"]["param"]) == (400, param)


async def test_an_unknown_id_is_not_found(start_router):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        status, body = await router.get("/v1/traces/tr_unknown")
    assert (status, body["error"]["param"]) == (404, "id")


# -- over a restart ---------------------------------------------------------------------------------------------------


async def test_a_restart_forgets_neither_traces_nor_statistics_nor_sessions(start_router):
    async with FaultyUpstream() as up:
        async with start_router(up.url, candidates=FOUR) as router:
            _, _, answer = await router.chat(ask("Fix the bug"), **{"x-session-id": "s1"})
            name = answer["openfusion"]["trace_id"]
            before = await router.trace(name)
            state = router.engine.means.live.snapshot("id:s1")
        async with start_router(up.url, candidates=FOUR) as router:
            assert await listed(router) == [name]
            assert await router.trace(name) == before
            again = router.engine.means.live.snapshot("id:s1")
            assert again.pin.candidate == state.pin.candidate
            assert again.pin.expires_s == pytest.approx(state.pin.expires_s, abs=0.5)
            assert again.stats.keys() == state.stats.keys()
            _, _, answer = await router.chat(ask("Fix the bug"), **{"x-session-id": "s1"})
            assert answer["openfusion"]["session"]["pinned"] is True
            assert len(await listed(router)) == 2


async def test_every_call_is_in_the_ledger_failed_and_cancelled_ones_too(start_router):
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        await asked(
            router, ask("[[say:fine]]", model="coder-a"), ask("[[fault:F25]]", model="coder-a")
        )
        task = asyncio.create_task(router.chat(ask("[[sleep:20]]", model="coder-a")))
        while up.open_now == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        while up.open_now:
            await asyncio.sleep(0.01)
        store = router.engine.means.books.store
        async with asyncio.timeout(30):
            while any(t.outcome == "running" for t in router.engine.traces.latest()):
                await asyncio.sleep(0.01)
        ((spend),) = await asyncio.to_thread(store.spend, 0.0)
        booked = sum(t.usd() for t in router.engine.traces.latest())
    assert (spend.candidate, spend.calls, spend.unknown) == ("coder-a", 3, 0)
    assert spend.failed == 1
    assert spend.usd == pytest.approx(booked)
    assert booked > 0


async def test_without_a_store_a_restart_forgets(start_router, tmp_path):
    async with FaultyUpstream() as up:
        async with start_router(up.url, store={"enabled": False}) as router:
            await asked(router, ask())
            _, health = await router.get("/health")
        assert health["store"] == {"kind": "memory", "problem": None, "waiting": 0, "dropped": 0}
        assert not list((tmp_path / "state").glob("*"))
        async with start_router(up.url) as router:
            assert await listed(router) == []


async def test_a_broken_file_is_said_in_health_and_the_server_works(start_router, tmp_path, caplog):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.sqlite3").write_bytes(b"rubbish" * 1000)
    async with FaultyUpstream() as up, start_router(up.url) as router:
        status, health = await router.get("/health")
        (name,) = await asked(router, ask())
        assert await listed(router) == [name]
    assert (status, health["ok"]) == (200, True)
    assert "not a database" in health["store"]["problem"]
    assert str(tmp_path) not in json.dumps(health)
    assert "cannot be used" in caplog.text


async def test_what_another_process_forgets_is_forgotten_here(start_router, tmp_path):
    from openfusion_auto.store.retention import Limits
    from openfusion_auto.store.sqlite import SqliteStore

    async with FaultyUpstream() as up, start_router(up.url) as router:
        await asked(router, ask())
        live = router.engine.means.live
        await asyncio.to_thread(router.engine.means.books.store.spend, 0.0)
        other = SqliteStore(tmp_path / "state" / "state.sqlite3", Limits(), lambda: 1.8e9)
        assert await asyncio.to_thread(other.forget, None) == 1
        other.close()
        async with asyncio.timeout(30):
            while live.snapshot(None).stats:
                await asyncio.sleep(0.02)


async def test_a_dry_run_teaches_nothing_about_real_models(start_router):
    async with FaultyUpstream() as up:
        async with start_router(up.url, dry_run=True) as router:
            await asked(router, ask())
        async with start_router(up.url) as router:
            assert router.engine.means.live.snapshot(None).stats == {}
            assert await listed(router) == []


async def test_no_prompt_no_answer_no_key_and_no_session_id_is_in_the_file(start_router, tmp_path):
    body = ask("please refactor zanzibar-secret-words [[say:quicksilver reply]]")
    async with FaultyUpstream() as up, start_router(up.url, client_keys="sk-client") as router:
        headers = {"Authorization": "Bearer sk-client", "x-session-id": "jane-doe"}
        status, _, _ = await router.chat(body, **headers)
    assert status == 200
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "state.sqlite3")) as db:
        (document,) = db.execute("SELECT document FROM traces").fetchone()
        text = "\n".join(db.iterdump()) + zlib.decompress(document).decode()
    assert "coder-a" in text
    for word in ("zanzibar", "quicksilver", "sk-client", "sk-upstream", "jane-doe"):
        assert word not in text


async def test_traces_are_found_by_what_was_asked_and_answered_where_words_are_kept(start_router):
    tables = {**KEPT, "store": {"texts": True}}
    bodies = [ask("[[say:Über 100 % _sicher_]] eins"), ask("[[say:fine]] Zwei PLUMS"), ask("drei")]
    async with FaultyUpstream() as up, start_router(up.url, **tables) as router:
        one, two, three = await asked(router, *bodies)  # the first stands in the store alone
        assert await listed(router, "?text=ÜBER 100 %25") == [one]
        assert await listed(router, "?text=_sicher_") == [one]
        assert await listed(router, "?text=plums") == [two]
        assert await listed(router, "?text=EI&model=coder-a") == [three, two, one]
        assert await listed(router, "?text=%ED%A0%80") == []
        assert await listed(router, "?text=nothing") == []
        assert await listed(router, "?text=") == [three, two, one]


async def test_without_words_nothing_is_found_by_them(start_router):
    async with FaultyUpstream() as up, start_router(up.url, **KEPT) as router:
        await asked(router, *[ask("plums") for _ in range(4)])
        assert await listed(router, "?text=plums") == []
