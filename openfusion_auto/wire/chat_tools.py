"""Tools of other dialects as chat's functions, and calls of free-text tools through functions and back.

A custom tool takes free text (`apply_patch`). Where only functions are known it becomes a function with one string,
`input`; a call of that function is the custom call whose text is the decoded string, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Tool, ToolCall
from openfusion_auto.wire.jsons import JsonError, as_object, dumps, loads_text

INPUT_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
ID_MAX = 40  # characters of a call's id in OpenAI's chat API
_UNFIT = re.compile(r"[^\w-]", re.ASCII)
NO_ARGUMENTS: Mapping[str, object] = {"type": "object", "properties": {}}


def stable_id(index: int, name: str, seed: str = "") -> str:
    """Return the id of a call to which its upstream gave none: the same for the same place, name and seed.

    A history in which two calls have one id is refused by Anthropic's API, so each answer has a seed of its own. It is
    made of what any API takes: OpenAI's bounds an id at 40 characters, Anthropic's takes letters, digits, `_` and `-`.

    Args:
        index: Of the call among those of its answer.
        name: Of its tool.
        seed: Of the answer, at most 12 characters.
    """
    said = _UNFIT.sub("_", f"call_{index}_{name}" if name else f"call_{index}")
    return f"{said[: ID_MAX - 1 - len(seed)]}_{seed}" if seed else said


def wrap_input(text: str) -> str:
    """Return free text as the arguments of the function that stands for a custom tool."""
    return dumps({"input": text}).decode()


def unwrap_input(arguments: str) -> str:
    """Return the free text that a function's arguments hold; what is not such an object is the text itself.

    Models that know the tool write its text without the object around it now and then.
    """
    try:
        held = as_object(loads_text(arguments))
    except JsonError:
        return arguments
    text = None if held is None else held.get("input")
    return text if isinstance(text, str) else arguments


def as_custom(calls: Iterable[ToolCall], custom: frozenset[str]) -> tuple[ToolCall, ...]:
    """Return calls with those of the client's custom tools turned back into custom calls."""
    return tuple(
        replace(call, kind="custom", arguments=unwrap_input(call.arguments))
        if call.kind == "function" and call.name in custom
        else call
        for call in calls
    )


def describe_custom(tool: Tool) -> str:
    """Return the description of the function that stands for a custom tool, its grammar in words."""
    lines = [tool.description] if tool.description else []
    lines.append(
        "Put the whole text that the tool takes into `input`, as it is, without quotes around it."
    )
    syntax, definition = _grammar(tool)
    if definition:
        named = f" ({syntax})" if syntax else ""
        lines.append(f"The text must follow this grammar{named}:\n{definition}")
    return "\n\n".join(lines)


def render_tools(tools: Iterable[Tool], lost: list[str]) -> list[dict[str, object]]:
    """Return tools as chat's functions.

    Args:
        tools: Of a prompt in another dialect.
        lost: Takes up tools that only another upstream runs, and grammars, which a function cannot enforce.
    """
    found: list[dict[str, object]] = []
    for tool in tools:
        if tool.kind == "server":
            lost.append(f"server tool {tool.name}")
            continue
        if tool.kind == "custom" and _grammar(tool)[1]:
            lost.append(f"grammar of custom tool {tool.name}")
        found.append({"type": "function", "function": _function(tool)})
    return found


def render_call(call: ToolCall) -> dict[str, object]:
    """Return a call as a message of the history holds it, a custom call as its function's."""
    # No arguments at all are read as JSON by some servers, and fail.
    said = call.arguments or "{}"
    arguments = wrap_input(call.arguments) if call.kind == "custom" else said
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _grammar(tool: Tool) -> tuple[str, str]:
    """Return syntax and definition of a custom tool's grammar, "" where it has none; chat nests it once more."""
    form = tool.grammar or {}
    held = as_object(form.get("grammar")) or form
    syntax, definition = held.get("syntax"), held.get("definition")
    return (
        syntax if isinstance(syntax, str) else "",
        definition if isinstance(definition, str) else "",
    )


def _function(tool: Tool) -> dict[str, object]:
    custom = tool.kind == "custom"
    description = describe_custom(tool) if custom else tool.description
    function: dict[str, object] = {"name": tool.name}
    if description:
        function["description"] = description
    function["parameters"] = INPUT_SCHEMA if custom else tool.schema or NO_ARGUMENTS
    if tool.strict is not None and not custom:
        function["strict"] = tool.strict
    return function
