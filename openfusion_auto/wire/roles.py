"""Messages in roles, or in an order of roles, that a model refuses: said in roles that it takes.

`developer` is OpenAI's name for what all others call `system`. Templates of open models want one system message at the
beginning (Qwen), none at all (Gemma), or user and assistant in turn (Mistral); some who serve Anthropic's API for other
models know no `system` among its messages. Agents send all of these to everybody. What is said in another role keeps
its words and its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import counted

# What a model refuses, as `wire/refused.py` calls it.
DEVELOPER = "role developer"
SYSTEM = "role system"
LATE_SYSTEM = "role system behind another"
TWICE = "role twice in a row"
ROLES = frozenset({DEVELOPER, SYSTEM, LATE_SYSTEM, TWICE})
_INSTRUCTING = ("system", "developer")


def _naming(role: str) -> str:
    """Return the pattern of the words in which servers refuse a role by its name."""
    return (
        r"(?:variant|value:?|support|received|role:?|tag)\s*\\?[`'\"]" + role + r"\b"
        rf"|\b{role}\b\W{{0,3}}(?:is not one of|(?:message )?roles? (?:is )?(?:not |un)supported)"
    )


# The words of DeepSeek, DashScope, Groq, Mistral, OpenAI, Anthropic, and of vLLM's and llama.cpp's templates, as their
# users quote them. The first that is found counts.
_WORDS: Mapping[str, re.Pattern[str]] = {
    LATE_SYSTEM: re.compile(
        r"system messages? must be (?:at the beginning|the first)", re.IGNORECASE
    ),
    TWICE: re.compile(r"roles must alternate", re.IGNORECASE),
    DEVELOPER: re.compile(_naming("developer"), re.IGNORECASE),
    SYSTEM: re.compile(
        _naming("system") + r"|role: input should be 'user' or 'assistant'", re.IGNORECASE
    ),
}
# Of the roles that agents send, one that a server refuses without its name is `developer`.
_UNNAMED = re.compile(
    r"unexpected message role|roles are supported|incorrect role information"
    r"|property 'role' has invalid value|\brole: input should be ",
    re.IGNORECASE,
)


def refused_role(said: str) -> str | None:
    """Return which of `ROLES` a refusal in such words means; None when it means something else."""
    found = next((want for want, words in _WORDS.items() if words.search(said)), None)
    return DEVELOPER if found is None and _UNNAMED.search(said) else found


def take_roles(
    body: Mapping[str, object], refused: Collection[str], edits: dict[str, object]
) -> tuple[str, ...]:
    """Add to `edits` the messages of a request in roles that its model takes; returns what is lost."""
    wants = ROLES.intersection(refused)
    field = "input" if "input" in body else "messages"
    listed = body.get(field)
    if not wants or not isinstance(listed, list):
        return ()
    messages = [as_object(item) or {} for item in listed]
    if DEVELOPER in wants:
        messages = [_as(m, "system") if m.get("role") == "developer" else m for m in messages]
    moved = 0
    if LATE_SYSTEM in wants or SYSTEM in wants:
        head = 0 if SYSTEM in wants or body.get("instructions") else _head(messages)
        first = _merged(messages[:head], _INSTRUCTING)
        moved = sum(m.get("role") in _INSTRUCTING for m in messages[head:])
        rest = (_as(m, "user") if m.get("role") in _INSTRUCTING else m for m in messages[head:])
        messages = [*first, *rest]
    if TWICE in wants or SYSTEM in wants:
        messages = _merged(messages, ("system", "user"))
    if messages != listed:
        edits[field] = messages
    return counted("instructions as user text", moved)


def _as(message: Mapping[str, object], role: str) -> Mapping[str, object]:
    return {**message, "role": role}


def _head(messages: list[Mapping[str, object]]) -> int:
    """Return how many messages at the beginning instruct."""
    talk = (i for i, m in enumerate(messages) if m.get("role") not in _INSTRUCTING)
    return next(talk, len(messages))


def _merged(
    messages: Iterable[Mapping[str, object]], roles: Collection[str]
) -> list[Mapping[str, object]]:
    """Return messages, those of one of `roles` that follow each other as one."""
    found: list[Mapping[str, object]] = []
    for message in messages:
        last = found[-1] if found else {}
        if message.get("role") in roles and message.get("role") == last.get("role"):
            found[-1] = {**last, "content": _joined(last.get("content"), message.get("content"))}
        else:
            found.append(message)
    return found


def _joined(first: object, second: object) -> object:
    """Return two contents as one, results of tools before all else, where Anthropic's API wants them."""
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    both = [*_parts(first), *_parts(second)]
    return sorted(both, key=lambda part: (as_object(part) or {}).get("type") != "tool_result")


def _parts(content: object) -> list[object]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else []
