"""Free checks of an answer: deterministic, local, run before any verifier model is paid for.

Each looks at form alone and says one sentence for each thing that is wrong; all are silent about what they cannot
judge. How often each is right is measured on a corpus (`docs/reference/checks.md`).
"""

from __future__ import annotations

from collections.abc import Callable

from openfusion_auto.core.checks.calls import call_findings, canonical_calls, schema_findings
from openfusion_auto.core.checks.code import code_findings
from openfusion_auto.core.checks.edits import diff_findings, patch_findings, search_findings
from openfusion_auto.core.checks.fences import never_closed
from openfusion_auto.core.checks.jsons import is_json, schema_break, strict_json
from openfusion_auto.core.checks.refusal import refuses
from openfusion_auto.core.prompt import Answer, Prompt

__all__ = [
    "CHECKS",
    "canonical_calls",
    "findings",
    "is_json",
    "refuses",
    "schema_findings",
    "strict_json",
]


def empty(_prompt: Prompt, answer: Answer) -> list[str]:
    """Find an answer without a word and without a call."""
    return [] if answer.tool_calls or answer.text.strip() else ["the answer is empty"]


def truncated(_prompt: Prompt, answer: Answer) -> list[str]:
    """Find an answer that says itself that it was cut, or ends inside a code block."""
    if answer.finish == "length":
        return ["the answer was cut at the output limit"]
    if not answer.tool_calls and never_closed(answer.text):
        return ["the answer ends inside a code block"]
    return []


def tool_calls(prompt: Prompt, answer: Answer) -> list[str]:
    """Find calls of tools that were not offered, and arguments that do not fit."""
    return [f for call in answer.tool_calls for f in call_findings(prompt.tools, call)]


def structured(prompt: Prompt, answer: Answer) -> list[str]:
    """Find an answer that was asked for as JSON and is none, or does not fit the schema that was asked for."""
    if prompt.shape == "text" or answer.tool_calls or not answer.text.strip():
        return []
    if not is_json(answer.text):
        return ["the answer was asked for as JSON and is not JSON"]
    form = prompt.settings.form
    if prompt.shape == "json_object" or form is None or form.schema is None:
        return []
    where = schema_break(form.schema, strict_json(answer.text))
    return [] if where is None else [f"the answer breaks the schema it was asked for at {where}"]


def of_text(check: Callable[[str], list[str]]) -> Callable[[Prompt, Answer], list[str]]:
    """Return a check of a plain answer's text: not of words beside a call, and not of JSON."""

    def checked(prompt: Prompt, answer: Answer) -> list[str]:
        plain = prompt.shape == "text" and not answer.tool_calls and answer.finish != "length"
        return check(answer.text) if plain else []

    return checked


Check = Callable[[Prompt, Answer], list[str]]
CHECKS: dict[str, Check] = {
    "empty answer": empty,
    "truncated answer": truncated,
    "tool calls": tool_calls,
    "structured output": structured,
    "unified diff": of_text(diff_findings),
    "SEARCH/REPLACE": of_text(search_findings),
    "apply_patch": of_text(patch_findings),
    "code blocks": of_text(code_findings),
}


def findings(prompt: Prompt, answer: Answer) -> tuple[str, ...]:
    """Return what is wrong with an answer by form alone, one sentence each; empty when nothing is."""
    return tuple(f for check in CHECKS.values() for f in check(prompt, answer))
