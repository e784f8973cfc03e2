"""The client's Messages stream, written: relayed where the upstream speaks the same dialect, else built anew."""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import FusionError, UpstreamBroken
from openfusion_auto.wire.errors import UNFINISHED
from openfusion_auto.wire.messages_answer import error_body
from openfusion_auto.wire.messages_build import PING, Build
from openfusion_auto.wire.messages_relay import Relay, event_frame

# What clients retry; their own mistakes keep their type.
_RETRIED = ("api_error", "timeout_error", "overloaded_error")


class MessagesWriter:
    """Writes one attempt's deltas for one client. A further attempt takes a new writer: what is held belongs to it.

    Args:
        include_usage: Taken for the sake of the other dialects; this one always tells usage.
        guarded: Hold tool calls until they are whole.
        model: Name to show; None leaves the upstream's.
        custom: Taken for the sake of the other dialects; this one's tools all take JSON.
        answer_id: Id of a message that is built here; "" makes one of the upstream's.
        reasoning: Whether the client wants another dialect's reasoning as thinking blocks (`wants_reasoning`).
    """

    def __init__(
        self,
        *,
        include_usage: bool = True,
        guarded: bool = True,
        model: str | None = None,
        custom: frozenset[str] = frozenset(),
        answer_id: str = "",
        reasoning: bool = True,
    ) -> None:
        del include_usage, custom
        self._guarded = guarded
        self._model = model
        self._id = answer_id
        self._reasoning = reasoning
        self._inner: Relay | Build | None = None

    @property
    def started(self) -> bool:
        """Whether content has been given out: from now on there is no other candidate for this answer."""
        return self._inner is not None and self._inner.started

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now, b"" when the delta is held or not for it.

        Raises:
            UpstreamBroken: the delta is an error, or ends an answer in which a tool call is not JSON.
        """
        if delta.error is not None:
            raise UpstreamBroken(f"The upstream's stream broke: {delta.error}.")
        if self._inner is None:
            self._inner = self._new(delta)
        return self._inner.write(delta)

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream: what is held, the trace on `message_delta`, `message_stop`.

        Args:
            trace: The field `openfusion`; None leaves it out.
            usage: Sum of all calls of the request; None leaves the upstream's own.

        Raises:
            UpstreamBroken: no stop reason has come.
        """
        if self._inner is None:
            raise UpstreamBroken(UNFINISHED)
        return self._inner.finish(trace, usage)

    def fail(self, error: FusionError) -> bytes:
        """Return the stream's error event, the last one; what is held is dropped.

        A failure that is not the client's is told as `overloaded_error`, which clients try again.
        """
        body = error_body(error)
        held = body["error"]
        if isinstance(held, dict) and held["type"] in _RETRIED:
            body["error"] = {**held, "type": "overloaded_error"}
        return event_frame(body)

    def keep_alive(self) -> bytes:
        """Return a ping, which every client takes, also before the message begins."""
        return PING

    def _new(self, first: Delta) -> Relay | Build:
        if first.dialect == "messages":
            return Relay(guarded=self._guarded, model=self._model)
        return Build(
            guarded=self._guarded,
            model=self._model,
            answer_id=self._id,
            reasoning=self._reasoning,
        )
