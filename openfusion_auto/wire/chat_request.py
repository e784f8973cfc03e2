"""A Chat Completions request: bytes to the hub, and the hub to the bytes that go upstream.

On the way up the client's bytes stay as they came: only the model's name is put in, `openfusion` taken out, and
`stream_options.include_usage` added where the ledger needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from openfusion_auto.core.prompt import Message, Prompt, Shape
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    check_model,
    check_response_format,
    check_sampling,
    check_stream_options,
    check_tool_choice,
    refuse_forbidden,
)
from openfusion_auto.wire.chat_messages import read_messages, read_tools
from openfusion_auto.wire.jsons import BOM, Body, JsonError, Member, as_object, dumps, read_body
from openfusion_auto.wire.options import FIELD, read_options

_SESSION = ("session_id", "prompt_cache_key", "user")


def parse_request(raw: bytes) -> Prompt:
    """Return the prompt that a request's body holds.

    Unknown fields stay in `Prompt.body` and never make a refusal. `Prompt.raw` is `raw` without a byte order
    mark.

    Raises:
        BadRequest: not JSON, or a field that cannot be; `param` and `code` say which, as OpenAI's API does.
        ModelNotFound: a model name that none can have.
    """
    raw = raw.removeprefix(BOM)
    body = _body(raw)
    refuse_forbidden(body)
    model = check_model(body)
    messages = read_messages(body.get("messages"))
    check_sampling(body)
    tools = read_tools(body)
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    most = body.get("max_tokens") if most is None else most
    return Prompt(
        dialect="chat",
        model=model,
        messages=messages,
        tools=tools,
        stream=body.get("stream") is True,
        include_usage=check_stream_options(body),
        tool_choice_none=check_tool_choice(body, frozenset(tool.name for tool in tools)),
        max_output_tokens=cast("int | None", most),
        n=cast("int | None", body.get("n")) or 1,
        shape=cast("Shape", check_response_format(body)),
        options=read_options(body.get(FIELD)),
        session_fields=_session_fields(body),
        body=body,
        raw=raw,
    )


def splice_request(prompt: Prompt, model: str, *, want_usage: bool) -> bytes:
    """Return the client's bytes with the upstream's model name in them.

    The top-level `openfusion` goes out; when the client streams, did not ask for usage and `want_usage` is set,
    `stream_options.include_usage` goes in. All other bytes stay. A body with a top-level key that stands twice
    is written anew: which of the two an upstream reads is not ours to bet on.
    """
    if not prompt.raw:
        return render_request(prompt, model, stream=prompt.stream, want_usage=want_usage)
    body = prompt.body if isinstance(prompt.body, Body) else read_body(prompt.raw)
    if body is None or len(body.members) != len(body) or "model" not in body:
        return render_request(prompt, model, stream=prompt.stream, want_usage=want_usage)
    ask_usage = prompt.stream and want_usage and not prompt.include_usage
    edits = [_replace(body, "model", model)]
    if FIELD in body:
        edits.append(_remove(body, FIELD))
    if ask_usage:
        options = {**(as_object(body.get("stream_options")) or {}), "include_usage": True}
        edits.append(_replace(body, "stream_options", options))
    raw = memoryview(prompt.raw)
    out: list[bytes | memoryview] = []
    at = 0
    for start, end, new in sorted(edits):
        out += (raw[at:start], new)
        at = end
    out.append(raw[at:])
    return b"".join(out)


def render_request(prompt: Prompt, model: str, *, stream: bool, want_usage: bool) -> bytes:
    """Return a request written anew, for a prompt that a recipe changed or made.

    A chat client's own fields and messages stay as they were parsed, `overrides` change fields (None removes
    one) and `added` stands behind the messages. A prompt without a chat body gives its messages and
    `max_tokens` alone.
    """
    body: dict[str, object] = {"model": model}
    if prompt.dialect == "chat" and prompt.body:
        body.update(prompt.body)
        body["model"] = model
        own = prompt.body.get("messages")
        messages = list(own) if isinstance(own, list) else []
    else:
        messages = [_render(message) for message in prompt.messages]
        if prompt.max_output_tokens is not None:
            body["max_tokens"] = prompt.max_output_tokens
    body["messages"] = messages + [_render(message) for message in prompt.added]
    options = as_object(body.pop("stream_options", None)) or {}
    body.pop("stream", None)
    body.pop(FIELD, None)
    for field, value in prompt.overrides.items():
        body.pop(field, None)
        if value is not None and field != "stream":
            body[field] = value
    if stream:
        body["stream"] = True
        usage = {"include_usage": True} if want_usage or prompt.include_usage else {}
        if options or usage:
            body["stream_options"] = {**options, **usage}
    return dumps(body)


def _body(raw: bytes) -> Body:
    try:
        body = read_body(raw)
    except JsonError as error:
        raise BadRequest(
            f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    if body is None:
        raise BadRequest(
            "The body of your request is not a JSON object; expected one with 'model' and 'messages'.",
            code="invalid_json",
        )
    return body


def _session_fields(body: Mapping[str, object]) -> dict[str, str]:
    found = {field: body.get(field) for field in _SESSION}
    found["metadata.session_id"] = (as_object(body.get("metadata")) or {}).get("session_id")
    return {field: value for field, value in found.items() if isinstance(value, str) and value}


def _replace(body: Body, key: str, value: object) -> tuple[int, int, bytes]:
    """Return the edit that sets a member: its value's place, or a new member behind the last."""
    for member in body.members:
        if member.key == key:
            return member.value, member.end, dumps(value)
    end = body.members[-1].end
    if body.members[-1].key == FIELD:
        # The last member goes out, together with all behind its predecessor: the new one stands before it.
        end = _remove(body, FIELD)[0]
    return end, end, b"," + dumps(key) + b":" + dumps(value)


def _remove(body: Body, key: str) -> tuple[int, int, bytes]:
    """Return the edit that takes a member out, with one of the commas beside it."""
    at = next(i for i, member in enumerate(body.members) if member.key == key)
    member: Member = body.members[at]
    if at == 0:
        # `model` stands somewhere too, so there is a next one.
        return member.start, body.members[1].start, b""
    return body.members[at - 1].end, member.end, b""


def _render(message: Message) -> dict[str, object]:
    out: dict[str, object] = {
        # Many servers know no `developer`; those that do read `system` as the same.
        "role": "system" if message.role == "developer" else message.role,
        "content": message.text,
    }
    if message.tool_calls:
        out["content"] = message.text or None
        out["tool_calls"] = [
            {"id": c.id, "type": "custom", "custom": {"name": c.name, "input": c.arguments}}
            if c.kind == "custom"
            else {
                "id": c.id,
                "type": "function",
                "function": {"name": c.name, "arguments": c.arguments},
            }
            for c in message.tool_calls
        ]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    return out
