"""Calls over HTTP: kept connections, one timer a call, and one translation of what can go wrong.

Nothing of an upstream's answer is trusted: redirects are not followed, cookies not kept, sizes bounded. Proxies that
the environment names are not used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.errors import (
    FusionError,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
    without_files,
)
from openfusion_auto.upstream.base import Call, Sink, pour_chunks
from openfusion_auto.upstream.connection import (
    ClosedEarly,
    Connection,
    Cut,
    Ended,
    NoAnswer,
    NotHttp,
    Silent,
)
from openfusion_auto.upstream.connections import Connections
from openfusion_auto.upstream.inflate import Garbled, Inflater, coding
from openfusion_auto.wire.errors import upstream_failure

# With a body that is an answer. 201 is what some frameworks say to every POST unless told otherwise.
ANSWERS = frozenset({200, 201, 203})
# [s] in which a kept connection that the other side had closed before says so: a round trip. One that ends later was
# at work on the request, and that is for `core/backoff.py` to judge.
REUSE_S = 2.0
MAX_BODY = 64 * 2**20  # [bytes] an answer larger than this is a defect of the upstream
# [bytes] of a stream, inflated. What is held of it is in memory, and one without an end would take all of it. 128,000
# tokens, an event each, with 20 alternatives and their log-probabilities, stay below.
MAX_STREAM = 512 * 2**20
MAX_ERROR_BODY = 64 * 2**10  # [bytes] read of an error answer
PATH_SAFE = "/%:@!$&'()*+,;=~"  # beside letters, digits and `-._`: RFC 3986, section 3.3


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to the first byte, between two reads, and for a whole answer that is not streamed.

    A stream has no total: a healthy long one is never cut. An answer that is not streamed is silent until it is
    whole, so the longer of `first_token_s` and `idle_s` bounds its silence.
    """

    connect_s: float = 5.0
    first_token_s: float = 60.0
    idle_s: float = 120.0
    total_s: float = 900.0


# What goes wrong below -> our error, first match wins. Messages name no host and no body.
TRANSLATIONS: tuple[tuple[type[Exception], type[FusionError], str], ...] = (
    (NoAnswer, UpstreamTimeout, "no answer in time"),
    (Silent, UpstreamTimeout, "it fell silent"),
    (TimeoutError, UpstreamUnreachable, "no connection in time"),
    (ClosedEarly, UpstreamUnreachable, "it closed the connection before answering"),
    (Cut, UpstreamBroken, "the answer was cut"),
    (NotHttp, UpstreamBroken, "the answer is not HTTP as it should be"),
    (Garbled, UpstreamBroken, "the answer's encoding is broken or unknown"),
    (ssl.SSLCertVerificationError, UpstreamUnreachable, "no secure connection: its certificate"),
    (ssl.SSLError, UpstreamUnreachable, "no secure connection"),
    (socket.gaierror, UpstreamUnreachable, "no connection: its host name is not found"),
    (OSError, UpstreamUnreachable, "no connection"),
)
OTHER_NAME = frozenset({62, 63, 64})  # X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_, _IP_ADDRESS_
FOREIGN = tuple(foreign for foreign, _, _ in TRANSLATIONS)


def translated(name: str, error: Exception) -> FusionError:
    """Return our error for one of the layers below, naming upstream `name`."""
    own = without_files(error)
    if own is not None:
        return own
    ours, says = next((o, s) for foreign, o, s in TRANSLATIONS if isinstance(error, foreign))
    if isinstance(error, ssl.SSLCertVerificationError):
        # OpenSSL's own words, but where Python puts the host's name into them.
        other = error.verify_code in OTHER_NAME
        says += " is another host's" if other else f" is refused ({error.verify_message})"
    return ours(f"upstream {name}: {says}")


def wall_s() -> float:
    """Return the wall clock [s since 1970]."""
    return time.time()  # noqa: TID251 - a Retry-After may be a date, and other clocks stop while a machine sleeps


