"""One HTTP/1.1 connection to an upstream: a request at a time goes out, its answer is read as it comes.

Why not an HTTP library's client: a router calls one place, with one method, over and over. What a general client does
for each call (URLs, cookies, redirects, proxies, sessions) costs more here than reading and deciding the request; see
`docs/decisions/0012-own-http-client.md`. The parser is llhttp's, by `httptools`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from openfusion_auto.upstream.base import Sink

MAX_HEAD = 64 * 2**10  # [bytes] of an answer's head, or of framing between two pieces of a body
HIGH_WATER = 256 * 2**10  # [bytes] of a body that wait to be read; then the socket is not read on
JOINED = 64 * 2**10  # [bytes] a request up to this goes out in one write with its head
PIECE = 256 * 2**10  # [bytes] of a large request that are written at once


class Ended(Exception):
    """The exchange did not end as it should."""


class NotHttp(Ended):
    """What came is no HTTP answer, or one beyond its bounds."""


class ClosedEarly(Ended):
    """The connection ended before the head of an answer was there."""


class Cut(Ended):
    """The connection ended inside the answer's body."""


class Silent(Ended):
    """Nothing more came in time."""


class NoAnswer(Silent):
    """No head of an answer came in time."""


class Connection(asyncio.BufferedProtocol):
    """A connection and the answer that it carries now.

    Args:
        room: What the socket is read into. Each read is taken out of it at once: all connections to a host share
            one. asyncio's own way makes 256 KB anew for each, of which a token of a stream fills a hundred bytes.

    Attributes:
        status: Of the answer, once `ask` has returned.
        fields: Its header fields as they came.
        heard: Whether a byte has come since the request went out.
        whole: The answer has been received to its end.
        waits_since: When the wait for what comes next began; None while nobody waits for it [s].
        idle_s, idle_wall_s: When it was last given back, on the loop's clock and the wall's; for whoever keeps it [s].
    """

    def __init__(self, room: memoryview) -> None:
        self._read_into = room
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.heard = False
        self.whole = False
        self.waits_since: float | None = None
        self.idle_s = self.idle_wall_s = 0.0
        self._asked = False
        self._headed = False
        self._interim = False  # the head that is read is a 1xx one
        self._framed = False  # the body says where it ends
        self._keep = False
        self._sending = False
        self._more = False  # something came behind the answer
        self._dry = 0  # [bytes] that came and were no body
        self._head_size = 0
        self._pieces: list[bytes] = []
        self._held = 0  # [bytes] in them
        self._error: Ended | None = None
        self._sink: Sink | None = None  # takes pieces as they come
        self._waits: Awaitable[None] | None = None  # what it asked to wait for
        self._thrown: Exception | None = None  # what it raised
        self._on_end: Callable[[], None] | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None  # of whoever waits for the answer
        self._room: asyncio.Future[None] | None = None  # of whoever waits until it may write on
        self._full = False

    # -- what a caller does ------------------------------------------------------------------------------------------

    async def ask(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer.

        Raises:
            ClosedEarly: no answer came. When `heard` is still False, nothing of one.
            NotHttp: what came is no answer.
            NoAnswer: `give_up` was called.
        """
        self._asked, self._headed, self.heard, self.whole = True, False, False, False
        self._framed = self._keep = self._interim = False
        self._dry = self._head_size = 0
        self.fields = []
        if len(body) <= JOINED:
            self._transport.write(head + body)
        elif len(body) <= 4 * PIECE:
            self._transport.write(head)
            self._transport.write(body)
        else:
            await self._send(head, body)
        while not self._headed and self._error is None:
            await self._wait()
        if not self._headed and self._error is not None:
            raise self._error

    async def read(self) -> bytes:
        """Return what has come of the body since the last time, waiting for it if need be; b"" at its end.

        Raises:
            Cut, NotHttp, Silent: it ended otherwise; what had come before has been returned.
        """
        while not self._pieces:
            if self.whole:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._taken()

    async def pour(self, sink: Sink) -> None:
        """Give what comes of the body to `sink`, as it comes, until that is done or the body has ended.

        Raises:
            Cut, NotHttp, Silent: as `read`; and what the sink raises.
        """
        while not sink.done:
            if self._pieces:
                waits = sink.take(self._taken())
                if waits is not None:
                    await waits
            elif self.whole:
                return
            elif self._error is not None:
                raise self._error
            else:
                await self._flow(sink)

    async def _flow(self, sink: Sink) -> None:
        """Let `buffer_updated` feed the sink until something is to be done here."""
        self._sink, self._waits, self._thrown = sink, None, None
        try:
            await self._wait()
        except asyncio.CancelledError:
            if isinstance(self._waits, Coroutine):
                self._waits.close()
            raise
        finally:
            self._sink = None
        if self._thrown is not None:
            raise self._thrown
        if self._waits is not None:
            await self._waits

    def _feed(self, sink: Sink) -> None:
        try:
            self._waits = sink.take(self._taken())
        except Exception as error:  # noqa: BLE001 - raised again where the sink was given
            self._thrown = error
        if self._waits is not None or self._thrown is not None or sink.done or self.whole:
            self._sink = None
            self._wake()

    def _taken(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._held = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def let_end(self, on_end: Callable[[], None]) -> None:
        """Read the rest of an answer that says no more, and call `on_end` once, whole or not."""
        self._pieces.clear()
        self._on_end = on_end

    def give_up(self) -> None:
        """End the exchange because nothing came in time."""
        self._fail(Silent() if self._headed else NoAnswer())

    def close(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def usable(self) -> bool:
        """Whether another request can go out on it."""
        return (
            self._error is None
            and self._keep
            and self.whole
            and not (self._more or self._sending or self._pieces)
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0
        )

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self.waits_since = loop.time()
        try:
            await self._waiter
        finally:
            self._waiter = self.waits_since = None

    async def _send(self, head: bytes, body: bytes) -> None:
        """Send a large request in pieces, so that others get their turn; stop when the answer is there already."""
        self._sending = True
        self._transport.write(head)
        view = memoryview(body)
        for at in range(0, len(body), PIECE):
            if self._headed or self._error is not None:
                return
            self._transport.write(view[at : at + PIECE])
            if self._full:
                self._room = asyncio.get_running_loop().create_future()
                try:
                    await self._room
                finally:
                    self._room = None
        self._sending = False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tell_end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    def _make_room(self) -> None:
        self._full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _fail(self, error: Ended) -> None:
        """End the exchange; the first reason stays."""
        self._error = self._error or error
        self.close()
        self._make_room()
        self._wake()
        self._tell_end()

    # -- what the event loop tells -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = HttpResponseParser(self)
        # As browsers and other clients: what real servers send besides the letter of the RFC.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    def get_buffer(self, _sizehint: int) -> memoryview:
        """Return what is to be read into."""
        return self._read_into

    def buffer_updated(self, nbytes: int) -> None:
        """Read on."""
        if not self._asked or self.whole:
            # Nobody asked: what comes now would pass for the next request's answer.
            self._more = True
            self.close()
            return
        self.heard = True
        self._dry += nbytes
        try:
            self._parser.feed_data(self._read_into[:nbytes])
        except (HttpParserError, HttpParserUpgrade):
            if not self.whole:
                self._fail(NotHttp())
            self._more = True
        if self._dry > MAX_HEAD and not self.whole:
            self._fail(NotHttp())
        if self._on_end is not None:
            self._pieces.clear()
        if self._sink is not None and self._pieces:
            self._feed(self._sink)
        elif self._pieces or self.whole or self._headed:
            self._wake()
        if self.whole:
            self._tell_end()
        if self._held > HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._keep = False
        if self._asked and not self.whole:
            if self._headed and not self._framed and exc is None:
                self.whole = True
                self._wake()
                self._tell_end()
                return
            self._fail(Cut() if self._headed else ClosedEarly())
        self._make_room()

    def pause_writing(self) -> None:
        """Enough is waiting to be sent."""
        self._full = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._make_room()

    # -- what the parser tells ---------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note an answer that nobody asked for."""
        self._more = self._more or self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; also a trailer's, which nobody reads."""
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD:
            raise NotHttp
        if not self._headed:
            self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Take the status; one below 200 announces the answer, and is none."""
        status = self._parser.get_status_code()
        if status < 200:
            self._interim = True
            self.fields.clear()
            return
        if self.whole:
            return
        self._framed = status in (204, 304) or any(
            name == b"content-length"
            or (name == b"transfer-encoding" and b"chunked" in value.lower())
            for name, value in self.fields
        )
        self.status = status
        self._headed = True
        if self._room is not None:
            self._make_room()  # whoever sends stops: an upstream that refuses may read no further

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self.whole:
            return
        self._dry = 0
        self._held += len(data)
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the answer."""
        if self._interim:
            self._interim = False
            return
        self.whole = True
        self._keep = self._parser.should_keep_alive()
