"""Graders that need no model: what an answer's text must be, contain, match, parse to, or pass.

`numeric` reads the last number of an answer, as published harnesses do for worked solutions (GSM8K). Text is compared
after spaces at the ends are gone and runs of them are one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Literal, NamedTuple

from openfusion_auto.core.checks import strict_json
from openfusion_auto.core.checks.fences import fences
from openfusion_auto.evals.cases import Grade
from openfusion_auto.evals.sandbox import Sandbox

Verdict = Literal["correct", "wrong", "unparsed", "unanswered", "skipped"]

NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?")
PYTHON = frozenset({"python", "python3", "py"})
JSON = frozenset({"json"})
MAX_PATTERN_TEXT = 100_000  # [characters] of an answer that an expression is looked for in


class Graded(NamedTuple):
    """What a grader says.

    `unparsed`: there was nothing to judge in the answer; `unanswered`: there was none; `skipped`: it was not judged.
    """

    verdict: Verdict
    detail: str


def grade(wanted: Grade, text: str, sandbox: Sandbox | None) -> Graded:
    """Return what a grader says of an answer; `judge` is not one of these.

    Args:
        wanted: The grader and its settings.
        text: The answer.
        sandbox: Where code may be run; None: it may not.
    """
    match wanted.by:
        case "exact":
            return _exact(wanted, text)
        case "contains":
            return _contains(wanted, text)
        case "numeric":
            return _numeric(wanted, text)
        case "regex":
            return _regex(wanted, text)
        case "json_schema":
            return _json_schema(wanted, text)
        case "python":
            return _python(wanted, text, sandbox)
        case "judge":
            return Graded("skipped", "a model judges this one")


def code_of(text: str, languages: Collection[str]) -> str:
    """Return the code of an answer: its blocks of these languages one after another, else all its blocks, else all."""
    blocks = [b for b in fences(text) if b.closed]
    ours = [b for b in blocks if b.language in languages] or blocks
    return "\n".join(b.body for b in ours) if ours else text


def _plain(text: str, wanted: Grade) -> str:
    joined = " ".join(text.split())
    return joined.casefold() if wanted.ignore_case else joined


def _decided(right: bool, detail: str) -> Graded:
    return Graded("correct" if right else "wrong", detail)


def _exact(wanted: Grade, text: str) -> Graded:
    right = _plain(text, wanted) == _plain(wanted.answer or "", wanted)
    return _decided(right, "the text is the expected one" if right else "another text")


def _contains(wanted: Grade, text: str) -> Graded:
    found = _plain(text, wanted)

    def there(word: str) -> bool:
        return _plain(word, wanted) in found

    missing = [w for w in wanted.all if not there(w)]
    if missing:
        return Graded("wrong", f"lacks {missing[0]!r}")
    if wanted.any and not any(there(w) for w in wanted.any):
        return Graded("wrong", f"has none of {', '.join(map(repr, wanted.any))}")
    unwanted = [w for w in wanted.none if there(w)]
    return _decided(not unwanted, f"has {unwanted[0]!r}" if unwanted else "has what it should")


def _numeric(wanted: Grade, text: str) -> Graded:
    expected = _last_number(wanted.answer or "")
    found = _last_number(text)
    if expected is None or found is None:
        return Graded("unparsed", "no number in the answer")
    close = math.isclose(
        found, expected, rel_tol=wanted.tolerance, abs_tol=min(wanted.tolerance, 1.0)
    )
    return _decided(close, f"the last number is {found:g}, expected {expected:g}")


def _last_number(text: str) -> float | None:
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _regex(wanted: Grade, text: str) -> Graded:
    flags = re.MULTILINE | (re.IGNORECASE if wanted.ignore_case else 0)
    found = re.search(wanted.pattern or "", text[:MAX_PATTERN_TEXT], flags)
    return _decided(found is not None, "the expression is found" if found else "not found")


def _json_schema(wanted: Grade, text: str) -> Graded:
    try:
        value = strict_json(code_of(text, JSON))
    except (ValueError, RecursionError):
        return Graded("unparsed", "the answer is no JSON")
    from jsonschema import Draft202012Validator  # takes 0.2 s to import

    errors = Draft202012Validator(wanted.schema_ or {}).iter_errors(value)
    first = next(iter(errors), None)
    return _decided(first is None, f"not valid at {first.json_path}" if first else "valid")


def _python(wanted: Grade, text: str, sandbox: Sandbox | None) -> Graded:
    if sandbox is None:
        return Graded("skipped", "running a model's code was not allowed (--allow-code)")
    run = sandbox.run(code_of(text, PYTHON), wanted.tests or "", timeout_s=wanted.timeout_s)
    return _decided(run.passed, run.detail)
