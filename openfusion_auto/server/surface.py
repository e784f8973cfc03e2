"""The surfaces: Chat Completions, Responses and Messages, streamed and whole. One handler, three dialects."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.typedefs import Handler

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.errors import BadRequest, FusionError, Overloaded, TooLarge
from openfusion_auto.runtime.engine import Engine, answer_id
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.limits import Allowance
from openfusion_auto.runtime.stream import ClientStream, Watch
from openfusion_auto.runtime.trace import Trace, progress
from openfusion_auto.server.keys import CLIENT, CLOCK, ENGINE, LIMITER, LIVE, OPTIONS, TRACE, VIEWS
from openfusion_auto.server.middleware import REQUEST_ID, error_response, identity
from openfusion_auto.server.sharing import HEARING
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import telling

# [s] between two pieces of a body: a client that is still sending is never that silent.
BODY_IDLE_S = 10.0
# A body may take this long [s], and longer as long as it comes at this rate [bytes/s]: the defaults of Apache's
# mod_reqtimeout (body=20,MinRate=500). Who sends a byte now and then holds a connection for no longer.
BODY_GRACE_S = 20.0
BODY_MIN_RATE = 500
# [bytes] of a stream that its client has not taken yet; then the upstream is not read on
WAITING = 2**16
PROGRESS = "x-openfusion-progress"  # who sends it with `comments` is told how the calls go, until the answer begins


async def read_body(request: web.Request, most: int | None = None) -> bytes:
    """Return the request's body, decompressed, at most `most` bytes of it; without a word `max_body` of the options.

    Raises:
        TooLarge: over the bound, declared or inflated.
        BadRequest: it stopped coming (408), ended early, or its encoding is broken or unknown (415).
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise BadRequest(
            f"Content-Encoding {encoding[:20]!r} is not supported: use gzip, deflate or none.",
            status=415,
        )
    most = request.app[OPTIONS].max_body if most is None else most
    if (request.content_length or 0) > most:
        raise too_large()
    try:
        if request.content.is_eof():  # all of it came with the head, as most do
            body = request.content.read_nowait()
            if len(body) > most:
                raise too_large()
            return body
        return await received(request.content, most)
    except TimeoutError:
        raise BadRequest(
            "The request body came too slowly, or stopped coming before its end.",
            code="request_timeout",
            status=408,
        ) from None
    except web.RequestPayloadError:
        raise BadRequest(
            "The request body cannot be read: its encoding or framing is broken."
        ) from None


async def received(content: StreamReader, most: int) -> bytes:
    """Return a body that is still coming.

    Raises:
        TooLarge: over `most` bytes.
        TimeoutError: it stopped coming, or comes too slowly.
    """
    parts: list[bytes] = []
    size, loop = 0, asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(BODY_IDLE_S) as patience:
        while chunk := await content.readany():
            parts.append(chunk)
            size += len(chunk)
            if size > most:
                raise too_large()
            slowest_s = began_s + BODY_GRACE_S + size / BODY_MIN_RATE
            patience.reschedule(min(loop.time() + BODY_IDLE_S, slowest_s))
    return b"".join(parts)


def too_large() -> TooLarge:
    """Return the refusal of a body over the bound."""
    return TooLarge("The request body is larger than this server accepts (server.max_body_mb).")


async def incoming(request: web.Request, dialect: Dialect) -> Incoming:
    """Read and check a request of a dialect."""
    return understood(request, await read_body(request), dialect)


def understood(request: web.Request, raw: bytes, dialect: Dialect) -> Incoming:
    """Check a request whose body has been read."""
    prompt = CODECS[dialect].parse_request(raw, request.headers)
    client = request.get(CLIENT)
    if client is None:
        return Incoming(prompt, request.headers, identity(request))
    view = request.app[VIEWS].of(client.models)
    return Incoming(prompt, request.headers, identity(request), client=client.id, view=view)


