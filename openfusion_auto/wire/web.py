"""Web tools that an upstream runs itself, where this router lets a model use them (`openfusion.tools`).

In the dialect chat they are OpenRouter's server tools (`openrouter:web_search`, `openrouter:web_fetch`), in Responses
OpenAI's `web_search`, which reads pages too and has no tool of its own for that, in Messages Anthropic's two.

Sources: OpenRouter's guide to server tools, as of 2026-08-22; OpenAI's and Anthropic's guides, as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Dialect, Prompt, WebTool
from openfusion_auto.wire.hosted import OWN_USES
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.options import WEB_TOOLS
from openfusion_auto.wire.refused import BETA
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

PREFIX = "openrouter:"
# How each is written, by dialect: what its type begins with, and a new one.
_NATIVE: Mapping[Dialect, Mapping[WebTool, tuple[str, Mapping[str, object]]]] = {
    "chat": {w: (PREFIX + w, {"type": PREFIX + w}) for w in WEB_TOOLS},
    "responses": {"web_search": ("web_search", {"type": "web_search"})},
    "messages": {
        "web_search": (
            "web_search_",
            {"type": "web_search_20250305", "name": "web_search", "max_uses": OWN_USES},
        ),
        "web_fetch": (
            "web_fetch_",
            {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": OWN_USES},
        ),
    },
}
FETCH_BETA = "web-fetch-2025-09-10"  # what turned `web_fetch_20250910` on before it was for all


def web_tools_of(prompt: Prompt) -> tuple[WebTool, ...]:
    """Return the web tools of a request: those of its options, and OpenRouter's that stand among its tools."""
    there = {t.name for t in prompt.tools if t.kind == "server"}
    return tuple(w for w in WEB_TOOLS if w in prompt.options.tools or PREFIX + w in there)


def has_web(dialect: Dialect, web: tuple[WebTool, ...]) -> bool:
    """Whether a dialect has all of these tools."""
    return all(w in _NATIVE[dialect] for w in web)


def with_web(sent: Rendered, web: tuple[WebTool, ...], dialect: Dialect) -> Rendered:
    """Return a request in a dialect that lets its model use these; one that stands there already stays as it is."""
    body = read_top_level(sent.body)
    tools = body.get("tools")
    own: list[object] = list(tools) if isinstance(tools, list) else []
    there = [str((as_object(t) or {}).get("type")) for t in own]
    wanted = [_NATIVE[dialect][w] for w in web if w in _NATIVE[dialect]]
    new = [tool for begin, tool in wanted if not any(t.startswith(begin) for t in there)]
    if not new:
        return sent
    edits: dict[str, object] = {"tools": [*own, *new]}
    if dialect == "responses" and body.get("max_tool_calls") is None:
        edits["max_tool_calls"] = OWN_USES  # of those that the upstream runs
    dropped = {f"server tool {PREFIX}{w}" for w in web}
    told = tuple(line for line in sent.lost if line not in dropped)
    return Rendered(splice_top_level(body, sent.body, edits), told)


def web_headers(
    headers: Mapping[str, str], web: tuple[WebTool, ...], dialect: Dialect
) -> Mapping[str, str]:
    """Return the headers of a call with what its web tools need beside the client's own."""
    if dialect != "messages" or "web_fetch" not in web:
        return headers
    said = [v for k, v in headers.items() if k.lower() == BETA and v]
    others = {k: v for k, v in headers.items() if k.lower() != BETA}
    return {**others, BETA: ",".join([*said, FETCH_BETA])}
