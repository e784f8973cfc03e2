"""Who may come in: keys of the file and of the environment, on every dialect's surface."""

import asyncio
import contextlib
import json
import logging
import sqlite3
import zlib

import pytest

from openfusion_auto.config.keyfile import (
    Wish,
    create,
    digest_of,
    load_keys,
    moment,
    new_key,
    path_in,
    revoke,
)
from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError, NotAuthorized
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.build import build
from openfusion_auto.server.keyring import OPERATOR, PASS_S, Keyring
from tests.server.conftest import FOUR, candidate
from tests.server.live import HOST, put_away, request, send, serving

NOW = 1_800_000_000.0
SAY = "[[say:fine]] Name the states of the parser"
BODIES = {
    "/chat/completions": {"messages": [{"role": "user", "content": SAY}]},
    "/responses": {"input": SAY},
    "/messages": {"max_tokens": 500, "messages": [{"role": "user", "content": SAY}]},
}
SURFACES = sorted(BODIES)


def body(path, model="openfusion/auto", **more):
    return {"model": model, **BODIES[path], **more}


def slow(path, seconds, **more):
    """A request whose answer begins after `seconds`."""
    text = f"[[sleep:{seconds}]] [[say:fine]] go"
    if path == "/responses":
        return body(path, input=text, **more)
    return body(path, messages=[{"role": "user", "content": text}], **more)


def error_of(reply, path):
    """The error's code as the dialect tells it: OpenAI's has one, Anthropic's has a type for each status."""
    if path == "/messages":
        assert reply.body["type"] == "error"
        return reply.body["error"]["type"]
    assert set(reply.error) == {"message", "type", "param", "code"}
    return reply.error["code"]


class Time:
    def __init__(self):
        self.wall = NOW
        self.clock = Clock(wall=lambda: self.wall)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def path(tmp_path):
    return path_in(tmp_path)


def ring(path, time, *operator, required=False):
    return Keyring(path, operator, time.clock, required=required)


# -- the ring itself -------------------------------------------------------------------------------------------------


def test_without_keys_none_is_asked_for_and_from_the_first_one_on_it_is(path, time):
    keys = ring(path, time)
    assert not keys.required
    assert not keys.opens()
    made, text = create(path, Wish("ci", models=("coder-a",)), NOW)
    keys.refresh()
    assert keys.required
    client = keys.find(text)
    assert (client.id, client.name, client.models, client.own) == (
        "key:" + made.id,
        "ci",
        ("coder-a",),
        True,
    )


def test_neither_a_revoked_key_nor_a_deleted_file_opens_the_server(path, time):
    _, text = create(path, Wish("ci"), NOW)
    keys = ring(path, time)
    assert keys.find(text)
    revoke(path, "ci", NOW)
    keys.refresh()
    assert (keys.required, keys.opens()) == (True, False)
    path.unlink()
    keys.refresh()
    assert keys.required
    with pytest.raises(NotAuthorized):
        keys.find(text)
    assert (
        ring(path_in(path.parent), time).required is False
    )  # only for who starts anew without the file


def test_a_server_started_with_revoked_keys_alone_asks_for_one(path, time):
    create(path, Wish("ci"), NOW)
    revoke(path, "ci", NOW)
    assert ring(path, time).required


def test_a_key_of_the_environment_goes_on_working_beside_those_of_the_file(path, time):
    _, text = create(path, Wish("ci"), NOW)
    keys = ring(path, time, "old-key", "schlüssel")
    assert keys.find("old-key").name == keys.find("schlüssel").name == "OPENFUSION_API_KEYS"
    assert keys.find("old-key").id != keys.find("schlüssel").id
    assert not keys.find("old-key").own
    assert keys.find(text).name == "ci"


def test_a_key_expires_without_the_file_changing(path, time):
    _, text = create(path, Wish("ci", expires="2027-01-15T08:00:10Z"), NOW)
    keys = ring(path, time)
    assert keys.find(text)
    time.wall += 10
    with pytest.raises(NotAuthorized, match="expired at 2027-01-15T08:00:10Z"):
        keys.find(text)
    assert not keys.opens()


