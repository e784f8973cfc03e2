"""Tool calls: whether they can be run as written, and when two of them are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from openfusion_auto.core.checks.edits import BEGIN, patch_findings
from openfusion_auto.core.checks.jsons import schema_break, strict_json
from openfusion_auto.core.prompt import Answer, Tool, ToolCall


def call_findings(tools: tuple[Tool, ...], call: ToolCall) -> list[str]:
    """Return what is wrong with one tool call."""
    tool = next((t for t in tools if t.name == call.name), None)
    if tool is None:
        return [f"the tool {call.name!r} was not offered"]
    if call.kind == "custom" or tool.kind == "custom":
        return patch_findings(call.arguments, whole=True) if named_patch(call.name) else []
    try:
        arguments = strict_json(call.arguments or "{}")
    except (ValueError, RecursionError):
        return [f"the arguments of {call.name} are not JSON"]
    found = [] if tool.schema is None else schema_findings(call.name, tool.schema, arguments)
    if named_patch(call.name) and not found and isinstance(arguments, dict):
        texts = [v for v in arguments.values() if isinstance(v, str) and BEGIN in v]
        found = [f for text in texts for f in patch_findings(text, whole=True)]
    return found


def named_patch(name: str) -> bool:
    """Whether a tool's name says that it takes a patch in the form of Codex's `apply_patch`."""
    return name.lower().endswith("apply_patch")


def schema_findings(name: str, schema: Mapping[str, object], arguments: object) -> list[str]:
    """Return the first way in which a tool's arguments break its schema, as a finding."""
    where = schema_break(schema, arguments)
    return [] if where is None else [f"the arguments of {name} break its schema at {where}"]


def canonical_calls(answer: Answer) -> str | None:
    """Return the tool calls of an answer in a form in which equal calls are equal text; None without calls.

    Ids and key order do not count; arguments that are not JSON, and input of custom tools, count as they are.
    """
    if not answer.tool_calls:
        return None
    calls = []
    for call in answer.tool_calls:
        arguments = call.arguments
        if call.kind == "function":
            with suppress(ValueError, RecursionError):
                arguments = json.dumps(strict_json(call.arguments or "{}"), sort_keys=True)
        calls.append([call.name, arguments])
    return json.dumps(calls)
