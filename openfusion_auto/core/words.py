"""Numbers and foreign text as people read them: the same words in the terminal and on the page."""

from __future__ import annotations

import math


def clean(text: str) -> str:
    """Return text without control characters but newline and tab: foreign text must not drive the terminal."""
    return "".join(ch for ch in text if ch in "\n\t" or (ch >= " " and not "\x7f" <= ch <= "\x9f"))


def usd(value: object) -> str:
    """Return money as text; what is not known is said, never 0.

    Four decimals; small sums as many as two significant digits need: a turn may cost 0.000023 USD.
    """
    if not isinstance(value, int | float):
        return "unknown"
    decimals = max(4, 1 - math.floor(math.log10(abs(value)))) if value else 4
    return f"${value:.{decimals}f}"


def count(value: object) -> str:
    """Return a number of tokens as text with thousands set apart; `-` when it is not known."""
    return f"{value:,}" if isinstance(value, int) else "-"
