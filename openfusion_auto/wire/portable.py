"""A history on its way to another model: what belongs to its maker stays behind, and the trace says so.

Reasoning signatures, encrypted items and compacted histories mean something to the model and upstream that made them
and to nobody else: sent elsewhere they make every further request of a session a 400. On the way to their maker
nothing is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Dialect, Part, Prompt
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.jsons import as_object

CHAT_OPAQUE = (
    "reasoning_details"  # the field of an assistant's message in which chat upstreams put theirs
)


def sealed(prompt: Prompt) -> Iterator[str]:
    """Yield every opaque text in a prompt's history."""
    for message in prompt.messages:
        for part in message.parts:
            if part.opaque:
                yield part.opaque


def undroppable(prompt: Prompt) -> Iterator[str]:
    """Yield the opaque texts that stand for a history: without them the model knows nothing of the session."""
    for message in prompt.messages:
        for part in message.parts:
            if part.opaque and part.kind == "other":
                yield part.opaque


def for_another(prompt: Prompt) -> tuple[Prompt, tuple[str, ...]]:
    """Return the prompt without what only its maker understands, and what was lost; as it came when there is none."""
    if not any(sealed(prompt)):
        return prompt, ()
    match prompt.dialect:
        case "responses":
            from openfusion_auto.wire.responses import without_opaque

            return without_opaque(prompt)
        case "messages":
            from openfusion_auto.wire.messages import without_reasoning

            return without_reasoning(prompt), (lost_reasoning(prompt),)
        case "chat":
            return without_details(prompt), (lost_reasoning(prompt),)


def lost_reasoning(prompt: Prompt) -> str:
    """Return the words for reasoning that stays behind."""
    count = sum(1 for m in prompt.messages if any(p.opaque for p in m.parts))
    return f"reasoning of {count} message{'' if count == 1 else 's'}"


def without_details(prompt: Prompt) -> Prompt:
    """Return a chat prompt without the sealed reasoning in its assistant messages; readable reasoning stays."""
    listed = prompt.body.get("messages")
    messages = [bare(m) for m in listed] if isinstance(listed, list) else listed
    hub = tuple(
        replace(m, parts=tuple(unsealed(p) for p in m.parts)) if m.role == "assistant" else m
        for m in prompt.messages
    )
    return replace(prompt, body={**prompt.body, "messages": messages}, messages=hub, raw=b"")


def bare(message: object) -> object:
    """Return a message of a chat body without its sealed reasoning."""
    found = as_object(message)
    if found is None or CHAT_OPAQUE not in found:
        return message
    return {k: v for k, v in found.items() if k != CHAT_OPAQUE}


def unsealed(part: Part) -> Part:
    """Return a part without its opaque text."""
    return replace(part, opaque="", raw=None) if part.opaque else part


def check_foreign(prompt: Prompt, dialect: Dialect) -> None:
    """Refuse what an upstream of another dialect cannot be told and nobody may drop.

    Raises:
        BadRequest: names the item.
    """
    if prompt.dialect == dialect:
        return
    if prompt.dialect == "responses":
        from openfusion_auto.wire.responses import check_foreign as check

        check(prompt)
    if prompt.dialect == "messages":
        for message in prompt.messages:
            for part in message.parts:
                if message.role == "user" and part.kind == "other":
                    raise BadRequest(
                        f"messages: a content block of type {kind_of(part.raw)!r} is understood by no upstream that "
                        "can serve this request.",
                        param="messages",
                        code="unsupported_value",
                    )


def kind_of(raw: Mapping[str, object] | None) -> str:
    """Return the type a block says it has, shortened."""
    return str((raw or {}).get("type"))[:40]
