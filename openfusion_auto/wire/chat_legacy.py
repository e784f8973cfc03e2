"""Chat's first way of calling, `functions` and `function_call`: clients still say it, few servers still take it.

A request that speaks so goes on with `tools`, one call at a time, and its client hears the answer as it spoke. So
nobody behind this module knows of it, and such clients reach every upstream.

Source: OpenAI's API reference, "Create chat completion", the fields that it calls deprecated.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import FusionError
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.chat_writer import ChatWriter
from openfusion_auto.wire.jsons import as_object, dumps, loads

CALL, FUNCTIONS = "function_call", "functions"
_EVENT = b"data: "


def is_legacy(body: Mapping[str, object]) -> bool:
    """Return whether a request offers functions in the first way: its answer is told so."""
    return bool(body.get(FUNCTIONS)) and not body.get("tools")


def modern(body: Mapping[str, object]) -> dict[str, object]:
    """Return the edits that say a chat request in today's words; none where it says nothing in the first way.

    What cannot be (a function without a name, a call that is no object) stays, to be refused where it is read.
    """
    edits: dict[str, object] = {}
    functions = body.get(FUNCTIONS)
    if is_legacy(body) and isinstance(functions, list) and all(map(_is_function, functions)):
        edits = {FUNCTIONS: None, "parallel_tool_calls": False}
        edits["tools"] = [{"type": "function", "function": f} for f in functions]
        if body.get(CALL) is not None:
            edits |= {CALL: None, "tool_choice": _choice(body[CALL])}
    said = _messages(body.get("messages"))
    return edits if said is None else {**edits, "messages": said}


def legacy_body(raw: bytes) -> bytes:
    """Return an answer's body in the first way; one without a call as it is."""
    body = as_object(loads(raw))
    return raw if body is None or not _speak(body, "message") else dumps(body)


class LegacyWriter:
    """Writes one attempt's deltas for a client that speaks in the first way; see `ChatWriter`, which does the work."""

    def __init__(self, inner: ChatWriter) -> None:
        self._inner = inner

    @property
    def started(self) -> bool:
        """See `ChatWriter`."""
        return self._inner.started

    def write(self, delta: Delta) -> bytes:
        """See `ChatWriter.write`."""
        return _legacy_events(self._inner.write(delta))

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """See `ChatWriter.finish`."""
        return _legacy_events(self._inner.finish(trace, usage))

    def fail(self, error: FusionError) -> bytes:
        """See `ChatWriter.fail`."""
        return self._inner.fail(error)

    def keep_alive(self) -> bytes:
        """See `ChatWriter.keep_alive`."""
        return self._inner.keep_alive()


def _is_function(value: object) -> bool:
    return isinstance((as_object(value) or {}).get("name"), str)


def _choice(value: object) -> object:
    """Return what `function_call` asks for as `tool_choice`: a word, or the one function that must be called."""
    name = (as_object(value) or {}).get("name")
    return {"type": "function", "function": {"name": name}} if isinstance(name, str) else value


def _messages(listed: object) -> list[object] | None:
    """Return messages with their calls and results in today's words; None where there are none in the first way.

    A result names its function: it answers the last call of it. One without a call is not ours to make up.
    """
    # Hardly any request has one, and all are looked at.
    if not isinstance(listed, list) or not any(isinstance(m, dict) and CALL in m for m in listed):
        return None
    asked: dict[str, str] = {}
    found: list[object] = []
    for item in listed:
        message = as_object(item) or {}
        call = as_object(message.get(CALL)) or {}
        name = call.get("name") if call else message.get("name")
        if message.get("role") == "assistant" and isinstance(name, str) and call:
            asked[name] = call_id = stable_id(len(found), name)
            kept = {k: v for k, v in message.items() if k != CALL}
            made = {"id": call_id, "type": "function", "function": call}
            found.append({"content": None, **kept, "tool_calls": [made]})
        elif message.get("role") == "function" and isinstance(name, str) and name in asked:
            kept = {k: v for k, v in message.items() if k != "name"}
            found.append({**kept, "role": "tool", "tool_call_id": asked[name]})
        else:
            found.append(item)
    return found if asked else None


def _legacy_events(raw: bytes) -> bytes:
    """Return a stream's events in the first way; those without a call or the end of one as they are."""
    if b'"tool_calls"' not in raw:
        return raw
    return b"\n\n".join([_legacy_event(event) for event in raw.split(b"\n\n")])


def _legacy_event(event: bytes) -> bytes:
    if b'"tool_calls"' not in event or not event.startswith(_EVENT):
        return event
    chunk = as_object(loads(event.removeprefix(_EVENT)))
    return event if chunk is None or not _speak(chunk, "delta") else _EVENT + dumps(chunk)


def _speak(answer: Mapping[str, object], field: str) -> bool:
    """Put the calls in an answer or chunk, which is ours alone, in the first way; tell whether there was one.

    It has one call: of several the first is told, and none was to come beside it.
    """
    changed = False
    choices = answer.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if choice.get("finish_reason") == "tool_calls":
            choice["finish_reason"] = CALL
            changed = True
        said = choice.get(field) or {}
        if "tool_calls" not in said:
            continue
        changed = True
        for at, call in enumerate(said.pop("tool_calls") or ()):
            if call.get("index", at) == 0:
                said[CALL] = call.get("function")
    return changed
