"""What the contract tests share: a router as the server tests start it, and upstreams that say exactly one thing."""

from __future__ import annotations

import contextlib
import json
import ssl
from functools import cache

import pytest
from aiohttp import web

from tests.server.conftest import start_router

__all__ = ["start_router"]


tls_context = cache(ssl.create_default_context)


@pytest.fixture(scope="module", autouse=True)
def _one_tls_context():
    """Read the system's certificates once: each client of an SDK does that anew, for addresses without TLS too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", tls_context)
        yield


@pytest.fixture
def canned():
    """A function: canned(whole, events) serves one answer, whole or as a stream, whatever is asked."""

    @contextlib.asynccontextmanager
    async def start(whole, events):
        asked = []

        async def answer(request):
            body = await request.json()
            asked.append(body)
            if not body.get("stream"):
                return web.json_response({**whole, "model": body["model"]})
            lines = [f"data: {json.dumps({**e, 'model': body['model']})}\n\n" for e in events]
            return web.Response(
                text="".join([*lines, "data: [DONE]\n\n"]), content_type="text/event-stream"
            )

        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", asked
        finally:
            await runner.cleanup()

    return start
