"""What the readers of all dialects' streams do alike: frames in, deltas out, and where a stream is over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from openfusion_auto.core.prompt import Answer, Delta, Dialect
from openfusion_auto.errors import FusionError, UpstreamBroken
from openfusion_auto.wire.sse import LIMIT, Frame, SseReader

ERROR_EVENT = "the upstream sent an error event"
CUT_SHORT = "cut: the upstream's stream ended before its answer was finished"


class StreamReader(ABC):
    """Reads one stream. `feed` what comes, `close` when it is over; `answer` is what was read so far.

    The last delta is `done` or has an `error`; what comes behind is dropped. An error's text is our own, with at
    most the upstream's error code in it.

    Args:
        limit: Longest event [bytes].
        keep: Keep the deltas for `answer()`; False saves their memory where nobody replays them.
        seed: Makes the ids of calls that come without one differ from those of other answers.
    """

    dialect: ClassVar[Dialect]

    def __init__(self, limit: int = LIMIT, *, keep: bool = True, seed: str = "") -> None:
        self._sse = SseReader(limit)
        self._keep = keep
        self._seed = seed
        self._over = False
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._model: str | None = None
        self._deltas: list[Delta] = []

    def feed(self, data: bytes) -> list[Delta]:
        """Return the deltas of the events that `data` completes."""
        if self._over:
            return []
        try:
            frames = self._sse.feed(data)
        except UpstreamBroken:
            return [self._fail("an event is too long")]
        return self._read_all(frames, last=False)

    def close(self) -> list[Delta]:
        """Return what the end of the input means: `done` after a finished answer, else an error."""
        if self._over:
            return []
        deltas = self._read_all(self._sse.close(), last=True)
        if not self._over:
            deltas.append(self._end_of_input())
            if self._keep:
                self._deltas.append(deltas[-1])
        return deltas

    @abstractmethod
    def answer(self) -> Answer:
        """Return what was said so far."""

    @abstractmethod
    def _read(self, frame: Frame, data: bytes, *, last: bool) -> Sequence[Delta]:
        """Return what one event adds; `last`: the input ended inside or right behind it."""

    @abstractmethod
    def _end_of_input(self) -> Delta:
        """Return what it means that no terminal event has come."""

    def _read_all(self, frames: list[Frame], *, last: bool) -> list[Delta]:
        deltas: list[Delta] = []
        for frame in frames:
            if frame.data:  # else comments and blank lines
                deltas += self._read(frame, frame.data, last=last)
                if self._over:
                    break
        if self._keep:
            self._deltas += deltas
        return deltas

    def _fail(self, why: str, failure: FusionError | None = None) -> Delta:
        self._over = True
        return Delta(b"", error=why, dialect=self.dialect, failure=failure)

    def _fail_as(self, failure: FusionError) -> Delta:
        """Return the error of a stream in which the upstream told one."""
        return self._fail(failure.message, failure)
