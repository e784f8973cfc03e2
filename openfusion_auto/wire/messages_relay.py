"""A Messages stream passed on to a client of the same dialect: events as they came, with what must be whole held back.

What is held, and why:

- the beginning (`message_start`, pings, empty blocks, thinking that is only a signature) until there is content: a
  fallback then stays unseen;
- a tool call from its first event to the end of its block (guarded): a break inside it can then be mended;
- `message_delta` with the stop reason, and `message_stop`, until the end: the trace stands on the former.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import CUT, TRACE
from openfusion_auto.wire.errors import HALF_CALL, UNFINISHED
from openfusion_auto.wire.jsons import as_object, dumps, is_json
from openfusion_auto.wire.messages_answer import has_content, render_usage

STOP: Mapping[str, object] = {"type": "message_stop"}


def event_frame(data: Mapping[str, object]) -> bytes:
    """Return an event in the dialect's framing: named by its type, one line of data."""
    named = "".join(str(data.get("type", "")).split())
    return b"event: " + named.encode("ascii", "replace") + b"\ndata: " + dumps(data) + b"\n\n"


def is_whole(arguments: str) -> bool:
    """Return whether a call's arguments are whole; none at all is a call without arguments."""
    return not arguments.strip() or is_json(arguments)


class Relay:
    """Passes one attempt's deltas on.

    Args:
        guarded: Hold tool calls until they are whole.
        model: Name to show in `message_start`; None leaves the upstream's.

    Attributes:
        started: Content has been given out.
    """

    def __init__(self, *, guarded: bool, model: str | None) -> None:
        self.started = False
        self._guarded = guarded
        self._model = model
        self._head: list[bytes] = []  # before any content
        self._queue: list[bytes] = []  # from a call's first event on
        self._held: dict[int, list[str]] = {}  # calls in the queue -> their arguments so far
        self._called = False
        self._open: dict[object, int] = {}  # blocks without their end -> their call, -1 for others
        self._ends: list[Delta] = []  # message_delta, from the one with the stop reason on
        self._stop: Delta | None = None

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now, b"" when the delta is held.

        Raises:
            UpstreamBroken: the answer ends, and a tool call in it is not JSON.
        """
        data = delta.data or {}
        if delta.done:
            self._stop = delta if delta.raw else None
            return b""
        if delta.finish is not None or (self._ends and data.get("type") == "message_delta"):
            return self._write_end(delta)
        frame = self._frame(delta)
        ended = self._note(delta, data)
        if self._held or self._queue:
            self._queue.append(frame)
            whole = ended in self._held and is_whole("".join(self._held[ended]))
            if whole:
                del self._held[ended]
            return self._release() if not self._held else b""
        if not self.started and not _is_content(delta, data):
            self._head.append(frame)
            return b""
        return self._release(frame)

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream; see `MessagesWriter.finish`."""
        if not self._ends:
            raise UpstreamBroken(UNFINISHED)
        closed = [event_frame({"type": "content_block_stop", "index": i}) for i in self._open]
        stop = event_frame(STOP) if self._stop is None else self._frame(self._stop)
        return b"".join((self._release(), *closed, self._final(trace, usage), stop))

    def _note(self, delta: Delta, data: Mapping[str, object]) -> int:
        """Keep book of blocks and calls; return the call that ends here, else -1."""
        kind, index = data.get("type"), data.get("index")
        for call in delta.calls:
            self._called = True
            if self._guarded:
                self._held.setdefault(call.index, []).append(call.arguments)
        if kind == "content_block_start":
            self._open[index] = delta.calls[0].index if delta.calls else -1
        return self._open.pop(index, -1) if kind == "content_block_stop" else -1

    def _write_end(self, delta: Delta) -> bytes:
        if not self._ends and delta.finish not in CUT:
            for pieces in self._held.values():
                if not is_whole("".join(pieces)):
                    raise UpstreamBroken(HALF_CALL)
        self._held.clear()
        self._ends.append(delta)
        return self._release() if self._queue else b""

    def _release(self, frame: bytes = b"") -> bytes:
        """Give out all that is held, then `frame`."""
        out = b"".join((*self._head, *self._queue, frame))
        self._head.clear()
        self._queue.clear()
        self.started = True
        return out

    def _frame(self, delta: Delta) -> bytes:
        """Return the event as it came, in the plainest framing; `message_start` with another model if one is wanted."""
        data = delta.data or {}
        message = as_object(data.get("message"))
        if message is not None and self._model is not None and data.get("type") == "message_start":
            return event_frame({**data, "message": {**message, "model": self._model}})
        raw = delta.raw
        plain = raw.startswith(b"event: ") and raw.endswith(b"\n\n") and b"\r" not in raw
        if plain and raw.count(b"\n") == 3 and b"\ndata: " in raw:
            return raw
        return event_frame(data)

    def _final(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the one `message_delta` that ends the answer, made of all that came."""
        first, last = self._ends[0], self._ends[-1]
        data = dict(first.data or {})
        changes: dict[str, object] = {}
        reported = [as_object((end.data or {}).get("usage")) for end in self._ends]
        known = {k: v for held in reported for k, v in (held or {}).items() if v is not None}
        if usage is not None and usage != last.usage:
            known |= render_usage(usage)
        elif not known:
            known = render_usage(last.usage or Usage())
        if known != {k: v for k, v in (reported[0] or {}).items() if v is not None}:
            changes["usage"] = known
        delta = as_object(data.get("delta")) or {}
        if self._called and delta.get("stop_reason") == "end_turn":
            changes["delta"] = {**delta, "stop_reason": "tool_use"}
        if trace is not None:
            changes[TRACE] = trace
        return event_frame({**data, **changes}) if changes else self._frame(first)


def _is_content(delta: Delta, data: Mapping[str, object]) -> bool:
    """Return whether an event shows a client something that a fallback could not take back."""
    if delta.text or delta.reasoning or delta.calls:
        return True
    block = as_object(data.get("content_block"))
    return block is not None and has_content(block)
