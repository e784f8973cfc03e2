"""Following the files of a configuration, over a running server."""

import asyncio
import contextlib
import json
import logging
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import tomli_w
from aiohttp import web

from openfusion_auto.config import given
from openfusion_auto.config.load import load
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server import follow
from openfusion_auto.server.build import build
from openfusion_auto.server.follow import FIXED, FOLLOWER, RETRY_S
from openfusion_auto.server.keys import ENGINE
from tests.server.conftest import KEY_ENV, Router, ask, candidate


class Place:
    """A server over files that a test rewrites; time stands still but for what the test adds."""

    def __init__(self, folder, url):
        self.folder, self.url, self.now_s = folder, url, 1000.0
        self.env = {"OPENFUSION_STATE_DIR": str(folder / "state")}
        self.key("sk-one")
        self.pool("coder-a")
        self.write()

    def key(self, value, **more):
        lines = {KEY_ENV: value, **more}
        path = self.folder / ".env"
        path.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
        path.chmod(0o600)

    def pool(self, *ids, text=None):
        pool = {"schema": 1, "candidates": [candidate(i) for i in ids]}
        (self.folder / "pool.toml").write_text(tomli_w.dumps(pool) if text is None else text)

    def write(self, *, text=None, url=None, **tables):
        upstream = {"name": "relay", "base_url": url or self.url, "api_key_env": KEY_ENV}
        config = {"upstreams": [upstream], "pool": {"file": "pool.toml"}, **tables}
        self.path = self.folder / "openfusion.toml"
        self.path.write_text(tomli_w.dumps(config) if text is None else text)

    def read(self):
        return load(self.path, self.env, {}, self.folder)

    @contextlib.asynccontextmanager
    async def serve(self):
        never = asyncio.Event()

        async def sleep(_seconds):
            await never.wait()

        clock = Clock(now=lambda: self.now_s, wall=lambda: self.now_s, sleep=sleep)
        self.app = build(self.read(), dry_run=False, clock=clock, read=self.read)
        runner = web.AppRunner(self.app, handler_cancellation=True, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            root = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as http:
                yield Router(f"{root}/v1", root, self.app[ENGINE], http)
        finally:
            await runner.cleanup()

    async def tick(self):
        self.now_s += 1
        await self.app[FOLLOWER].tick()


async def health(router):
    async with router.http.get(f"{router.root}/health") as r:
        return (await r.json())["config"]


@pytest.fixture
async def upstream():
    """Says its name and the key it was shown; a prompt with WAIT is answered in two halves, the second when told."""
    go = asyncio.Event()

    async def answer(request):
        body = await request.json()
        said = request.headers.get("Authorization", "")
        if not body.get("stream"):
            message = {"role": "assistant", "content": said}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"model": body["model"], "choices": [choice]})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for text in ("first ", "second"):
            delta = {"index": 0, "delta": {"content": text}}
            await response.write(f"data: {json.dumps({'choices': [delta]})}\n\n".encode())
            await go.wait()
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        await response.write(f"data: {json.dumps({'choices': [end]})}\n\ndata: [DONE]\n\n".encode())
        return response

    app = web.Application()
    app.router.add_post("/{any}/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", go
    go.set()
    await runner.cleanup()


@pytest.fixture
def place(tmp_path, upstream):
    return Place(tmp_path, upstream[0])


async def test_a_good_file_counts_for_new_requests(place):
    async with place.serve() as router:
        assert (await router.chat(ask()))[1]["x-openfusion-model"] == "vendor/coder-a"
        place.pool("coder-b")
        await place.tick()
        status, headers, body = await router.chat(ask("other words"))
        assert (status, headers["x-openfusion-model"]) == (200, "vendor/coder-b")
        assert body["choices"][0]["message"]["content"] == "Bearer sk-one"
        assert await health(router) == {"loaded_at": place.now_s, "error": None, "restart": []}
        async with router.http.get(f"{router.base}/models") as r:
            assert "coder-b" in [m["id"] for m in (await r.json())["data"]]


async def test_a_key_that_is_typed_in_counts_for_its_address_without_a_restart(place, monkeypatch):
    monkeypatch.setattr(given, "system_keyring", lambda: None)
    place.key("")
    async with place.serve() as router:
        kept = given.path_in(place.read().state_path)
        given.give(kept, KEY_ENV, "http://127.0.0.2:1", "sk-other")
        await place.tick()
        assert place.read().key("relay") is None
        given.give(kept, KEY_ENV, place.url, "sk-typed")
        await place.tick()
        _, _, body = await router.chat(ask())
        assert body["choices"][0]["message"]["content"] == "Bearer sk-typed"


async def test_a_request_in_flight_ends_with_the_old_one(place, upstream):
    async with place.serve() as router:
        async with router.http.post(f"{router.base}/chat/completions", json=ask(stream=True)) as r:
            head = await r.content.readuntil(b"\n\n")
            place.pool("coder-b")
            place.write(url=place.url.replace("/v1", "/v2"))
            place.key("sk-two")
            await place.tick()
            _, headers, body = await router.chat(ask("other words"))
            assert headers["x-openfusion-model"] == "vendor/coder-b"
            assert body["choices"][0]["message"]["content"] == "Bearer sk-two"
            upstream[1].set()
            rest = await r.read()
        assert b"first" in head
        assert b"second" in rest
        assert rest.rstrip().endswith(b"[DONE]")
        trace = await router.trace(r.headers["x-openfusion-trace-id"])
        assert (trace["outcome"], trace["answered_by"]) == ("ok", "coder-a")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda p: p.write(text="[server\n"), "openfusion.toml"),
        (lambda p: p.write(auto={"mode": "fast"}), "auto.mode"),
        (lambda p: p.pool(text="schema = 1\n"), "pool.toml"),
        (lambda p: p.write(pool={"file": "gone.toml"}), "gone.toml"),
        (lambda p: p.path.unlink(), "openfusion.toml"),
    ],
)
async def test_a_bad_file_changes_nothing_and_says_why(place, caplog, spoil, named):
    async with place.serve() as router:
        before = await health(router)
        spoil(place)
        await place.tick()
        assert (await router.chat(ask()))[1]["x-openfusion-model"] == "vendor/coder-a"
        told = await health(router)
        assert told["loaded_at"] == before["loaded_at"]
        assert named in told["error"]
        (line,) = [r for r in caplog.records if "stays as it was" in r.getMessage()]
        assert line.levelno == logging.ERROR
        place.write()
        place.pool("coder-b")
        await place.tick()
        assert (await health(router))["error"] is None
        assert (await router.chat(ask("x")))[1]["x-openfusion-model"] == "vendor/coder-b"


