"""How a server begins to listen; its life is played in tests/cli/test_serve.py, as one of several in test_workers.py."""

import asyncio
import errno
import gc
import json
import os
import socket
import sys

import aiohttp
import pytest
from aiohttp import web

from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError, cannot_listen
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.build import build
from openfusion_auto.server.incoming import listen
from openfusion_auto.server.keys import CLOCK, LIVE, Live
from openfusion_auto.server.serving import COLLECT_AT, SWITCH_S, Ending, clean_up, serve, tuned
from tests.server.conftest import KEY_ENV, candidate
from tests.server.live import written
from tests.support.faulty import FaultyUpstream


async def test_an_address_that_cannot_be_had_is_said_with_what_to_do(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load(None, {"OPENFUSION_STATE_DIR": str(tmp_path)}, {"port": port}, tmp_path)
        with pytest.raises(
            ConfigError,
            match=rf"127.0.0.1:{port} \(address already in use\): is another openfusion running.*--port",
        ):
            await serve(build(settings, dry_run=True), settings, print)


def test_a_running_server_tunes_the_interpreter_and_leaves_it_as_it_was():
    thresholds, switch_s = gc.get_threshold(), sys.getswitchinterval()
    with pytest.raises(KeyError), tuned():
        assert gc.get_threshold() == COLLECT_AT
        assert COLLECT_AT[0] > thresholds[0]
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert switch_s > SWITCH_S
        raise KeyError
    assert gc.get_threshold() == thresholds
    assert sys.getswitchinterval() == pytest.approx(switch_s)


@pytest.mark.parametrize(("drain_s", "twice"), [(0.1, False), (60.0, True)])
async def test_what_runs_too_long_is_cut_once_and_its_handler_told(drain_s, twice):
    begun, told = asyncio.Event(), []

    async def forever(_request):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    app = web.Application()
    app[LIVE], app[CLOCK] = Live(), Clock()
    app.router.add_get("/", forever)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=60.0)
    await runner.setup()
    door = await listen(runner.server, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*door.sockets[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await begun.wait()
    door.close()
    ending = Ending()
    ending.ask("SIGINT", 7.0)
    ending.ask("SIGTERM", 9.0)  # one Ctrl-C, as a worker hears it
    ending.ask("SIGTERM", 9.1)  # one stop of systemd's, as a worker hears it
    assert ending.stop.is_set()
    assert not ending.now.is_set()
    if twice:
        ending.ask("SIGINT", 9.2)
        assert ending.now.is_set()
    async with asyncio.timeout(30):
        await clean_up(runner, app, drain_s, ending.now)
    assert told == ["cancelled"]
    writer.close()


async def test_a_stream_that_is_cut_ends_with_its_dialects_error_event(tmp_path):
    now = asyncio.Event()
    async with FaultyUpstream() as up:
        config = written(tmp_path, up.url, [candidate()], {})
        env = {KEY_ENV: "sk-x", "OPENFUSION_STATE_DIR": str(tmp_path / "state")}
        app = build(load(config, env, {}, tmp_path), dry_run=False)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=60.0)
        await runner.setup()
        door = await listen(runner.server, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{door.sockets[0].getsockname()[1]}/v1/chat/completions"
        said = {"role": "user", "content": "[[fault:F73]] Say five words"}
        body = {"model": "openfusion/auto", "stream": True, "messages": [said]}
        async with aiohttp.ClientSession() as http, http.post(url, json=body) as reply:
            await reply.content.readuntil(b"answer")
            now.set()
            door.close()
            async with asyncio.timeout(30):
                await clean_up(runner, app, 60.0, now)
                *_, last, end = (await reply.read()).split(b"\n\n")  # whole: no broken framing
    assert end == b""
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "overloaded"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "from 1024 on"),
        (errno.EADDRNOTAVAIL, "an address of this machine?"),
        (errno.EADDRINUSE, "another openfusion"),
    ],
)
def test_why_an_address_cannot_be_had_is_said_once_with_what_to_do(number, hint):
    long = f"error while attempting to bind on address ('::1', 80, 0, 0): {os.strerror(number).lower()}"
    said = cannot_listen("::1", 80, OSError(number, long)).message
    assert said.startswith(f"cannot listen on ::1:80 ({os.strerror(number).lower()}): ")
    assert hint in said
