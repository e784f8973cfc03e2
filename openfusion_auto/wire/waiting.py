"""Tool calls that wait until all of them are whole."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Waiting(Generic[Key]):
    """Tells whether all calls that wait are whole. Each is looked at again only when it has grown: an upstream may open
    thousands behind one that is not whole.

    Args:
        is_whole: Looks at a call.
    """

    def __init__(self, is_whole: Callable[[Key], bool]) -> None:
        self._is_whole = is_whole
        self._grown: set[Key] = set()  # not looked at since they grew
        self._half: set[Key] = set()  # looked at, and not whole

    def grew(self, keys: Collection[Key]) -> None:
        """Note calls that begin, or have grown."""
        self._grown.update(keys)
        self._half.difference_update(keys)

    def all_whole(self) -> bool:
        """Look at those that have grown."""
        while self._grown:
            key = self._grown.pop()
            if not self._is_whole(key):
                self._half.add(key)
        return not self._half

    def forget(self, keys: Collection[Key]) -> None:
        """Drop calls that wait no longer."""
        self._grown.difference_update(keys)
        self._half.difference_update(keys)

    def clear(self) -> None:
        """Drop all."""
        self._grown.clear()
        self._half.clear()
