"""Messages, as its clients speak and read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.outcome import Wrong, inner, integer, objects, read, same, string
from openfusion_auto.evals.compat.speech import (
    ABOUT_TOOLS,
    CITY,
    FORM,
    MAX_TOKENS,
    Ask,
    Heard,
    Json,
    ToolCall,
    tokens,
)
from openfusion_auto.wire.jsons import JsonError, as_object, loads_text
from openfusion_auto.wire.sse import Frame

USAGE = ("input_tokens", "output_tokens")


class Messages:
    """See `Speech`."""

    name: Dialect = "messages"
    path = "/messages"

    def request(self, model: str, ask: Ask) -> Json:
        """Return the body of a request."""
        body: Json = {
            "model": model,
            "max_tokens": MAX_TOKENS,
            "messages": [{"role": "user", "content": [{"type": "text", "text": ask.text}]}],
        }
        if ask.stream:
            body["stream"] = True
        if ask.tools:
            body["tools"] = [
                {"name": n, "description": ABOUT_TOOLS[n], "input_schema": CITY} for n in ask.tools
            ]
            body["tool_choice"] = {"type": "any"}
        if ask.form:
            body["output_config"] = {"format": {"type": "json_schema", "schema": FORM}}
        return body | dict(ask.extra)

    def follow(self, body: Json, heard: Heard, results: Sequence[str]) -> Json:
        """Return the request with the model's turn and the calls' results behind it."""
        answers = [
            {"type": "tool_result", "tool_use_id": c.id, "content": r}
            for c, r in zip(heard.calls, results, strict=True)
        ]
        before = body["messages"]
        said = list(before) if isinstance(before, list) else []
        turns = [
            {"role": "assistant", "content": list(heard.turn)},
            {"role": "user", "content": answers},
        ]
        return body | {"messages": [*said, *turns], "tool_choice": {"type": "auto"}}

    def whole(self, body: Mapping[str, object]) -> Heard:
        """Read a message."""
        same(body, "type", "message")
        same(body, "role", "assistant")
        for name in ("id", "model"):
            string(body, name)
        blocks = objects(body, "content")
        calls = [
            _call(b, json.dumps(inner(b, "input", "tool_use."))) for b in blocks if _is_call(b)
        ]
        text = "".join(string(b, "text", "text.") for b in blocks if b.get("type") == "text")
        usage = tokens(as_object(body.get("usage")), USAGE)
        return _heard(text, calls, string(body, "stop_reason"), usage, [dict(b) for b in blocks])

    def stream(self, frames: Sequence[Frame]) -> Heard:
        """Read a stream: a start, blocks one behind the other, the reason of the end, the end."""
        blocks = _Blocks()
        for frame in frames:
            if frame.data == b"[DONE]":
                raise Wrong("[DONE] is no event of this API")
            event = read(frame.data or b"", "an event")
            kind = string(event, "type", "event ")
            if frame.event != kind:
                raise Wrong("the name of an event is not its type")
            blocks.take(kind, event)
        return blocks.heard()

    def error(self, body: Mapping[str, object]) -> None:
        """Hold an error to `{"type": "error", "error": {type, message}}`."""
        same(body, "type", "error")
        error = inner(body, "error")
        string(error, "type", "error.")
        if not string(error, "message", "error.").strip():
            raise Wrong("error.message is empty")


class _Blocks:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.blocks: list[Json] = []
        self.arguments: dict[int, str] = {}
        self.open = self.begun = self.ended = False
        self.stop = ""
        self.usage: dict[str, object] = {}

    def take(self, kind: str, event: Mapping[str, object]) -> None:
        """Read one event."""
        if self.ended:
            raise Wrong("an event follows message_stop")
        if kind == "error":
            raise Wrong("the stream ends with an error")
        if kind == "ping":
            return
        if self.begun == (kind == "message_start"):
            raise Wrong("message_start is not the first event, or comes twice")
        steps = {
            "message_start": self._start,
            "content_block_start": self._begin,
            "content_block_delta": self._piece,
            "content_block_stop": self._end,
            "message_delta": self._reason,
        }
        if kind == "message_stop":
            self.ended = True
        elif kind in steps:
            steps[kind](event)

    def _start(self, event: Mapping[str, object]) -> None:
        message = inner(event, "message", "message_start.")
        same(message, "role", "assistant", "message_start.message.")
        self.usage |= inner(message, "usage", "message_start.message.")
        self.begun = True

    def _begin(self, event: Mapping[str, object]) -> None:
        if self.open or self.stop or integer(event, "index") != len(self.blocks):
            raise Wrong(
                "a block begins inside another, behind the end, or its index does not count"
            )
        self.blocks.append(dict(inner(event, "content_block")))
        self.open = True

    def _inside(self, event: Mapping[str, object], what: str) -> Json:
        if not self.open or integer(event, "index") != len(self.blocks) - 1:
            raise Wrong(f"{what} belongs to no open block")
        return self.blocks[-1]

    def _piece(self, event: Mapping[str, object]) -> None:
        block, delta = self._inside(event, "a piece"), inner(event, "delta")
        if delta.get("type") == "text_delta":
            block["text"] = str(block.get("text") or "") + string(delta, "text", "delta.")
        elif delta.get("type") == "input_json_delta":
            at, more = len(self.blocks) - 1, string(delta, "partial_json", "delta.")
            self.arguments[at] = self.arguments.get(at, "") + more

    def _end(self, event: Mapping[str, object]) -> None:
        block = self._inside(event, "content_block_stop")
        self.open = False
        if _is_call(block):
            try:
                given = loads_text(self.arguments.get(len(self.blocks) - 1) or "{}")
            except JsonError:
                raise Wrong("the pieces of a call's input are no JSON") from None
            block["input"] = given

    def _reason(self, event: Mapping[str, object]) -> None:
        if self.open:
            raise Wrong("message_delta comes inside a block")
        delta = inner(event, "delta", "message_delta.")
        self.stop = string(delta, "stop_reason", "message_delta.delta.")
        told = inner(event, "usage", "message_delta.")
        self.usage |= {k: v for k, v in told.items() if v is not None}

    def heard(self) -> Heard:
        """Return the whole."""
        if not self.ended or not self.stop:
            raise Wrong("the stream does not end with message_delta and message_stop")
        calls = [
            _call(b, self.arguments.get(i, "{}")) for i, b in enumerate(self.blocks) if _is_call(b)
        ]
        text = "".join(str(b.get("text") or "") for b in self.blocks if b.get("type") == "text")
        return _heard(text, calls, self.stop, tokens(self.usage, USAGE), self.blocks)


def _is_call(block: Mapping[str, object]) -> bool:
    return block.get("type") == "tool_use"


def _call(block: Mapping[str, object], arguments: str) -> ToolCall:
    return ToolCall(string(block, "id", "tool_use."), string(block, "name", "tool_use."), arguments)


def _heard(
    text: str,
    calls: Sequence[ToolCall],
    stop: str,
    usage: tuple[int, int] | None,
    turn: Sequence[Json],
) -> Heard:
    finish = {"end_turn": "stop", "tool_use": "tools"}.get(stop, stop)
    return Heard(text, tuple(calls), finish, usage, turn)
