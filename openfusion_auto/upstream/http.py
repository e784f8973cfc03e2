"""Calls over HTTP: one client session for the process, four timeouts, and one translation of foreign errors.

Nothing of an upstream's answer is trusted: redirects are not followed, cookies not kept, sizes bounded.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.errors import (
    FusionError,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from openfusion_auto.upstream.base import Call
from openfusion_auto.wire.errors import upstream_failure

MAX_BODY = 64 * 2**20  # [bytes] an answer larger than this is a defect of the upstream
MAX_ERROR_BODY = 64 * 2**10  # [bytes] read of an error answer
LARGE_BODY = (
    2**20
)  # [bytes] a request above it goes out in pieces: in one, writing it would hold all others up


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


# Foreign exception -> ours, first match wins. Messages name no host and no body.
TRANSLATIONS: tuple[tuple[type[BaseException], type[FusionError], str], ...] = (
    (aiohttp.ConnectionTimeoutError, UpstreamUnreachable, "no connection in time"),
    (aiohttp.ServerTimeoutError, UpstreamTimeout, "it fell silent"),
    (TimeoutError, UpstreamTimeout, "no answer in time"),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "no connection"),
    (ssl.SSLError, UpstreamUnreachable, "no secure connection"),
    (
        aiohttp.ServerDisconnectedError,
        UpstreamUnreachable,
        "it closed the connection before answering",
    ),
    (aiohttp.ClientOSError, UpstreamUnreachable, "the connection broke"),
    (aiohttp.ClientPayloadError, UpstreamBroken, "the answer was cut"),
    (aiohttp.ClientError, UpstreamBroken, "the answer is not HTTP as it should be"),
    (ConnectionError, UpstreamUnreachable, "the connection broke"),
    (ValueError, UpstreamBroken, "the answer is not HTTP as it should be"),
)


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Turn any exception of the HTTP library into one of ours, naming upstream `name`."""
    try:
        yield
    except FusionError:
        raise
    except tuple(t[0] for t in TRANSLATIONS) as error:
        for foreign, ours, says in TRANSLATIONS:
            if isinstance(error, foreign):
                raise ours(f"upstream {name}: {says}") from None
        raise


class HttpOpened:
    """An answer over HTTP whose head has arrived.

    One timer a stream, not one a chunk: it looks when the last chunk came and cuts a connection that is silent.
    """

    def __init__(
        self,
        name: str,
        response: aiohttp.ClientResponse,
        timeouts: Timeouts,
        opened_s: float,
        *,
        stream: bool,
    ) -> None:
        self._name = name
        self._response = response
        self._idle_s = timeouts.idle_s
        self._loop = asyncio.get_running_loop()
        first_s = timeouts.first_token_s if stream else max(timeouts.first_token_s, timeouts.idle_s)
        self._quiet_until = opened_s + first_s
        self._end_by = float("inf") if stream else opened_s + timeouts.total_s
        self._timed_out = False
        self._timer = self._loop.call_at(min(self._quiet_until, self._end_by), self._look)
        self.content_type = response.content_type.lower()

    def _look(self) -> None:
        now = self._loop.time()
        due = min(self._quiet_until, self._end_by)
        if now < due:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._timed_out = True
        self._response.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, at most `MAX_BODY` bytes when it is not an event stream."""
        reader = self._response.content
        bounded = self.content_type != "text/event-stream"
        seen = 0
        with translate_errors(self._name):
            while True:
                try:
                    chunk = await reader.readany()
                except aiohttp.ClientError:
                    if self._timed_out:
                        raise UpstreamTimeout(f"upstream {self._name}: it fell silent") from None
                    raise
                if not chunk:
                    return
                self._quiet_until = self._loop.time() + self._idle_s
                seen += len(chunk)
                if bounded and seen > MAX_BODY:
                    raise UpstreamBroken(
                        f"upstream {self._name}: the answer is larger than {MAX_BODY} bytes"
                    )
                yield chunk

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, else cut it."""
        self._timer.cancel()
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


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
        self._base = base_url.rstrip("/")
        self._url = self._base + path
        self._headers = {
            **headers,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "openfusion_auto",
        }
        self._timeouts = timeouts
        # What must not come back in an error's text: the key, and where we call.
        self._secrets = (*secrets, urlsplit(base_url).netloc, urlsplit(base_url).hostname or "")
        self._session: aiohttp.ClientSession | None = None  # noqa: TID251 - this module is the one place

    def _client(self) -> aiohttp.ClientSession:  # noqa: TID251 - this module is the one place
        if self._session is None:
            t = self._timeouts
            self._session = aiohttp.ClientSession(  # noqa: TID251 - this module is the one place
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=t.connect_s),
                max_line_size=32 * 1024,
                max_field_size=32 * 1024,
                auto_decompress=True,
            )
        return self._session

    async def open(self, call: Call) -> HttpOpened:
        """Send the call and wait for the head; see `Upstream.open`."""
        t = self._timeouts
        opened_s = asyncio.get_running_loop().time()
        # An answer that is not streamed shows its head only when it is whole.
        head_s = t.first_token_s if call.stream else min(t.total_s, max(t.first_token_s, t.idle_s))
        headers = {**self._headers, **call.headers} if call.headers else self._headers
        data = call.body if len(call.body) <= LARGE_BODY else io.BytesIO(call.body)
        url = self._url if call.path is None else self._base + call.path
        with translate_errors(self.name):
            async with asyncio.timeout(head_s):
                response = await self._client().post(
                    url, data=data, headers=headers, allow_redirects=False
                )
                if response.status == 200:
                    return HttpOpened(self.name, response, t, opened_s, stream=call.stream)
                raise await self._failure(response)

    async def _failure(self, response: aiohttp.ClientResponse) -> FusionError:
        """Read at most `MAX_ERROR_BODY` bytes of an error answer and say what it means."""
        try:
            body = await response.content.read(MAX_ERROR_BODY)
        except (aiohttp.ClientError, ConnectionError):
            body = b""  # the status alone says enough
        finally:
            response.close()
        now_s = time.time()  # noqa: TID251 - a Retry-After may be a date
        return upstream_failure(
            response.status, response.headers, body, now_s, secrets=self._secrets
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
