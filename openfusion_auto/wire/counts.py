"""What reported counts of tokens mean where a dialect says that some are parts of others, and servers mean otherwise.

In OpenAI's dialects what a cache gave or took is a part of the input, and reasoning one of the output. Portkey and
others put Anthropic's `input_tokens` there, which leaves the cache out; xAI and Gemini leave reasoning out. It shows:
a part that is larger than its whole is none, and `total_tokens` counts what stands apart.
"""

from __future__ import annotations

from dataclasses import replace

from openfusion_auto.core.prompt import Usage


def reconciled(told: Usage, total: int | None) -> Usage:
    """Return what was used, its parts within their wholes.

    Args:
        told: The counts as they were told, parts larger than their wholes among them.
        total: The reported total [tokens]; None when there is none.
    """
    told, spare = _with_cache(told, None if total is None else total - told.input - told.output)
    told = _with_reasoning(told, spare)
    cached, written = min(told.cached, told.input), min(told.cache_write, told.input)
    hour, reasoning = min(told.hour_write, written), min(told.reasoning, told.output)
    return Usage(told.input, told.output, cached, written, reasoning, hour)


def latest(held: Usage | None, told: Usage) -> Usage:
    """Return a stream's running totals: the newest; of a side that is told no more, or as 0, what was told before."""
    if held is None:
        return told
    read = told if told.input else held
    made = told if told.output else held
    return Usage(
        read.input, made.output, read.cached, read.cache_write, made.reasoning, read.hour_write
    )


def _with_cache(told: Usage, spare: int | None) -> tuple[Usage, int | None]:
    """Take what a cache gave or took into the input where it stands apart, and out of what the total has besides."""
    cache = told.cached + told.cache_write
    larger = max(told.cached, told.cache_write) > told.input
    if not cache or not (larger or spare in (cache, cache + told.reasoning)):
        return told, spare
    return replace(told, input=told.input + cache), None if spare is None else max(0, spare - cache)


def _with_reasoning(told: Usage, spare: int | None) -> Usage:
    """Take reasoning into the output where it stands apart: it is billed as that.

    What the total has besides, as the results of Gemini's own tools, is input.
    """
    thought, larger = told.reasoning, told.reasoning > told.output
    if spare is None:
        return replace(told, output=told.output + thought) if larger else told
    if spare > 0 and thought in (0, spare):
        return replace(told, output=told.output + spare, reasoning=spare)
    if larger and spare > thought:
        return replace(told, output=told.output + thought, input=told.input + spare - thought)
    return told
