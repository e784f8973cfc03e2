"""What every upstream is: something that takes one call and opens one answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from openfusion_auto.core.prompt import Dialect


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one model, already rendered in the upstream's dialect.

    `headers` are extra headers of this call only (session affinity); never the client's credentials. `path` below
    the upstream's base URL is for what is no conversation (embeddings); None is where the dialect is spoken.
    """

    model: str
    body: bytes
    stream: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None


class Opened(Protocol):
    """An answer with status 200 whose head has arrived. `close` may be called at any time, also twice.

    Attributes:
        content_type: Media type without parameters, lower case.
    """

    content_type: str

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises `UpstreamError` when it breaks or stays silent too long."""
        ...

    async def close(self) -> None:
        """Give the connection back, or cut it when the body was not read to its end."""
        ...


class Sink(Protocol):
    """Where a body goes, piece by piece, without a task that wakes for each.

    Attributes:
        done: Nothing more is wanted.
    """

    @property
    def done(self) -> bool:
        """See above."""
        ...

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece; what is returned must be awaited before the next one. Raises to end the pouring."""
        ...


@runtime_checkable
class Pours(Protocol):
    """An `Opened` that can give its body to a sink by itself."""

    async def pour(self, sink: Sink) -> None:
        """Give each piece to `sink` in the event loop's own call, until it is done or the body ends.

        Raises:
            UpstreamError: as `Opened.chunks`; and what the sink raises.
        """
        ...


async def pour(opened: Opened, sink: Sink) -> None:
    """Give an answer's body to `sink`, as directly as the answer can; see `Pours.pour`."""
    if isinstance(opened, Pours):
        await opened.pour(sink)
    else:
        await pour_chunks(opened.chunks(), sink)


async def pour_chunks(chunks: AsyncIterator[bytes], sink: Sink) -> None:
    """Give `sink` what an iterator yields, until it is done."""
    async for chunk in chunks:
        waits = sink.take(chunk)
        if waits is not None:
            await waits
        if sink.done:
            return


class Upstream(Protocol):
    """A place that serves models in one dialect."""

    dialect: Dialect

    async def open(self, call: Call) -> Opened:
        """Send the call and wait for the head of a 200 answer.

        Raises:
            UpstreamError: any other status, no connection, a redirect, silence; see `errors.py`.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
