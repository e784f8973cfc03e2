"""The response cache over real HTTP: hits in every dialect, streamed and whole, and what a hit leaves untouched."""

import asyncio
import contextlib
import json
import sqlite3

import pytest

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.runtime.archive import restored, row_of
from openfusion_auto.runtime.trace import full
from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, PATHS, Says, Scripted, heard, request_for
from tests.server.live import GOOD, send, serving
from tests.server.test_keyring import body, keyed

ON = {"enabled": True}
WAYS = [(first, then) for first in (False, True) for then in (False, True)]


async def tell(router, dialect, *, streamed, temperature=0, text="say it", **more):
    asked = {**request_for(dialect, text, **more), "temperature": temperature, "stream": streamed}
    status, headers, raw = await router.post("/v1" + PATHS[dialect], asked)
    assert status == 200, raw
    return headers, heard(dialect, raw, streamed=streamed)


def said(got):
    """What a client takes from an answer; arguments as JSON, since Messages holds them so."""
    calls = [(kind, name, json.loads(given), id_) for kind, name, given, id_ in got.calls]
    return got.text, got.reasoning, got.seal, calls, got.finish


@pytest.mark.parametrize(("first", "then"), WAYS)
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
async def test_the_same_request_gets_the_same_answer_without_a_call(
    start_router, client, upstream, first, then
):
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, cache=ON) as router,
    ):
        says = Says("héllo 你好", calls=(("function", "edit", '{"path": "a"}', "call_1"),))
        up.script += [says, says]
        fresh, made = await tell(router, client, streamed=first, tools=True)
        headers, again = await tell(router, client, streamed=then, tools=True)
        other, alike = await tell(router, client, streamed=then, tools=True, temperature=0.5)
    assert len(up.requests) == 2
    assert "x-openfusion-cache" not in fresh
    assert "x-openfusion-cache" not in other
    assert headers["x-openfusion-cache"] == "hit"
    assert headers["x-openfusion-model"] == fresh["x-openfusion-model"] == "vendor/coder-a"
    assert headers["x-openfusion-mode"] == "single"
    assert said(again) == said(alike)
    assert (again.text, again.finish) == (made.text, made.finish)
    assert again.trace["cached"] is True
    assert (again.trace["usd"], again.trace["usage"], again.trace["attempts"]) == (0, [], [])
    assert made.trace["trace_id"] in again.trace["why"]
    assert again.trace["trace_id"] != made.trace["trace_id"]


async def test_a_hit_teaches_nothing_pins_nothing_and_is_found_as_a_trace(start_router):
    async with Scripted("chat") as up, start_router(up.url, cache=ON) as router:
        await tell(router, "chat", streamed=True)
        live = router.engine.means.live
        before = (dict(live.snapshot(None).stats), dict(live._pins))
        lines = len(router.engine.means.books.store.spend(0.0))
        headers, _ = await tell(router, "chat", streamed=True)
        assert (dict(live.snapshot(None).stats), dict(live._pins)) == before
        assert len(router.engine.means.books.store.spend(0.0)) == lines
        trace = await router.trace(headers["x-openfusion-trace-id"])
        kept = row_of(router.engine.traces.get(headers["x-openfusion-trace-id"]))
        assert full(restored(kept.document)) == trace
        assert (kept.head.model, kept.head.mode) == ("vendor/coder-a", "single")
    assert (trace["cached"], trace["outcome"], trace["answered_by"]) == (True, "ok", "coder-a")
    assert (trace["mode"], trace["attempts"], trace["usd"]) == ("single", [], 0)
    assert len(up.requests) == 1


