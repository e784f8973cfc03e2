"""Whether a request asks for a cache that lives an hour: who writes one pays more (`core/cost.py:HOUR_WRITE`).

Source: Anthropic's guide to prompt caching: `"cache_control": {"type": "ephemeral", "ttl": "1h"}` on a block, a tool or
the whole request. OpenRouter takes the same marks in Chat Completions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.wire.jsons import as_object

HOUR = "1h"
_WORD = b'"1h"'


def caches_an_hour(prompt: Prompt) -> bool:
    """Return whether a mark in the client's request has a life of an hour."""
    if prompt.dialect == "responses" or _WORD not in prompt.raw:
        return False
    return any(_ttl(block) == HOUR for block in _blocks(prompt.body))


def _ttl(block: Mapping[str, object]) -> object:
    return (as_object(block.get("cache_control")) or {}).get("ttl")


def _blocks(body: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield all that can bear a mark."""
    yield body
    turns = list(_objects(body.get("messages")))
    for held in (body.get("system"), body.get("tools"), *(turn.get("content") for turn in turns)):
        yield from _objects(held)


def _objects(value: object) -> Iterator[Mapping[str, object]]:
    for entry in value if isinstance(value, list) else ():
        if isinstance(entry, dict):
            yield entry
