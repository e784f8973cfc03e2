"""A running router before a given upstream, over real loopback HTTP and through the real configuration."""

import contextlib
import json
from dataclasses import dataclass

import aiohttp
import pytest
import tomli_w
from aiohttp import web

from openfusion_auto.config.load import load
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.server.build import build
from openfusion_auto.server.keys import ENGINE

KEY_ENV = "RELAY_API_KEY"


def candidate(id_="coder-a", **more):
    """One pool entry with everything known; keywords replace or add."""
    return {
        "id": id_,
        "upstream": "relay",
        "model": f"vendor/{id_}",
        "roles": ["coder"],
        "price_usd_per_mtok": {
            "input": 1.0,
            "output": 4.0,
            "cache_read": 0.1,
            "source": "test",
            "as_of": "2026-11-01",
        },
        "context_tokens": 400_000,
        "max_output_tokens": 32_000,
        "offers": ["tools", "vision", "reasoning", "json_schema"],
        **more,
    }


def price(inp, out):
    return {
        "input": inp,
        "output": out,
        "cache_read": inp / 10,
        "source": "test",
        "as_of": "2026-11-01",
    }


def bench(score):
    return [
        {
            "name": "swebench_verified_openhands",
            "score": score,
            "n": 500,
            "source": "test",
            "as_of": "2026-11-01",
        },
        {
            "name": "swt_bench_openhands",
            "score": score - 3,
            "n": 433,
            "source": "test",
            "as_of": "2026-11-01",
        },
    ]


FOUR = [
    candidate("fast-a", roles=["fast"], price_usd_per_mtok=price(0.1, 0.4), benchmarks=bench(55.0)),
    candidate(
        "coder-a",
        roles=["coder", "writer"],
        price_usd_per_mtok=price(0.5, 2.0),
        benchmarks=bench(72.0),
    ),
    candidate(
        "reasoner-a",
        roles=["reasoner", "coder"],
        price_usd_per_mtok=price(2.0, 8.0),
        benchmarks=bench(79.0),
    ),
    candidate(
        "verifier-a",
        roles=["verifier", "reasoner"],
        price_usd_per_mtok=price(3.0, 15.0),
        benchmarks=bench(82.0),
    ),
]


def ask(text="hi", **more):
    """A chat request with one message of the user's; keywords replace or add."""
    return {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}], **more}


@dataclass
class Router:
    """A running router: its address, its engine (to look at, not to drive), and a client session."""

    base: str
    root: str
    engine: Engine
    http: aiohttp.ClientSession

    async def chat(self, body, **headers):
        """Post a chat request; returns (status, headers, parsed body)."""
        async with self.http.post(f"{self.base}/chat/completions", json=body, headers=headers) as r:
            return r.status, r.headers, await r.json()

    async def events(self, body, **headers):
        """Post a streamed request; returns (status, headers, data lines as text)."""
        async with self.http.post(
            f"{self.base}/chat/completions", json={**body, "stream": True}, headers=headers
        ) as r:
            raw = (await r.read()).decode()
            return r.status, r.headers, [e[6:] for e in raw.split("\n\n") if e.startswith("data: ")]

    async def post(self, path, body, **headers):
        """Post any body to a path under the root; returns (status, headers, raw body)."""
        kind = {"Content-Type": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.post(self.root + path, data=data, headers=kind | headers) as r:
            return r.status, r.headers, await r.read()

    async def get(self, path):
        """Get JSON from a path under the root; returns (status, parsed body)."""
        async with self.http.get(self.root + path) as r:
            return r.status, await r.json()

    async def trace(self, trace_id):
        async with self.http.get(f"{self.base}/traces/{trace_id}") as r:
            return await r.json()


@pytest.fixture
def start_router(tmp_path):
    """A function: start_router(upstream_url, candidates=..., **tables of the configuration)."""

    @contextlib.asynccontextmanager
    async def start(
        upstream_url,
        *,
        api_key="sk-upstream-secret",
        candidates=None,
        client_keys="",
        offers=(),
        dry_run=False,
        clock=None,
        dialect="chat",
        search_usd=None,
        **tables,
    ):
        pool = {"schema": 1, "candidates": candidates or [candidate()]}
        (tmp_path / "pool.toml").write_text(tomli_w.dumps(pool))
        config = {
            "upstreams": [
                {
                    "name": "relay",
                    "base_url": upstream_url,
                    "api_key_env": KEY_ENV,
                    "dialect": dialect,
                    "offers": list(offers),
                    **({} if search_usd is None else {"search_usd": search_usd}),
                }
            ],
            "pool": {"file": "pool.toml"},
            **tables,
        }
        path = tmp_path / "openfusion.toml"
        path.write_text(tomli_w.dumps(config))
        env = {KEY_ENV: api_key, "OPENFUSION_STATE_DIR": str(tmp_path / "state")}
        if client_keys:
            env["OPENFUSION_API_KEYS"] = client_keys
        app = build(load(path, env, {}, tmp_path), dry_run=dry_run, clock=clock)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=2.0
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            root = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as http:
                yield Router(f"{root}/v1", root, app[ENGINE], http)
        finally:
            await runner.cleanup()

    return start


def openfusion_of(events):
    """The trace in a stream: it stands on the last data object and nowhere else."""
    objects = [json.loads(e) for e in events if e != "[DONE]"]
    assert all("openfusion" not in o for o in objects[:-1])
    return objects[-1]["openfusion"]
