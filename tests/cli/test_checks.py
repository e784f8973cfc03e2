"""Each check of doctor, good and bad."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import threading
from types import SimpleNamespace

import pytest

from openfusion_auto.cli import checks
from openfusion_auto.cli.common import load_settings
from openfusion_auto.store.files import connect
from tests.support.redis_server import RedisServer


def of(name, found):
    return [c for c in found if c.name == name]


def examine(probe=False):
    return checks.examine(None, probe=probe)[0]


def test_the_version_check_names_the_faster_parts_that_are_there(monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: name == "orjson")
    assert checks.installed().detail.endswith(", with orjson")
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    assert "with" not in checks.installed().detail


def test_without_file_and_key_it_warns_because_the_dry_run_works(monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    found = examine()
    assert {c.status for c in found} <= {"PASS", "WARN"}
    assert "built-in defaults" in of("config", found)[0].detail
    assert of("key", found)[0].status == "WARN"


def test_one_missing_key_of_two_is_a_warning(configured):
    far = '\n[[upstreams]]\nname = "far"\nbase_url = "https://far.invalid/v1"\napi_key_env = "RELAY_FAR"\n'
    configured(more=far)
    found = of("key", examine())
    assert [c.status for c in found] == ["PASS", "WARN", "PASS", "PASS"]
    assert "called without a key" in found[0].detail
    assert of("config", examine())[1].status == "WARN"


def test_gateway_keys_are_counted_never_shown(monkeypatch):
    monkeypatch.setenv("OPENFUSION_API_KEYS", "sekret-1,sekret-2")
    found = examine()
    assert of("key", found)[-2].detail == "OPENFUSION_API_KEYS: clients show one of 2 keys"
    assert "sekret" not in repr(found)


def test_upstreams_and_settings_stand_with_their_origin(configured):
    _, changed = checks.examine(None, probe=False)
    assert {
        "key": "upstreams.relay",
        "value": "http://127.0.0.1:9/v1",
        "origin": "file:openfusion.toml:1",
        "default": False,
    } in changed
    assert all(row["origin"] != "default" for row in changed)


def test_a_model_of_the_operators_own_stands_with_what_it_does(configured):
    configured(
        more='\n[[models]]\nname = "team/x-1.5"\ncandidates = ["coder-a"]\nmode = "single"\n'
    )
    (row,) = [r for r in checks.examine(None, probe=False)[1] if r["key"] == "models.team/x-1.5"]
    assert row["value"] == "single of 1 candidate"


def test_wrong_numbers_in_the_pool_fail_and_gaps_warn(configured, folder):
    assert of("pool", examine())[0].status == "WARN"
    text = (folder / "pool.toml").read_text()
    configured(pool=text.replace("output = 2.0", "output = 9999.0"))
    assert of("pool", examine())[0].status == "FAIL"


def test_a_pool_without_findings_passes(monkeypatch):
    monkeypatch.setattr(checks, "check_pool", lambda pool, today: [])
    assert of("pool", examine())[0].status == "PASS"


def test_a_free_port_passes_and_a_taken_one_fails(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        monkeypatch.setenv("OPENFUSION_PORT", str(number))
        monkeypatch.setattr(checks, "is_ours", lambda server: False)
        (taken,) = of("port", examine())
        assert taken.status == "FAIL"
        assert "--port" in taken.todo
    assert of("port", examine())[0] == checks.Check("port", "PASS", f"127.0.0.1:{number} is free")


def test_our_own_server_on_the_port_is_fine(server, monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", server.rpartition(":")[2])
    (found,) = of("port", examine())
    assert found.status == "PASS"
    assert "an openfusion is running there" in found.detail


def test_another_server_is_not_ours(canned):
    server = checks.Server(canned.url)
    assert not checks.is_ours(server)
    canned.replies["/health"] = (200, b'{"name": "other"}')
    assert not checks.is_ours(server)
    canned.replies["/health"] = (200, b'{"name": "openfusion_auto"}')
    assert checks.is_ours(server)
    assert not checks.is_ours(checks.Server("http://127.0.0.1:9"))


def test_an_address_of_another_machine_cannot_be_listened_on(monkeypatch):
    monkeypatch.setenv("OPENFUSION_HOST", "192.0.2.1")
    (found,) = of("port", examine())
    assert found.status == "FAIL"


def test_an_ipv6_address_is_checked_too(monkeypatch):
    monkeypatch.setenv("OPENFUSION_HOST", "::1")
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        monkeypatch.setenv("OPENFUSION_PORT", str(free.getsockname()[1]))
    assert of("port", examine())[0].status == "PASS"


def test_the_state_folder_is_there_private_and_writable(folder, monkeypatch):
    state = folder / "state"
    assert checks.state_folder(state).detail.endswith("will be created")
    state.mkdir(mode=0o700)
    assert checks.state_folder(state).status == "PASS"
    state.chmod(0o755)
    open_ = checks.state_folder(state)
    assert open_.status == "WARN"
    assert open_.todo == f"chmod 700 {state}"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert checks.state_folder(state).status == "FAIL"
    assert checks.state_folder(folder / "a" / "b").status == "FAIL"
    (folder / "file").touch()
    assert checks.state_folder(folder / "file").status == "FAIL"


def test_a_store_that_cannot_be_used_is_said_before_a_server_starts(folder, monkeypatch):
    path = folder / "state" / "state.sqlite3"
    assert list(checks.state_file(path)) == []
    connect(path).close()
    assert list(checks.state_file(path)) == []
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 999")
    (newer,) = checks.state_file(path)
    assert (newer.status, newer.todo[:7]) == ("FAIL", "upgrade")
    path.write_bytes(b"no database " * 1000)
    (junk,) = checks.state_file(path)
    assert (junk.status, junk.detail) == ("FAIL", "state.sqlite3: file is not a database")
    path.unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5_000_000))
    (full,) = checks.state_file(path)
    assert (full.status, full.detail[:4]) == ("WARN", "5 MB")


@pytest.mark.parametrize(("bound", "said"), [(64, ["16 clients"]), (1024, []), (None, [])])
def test_too_few_open_files_for_a_team_are_a_warning(monkeypatch, bound, said):
    monkeypatch.setattr(checks, "allow_connections", lambda: bound)
    found = list(checks.open_files())
    assert [c.status for c in found] == ["WARN"] * len(said)
    assert all(words in c.detail for words, c in zip(said, found, strict=True))


FAR = """
[[upstreams]]
name = "far"
base_url = "https://far.invalid/v1"
[[upstreams]]
name = "plain"
base_url = "http://plain.invalid/v1"
"""
USUAL = {"HTTPS_PROXY": "http://u:hidden@proxy.corp:3128", "HTTP_PROXY": "http://proxy.corp:3128"}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, {}),
        (
            USUAL,
            {
                "relay": "called directly: it is on this machine",
                "far": "called by the proxy proxy.corp:3128 (HTTPS_PROXY)",
                "plain": "called directly: only https:// goes by a proxy",
            },
        ),
        ({"HTTPS_PROXY": USUAL["HTTPS_PROXY"], "no_proxy": ".invalid"}, {"far": "called directly: no_proxy names it"}),
        ({"ALL_PROXY": "socks5://u:hidden@p:1"}, {"far": "not reached: ALL_PROXY names a proxy of socks5://; only http:// ones are used"}),
    ],
)  # fmt: skip
def test_by_which_proxy_each_upstream_is_called_is_said(configured, monkeypatch, env, said):
    configured(more=FAR)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = list(checks.proxies(load_settings(None)))
    told = {c.detail.split()[1]: c.detail.split(" is ", 1)[1] for c in found}
    assert {k: told.get(k) for k in said} == said
    assert bool(found) is bool(said)
    assert [c.status for c in found if "not reached" in c.detail] == ["FAIL"] * ("ALL_PROXY" in env)
    assert "hidden" not in "".join(map(str, found))


def test_doctor_says_of_an_upstream_without_a_way_what_to_mend(configured, monkeypatch):
    configured(url="https://far.invalid/v1")
    monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
    monkeypatch.setenv("HTTPS_PROXY", "http://u:hidden@p:port")
    settings = load_settings(None)
    (key, *_), (way,), (probe, *_) = (
        f(settings) for f in (checks.keys, checks.proxies, checks.upstreams)
    )
    assert (key.status, way.status, way.todo) == ("PASS", "FAIL", checks.PROXY_PAGE)
    assert way.detail.startswith(
        "upstream relay is not reached: HTTPS_PROXY must be http://host:port"
    )
    assert probe.detail.startswith("relay: is not asked: HTTPS_PROXY must be")
    assert "hidden" not in f"{key}{way}{probe}"


@pytest.mark.parametrize(
    ("status", "why"), [(407, "the proxy refuses, 407"), (200, "BadStatusLine")]
)
def test_an_upstream_is_probed_by_its_proxy(configured, monkeypatch, status, why):
    def play():
        line, _ = server.accept()
        with line:
            heads.append(line.recv(4096).decode())
            # With 200 what comes next is no TLS.
            line.sendall(b"HTTP/1.1 %d hidden\r\n\r\n" % status + b"no TLS at all")

    heads = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=play)
        thread.start()
        configured(url="https://far.invalid/v1")
        monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
        at = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", f"http://u:hidden@{at}")
        probe = checks.upstreams(load_settings(None))[0]
        thread.join()
    head = heads[0].split("\r\n")
    assert head[0].startswith("CONNECT far.invalid:443 HTTP/1.")
    assert "Proxy-Authorization: Basic dTpoaWRkZW4=" in head
    assert "sk-relay" not in heads[0]
    assert probe.detail.startswith(
        f"relay: no answer from https://far.invalid/v1 by the proxy {at} ("
    )
    if status == 407:
        assert probe.detail.endswith(f"({why})")
    assert "hidden" not in str(probe)


@pytest.fixture
def relay(configured, canned, monkeypatch):
    """An upstream to probe, and a key for it."""
    monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
    configured(url=canned.url + "/v1")
    return canned


def listing(*models):
    return 200, json.dumps({"data": [{"id": m} for m in models]}).encode()


def test_nothing_is_asked_without_probe(relay):
    examine()
    assert relay.seen == []


def test_a_probe_gets_the_key_and_finds_every_model(relay):
    relay.replies["/v1/models"] = listing("vendor/coder", "vendor/fast", "more")
    (found,) = of("upstream", examine(probe=True))
    assert (found.status, found.detail) == ("PASS", "relay: lists all 2 models of the pool")
    assert relay.seen[0][2]["Authorization"] == "Bearer sk-relay"


def test_a_key_goes_to_its_own_upstream_only(relay, configured):
    other = (
        f'\n[[upstreams]]\nname = "far"\nbase_url = "{relay.url}/far"\napi_key_env = "RELAY_FAR"\n'
    )
    configured(url=relay.url + "/v1", more=other)
    examine(probe=True)
    keys = {path: headers.get("Authorization") for _, path, headers in relay.seen}
    assert keys == {"/v1/models": "Bearer sk-relay", "/far/models": None}


def test_a_model_that_is_not_listed_is_a_warning(relay):
    relay.replies["/v1/models"] = listing("vendor/coder")
    (found,) = of("upstream", examine(probe=True))
    assert found.status == "WARN"
    assert "does not list vendor/fast" in found.detail


def test_many_missing_models_are_named_in_part(relay, monkeypatch):
    monkeypatch.setattr(checks, "SHOWN_MODELS", 1)
    relay.replies["/v1/models"] = listing()
    assert of("upstream", examine(probe=True))[0].detail.endswith("vendor/coder and 1 more")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_fails_with_its_name(relay, status):
    relay.replies["/v1/models"] = (status, b"{}")
    (found,) = of("upstream", examine(probe=True))
    assert found.status == "FAIL"
    assert "RELAY_API_KEY" in found.todo
    assert "sk-relay" not in repr(found)


@pytest.mark.parametrize(
    "reply", [(404, b"{}"), (200, b"<html>"), (200, b"{}"), (302, b"http://127.0.0.1:9/")]
)
def test_an_upstream_that_lists_nothing_is_a_warning(relay, reply):
    relay.replies["/v1/models"] = reply
    (found,) = of("upstream", examine(probe=True))
    assert found.status == "WARN"
    assert "base_url" in found.todo


def test_when_no_upstream_answers_it_fails(configured):
    configured()
    found = of("upstream", examine(probe=True))
    assert [c.status for c in found] == ["WARN", "FAIL"]
    assert "no answer from http://127.0.0.1:9/v1" in found[0].detail


def test_an_unusable_key_is_not_sent(relay, monkeypatch):
    monkeypatch.setenv("RELAY_API_KEY", "sk with spaces")
    assert checks.probed(load_settings(None), load_settings(None).config.upstreams[0])[1]
    assert "Authorization" not in relay.seen[0][2]


def test_keys_that_were_made_are_counted_by_what_they_are(folder, run):
    assert checks.gateway_keys(load_settings(None)).detail == "openfusion keys: none made"
    for name in ("a", "b"):
        run("keys", "create", name)
    run("keys", "revoke", "a")
    assert checks.gateway_keys(load_settings(None)).detail == "openfusion keys: 1 active, 1 revoked"
    (folder / "state" / "keys.json").write_text("{")
    found = checks.gateway_keys(load_settings(None))
    assert found.status == "FAIL"
    assert "keys.json" in found.detail


def told_by(monkeypatch, **told):
    raw = json.dumps({"name": "openfusion_auto", **told}).encode()
    monkeypatch.setattr(checks, "fetch", lambda *_, **__: (200, raw))
    return list(checks.running(load_settings(None)))


def test_a_running_server_says_whether_it_goes_by_its_files(folder, monkeypatch):
    config = {"loaded_at": 1.0, "error": None, "restart": []}
    assert [c.status for c in told_by(monkeypatch, config=config)] == ["PASS"]
    (found,) = told_by(monkeypatch, config={**config, "error": "a: wrong\nb: wrong too"})
    assert found.status == "WARN"
    assert found.detail.endswith("keeps its older configuration: a: wrong; b: wrong too")
    (found,) = told_by(monkeypatch, config={**config, "restart": ["server.port"]})
    assert (found.status, "server.port" in found.detail) == ("WARN", True)
    found, _ = told_by(monkeypatch, config=config, store={"problem": "disk full"})
    assert (found.status, found.detail) == ("WARN", "the running server: disk full")


def test_where_no_server_runs_nothing_is_said_of_one(folder, monkeypatch):
    def nobody(*_, **__):
        raise ConnectionRefusedError

    monkeypatch.setattr(checks, "fetch", nobody)
    assert list(checks.running(load_settings(None))) == []


def test_several_workers_are_possible_or_not_and_it_says_what_they_share_through(
    configured, monkeypatch
):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert of("workers", examine()) == []
    configured(more="\n[server]\nworkers = 3\n")
    (found,) = of("workers", examine())
    assert (found.status, found.detail) == ("PASS", "3 workers share through the state folder")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert [c.status for c in of("workers", examine())] == ["PASS", "WARN"]
    configured(more="\n[server]\nworkers = 3\n[store]\nenabled = false\n")
    (found,) = of("workers", examine())
    assert found.status == "FAIL"
    assert "OPENFUSION_REDIS_URL" in found.detail
    monkeypatch.setenv("OPENFUSION_REDIS_URL", "redis://127.0.0.1:1")
    assert "share through OPENFUSION_REDIS_URL" in of("workers", examine())[0].detail


def test_a_redis_that_is_named_is_asked(configured, tmp_path, tool, monkeypatch):
    configured()
    assert of("redis", examine()) == []
    monkeypatch.setenv("OPENFUSION_REDIS_URL", f"unix://:secret@{tmp_path}/nobody")
    (gone,) = of("redis", examine())
    assert (gone.status, "ConnectionError" in gone.detail) == ("WARN", True)
    assert "secret" not in repr(gone)
    monkeypatch.setenv("OPENFUSION_REDIS_URL", "127.0.0.1:6379")
    (odd,) = of("redis", examine())
    assert odd.status == "FAIL"

    server = RedisServer(tool("redis-server"))
    try:
        asyncio.run(server.start())
        monkeypatch.setenv("OPENFUSION_REDIS_URL", server.url)
        (good,) = of("redis", examine())
        assert good.status == "PASS"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("said", "todo"),
    [
        (
            "env:OPENFUSION_PORT: server.port: must be a whole number, not a string",
            "set OPENFUSION_PORT to",
        ),
        ("/nope.toml: cannot be read (No such file or directory)", "OPENFUSION_CONFIG"),
        ("openfusion.toml:2: auto.cost: is not a known key", "openfusion init --path new.toml"),
    ],
)
def test_what_to_do_fits_the_place_of_the_mistake(said, todo):
    assert todo in checks.mend(said)
