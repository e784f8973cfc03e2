"""Reasoning in the history of a chat request, for models that refuse calls without it or its signature.

DeepSeek's and Kimi's thinking models answer a tool loop with 400 unless each message of the assistant's has the
`reasoning_content` that it came with. A session that another model began has none, and clients of other dialects may
not keep it. Gemini's models want the signature of what they thought before a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from openfusion_auto.wire.chat_parts import REASONING
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

FIELD = REASONING[0]
SIGNATURE = "thought_signature"
# Google's word for calls that another model made or whose signature is gone (Gemini API, "Thought signatures", FAQ).
UNSIGNED = "skip_thought_signature_validator"
NOTHING = " "  # for reasoning that nobody knows: an empty text is refused like none


def with_reasoning(sent: Rendered) -> Rendered:
    """Return a chat request in which every message of the assistant's has reasoning; what stands there stays."""
    return _changed(sent, _filled)


def with_signatures(sent: Rendered) -> Rendered:
    """Return a chat request in which the calls of every message have a signature: the first one, as Gemini gives it."""
    return _changed(sent, _signed)


def _changed(sent: Rendered, change: Callable[[object], object]) -> Rendered:
    body = read_top_level(sent.body)
    messages = body.get("messages")
    if not isinstance(messages, list):
        return sent
    filled = [change(message) for message in messages]
    if filled == messages:
        return sent
    return Rendered(splice_top_level(body, sent.body, {"messages": filled}), sent.lost)


def _filled(message: object) -> object:
    found = as_object(message) or {}
    if found.get("role") != "assistant":
        return message
    said = next((v for f in REASONING if isinstance(v := found.get(f), str) and v), NOTHING)
    return message if found.get(FIELD) == said else {**found, FIELD: said}


def _signed(message: object) -> object:
    found = as_object(message) or {}
    calls = found.get("tool_calls")
    if not isinstance(calls, list) or not calls or any(_google_of(c).get(SIGNATURE) for c in calls):
        return message
    first = as_object(calls[0]) or {}
    extra = as_object(first.get("extra_content")) or {}
    google = {**_google_of(first), SIGNATURE: UNSIGNED}
    signed = {**first, "extra_content": {**extra, "google": google}}
    return {**found, "tool_calls": [signed, *calls[1:]]}


def _google_of(call: object) -> Mapping[str, object]:
    extra = as_object((as_object(call) or {}).get("extra_content")) or {}
    return as_object(extra.get("google")) or {}
