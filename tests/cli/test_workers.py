"""Several workers as processes of their own: they answer as one, and none of them may be missed."""

import asyncio
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import pytest

from openfusion_auto.cli import workers as module
from openfusion_auto.cli.workers import MAX_FAILURES, Workers, check_possible, ended, place
from openfusion_auto.config.keyfile import Wish
from openfusion_auto.errors import ConfigError
from openfusion_auto.server.worker import READY
from tests.cli.processes import environment, start_process
from tests.server.conftest import candidate
from tests.support.redis_server import redis_server
from tests.support.workers import OPERATOR, alive, doubled, refilled, several, until

PRICE = {"input": 1.0, "output": 1000.0, "source": "test", "as_of": "2026-11-01"}
COSTLY = candidate("costly", price_usd_per_mtok=PRICE, max_output_tokens=1000)
TWO = [candidate(), candidate("coder-b")]
WISHES = (
    Wish("six", requests_per_minute=6),
    Wish("two", concurrent=2),
    Wish("payer", models=("costly",), max_usd_per_day=3.0),
)

LOST_S = 2.0  # [s] before a kill of what may be missing: a tenth is promised, the machine may be busy with others

pytestmark = [
    pytest.mark.slow,  # each test starts three or four interpreters
    pytest.mark.timeout(400),
]


async def turns(server, session, count=4):
    """Have a conversation, each turn over a new connection; returns what each answer tells."""
    messages, told = [], []
    for number in range(count):
        messages.append({"role": "user", "content": f"[[say:turn {number}]] go on with it"})
        status, body = await server.post(
            messages=messages, headers={"x-session-id": session}, openfusion={"trace": "compact"}
        )
        assert status == 200
        told.append(body["openfusion"])
        messages.append(body["choices"][0]["message"])
    return told


async def check_sessions_and_traces(server):
    """Whoever answers knows what the others did a moment ago."""
    for told in await asyncio.gather(*(turns(server, f"s{n}") for n in range(8))):
        assert [t["session"]["pinned"] for t in told] == [False, True, True, True]
        assert len({t["selected"][0]["candidate"] for t in told}) == 1
    _, body = await server.post()
    trace = body["openfusion"]["trace_id"]
    found = await asyncio.gather(*(server.get(f"/v1/traces/{trace}") for _ in range(9)))
    assert {status for status, _ in found} == {200}
    assert {told["trace_id"] for _, told in found} == {trace}


async def check_the_page(server):
    """Who has signed in at one of them has at all."""
    async with server.http() as http:
        headers = {"Origin": server.url, "Authorization": ""}
        async with http.post(
            f"{server.url}/ui/sign-in",
            data={"key": OPERATOR},
            headers=headers,
            allow_redirects=False,
        ) as reply:
            given = reply.headers["Set-Cookie"].partition(";")[0]
    for _ in range(9):
        async with (
            server.http() as http,
            http.get(
                f"{server.url}/ui/receipts", headers={"Cookie": given, "Authorization": ""}
            ) as r,
        ):
            assert r.status == 200


async def check_the_rate(server):
    """Six a minute, whoever of them is asked."""
    began_s = time.monotonic()
    replies = await asyncio.gather(*(server.post(key="six") for _ in range(18)))
    statuses = [status for status, _ in replies]
    assert set(statuses) == {200, 429}
    assert 6 <= statuses.count(200) <= 6 + refilled(began_s, 6)


async def check_limits(server):
    """Rates, places and budgets hold for all of them together, exactly."""
    await check_the_rate(server)

    most, watching = 0, True

    async def watch():
        nonlocal most
        while watching:
            most = max(most, server.up.open_now)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(watch())
    began_s, held_s = time.monotonic(), 2.0
    replies = await asyncio.gather(
        *(server.post(f"[[sleep:{held_s}]] [[say:fine]] go", key="two") for _ in range(9))
    )
    rounds = math.ceil((time.monotonic() - began_s) / held_s)
    watching = False
    await task
    assert most <= 2
    assert 2 <= [status for status, _ in replies].count(200) <= 2 * rounds

    costly = {"model": "costly", "key": "payer"}
    replies = await asyncio.gather(
        *(server.post("[[sleep:1]] [[words:900]] go", **costly) for _ in range(12))
    )
    paid = [body["openfusion"]["usd"] for status, body in replies if status == 200]
    assert {status for status, _ in replies} == {200, 429}
    assert 1 <= len(paid) <= 3  # one is 1 USD at worst
    return sum(paid)


