"""The client's chat stream, written: deltas to bytes, relayed as they came, with what must be whole held back.

What is held, and why:

- the first chunk that only names the role, until there is content: a fallback then stays unseen;
- fragments of a tool call, until the call is whole (guarded): a break inside a call can then be mended, and no
  client ever sees half a call;
- the finish chunk, until the end: the trace stands on the last data object, because an event of its own breaks
  real clients;
- the usage chunk: only clients that asked for it get one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import FusionError, UpstreamBroken
from openfusion_auto.wire.chat_answer import CUT, TRACE, render_usage
from openfusion_auto.wire.chat_chunks import CallKey, ChunkMaker
from openfusion_auto.wire.errors import HALF_CALL, UNFINISHED, openai_error
from openfusion_auto.wire.jsons import as_object, dumps, is_json, loads
from openfusion_auto.wire.sse import SseReader
from openfusion_auto.wire.waiting import Waiting

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
# What every chunk of one stream has alike, and a chunk made here takes over.
_SHARED = ("id", "object", "created", "model", "system_fingerprint", "service_tier")


class ChatWriter:
    """Writes one attempt's deltas for one client. A further attempt takes a new writer: what is held belongs to it.

    Deltas of another dialect are written as chunks first (`chat_chunks.py`), then treated alike.

    Args:
        include_usage: The client asked for the usage chunk.
        guarded: Hold tool calls until they are whole.
        model: Name to show in every chunk; None leaves the upstream's.
        custom: Names of the client's free-text tools, which other dialects call as functions.
        answer_id: Id of chunks that are made here; "" takes the upstream's.
        created: Time of chunks that are made here [s since 1970]; 0 takes the upstream's.

    Attributes:
        started: Content has been given out: from now on there is no other candidate for this answer.
    """

    def __init__(
        self,
        *,
        include_usage: bool,
        guarded: bool,
        model: str | None = None,
        custom: frozenset[str] = frozenset(),
        answer_id: str = "",
        created: int = 0,
    ) -> None:
        self.started = False
        self._include_usage = include_usage
        self._guarded = guarded
        self._model = model
        self._head: list[bytes] = []  # before any content
        self._queue: list[bytes] = []  # from a tool call's first fragment on
        self._open: set[CallKey] = set()  # calls in the queue
        self._waiting = Waiting(self._stands)
        self._arguments: dict[CallKey, list[str]] = {}
        self._custom: set[CallKey] = set()  # their input is free text
        self._finishes: list[Delta] = []
        self._finished: set[int] = set()  # choices
        self._usage: Delta | None = None
        self._maker = partial(
            ChunkMaker, answer_id=answer_id, created=created, model=model, custom=custom
        )
        self._chunks: ChunkMaker | None = None

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now, b"" when the delta is held or not for it.

        Raises:
            UpstreamBroken: the delta is an error, or finishes a tool call whose arguments are not JSON.
        """
        if delta.error is not None:
            raise UpstreamBroken(f"The upstream's stream broke: {delta.error}.")
        if delta.dialect != "chat":
            self._chunks = self._chunks or self._maker()
            return b"".join([self._write(made) for made in self._chunks.chunks(delta)])
        return b"" if delta.done else self._write(delta)

    def _write(self, delta: Delta) -> bytes:
        if delta.calls:
            self._note_calls(delta)
        if delta.finish is not None:
            return self._write_finish(delta)
        if delta.calls:
            return self._write_calls(delta)
        if delta.text or delta.reasoning:
            return self._write_content(delta)
        return self._write_rest(delta)

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream: what is held, the trace on the last data object, one `[DONE]`.

        Args:
            trace: The field `openfusion`; None leaves it out.
            usage: Sum of all calls of the request; None leaves the upstream's own.

        Raises:
            UpstreamBroken: no finish chunk has come, or a tool call is not whole.
        """
        if not self._finishes:
            raise UpstreamBroken(UNFINISHED)
        self._check(self._open)
        out = [self._release_all()]
        last = self._usage_frame(trace, usage) if self._include_usage else None
        *before, final = self._finishes
        out += (self._finish_frame(delta, None, usage) for delta in before)
        if last is None:
            out.append(self._finish_frame(final, trace, usage))
        else:
            out.append(self._finish_frame(final, None, usage))
            out.append(last)
        self.started = True
        return b"".join((*out, DONE))

    def fail(self, error: FusionError) -> bytes:
        """Return the stream's error event; no `[DONE]` follows, and what is held is dropped."""
        return _frame(openai_error(error))

    def keep_alive(self) -> bytes:
        """Return a comment, which every client skips."""
        return KEEP_ALIVE

    def _write_content(self, delta: Delta) -> bytes:
        frame = self._relay(delta)
        if not self._queue:
            if not self._head:
                self.started = True
                return frame
            return self._release(frame)
        self._try_release()
        if self._open:
            self._queue.append(frame)
            return b""
        return self._release(frame)

    def _write_calls(self, delta: Delta) -> bytes:
        frame = self._relay(delta)
        if not self._guarded:
            return self._release(frame)
        out = b""
        keys = {(call.choice, call.index) for call in delta.calls}
        self._waiting.grew(keys & self._open)
        if self._open and not keys <= self._open and self._try_release():
            out = self._release(b"")
        self._waiting.grew(keys - self._open)
        self._open |= keys
        self._queue.append(frame)
        return out

    def _write_finish(self, delta: Delta) -> bytes:
        ended = _finished_choices(delta)
        if ended <= self._finished:
            return self._write_again(delta)
        if self._guarded:
            if delta.finish not in CUT:
                self._check({key for key in self._arguments if key[0] in ended})
            gone = {key for key in self._open if key[0] in ended}
            self._open -= gone
            self._waiting.forget(gone)
        self._finished |= ended
        self._finishes.append(delta)
        return self._release(b"") if self._queue and not self._open else b""

    def _write_again(self, delta: Delta) -> bytes:
        """Write a second finish of a choice, which clients must not see, as what else it holds."""
        if delta.usage is not None:
            self._usage = delta
        data = _data(delta)
        if not (delta.text or delta.reasoning or delta.calls or _has_content(data)):
            return b""
        choices = data.get("choices")
        listed = choices if isinstance(choices, list) else []
        unended = [{**c, "finish_reason": None} for c in listed if isinstance(c, dict)]
        return self._release(_frame({**data, "choices": unended}))

    def _write_rest(self, delta: Delta) -> bytes:
        """Write what has no text, call or finish: a role, usage, content that the hub does not know."""
        data = _data(delta)
        if _has_content(data):
            return self._write_content(delta)
        if delta.usage is not None and (self._finishes or not data.get("choices")):
            self._usage = delta
            return b""
        frame = self._relay(delta)
        if self.started and not self._queue:
            return frame
        (self._queue or self._head).append(frame)
        return b""

    def _note_calls(self, delta: Delta) -> None:
        for call in delta.calls:
            key = (call.choice, call.index)
            if key not in self._arguments:
                self._arguments[key] = []
                if call.kind == "custom":
                    self._custom.add(key)
            self._arguments[key].append(call.arguments)

    def _try_release(self) -> bool:
        """Close the held calls when all are whole as they stand."""
        if not self._waiting.all_whole():
            return False
        self._open.clear()
        self._waiting.clear()
        return True

    def _stands(self, key: CallKey) -> bool:
        """Whether a call may be whole: one that does not end like an object is told at the finish."""
        pieces = self._arguments[key]
        ends = key in self._custom or pieces[-1].endswith("}")
        return ends and self._whole(key, "".join(pieces))

    def _check(self, keys: set[CallKey]) -> None:
        """Raise when a call's arguments are not whole; none at all is a call without arguments."""
        if not self._guarded:
            return
        for key in keys:
            said = "".join(self._arguments[key])
            if said and not self._whole(key, said):
                raise UpstreamBroken(HALF_CALL)

    def _whole(self, key: CallKey, said: str) -> bool:
        return key in self._custom or is_json(said)

    def _release(self, frame: bytes) -> bytes:
        """Give out all that is held, then `frame`."""
        out = b"".join((*self._head, *self._queue, frame))
        self._head.clear()
        self._queue.clear()
        self.started = True
        return out

    def _release_all(self) -> bytes:
        self._open.clear()
        return self._release(b"")

    def _relay(self, delta: Delta) -> bytes:
        """Return the event as it came, in the plainest framing; with another model name if one is wanted."""
        if self._model is not None:
            data = _data(delta)
            return _frame({**data, "model": self._model}) if data else b""
        raw = delta.raw
        if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
            return raw
        return b"".join(b"data: " + event + b"\n\n" for event in _events(raw))

    def _finish_frame(
        self, delta: Delta, trace: Mapping[str, object] | None, usage: Usage | None
    ) -> bytes:
        data = _data(delta)
        changes: dict[str, object] = {}
        if trace is not None:
            changes[TRACE] = trace
        if self._model is not None:
            changes["model"] = self._model
        if usage is not None and delta.usage is not None and delta.usage != usage:
            changes["usage"] = render_usage(usage)
        choices = self._choices_with_calls(data)
        if choices is not None:
            changes["choices"] = choices
        return _frame({**data, **changes}) if changes else self._relay(delta)

    def _choices_with_calls(self, data: Mapping[str, object]) -> list[object] | None:
        """Return the choices with `tool_calls` for `stop` where calls came; None when all is well.

        Agents act on that word alone; a `stop` behind calls ends their turn.
        """
        called = {choice for choice, _ in self._arguments}
        choices = data.get("choices")
        if not called or not isinstance(choices, list):
            return None
        mended: list[object] = [
            {**c, "finish_reason": "tool_calls"}
            if isinstance(c, dict)
            and c.get("finish_reason") == "stop"
            and c.get("index", 0) in called
            else c
            for c in choices
        ]
        return mended if mended != choices else None

    def _usage_frame(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes | None:
        """Return the usage chunk: the upstream's own where it has one and its sums hold, else one made here."""
        own, final = self._usage, self._finishes[-1]
        traced = {} if trace is None else {TRACE: trace}
        if own is not None and _data(own).get("choices") == [] and usage in (None, own.usage):
            named = {} if self._model is None else {"model": self._model}
            return _frame({**_data(own), **named, **traced}) if traced else self._relay(own)
        shown = usage or (own or final).usage
        if shown is None:
            return None
        source = _data(final)
        kept = {field: source[field] for field in _SHARED if field in source}
        if self._model is not None:
            kept["model"] = self._model
        return _frame({**kept, "choices": [], "usage": render_usage(shown), **traced})


def _frame(value: object) -> bytes:
    return b"data: " + dumps(value) + b"\n\n"


def _events(raw: bytes) -> list[bytes]:
    """Return the data of the events in `raw`, each on one line: between JSON's tokens a newline is a space."""
    reader = SseReader()
    frames = reader.feed(raw) + reader.close()
    return [frame.data.replace(b"\n", b" ") for frame in frames if frame.data]


def _data(delta: Delta) -> Mapping[str, object]:
    if delta.data is not None:
        return delta.data
    found = [as_object(loads(event)) for event in _events(delta.raw)]
    return next((data for data in found if data is not None), {})


def _choices(data: Mapping[str, object]) -> list[Mapping[str, object]]:
    choices = data.get("choices")
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def _has_content(data: Mapping[str, object]) -> bool:
    """Return whether any choice says something beside its role, whatever the field."""
    return any(
        value
        for choice in _choices(data)
        for name, value in (as_object(choice.get("delta")) or {}).items()
        if name != "role"
    )


def _finished_choices(delta: Delta) -> set[int]:
    found = {
        choice.get("index", 0)
        for choice in _choices(_data(delta))
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"]
    }
    return {number for number in found if isinstance(number, int)}