async def test_a_bad_one_is_said_once_and_tried_again(place, caplog):
    async with place.serve() as router:
        place.write(pool={"file": "late.toml"})
        for _ in range(3):
            await place.tick()
        assert len([r for r in caplog.records if "stays as it was" in r.getMessage()]) == 1
        place.pool("late")
        (place.folder / "pool.toml").rename(place.folder / "late.toml")
        place.now_s += RETRY_S
        await place.tick()
        assert (await router.chat(ask()))[1]["x-openfusion-model"] == "vendor/late"


async def test_files_that_did_not_change_are_not_read(place, monkeypatch):
    async with place.serve():
        read = []
        monkeypatch.setattr(place.app[FOLLOWER], "_read", lambda: read.append(1) or place.read())
        await place.tick()
        assert read == []
        place.app[FOLLOWER].ask()
        await place.tick()
        await place.tick()
        assert read == [1]


async def test_a_defect_of_ours_is_named_by_its_kind_alone(place, monkeypatch):
    def broken():
        raise ValueError("sk-secret")

    async with place.serve() as router:
        monkeypatch.setattr(place.app[FOLLOWER], "_read", broken)
        place.app[FOLLOWER].ask()
        await place.tick()
        assert (await health(router))["error"] == "it cannot be read (ValueError)"


async def test_what_was_learnt_stays(place):
    async with place.serve() as router:
        _, _, body = await router.chat(ask())
        live = router.engine.means.live
        pins, before = dict(live._pins), live.snapshot(None).stats
        assert pins
        assert before
        upstream_before = router.engine.means.upstreams["relay"]
        place.pool("coder-a", "coder-b")
        place.write(session={"ttl_s": 7.0})
        await place.tick()
        assert router.engine.means.live is live
        assert (dict(live._pins), live.snapshot(None).stats) == (pins, before)
        assert router.engine.means.upstreams["relay"] is upstream_before
        assert (await router.trace(body["openfusion"]["trace_id"]))["outcome"] == "ok"


async def test_limits_keys_and_sizes_follow_too(place):
    async with place.serve() as router:
        assert (await router.chat(ask()))[0] == 200
        place.key("sk-one", OPENFUSION_API_KEYS="k-1")
        place.write(limits={"requests_per_minute": 1}, server={"max_body_mb": 0.0005})
        await place.tick()
        assert (await router.chat(ask()))[0] == 401
        key = {"Authorization": "Bearer k-1"}
        assert (await router.chat(ask("x" * 600), **key))[0] == 413
        assert (await router.chat(ask(), **key))[0] == 200
        assert (await router.chat(ask(), **key))[0] == 429
        place.key("sk-one")
        await place.tick()
        assert (await router.chat(ask()))[0] == 401, "once keys are asked for, they stay so"


