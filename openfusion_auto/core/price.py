"""Prices that change with the length of a prompt.

The length is all that a request reads, what comes from a cache too, and the price that it has reached is that of the
whole request: input, cache and output.

Sources, as of 2026-11: OpenAI ("prompts with >272K input tokens are priced at 2x input and 1.5x output"), Google
(a second price of input, output and context caching for "prompts > 200k tokens"), Anthropic (what is read from and
written to the cache counts, and all tokens of the request, its output too, cost more).
"""

from __future__ import annotations

from dataclasses import dataclass

RATES = ("input", "output", "cache_read", "cache_write")  # the parts of a price
# What OpenRouter calls them, in the list that is read and in the one that is served.
OPENROUTER_PARTS = dict(
    zip(RATES, ("prompt", "completion", "input_cache_read", "input_cache_write"), strict=True)
)


@dataclass(frozen=True, slots=True)
class LongPrice:
    """What a request costs that reads more than `above_tokens` [USD per 1,000,000 tokens]; None = unknown, never 0."""

    above_tokens: int
    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None

    def __str__(self) -> str:
        """Say from where on it holds, and what it is."""
        cached = f", {self.cache_read:g} cached" if self.cache_read is not None else ""
        rates = f"{self.input:g} in, {self.output:g} out{cached}"
        return (
            f"above {self.above_tokens:,} tokens all of the request costs {rates} USD per 1M tokens"
        )


def reached(longer: tuple[LongPrice, ...], tokens: int) -> LongPrice | None:
    """Return the price of a request that reads so many tokens; None where that is the ordinary one."""
    found = [p for p in longer if tokens > p.above_tokens]
    return max(found, key=lambda p: p.above_tokens) if found else None
