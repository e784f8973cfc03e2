"""What becomes of a request's fields on the way to an upstream of another dialect.

Each field is converted (what the hub holds of it is written, refused, or told as lost in words of its own), left out
because no answer is other without it, or asks for something that the other dialect has no word for. The last kind is
what `unsaid` tells; a field that nobody here knows is of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.rendered import counted

# What the hub holds of each dialect's fields.
CONVERTED: Mapping[str, frozenset[str]] = {
    "chat": frozenset(
        {
            "model", "messages", "tools", "functions", "function_call", "tool_choice", "parallel_tool_calls",
            "max_tokens", "max_completion_tokens", "stream", "stream_options", "stop", "temperature", "top_p", "seed",
            "n", "response_format", "reasoning_effort", "reasoning", "thinking", FIELD,
        }
    ),
    "responses": frozenset(
        {
            "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens",
            "stream", "stream_options", "temperature", "top_p", "reasoning", "text", FIELD,
        }
    ),
    "messages": frozenset(
        {
            "model", "messages", "system", "tools", "tool_choice", "max_tokens", "stream", "stop_sequences",
            "temperature", "top_p", "thinking", "output_config", "output_format", FIELD,
        }
    ),
}  # fmt: skip
# Fields of any dialect that mean nothing to another one's upstream.
QUIET = frozenset(
    {
        "user", "store", "metadata", "client_metadata", "prompt_cache_key", "prompt_cache_retention", "session_id",
        "safety_identifier", "service_tier", "include", "cache_control", "diagnostics", "user_profile_id",
        "anthropic_version", "betas",
    }
)  # fmt: skip
# `truncation: "disabled"` asks for what every other dialect does.
_NOTHING: tuple[object, ...] = (None, False, 0, "", [], {}, "disabled")


def unsaid(prompt: Prompt, carried: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Return what a request asks for that another dialect has no word for, as lines of `Rendered.lost`.

    Args:
        prompt: The request; its own dialect says how its fields are read.
        carried: Fields that the other dialect does have.
    """
    known = CONVERTED[prompt.dialect] | QUIET | carried
    fields = (
        f"field {key}"
        for key, value in prompt.body.items()
        if key not in known and value not in _NOTHING
    )
    deferred = sum(
        (as_object(tool.raw) or {}).get("defer_loading") is True for tool in prompt.tools
    )
    text = as_object(prompt.body.get("text")) or {}
    verbose = prompt.dialect == "responses" and text.get("verbosity") is not None
    return (
        *fields,
        *(("verbosity of the text",) if verbose else ()),
        *counted("name", _named(prompt) if prompt.dialect == "chat" else 0),
        *counted("deferred loading", deferred, "tool"),
    )


def _named(prompt: Prompt) -> int:
    """Return how many messages of a chat request say which of several people speaks."""
    listed = prompt.body.get("messages")
    said = [as_object(m) or {} for m in listed] if isinstance(listed, list) else []
    return sum(m.get("role") != "function" and bool(m.get("name")) for m in said)