class HttpOpened:
    """A call over HTTP: its request, then its answer, piece by piece.

    One timer a call, not one a chunk: it looks when the last chunk came and cuts a connection that is silent.
    """

    def __init__(
        self,
        name: str,
        connection: Connection,
        connections: Connections,
        timeouts: Timeouts,
        *,
        stream: bool,
    ) -> None:
        self.content_type = ""
        self._name = name
        self._connection = connection
        self._connections = connections
        self._released = False
        self._begun = False  # a piece of the body has come
        self._sink: Sink | None = None
        self._idle_s = timeouts.idle_s
        self._loop = asyncio.get_running_loop()
        self._encoding = ""
        self._seen = 0  # [bytes] of the body
        self._most = MAX_BODY
        now = self._loop.time()
        # An answer that is not streamed shows its head only when it is whole.
        first_s = timeouts.first_token_s if stream else max(timeouts.first_token_s, timeouts.idle_s)
        self._end_by = float("inf") if stream else now + timeouts.total_s
        self._due = self._looks_at = min(now + first_s, self._end_by)
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now_s, since_s = self._loop.time(), self._connection.waits_since
        if self._begun:
            # Silence is what the upstream leaves us waiting for: not what a slow client makes it wait.
            quiet_s = now_s if since_s is None else since_s
            self._due = min(max(self._due, quiet_s + self._idle_s), self._end_by)
        if now_s < self._due:
            self._look_later()
        else:
            self._connection.give_up()

    def _look_later(self) -> None:
        self._timer.cancel()
        self._looks_at = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    async def ask(self, head: bytes, body: bytes) -> int:
        """Send the request and return the status of its answer. Raises what `Connection.ask` does."""
        await self._connection.ask(head, body)
        for name, value in self._connection.fields:
            if name == b"content-type":
                kind = value.decode("latin-1").partition(";")[0].strip().lower()
                # A type that is none is that of bytes that nobody knows (RFC 9110, section 8.3).
                self.content_type = kind if "/" in kind else "application/octet-stream"
            elif name == b"content-encoding":
                self._encoding = coding(value.decode("latin-1"))
        if self.content_type == "text/event-stream":
            self._most = MAX_STREAM
        return self._connection.status

    def headers(self) -> dict[str, str]:
        """Return the answer's header fields, names in lower case; of several with one name the last."""
        return {n.decode("latin-1"): v.decode("latin-1") for n, v in self._connection.fields}

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body as it comes, at most `MAX_BODY` bytes of it, of an event stream `MAX_STREAM`."""
        return self._inflated() if self._encoding else self

    async def pour(self, sink: Sink) -> None:
        """Give each piece of the body to `sink`; see `Pours.pour`."""
        self._sink = sink
        if self._encoding:
            await pour_chunks(self._inflated(), sink)
            return
        try:
            await self._connection.pour(self)
        except Ended as error:
            raise translated(self._name, error) from None

    @property
    def done(self) -> bool:
        """Whether the sink has had all it wants."""
        return self._sink is not None and self._sink.done

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Pass a piece on to the sink."""
        self._progress()
        self._count(len(chunk))
        return None if self._sink is None else self._sink.take(chunk)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._read()
        if not chunk:
            raise StopAsyncIteration
        self._count(len(chunk))
        return chunk

    async def _read(self) -> bytes:
        try:
            chunk = await self._connection.read()
        except Ended as error:
            raise translated(self._name, error) from None
        self._progress()
        return chunk

    def _progress(self) -> None:
        """Move the time at which silence is too long; the timer stays where it is unless it would be late."""
        self._begun = True
        due = self._loop.time() + self._idle_s
        self._due = min(due, self._end_by)
        if self._due < self._looks_at:
            self._look_later()

    async def _inflated(self) -> AsyncIterator[bytes]:
        try:
            inflater = Inflater(self._encoding)
            while chunk := await self._read():
                for piece in inflater.feed(chunk):
                    self._count(len(piece))
                    yield piece
            inflater.finish()
        except Garbled as error:
            raise translated(self._name, error) from None

    def _count(self, size: int) -> None:
        self._seen += size
        if self._seen > self._most:
            raise UpstreamBroken(
                f"upstream {self._name}: the answer is larger than {self._most} bytes"
            )

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, or the sink had all it wants; else cut it."""
        self.release()

    def release(self) -> None:
        """As `close`, for who does not wait."""
        if not self._released:
            self._released = True
            self._timer.cancel()
            if self.done:
                self._connections.give_back_later(self._connection)
            else:
                self._connections.give_back(self._connection)


class HttpUpstream:
    """An upstream over HTTP; see `upstream/base.py`. What differs by dialect is the path and the key's header."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        dialect: Dialect,
        path: str,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.dialect: Dialect = dialect
        parts = urlsplit(base_url)
        self._base = quote(parts.path.rstrip("/"), safe=PATH_SAFE)
        self._path = self._base + path
        self._headers = {
            **headers,
            "Host": parts.netloc.lower(),
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "openfusion_auto",
        }
        self._fields = fields(self._headers)
        self._timeouts = timeouts
        # What must not come back in an error's text: the key, and where we call.
        self._secrets = (*secrets, parts.netloc, parts.hostname or "")
        self._connections = Connections(base_url, timeouts.connect_s, wall_s)

    async def open(self, call: Call) -> HttpOpened:
        """Send the call and wait for the head; see `Upstream.open`."""
        path = self._path if call.path is None else self._base + call.path
        lines = fields(with_more(self._headers, call.headers)) if call.headers else self._fields
        head = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n"
        try:
            opened, status = await self._ask(head % (path.encode(), lines, len(call.body)), call)
        except FOREIGN as error:
            raise translated(self.name, error) from None
        if status in ANSWERS:
            return opened
        raise await self._failure(opened, status)

    async def _ask(self, head: bytes, call: Call) -> tuple[HttpOpened, int]:
        """Return the call with its answer's status.

        A kept connection may be closed by the other side just then. When it ends at once and not a byte has come on it,
        the request is sent once more, on a new one (RFC 9112, section 9.3.1).
        """
        loop = asyncio.get_running_loop()
        kept = self._connections.take_idle()
        while True:
            connection = kept or await self._connections.make()
            asked_s = loop.time()
            opened = HttpOpened(
                self.name, connection, self._connections, self._timeouts, stream=call.stream
            )
            try:
                return opened, await opened.ask(head, call.body)
            except ClosedEarly:
                opened.release()
                if kept is None or connection.heard or loop.time() - asked_s > REUSE_S:
                    raise
                kept = None  # others may be closed too, and each further try is a request
            except BaseException:
                opened.release()
                raise

    async def _failure(self, opened: HttpOpened, status: int) -> FusionError:
        """Read at most `MAX_ERROR_BODY` bytes of an error answer and say what it means."""
        body = bytearray()
        try:
            async for chunk in opened.chunks():
                body += chunk
                if len(body) >= MAX_ERROR_BODY:
                    break
        except FusionError:
            pass  # the status alone says enough
        finally:
            headers = opened.headers()
            await opened.close()
        return upstream_failure(
            status, headers, bytes(body[:MAX_ERROR_BODY]), wall_s(), secrets=self._secrets
        )

    async def close(self) -> None:
        """Close the connections that are idle; those in use end with their calls."""
        self._connections.close()


def with_more(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return `headers` with `more`, which stand for those of the same name in any case."""
    replaced = {name.lower() for name in more}
    return {**{n: v for n, v in headers.items() if n.lower() not in replaced}, **more}


def fields(headers: Mapping[str, str]) -> bytes:
    """Return header fields as they stand in a request's head.

    Raises:
        UpstreamBroken: a value that would end its line: never sent.
    """
    text = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or "\0" in text:
        raise UpstreamBroken("a header of the request is not one line")
    return text.encode("utf-8", "surrogateescape")
