"""Clients' connections: where the server listens, and how it reads what comes."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from openfusion_auto.errors import (
    BadRequest,
    FusionError,
    Overloaded,
    UnsupportedMedia,
    cannot_listen,
)
from openfusion_auto.server.middleware import error_response
from openfusion_auto.wire.errors import openai_error

log = logging.getLogger("openfusion.server")

# [bytes] that are read at once, for all connections in turn: what was read is copied before the next one reads. Asyncio
# would make room for 256 KB each time it looks at a socket, whose pages cost a small request a tenth of its time.
ROOM = 64 * 2**10
LINGER_S = 1.0  # [s] one that is turned away has to take its answer before it is cut
LINGERING = 16  # of them at once: they take open files, too
SAID_S = 60.0  # [s] between two lines of the log that say so


class Places:
    """Counts clients' connections. Where open files end, the upstreams' connections, the store and the log must go on.

    Args:
        most: Connections at once; None = any number.
    """

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.taken = 0
        self.lingering = 0
        self._said_s = -SAID_S

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return self.most is not None and self.taken >= self.most

    def say(self, now_s: float) -> None:
        """Say in the log that connections are turned away, not for each of them."""
        if now_s - self._said_s >= SAID_S:
            self._said_s = now_s
            log.warning(
                "%d clients are connected, as many as the bound of open files allows (ulimit -n): more get 503",
                self.taken,
            )


class TurnedAway(asyncio.Protocol):
    """A connection for which there is no place: it is told so, whatever it asks."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer, and wait for the client to end: cut at once, the answer might be lost on its way."""
        loop = asyncio.get_running_loop()
        self._places.say(loop.time())
        self._places.lingering += 1
        wire = cast("asyncio.Transport", transport)
        wire.write(no_place())
        wait_s = LINGER_S if self._places.lingering <= LINGERING else 0.0
        self._cut = loop.call_later(wait_s, wire.abort)
        if wire.can_write_eof():
            wire.write_eof()

    def connection_lost(self, _exc: Exception | None) -> None:
        """End."""
        self._cut.cancel()
        self._places.lingering -= 1


def no_place() -> bytes:
    """Return the answer of a server that can take no more connections."""
    error = Overloaded("This server has as many connections as it can take. Try again soon.")
    body = json.dumps(openai_error(error)).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Handler(web.RequestHandler):
    """The HTTP library's handler, whose own errors (no HTTP, an encoding that it lacks) are JSON, too."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what no handler of ours gets to see."""
        super().handle_error(request, status, exc, message)
        error = FusionError("Internal error of the router; its log names the kind.")
        if isinstance(exc, ContentEncodingError):
            error = UnsupportedMedia(
                "The body's encoding cannot be read: send it as it is, or as gzip or deflate.",
                param="Content-Encoding",
            )
        elif status < 500:
            error = BadRequest("The request is not HTTP as it should be.", status=status)
        response = error_response(error)
        response.force_close()
        return response


class Incoming(asyncio.BufferedProtocol):
    """Hands the HTTP library's protocol what a connection brings, read into room that all connections share."""

    def __init__(self, handler: asyncio.Protocol, room: memoryview, places: Places) -> None:
        self._handler, self._room, self._places = handler, room, places
        places.taken += 1  # not when it begins: a thousand may be accepted before one does

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._handler.connection_made(transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return what is to be read into."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what was read."""
        self._handler.data_received(bytes(self._room[:nbytes]))

    def eof_received(self) -> bool | None:
        """Pass on that the client sends nothing more."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client is behind."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that it has caught up."""
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._places.taken -= 1
        self._handler.connection_lost(exc)


async def listen(
    server: web.Server, host: str, port: int, *, shared: bool = False, most: int | None = None
) -> asyncio.Server:
    """Accept connections for a server that is set up, until what is returned is closed.

    Args:
        server: The HTTP library's.
        host: Address to bind.
        port: 0 = any that is free.
        shared: Other processes bind the same port.
        most: Connections at once; one more is answered 503. None = any number.

    Raises:
        ConfigError: the address cannot be bound.
    """
    room = memoryview(bytearray(ROOM))

    places = Places(most)

    def incoming() -> Incoming | TurnedAway:
        if places.full:
            return TurnedAway(places)
        handler = server()
        handler.__class__ = Handler  # its maker cannot be told which
        return Incoming(cast("asyncio.Protocol", handler), room, places)

    try:
        return await asyncio.get_running_loop().create_server(
            incoming, host, port, backlog=1024, reuse_port=shared or None
        )
    except OSError as error:
        raise cannot_listen(host, port, error) from None
