"""The scripted model on loopback: three dialects, one answer for each request, awkward bytes on purpose.

Answers with characters beyond ASCII are streamed in pieces of 1, 3, 5 and 7 bytes, so that characters, lines and
events are cut everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat import render, script
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.upstream.registry import PATHS
from openfusion_auto.wire.jsons import JsonError, as_object, loads

ODD = (1, 3, 5, 7)  # [bytes]
KEPT_EXCHANGES = 200
MODELS = (script.MODEL,)


class Scripted:
    """The server; `async with` starts it.

    Attributes:
        url: Its address up to `/v1`.
        speaks: The dialects that it knows; any other is a 404.
    """

    def __init__(self, speaks: Collection[Dialect] = ("chat", "responses", "messages")) -> None:
        self.url = ""
        self.speaks = frozenset(speaks)
        self._clock = Clock()
        self._exchanges: list[tuple[bytes, bytes]] = []
        app = web.Application(client_max_size=2**22)
        app.router.add_get("/v1/models", self._models)
        for dialect in self.speaks:
            app.router.add_post(f"/v1{PATHS[dialect]}", self._answer)
        if "messages" in self.speaks:
            app.router.add_post("/v1/messages/count_tokens", self._count)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def exchange(self, word: str) -> tuple[bytes, bytes] | None:
        """Return the last request that holds `word`, and the answer to it."""
        found = (e for e in reversed(self._exchanges) if word.encode() in e[0])
        return next(found, None)

    async def _models(self, _request: web.Request) -> web.StreamResponse:
        rows = [
            {"id": m, "object": "model", "created": render.CREATED, "owned_by": "compat"}
            for m in MODELS
        ]
        return web.json_response({"object": "list", "data": rows})

    async def _count(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"input_tokens": len(await request.read()) // 4})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        dialect = next(d for d in self.speaks if request.path == f"/v1{PATHS[d]}")
        raw = await request.read()
        try:
            body = as_object(loads(raw))
        except JsonError:
            body = None
        if body is None:
            return self.refused(dialect, 400, "invalid_request_error", "the body is no JSON object")
        if body.get("model") not in MODELS:
            return self.refused(dialect, 404, "not_found_error", "there is no such model")
        return await self.reply(request, dialect, raw, body)

    async def reply(
        self, request: web.Request, dialect: Dialect, raw: bytes, body: Mapping[str, object]
    ) -> web.StreamResponse:
        """Answer a request that is right."""
        said = script.answer(dialect, body)
        if body.get("stream") is not True:
            data = self.made(dialect, [render.whole(dialect, said, script.MODEL)], streamed=False)
            self._note(raw, data)
            return web.Response(body=data, content_type="application/json")
        options = as_object(body.get("stream_options")) or {}
        asked = options.get("include_usage") is True
        data = self.made(
            dialect, render.events(dialect, said, script.MODEL, usage=asked), streamed=True
        )
        self._note(raw, data)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in odd(data) if not said.text.isascii() else [data]:
            await response.write(piece)
            await self._clock.sleep(0)  # so that pieces are read as pieces
        await response.write_eof()
        return response

    def made(self, dialect: Dialect, parts: list[bytes], *, streamed: bool) -> bytes:  # noqa: ARG002 - for those that fail on purpose
        """Return the bytes of an answer, made of its events, or of one body."""
        return b"".join(parts)

    def refused(self, dialect: Dialect, status: int, kind: str, message: str) -> web.StreamResponse:
        """Return a refusal."""
        body = render.error(dialect, kind, message)
        return web.Response(status=status, body=body, content_type="application/json")

    def _note(self, asked: bytes, answered: bytes) -> None:
        self._exchanges.append((asked, answered))
        del self._exchanges[:-KEPT_EXCHANGES]


def odd(data: bytes) -> Iterator[bytes]:
    """Cut bytes into pieces of 1, 3, 5 and 7."""
    at = n = 0
    while at < len(data):
        size = ODD[n % len(ODD)]
        yield data[at : at + size]
        at, n = at + size, n + 1
