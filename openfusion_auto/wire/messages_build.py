"""A stream of another dialect, written as a Messages stream: a state machine from the hub's deltas to named events.

One content block is open at a time, so what comes while a tool call is held waits behind it, in its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openfusion_auto.core.prompt import CallDelta, Delta, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import CUT, TRACE
from openfusion_auto.wire.chat_tools import stable_id, wrap_input
from openfusion_auto.wire.errors import HALF_CALL, UNFINISHED
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.messages_answer import render_usage, stop_reason
from openfusion_auto.wire.messages_blocks import UNSIGNED
from openfusion_auto.wire.messages_relay import STOP, event_frame, is_whole
from openfusion_auto.wire.messages_turns import input_of
from openfusion_auto.wire.waiting import Waiting

PING = event_frame({"type": "ping"})


@dataclass(slots=True)
class _Call:
    """A tool call as far as it has come; `sent` pieces of it are with the client."""

    index: int
    id: str = ""
    name: str = ""
    kind: str = "function"
    pieces: list[str] = field(default_factory=list)
    opened: bool = False
    sent: int = 0
    given: bool = False  # all of it is with the client: it has ended

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)


_Item = _Call | tuple[str, str]  # a call, or a stretch of text or thinking with its kind


class Build:
    """Writes one attempt's deltas.

    Args:
        guarded: Hold tool calls until they are whole.
        model: Name to show; None takes the upstream's.
        answer_id: Id of the message; "" makes one of the upstream's.
        reasoning: Show reasoning as thinking blocks; False leaves it out.

    Attributes:
        started: Content has been given out.
    """

    def __init__(
        self, *, guarded: bool, model: str | None, answer_id: str, reasoning: bool
    ) -> None:
        self.started = False
        self._guarded = guarded
        self._model = model or ""
        self._id = answer_id
        self._reasoning = reasoning
        self._begun = False
        self._kind: str | None = None  # of the open block
        self._index = -1  # of the latest block
        self._queue: list[_Item] = []
        self._calls: dict[int, _Call] = {}
        self._waiting = Waiting(self._is_whole)
        self._finish: str | None = None
        self._usage: Usage | None = None

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now, b"" when the delta is held or says nothing.

        Raises:
            UpstreamBroken: the answer ends, and a tool call in it is not JSON or has no name.
        """
        self._note(delta)
        out: list[bytes] = []
        thought = delta.reasoning if self._reasoning else ""
        for kind, text in (("thinking", thought), ("text", delta.text)):
            if text:
                out.append(self._say(kind, text))
        out += (self._take(call) for call in delta.calls if call.choice == 0)
        if delta.finish is not None and self._finish is None:
            out.append(self._end(delta.finish))
        return b"".join(out)

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream; see `MessagesWriter.finish`."""
        if self._finish is None:
            raise UpstreamBroken(UNFINISHED)
        last: dict[str, object] = {
            "type": "message_delta",
            "delta": {
                "stop_reason": stop_reason(self._finish, calls=bool(self._calls)),
                "stop_sequence": None,
            },
            "usage": render_usage(usage or self._usage or Usage()),
        }
        if trace is not None:
            last[TRACE] = trace
        out = (self._begin(), self._release(), self._close(), event_frame(last), event_frame(STOP))
        self.started = True
        return b"".join(out)

    def _note(self, delta: Delta) -> None:
        """Take up usage, and the name and id that the upstream gave its answer."""
        if delta.usage is not None:
            self._usage = delta.usage
        if self._begun:
            return
        data = delta.data or {}
        data = as_object(data.get("response")) or data
        name, answer_id = data.get("model"), data.get("id")
        if not self._model and isinstance(name, str):
            self._model = name
        if not self._id and isinstance(answer_id, str) and answer_id:
            self._id = f"msg_{answer_id}"

    def _say(self, kind: str, text: str) -> bytes:
        if not self._queue:
            return self._speak(kind, text)
        self._queue.append((kind, text))
        return self._release() if self._waiting.all_whole() else b""

    def _take(self, fragment: CallDelta) -> bytes:
        """Take up a fragment of a call. One that begins says that those before it have ended."""
        call = self._calls.get(fragment.index)
        out = b""
        if call is None:
            if self._waiting.all_whole():
                out = self._release()
            call = self._calls[fragment.index] = _Call(fragment.index)
            self._queue.append(call)
        elif call.given:
            raise UpstreamBroken("The upstream went on with a tool call that had ended.")
        call.id = call.id or fragment.id or ""
        call.name = call.name or fragment.name or ""
        if fragment.kind == "custom":
            call.kind = "custom"
        call.pieces.append(fragment.arguments)
        self._waiting.grew((call.index,))
        if self._guarded or call is not self._queue[0] or call.kind == "custom" or not call.name:
            return out
        return out + self._pass_on(call)

    def _end(self, finish: str) -> bytes:
        if self._guarded and finish not in CUT and not self._waiting.all_whole():
            raise UpstreamBroken(HALF_CALL)
        self._finish = finish
        return self._release()

    def _is_whole(self, index: int) -> bool:
        call = self._calls[index]
        return call.kind == "custom" or is_whole(call.arguments)

    def _release(self) -> bytes:
        """Give out all that waits."""
        out: list[bytes] = []
        for item in self._queue:
            if isinstance(item, tuple):
                out.append(self._speak(*item))
                continue
            item.given = True
            if item.opened:
                out += (self._pass_on(item), self._close())
            else:
                out.append(self._whole_call(item))
        self._queue.clear()
        self._waiting.clear()
        return b"".join(out)

    def _speak(self, kind: str, text: str) -> bytes:
        head = b""
        if self._kind != kind:
            empty: dict[str, object] = {"type": kind, kind: ""}
            head = self._open(kind, empty | ({"signature": ""} if kind == "thinking" else {}))
        return head + self._delta({"type": f"{kind}_delta", kind: text})

    def _open_call(self, call: _Call) -> bytes:
        if not call.name:
            raise UpstreamBroken("The upstream's answer cannot be used: a tool call has no name.")
        call.opened = True
        call_id = call.id or stable_id(call.index, call.name)
        block: dict[str, object] = {
            "type": "tool_use",
            "id": call_id,
            "name": call.name,
            "input": {},
        }
        return self._open("tool_use", block)

    def _whole_call(self, call: _Call) -> bytes:
        head, said = self._open_call(call), call.arguments
        if call.kind == "custom":
            said = wrap_input(said)
        elif is_whole(said) and input_of(ToolCall(call.id, call.name, said)) is None:
            said = dumps({"arguments": said}).decode()  # the dialect has objects alone
        return head + (self._json(said) if said.strip() else b"") + self._close()

    def _pass_on(self, call: _Call) -> bytes:
        """Give out what of a call has not been given out, whole or not (unguarded)."""
        head = b"" if call.opened else self._open_call(call)
        said = "".join(call.pieces[call.sent :])
        call.sent = len(call.pieces)
        return head + (self._json(said) if said else b"")

    def _json(self, said: str) -> bytes:
        return self._delta({"type": "input_json_delta", "partial_json": said})

    def _delta(self, delta: Mapping[str, object]) -> bytes:
        return event_frame({"type": "content_block_delta", "index": self._index, "delta": delta})

    def _open(self, kind: str, block: Mapping[str, object]) -> bytes:
        before = self._begin() + self._close()
        self._kind = kind
        self._index += 1
        self.started = True
        event = {"type": "content_block_start", "index": self._index, "content_block": block}
        return before + event_frame(event)

    def _close(self) -> bytes:
        """End the open block; thinking gets the mark by which it is known, should the client send it back."""
        if self._kind is None:
            return b""
        signed = b""
        if self._kind == "thinking":
            signed = self._delta({"type": "signature_delta", "signature": UNSIGNED})
        self._kind = None
        return signed + event_frame({"type": "content_block_stop", "index": self._index})

    def _begin(self) -> bytes:
        if self._begun:
            return b""
        self._begun = True
        message: dict[str, object] = {
            "id": self._id or "msg_openfusion",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": render_usage(Usage()),
        }
        return event_frame({"type": "message_start", "message": message}) + PING
