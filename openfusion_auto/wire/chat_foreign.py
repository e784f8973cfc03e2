"""A prompt of another dialect as a chat request, and the list of what chat could not say.

Chat differs in three ways that matter: results of tools are text and stand right behind the message that asked for
them; reasoning has no field that every server knows; tools that take free text are functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openfusion_auto.core.prompt import Message, Part, Prompt
from openfusion_auto.wire.chat_parts import render_content
from openfusion_auto.wire.chat_settings import render_settings
from openfusion_auto.wire.chat_tools import render_call, render_tools
from openfusion_auto.wire.fields import unsaid
from openfusion_auto.wire.jsons import dumps
from openfusion_auto.wire.ordered import in_order
from openfusion_auto.wire.rendered import Rendered, counted, each_once

_MEDIA = ("image", "audio", "file")
_SEEN_BELOW = "(The result is in the next message.)"


@dataclass(slots=True)
class _Written:
    """A request's messages as far as they are written, and what they have lost."""

    messages: list[dict[str, object]] = field(default_factory=list)
    pending: list[dict[str, object]] = field(default_factory=list)  # moved out of results
    lost: list[str] = field(default_factory=list)
    reasoning: int = 0
    signatures: int = 0
    failures: int = 0
    moved: int = 0
    attachments: int = 0

    def put(self, message: dict[str, object]) -> None:
        """Add a message; what was moved out of results stands behind all results of a turn."""
        if message["role"] != "tool":
            self.flush()
        self.messages.append(message)

    def flush(self) -> None:
        """Add what was moved out of results."""
        self.messages += self.pending
        self.pending = []


def render_foreign(prompt: Prompt, model: str, *, keep_reasoning: bool = False) -> Rendered:
    """Return a prompt of the dialect `responses` or `messages` as a chat request.

    Args:
        prompt: The prompt; messages that a recipe added stand behind the client's, its overrides are chat fields.
        model: The upstream's name for the model.
        keep_reasoning: Send readable reasoning as `reasoning_content`; else it is dropped. Signatures and encrypted
            reasoning belong to their maker and never go along.

    Raises:
        BadRequest: a picture, sound or file in a form that chat cannot hold.
    """
    written = _Written()
    tools = render_tools(prompt.tools, written.lost)
    for at, message in enumerate(in_order((*prompt.messages, *prompt.added))):
        _write(written, message, f"messages[{at}]", keep_reasoning=keep_reasoning)
    written.flush()
    names = frozenset(tool.name for tool in prompt.tools if tool.kind != "server")
    body: dict[str, object] = {"model": model, "messages": written.messages}
    if tools:
        body["tools"] = tools
    if prompt.max_output_tokens is not None:
        body["max_tokens"] = prompt.max_output_tokens
    body |= render_settings(prompt.settings, names, written.lost)
    _override(body, prompt.overrides, has_tools=bool(tools))
    if prompt.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Rendered(dumps(body), _lost(prompt, written))


def _write(written: _Written, message: Message, at: str, *, keep_reasoning: bool) -> None:
    readable = _without_reasoning(written, message)
    if message.role == "assistant":
        thought = "".join(p.text for p in message.parts if p.kind == "reasoning")
        _write_assistant(written, readable, thought if keep_reasoning else "")
    elif message.role == "tool":
        _write_result(written, readable, at)
    elif message.role == "user":
        written.put({"role": "user", "content": render_content(readable.parts, at)})
    else:
        # Many servers know no `developer`; those that do read `system` as the same.
        written.put({"role": "system", "content": readable.text})
    if message.role not in ("user", "tool"):
        written.attachments += any(part.kind in _MEDIA for part in message.parts)
    if message.role == "assistant" and keep_reasoning:
        written.signatures += any(p.opaque for p in message.parts)
    else:
        written.reasoning += any(p.kind == "reasoning" for p in message.parts)


def _write_assistant(written: _Written, message: Message, thought: str) -> None:
    """Write what a model said; a message that held nothing but dropped reasoning is none."""
    text = message.text
    if not (text or message.tool_calls or thought):
        return
    out: dict[str, object] = {"role": "assistant", "content": text or None}
    if thought:
        out["reasoning_content"] = thought
    if message.tool_calls:
        out["tool_calls"] = [render_call(call) for call in message.tool_calls]
    elif not text:
        out["content"] = ""
    written.put(out)


def _write_result(written: _Written, message: Message, at: str) -> None:
    """Write a tool's result as text; pictures, sounds and files follow as a message of the user's."""
    text = message.text
    media = [part for part in message.parts if part.kind in _MEDIA]
    if message.failed:
        written.failures += 1
        # Chat has no mark for a failure, so the text says it.
        text = text if text.lower().startswith("error") else f"Error: {text}".rstrip()
    if media:
        written.moved += 1
        note = Part("text", f"Attached to the result of tool call {message.tool_call_id}:")
        content = render_content((note, *media), at)
        written.pending.append({"role": "user", "content": content})
        text = text or _SEEN_BELOW
    call_id = message.tool_call_id or ""
    written.put({"role": "tool", "content": text, "tool_call_id": call_id})


def _without_reasoning(written: _Written, message: Message) -> Message:
    """Return a message without reasoning and without parts that only its own dialect knows, noting these."""
    kept: list[Part] = []
    for part in message.parts:
        if part.kind == "other" and not part.text:
            name = (part.raw or {}).get("type")
            written.lost.append(f"part {name}" if isinstance(name, str) else "an unknown part")
        elif part.kind == "other":
            kept.append(Part("text", part.text))
        elif part.kind != "reasoning":
            kept.append(part)
    return replace(message, parts=tuple(kept))


def _override(body: dict[str, object], overrides: Mapping[str, object], *, has_tools: bool) -> None:
    for name, value in overrides.items():
        if name == "stream" or (name == "tool_choice" and not has_tools):
            continue
        body.pop(name, None)
        if value is not None:
            body[name] = value


def _lost(prompt: Prompt, written: _Written) -> tuple[str, ...]:
    return each_once(
        (
            *counted("reasoning", written.reasoning),
            *counted("reasoning signature", written.signatures),
            *counted("mark of failure", written.failures, "tool result"),
            *counted("attachments moved out", written.moved, "tool result"),
            *counted("attachments", written.attachments),
            *written.lost,
            *unsaid(prompt),
        )
    )
