"""A Chat Completions request: bytes to the hub, and the hub to the bytes that go upstream.

On the way up the client's bytes stay as they came: only the model's name is put in, `openfusion` taken out, and
`stream_options.include_usage` added where the ledger needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from openfusion_auto.core.prompt import Message, Prompt, Shape
from openfusion_auto.wire.chat_answer import render_call
from openfusion_auto.wire.chat_checks import (
    check_response_format,
    check_sampling,
    check_stream_options,
    check_tool_choice,
    refuse_forbidden,
)
from openfusion_auto.wire.chat_foreign import render_foreign
from openfusion_auto.wire.chat_legacy import modern
from openfusion_auto.wire.chat_messages import only_allowed, read_messages, read_tools
from openfusion_auto.wire.chat_parts import render_content
from openfusion_auto.wire.chat_settings import read_settings
from openfusion_auto.wire.jsons import BOM, as_object, dumps
from openfusion_auto.wire.naming import read_named
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.splice import (
    BOUNDS,
    bounds_over,
    budgets_over,
    read_top_level,
    splice_top_level,
)

_SESSION = ("session_id", "prompt_cache_key", "user")
_NO_HEADERS: Mapping[str, str] = {}


def parse_request(
    raw: bytes,
    headers: Mapping[str, str] = _NO_HEADERS,  # noqa: ARG001 - every dialect's reader takes them
) -> Prompt:
    """Return the prompt that a request's body holds.

    Unknown fields stay in `Prompt.body` and never make a refusal. `Prompt.raw` is `raw` without a byte order
    mark.

    Args:
        raw: The body.
        headers: The request's headers; in this dialect they say nothing about a prompt.

    Raises:
        BadRequest: not JSON, or a field that cannot be; `param` and `code` say which, as OpenAI's API does.
        ModelNotFound: a model name that none can have.
    """
    raw = raw.removeprefix(BOM)
    body = read_top_level(raw)
    refuse_forbidden(body)
    named = read_named(body, raw)
    body, raw = named.body, named.raw
    edits = modern(body)
    said = {**body, **edits} if edits else body
    messages = read_messages(said.get("messages"))
    check_sampling(body)
    tools = only_allowed(read_tools(said), said.get("tool_choice"))
    most = body.get("max_completion_tokens", body.get("max_tokens"))
    most = body.get("max_tokens") if most is None else most
    return Prompt(
        dialect="chat",
        model=named.model,
        messages=messages,
        tools=tools,
        stream=body.get("stream") is True,
        include_usage=check_stream_options(body),
        tool_choice_none=check_tool_choice(said, frozenset(tool.name for tool in tools)),
        max_output_tokens=cast("int | None", most),
        n=cast("int | None", body.get("n")) or 1,
        shape=cast("Shape", check_response_format(body)),
        settings=read_settings(said),
        options=named.options,
        session_fields=_session_fields(body),
        body=body,
        raw=raw,
    )


def splice_request(prompt: Prompt, model: str, *, most: int | None = None) -> bytes:
    """Return the client's bytes with the upstream's model name in them.

    The top-level `openfusion` goes out; when the client streams and did not ask for usage,
    `stream_options.include_usage` goes in. All other bytes stay. A body with a top-level key that stands twice
    is written anew: which of the two an upstream reads is not ours to bet on. A bound of the answer over `most`
    [tokens], the model's own, comes down to it, and a budget for reasoning below it: models refuse what they cannot
    write.
    """
    if not prompt.raw or prompt.dialect != "chat":
        return render_request(prompt, model)
    over = bounds_over(prompt.body, most)
    edits = {"model": model, FIELD: None, **over, **modern(prompt.body)}
    if over and most is not None:
        edits |= budgets_over(prompt.body, most)
    if prompt.stream and not prompt.include_usage:
        options = as_object(prompt.body.get("stream_options")) or {}
        edits["stream_options"] = {**options, "include_usage": True}
    return splice_top_level(prompt.body, prompt.raw, edits)


def render_request(prompt: Prompt, model: str) -> bytes:
    """Return a request written anew, for a prompt that a recipe changed or made.

    A chat client's own fields and messages stay as they were parsed, `overrides` change fields (None removes
    one) and `added` stands behind the messages. A prompt without a chat body is written from the hub
    (`render_foreign`, which also tells what is lost).
    """
    if prompt.dialect != "chat" or not prompt.body:
        return render_foreign(prompt, model).body
    edits = modern(prompt.body)
    gone = {key for key, value in edits.items() if value is None}
    body = {key: v for key, v in {**prompt.body, **edits}.items() if key not in gone}
    body["model"] = model
    own = body.get("messages")
    messages: list[object] = list(own) if isinstance(own, list) else []
    body["messages"] = messages + [_render(message) for message in prompt.added]
    options = as_object(body.pop("stream_options", None)) or {}
    body.pop("stream", None)
    body.pop(FIELD, None)
    for field, value in prompt.overrides.items():
        body.pop(field, None)
        if value is not None and field != "stream":
            body[field] = value
    bounds = [bound for name in BOUNDS if isinstance(bound := body.get(name), int)]
    for field, value in budgets_over(body, min(bounds)).items() if bounds else ():
        if value is None:
            del body[field]
        else:
            body[field] = value
    if prompt.stream:
        body["stream"] = True
        body["stream_options"] = {**options, "include_usage": True}
    return dumps(body)


def _session_fields(body: Mapping[str, object]) -> dict[str, str]:
    found = {field: body.get(field) for field in _SESSION}
    found["metadata.session_id"] = (as_object(body.get("metadata")) or {}).get("session_id")
    return {field: value for field, value in found.items() if isinstance(value, str) and value}


def _render(message: Message) -> dict[str, object]:
    out: dict[str, object] = {
        # Many servers know no `developer`; those that do read `system` as the same.
        "role": "system" if message.role == "developer" else message.role,
        "content": render_content(message.parts, "a message added to the request"),
    }
    if message.tool_calls:
        out["content"] = message.text or None
        out["tool_calls"] = [render_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        out["tool_call_id"] = message.tool_call_id
    return out
