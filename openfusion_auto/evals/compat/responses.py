"""Responses, as its clients speak and read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.chat import openai_error
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
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.sse import Frame

USAGE = ("input_tokens", "output_tokens")


class Responses:
    """See `Speech`."""

    name: Dialect = "responses"
    path = "/responses"

    def request(self, model: str, ask: Ask) -> Json:
        """Return the body of a request; nothing is to be stored."""
        body: Json = {
            "model": model,
            "input": [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": ask.text}],
                }
            ],
            "max_output_tokens": MAX_TOKENS,
            "store": False,
        }
        if ask.stream:
            body["stream"] = True
        if ask.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": n,
                    "description": ABOUT_TOOLS[n],
                    "parameters": CITY,
                    "strict": True,
                }
                for n in ask.tools
            ]
            body["tool_choice"] = "required"
        if ask.form:
            body["text"] = {
                "format": {"type": "json_schema", "name": "form", "strict": True, "schema": FORM}
            }
        return body | dict(ask.extra)

    def follow(self, body: Json, heard: Heard, results: Sequence[str]) -> Json:
        """Return the request with the model's items and the calls' results behind it."""
        answers = [
            {"type": "function_call_output", "call_id": c.id, "output": r}
            for c, r in zip(heard.calls, results, strict=True)
        ]
        before = body["input"]
        said = list(before) if isinstance(before, list) else []
        return body | {"input": [*said, *heard.turn, *answers], "tool_choice": "auto"}

    def whole(self, body: Mapping[str, object]) -> Heard:
        """Read a response that is completed."""
        same(body, "object", "response")
        same(body, "status", "completed")
        for name in ("id", "model"):
            string(body, name)
        items = objects(body, "output")
        text = "".join(_said(i) for i in items if i.get("type") == "message")
        calls = tuple(_call(i) for i in items if i.get("type") == "function_call")
        usage = tokens(as_object(body.get("usage")), USAGE)
        return Heard(text, calls, "tools" if calls else "stop", usage, [dict(i) for i in items])

    def stream(self, frames: Sequence[Frame]) -> Heard:
        """Read a stream: named events, counted, its pieces the same as the whole at its end."""
        if frames and frames[-1].data == b"[DONE]":  # not the API's, but no client minds it
            frames = frames[:-1]
        pieces = _Pieces()
        for frame in frames:
            event = read(frame.data or b"", "an event")
            kind = string(event, "type", "event ")
            if frame.event != kind:
                pieces.notes["form"] = "an event has no name, or its name is not its type"
            pieces.take(kind, event)
        return pieces.heard(self)

    def error(self, body: Mapping[str, object]) -> None:
        """Hold an error to `{"error": {message, type, ...}}`."""
        openai_error(body)


class _Pieces:
    """What a stream has said so far."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self.number = -1
        self.text = ""
        self.arguments: dict[int, str] = {}
        self.open: set[int] = set()
        self.begun = False
        self.end: Mapping[str, object] | None = None

    def take(self, kind: str, event: Mapping[str, object]) -> None:
        """Read one event."""
        if self.end is not None:
            raise Wrong("an event follows response.completed")
        if kind in ("error", "response.failed", "response.incomplete"):
            raise Wrong("the stream ends with an error")
        number = event.get("sequence_number")
        if not isinstance(number, int) or number <= self.number:
            self.notes["form"] = "sequence_number is missing, or does not grow"
        else:
            self.number = number
        if not self.begun and kind != "response.created":
            raise Wrong("the first event is not response.created")
        self.begun = True
        if kind == "response.completed":
            self.end = inner(event, "response", "event ")
        elif kind.startswith("response.output_item."):
            self._item(kind, event)
        elif kind == "response.output_text.delta":
            self.text += string(event, "delta", "event ")
        elif kind == "response.function_call_arguments.delta":
            index = self._inside(event)
            self.arguments[index] = self.arguments.get(index, "") + string(event, "delta")

    def _inside(self, event: Mapping[str, object]) -> int:
        index = integer(event, "output_index", "event ")
        if index not in self.open:
            raise Wrong("a piece belongs to no item that was begun")
        return index

    def _item(self, kind: str, event: Mapping[str, object]) -> None:
        item = inner(event, "item", "event ")
        if kind.endswith(".added"):
            self.open.add(integer(event, "output_index", "event "))
            return
        index = self._inside(event)
        self.open.discard(index)
        if item.get("type") == "function_call":
            whole = string(item, "arguments", "item.")
            if index in self.arguments and self.arguments[index] != whole:
                raise Wrong("the pieces of a call's arguments are not its arguments")
            if string(item, "call_id", "item.") == "":
                raise Wrong("item.call_id is empty")

    def heard(self, speech: Responses) -> Heard:
        """Return the whole, held against its pieces."""
        if self.end is None:
            raise Wrong("the stream does not end with response.completed")
        if self.open:
            raise Wrong("an item was begun and not ended")
        found = speech.whole(self.end)
        if self.text != found.text:
            raise Wrong("the pieces of the text are not the text of response.completed")
        return replace(found, notes=self.notes)


def _said(item: Mapping[str, object]) -> str:
    same(item, "role", "assistant", "output[].")
    parts = objects(item, "content", "output[].")
    texts = [p for p in parts if p.get("type") == "output_text"]
    return "".join(string(p, "text", "output_text.") for p in texts)


def _call(item: Mapping[str, object]) -> ToolCall:
    where = "function_call."
    found = [string(item, n, where) for n in ("call_id", "name", "arguments")]
    return ToolCall(found[0], found[1], found[2])
