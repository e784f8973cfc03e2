"""`openfusion serve --workers N` as it is run, before the scripted upstream: every request over a connection of its own,
so that the kernel gives it to any of the workers.
"""

import asyncio
import contextlib
import json
import math
import os
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp

from openfusion_auto.config.keyfile import create, path_in
from tests.cli.processes import environment, serving
from tests.server.conftest import KEY_ENV, candidate
from tests.server.live import GOOD, written
from tests.support.faulty import FaultyUpstream
from tests.support.redis_server import PATIENT_S

PATIENCE_S = 90.0  # [s] for what takes a second on a machine of its own
OPERATOR = "sk-of-the-operator"


@dataclass
class Workers:
    """The running server."""

    url: str
    up: FaultyUpstream
    process: object
    folder: object
    keys: dict[str, str] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def http(self, key=OPERATOR):
        """A client that never uses a connection twice."""
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        headers = {"Authorization": f"Bearer {self.keys.get(key, key)}"}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout
        ) as http:
            yield http

    async def post(self, text="[[say:fine]] go", *, key=OPERATOR, headers=None, **more):
        """Ask; returns status and JSON."""
        asked = {**GOOD, "messages": [{"role": "user", "content": text}], **more}
        async with (
            self.http(key) as http,
            http.post(f"{self.url}/v1/chat/completions", json=asked, headers=headers) as reply,
        ):
            return reply.status, await reply.json()

    async def stream(self, text, *, key=OPERATOR):
        """Ask for a stream; returns status and all of it."""
        asked = {**GOOD, "messages": [{"role": "user", "content": text}], "stream": True}
        async with (
            self.http(key) as http,
            http.post(f"{self.url}/v1/chat/completions", json=asked) as reply,
        ):
            return reply.status, (await reply.read()).decode()

    async def get(self, path, *, key=OPERATOR):
        """Read a path; returns status and JSON, or text."""
        async with self.http(key) as http, http.get(self.url + path) as reply:
            body = await reply.read()
            return reply.status, json.loads(body) if body.startswith(b"{") else body.decode()

    async def seen(self):
        """Return the processes that answer, by number; asked until all have."""
        found = {}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for _, told in await asyncio.gather(*(self.get("/health") for _ in range(8))):
                    found[told["worker"]["number"]] = told["worker"]["pid"]
                    of = told["worker"]["of"]
                if len(found) == of:
                    return found

    async def metric(self, name):
        """Return the sum of a metric's series."""
        _, text = await self.get("/metrics")
        rows = [line for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(row.rpartition(" ")[2]) for row in rows)

    async def stop(self):
        """Send SIGTERM; returns the code it ended with."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def rows(self, query, *values):
        """Read the store's file."""
        with contextlib.closing(sqlite3.connect(self.folder / "state" / "state.sqlite3")) as db:
            return db.execute(query, values).fetchall()

    def meter(self):
        """Return what the upstream counted: calls, tokens in, tokens out."""
        told = [r for r in self.up.requests if r.fault == "ok"]
        words = sum(len(r.text.split()) for r in told)
        return len(self.up.requests), sum(len(r.raw) // 4 for r in told), words

    def ledger(self):
        """Return the same of the books."""
        return self.rows("SELECT count(*), total(input), total(output) FROM ledger")[0]


async def until(condition, within_s=PATIENCE_S):
    """Wait until something (awaitable) holds."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def several(folder, count, *, wishes=(), candidates=None, redis=None, **tables):
    """Serve by `count` workers; `wishes` are keys that are made before, by name."""
    async with FaultyUpstream() as up:
        tables |= {"redis": {"wait_s": PATIENT_S}} if redis else {}
        config = written(folder, up.url, candidates or [candidate()], tables)
        state = folder / "state"
        state.mkdir(mode=0o700)
        keys = {w.name: create(path_in(state), w, time.time())[1] for w in wishes}
        env = environment(
            **{KEY_ENV: "sk-x", "OPENFUSION_STATE_DIR": str(state), "OPENFUSION_API_KEYS": OPERATOR}
        )
        env |= {"OPENFUSION_REDIS_URL": redis} if redis else {}
        with contextlib.ExitStack() as running:
            server = serving("--config", str(config), "--workers", str(count), env=env, cwd=folder)
            url, _, process = await asyncio.to_thread(running.enter_context, server)
            yield Workers(url, up, process, folder, keys)
            # Its end is waited for in a thread: the upstream must go on meanwhile.
            if process.poll() is None:
                process.terminate()
                await asyncio.to_thread(process.wait, PATIENCE_S)


def refilled(began_s, per_minute):
    """Return how many requests more than at once a rate lets in by now: a busy machine takes its time."""
    return math.floor((time.monotonic() - began_s) * per_minute / 60)


def alive(pid):
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def doubled(rows):
    """Return what is more than once in rows of one column."""
    return [value for value, count in Counter(v for (v,) in rows).items() if count > 1]
