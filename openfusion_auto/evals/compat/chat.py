"""Chat Completions, as its clients speak and read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.sse import Frame

USAGE = ("prompt_tokens", "completion_tokens")


class Chat:
    """See `Speech`."""

    name: Dialect = "chat"
    path = "/chat/completions"

    def request(self, model: str, ask: Ask) -> Json:
        """Return the body of a request."""
        body: Json = {"model": model, "messages": [{"role": "user", "content": ask.text}]}
        body["max_tokens"] = MAX_TOKENS
        if ask.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if ask.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": n, "description": ABOUT_TOOLS[n], "parameters": CITY},
                }
                for n in ask.tools
            ]
            body["tool_choice"] = "required"
        if ask.form:
            schema = {"name": "form", "strict": True, "schema": FORM}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body | dict(ask.extra)

    def follow(self, body: Json, heard: Heard, results: Sequence[str]) -> Json:
        """Return the request with the model's calls and their results behind it."""
        answers = [
            {"role": "tool", "tool_call_id": c.id, "content": r}
            for c, r in zip(heard.calls, results, strict=True)
        ]
        before = body["messages"]
        said = list(before) if isinstance(before, list) else []
        return body | {"messages": [*said, *heard.turn, *answers], "tool_choice": "auto"}

    def whole(self, body: Mapping[str, object]) -> Heard:
        """Read an answer."""
        same(body, "object", "chat.completion")
        for name in ("id", "model"):
            string(body, name)
        integer(body, "created")
        choices = objects(body, "choices")
        if len(choices) != 1:
            raise Wrong("choices has not one item")
        message = inner(choices[0], "message", "choices[0].")
        same(message, "role", "assistant", "message.")
        calls = [_call(c) for c in _calls(message)]
        finish = string(choices[0], "finish_reason", "choices[0].")
        return _heard(_text(message), calls, finish, _usage(body))

    def stream(self, frames: Sequence[Frame]) -> Heard:
        """Read a stream: chunks, one finish, the usage that was asked for behind it, the end mark."""
        chunks = _Chunks()
        if not frames or frames[-1].data != b"[DONE]":
            chunks.notes["form"] = "the stream does not end with [DONE]"
        for frame in frames:
            if frame.data != b"[DONE]" or frame is not frames[-1]:
                chunks.take(read(frame.data or b"", "an event"))
        if not chunks.finish:
            raise Wrong("no chunk has a finish_reason")
        found = _heard(chunks.text, chunks.made(), chunks.finish, chunks.usage)
        return replace(found, notes=chunks.notes)

    def error(self, body: Mapping[str, object]) -> None:
        """Hold an error to `{"error": {message, type, ...}}`."""
        openai_error(body)


def openai_error(body: Mapping[str, object]) -> None:
    """Hold an error to the form that OpenAI's two APIs have."""
    error = inner(body, "error")
    if not string(error, "message", "error.").strip():
        raise Wrong("error.message is empty")
    string(error, "type", "error.")


class _Chunks:
    """The chunks of a stream, put together."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}
        self._id = ""
        self.text = ""
        self.finish = ""
        self.usage: tuple[int, int] | None = None
        self._calls: dict[int, dict[str, str]] = {}

    def take(self, chunk: Mapping[str, object]) -> None:
        """Read one chunk."""
        if "error" in chunk:
            raise Wrong("the stream ends with an error")
        same(chunk, "object", "chat.completion.chunk")
        named = string(chunk, "id")
        if self._id not in ("", named):
            self.notes["form"] = "the chunks have not one id"
        self._id = named
        choices = objects(chunk, "choices")
        self._count(_usage(chunk), alone=not choices)
        for choice in choices:
            self._choose(choice)

    def _count(self, found: tuple[int, int] | None, *, alone: bool) -> None:
        """Take the usage of a chunk; it belongs on one of its own, behind the finish."""
        if alone and (found is None or not self.finish):
            self.notes["usage"] = "a chunk has no choices, and is not the usage behind the finish"
        elif found is not None and not alone:
            self.notes["usage"] = "usage stands on a chunk with choices, not on one of its own"
        elif found is not None and self.usage is not None:
            self.notes["usage"] = "usage is told twice"
        self.usage = found or self.usage

    def _choose(self, choice: Mapping[str, object]) -> None:
        delta = inner(choice, "delta", "choices[0].")
        text, calls = _text(delta), _calls(delta)
        if self.finish and (text or calls):
            raise Wrong("something is said behind the finish_reason")
        self.text += text
        for part in calls:
            self._call(part)
        if choice.get("finish_reason") is not None:
            if self.finish:
                raise Wrong("two chunks have a finish_reason")
            self.finish = string(choice, "finish_reason", "choices[0].")

    def _call(self, part: Mapping[str, object]) -> None:
        index = integer(part, "index", "tool_calls[].")
        said = as_object(part.get("function")) or {}
        if index not in self._calls:
            name = string(said, "name", "the first piece of a call: function.")
            self._calls[index] = {"id": string(part, "id", "the first piece of a call: ")}
            self._calls[index] |= {"name": name, "arguments": ""}
        elif part.get("id") not in (None, "", self._calls[index]["id"]):
            raise Wrong("a call's id changes inside the stream")
        more = said.get("arguments")
        self._calls[index]["arguments"] += more if isinstance(more, str) else ""

    def made(self) -> list[ToolCall]:
        """Return the calls, in order."""
        if list(self._calls) != list(range(len(self._calls))):
            raise Wrong("the indexes of the calls do not count from 0")
        return [ToolCall(**c) for c in self._calls.values()]


def _text(said: Mapping[str, object]) -> str:
    content = said.get("content")
    if content is not None and not isinstance(content, str):
        raise Wrong("content is neither text nor null")
    return content or ""


def _calls(said: Mapping[str, object]) -> list[Mapping[str, object]]:
    calls = said.get("tool_calls")
    return [] if calls is None else objects(said, "tool_calls")


def _call(call: Mapping[str, object]) -> ToolCall:
    same(call, "type", "function", "tool_calls[].")
    said = inner(call, "function", "tool_calls[].")
    where = "tool_calls[].function."
    arguments = string(said, "arguments", where)
    return ToolCall(string(call, "id", "tool_calls[]."), string(said, "name", where), arguments)


def _usage(body: Mapping[str, object]) -> tuple[int, int] | None:
    return tokens(as_object(body.get("usage")), USAGE)


def _heard(
    text: str, calls: Sequence[ToolCall], finish: str, usage: tuple[int, int] | None
) -> Heard:
    turn: Json = {"role": "assistant", "content": text or None}
    if calls:
        turn["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in calls
        ]
    finish = "tools" if finish == "tool_calls" else finish
    return Heard(text, tuple(calls), finish, usage, [turn])