def test_a_pass_opens_in_the_keys_place_and_ends_with_it(path, time):
    _, text = create(path, Wish("ci"), NOW)
    keys = ring(path, time)
    given = keys.pass_for(text)
    assert keys.find_pass(given) == keys.find(text)
    assert text not in given
    assert digest_of(text).hex() not in given
    revoke(path, "ci", NOW)
    keys.refresh()
    with pytest.raises(NotAuthorized):
        keys.find_pass(given)


def test_a_pass_lasts_twelve_hours_and_no_longer_than_its_key(path, time):
    expires = moment(NOW + 3600)
    texts = [create(path, w, NOW)[1] for w in (Wish("short", expires=expires), Wish("long"))]
    keys = ring(path, time)
    short, long = (keys.pass_for(text) for text in texts)
    time.wall = NOW + 3601
    with pytest.raises(NotAuthorized):
        keys.find_pass(short)
    assert keys.find_pass(long).name == "long"
    time.wall = NOW + PASS_S
    with pytest.raises(NotAuthorized):
        keys.find_pass(long)


def test_a_pass_is_good_where_its_seal_can_be_made_and_nowhere_else(path, time):
    one, other = (Keyring(path, ["k"], time.clock, required=False, secret=b"s") for _ in range(2))
    given = one.pass_for("k")
    assert other.find_pass(given).name == OPERATOR
    with pytest.raises(NotAuthorized):
        ring(path, time, "k").find_pass(given)


@pytest.mark.parametrize("shown", ["", ".", "9.x", "99999999999.", "\udce4.\udce4", "x" * 9_000])
def test_what_is_no_pass_opens_nothing(path, time, shown):
    keys = ring(path, time, "k")
    given = keys.pass_for("k")
    later = f"{int(given.partition('.')[0]) + 1}.{given.partition('.')[2]}"
    for text in (shown, given[:-1], given + "0", later):
        with pytest.raises(NotAuthorized):
            keys.find_pass(text)
    with pytest.raises(NotAuthorized):
        keys.pass_for(shown)


def test_a_broken_file_keeps_the_keys_that_were_and_says_why_once(path, time, caplog):
    _, text = create(path, Wish("ci"), NOW)
    keys = ring(path, time)
    with caplog.at_level(logging.WARNING, "openfusion.server"):
        path.write_text('{"schema": 1, "keys": [{}]}')
        keys.refresh()
        keys.refresh()
    assert [r.levelname for r in caplog.records] == ["ERROR"]
    assert "keys[0].id" in caplog.text
    assert keys.find(text)
    with pytest.raises(ConfigError):
        ring(path, time)


@pytest.mark.parametrize(
    ("shown", "said"),
    [("", "No API key"), ("sk-other", "Incorrect API key provided\\."), pytest.param(new_key()[:-1] + "?", "not whole", id="a broken one"),
     pytest.param(new_key(), "Incorrect API key provided\\.", id="an unknown one"), ("caf\udce9", "Incorrect"), ("ключ" * 500, "Incorrect")],
)  # fmt: skip
def test_wrong_keys_are_told_apart_only_by_their_form(path, time, shown, said):
    create(path, Wish("ci"), NOW)
    with pytest.raises(NotAuthorized, match=said) as refused:
        ring(path, time).find(shown)
    assert refused.value.headers == {"WWW-Authenticate": "Bearer"}
    assert not shown or shown not in refused.value.message


# -- a running server ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def keyed(folder, *wishes, **more):
    """A router with keys, and the texts of the keys by name."""
    texts = {w.name: create(path_in(folder / "state"), w, NOW)[1] for w in wishes}
    async with serving(folder, **more) as router:
        yield router, texts


