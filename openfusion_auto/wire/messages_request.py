"""A Messages request: bytes to the hub, and the same bytes on to an upstream of the same dialect.

Source: Anthropic's Messages API, version 2023-06-01, with what Claude Code sends (system messages in mid-conversation,
adaptive thinking, `output_config`, a session in `metadata.user_id`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.wire.jsons import BOM, as_object
from openfusion_auto.wire.messages_blocks import (
    UNSIGNED,
    is_unsigned,
    read_messages,
    read_system,
    read_tools,
)
from openfusion_auto.wire.messages_checks import (
    check_body,
    check_max_tokens,
    check_stream,
    read_settings,
    session_fields,
    shape_of,
)
from openfusion_auto.wire.messages_render import render_request, without_blocks
from openfusion_auto.wire.naming import read_named
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.splice import bounds_over, read_top_level, splice_top_level

# Blocks that nobody but the upstream which made them can read, or takes.
SEALED = frozenset({"thinking", "redacted_thinking", "compaction"})
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def parse_request(raw: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Prompt:
    """Return the prompt that a request's body holds.

    Unknown fields stay in `Prompt.body` and never make a refusal. `Prompt.raw` is `raw` without a byte order
    mark. The billing header that Claude Code puts first in its system prompt is not among the hub's messages.

    Args:
        raw: The body.
        headers: The request's headers; this dialect reads nothing from them.

    Raises:
        BadRequest: not JSON, or a field that cannot be; `param` and `code` say which.
        ModelNotFound: a model name that none can have.
    """
    del headers
    return _parse(raw, counting=False)


def parse_count_request(raw: bytes) -> Prompt:
    """Return the prompt of a `count_tokens` request: as `parse_request`, but `max_tokens` need not be there."""
    return _parse(raw, counting=True)


def splice_request(prompt: Prompt, model: str, *, most: int | None = None) -> bytes:
    """Return the client's bytes with the upstream's model name in them and `openfusion` taken out.

    All other bytes stay, with one exception: thinking blocks that this router made of another dialect's reasoning
    are signed by nobody, so an upstream would refuse them, and the session with them, for ever.

    Args:
        prompt: A prompt of this dialect.
        model: The upstream's name of the model.
        most: The model's own bound of an answer [tokens]: one over it comes down to it, and a budget for thinking
            below it.
    """
    over = bounds_over(prompt.body, most)
    if not prompt.raw or (over and prompt.settings.thinking_tokens is not None):
        return render_request(prompt, model, max_output_tokens=most).body
    edits = {"model": model, FIELD: None, **over}
    if UNSIGNED.encode() in prompt.raw:
        cleaned = without_blocks(prompt.body, is_unsigned)
        edits |= {key: cleaned[key] for key in cleaned if cleaned[key] is not prompt.body[key]}
        edits |= dict.fromkeys(key for key in prompt.body if key not in cleaned)
    return splice_top_level(prompt.body, prompt.raw, edits)


def without_reasoning(
    prompt: Prompt, gone: Callable[[Mapping[str, object]], bool] = lambda _: True
) -> Prompt:
    """Return the prompt without the thinking blocks of its history, for an upstream that did not make them.

    A signature belongs to the model and account that made it: sent elsewhere, it makes every further request of the
    session a 400. The result is rendered anew (`raw` is empty).

    Args:
        prompt: A prompt of this dialect.
        gone: Which of the thinking and compaction blocks go; all by default.
    """

    def goes(block: object) -> bool:
        return _is_sealed(block) and gone(as_object(block) or {})

    return replace(
        prompt,
        body=without_blocks(prompt.body, goes),
        messages=tuple(
            replace(m, parts=tuple(p for p in m.parts if not goes(p.raw))) for m in prompt.messages
        ),
        raw=b"",
    )


def wants_reasoning(prompt: Prompt) -> bool:
    """Return whether a client of this dialect asked for thinking.

    One that did not may read the first content block as the answer's text, so it gets no thinking of other dialects.
    `display: omitted` counts as asked: what comes back with the history, some upstreams of other dialects need.
    """
    thinking = as_object(prompt.body.get("thinking")) or {}
    return thinking.get("type") not in (None, "disabled")


def _is_sealed(block: object) -> bool:
    return (as_object(block) or {}).get("type") in SEALED


def _parse(raw: bytes, *, counting: bool) -> Prompt:
    raw = raw.removeprefix(BOM)
    body = read_top_level(raw, "'model', 'max_tokens' and 'messages'")
    check_body(body)
    named = read_named(body, raw)
    body, raw = named.body, named.raw
    most = check_max_tokens(body, required=not counting)
    messages = (*read_system(body.get("system")), *read_messages(body.get("messages")))
    tools = read_tools(body.get("tools"))
    settings = read_settings(body, frozenset(tool.name for tool in tools))
    return Prompt(
        dialect="messages",
        model=named.model,
        messages=messages,
        tools=tools,
        stream=check_stream(body),
        include_usage=True,  # the dialect has no way to ask for it, and always reports it
        tool_choice_none=settings.tool_choice == "none",
        max_output_tokens=most,
        shape=shape_of(settings),
        settings=settings,
        options=named.options,
        session_fields=session_fields(body),
        body=body,
        raw=raw,
    )