async def test_by_default_nothing_is_kept(start_router):
    async with Scripted("chat") as up, start_router(up.url) as router:
        for _ in range(2):
            await tell(router, "chat", streamed=False)
    assert len(up.requests) == 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "says",
    [Says(fail="cut"), Says(fail="error"), Says(finish="length"), Says(finish="content_filter")],
)
async def test_what_did_not_end_well_is_asked_again(start_router, says, streamed):
    async with Scripted("chat") as up, start_router(up.url, cache=ON) as router:
        up.script += [says] * 8
        asked = {**request_for("chat", "say it"), "temperature": 0, "stream": streamed}
        await router.post("/v1/chat/completions", asked)
        up.script.clear()
        before = len(up.requests)
        status, headers, _ = await router.post("/v1/chat/completions", asked)
        assert status == 200
        if says.fail and not streamed:
            return  # such a fault exists in streams alone: the answer was whole
    assert "x-openfusion-cache" not in headers
    assert len(up.requests) == before + 1


async def test_an_answer_over_the_size_is_not_kept(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, cache={**ON, "max_entry_kb": 1.0}) as router,
    ):
        for _ in range(2):
            up.script.append(Says("word " * 400))
            await tell(router, "chat", streamed=True)
    assert len(up.requests) == 2


async def test_keys_never_share_and_a_hit_costs_no_budget(tmp_path):
    asked = body("/chat/completions", temperature=0)
    wishes = (Wish("one", max_usd_per_day=1.0), Wish("two"))
    async with keyed(tmp_path, *wishes, cache=ON) as (router, texts):
        for name in ("one", "two", "one", "two"):
            reply = await send(router, asked, key=texts[name])
            assert reply.status == 200
        assert reply.headers["x-openfusion-cache"] == "hit"
        assert len(router.up.requests) == 2
        spent = []
        for _ in range(2):
            me = await send(router, None, path="/keys/me", method="GET", key=texts["one"])
            spent.append(me.body["used"]["usd_today"])
            assert (await send(router, asked, key=texts["one"])).headers["x-openfusion-cache"]
        assert spent[0] == spent[1] > 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_many_at_once_make_one_call(tmp_path, streamed):
    asked = {**GOOD, "temperature": 0, "stream": streamed}
    asked["messages"] = [{"role": "user", "content": "[[sleep:0.3]] [[say:fine]] go"}]
    async with serving(tmp_path, cache=ON, candidates=[candidate()]) as router:
        replies = await asyncio.gather(*(send(router, asked) for _ in range(8)))
        assert [r.status for r in replies] == [200] * 8
        assert all("fine" in r.shown for r in replies)
        assert len(router.up.requests) == 1


async def test_a_hit_keeps_to_what_the_client_asked_of_the_trace(start_router):
    async with Scripted("chat") as up, start_router(up.url, cache=ON) as router:
        await tell(router, "chat", streamed=False)
        asked = {**request_for("chat", "say it"), "temperature": 0, "openfusion": {"trace": "none"}}
        status, headers, got = await router.chat(asked)
    assert (status, headers["x-openfusion-cache"], "openfusion" in got) == (200, "hit", False)


def written(file):
    if not file.exists():
        return False
    with contextlib.closing(sqlite3.connect(file)) as db:
        tables = db.execute("SELECT name FROM sqlite_master").fetchall()
        return bool(tables) and db.execute("SELECT COUNT(*) FROM answers").fetchone() == (1,)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_with_a_file_a_restart_forgets_no_answer_and_a_dry_run_writes_none(start_router, tmp_path, dry_run):  # fmt: skip
    file = tmp_path / "state" / "answers.sqlite3"
    kept = {"cache": {**ON, "file": True}, "dry_run": dry_run}
    async with Scripted("chat") as up:
        async with start_router(up.url, **kept) as router:
            await tell(router, "chat", streamed=False)
            while not dry_run and not written(file):
                await asyncio.sleep(0.01)
        async with start_router(up.url, **kept) as router:
            headers, _ = await tell(router, "chat", streamed=True)
        assert (headers.get("x-openfusion-cache"), file.exists()) == ((None, False) if dry_run else ("hit", True))  # fmt: skip
        assert len(up.requests) == (0 if dry_run else 1)