async def check_money(server, paid):
    """What was spent is one number, whoever is asked."""

    async def agree():
        told = await asyncio.gather(*(server.get("/v1/keys/me", key="payer") for _ in range(9)))
        return {round(body["used"]["usd_today"], 9) for _, body in told} == {round(paid, 9)}

    await until(agree)


async def check_metrics(server):
    """A scrape tells all that all of them counted, whoever is asked."""
    done = len({r.raw for r in server.up.requests})
    assert done

    async def whole():
        found = [await server.metric("openfusion_attempts_total") for _ in range(5)]
        return found == [len(server.up.requests)] * 5

    await until(whole)
    assert await server.metric("openfusion_workers") == 3
    assert await server.metric("openfusion_store_ok") == 1
    assert await server.metric("openfusion_worker_restarts_total") == 0
    assert await server.metric("openfusion_limits_refused_total") >= 12


async def test_three_workers_answer_as_one(tmp_path):
    async with several(tmp_path, 3, wishes=WISHES, candidates=[*TWO, COSTLY]) as server:
        pids = await server.seen()
        assert len(set(pids.values())) == 3
        await check_sessions_and_traces(server)
        await check_the_page(server)
        paid = await check_limits(server)
        await check_money(server, paid)
        await check_metrics(server)

        # What runs when it is told to stop ends well, in every worker.
        calls = len(server.up.requests)
        streams = [
            asyncio.create_task(server.stream("[[sleep:2]] [[words:50]] go")) for _ in range(9)
        ]
        await until(lambda: asyncio.sleep(0, len(server.up.requests) == calls + 9))
        code = await server.stop()
        assert code == 0
        for status, text in await asyncio.gather(*streams):
            assert status == 200
            assert text.rstrip().endswith("data: [DONE]")
        assert not any(alive(pid) for pid in pids.values())
        assert server.ledger() == server.meter()
        assert len(server.rows("SELECT id FROM traces")) >= len(server.up.requests)
        assert server.process.stderr.read() == ""


async def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(tmp_path):
    tables = {"limits": {"usd_per_day": 1000.0, "max_concurrent": 500}}
    async with several(tmp_path, 2, **tables) as server:
        before = await server.seen()
        done, cut, stop = [], [], asyncio.Event()

        async def load(number):
            while not stop.is_set():
                try:
                    status, body = await server.post(f"[[say:fine]] go {number} {len(done)}")
                except aiohttp.ClientConnectionError:  # of the dead one
                    cut.append(number)
                else:
                    assert status == 200
                    done.append((body["openfusion"]["trace_id"], time.monotonic()))

        loads = [asyncio.create_task(load(n)) for n in range(6)]
        await until(lambda: asyncio.sleep(0, len(done) > 20))
        os.kill(before[0], signal.SIGKILL)
        killed_s = time.monotonic()

        async def replaced():
            with contextlib.suppress(aiohttp.ClientConnectionError):
                return (await server.seen())[0] != before[0]
            return False

        await until(replaced)
        assert (await server.seen())[1] == before[1]
        many = len(done)
        await until(lambda: asyncio.sleep(0, len(done) > many + 20))
        stop.set()
        await asyncio.gather(*loads)
        # What the dead one was answering, and once more what waited at its door: the kernel shuts that last.
        assert len(cut) <= 12
        assert await server.metric("openfusion_worker_restarts_total") == 1
        assert await server.metric("openfusion_workers") == 2
        assert await server.stop() == 0

        said = server.process.stderr.read()
        assert said.count("worker 0 was ended by SIGKILL; it is started again") == 1
        lines = server.rows("SELECT trace FROM ledger")
        assert not doubled(lines)
        # All but what the dead one had answered in its last moment.
        kept = {trace for (trace,) in lines}
        lost = [round(at_s - killed_s, 3) for trace, at_s in done if trace not in kept]
        assert [at_s for at_s in lost if abs(at_s) > LOST_S] == []
        assert len(server.up.requests) - len(lines) <= len(lost) + len(cut)


