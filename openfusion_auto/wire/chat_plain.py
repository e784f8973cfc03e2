"""What chat servers say in ways that clients of OpenAI's API do not read: said in its plain way, for the hub and them.

- a call in chat's first way, `function_call`, whatever the server was asked
- text and thinking as a list of parts (Mistral): clients add up what they get, and a list is no text
- `null` for the arguments of a call
"""

from __future__ import annotations

from openfusion_auto.wire.chat_parts import thought_of

_FIRST_WAY = "function_call"


def make_plain(choices: object, field: str) -> bool:
    """Mend the messages or deltas of choices, which are ours alone; tell whether there was something to mend.

    Args:
        choices: Of an answer or a chunk.
        field: In which a choice speaks: `message` or `delta`.
    """
    changed = False
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        if choice.get("finish_reason") == _FIRST_WAY:
            choice["finish_reason"] = "tool_calls"
            changed = True
        said = choice.get(field)
        if isinstance(said, dict):
            changed |= _plain_call(said) | _plain_content(said) | _plain_arguments(said)
    return changed


def _plain_call(said: dict[str, object]) -> bool:
    if not isinstance(said.get(_FIRST_WAY), dict):
        return False
    call = {"index": 0, "type": "function", "function": said.pop(_FIRST_WAY)}
    said["tool_calls"] = said.get("tool_calls") or [call]
    return True


def _plain_content(said: dict[str, object]) -> bool:
    """Make a text of content that is a list of texts and thoughts; a list with anything else stays."""
    content = said.get("content")
    if not isinstance(content, list) or not content:
        return False
    if not all(isinstance(p, dict) and p.get("type") in ("text", "thinking") for p in content):
        return False
    thought = "".join(thought_of(part.get("thinking")) for part in content)
    if thought:
        said.setdefault("reasoning_content", thought)
    said["content"] = "".join(str(part.get("text") or "") for part in content)
    return True


def _plain_arguments(said: dict[str, object]) -> bool:
    changed = False
    calls = said.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        held = call.get("function") if isinstance(call, dict) else None
        if isinstance(held, dict) and "arguments" in held and held["arguments"] is None:
            held["arguments"] = ""
            changed = True
    return changed