@pytest.mark.parametrize("path", SURFACES)
async def test_every_surface_asks_for_a_key_in_its_own_dialect_before_the_body(tmp_path, path):
    async with keyed(tmp_path, Wish("ci")) as (router, texts):
        for shown in (None, "of_wrong", texts["ci"][:-1]):
            reply = await send(router, body(path), path=path, key=shown)
            assert reply.status == 401
            assert error_of(reply, path) in ("invalid_api_key", "authentication_error")
            assert reply.headers["www-authenticate"] == "Bearer"
        assert await first_line_of_a_head(router, path) == b"HTTP/1.1 401 Unauthorized\r\n"
        for named in ({"Authorization": f"Bearer {texts['ci']}"}, {"x-api-key": texts["ci"]}):
            assert (await send(router, body(path), path=path, headers=named)).status == 200
        assert len(router.up.requests) == 2


async def first_line_of_a_head(router, path):
    """Send a head whose body never comes; return the first line of the answer."""
    host = router.root.removeprefix("http://")
    head = request(path="/v1" + path, Content_Length="1000000").partition(b"\r\n\r\n")[0]
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(head.replace(HOST, host.encode()) + b"\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 30)
    writer.transport.abort()
    return line


async def test_a_running_server_takes_up_a_new_key_and_a_revoked_one(tmp_path):
    state = path_in(tmp_path / "state")
    async with serving(tmp_path) as router:
        path = "/chat/completions"
        assert (await send(router, body(path))).status == 200
        _, text = create(state, Wish("ci"), NOW)
        async with asyncio.timeout(30):
            while (await send(router, body(path))).status != 401:
                await asyncio.sleep(0.1)
        assert (await send(router, body(path), key=text)).status == 200
        revoke(state, "ci", NOW)
        async with asyncio.timeout(30):
            while (await send(router, body(path), key=text)).status != 401:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("path", SURFACES)
async def test_a_key_asks_for_its_models_and_the_others_are_not_there(tmp_path, path):
    wishes = (
        Wish("some", models=("openfusion/auto", "coder-a")),
        Wish("roles", models=("openfusion/fast",)),
    )
    async with keyed(tmp_path, *wishes, candidates=FOUR) as (router, texts):
        for name, model, candidate_ in (
            ("some", "openfusion/auto", "coder-a"), ("some", "vendor/coder-a", "coder-a"), ("roles", "openfusion/fast", "fast-a"),
        ):  # fmt: skip
            reply = await send(router, body(path, model), path=path, key=texts[name])
            assert reply.status == 200
            assert reply.headers["x-openfusion-model"] == f"vendor/{candidate_}"
        sent = len(router.up.requests)
        for name, model in (
            ("some", "reasoner-a"), ("some", "openfusion/fusion"), ("some", "openfusion/fast"), ("some", "no-such"),
            ("roles", "openfusion/auto"), ("roles", "fast-a"), ("roles", "vendor/fast-a"),
        ):  # fmt: skip
            reply = await send(router, body(path, model), path=path, key=texts[name])
            assert (reply.status, error_of(reply, path)) in (
                (404, "model_not_found"),
                (404, "not_found_error"),
            )
            assert "reasoner-a" not in reply.raw.decode().replace(f"'{model}'", "")
        assert len(router.up.requests) == sent


async def test_options_reach_no_further_than_the_key(tmp_path):
    wish = Wish("some", models=("openfusion/auto", "coder-a", "fast-a"))
    async with keyed(tmp_path, wish, candidates=FOUR) as (router, texts):
        for options in (
            {"candidates": ["reasoner-a"]},
            {"panel": ["reasoner-a", "fast-a"]},
            {"judge": "verifier-a"},
        ):
            reply = await send(
                router, body("/chat/completions", openfusion=options), key=texts["some"]
            )
            assert (reply.status, reply.error["code"]) == (400, "unknown_candidate")
        asked = len(router.up.requests)
        handed = body("/chat/completions", fallbacks=["vendor/reasoner-a"])  # LiteLLM would ask it
        reply = await send(router, handed, key=texts["some"])
        assert (reply.status, reply.error["code"]) == (404, "model_not_found")
        assert len(router.up.requests) == asked
        panel = body("/chat/completions", openfusion={"mode": "panel"})
        reply = await send(router, panel, key=texts["some"])
        assert reply.status == 200
        used = {a["candidate"] for a in reply.body["openfusion"]["attempts"]}
        assert used <= {"coder-a", "fast-a"}


async def test_a_traces_state_shows_a_key_its_own_models_and_sessions(tmp_path):
    wish = Wish("some", models=("openfusion/auto", "fast-a"))
    async with keyed(tmp_path, wish, Wish("all"), candidates=FOUR) as (router, texts):
        asked = body("/chat/completions", openfusion={"trace": "full", "session": "same"})
        for model in ("coder-a", "reasoner-a"):
            reply = await send(router, {**asked, "model": model}, key=texts["all"])
            assert reply.status == 200
        assert set(reply.body["openfusion"]["state"]["stats"]) == {"coder-a"}
        reply = await send(router, {**asked, "model": "fast-a"}, key=texts["some"])
        assert reply.body["openfusion"]["session"]["pinned"] is False
        reply = await send(router, asked, key=texts["some"])
        assert set(reply.body["openfusion"]["state"]["stats"]) == {"fast-a"}
        shown = json.dumps(reply.body)
        assert "coder-a" not in shown
        assert "reasoner-a" not in shown


async def test_lists_and_routes_show_a_key_its_own_models(tmp_path):
    wish = Wish("some", models=("openfusion/auto", "openfusion/coder", "coder-a"))
    async with keyed(tmp_path, wish, Wish("all"), candidates=FOUR) as (router, texts):

        async def ids(name):
            reply = await send(router, None, path="/models", method="GET", key=texts[name])
            return [e["id"] for e in reply.body["data"]]

        assert await ids("some") == ["openfusion/auto", "openfusion/coder", "coder-a"]
        assert {"openfusion/fusion", "reasoner-a"} <= set(await ids("all"))
        for model, status in (
            ("coder-a", 200),
            ("vendor/coder-a", 200),
            ("reasoner-a", 404),
            ("openfusion/fusion", 404),
        ):
            reply = await send(
                router, None, path=f"/models/{model}", method="GET", key=texts["some"]
            )
            assert reply.status == status
        reply = await send(
            router, body("/chat/completions"), path="/../debug/route", key=texts["some"]
        )
        assert [r["candidate"] for r in reply.body["decision"]["ranking"]] == ["coder-a"]
        assert reply.body["decision"]["rejected"] == []


async def test_embeddings_are_asked_for_within_the_key_too(tmp_path):
    vectors = candidate("vec", roles=["embedding"], offers=["embeddings"])
    wishes = (Wish("some", models=("coder-a",)), Wish("vec", models=("vec",)))
    async with keyed(tmp_path, *wishes, candidates=[candidate(), vectors]) as (router, texts):
        reply = await send(
            router, {"model": "vec", "input": "x"}, path="/embeddings", key=texts["some"]
        )
        assert (reply.status, reply.error["code"]) == (404, "model_not_found")
        assert router.up.requests == []
        await send(router, {"model": "vec", "input": "x"}, path="/embeddings", key=texts["vec"])
        assert [r.path for r in router.up.requests] == ["/v1/embeddings"]


async def test_a_key_sees_its_own_traces_of_earlier_processes_and_nobody_elses(tmp_path):
    path, ids = "/chat/completions", {}
    async with keyed(tmp_path, Wish("a"), Wish("b"), client_keys="operator") as (router, texts):
        for name in texts:
            reply = await send(router, body(path), key=texts[name])
            ids[name] = reply.headers["x-openfusion-trace-id"]
    async with serving(tmp_path, client_keys="operator") as router:

        async def get(path, key):
            return await send(router, None, path=path, method="GET", key=key)

        for key, seen in ((texts["a"], {ids["a"]}), ("operator", set(ids.values()))):
            reply = await get("/traces", key)
            assert {t["trace_id"] for t in reply.body["data"]} == seen
        assert (await get(f"/traces/{ids['a']}", texts["a"])).status == 200
        assert (await get(f"/traces/{ids['b']}", texts["a"])).status == 404
        assert (await get(f"/traces?before={ids['b']}", texts["a"])).status == 400
        assert (await get(f"/traces?before={ids['b']}", "operator")).status == 200
        whole = (await get(f"/traces/{ids['a']}", "operator")).body
        assert whole["owner"] != (await get(f"/traces/{ids['b']}", "operator")).body["owner"]
        for key in load_keys(path_in(tmp_path / "state")):
            assert key.id not in json.dumps(whole)


async def test_a_key_sees_its_own_traces_and_the_operators_key_all(tmp_path):
    async with keyed(tmp_path, Wish("a"), Wish("b"), client_keys="operator") as (router, texts):
        path, ids = "/chat/completions", {}
        for name in texts:
            reply = await send(router, body(path), key=texts[name])
            ids[name] = reply.headers["x-openfusion-trace-id"]

        async def listed(key):
            reply = await send(router, None, path="/traces", method="GET", key=key)
            return {t["trace_id"] for t in reply.body["data"]}

        assert await listed(texts["a"]) == {ids["a"]}
        assert await listed("operator") == set(ids.values())
        for key, name, status in (
            (texts["a"], "a", 200),
            (texts["a"], "b", 404),
            ("operator", "b", 200),
        ):
            reply = await send(router, None, path=f"/traces/{ids[name]}", method="GET", key=key)
            assert reply.status == status
        assert texts["a"][3:] not in json.dumps(
            (
                await send(router, None, path=f"/traces/{ids['a']}", method="GET", key="operator")
            ).body
        )


async def test_a_key_is_in_no_answer_file_log_or_call(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        async with keyed(tmp_path, Wish("ci", requests_per_minute=4)) as (router, texts):
            text, shown = texts["ci"], ""
            for n in range(6):  # served, over its rate, broken
                asked = (
                    {}
                    if n == 3
                    else body("/chat/completions", stream=n == 1, openfusion={"trace": "full"})
                )
                shown += (await send(router, asked, key=text)).shown
            shown += (await send(router, body("/chat/completions"), key=text + "x")).shown
            for path in ("/keys/me", "/models", "/traces"):
                shown += (await send(router, None, path=path, method="GET", key=text)).shown
            sent = json.dumps([[r.headers, r.body] for r in router.up.requests])
    state = tmp_path / "state"
    files = "".join(f.read_bytes().decode("latin-1") for f in state.iterdir())
    with contextlib.closing(sqlite3.connect(state / "state.sqlite3")) as db:
        for (document,) in db.execute("SELECT document FROM traces"):
            files += zlib.decompress(document).decode()
    assert "rate_limit_exceeded" in shown
    assert "usage" in shown
    assert not [place for place in (shown, sent, files, caplog.text) if text[3:] in place]
    assert digest_of(text).hex() not in shown + sent + caplog.text


# -- binding ---------------------------------------------------------------------------------------------------------


def exposed(folder, more=""):
    path = folder / "openfusion.toml"
    path.write_text(f'[server]\nhost = "0.0.0.0"\n{more}')
    return load(path, {"OPENFUSION_STATE_DIR": str(folder)}, {}, folder)


async def test_beyond_this_machine_a_key_of_the_file_is_enough_and_an_expired_or_revoked_one_is_not(
    tmp_path,
):
    create(path_in(tmp_path), Wish("old", expires="2020-01-01T00:00:00Z"), NOW)
    create(path_in(tmp_path), Wish("gone"), NOW)
    revoke(path_in(tmp_path), "gone", NOW)
    with pytest.raises(ConfigError, match="openfusion keys create"):
        build(exposed(tmp_path), dry_run=True)
    create(path_in(tmp_path), Wish("new"), NOW)
    await put_away(build(exposed(tmp_path), dry_run=True))
    assert exposed(tmp_path).warnings == ()


async def test_to_serve_everybody_it_must_be_told_twice(tmp_path):
    twice = exposed(tmp_path, "insecure_no_keys = true\n")
    with pytest.raises(ConfigError, match="Only one of"):
        build(twice, dry_run=True)
    await put_away(build(twice, dry_run=True, insecure=True))
    with pytest.raises(ConfigError, match="Only one of"):
        build(exposed(tmp_path), dry_run=True, insecure=True)
