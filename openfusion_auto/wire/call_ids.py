"""Ids of tool calls for models that take no others: what another model called its calls stays in a session for good.

Anthropic's API refuses a request with a call's id that is not of letters, digits, `_` and `-`, wherever in the history
it stands. Kimi's (`functions.bash:0`) and some gateways' are of other characters. On the way to their maker they stay
as they are: it knows its calls by them.

Others say what they take when they refuse: OpenAI's APIs a length, Mistral's nine letters and digits.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Message, Prompt
from openfusion_auto.wire.jsons import as_object

_FIT = re.compile(r"[A-Za-z0-9_-]+")
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_KEPT = 40  # characters of an id that are kept before the mark which tells it from others
# Before the length that a model takes, as it is called in `wire/refused.py`.
UP_TO = "call ids up to "
NINE = "call ids of nine"
_TOO_LONG = re.compile(
    r"(?:tool_calls?\b|tool_call_id|call_id).{0,60}string too long.{0,40}maximum length (\d{1,3})\b",
    re.IGNORECASE | re.DOTALL,
)
_NINE_ONLY = re.compile(
    r"tool call id .{0,200}must be a-z, a-z, 0-9, with a length of 9", re.IGNORECASE | re.DOTALL
)
_OF_NINE = re.compile(r"[A-Za-z0-9]{9}")
_LEAST = 16  # characters in which ids can be told apart
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


def refused_ids(said: str) -> str | None:
    """Return which ids of calls a refusal in such words wants; None when it means something else."""
    if _NINE_ONLY.search(said):
        return NINE
    found = _TOO_LONG.search(said)
    return f"{UP_TO}{found[1]}" if found is not None and int(found[1]) >= _LEAST else None


def take_ids(
    body: Mapping[str, object], refused: Collection[str], edits: dict[str, object]
) -> None:
    """Add to `edits` the messages or items of a request with call ids that its model takes."""
    lengths = [int(w.removeprefix(UP_TO)) for w in refused if w.startswith(UP_TO)]
    if not lengths and NINE not in refused:
        return
    for field in ("messages", "input"):
        listed = edits.get(field, body.get(field))
        names = {i: _short(i, lengths, nine=NINE in refused) for i in _ids(listed)}
        if any(call_id != name for call_id, name in names.items()):
            edits[field] = _renamed(listed, names)


def _short(call_id: str, lengths: list[int], *, nine: bool) -> str:
    """Return an id of the wanted form: the same for the same id, one that has the form as it is."""
    mark = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
    if nine:
        return call_id if _OF_NINE.fullmatch(call_id) else mark[:9]
    most = min(lengths)
    return call_id if len(call_id) <= most else f"{call_id[: most - 9]}_{mark[:8]}"


def _ids(listed: object) -> Iterator[str]:
    """Yield the ids of calls and results in messages or items."""
    for item in listed if isinstance(listed, list) else ():
        held = as_object(item) or {}
        calls = held.get("tool_calls")
        inner = [as_object(c) or {} for c in calls] if isinstance(calls, list) else []
        ids = (held.get("call_id"), held.get("tool_call_id"), *(call.get("id") for call in inner))
        yield from (call_id for call_id in ids if isinstance(call_id, str))


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
