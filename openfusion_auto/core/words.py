"""Numbers and foreign text as people read them: the same words in the terminal and on the page."""

from __future__ import annotations

import math
import re

LAST_S = 253_370_764_800.0  # [s since 1970] of the year 9999: dates end in it, local ones may do so a day earlier
# Controls of C0 and C1 but newline and tab, and those that reorder the text around them: a command that a model shows
# must read as what is copied (U+202A..202E and U+2066..2069, Unicode TR 36).
DRIVING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Return text without control characters but newline and tab: foreign text must not drive the terminal."""
    return DRIVING.sub("", text)


def usd(value: object) -> str:
    """Return money as text; what is not known is said, never 0.

    Four decimals; small sums as many as two significant digits need: a turn may cost 0.000023 USD.
    """
    if not isinstance(value, int | float):
        return "unknown"
    decimals = max(4, 1 - math.floor(math.log10(abs(value)))) if value else 4
    return f"${value:.{decimals}f}"


def sum_of(usd: float) -> str:
    """Return money inside a sentence [USD]: four decimals, and two digits of what would read as 0 with those."""
    small = 0 < usd < 0.5e-4
    return f"{usd:.{1 - math.floor(math.log10(usd)) if small else 4}f} USD"


def has_date(at_s: object) -> bool:
    """Whether a date can be written of a moment [s since 1970]; else a clock was wrong."""
    return isinstance(at_s, int | float) and 0 <= at_s < LAST_S


def many(number: int, noun: str) -> str:
    """Return `1 call`, `2 calls`, `1,000 calls`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count(value: object) -> str:
    """Return a number of tokens as text with thousands set apart; `-` when it is not known."""
    return f"{value:,}" if isinstance(value, int) else "-"
