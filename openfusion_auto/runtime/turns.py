"""The numbers of turns: how many requests have taken theirs in the same list, counted where accounts are counted.

One that only looks (`/debug/route`, an estimate) takes none. Two requests at once never have the same number: each is
given out once, by Redis or the store's file where there is one. While that does not answer, each process goes on from
the last it knew.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

MAX_LISTS = 10_000  # whose numbers are remembered; the one unused for longest goes first


class Numbering(Protocol):
    """Where numbers are given out for several processes: `runtime/shared.py:Accounts`."""

    async def turn(self, name: str) -> int | None:
        """Return the next number of a list, from 0, and count on; None when there is no answer."""
        ...


class Turns:
    """The numbers of turns; alone without `there`."""

    def __init__(self, there: Numbering | None = None) -> None:
        self._there = there
        self._next: OrderedDict[str, int] = OrderedDict()
        # One question at a time, over one connection: a burst of requests must not look like an outage.
        self._lock = asyncio.Lock()

    def next(self, name: str) -> int:
        """Return the number that would come next, as far as this process knows; changes nothing."""
        return self._next.get(name, 0)

    async def take(self, name: str) -> int:
        """Return the number of this turn and count on."""
        told = None
        if self._there is not None:
            async with self._lock:
                told = await self._there.turn(name)
        known = self._next.get(name, 0)
        number = known if told is None else told
        self._next[name] = max(known, number + 1)
        self._next.move_to_end(name)
        if len(self._next) > MAX_LISTS:
            self._next.popitem(last=False)
        return number
