"""Fields of a request that a model has refused by name: left out, or said as it wants them.

Clients say what most models take (`temperature: 0`, `max_tokens`), and do not know who will answer. OpenAI's reasoning
models refuse a request for one such field; who serves Claude models for Anthropic refuses what Claude Code turns on
with a beta flag, and the flag.

What is refused is called `FIELD`, `tools.KEY`, `messages.KEY` (of the history), or as `roles.py` and `call_ids.py`
say. Where it is a value alone (`reasoning_effort` `xhigh`, a beta flag), other values are fine, other clients' among
them: it is `PATH=` and, once it is known what was sent, `PATH=DIGEST`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from openfusion_auto.core.digest import digest
from openfusion_auto.wire.call_ids import refused_ids, take_ids
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.roles import refused_role, take_roles
from openfusion_auto.wire.splice import read_top_level, splice_top_level

# Fields without which a request means the same: how to write, not what to answer with.
LEFT_OUT = frozenset({
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias", "seed", "stop", "logprobs",
    "top_logprobs", "parallel_tool_calls", "reasoning_effort", "reasoning", "verbosity", "user", "store", "metadata",
    "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "context_management", "speed",
    "diagnostics", "output_config", "include", "client_metadata", "truncation", "stream_options", "enable_thinking",
    "chat_template_kwargs", "min_p", "repetition_penalty",
})  # fmt: skip
# The same of a tool, and of a message of the history or its parts; as a refused thing with the field before it.
INSIDE: Mapping[str, frozenset[str]] = {
    "tools": frozenset({
        "defer_loading", "eager_input_streaming", "strict", "allowed_callers", "input_examples", "cache_control",
    }),
    "messages": frozenset({
        "reasoning_content", "reasoning", "reasoning_details", "refusal", "annotations", "cache_control",
        "extra_content",
    }),
}  # fmt: skip
# Parts and calls of a message, what chat says of a tool.
_NESTED = frozenset({"content", "tool_calls", "function"})
BETA = "anthropic-beta"  # the header in which clients of Anthropic's API turn things on
# Refused -> what it is called instead.
RENAMED: Mapping[str, str] = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_VALUE = "unsupported_value"
_CODES = ("unsupported_parameter", "unknown_parameter", _VALUE)
_BETAS = re.compile(r"invalid beta flag|anthropic-beta`? header", re.IGNORECASE)
_PATH = r"([a-z_]+(?:\.\w+)*)"
_QUOTE = r"[`'\"]"
# How servers name what they refuse, and whether only its value: OpenAI, Azure, Anthropic, Google, xAI, Groq and
# Cerebras, and those that check with pydantic.
_SAYINGS = tuple(
    (re.compile(words, re.IGNORECASE), of_value)
    for words, of_value in (
        (_PATH + ": extra inputs are not permitted", False),
        (f"property {_QUOTE}{_PATH}{_QUOTE} is unsupported", False),
        (f"(?:unsupported|unknown) (?:parameter|name|field):? {_QUOTE}{_PATH}", False),
        (f"unsupported value: {_QUOTE}{_PATH}", True),
        (f"unrecognized request arguments? supplied: {_PATH}", False),
        (f"argument not supported on this model: {_PATH}", False),
        (f"{_QUOTE}{_PATH}{_QUOTE} is deprecated for this model", False),
        (f"and {_QUOTE}{_PATH}{_QUOTE} cannot both be specified", True),
        (f"(?<![.\\w]){_PATH}: input should be ", True),
    )
)
# OpenAI's models that do not reason say no more, and Codex asks for it whoever answers.
_ENCRYPTED = re.compile(r"encrypted content is not supported", re.IGNORECASE)


def refused_field(error: Mapping[str, object]) -> str | None:
    """Return what an upstream's error object refuses, as above; None when it refuses something else.

    A field inside another one (`reasoning.effort`) stands for that, where not only its value is refused.
    """
    message = error.get("message")
    said = message if isinstance(message, str) else ""
    if _BETAS.search(said):
        return BETA + "="
    other = refused_role(said) or refused_ids(said)
    if other is not None:
        return other
    found, of_value = _named(error, said)
    name, _, inner = found.partition(".")
    if not inner and "messages." in said and name in INSIDE["messages"]:
        name, inner = "messages", name
    if name in INSIDE:
        key = inner.rpartition(".")[2]
        return f"{name}.{key}" if key in INSIDE[name] else None
    if of_value and name in LEFT_OUT:
        return ".".join(found.split(".")[:2]) + "="
    return name if name in LEFT_OUT or name in RENAMED else None


def _named(error: Mapping[str, object], said: str) -> tuple[str, bool]:
    """Return the path of what is refused, "" for none, and whether only its value is."""
    if _ENCRYPTED.search(said):
        return "include", True
    found, of_value = error.get("param"), error.get("code") == _VALUE
    if error.get("code") not in _CODES or not isinstance(found, str):
        told = next(((m[1], v) for words, v in _SAYINGS if (m := words.search(said))), ("", False))
        found, of_value = told
    # xAI names fields as its own protocol does (`presencePenalty`).
    plain = re.sub(r"(?<=[a-z])[A-Z]", lambda upper: "_" + upper[0].lower(), found)
    return re.sub(r"\[(\d+)\]", r".\1", plain), of_value


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
    edits: dict[str, object] = {}
    lost = [*take_roles(body, refused, edits)]
    take_ids(body, refused, edits)
    for field in INSIDE:
        lost += _take_inside(body, field, refused, edits)
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


def _take_inside(
    body: Mapping[str, object], field: str, refused: Collection[str], edits: dict[str, object]
) -> list[str]:
    """Add to `edits` what takes refused keys out of tools or messages; returns what is lost."""
    keys = {want.removeprefix(f"{field}.") for want in refused if want.startswith(f"{field}.")}
    listed = edits.get(field, body.get(field))
    if not keys or not isinstance(listed, list):
        return []
    found: set[str] = set()
    kept = [_without(item, keys, found) for item in listed]
    if found:
        edits[field] = kept
    return [f"{key} of {field}, which the model refuses" for key in sorted(found)]


def _without(item: object, keys: set[str], found: set[str]) -> object:
    """Return a tool, message or part without some keys, noting those that it had; its schema and words stay."""
    held = as_object(item)
    if held is None:
        return item
    found |= keys & held.keys()
    kept = {key: value for key, value in held.items() if key not in keys}
    for inner in _NESTED & kept.keys():
        value = kept[inner]
        if isinstance(value, list):
            kept[inner] = [_without(part, keys, found) for part in value]
        else:
            kept[inner] = _without(value, keys, found)
    return kept


def _rest_of(config: object) -> object:
    """Return a Messages request's `output_config` without the effort; the form of the answer is asked for and stays."""
    return {k: v for k, v in (as_object(config) or {}).items() if k != "effort"} or None
