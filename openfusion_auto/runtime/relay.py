"""Takes one upstream's stream as it comes: reads it, passes it on, and notes what the books need."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

from openfusion_auto.core.prompt import Answer, Delta, Tier, Usage
from openfusion_auto.core.tokens import answer_bytes
from openfusion_auto.core.types import Candidate
from openfusion_auto.errors import UpstreamBroken, UpstreamTimeout
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import Outlet
from openfusion_auto.wire.codec import Reader
from openfusion_auto.wire.portable import Seals


@dataclass(slots=True)
class Received:
    """What has come of an answer so far, for the books of a call that does not end well.

    Attributes:
        size: Of what the model wrote [bytes]; of an answer that is no stream, of its body.
        began: An event of an answer came, if an empty one: the prompt has been read, and is billed.
        first_s: When the first token came; of a whole answer, its first byte.
        usage: What the upstream has told of the tokens.
        final: It is all of them; else there may be more output.
        billed_usd, searches, tier, sound, us_only: As of `Answer`.
    """

    size: int = 0
    began: bool = False
    first_s: float | None = None
    usage: Usage | None = None
    final: bool = False
    billed_usd: float | None = None
    searches: int | None = None
    tier: Tier | None = None
    sound: bool = False
    us_only: bool | None = None

    def tell(self, answer: Answer, choices: int) -> None:
        """Note what an answer, whole or not, says of its tokens, and how long it and its other `choices` are."""
        self.usage, self.final = answer.usage, answer.finish is not None
        self.size = answer_bytes(answer, choices)
        self.billed_usd, self.searches = answer.billed_usd, answer.searches
        self.tier, self.sound, self.us_only = answer.tier, answer.sound, answer.us_only


class Relay:
    """Where a stream's pieces go: a `Sink`.

    Args:
        reader: Of the upstream's dialect.
        client: Where the answer goes as it comes; None when only the whole answer is wanted.
        received: Filled as it comes.
        candidate: Who answers.
        live: Told who made what is sealed in the answer.
        clock: For times.
        silence_s: Longest time of comments alone [s].
    """

    def __init__(
        self,
        reader: Reader,
        client: Outlet | None,
        received: Received,
        candidate: Candidate,
        *,
        live: LiveState,
        clock: Clock,
        silence_s: float,
    ) -> None:
        self.done = False
        self._reader = reader
        self._client = client
        self._received = received
        self._candidate = candidate
        self._live = live
        self._now = clock.now
        self._silence_s = silence_s
        self._progress_s = clock.now()
        self._seals = Seals()

    def take(self, chunk: bytes) -> Awaitable[None] | None:
        """Take a piece; see `Sink.take`.

        Raises:
            UpstreamBroken: the answer broke and nobody else is to be told.
            UpstreamTimeout: the upstream lives and does not answer.
        """
        now_s = self._now()
        received = self._received
        deltas = self._reader.feed(chunk)
        if not deltas:
            # Comments show that the upstream lives, not that it works: bounded, if generously.
            if now_s - self._progress_s > self._silence_s:
                name = self._candidate.upstream
                raise UpstreamTimeout(f"upstream {name}: keep-alives only, no answer")
            return None
        self._progress_s = now_s
        received.began = received.began or deltas[0].error is None
        if received.first_s is None and any(says(d) for d in deltas):
            received.first_s = now_s
        # Before the client has it: its next request may be here before this answer's end.
        sealed = self._seals.take(deltas)
        if sealed:
            self._live.first_seen(sealed, self._candidate)
        self.done = deltas[-1].done
        if self._client is not None:
            return self._client.push(deltas)
        refuse_error(deltas)
        return None

    def end(self) -> Awaitable[None] | None:
        """Take the end of the input. Raises as `take` does."""
        tail = self._reader.close()
        if self._client is not None:
            return self._client.push(tail)
        refuse_error(tail)
        return None


def refuse_error(deltas: list[Delta]) -> None:
    """Raise what the last of the events says when the answer broke."""
    if deltas and deltas[-1].error is not None:
        raise deltas[-1].failure or UpstreamBroken(deltas[-1].error)


def says(delta: Delta) -> bool:
    """Whether an event holds something of the answer: comments, a role, an opening or a closing event do not."""
    return bool(delta.text or delta.reasoning or delta.calls or delta.opaque)
