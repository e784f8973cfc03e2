"""What the scripted model says: made from the request alone, so that a probe knows it beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.speech import TOOLS, ToolCall
from openfusion_auto.upstream.minimal import as_list, as_mapping, minimal_instance

MODEL = "scripted-model"
WORD = "pong"
# Two, three and four bytes each in UTF-8, and a sequence that one glyph is made of.
CHARACTERS = "Zürich – naïve Ω 東京 🚀 👩‍🚀 fin"
# Legal JSON that no program writes like this: whoever reads and writes it anew changes bytes.
ARGUMENTS = '{ "city" :"Zürich \\u00e9 \\ud83d\\ude80",  "n":1.50}'
FIELD, KEPT = "x_probe", "kept-17"
ANSWER_FIELD = "x_answer"
TOKENS = (40, 20)  # in, out
FORM_TEXT = '{"city": "Paris", "number": 7}'


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: a text, or calls."""

    text: str = ""
    calls: Sequence[ToolCall] = ()


def answer(dialect: Dialect, body: Mapping[str, object]) -> Said:
    """Return what the model says to a request."""
    text, results = spoken(dialect, body)
    if results:
        return Said("The tools said: " + "; ".join(results))
    calls = [ToolCall(f"call_{i}_{n}", n, ARGUMENTS) for i, n in enumerate(TOOLS) if n in text]
    offered = {_name(t): t for t in map(as_mapping, as_list(body.get("tools")))}
    called = [c for c in calls if c.name in offered] or made_up(offered, body.get("tool_choice"))
    if called:
        return Said(calls=called)
    if wants_form(dialect, body):
        return Said(FORM_TEXT)
    known = f" {body[FIELD]}" if isinstance(body.get(FIELD), str) else ""
    return Said(text.rpartition(": ")[2] + known)


def made_up(offered: Mapping[str, Mapping[str, object]], choice: object) -> list[ToolCall]:
    """Return a call of a tool that is demanded and none of the probes': so do gateways ask for an object."""
    demanded = as_mapping(choice)
    name = _name(demanded) if demanded.get("type") != "any" else next(iter(offered), "")
    if name not in offered:
        return []
    about = as_mapping(offered[name].get("function")) or offered[name]
    schema = about.get("input_schema", about.get("parameters"))
    return [ToolCall(f"call_0_{name[:40]}", name, json.dumps(minimal_instance(schema)))]


def _name(tool: Mapping[str, object]) -> str:
    return str(as_mapping(tool.get("function")).get("name") or tool.get("name") or "")


def wants_form(dialect: Dialect, body: Mapping[str, object]) -> bool:
    """Whether an answer is to fit a schema."""
    if dialect == "chat":
        return as_mapping(body.get("response_format")).get("type") == "json_schema"
    holder = as_mapping(body.get("text" if dialect == "responses" else "output_config"))
    return as_mapping(holder.get("format")).get("type") == "json_schema"


def spoken(dialect: Dialect, body: Mapping[str, object]) -> tuple[str, list[str]]:
    """Return the last words of a person, and the results of tools behind them."""
    text, results = "", []
    given = body.get("input" if dialect == "responses" else "messages")
    turns = [{"role": "user", "content": given}] if isinstance(given, str) else as_list(given)
    for turn in map(as_mapping, turns):
        said = _text(turn.get("content"))
        if turn.get("role") == "tool":
            results.append(said)
        elif turn.get("type") == "function_call_output":
            results.append(_text(turn.get("output")))
        elif turn.get("role") == "user":
            results += _results(turn)
            text = said or text
    return text, results


def _results(turn: Mapping[str, object]) -> Iterator[str]:
    for block in map(as_mapping, as_list(turn.get("content"))):
        if block.get("type") == "tool_result":
            yield _text(block.get("content"))


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(as_mapping(p).get("text") or "") for p in as_list(content))
