"""A scripted answer as each dialect writes it, whole and as the events of a stream.

Written by hand from the three APIs' references, and not with the product's own writers: else a defect of those would
stand on both sides, and no probe could see it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.script import ANSWER_FIELD, KEPT, TOKENS, Said
from openfusion_auto.evals.compat.speech import Json

PIECE = 5  # [characters] of text or arguments in an event
CREATED = 1_700_000_000
IN, OUT = TOKENS
CHAT_USAGE: Json = {"prompt_tokens": IN, "completion_tokens": OUT, "total_tokens": IN + OUT}
RESPONSES_USAGE: Json = {
    "input_tokens": IN,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": OUT,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": IN + OUT,
}


def dumped(value: object) -> bytes:
    """Return JSON as a server of another make writes it: with spaces, in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode()


def whole(dialect: Dialect, said: Said, model: str) -> bytes:
    """Return the body of an answer."""
    make = {"chat": _chat, "responses": _response, "messages": _message}[dialect]
    return dumped({**make(said, model), ANSWER_FIELD: KEPT})


def events(dialect: Dialect, said: Said, model: str, *, usage: bool = True) -> list[bytes]:
    """Return the events of a stream; `usage`: of chat, the chunk that tells it."""
    if dialect == "chat":
        return list(_chunks(said, model, usage=usage))
    make = _response_events if dialect == "responses" else _message_events
    return [named(e) for e in make(said, model)]


def error(dialect: Dialect, kind: str, message: str) -> bytes:
    """Return the body of a refusal."""
    if dialect == "messages":
        return dumped({"type": "error", "error": {"type": kind, "message": message}})
    return dumped({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def named(event: Json) -> bytes:
    """Return an event with its type as its name."""
    return f"event: {event['type']}\n".encode() + b"data: " + dumped(event) + b"\n\n"


def pieces(text: str) -> Iterator[str]:
    """Cut a text."""
    return (text[i : i + PIECE] for i in range(0, len(text), PIECE))


# -- chat ------------------------------------------------------------------------------------------------------------


def _head(kind: str, model: str) -> Json:
    return {"id": "chatcmpl-1", "object": kind, "created": CREATED, "model": model}


def _chat(said: Said, model: str) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in said.calls
        ]
    choice = {"index": 0, "message": message, "finish_reason": _finish(said)}
    return {**_head("chat.completion", model), "choices": [choice], "usage": CHAT_USAGE}


def _finish(said: Said) -> str:
    return "tool_calls" if said.calls else "stop"


def _chunks(said: Said, model: str, *, usage: bool) -> Iterator[bytes]:
    head = _head("chat.completion.chunk", model)

    def chunk(delta: Json, finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return b"data: " + dumped({**head, "choices": choices}) + b"\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for part in pieces(said.text):
        yield chunk({"content": part})
    for index, call in enumerate(said.calls):
        first = {"index": index, "id": call.id, "type": "function"}
        yield chunk({"tool_calls": [{**first, "function": {"name": call.name, "arguments": ""}}]})
        for part in pieces(call.arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, _finish(said))
    if usage:
        yield b"data: " + dumped({**head, "choices": [], "usage": CHAT_USAGE}) + b"\n\n"
    yield b"data: [DONE]\n\n"


# -- responses -------------------------------------------------------------------------------------------------------


def _items(said: Said) -> list[Json]:
    if said.calls:
        return [
            {"type": "function_call", "id": f"fc_{i}", "call_id": c.id, "name": c.name, "arguments": c.arguments,
             "status": "completed"}
            for i, c in enumerate(said.calls)
        ]  # fmt: skip
    part = {"type": "output_text", "text": said.text, "annotations": []}
    return [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }
    ]


def _response(said: Said, model: str, status: str = "completed") -> Json:
    done = status == "completed"
    return {
        "id": "resp_1", "object": "response", "created_at": CREATED, "status": status, "error": None,
        "incomplete_details": None, "instructions": None, "model": model, "output": _items(said) if done else [],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {},
        "usage": RESPONSES_USAGE if done else None,
    }  # fmt: skip


def _response_events(said: Said, model: str) -> Iterator[Json]:
    make = _call_events if said.calls else _text_events
    spoken = [c.arguments for c in said.calls] or [said.text]
    made: list[Json] = [
        {"type": "response.created", "response": _response(said, model, "in_progress")},
        *[e for i, item in enumerate(_items(said)) for e in make(i, item, spoken[i])],
        {"type": "response.completed", "response": {**_response(said, model), ANSWER_FIELD: KEPT}},
    ]
    return ({**event, "sequence_number": n} for n, event in enumerate(made))


def _call_events(index: int, item: Json, arguments: str) -> Iterator[Json]:
    at: Json = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress", "arguments": ""}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    for part in pieces(arguments):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": part}
    yield {"type": "response.function_call_arguments.done", **at, "arguments": arguments}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _text_events(index: int, item: Json, text: str) -> Iterator[Json]:
    at: Json = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part: Json = {"type": "output_text", "text": text, "annotations": []}
    begun = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
    for piece in pieces(text):
        yield {"type": "response.output_text.delta", **at, "delta": piece}
    yield {"type": "response.output_text.done", **at, "text": text}
    yield {"type": "response.content_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


# -- messages --------------------------------------------------------------------------------------------------------


def _blocks(said: Said) -> Sequence[Json]:
    if said.calls:
        return [
            {"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)}
            for c in said.calls
        ]
    return [{"type": "text", "text": said.text}]


def _message(said: Said, model: str) -> Json:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": _blocks(said),
        "stop_reason": "tool_use" if said.calls else "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": IN, "output_tokens": OUT},
    }  # fmt: skip


def _message_events(said: Said, model: str) -> Iterator[Json]:
    message = _message(said, model)
    begun: Json = {
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": IN, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": {**message, **begun}}
    empty: Json = {"input": {}} if said.calls else {"text": ""}
    kind, name = ("input_json_delta", "partial_json") if said.calls else ("text_delta", "text")
    spoken = [c.arguments for c in said.calls] or [said.text]
    for index, block in enumerate(_blocks(said)):
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        for part in pieces(spoken[index]):
            delta = {"type": kind, name: part}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": OUT}}
    yield {"type": "message_stop"}
