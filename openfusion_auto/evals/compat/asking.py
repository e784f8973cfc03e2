"""One request to a gateway and all of its answer: no redirect is followed, no proxy asked, sizes are bounded."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.evals.compat.outcome import Unknown, Wrong
from openfusion_auto.upstream.connection import ClosedEarly, Connection, Cut, NotHttp
from openfusion_auto.upstream.connections import Connections
from openfusion_auto.upstream.http import PATH_SAFE, fields, with_more
from openfusion_auto.upstream.inflate import coding
from openfusion_auto.upstream.registry import ANTHROPIC_VERSION
from openfusion_auto.wire.sse import Frame, SseReader

MAX_ANSWER = 4 * 2**20  # [bytes] the longest right one has some 10 KB
CONNECT_S = 5.0


class Journal(Protocol):
    """What a scripted model saw and said, by a word that stands in the request."""

    def exchange(self, word: str) -> tuple[bytes, bytes] | None:
        """Return the request that holds `word` and the answer to it, both as they crossed the wire."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway to be probed.

    Attributes:
        name: Heads its column.
        base_url: Up to and with `/v1`.
        model: Asked for in each request; "" while nobody knows one.
        key: Sent to this address and no other.
        headers: Sent with each request.
        behind: The dialects of the scripted model behind it; None when a real model answers, or nobody knows.
        journal: Of that model, where it runs in this process.
    """

    name: str
    base_url: str
    model: str = ""
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    behind: frozenset[Dialect] | None = None
    journal: Journal | None = field(default=None, repr=False)

    @property
    def scripted(self) -> bool:
        """Whether what the model says is known beforehand."""
        return self.behind is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came."""

    status: int
    kind: str
    raw: bytes

    def frames(self) -> list[Frame]:
        """Return the events of a stream; `Wrong` when it is none, or not UTF-8."""
        if self.kind != "text/event-stream":
            raise Wrong("a stream was asked for, and its content type is not text/event-stream")
        try:
            self.raw.decode()
        except UnicodeDecodeError:
            raise Wrong("the stream is not UTF-8: a character was cut or changed") from None
        reader = SseReader()
        try:
            found = [*reader.feed(self.raw), *reader.close()]
        except UpstreamBroken:
            raise Wrong("an event of the stream is too long") from None
        return [f for f in found if f.data is not None]


async def ask(target: Target, dialect: Dialect | None, path: str, body: bytes | None) -> Answer:
    """Send a GET, or a POST with a body, and return the answer.

    Raises:
        Unknown: nobody there.
        Wrong: an answer that is no HTTP, is cut, or is larger than `MAX_ANSWER`.
    """
    connections = Connections(target.base_url, CONNECT_S)
    try:
        connection = await connections.make()
    except ssl.SSLError:
        raise Unknown(
            "no secure connection: no TLS there, or a certificate nobody vouches for"
        ) from None
    except (OSError, UnicodeError):  # a TimeoutError is one; the other, a name that is none
        raise Unknown("no connection") from None
    try:
        await connection.ask(head_of(target, dialect, path, body), body or b"")
        return await read_answer(connection)
    except ClosedEarly:
        raise Wrong("the connection was closed without an answer") from None
    except Cut:
        raise Wrong("the connection was closed inside the answer") from None
    except NotHttp:
        raise Wrong("the answer is no HTTP as it should be") from None
    finally:
        connection.close()
        connections.close()


def head_of(target: Target, dialect: Dialect | None, path: str, body: bytes | None) -> bytes:
    """Return the head of a request, with the key where the dialect's clients put it."""
    parts = urlsplit(target.base_url)
    headers = {
        "Host": parts.netloc,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "User-Agent": "openfusion-compat",
        "Connection": "close",
    }
    if dialect == "messages":
        headers["anthropic-version"] = ANTHROPIC_VERSION
    if target.key and dialect == "messages":
        headers["x-api-key"] = target.key
    elif target.key:
        headers["Authorization"] = f"Bearer {target.key}"
    if body is not None:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    verb = "GET" if body is None else "POST"
    where = quote(parts.path.rstrip("/") + path, safe=PATH_SAFE)
    return (
        f"{verb} {where} HTTP/1.1\r\n".encode()
        + fields(with_more(headers, target.headers))
        + b"\r\n"
    )


async def read_answer(connection: Connection) -> Answer:
    """Read an answer to its end."""
    sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in connection.fields}
    if coding(sent.get("content-encoding", "")):
        raise Wrong("the answer is compressed, and plain bytes were asked for")
    raw = bytearray()
    while chunk := await connection.read():
        raw += chunk
        if len(raw) > MAX_ANSWER:
            raise Wrong(f"the answer is larger than {MAX_ANSWER} bytes")
    kind = sent.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(connection.status, kind, bytes(raw))
