"""How a probe can end, and what foreign JSON is read with: what is not as it must be becomes one plain sentence.

No sentence quotes an answer: it names the field, and of an error at most its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from openfusion_auto.wire.errors import safe_reason
from openfusion_auto.wire.jsons import JsonError, as_object, loads

Outcome = Literal["pass", "fail", "not offered", "unknown"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one probe found at one gateway; `why` is one line, "" for a pass."""

    probe: str
    outcome: Outcome
    why: str = ""


class Finding(Exception):
    """A probe ends without a pass; the message is the line that says why."""

    outcome: Outcome = "fail"


class Wrong(Finding):
    """An answer is not as its dialect's clients need it."""


class NotOffered(Finding):
    """The gateway says that it does not do this."""

    outcome = "not offered"


class Unknown(Finding):
    """Neither can be said from here."""

    outcome = "unknown"


def read(raw: bytes, what: str) -> Mapping[str, object]:
    """Return a JSON object; `Wrong` for anything else."""
    try:
        found = as_object(loads(raw))
    except JsonError:
        found = None
    if found is None:
        raise Wrong(f"{what} is no JSON object")
    return found


def string(body: Mapping[str, object], name: str, where: str = "") -> str:
    """Return a member that is text; `Wrong` when it is none."""
    value = body.get(name)
    if isinstance(value, str):
        return value
    raise missing(body, name, where, "text")


def integer(body: Mapping[str, object], name: str, where: str = "") -> int:
    """Return a member that is a whole number; `Wrong` when it is none, also for a bool."""
    value = body.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise missing(body, name, where, "a whole number")


def objects(body: Mapping[str, object], name: str, where: str = "") -> list[Mapping[str, object]]:
    """Return a member that is an array of objects; `Wrong` when it is none."""
    value = body.get(name)
    if isinstance(value, list) and all(isinstance(v, dict) for v in value):
        return cast("list[Mapping[str, object]]", value)
    raise missing(body, name, where, "an array of objects")


def missing(body: Mapping[str, object], name: str, where: str, kind: str) -> Wrong:
    """Return the finding that a member is not there, or not of its kind."""
    return Wrong(f"{where}{name} " + (f"is not {kind}" if name in body else "is missing"))


def inner(body: Mapping[str, object], name: str, where: str = "") -> Mapping[str, object]:
    """Return a member that is an object; `Wrong` when it is none."""
    value = as_object(body.get(name))
    if value is None:
        raise missing(body, name, where, "an object")
    return value


def same(body: Mapping[str, object], name: str, wanted: str, where: str = "") -> None:
    """Hold a member to one value."""
    if body.get(name) != wanted:
        raise Wrong(f"{where}{name} is not {wanted!r}")


def refusal(status: int, raw: bytes) -> str:
    """Return what may be shown of an answer that is no success: its status, and a code when it has a clean one."""
    try:
        body = as_object(loads(raw[:65536])) or {}
    except JsonError:
        body = {}
    return f"status {status}{safe_reason(body.get('error'))}"
