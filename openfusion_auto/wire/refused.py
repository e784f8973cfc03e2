"""Fields of a request that a model has refused by name: left out, or said as it wants them.

Clients say what most models take (`temperature: 0`, `max_tokens`), and do not know who will answer. OpenAI's reasoning
models refuse a request for one such field.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import read_top_level, splice_top_level

# Fields without which a request means the same: how to write, not what to answer with.
LEFT_OUT = frozenset({
    "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "logit_bias", "seed", "stop", "logprobs",
    "top_logprobs", "parallel_tool_calls", "reasoning_effort", "reasoning", "verbosity", "user", "store", "metadata",
    "service_tier", "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
})  # fmt: skip
# Refused -> what it is called instead.
RENAMED: Mapping[str, str] = {"max_tokens": "max_completion_tokens"}
_CODES = ("unsupported_parameter", "unsupported_value")
_NAMED = re.compile(r"unsupported (?:parameter|value): ['`\"]([a-z_]+)", re.IGNORECASE)


def refused_field(error: Mapping[str, object]) -> str | None:
    """Return the field that an upstream's error object refuses; None when it refuses something else.

    A field inside another one (`reasoning.effort`) stands for that.
    """
    found = error.get("param") if error.get("code") in _CODES else None
    if not isinstance(found, str):
        said = error.get("message")
        named = _NAMED.search(said) if isinstance(said, str) else None
        found = named[1] if named is not None else ""
    name = found.partition(".")[0]
    return name if name in LEFT_OUT or name in RENAMED else None


def without_refused(sent: Rendered, refused: Collection[str]) -> Rendered:
    """Return a request without the fields that its model refuses, and what is lost by that."""
    body = read_top_level(sent.body)
    gone = [field for field in sorted(refused) if field in body]
    if not gone:
        return sent
    edits: dict[str, object] = dict.fromkeys(gone)
    lost = []
    for field in gone:
        other = RENAMED.get(field)
        if other is None:
            lost.append(f"field {field}, which the model refuses")
        elif body.get(other) is None:
            edits[other] = body[field]
    return Rendered(splice_top_level(body, sent.body, edits), (*sent.lost, *lost))
