"""What the scripted model says: made from the request alone, so that a probe knows it beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.speech import TOOLS
from openfusion_auto.upstream.minimal import as_list, as_mapping

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
    """An answer: a text, or calls of (name, id)."""

    text: str = ""
    calls: Sequence[tuple[str, str]] = ()


def answer(dialect: Dialect, body: Mapping[str, object]) -> Said:
    """Return what the model says to a request."""
    text, results = spoken(dialect, body)
    if results:
        return Said("The tools said: " + "; ".join(results))
    offered = [_name(as_mapping(t)) for t in as_list(body.get("tools"))]
    if any(n in TOOLS for n in offered):
        named = [n for n in offered if n in text]
        return Said(calls=[(n, f"call_{i}_{n}") for i, n in enumerate(named)])
    if wants_form(dialect, body):
        return Said(FORM_TEXT)
    known = f" {body[FIELD]}" if isinstance(body.get(FIELD), str) else ""
    return Said(text.rpartition(": ")[2] + known)


def _name(tool: Mapping[str, object]) -> str:
    return str(as_mapping(tool.get("function")).get("name") or tool.get("name"))


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
