"""Ids of tool calls for models that take no others: what another model called its calls stays in a session for good.

Anthropic's API refuses a request with a call's id that is not of letters, digits, `_` and `-`, wherever in the history
it stands. Kimi's (`functions.bash:0`) and some gateways' are of other characters. On the way to their maker they stay
as they are: it knows its calls by them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Message, Prompt
from openfusion_auto.wire.jsons import as_object

_FIT = re.compile(r"[A-Za-z0-9_-]+")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_KEPT = 40  # characters of an id that are kept before the mark which tells it from others
# Where the ids stand in a message, part or item of each dialect.
_FIELDS = ("id", "call_id", "tool_call_id", "tool_use_id")
_LISTS = ("content", "tool_calls")


def fit_id(call_id: str) -> str:
    """Return an id that Anthropic's API takes: the same for the same id, another for another, a fit one as it is."""
    if _FIT.fullmatch(call_id):
        return call_id
    mark = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_UNFIT.sub('_', call_id)[:_KEPT]}_{mark}"


def with_fit_ids(prompt: Prompt) -> Prompt:
    """Return a prompt whose calls and results have fit ids; one that has no others as it came."""
    said = (*prompt.messages, *prompt.added)
    unfit = {c.id for m in said for c in m.tool_calls if not _FIT.fullmatch(c.id)}
    if not unfit:
        return prompt
    names = {call_id: fit_id(call_id) for call_id in unfit}
    body = dict(prompt.body)
    for field in ("messages", "input"):
        if isinstance(body.get(field), list):
            body[field] = _renamed(body[field], names)
    return replace(
        prompt,
        messages=tuple(_message(m, names) for m in prompt.messages),
        added=tuple(_message(m, names) for m in prompt.added),
        body=body,
        raw=b"",
    )


def _message(message: Message, names: Mapping[str, str]) -> Message:
    calls = tuple(replace(c, id=names.get(c.id, c.id)) for c in message.tool_calls)
    answered = message.tool_call_id
    answered = answered if answered is None else names.get(answered, answered)
    return replace(message, tool_calls=calls, tool_call_id=answered)


def _renamed(value: object, names: Mapping[str, str]) -> object:
    """Return a list of a body with its calls' ids renamed: in messages, and in their parts and calls."""
    if not isinstance(value, list):
        return value
    found: list[object] = []
    for item in value:
        held = as_object(item)
        if held is None:
            found.append(item)
            continue
        changed: dict[str, object] = {}
        for field, inner in held.items():
            if field in _FIELDS and isinstance(inner, str):
                changed[field] = names.get(inner, inner)
            elif field in _LISTS:
                changed[field] = _renamed(inner, names)
        found.append({**held, **changed})
    return found
