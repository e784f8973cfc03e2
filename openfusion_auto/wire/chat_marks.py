"""Cache marks in a chat request for models that cache nothing without: Anthropic's, behind OpenRouter and the like.

A mark on a text part (`cache_control`) ends a prefix that the provider keeps. Marked are the end of the system prompt
and of the client's last words, and in a tool loop its last result: the next turn finds all before it. A request with a
mark of the client's own stays as it is, and so does one that nothing will follow (one message, no tools).

Source: OpenRouter's guide to prompt caching, as of 2026-08-22 (marks on text parts of any message, four at most).
"""

from __future__ import annotations

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

OFFER = "cache_control"  # of an upstream that takes marks
_OWN = b'"cache_control"'
_MARK = {"type": "ephemeral"}
_BEFORE = ("system", "developer")


def is_claude(model: str) -> bool:
    """Whether a model, by its name, is one of Anthropic's: it caches only what is marked."""
    return model.startswith("anthropic/") or "claude" in model.lower()


def with_marks(sent: Rendered, prompt: Prompt) -> Rendered:
    """Return a chat request with marks, or as it is where it has its own or nothing will follow.

    Args:
        sent: The request as it would go out.
        prompt: What it was made of: messages that a recipe added behind the client's are not marked, so that every
            call with this conversation leaves the same prefix.
    """
    if _OWN in sent.body:
        return sent
    body = read_top_level(sent.body)
    messages = body.get("messages")
    if not isinstance(messages, list):
        return sent
    own = len(messages) - len(prompt.added)
    roles = [(as_object(m) or {}).get("role") for m in messages[:own]]
    if not body.get("tools") and sum(role not in _BEFORE for role in roles) < 2:
        return sent
    marked = list(messages)
    for wanted in (_BEFORE, ("user",), ("tool",)):
        at = max((i for i, role in enumerate(roles) if role in wanted), default=None)
        if at is not None:
            marked[at] = _marked(messages[at])
    if marked == messages:
        return sent
    return Rendered(splice_top_level(body, sent.body, {"messages": marked}), sent.lost)


def _marked(message: object) -> object:
    """Return a message with a mark on its last text; one without a text as it is."""
    found = as_object(message) or {}
    content = found.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    parts: list[object] = list(content) if isinstance(content, list) else []
    for at in reversed(range(len(parts))):
        part = as_object(parts[at]) or {}
        if part.get("type") == "text" and part.get("text"):
            parts[at] = {**part, "cache_control": _MARK}
            return {**found, "content": parts}
    return message
