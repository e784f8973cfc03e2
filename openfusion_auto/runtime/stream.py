"""The client's side of a streamed answer: what is sent, when the head goes out, what keeps it alive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import FusionError, UpstreamBroken
from openfusion_auto.runtime.cache import Tape
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.guard import Guard
from openfusion_auto.wire.codec import Writer
from openfusion_auto.wire.jsons import dumps
from openfusion_auto.wire.telling import Telling

Send = Callable[[bytes], Awaitable[None]]
SendNow = Callable[[bytes], bool]
Watch = Callable[[], Mapping[str, object]]


def never(_data: bytes) -> bool:
    """Send nothing at once: each write is awaited."""
    return False


class Outlet(Protocol):
    """Where a call's events go as they come: the client, or what stands before it while two calls run."""

    @property
    def started(self) -> bool:
        """Whether a byte of the answer has gone out: from then on nothing can be retried."""
        ...

    def fresh(self, fits: Fits | None = None) -> None:
        """Forget what was held of an attempt that came to nothing.

        Args:
            fits: Hold the next attempt's answer from a first call on that breaks its schema by this.
        """
        ...

    @property
    def held(self) -> bool:
        """Whether the answer is held because of such a call."""
        ...

    def push(self, deltas: Iterable[Delta]) -> Awaitable[None] | None:
        """Pass events on, at once or when it is awaited; see `ClientStream.push` for what is raised."""
        ...

    async def relay(self, deltas: Iterable[Delta]) -> None:
        """Pass events on; see `ClientStream.relay` for what is raised."""
        ...

    async def whole(self) -> None:
        """Note that a whole answer has been passed on."""
        ...