async def test_kept_answers_stay_and_what_is_kept_follows(place):
    async with place.serve() as router:
        hit = "x-openfusion-cache"
        still = ask(temperature=0)
        assert router.engine.cache is None
        place.write(cache={"enabled": True})
        await place.tick()
        assert hit not in (await router.chat(still))[1]
        place.write(cache={"enabled": True, "ttl_s": 7.0})
        await place.tick()
        assert (await router.chat(still))[1][hit] == "hit"
        place.write(
            cache={"enabled": True}, rules=[{"name": "r", "keywords": ["hi"], "risk": "high"}]
        )
        await place.tick()
        assert hit not in (await router.chat(still))[1], "it is read in another way"
        assert (await health(router))["error"] is None
        place.write()
        await place.tick()
        assert hit not in (await router.chat(still))[1]


async def test_an_answer_of_another_address_is_not_given_again(place):
    async with place.serve() as router:
        hit, still = "x-openfusion-cache", ask(temperature=0)
        place.write(cache={"enabled": True})
        await place.tick()
        await router.chat(still)
        place.write(cache={"enabled": True}, url=place.url.replace("/v1", "/v2"))
        await place.tick()
        assert hit not in (await router.chat(still))[1], "somebody else answers there"
        assert (await router.chat(still))[1][hit] == "hit"
        place.write(cache={"enabled": True})
        await place.tick()
        assert (await router.chat(still))[1][hit] == "hit", "the first one's is still there"


async def test_what_sessions_are_watched_for_outlives_a_new_configuration(place):
    learn = {"enabled": True, "half_life_days": 3.0}
    place.write(learn=learn)
    async with place.serve() as router:
        await router.chat(ask("Fix the parser"), **{"session-id": "s"})
        watched = dict(router.engine.reader.learner._watched)
        assert len(watched) == 1
        place.write(learn={**learn, "half_life_days": 9.0})
        await place.tick()
        learner = router.engine.reader.learner
        assert (learner._half_life_s, dict(learner._watched)) == (9 * 86_400.0, watched)
        place.write()
        await place.tick()
        assert router.engine.reader.learner is None


async def test_hedging_follows_and_keeps_what_it_measured(place):
    place.write(hedge={"enabled": True, "after_s": 5.0})
    async with place.serve() as router:
        await router.chat(ask())
        before = router.engine.means.hedger
        assert before._waits
        place.write(hedge={"enabled": True, "after_s": 3.0})
        await place.tick()
        assert router.engine.means.hedger is before
        assert before.settings.after_s == 3.0
        place.write()
        await place.tick()
        assert router.engine.means.hedger is None


async def test_an_upstream_that_gets_its_key_becomes_ready(place):
    place.key("'no key has blanks'")
    async with place.serve() as router:
        assert (await router.chat(ask()))[0] == 503
        place.key("sk-late")
        await place.tick()
        status, _, body = await router.chat(ask())
        assert (status, body["choices"][0]["message"]["content"]) == (200, "Bearer sk-late")
        async with router.http.get(f"{router.root}/ready") as r:
            assert (await r.json())["unready"] == {}


async def test_what_needs_a_restart_is_said_until_it_is_taken_back(place, caplog):
    async with place.serve() as router:
        place.write(server={"port": 9999, "host": "localhost"}, store={"keep_days": 3.0})
        await place.tick()
        restart = ["server.host", "server.port", "store.keep_days"]
        assert (await health(router))["restart"] == restart
        assert (
            "counts after a restart only: server.host, server.port, store.keep_days" in caplog.text
        )
        assert (await router.chat(ask(), Host="127.0.0.1"))[0] == 200
        place.write()
        await place.tick()
        assert (await health(router))["restart"] == []


def test_what_is_fixed_are_settings(place):
    settings = place.read()
    assert set(follow.fixed(settings)) == set(FIXED)
    assert follow.fixed(settings)["server.port"] == 8787


def test_without_a_file_the_pool_and_the_given_keys_are_followed(place):
    settings = replace(place.read(), source=None)
    given = settings.state_path / "given-keys.json"
    assert follow.files_of(settings) == (settings.pool_source, given)


def test_what_is_fixed_is_documented():
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "config.md"
    (row,) = [line for line in page.read_text().splitlines() if "after a restart; " in line]
    assert [
        k for k in FIXED if f"`{k}`" not in row and f"`{k.partition('.')[0]}.*`" not in row
    ] == []
