"""Free checks of an answer: deterministic, local, run before any verifier model is paid for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress

from openfusion_auto.core.prompt import Answer, Prompt, Tool, ToolCall


def findings(prompt: Prompt, answer: Answer) -> tuple[str, ...]:
    """Return what is wrong with an answer by form alone, one sentence each; empty when nothing is.

    Checked: emptiness, cut by the output bound, tool calls (known name, arguments that parse and fit the tool's
    JSON Schema), and that an answer asked for as JSON is JSON.
    """
    found = [f for call in answer.tool_calls for f in call_findings(prompt.tools, call)]
    if not answer.tool_calls:
        if not answer.text.strip():
            found.append("the answer is empty")
        elif prompt.shape != "text" and not is_json(answer.text):
            found.append("the answer was asked for as JSON and is not JSON")
    if answer.finish == "length":
        found.append("the answer was cut at the output limit")
    return tuple(found)


def call_findings(tools: tuple[Tool, ...], call: ToolCall) -> list[str]:
    """Return what is wrong with one tool call."""
    tool = next((t for t in tools if t.name == call.name), None)
    if tool is None:
        return [f"the tool {call.name!r} was not offered"]
    if call.kind == "custom" or tool.kind == "custom":
        return []
    try:
        arguments = strict_json(call.arguments or "{}")
    except (ValueError, RecursionError):
        return [f"the arguments of {call.name} are not JSON"]
    if tool.schema is None:
        return []
    return schema_findings(call.name, tool.schema, arguments)


def schema_findings(name: str, schema: Mapping[str, object], arguments: object) -> list[str]:
    """Return the first way in which `arguments` break `schema`; a schema that is itself wrong finds nothing."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
        # An empty registry: a `$ref` to an address is never fetched.
        validator = Draft202012Validator(schema, registry=Registry())
        error = best_match(validator.iter_errors(arguments))
    except Exception:  # noqa: BLE001 - a client's schema can break the validator in ways nobody lists
        return []
    if error is None:
        return []
    where = "/".join(str(part) for part in error.absolute_path) or "the top"
    return [f"the arguments of {name} break its schema at {where} ({error.validator})"]


def is_json(text: str) -> bool:
    """Whether `text` is one JSON document."""
    try:
        strict_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def strict_json(text: str) -> object:
    """Return the value of a JSON document; unlike `json.loads`, NaN and Infinity are no JSON (RFC 8259).

    Raises:
        ValueError: not JSON.
        RecursionError: nested too deep.
    """
    return json.loads(text, parse_constant=refuse_constant)


def refuse_constant(name: str) -> object:
    """Refuse NaN and the infinities.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")


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
