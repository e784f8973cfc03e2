"""Builders of Responses bodies and streams for the tests of this folder, and the official SDK as a judge."""

from __future__ import annotations

import json
from collections.abc import Iterable

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from openfusion_auto.core.prompt import Delta
from openfusion_auto.wire.responses_reader import ResponsesReader

_EVENT = TypeAdapter(ResponseStreamEvent)
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}


def body(*items: object, **fields: object) -> dict[str, object]:
    given = list(items) or [{"role": "user", "content": "hello"}]
    return {"model": "openfusion/auto", "input": given, **fields}


def raw(*items: object, **fields: object) -> bytes:
    return json.dumps(body(*items, **fields)).encode()


def message(text: str = "hi", item_id: str = "msg_1", **fields: object) -> dict[str, object]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    head = {"type": "message", "id": item_id, "status": "completed", "role": "assistant"}
    return {**head, "content": [part], **fields}


def reasoning(text: str = "hm", blob: str | None = "blob==", item_id: str = "rs_1"):
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": item_id, "summary": summary, "encrypted_content": blob}


def function(
    name: str = "f", args: str = "{}", call_id: str = "call_1", **fields: object
) -> dict[str, object]:
    head = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name}
    return {**head, "arguments": args, "status": "completed", **fields}


def custom(name: str = "apply_patch", text: str = "*** x", call_id: str = "call_9"):
    head = {"type": "custom_tool_call", "id": f"ctc_{call_id}", "call_id": call_id, "name": name}
    return {**head, "input": text, "status": "completed"}


def response(*output: object, **fields: object) -> dict[str, object]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "vendor/m",
        "output": list(output) or [message()],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": USAGE,
        **fields,
    }


def event(kind: str, **fields: object) -> dict[str, object]:
    return {"type": kind, **fields}


def added(index: int, item: dict[str, object]) -> dict[str, object]:
    return event("response.output_item.added", output_index=index, item=item)


def done(index: int, item: dict[str, object]) -> dict[str, object]:
    return event("response.output_item.done", output_index=index, item=item)


def text(delta: str, index: int = 0) -> dict[str, object]:
    place = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    return event("response.output_text.delta", **place, delta=delta, logprobs=[])


def arguments(delta: str, index: int = 0) -> dict[str, object]:
    return event(
        "response.function_call_arguments.delta", item_id="fc", output_index=index, delta=delta
    )


def created(**fields: object) -> dict[str, object]:
    running = response(status="in_progress", usage=None, **fields)
    return event("response.created", response={**running, "output": []})


def completed(*output: object, **fields: object) -> dict[str, object]:
    return event("response.completed", response=response(*output, **fields))


def sse(*events: dict[str, object], first: int = 0) -> bytes:
    """Events as OpenAI frames them: a name, numbers that rise by one, compact UTF-8."""
    out = []
    for number, data in enumerate(events, first):
        numbered = {"type": data["type"], "sequence_number": number, **data}
        line = json.dumps(numbered, ensure_ascii=False, separators=(",", ":")).encode()
        out.append(b"event: " + str(data["type"]).encode() + b"\ndata: " + line + b"\n\n")
    return b"".join(out)


def deltas(stream: bytes) -> list[Delta]:
    reader = ResponsesReader()
    return reader.feed(stream) + reader.close()


def parsed(stream: bytes) -> list[dict[str, object]]:
    """The events of a well-formed stream: named by their type, numbered one by one."""
    assert stream.endswith(b"\n\n") or not stream
    found: list[dict[str, object]] = []
    for block in stream.split(b"\n\n")[:-1]:
        if block.startswith(b":"):
            continue
        name, data = block.split(b"\n")
        assert name.startswith(b"event: ")
        assert data.startswith(b"data: ")
        found.append(json.loads(data[6:]))
        assert name[7:].decode() == found[-1]["type"]
    numbers = [event["sequence_number"] for event in found]
    first = numbers[0] if numbers else 0
    assert numbers == list(range(first, first + len(numbers)))
    return found


def types(events: Iterable[dict[str, object]]) -> list[str]:
    return [str(e["type"]).removeprefix("response.") for e in events]


def accept_response(found: object) -> Response:
    """The SDK's own object, by its strict rules."""
    return Response.model_validate_json(json.dumps(found), strict=True)


def accept_events(found: Iterable[dict[str, object]]) -> None:
    for one in found:
        _EVENT.validate_json(json.dumps(one), strict=True)
