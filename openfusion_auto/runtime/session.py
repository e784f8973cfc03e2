"""Which session a request belongs to: said by the client, or read from how the conversation begins.

The order is what real clients send. Claude Code and Codex run several agents in one session: each has a conversation,
and so a model, of its own; what the session may cost is counted for all of them. An implicit key holds the client's
credential and address too, so that two users with the same first words never share a pin. Of one that a client says
itself two gateway keys make two: what one may not ask for is not shown to it, nor moved by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from openfusion_auto.core.prompt import Prompt

HEADERS = (
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "thread-id",
    "x-session-id",
    "x-session-affinity",
)
BODY_FIELDS = ("session_id", "prompt_cache_key", "metadata.session_id", "metadata.user_id")
# Which of a session's agents asks. Codex sends it always, equal to the session's own id when no sub-agent does.
AGENT_HEADERS = ("x-claude-code-agent-id", "thread-id")
WEAK_HEADERS = ("agent-session-id",)  # not unique across machines: the client's identity is added
MAX_KEY = 256  # [characters] of an explicit id
HEAD_CHARS = 2000  # of the first user message; what follows changes with attached files


class Session(NamedTuple):
    """Whose conversation a request belongs to.

    `key` is what a model is kept under, `source` where it was read (an option, a header, a body field, or `implicit`).
    `whole` is the key of the session that a sub-agent's conversation is part of: the key itself for all others.
    """

    key: str
    source: str
    whole: str


def session_of(
    prompt: Prompt, headers: Mapping[str, str], identity: str, client: str | None = None
) -> Session:
    """Return the session of a request.

    Args:
        prompt: The request.
        headers: Its headers, names looked up in any case.
        identity: What tells this client from others: its credential and address.
        client: Id of its gateway key, None without keys.
    """
    own = "" if client is None else f"{client}:"
    if prompt.options.session:
        return _plain(f"option:{own}{prompt.options.session[:MAX_KEY]}", "option")
    given = {name.lower(): value for name, value in headers.items()}
    for name in HEADERS:
        value = given.get(name)
        if value:
            whole = f"id:{own}{value[:MAX_KEY]}"
            return Session(whole + _agent(given, value), f"header {name}", whole)
    for name in BODY_FIELDS:
        value = prompt.session_fields.get(name)
        if value:
            return _plain(f"id:{own}{value[:MAX_KEY]}", f"body {name}")
    for name in WEAK_HEADERS:
        value = given.get(name)
        if value:
            return _plain(short_hash(identity, value[:MAX_KEY]), f"header {name}")
    return _plain(short_hash(identity, *beginning(prompt)), "implicit")


def _plain(key: str, source: str) -> Session:
    """Return a session of one conversation."""
    return Session(key, source, key)


def _agent(given: Mapping[str, str], session: str) -> str:
    """Return what tells a sub-agent's conversation from the session's own, "" for that one itself."""
    for name in AGENT_HEADERS:
        agent = given.get(name)
        if agent and agent != session:
            return f" agent:{agent[:MAX_KEY]}"
    return ""


def beginning(prompt: Prompt) -> list[str]:
    """Return what stays the same over a conversation: its first user words and the names of its tools."""
    first = next((m.text for m in prompt.messages if m.role == "user" and m.text.strip()), "")
    return [first[:HEAD_CHARS], *sorted(t.name for t in prompt.tools)]


def session_hash(key: str) -> str:
    """Return the name under which a session is kept: a client's own id may say who its user is."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def short_hash(*parts: str) -> str:
    """Return a key that holds none of its parts."""
    joined = "\0".join(parts).encode("utf-8", "surrogatepass")
    return "implicit:" + hashlib.sha256(joined).hexdigest()[:32]
