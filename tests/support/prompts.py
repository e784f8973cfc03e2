"""Prompts for tests, from OpenAI chat messages. Not the wire parser: just enough to say what a test means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from openfusion_auto.core.prompt import Message, Options, Part, Prompt, Tool, ToolCall


def _part(part: Mapping[str, object]) -> Part:
    kind = part.get("type")
    if kind == "image_url":
        url = part["image_url"]
        return Part("image", size=len(str(url["url"] if isinstance(url, Mapping) else url)))
    if kind == "file":
        return Part("file", size=len(json.dumps(part)))
    return Part("text", str(part.get("text", "")))


def _parts(content: object) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part("text", content),)
    assert isinstance(content, Sequence)
    return tuple(_part(p) for p in content)


def _message(message: Mapping[str, object]) -> Message:
    calls = message.get("tool_calls") or ()
    call_id = message.get("tool_call_id")
    return Message(
        message["role"],
        _parts(message.get("content")),
        tuple(ToolCall(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls),
        None if call_id is None else str(call_id),
    )


def chat(
    messages: Sequence[Mapping[str, object]],
    *,
    tools: Sequence[Mapping[str, object]] = (),
    raw: bool = True,
    options: Options | None = None,
    **body: object,
) -> Prompt:
    """Return the prompt that an OpenAI chat body with these messages, tools and further fields makes.

    `raw=False` leaves the original bytes out, as in prompts that a recipe makes.
    """
    whole: dict[str, object] = {"model": "openfusion/auto", "messages": list(messages), **body}
    if tools:
        whole["tools"] = list(tools)
    form = body.get("response_format")
    limit = body.get("max_tokens", body.get("max_completion_tokens"))
    return Prompt(
        dialect="chat",
        model="openfusion/auto",
        messages=tuple(_message(m) for m in messages),
        tools=tuple(
            Tool(t["function"]["name"], schema=t["function"].get("parameters")) for t in tools
        ),
        stream=bool(body.get("stream", False)),
        tool_choice_none=body.get("tool_choice") == "none",
        max_output_tokens=limit if isinstance(limit, int) else None,
        shape=str(form["type"]) if isinstance(form, Mapping) else "text",
        options=options or Options(),
        body=whole,
        raw=json.dumps(whole).encode() if raw else b"",
    )


def user(text: str, **body: object) -> Prompt:
    """Return the prompt of one user message."""
    return chat([{"role": "user", "content": text}], **body)


def function(name: str, **properties: object) -> dict[str, object]:
    """Return an OpenAI tool definition."""
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Runs {name} in the workspace.",
            "parameters": {"type": "object", "properties": properties},
        },
    }
