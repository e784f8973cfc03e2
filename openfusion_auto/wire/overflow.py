"""A prompt that is too long for a model: how upstreams say it, and the words on which agents compact.

Agents look for the code `context_length_exceeded`, or for the words of OpenAI's and Anthropic's APIs with the numbers
in them. Upstreams have words of their own, and say more numbers than the two that count.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CODE = "context_length_exceeded"
_CODES = frozenset({CODE, "exceed_context_size_error", "model_max_prompt_tokens_exceeded"})
# Source of the words: the upstreams' own messages, as agents' lists of them quote these.
_WORDS = re.compile(
    r"context (?:length|window|size|limit)|prompt is too long|input is too long|too many (?:input )?tokens"
    r"|maximum (?:number of )?(?:input |prompt )?tokens|reduce the length|maximum (?:prompt|model) length"
    r"|exceeded model token limit|token count of [\d,]+ exceeds the limit|range of input length|prompt exceeds max"
    r"|inputs` tokens \+ `max_new_tokens`",
    re.IGNORECASE,
)
_NUMBER = r"(\d[\d,]{2,12})\b"  # windows have three digits and more; names of models have not
_NUMBERS = re.compile(r"(?<![\d.,\w-])" + _NUMBER, re.ASCII)
# What stands before the window's size, the surest first.
_LIMITS = tuple(
    re.compile(before + _NUMBER, re.IGNORECASE | re.ASCII)
    for before in (
        r"(?:context|prompt|model) length (?:is|of) (?:only )?",
        r"(?:context (?:length|window|size)|tokens allowed) \(",
        r"length should be \[1, ",
        r"(?:> ?|<= ?)",
        r"limit(?: of|:) ",
    )
)
# Anthropic's own: agents read the numbers, and ask for a shorter answer after the second.
_ANTHROPIC = re.compile(
    r"prompt is too long: [\d,]+ tokens > [\d,]+ maximum"
    r"|input length and `max_tokens` exceed context limit: \d+ \+ \d+ > \d+",
    re.IGNORECASE,
)


class Sizes(NamedTuple):
    """What a model takes, and what it was given [tokens]."""

    limit: int
    given: int


def is_overflow(message: str, *names: object) -> bool:
    """Return whether an upstream's refusal means that the prompt is too long.

    Args:
        message: What it said.
        names: Code and type of its error.
    """
    if any(isinstance(name, str) and name in _CODES for name in names):
        return True
    return bool(_WORDS.search(message))


def sizes_in(message: str) -> Sizes | None:
    """Return the window's size and the request's; None where a message does not say both.

    With several numbers the window is the one that is named so, the request the largest of the others or, where these
    are parts of it, their sum.
    """
    found = sorted({_int(n) for n in _NUMBERS.findall(message)})
    named = next((_int(m[1]) for limit in _LIMITS if (m := limit.search(message))), None)
    if named is None:
        return Sizes(*found) if len(found) == 2 else None
    others = [n for n in found if n != named]
    given = max(others, default=0)
    if given < named and len(others) == 2:
        given = sum(others)
    return Sizes(named, given) if given > named else None


def sentence(sizes: Sizes | None) -> str:
    """Return OpenAI's words for a prompt that is too long, with the numbers where they are known."""
    if sizes is None:
        return (
            "This model's maximum context length is exceeded by the messages. Reduce their length."
        )
    return (
        f"This model's maximum context length is {sizes.limit} tokens. "
        f"However, your messages resulted in {sizes.given} tokens."
    )


def openai_words(message: str) -> str:
    """Return a message that agents which know OpenAI's words understand, with the upstream's in it."""
    if "maximum context length" in message.lower():
        return message
    said = f" The upstream said: {message}" if message else ""
    return sentence(sizes_in(message)) + said


def anthropic_words(message: str) -> str:
    """Return a message that agents which know Anthropic's words understand."""
    own = _ANTHROPIC.search(message)
    if own is not None:
        return own[0][:1].lower() + own[0][1:]
    sizes = sizes_in(message)
    if sizes is not None:
        return f"prompt is too long: {sizes.given} tokens > {sizes.limit} maximum"
    return f"prompt is too long. {message}"


def _int(text: str) -> int:
    return int(text.replace(",", ""))
