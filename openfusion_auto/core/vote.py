"""Votes among independent answers: which count, when two say the same, who has the majority.

Tool calls are the same by name and canonical arguments, JSON by its value, text by its words: case, spacing, marks of
emphasis and a closing full stop do not count, and where an answer names its result ("Answer: 42") only that does.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Context, Decimal

from openfusion_auto.core import checks
from openfusion_auto.core.prompt import Answer, Prompt

Said = tuple[str, Answer]  # a candidate's id and its answer

_RESULT = re.compile(
    r"(?:^|\n)[ \t>*_#]*(?:final )?(?:answer|result)[ *_]*+(?:is|:|=)[ *_]*+(?P<said>\S[^\n]*+)\s*+\Z",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]+)\}")
_MARKS = re.compile(r"[*_`$]+")
CHECKABLE = 60  # [characters] of one word that is a whole answer: right or wrong, nothing to blend
_EXACT = Context(prec=CHECKABLE)  # two numbers that differ in their last digit are two answers


def one_side(good: list[Said]) -> list[Said]:
    """Return the answers that count when some call tools and some only speak.

    The majority's side; at a tie the best-ranked member's. Calls and words are never mixed: what is emitted is one
    member's whole answer.
    """
    calling = [s for s in good if s[1].tool_calls]
    speaking = [s for s in good if not s[1].tool_calls]
    if len(calling) == len(speaking):
        return calling if good and good[0][1].tool_calls else speaking
    return max(calling, speaking, key=len)


def key_of(prompt: Prompt, answer: Answer) -> str:
    """Return what an answer says, such that answers that say the same have the same key."""
    calls = checks.canonical_calls(answer)
    if calls is not None:
        return calls
    if prompt.shape != "text" and checks.is_json(answer.text):
        return json.dumps(checks.strict_json(answer.text), sort_keys=True)
    boxed = _BOXED.findall(answer.text)
    named = _RESULT.search(answer.text)
    said = boxed[-1] if boxed else named["said"] if named else answer.text
    words = " ".join(_MARKS.sub("", said).split()).casefold().rstrip(".!")
    return number(words) or words


def number(words: str) -> str:
    """Return the one way to write a number, or "" for what is none."""
    if len(words) > CHECKABLE:
        return ""
    try:
        value = Decimal(words.replace(",", "").removeprefix("+")).normalize(_EXACT)
    except ArithmeticError:  # no number, or one beyond all bounds, such as 1e999999999
        return ""
    return str(value) if value.is_finite() else ""


def checkable(key: str) -> bool:
    """Whether an answer is one word or number: it is right or wrong, and a better wording is none."""
    return len(key) <= CHECKABLE and len(key.split()) == 1


def majority(keys: list[str]) -> int | None:
    """Return the first of those that more than half agree with; None without such."""
    key, count = Counter(keys).most_common(1)[0]
    return keys.index(key) if count * 2 > len(keys) else None


def tied(keys: list[str]) -> bool:
    """Whether two groups of at least two are the largest."""
    counts = sorted(Counter(keys).values(), reverse=True)
    return len(counts) > 1 and counts[0] == counts[1] > 1


def plurality(keys: list[str]) -> int | None:
    """Return the first of the one largest group of at least two; None when no group stands out."""
    (key, count), *others = Counter(keys).most_common(2)
    return None if count < 2 or (others and others[0][1] == count) else keys.index(key)
