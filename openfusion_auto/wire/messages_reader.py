"""An upstream's Messages stream, read: bytes to deltas, with every way it can be broken told apart from its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import CUT, read_bill
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.errors import told_failure
from openfusion_auto.wire.hosted import ran_in_message
from openfusion_auto.wire.jsons import JsonError, as_object, dumps, loads
from openfusion_auto.wire.messages_answer import (
    finish_of,
    has_content,
    mended_block,
    opaque_of,
    read_usage,
)
from openfusion_auto.wire.messages_relay import event_frame
from openfusion_auto.wire.reader import CUT_SHORT, ERROR_EVENT, StreamReader
from openfusion_auto.wire.region import us_told
from openfusion_auto.wire.sse import LIMIT, Frame
from openfusion_auto.wire.tiers import tier_told

_INSIDE = ("content_block_start", "content_block_delta", "content_block_stop", "message_delta")
_KNOWN = frozenset({*_INSIDE, "message_start", "message_stop", "ping", "error"})
_TEXTS: Mapping[str, str] = {"text_delta": "text", "thinking_delta": "thinking"}


@dataclass(slots=True)
class _Block:
    """A content block as far as it has come; `call` is the number of its tool call, -1 for other blocks."""

    index: int
    call: int = -1
    given: str = ""  # a call's input that stood in its start event
    said: bool = False


@dataclass(slots=True)
class _Call:
    """A tool call as far as it has come."""

    id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class MessagesReader(StreamReader):
    """Reads a stream of Messages; see `StreamReader`.

    Block indexes are counted here: servers exist that leave holes or give every block the index 0, and clients crash
    on both.
    """

    dialect = "messages"

    def __init__(self, limit: int = LIMIT, *, keep: bool = True, seed: str = "") -> None:
        super().__init__(limit, keep=keep, seed=seed)
        self._begun = False
        self._content = False
        self._finish: str | None = None
        self._blocks: dict[object, _Block] = {}  # by the upstream's own index, the latest
        self._count = 0
        self._calls: list[_Call] = []
        self._opaque = ""
        self._ran: list[str] = []  # tools that the upstream ran
        self._usage: dict[str, object] = {}

    def answer(self) -> Answer:
        """Return what has been said so far."""
        return Answer(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(ToolCall(c.id, c.name, "".join(c.arguments)) for c in self._calls),
            finish=self._finish,
            usage=self._reported(),
            model=self._model,
            deltas=tuple(self._deltas),
            opaque=self._opaque,
            dialect="messages",
            searches=ran_in_message(self._ran, self._usage),
            tier=tier_told(self._usage.get("speed")),
            us_only=us_told(self._usage),
            billed_usd=read_bill(self._usage),
        )

    def _read(self, frame: Frame, data: bytes, *, last: bool) -> Sequence[Delta]:
        delta = self._read_event(frame, data, last=last)
        return () if delta is None else (delta,)

    def _read_event(self, frame: Frame, data: bytes, *, last: bool) -> Delta | None:
        try:
            event = loads(data)
        except JsonError:
            return self._fail(CUT_SHORT if last else "an event is not JSON")
        if not isinstance(event, dict):
            return self._fail("an event is not an object")
        raw, kind = frame.raw, event.get("type", frame.event)
        if not isinstance(kind, str):
            return self._fail("an event's type is not text")
        if not (kind in _KNOWN or "type" in event or event.get("error")):
            return None  # the server's own, which SSE lets a reader skip, and which breaks clients that check types
        if "type" not in event:
            event = {**event, "type": kind}
            raw = event_frame(event)
        if kind == "error" or event.get("error"):
            return self._fail_as(told_failure(event.get("error"), ERROR_EVENT))
        try:
            return self._event(kind, raw, event)
        except UpstreamBroken as error:
            return self._fail(error.message)

    def _end_of_input(self) -> Delta:
        return self._end(b"", None)

    def _event(self, kind: str, raw: bytes, event: Mapping[str, object]) -> Delta:
        if not self._begun and kind in _INSIDE:
            raise UpstreamBroken("the stream does not begin with message_start")
        match kind:
            case "message_start":
                return self._start(raw, event)
            case "content_block_start":
                return self._block_start(raw, event)
            case "content_block_delta":
                return self._block_delta(raw, event)
            case "content_block_stop":
                return self._block_stop(raw, event)
            case "message_delta":
                return self._message_delta(raw, event)
            case "message_stop":
                return self._end(raw, event)
            case _:
                return Delta(raw, data=event, dialect="messages")

    def _start(self, raw: bytes, event: Mapping[str, object]) -> Delta:
        message = as_object(event.get("message"))
        if message is None:
            raise UpstreamBroken("a message_start has no message")
        self._begun = True
        if isinstance(message.get("model"), str):
            self._model = str(message["model"])
        usage = self._count_tokens(message.get("usage"))
        return Delta(raw, usage=usage, data=event, dialect="messages")

    def _block_start(self, raw: bytes, event: Mapping[str, object]) -> Delta:
        given = as_object(event.get("content_block"))
        if given is None:
            raise UpstreamBroken("a content_block_start has no block")
        block = _Block(self._count)
        self._count += 1
        self._blocks[_place(event)] = block
        self._content = self._content or (has_content(given) and given.get("type") != "text")
        calls: tuple[CallDelta, ...] = ()
        if given.get("type") == "tool_use":
            calls = self._begin_call(block, given)
        elif given.get("type") == "server_tool_use":
            self._ran.append(str(given.get("name")))
        opaque = opaque_of(given)
        self._opaque = opaque or self._opaque
        kind = given.get("type")
        text = _string(given, "text") if kind == "text" else ""
        reasoning = _string(given, "thinking") if kind == "thinking" else ""
        self._say(text, reasoning)
        mended = mended_block(given)
        if mended is not None:
            event = {**event, "content_block": mended}
            raw = event_frame(event)
        return self._delta(raw, event, block, text, reasoning, calls, opaque)

    def _begin_call(self, block: _Block, given: Mapping[str, object]) -> tuple[CallDelta, ...]:
        block.call = len(self._calls)
        name = _string(given, "name")
        if not name:
            raise UpstreamBroken("a tool call has no name")
        call_id = _string(given, "id") or stable_id(block.call, name, self._seed)
        held = given.get("input")
        block.given = dumps(held).decode() if held else "{}"
        self._calls.append(_Call(call_id, name))
        return (CallDelta(0, block.call, call_id, name, ""),)

    def _block_delta(self, raw: bytes, event: Mapping[str, object]) -> Delta:
        block = self._blocks.get(_place(event))
        delta = as_object(event.get("delta"))
        if block is None or delta is None:
            raise UpstreamBroken("a delta belongs to no content block")
        kind = str(delta.get("type"))
        if kind == "input_json_delta" and block.call >= 0:
            return self._delta(
                raw, event, block, calls=self._more(block, _string(delta, "partial_json"))
            )
        opaque = _string(delta, "signature") if kind == "signature_delta" else ""
        self._opaque = opaque or self._opaque
        said = _string(delta, _TEXTS[kind]) if kind in _TEXTS else ""
        text, reasoning = (said, "") if kind == "text_delta" else ("", said)
        self._say(text, reasoning)
        return self._delta(raw, event, block, text, reasoning, opaque=opaque)

    def _block_stop(self, raw: bytes, event: Mapping[str, object]) -> Delta:
        """Read the end of a block; a call whose input stood in its start, or nowhere, is written then."""
        block = self._blocks.get(_place(event))
        if block is None:
            raise UpstreamBroken("a content_block_stop belongs to no content block")
        calls: tuple[CallDelta, ...] = ()
        if block.call >= 0 and not block.said:
            calls = self._more(block, block.given)
        return self._delta(raw, event, block, calls=calls)

    def _message_delta(self, raw: bytes, event: Mapping[str, object]) -> Delta:
        delta = as_object(event.get("delta")) or {}
        finish = finish_of(delta.get("stop_reason"), calls=bool(self._calls))
        if finish is not None:
            self._finish = finish
        usage = self._count_tokens(event.get("usage"))
        return Delta(raw, finish=finish, usage=usage, data=event, dialect="messages")

    def _more(self, block: _Block, said: str) -> tuple[CallDelta, ...]:
        if not said:
            return ()
        block.said = True
        self._calls[block.call].arguments.append(said)
        return (CallDelta(0, block.call, None, None, said),)

    def _say(self, text: str, reasoning: str) -> None:
        if text:
            self._content = True
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)

    def _delta(
        self,
        raw: bytes,
        event: Mapping[str, object],
        block: _Block,
        text: str = "",
        reasoning: str = "",
        calls: tuple[CallDelta, ...] = (),
        opaque: str = "",
    ) -> Delta:
        if event.get("index") != block.index:
            event = {**event, "index": block.index}
            raw = event_frame(event)
        return Delta(raw, text, reasoning, calls, data=event, opaque=opaque, dialect="messages")

    def _count_tokens(self, value: object) -> Usage | None:
        """Take up reported usage. Counts are running totals, and some servers tell a part of them, or 0 at first."""
        for key, reported in (as_object(value) or {}).items():
            held = self._usage.get(key)
            grown = isinstance(reported, int) and isinstance(held, int) and reported < held
            if reported is not None and not grown:
                self._usage[key] = reported
        return None if value is None else self._reported()

    def _reported(self) -> Usage | None:
        """Return the tokens so far; counts that are all 0 are what a stream begins with where nothing is known."""
        usage = read_usage(self._usage)
        return None if usage == Usage() else usage

    def _end(self, raw: bytes, event: Mapping[str, object] | None) -> Delta:
        """Return what an end means here; only a finished answer with content is a success."""
        if not self._begun:
            return self._fail("the upstream's stream was empty")
        if self._finish is None:
            return self._fail(CUT_SHORT)
        if not self._content and self._finish not in CUT:
            return self._fail("empty answer: neither text nor a tool call")
        self._over = True
        return Delta(raw, done=True, data=event, dialect="messages")


def _place(event: Mapping[str, object]) -> object:
    """Return the index of an event's block, whatever an upstream takes for one."""
    index = event.get("index")
    if isinstance(index, dict | list):
        raise UpstreamBroken("a block's index is not a number")
    return index


def _string(held: Mapping[str, object], key: str) -> str:
    """Return the text in a member, "" where there is none."""
    value = held.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamBroken(f"'{key}' of an event is not text")
    return value
