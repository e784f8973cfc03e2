"""Fields of a request that a model has refused by name: left out, or said as it wants them.

Clients say what most models take (`temperature: 0`, `max_tokens`), and do not know who will answer. OpenAI's reasoning
models refuse a request for one such field; who serves Claude models for Anthropic refuses what Claude Code turns on
with a beta flag, and the flag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

# Fields without which a request means the same: how to write, not what to answer with.
LEFT_OUT = frozenset({
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias", "seed", "stop", "logprobs",
    "top_logprobs", "parallel_tool_calls", "reasoning_effort", "reasoning", "verbosity", "user", "store", "metadata",
    "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "context_management", "speed",
    "diagnostics", "output_config",
})  # fmt: skip
# The same of a tool; as a refused thing with `tools.` before it.
TOOL_KEYS = frozenset({
    "defer_loading", "eager_input_streaming", "strict", "allowed_callers", "input_examples",
})  # fmt: skip
BETA = "anthropic-beta"  # the header whose flags are refused
_IN_TOOLS = "tools."
# Refused -> what it is called instead.
RENAMED: Mapping[str, str] = {"max_tokens": "max_completion_tokens"}
_CODES = ("unsupported_parameter", "unsupported_value")
_EXTRA = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*): extra inputs are not permitted", re.IGNORECASE)
_BETAS = re.compile(r"invalid beta flag|anthropic-beta`? header", re.IGNORECASE)
_NAMED = re.compile(r"unsupported (?:parameter|value): ['`\"]([a-z_]+)", re.IGNORECASE)


def refused_field(error: Mapping[str, object]) -> str | None:
    """Return the field that an upstream's error object refuses; None when it refuses something else.

    A field inside another one (`reasoning.effort`) stands for that; of a tool's it is `tools.KEY`, of the flags `BETA`.
    """
    message = error.get("message")
    said = message if isinstance(message, str) else ""
    if _BETAS.search(said):
        return BETA
    found = error.get("param") if error.get("code") in _CODES else None
    if not isinstance(found, str):
        named = _EXTRA.search(said) or _NAMED.search(said)
        found = named[1] if named is not None else ""
    name, _, inner = found.partition(".")
    if name == "tools":
        key = inner.rpartition(".")[2]
        return _IN_TOOLS + key if key in TOOL_KEYS else None
    return name if name in LEFT_OUT or name in RENAMED else None


def without_refused(sent: Rendered, refused: Collection[str]) -> Rendered:
    """Return a request without the fields that its model refuses, and what is lost by that."""
    body = read_top_level(sent.body)
    edits, lost = _without_tool_keys(body.get("tools"), refused)
    for field in sorted(refused):
        if field not in body:
            continue
        edits[field] = _rest_of(body[field]) if field == "output_config" else None
        other = RENAMED.get(field)
        if other is None:
            lost.append(f"field {field}, which the model refuses")
        elif body.get(other) is None:
            edits[other] = body[field]
    if not edits:
        return sent
    return Rendered(splice_top_level(body, sent.body, edits), (*sent.lost, *lost))


def _without_tool_keys(
    tools: object, refused: Collection[str]
) -> tuple[dict[str, object], list[str]]:
    """Return the edit that takes refused keys out of tools, and what is lost; nothing where none has one."""
    keys = {want.removeprefix(_IN_TOOLS) for want in refused if want.startswith(_IN_TOOLS)}
    if not keys or not isinstance(tools, list):
        return {}, []
    held = [as_object(tool) or {} for tool in tools]
    found = sorted(keys & {key for tool in held for key in tool})
    if not found:
        return {}, []
    kept = [{k: v for k, v in tool.items() if k not in keys} for tool in held]
    return {"tools": kept}, [f"{key} of tools, which the model refuses" for key in found]


def _rest_of(config: object) -> object:
    """Return a Messages request's `output_config` without the effort; the form of the answer is asked for and stays."""
    return {k: v for k, v in (as_object(config) or {}).items() if k != "effort"} or None
