"""What is compared with: a relay made of aiohttp's server and client, which reads and decides nothing.

python -m tests.bench.bare PORT        relays to that port, prints its own
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web

from tests.bench.mock import fast_loop


def relay(port: int) -> web.Application:
    """Pass each request on as it came, and its answer back, piece by piece when it is a stream."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    headers = {"Content-Type": "application/json"}
    session = web.AppKey("session", aiohttp.ClientSession)

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with request.app[session].post(url, data=body, headers=headers) as answer:
            if answer.content_type != "text/event-stream":
                return web.Response(body=await answer.read(), content_type="application/json")
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            while chunk := await answer.content.readany():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def one_session(app: web.Application):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar()
        ) as app[session]:
            yield

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", handle)
    app.cleanup_ctx.append(one_session)
    return app


async def serve(port: int) -> None:
    runner = web.AppRunner(relay(port), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as loop:
        loop.run(serve(int(sys.argv[1])))