async def test_with_redis_they_share_through_it_and_go_on_without(tmp_path, tool):
    async with redis_server(tool("redis-server")) as redis:
        tables = {"limits": {"requests_per_minute": 10_000, "usd_per_day": 1000.0}}
        async with several(
            tmp_path, 2, wishes=WISHES, candidates=TWO, redis=redis.url, **tables
        ) as server:
            await check_the_rate(server)
            for told in await asyncio.gather(*(turns(server, f"s{n}", 3) for n in range(4))):
                assert [t["session"]["pinned"] for t in told] == [False, True, True]

            async def state(wanted):
                told = await asyncio.gather(*(server.get("/health") for _ in range(8)))
                return {body["redis"]["state"] for _, body in told} == {wanted}

            redis.kill()
            found = [
                status for status, _ in await asyncio.gather(*(server.post() for _ in range(8)))
            ]
            await until(lambda: state("local"))
            found += [
                status for status, _ in await asyncio.gather(*(server.post() for _ in range(8)))
            ]
            await redis.start()
            await until(lambda: state("shared"))
            found += [
                status for status, _ in await asyncio.gather(*(server.post() for _ in range(8)))
            ]
            assert set(found) == {200}
            assert await server.stop() == 0
            assert server.ledger() == server.meter()
            (spent,) = server.rows("SELECT total(usd) FROM ledger")[0]
            assert spent > 0


async def test_without_their_parent_they_let_what_runs_end_and_are_gone(tmp_path):
    async with several(tmp_path, 2) as server:
        pids = (await server.seen()).values()
        streams = [
            asyncio.create_task(server.stream("[[sleep:2]] [[words:50]] go")) for _ in range(4)
        ]
        await until(lambda: asyncio.sleep(0, len(server.up.requests) == 4))
        server.process.kill()
        for status, text in await asyncio.gather(*streams):
            assert (status, text.rstrip().endswith("data: [DONE]")) == (200, True)
        await until(lambda: asyncio.sleep(0, not any(alive(pid) for pid in pids)))


def test_what_is_wrong_with_a_configuration_is_said_once_and_ends_with_2(tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "keys.json").write_text("{")
    env = environment(OPENFUSION_STATE_DIR=str(tmp_path / "state"))
    process = start_process("serve", "--workers", "3", "--port", "0", cwd=tmp_path, env=env)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert said.count("keys.json") == 1
    assert "Traceback" not in said


# -- the parent, with workers that do as they are told ---------------------------------------------------------------

