"""Tools that an upstream runs itself and bills beside the tokens: which stand in a request, and what came of them.

A client's own (Codex sends `web_search`, Claude Code `web_search_20250305`) go where their dialect is spoken, as they
came, and are dropped elsewhere. What they cost is known where the operator says what a search costs there and something
bounds how many there may be; else it is unknown.

Sources: OpenAI's guide to tools of the Responses API, Anthropic's to server tools and to the advisor, as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeGuard

from openfusion_auto.core.prompt import Dialect, Prompt, Searched, Tool
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.splice import read_top_level, splice_top_level

# Beginnings of the types of tools that are billed apart, and of those which search the web alone.
_HOSTED: Mapping[Dialect, tuple[str, ...]] = {
    "chat": ("openrouter:",),
    "responses": ("web_search", "file_search", "code_interpreter", "image_generation"),
    "messages": ("web_search_", "web_fetch_", "code_execution_", "advisor_"),
}
_WEB: Mapping[Dialect, tuple[str, ...]] = {
    "chat": (),  # OpenRouter says no price of one search, and what else it runs is anything
    "responses": ("web_search",),
    "messages": ("web_search_", "web_fetch_"),
}
_RAN = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call")
OWN_USES = 5  # searches of one call, where this router is the one that lets a model search


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a number of things."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def type_of(tool: Tool) -> str:
    """Return the type of a tool as the client wrote it."""
    return str((tool.raw or {}).get("type"))


def hosted_tools(prompt: Prompt) -> tuple[Tool, ...]:
    """Return the tools of a request that its dialect's upstreams run and bill apart."""
    begins = _HOSTED[prompt.dialect]
    return tuple(t for t in prompt.tools if t.kind == "server" and type_of(t).startswith(begins))


def asks_apart(prompt: Prompt) -> bool:
    """Whether a request may have anything done that is billed beside its tokens."""
    body = prompt.body
    fields = body.get("plugins") is not None or body.get("web_search_options") is not None
    return bool(prompt.web) or fields or any(t.kind == "server" for t in prompt.tools)


def searched_at(
    prompt: Prompt,
    spoken: Mapping[str, Dialect],
    offers: Mapping[str, tuple[str, ...]],
    search_usd: Mapping[str, float],
) -> tuple[Searched, ...]:
    """Return the upstreams that would do something for a request that is billed beside its tokens.

    Args:
        prompt: The request; its `web` says what this router lets a model use.
        spoken: Upstream name -> its dialect.
        offers: Upstream name -> what it takes besides the dialect.
        search_usd: Upstream name -> what a search costs there [USD], where that is known.
    """
    hosted, plugins = hosted_tools(prompt), has_plugins(prompt.body.get("plugins"))
    options = prompt.body.get("web_search_options") is not None
    found = []
    for name, dialect in sorted(spoken.items()):
        own = hosted if dialect == prompt.dialect else ()
        asks = bool(own or prompt.web)
        if (plugins and "plugins" in offers.get(name, ())) or (asks and dialect == "chat"):
            found.append(Searched(name, None, None))
        elif options and dialect == prompt.dialect == "chat":
            found.append(Searched(name, search_usd.get(name), None))
        elif asks:
            only_web = all(type_of(t).startswith(_WEB[dialect]) for t in own)
            usd = search_usd.get(name) if only_web else None
            found.append(Searched(name, usd, most_of(prompt, dialect, own) if only_web else None))
    return tuple(found)


def has_plugins(value: object) -> bool:
    """Whether a request has plugins that are not switched off."""
    entries = value if isinstance(value, list) else []
    return any((as_object(e) or {}).get("enabled") is not False for e in entries)


def most_of(prompt: Prompt, dialect: Dialect, own: tuple[Tool, ...]) -> int | None:
    """Return how many searches a call may make; None = nothing says."""
    if dialect == "responses":
        most = prompt.body.get("max_tool_calls") if prompt.dialect == dialect else None
        return most if is_count(most) else None if own else OWN_USES
    searching = [t for t in own if type_of(t).startswith("web_search_")]
    uses = [(t.raw or {}).get("max_uses") for t in searching]
    if "web_search" in prompt.web and not searching:
        uses.append(OWN_USES)
    known = [u for u in uses if is_count(u)]
    return sum(known) if len(known) == len(uses) else None


def without_hosted(prompt: Prompt) -> Prompt | None:
    """Return a request without the tools that the upstream bills apart.

    None where they are what it is about: it has no other tools, or chooses among them.
    """
    gone = hosted_tools(prompt)
    kept = tuple(t for t in prompt.tools if t not in gone)
    listed = prompt.body.get("tools")
    choice = as_object(prompt.body.get("tool_choice")) or {}
    if not gone or not isinstance(listed, list) or not any(t.kind != "server" for t in kept):
        return None
    if choice.get("type") == "allowed_tools":
        return None
    if any(
        n in (choice.get("type"), choice.get("name")) for t in gone for n in (type_of(t), t.name)
    ):
        return None
    raws = [t.raw for t in gone]
    tools = [t for t in listed if t not in raws]
    if len(tools) + len(gone) != len(listed):
        return None  # some stand among the input items
    if not prompt.raw:
        return replace(prompt, tools=kept, body={**prompt.body, "tools": tools})
    raw = splice_top_level(prompt.body, prompt.raw, {"tools": tools})
    return replace(prompt, tools=kept, raw=raw, body=read_top_level(raw))


def ran_in_responses(kinds: Iterable[str]) -> int | None:
    """Return how many searches stand in a response, by its items' types; None when something else is billed too."""
    ran = [kind for kind in kinds if kind in _RAN]
    return len(ran) if all(kind == "web_search_call" for kind in ran) else None


def ran_in_message(names: Iterable[str], usage: object) -> int | None:
    """Return how many searches a message made; None when something else is billed too.

    Args:
        names: Of its blocks `server_tool_use`.
        usage: As reported.
    """
    ran = list(names)
    if any(name not in ("web_search", "web_fetch") for name in ran):
        return None
    told = as_object((as_object(usage) or {}).get("server_tool_use")) or {}
    count = told.get("web_search_requests")
    return max(ran.count("web_search"), count if is_count(count) else 0)
