"""Web tools that an upstream runs itself: OpenRouter's server tools `openrouter:web_search` and `openrouter:web_fetch`.

Source: OpenRouter's guide to server tools, as of 2026-08-22. They stand among a chat request's tools, and the answer's
usage says what they cost.
"""

from __future__ import annotations

from openfusion_auto.core.prompt import Prompt, WebTool
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.options import WEB_TOOLS
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

PREFIX = "openrouter:"


def web_tools_of(prompt: Prompt) -> tuple[WebTool, ...]:
    """Return the web tools of a request: those of its options, and those that stand among its tools."""
    there = {t.name for t in prompt.tools if t.kind == "server"}
    return tuple(w for w in WEB_TOOLS if w in prompt.options.tools or PREFIX + w in there)


def with_web(sent: Rendered, web: tuple[WebTool, ...]) -> Rendered:
    """Return a chat request that lets its model use these; one that stands there already stays as it is."""
    body = read_top_level(sent.body)
    tools = body.get("tools")
    own: list[object] = list(tools) if isinstance(tools, list) else []
    there = {(as_object(t) or {}).get("type") for t in own}
    new = [{"type": PREFIX + w} for w in web if PREFIX + w not in there]
    if not new:
        return sent
    told = tuple(
        line for line in sent.lost if line not in {f"server tool {PREFIX}{w}" for w in web}
    )
    return Rendered(splice_top_level(body, sent.body, {"tools": [*own, *new]}), told)
