"""Clients that are slow: who reads nothing, who sends a byte now and then, who never ends a head."""

import asyncio
import json
import os
import signal
import socket

import pytest

from openfusion_auto.config.load import load
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import SERVER
from openfusion_auto.server import build as build_module
from openfusion_auto.server import serving as serving_module
from openfusion_auto.server import stalled, surface
from openfusion_auto.server.app import keep_alive
from openfusion_auto.server.keys import CLOCK, LIMITER, LIVE, OPTIONS
from openfusion_auto.server.stalled import PATIENCE_S, Watch
from tests.server.live import check_alive, send, serving
from tests.server.test_limits import until


class Wire:
    def __init__(self, size):
        self.size = size

    def get_write_buffer_size(self):
        return self.size


class Line:
    """A connection with so much unsent."""

    def __init__(self, size=0):
        self.transport = Wire(size)


# -- whom a look finds -----------------------------------------------------------------------------------------------


def test_only_who_took_nothing_for_the_whole_time_is_cut():
    watch, idle, stuck, reading, growing = Watch(), Line(), Line(900), Line(900), Line(10)
    everybody = [idle, stuck, reading, growing]
    for at in range(0, int(PATIENCE_S), 5):
        assert watch.look(everybody, float(at)) == []
        reading.transport.size -= 1
        growing.transport.size += 1
    assert watch.look(everybody, PATIENCE_S) == [stuck]


def test_who_takes_something_at_last_has_all_the_time_again():
    watch, line = Watch(), Line(900)
    assert watch.look([line], 0.0) == []
    line.transport.size = 800
    assert watch.look([line], PATIENCE_S) == []
    assert watch.look([line], 2 * PATIENCE_S - 1) == []
    assert watch.look([line], 2 * PATIENCE_S) == [line]


def test_who_is_gone_is_nobodys_business():
    watch, line = Watch(), Line(900)
    watch.look([line], 0.0)
    line.transport = None
    assert watch.look([line], PATIENCE_S) == []


# -- on sockets ------------------------------------------------------------------------------------------------------


def connect(router):
    """A client with the smallest buffers there are."""
    host, port = router.root.removeprefix("http://").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.connect((host, int(port)))
    return client


def ask(client, text):
    asked = {
        "model": "openfusion/auto",
        "stream": True,
        "messages": [{"role": "user", "content": text}],
    }
    body = json.dumps(asked).encode()
    client.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(stalled, "LOOK_S", 0.05)
    monkeypatch.setattr(stalled, "PATIENCE_S", 0.4)


async def test_who_reads_nothing_keeps_no_others_waiting_and_is_cut_with_its_call(
    tmp_path, impatient
):
    tables = {"limits": {"max_concurrent": 2}, "server": {"keep_alive_s": 0.2}}
    async with serving(tmp_path, **tables) as router:
        counters = router.app[LIMITER].counters
        client = connect(router)
        try:
            ask(client, "[[fault:G11]] go")  # three megabytes
            await until(
                lambda: any(stalled.unsent(r.protocol) for r in router.app[LIVE].streams.values())
            )
            # Somebody else's stream is kept alive meanwhile: a panel thinks, its client gets signs of life.
            reply = await send(
                router,
                {
                    "model": "openfusion/auto",
                    "stream": True,
                    "messages": [{"role": "user", "content": "[[sleep:1.2]] [[say:fine]] go"}],
                    "openfusion": {"mode": "verify"},
                },
            )
            assert reply.status == 200
            assert reply.raw.count(b": keep-alive") >= 2
            assert counters.running(SERVER) == 1
            server = next(iter(router.app[LIVE].streams.values())).protocol._manager
            task = asyncio.create_task(stalled.cut_stalled(server, Clock()))
            await until(lambda: counters.running(SERVER) == 0)
            assert router.app[LIVE].streams == {}
            assert router.engine.traces.latest(2)[-1].outcome == "cancelled"
            task.cancel()
        finally:
            client.close()
        await check_alive(router)


async def test_who_sends_a_byte_now_and_then_is_told_408(tmp_path, monkeypatch):
    monkeypatch.setattr(surface, "BODY_IDLE_S", 0.5)
    monkeypatch.setattr(surface, "BODY_GRACE_S", 0.6)
    async with serving(tmp_path) as router:
        host = router.root.removeprefix("http://")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
        writer.write(head.encode())
        began = asyncio.get_running_loop().time()
        line = asyncio.ensure_future(reader.readline())
        while not line.done():
            writer.write(b" ")
            await asyncio.sleep(0.05)
            assert asyncio.get_running_loop().time() - began < 20
        assert (await line).startswith(b"HTTP/1.1 408 ")
        writer.transport.abort()


async def test_a_long_body_that_keeps_its_rate_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(surface, "BODY_GRACE_S", 0.1)
    padded = (
        b" " * 2000
        + json.dumps(
            {
                "model": "openfusion/auto",
                "messages": [{"role": "user", "content": "[[say:fine]] go"}],
            }
        ).encode()
    )

    async def slowly():
        for at in range(0, len(padded), 200):
            yield padded[at : at + 200]
            await asyncio.sleep(0.05)

    async with serving(tmp_path) as router:
        kind = {"Content-Type": "application/json"}
        async with router.http.post(
            router.base + "/chat/completions", data=slowly(), headers=kind
        ) as reply:
            assert reply.status == 200


async def test_a_head_that_never_ends_and_a_connection_without_requests_are_closed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(serving_module, "IDLE_CONNECTION_S", 0.4)
    path = tmp_path / "openfusion.toml"
    path.write_text("[server]\nport = 0\n")
    settings = load(path, {"OPENFUSION_STATE_DIR": str(tmp_path / "state")}, {}, tmp_path)
    ready = asyncio.get_running_loop().create_future()
    app = build_module.build(settings, dry_run=True)
    running = asyncio.create_task(serving_module.serve(app, settings, ready.set_result))
    host = (await ready).removeprefix("http://")
    for begun in (
        b"",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost:",
        f"GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode(),
    ):
        reader, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(begun)
        answer = await asyncio.wait_for(reader.read(), 30)
        assert answer.startswith(b"HTTP/1.1 200") == begun.startswith(b"GET")
        writer.close()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 30)


async def test_a_stream_that_has_not_taken_what_is_there_gets_no_sign_of_life(tmp_path):
    async with serving(tmp_path, server={"keep_alive_s": 60}) as router:
        signs = []

        class Client:
            last_s, head_sent, patient, watch = 0.0, True, False, None

            async def report(self):
                """Nobody asked how it goes."""

            async def keep_alive(self):
                signs.append(self)

        class Request:
            def __init__(self, size):
                self.protocol = Line(size)

        full, empty = Client(), Client()
        app = {
            LIVE: router.app[LIVE],
            OPTIONS: router.app[OPTIONS],
            CLOCK: Clock(now=lambda: 1000.0, sleep=lambda _: asyncio.sleep(0.01)),
        }
        app[LIVE].streams.update({full: Request(5), empty: Request(0)})
        task = asyncio.create_task(keep_alive(app))
        await until(lambda: signs)
        task.cancel()
        app[LIVE].streams.clear()
        assert set(signs) == {empty}
