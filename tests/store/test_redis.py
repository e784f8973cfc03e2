"""The way to Redis: what it does while Redis is there, gone, slow and back."""

import asyncio
import logging
import sys

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.store.redis import Link, Status
from tests.support.redis_server import PATIENT_S, redis_server

SCRIPT = "return ARGV[1] .. KEYS[1]"
WRITES = "redis.call('SET', KEYS[1], ARGV[1]); return ARGV[1]"


def link(url, wait_s=PATIENT_S):
    return Link(url, prefix="t", name="OPENFUSION_REDIS_URL", wait_s=wait_s)


async def test_it_asks_and_says_that_state_is_shared(tool):
    async with redis_server(tool("redis-server")) as server:
        way = link(server.url)
        assert await way.ask(lambda r: r.set(way.key("a", "b"), "1")) is True
        assert await way.ask(lambda r: r.get("t:a:b")) == b"1"
        assert await way.script(SCRIPT, ["k"], "x") == "xk"
        assert await way.script(SCRIPT, ["k"], "y") == "yk"
        assert way.status() == Status("shared", None)
        await way.close()


async def test_gone_is_said_once_and_asks_nobody_until_it_is_back(tool, caplog):
    caplog.set_level(logging.WARNING)
    async with redis_server(tool("redis-server")) as server:
        way = link(server.url)
        assert await way.script(SCRIPT, ["k"], "x") == "xk"
        server.kill()
        asked = []
        for _ in range(3):
            assert await way.ask(lambda r: asked.append(1) or r.get("a")) is None
        assert len(asked) == 1
        assert way.status().state == "local"
        assert "each process for itself" in way.status().problem
        await way.probe()
        assert not way.up
        await server.start()
        await way.probe()
        assert way.status() == Status("shared", None)
        assert await way.script(SCRIPT, ["k"], "x") == "xk"  # a new server does not have it yet
        await way.close()
    said = [r.getMessage() for r in caplog.records if r.name == "openfusion.redis"]
    assert len(said) == 2
    assert "does not answer" in said[0]
    assert "answers again" in said[1]


async def test_one_that_takes_nothing_is_not_back_for_saying_hello(tool, caplog):
    caplog.set_level(logging.WARNING)
    async with redis_server(tool("redis-server")) as server:
        way = link(server.url)
        await way.ask(lambda r: r.config_set("maxmemory", 1))
        assert await way.script(WRITES, ["k"], "x") is None
        await way.probe()
        assert way.status().state == "local"
        assert await way.look() == "OutOfMemoryError"
        await way._redis.config_set("maxmemory", 0)
        await way.probe()
        assert way.status().state == "shared"
        assert await way.script(WRITES, ["k"], "x") == "x"
        assert await way.look() is None
        await way.close()
    assert len([r for r in caplog.records if r.name == "openfusion.redis"]) == 2


async def test_who_answers_nothing_costs_a_quarter_of_a_second_once(tmp_path):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way = link(f"redis://127.0.0.1:{port}/0", 0.25)
    began = asyncio.get_running_loop().time()
    for _ in range(40):
        assert await way.ask(lambda r: r.get("a")) is None
    assert asyncio.get_running_loop().time() - began < 5  # not ten
    await way.close()
    server.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "redis://u:hunter2@h:x/0"])
def test_what_is_no_url_is_refused_and_not_shown(url):
    with pytest.raises(ConfigError) as caught:
        link(url)
    assert "OPENFUSION_REDIS_URL" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigError, match=r"openfusion-auto\[redis\]"):
        link("redis://127.0.0.1")
