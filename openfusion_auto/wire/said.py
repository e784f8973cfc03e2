"""What an upstream says when it refuses: one object of the many shapes in which servers say it.

Beside `{"error": {message, code, type, param}}` there are bare texts, lists around the object (Google), what FastAPI
says of each field (`detail`), what pydantic says in Python's own notation (vLLM), and a provider's refusal as a text
inside a gateway's (OpenRouter's `metadata.raw`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from openfusion_auto.wire.jsons import JsonError, as_object, loads_text

DEPTH = 6  # objects inside objects that are looked into
_MOST = 8  # fields that are named
_FIELDS = ("error", "detail", "errors", "message")  # where an object may hold what is said
_OUTSIDE = ("body", "query")  # in a FastAPI path: not of the field's own
# One complaint in Python's notation, as vLLM sends a list of them in `message`.
_NOTED = re.compile(r"""'loc': \(([^)]*)\), 'msg': (['"])(.*?)\2""")
_STEP = re.compile(r"'([^']*)'|(\d+)")


def error_said(value: object, depth: int = DEPTH) -> Mapping[str, object]:
    """Return what an error's JSON says: `message` as text where there is one, `code`, `type` and `param` as they came.

    Args:
        value: The body, or the error in it.
        depth: How many objects inside each other are looked into.
    """
    if isinstance(value, str):
        return {"message": _plain(value)} if value else {}
    if depth <= 0:
        return {}
    if isinstance(value, list):
        told = [said for item in value[:_MOST] if (said := error_said(item, depth - 1))]
        words = "; ".join(str(said["message"]) for said in told if said.get("message"))
        return {**told[0], "message": words} if told else {}
    found = as_object(value)
    if found is None:
        return {}
    if isinstance(found.get("msg"), str):
        return _complaint(found)
    inner: Mapping[str, object] = {}
    for field in _FIELDS:
        inner = error_said(found[field], depth - 1) if found.get(field) else {}
        if inner:
            break
    own = {k: v for k, v in found.items() if k in ("code", "type", "param") and v is not None}
    wrapped = error_said(_wrapped(found), depth - 1)
    return {**own, **inner, **{k: v for k, v in wrapped.items() if v is not None}}


def _complaint(found: Mapping[str, object]) -> Mapping[str, object]:
    """Return what FastAPI says of one field, its path before the words."""
    place = found.get("loc")
    path = _path([str(step) for step in place]) if isinstance(place, list) else ""
    message = f"{path}: {found['msg']}" if path else str(found["msg"])
    return {"message": message, **({"param": path} if path else {})}


def _path(steps: list[str]) -> str:
    return ".".join(steps[1:] if steps[:1] and steps[0] in _OUTSIDE else steps)


def _plain(text: str) -> str:
    """Return a text; of complaints in Python's notation their paths and words."""
    found = _NOTED.findall(text) if "'loc': (" in text else []
    said = ((_path([a or b for a, b in _STEP.findall(place)]), msg) for place, _, msg in found)
    return "; ".join(f"{path}: {msg}" for path, msg in list(said)[:_MOST]) or text


def _wrapped(found: Mapping[str, object]) -> object:
    """Return what a provider said, where a gateway passes that on inside its own words; None where it does not."""
    raw = (as_object(found.get("metadata")) or {}).get("raw")
    held = (as_object(raw) or {}).get("data", raw)
    if not isinstance(held, str):
        return held
    try:
        parsed = loads_text(held)
    except JsonError:
        return held
    return parsed if isinstance(parsed, dict | list) else held
