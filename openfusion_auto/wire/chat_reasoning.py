"""Reasoning in the history of a chat request, for models that refuse calls without it.

DeepSeek's and Kimi's thinking models answer a tool loop with 400 unless each message of the assistant's has the
`reasoning_content` that it came with. A session that another model began has none, and clients of other dialects may
not keep it.
"""

from __future__ import annotations

from openfusion_auto.wire.chat_parts import REASONING
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

FIELD = REASONING[0]
NOTHING = " "  # for reasoning that nobody knows: an empty text is refused like none


def with_reasoning(sent: Rendered) -> Rendered:
    """Return a chat request in which every message of the assistant's has reasoning; what stands there stays."""
    body = read_top_level(sent.body)
    messages = body.get("messages")
    if not isinstance(messages, list):
        return sent
    filled = [_filled(message) for message in messages]
    if filled == messages:
        return sent
    return Rendered(splice_top_level(body, sent.body, {"messages": filled}), sent.lost)


def _filled(message: object) -> object:
    found = as_object(message) or {}
    if found.get("role") != "assistant":
        return message
    said = next((v for f in REASONING if isinstance(v := found.get(f), str) and v), NOTHING)
    return message if found.get(FIELD) == said else {**found, FIELD: said}