def trace_headers(
    engine: Engine, trace: Trace, allowance: Allowance | None = None
) -> dict[str, str]:
    """Return the headers every answer carries; model and mode as far as they are known yet."""
    headers = {"x-openfusion-trace-id": trace.id, REQUEST_ID[trace.dialect]: trace.id}
    if allowance is not None:
        headers.update(allowance.headers())
    if trace.mode is not None:
        headers["x-openfusion-mode"] = trace.mode
    if trace.cached is not None:
        headers["x-openfusion-cache"] = "hit"
        headers["x-openfusion-model"] = trace.cached.model
        return headers
    speaker = trace.speaker()
    candidate = engine.means.pool.get(speaker) if speaker else None
    if candidate is not None:
        headers["x-openfusion-model"] = candidate.model
    return headers


def surface(dialect: Dialect) -> Handler:
    """Return the handler of a dialect's path."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await answer(request, dialect)

    return handle


async def answer(request: web.Request, dialect: Dialect) -> web.StreamResponse:
    """Answer one request; see `Engine.answer`."""
    if request.app[LIVE].draining:
        raise Overloaded("The server is shutting down; try again in a moment.", retry_after_s=1.0)
    asked = await incoming(request, dialect)
    if HEARING in request.app:
        await request.app[HEARING].of(asked)
    engine = request.app[ENGINE].as_now()
    allowance = await request.app[LIMITER].enter(request.get(CLIENT), asked.prompt)
    if allowance is None:
        request[TRACE] = trace = engine.open(asked)
        return await respond(request, engine, asked, trace)
    # Nothing is awaited between the way in and here, so the way out is always taken.
    asked = replace(asked, allowance=allowance)
    request[TRACE] = trace = engine.open(asked)
    try:
        return await respond(request, engine, asked, trace)
    finally:
        allowance.close(trace)


async def respond(
    request: web.Request, engine: Engine, asked: Incoming, trace: Trace
) -> web.StreamResponse:
    """Answer a request that was let in."""
    dialect = asked.prompt.dialect
    try:
        if asked.prompt.stream:
            return await stream(request, engine, asked, trace)
        body = await engine.answer(asked, trace, None)
    except FusionError as error:
        response = error_response(error, dialect, trace.id)
        response.headers.update(trace_headers(engine, trace, asked.allowance))
        return response
    return web.Response(
        body=body,
        content_type="application/json",
        headers=trace_headers(engine, trace, asked.allowance),
    )


def watch_of(request: web.Request, trace: Trace) -> Watch | None:
    """Return what tells how the calls go, where the client asks for that."""
    wanted = request.headers.get(PROGRESS, "").lower() == "comments"
    return partial(progress, trace) if wanted else None


async def stream(
    request: web.Request, engine: Engine, asked: Incoming, trace: Trace
) -> web.StreamResponse:
    """Answer with an event stream; the head goes out with the first byte, so an early failure is a real status."""
    live = request.app[LIVE]
    response = web.StreamResponse(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    else:
        response.force_close()  # nothing but the connection's end says where such a body ends

    head = asyncio.Lock()  # a keep-alive and the answer's first byte may meet here

    async def send(data: bytes) -> None:
        if not response.prepared:
            async with head:
                if not response.prepared:
                    response.headers.update(trace_headers(engine, trace, asked.allowance))
                    await response.prepare(request)
        await response.write(data)
        if request.transport is not None and request.transport.get_write_buffer_size() > WAITING:
            await request.writer.drain()

    def send_now(data: bytes) -> bool:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        if transport.get_write_buffer_size() > WAITING:
            return False
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if response.chunked else data)
        return True

    client = ClientStream(
        telling(asked.prompt, answer_id=answer_id(trace), created=int(trace.at)),
        send,
        request.app[CLOCK],
        guarded=engine.means.guarded,
        model=asked.prompt.model if engine.report_requested else None,
        send_now=send_now,
    )
    client.watch = watch_of(request, trace)
    live.streams[client] = request
    try:
        await engine.answer(asked, trace, client)
        await response.write_eof()
    except ConnectionError:
        pass  # the client is gone; its trace says so
    finally:
        live.streams.pop(client, None)
    return response
