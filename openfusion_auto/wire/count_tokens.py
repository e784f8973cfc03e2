"""The answer of `count_tokens`: how many input tokens a prompt is likely to be.

An estimate like the one that decisions use (`core/tokens.py`), for a request that is counted and not sent: its parts
one by one, so that a body in any dialect gives the same number.
"""

from __future__ import annotations

from openfusion_auto.core.prompt import Message, Part, Prompt, Tool
from openfusion_auto.core.tokens import estimate, media_tokens, text_bytes
from openfusion_auto.wire.jsons import dumps

MESSAGE_TOKENS = 4  # [tokens] around each message: role and separators (OpenAI's cookbook: 3 to 4)
TOOLS_TOKENS = 346  # [tokens] that tools cost beside themselves (Anthropic, "Tool use: pricing", Claude 4, choice auto)


def count_tokens(prompt: Prompt) -> int:
    """Return the input tokens [tokens] of a prompt, with what a recipe added: text, tools, pictures, files, calls and
    thinking.
    """
    messages = (*prompt.messages, *prompt.added)
    size = sum(_message_bytes(message) for message in messages)
    size += sum(_tool_bytes(tool) for tool in prompt.tools)
    if prompt.settings.form is not None:
        size += len(dumps(prompt.settings.form.schema))
    fixed = MESSAGE_TOKENS * len(messages) + (TOOLS_TOKENS if prompt.tools else 0)
    attached = sum(_attached(part) for message in messages for part in message.parts)
    return estimate(size) + fixed + attached


def render_count(tokens: int) -> bytes:
    """Return the body of the answer: `{"input_tokens": tokens}`."""
    return dumps({"input_tokens": tokens})


def _message_bytes(message: Message) -> int:
    calls = sum(
        text_bytes(call.id) + text_bytes(call.name) + text_bytes(call.arguments)
        for call in message.tool_calls
    )
    return calls + text_bytes(message.tool_call_id or "") + sum(map(_part_bytes, message.parts))


def _part_bytes(part: Part) -> int:
    """Return the readable bytes of a part. Thinking without text is as long as what encrypts it, about."""
    if part.kind == "reasoning" and not part.text:
        return text_bytes(part.opaque)
    if part.kind == "other":
        return part.size
    return text_bytes(part.text)


def _tool_bytes(tool: Tool) -> int:
    if tool.kind == "server" and tool.raw is not None:
        return len(dumps(tool.raw))
    held = (tool.schema, tool.grammar)
    schemas = sum(len(dumps(value)) for value in held if value is not None)
    return text_bytes(tool.name) + text_bytes(tool.description) + schemas


def _attached(part: Part) -> int:
    counts = part.kind in ("image", "audio") or (part.kind == "file" and not part.text)
    return media_tokens(part) if counts else 0
