"""Builders of chat bodies and chunks for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable


def body(**fields: object) -> dict[str, object]:
    return {
        "model": "openfusion/auto",
        "messages": [{"role": "user", "content": "hello"}],
        **fields,
    }


def raw(**fields: object) -> bytes:
    return json.dumps(body(**fields)).encode()


def completion(
    message: dict[str, object] | None = None, finish: str | None = "stop", **fields: object
):
    message = {"role": "assistant", "content": "hi"} if message is None else message
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "vendor/m",
        "choices": [choice],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
        **fields,
    }


def chunk(
    delta: dict[str, object] | None = None, finish: str | None = None, index: int = 0, **fields
):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "vendor/m",
        "choices": [{"index": index, "delta": delta or {}, "finish_reason": finish}],
        **fields,
    }


def usage_chunk(prompt: int = 7, completed: int = 2):
    usage = {"prompt_tokens": prompt, "completion_tokens": completed}
    return {**chunk(), "choices": [], "usage": usage}


def call(
    index: int | None,
    call_id: str | None = None,
    name: str | None = None,
    args: str = "",
    choice: int = 0,
):
    function: dict[str, object] = {"arguments": args}
    if name is not None:
        function["name"] = name
    item: dict[str, object] = {"function": function}
    if index is not None:
        item["index"] = index
    if call_id is not None:
        item |= {"id": call_id, "type": "function"}
    return chunk({"tool_calls": [item]}, index=choice)


def sse(*chunks: object, done: bool = True) -> bytes:
    out = b"".join(b"data: " + json.dumps(c, ensure_ascii=False).encode() + b"\n\n" for c in chunks)
    return out + (b"data: [DONE]\n\n" if done else b"")


def parsed(stream: bytes) -> list[object]:
    """The data of a well-framed stream: JSON objects, and the string [DONE]."""
    assert stream.endswith(b"\n\n") or not stream
    out: list[object] = []
    for block in stream.split(b"\n\n")[:-1]:
        if block.startswith(b":"):
            continue
        assert block.startswith(b"data: ")
        data = block[6:]
        out.append("[DONE]" if data == b"[DONE]" else json.loads(data))
    return out


def outcome(read: Callable, *args: object, of: type[Exception]) -> object:
    """What `read` returns, or the error of that kind which it raises."""
    try:
        return read(*args)
    except of as error:
        return error
