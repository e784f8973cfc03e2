"""What was done in a conversation: its tool calls with what came of them, and where a person spoke between."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from openfusion_auto.core import envelope
from openfusion_auto.core.outcomes import (
    ARGUMENT_CHARS,
    is_check,
    is_edit,
    is_result,
    read_outcome,
)
from openfusion_auto.core.prompt import Message

MOST_DOINGS = 60  # of one task, the newest
MOST_BACK = 600  # [messages] that are looked back over

# Aider has no tools: it edits in its answers, and comes back with what failed.
_AIDER_EDIT = ">>>>>>> REPLACE"
_AIDER_RUN = re.compile(r"\s*(?:I ran this command|# Fix any errors below)")


class Doing(NamedTuple):
    """One thing that was done: an edit, a run of tests or the like, or neither; and whether it went well."""

    edit: bool
    run: bool
    ok: bool


def spoken(messages: Sequence[Message], before: int) -> int:
    """Return where a person spoke last before a place, -1 when nowhere."""
    for i in range(before - 1, max(-1, before - 1 - MOST_BACK), -1):
        message = messages[i]
        if message.role != "user" or is_result(message):
            continue
        if not envelope.read_text(message.text[:8_000]).harness:
            return i
    return -1


def doings(messages: Sequence[Message], start: int, end: int) -> tuple[Doing, ...]:
    """Return what was done between two places, in order; of very much the newest."""
    calls = {
        c.id: (c.name, c.arguments[:ARGUMENT_CHARS])
        for m in messages[start:end]
        for c in m.tool_calls
    }
    found: list[Doing] = []
    for message in messages[start:end]:
        if message.role == "assistant" and _AIDER_EDIT in message.text:
            found.append(Doing(edit=True, run=False, ok=True))
        elif message.role == "user" and _AIDER_RUN.match(message.text[:80]):
            found.append(Doing(edit=False, run=True, ok=False))
        elif is_result(message):
            name, arguments = calls.get(message.tool_call_id or "", ("", ""))
            edit = is_edit(name, arguments)
            ok = not message.failed and read_outcome(name, message.text).ok
            found.append(Doing(edit, not edit and is_check(name, arguments), ok))
    return tuple(found[-MOST_DOINGS:])