# A worker that is ready, then waits for a signal; with "die" it dies as soon as it is ready, with "refuse" before.
SCRIPT = """
import os, signal, sys, time
number, of, fd, restarts = map(int, sys.argv[sys.argv.index("--worker") + 1].split("/"))
does = sys.argv[1] if number == 0 or sys.argv[1].startswith("all-") else "serve"
does = does.removeprefix("all-")
signal.signal(signal.SIGHUP, lambda *_: open(sys.argv[2], "a").write(f"{number}"))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0) if does != "stay" else None)
if does == "refuse" or (does == "once" and restarts):
    sys.exit(3)
os.write(fd, b"+")
if does in ("die", "once"):
    os._exit(7)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def parent(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PAUSES_S", (0.0, 0.01))
    path = tmp_path / "worker.py"
    path.write_text(SCRIPT)

    def make(does, count=2, drain_s=30.0):
        command = [sys.executable, str(path), does, str(tmp_path / "heard")]
        return Workers(command, count, drain_s, tmp_path)

    return make


async def test_signals_are_passed_on_and_it_ends_with_0(parent, tmp_path):
    workers, announced = parent("serve"), []
    running = asyncio.create_task(workers.run(lambda: announced.append(True)))
    await until(lambda: asyncio.sleep(0, bool(announced)))
    os.kill(os.getpid(), signal.SIGHUP)
    heard = tmp_path / "heard"
    await until(
        lambda: asyncio.sleep(0, heard.exists() and sorted(heard.read_text()) == ["0", "1"])
    )
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert announced == [True]
    assert [one.code for one in workers.ones] == [0, 0]


async def test_a_worker_that_never_starts_ends_all_with_its_code(parent):
    announced = []
    assert await parent("refuse").run(lambda: announced.append(True)) == 3
    assert announced == []


async def test_while_another_serves_a_dying_worker_is_tried_for_ever(parent, caplog):
    workers = parent("die")
    running = asyncio.create_task(workers.run(lambda: None))
    await until(lambda: asyncio.sleep(0, hasattr(workers, "ones")))
    await until(lambda: asyncio.sleep(0, workers.ones[0].restarts > MAX_FAILURES + 2))
    workers.stop.set()
    assert await running in (0, 1)  # it may have been dying
    assert "worker 0 ended with 7; it is started again" in caplog.text
    assert "given up" not in caplog.text


async def test_when_none_serves_it_gives_up(parent, caplog):
    assert await parent("all-once", count=1).run(lambda: None) == 3
    assert "worker 0 ended with 3: given up" in caplog.text


async def test_who_does_not_end_in_time_is_killed_and_told_by_the_code(parent, monkeypatch, caplog):
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    workers, announced = parent("stay", drain_s=0.1), []
    running = asyncio.create_task(workers.run(lambda: announced.append(True)))
    await until(lambda: asyncio.sleep(0, bool(announced)))
    workers.stop.set()
    assert await running == 1
    assert "worker 0 did not end in time" in caplog.text


# -- addresses, and what is possible ---------------------------------------------------------------------------------


def test_a_place_is_held_for_workers_and_for_nobody_else():
    taken = place("127.0.0.1", 0)
    try:
        assert taken.url == f"http://127.0.0.1:{taken.port}"
        with socket.socket() as worker:
            worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            worker.bind(("127.0.0.1", taken.port))
            worker.listen()
            with pytest.raises(OSError, match="in use"):
                place("127.0.0.1", taken.port)
            with socket.create_connection(("127.0.0.1", taken.port), timeout=30):
                worker.accept()[0].close()
    finally:
        taken.close()


def test_every_address_of_a_name_has_the_same_port():
    taken = place("localhost", 0)
    assert {one.getsockname()[1] for one in taken.sockets} == {taken.port}
    taken.close()


def test_what_several_cannot_do_is_refused(monkeypatch):
    check_possible(2, store=True, redis=False)
    check_possible(2, store=False, redis=True)
    with pytest.raises(ConfigError, match="OPENFUSION_REDIS_URL"):
        check_possible(2, store=False, redis=False)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="only Linux"):
        check_possible(2, store=True, redis=True)


@pytest.mark.parametrize(
    ("code", "said"), [(0, "ended with 0"), (-9, "was ended by SIGKILL"), (None, "was not started")]
)
def test_an_end_is_told_in_words(code, said):
    assert ended(code) == said


def test_the_metrics_have_a_folder_while_the_parent_runs_and_what_a_dead_one_left_goes(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for name in (f"metrics-{child.pid}", f"metrics-{os.getppid()}", "metrics-odd"):
        (tmp_path / name).mkdir()
    with module.metrics_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {p.name for p in tmp_path.iterdir()} == {folder.name, f"metrics-{os.getppid()}"}
    assert not folder.exists()


async def test_a_worker_that_cannot_be_started_is_said(tmp_path, caplog):
    workers = Workers([str(tmp_path / "no-such-program")], 2, 1.0, tmp_path)
    assert await workers.run(lambda: None) == 1
    assert "worker 0 cannot be started" in caplog.text


def test_a_worker_and_its_parent_speak_of_the_same():
    assert READY.decode() in SCRIPT
