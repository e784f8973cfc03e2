"""Fields of a request that a model has refused by name: left out, or said as it wants them.

Clients say what most models take (`temperature: 0`, `max_tokens`), and do not know who will answer. OpenAI's reasoning
models refuse a request for one such field; who serves Claude models for Anthropic refuses what Claude Code turns on
with a beta flag, and the flag.

What is refused is called `FIELD` or `tools.KEY`. Where it is a value alone (`reasoning_effort` `xhigh`, a beta flag),
other values are fine, other clients' among them: it is `PATH=` and, once it is known what was sent, `PATH=DIGEST`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from openfusion_auto.core.digest import digest
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
BETA = "anthropic-beta"  # the header in which clients of Anthropic's API turn things on
_IN_TOOLS = "tools."
# Refused -> what it is called instead.
RENAMED: Mapping[str, str] = {"max_tokens": "max_completion_tokens"}
_VALUE = "unsupported_value"
_CODES = ("unsupported_parameter", _VALUE)
_EXTRA = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*): extra inputs are not permitted", re.IGNORECASE)
_BETAS = re.compile(r"invalid beta flag|anthropic-beta`? header", re.IGNORECASE)
_NAMED = re.compile(r"unsupported (parameter|value): ['`\"]([a-z_]+)", re.IGNORECASE)


def refused_field(error: Mapping[str, object]) -> str | None:
    """Return what an upstream's error object refuses, as above; None when it refuses something else.

    A field inside another one (`reasoning.effort`) stands for that, where not only its value is refused.
    """
    message = error.get("message")
    said = message if isinstance(message, str) else ""
    if _BETAS.search(said):
        return BETA + "="
    named = _NAMED.search(said)
    found = error.get("param") if error.get("code") in _CODES else None
    of_value = error.get("code") == _VALUE
    if not isinstance(found, str):
        extra = _EXTRA.search(said)
        found = extra[1] if extra is not None else named[2] if named is not None else ""
        of_value = extra is None and named is not None and named[1].lower() == "value"
    name, _, inner = found.partition(".")
    if name == "tools":
        key = inner.rpartition(".")[2]
        return _IN_TOOLS + key if key in TOOL_KEYS else None
    if of_value and name in LEFT_OUT:
        return ".".join(found.split(".")[:2]) + "="
    return name if name in LEFT_OUT or name in RENAMED else None


def with_value(want: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Return what is refused with the digest of the value that was sent; the whole field when none was."""
    path, of_value, _ = want.partition("=")
    if not of_value:
        return want
    value = headers.get(BETA) if path == BETA else _at(read_top_level(body), path)
    return path.partition(".")[0] if value is None else f"{path}={digest(value)}"


def without_flags(
    headers: Mapping[str, str], refused: Collection[str]
) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return a call's headers without beta flags that its model refuses, and what is lost by that."""
    flags = headers.get(BETA)
    if flags is None or not refused or f"{BETA}={digest(flags)}" not in refused:
        return headers, ()
    kept = {name: value for name, value in headers.items() if name != BETA}
    return kept, (f"{BETA}, which the model refuses",)


def without_refused(sent: Rendered, refused: Collection[str]) -> Rendered:
    """Return a request without the fields and values that its model refuses, and what is lost by that."""
    body = read_top_level(sent.body)
    edits, lost = _without_tool_keys(body.get("tools"), refused)
    lost += _take_values(body, refused, edits)
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


def _take_values(
    body: Mapping[str, object], refused: Collection[str], edits: dict[str, object]
) -> list[str]:
    """Add to `edits` what takes refused values out of a request; returns what is lost."""
    lost = []
    for want in sorted(want for want in refused if "=" in want):
        path, _, told = want.partition("=")
        value = _at(body, path)
        if value is None or digest(value) != told:
            continue
        field, _, inner = path.partition(".")
        held = as_object(edits.get(field, body.get(field))) or {}
        edits[field] = ({k: v for k, v in held.items() if k != inner} if inner else None) or None
        lost.append(f"field {path}, whose value the model refuses")
    return lost


def _at(body: Mapping[str, object], path: str) -> object:
    """Return the value of a field, or of one inside it; None when there is none."""
    field, _, inner = path.partition(".")
    value = body.get(field)
    return (as_object(value) or {}).get(inner) if inner else value


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