class ClientStream:
    """One streamed answer on its way to a client.

    Args:
        telling: How answers to the request are written.
        send: Sends bytes; the first call sends the head. It raises when the client is gone.
        clock: For the time of the last byte.
        send_now: Sends bytes at once, behind the head, and returns True; False when too much waits for the client
            already: then `send` waits until there is room. It raises when the client is gone.
        guarded: Hold tool calls until they are whole.
        model: Name to report instead of the upstream's, or None.

    Attributes:
        head_sent: The status and headers are with the client.
        patient: Inner calls run before the answer: keep-alives may send the head.
        relayed: A whole answer has been passed on; only `end` is missing.
        tape: Takes down what is passed on, where the answer may be kept.
        watch: Tells how the calls go, where the client asked for that.
    """

    def __init__(
        self,
        telling: Telling,
        send: Send,
        clock: Clock,
        *,
        guarded: bool,
        model: str | None,
        send_now: SendNow = never,
    ) -> None:
        self._telling = telling
        self._send = send
        self._send_now = send_now
        self._clock = clock
        self._guarded = guarded
        self._model = model
        self._writer = self._new_writer()
        self._guard: Guard | None = None
        # An answer that was held: nothing of it is out.
        self._aside: tuple[Writer, list[Delta]] | None = None
        self.head_sent = False
        self.relayed = False
        self.patient = False
        self.tape: Tape | None = None
        self.last_s = clock.now()
        self.watch: Watch | None = None
        self._reported = b""

    def _new_writer(self) -> Writer:
        return self._telling.writer(guarded=self._guarded, model=self._model)

    @property
    def started(self) -> bool:
        """Whether a byte of the answer has gone out: from then on nothing can be retried."""
        return self._writer.started

    @property
    def held(self) -> bool:
        """See `Outlet`."""
        return self._guard is not None and self._guard.misfit is not None

    def fresh(self, fits: Fits | None = None) -> None:
        """See `Outlet`. An answer that is held can be told later (`recall`)."""
        self._set_aside()
        self.relayed = False
        self._guard = None if fits is None else Guard(fits)
        if self.tape is not None:
            self.tape.clear()
        self._writer = self._new_writer()

    def _set_aside(self) -> None:
        if self._guard is not None and self._guard.misfit is not None:
            self._aside = self._writer, self._guard.kept

    async def recall(self) -> None:
        """Pass on the answer that was held, as it came: only `end` is missing. It is not taken down."""
        self._set_aside()
        if self._aside is not None:
            self.tape = self._guard = None
            self._writer, kept = self._aside
            await self.relay(kept)
            self.relayed = True

    def push(self, deltas: Iterable[Delta]) -> Awaitable[None] | None:
        """Pass events on in one write, at once where that can be; else return what does it when it is awaited.

        Raises:
            ConnectionError: the client is gone. What `relay` raises comes from what is returned.
        """
        data, broken = self._told(deltas)
        if broken is not None or (data and not self._pass_now(data)):
            return self._pass(data, broken)
        return None

    async def relay(self, deltas: Iterable[Delta]) -> None:
        """Pass events on in one write.

        Raises:
            UpstreamBroken: an event says that the answer broke; what came before it has been passed on.
        """
        await self._pass(*self._told(deltas))

    def _told(self, deltas: Iterable[Delta]) -> tuple[bytes, FusionError | None]:
        """Return the bytes that tell the events, and what broke them off."""
        out = []
        broken: FusionError | None = None
        for delta in deltas:
            if delta.error is not None:
                broken = delta.failure or UpstreamBroken(delta.error)
                break
            if self._guard is not None and self._is_held(self._guard, delta):
                continue
            if self.tape is not None:
                self.tape.take(delta)
            try:
                out.append(self._writer.write(delta))
            except UpstreamBroken as error:
                broken = error
                break
        return out[0] if len(out) == 1 else b"".join(out), broken

    def _is_held(self, guard: Guard, delta: Delta) -> bool:
        """Whether an event is held back: never once something has gone out."""
        if self._writer.started:
            self._guard = None
            return False
        return guard.holds(delta)

    def _pass_now(self, data: bytes) -> bool:
        if not self.head_sent or not self._send_now(data):
            return False
        self.last_s = self._clock.now()
        return True

    async def _pass(self, data: bytes, broken: FusionError | None) -> None:
        await self._write(data)
        if broken is not None:
            raise broken

    async def whole(self) -> None:
        """Note that a whole answer has been passed on: only `end` is missing."""
        self.relayed = True

    async def end(self, trace: Mapping[str, object] | None, usage: Usage | None) -> None:
        """Send what was held, the trace on the last data object, and the terminal event."""
        await self._write(self._writer.finish(trace, usage))

    async def fail(self, error: FusionError) -> None:
        """Send the dialect's error event; nothing follows it."""
        await self._write(self._writer.fail(error))

    def cut(self, error: FusionError) -> None:
        """Send the dialect's error event and the stream's end at once, where it has begun and there is room.

        Whoever calls this ends the connection next: what else writes to it is cut off in the middle.

        Raises:
            ConnectionError: the client is gone.
        """
        if self.head_sent and self._send_now(self._writer.fail(error)):
            self._send_now(b"")  # a chunk of nothing is the last one

    async def keep_alive(self) -> None:
        """Send what keeps the client waiting: at first what its dialect opens a stream with, where it has that."""
        opening = b"" if self.head_sent else self._telling.opening(self._telling.prompt.model)
        await self._write(opening or self._writer.keep_alive())

    async def report(self) -> None:
        """Tell who asked for it how the calls go, as a comment of the stream: what is new, until the answer begins."""
        if self.watch is None or self._writer.started:
            return
        said = b": openfusion " + dumps(self.watch()) + b"\n\n"
        if said == self._reported:
            return
        self._reported = said
        opening = b"" if self.head_sent else self._telling.opening(self._telling.prompt.model)
        await self._write(opening + said)

    async def _write(self, data: bytes) -> None:
        if data:
            self.last_s = self._clock.now()
            self.head_sent = True
            await self._send(data)
