"""A stream's events that differ in their text alone: the rest of them is read once.

Most of an answer comes as hundreds of events with the same id, model and fields around a word or two. Parsing each of
them anew is the larger part of what relaying one costs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from openfusion_auto.wire.jsons import JsonError, loads

TRIES = 3  # events of one stream that are learned from: where each has a time of its own, there is nothing to learn
_PROBE = "\u00a7probe\u00a7"
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]+')  # a JSON string without an escape (RFC 8259, section 7)


class Alike:
    """Knows events of one stream by what stands before and behind their text, and reads that text."""

    __slots__ = ("_before", "_behind", "_least", "_tries")

    def __init__(self) -> None:
        self._before = self._behind = b""
        self._least = 0  # [bytes] of an event; 0: nothing learned
        self._tries = TRIES

    def text_of(self, data: bytes) -> str | None:
        """Return the text of an event that is like the one learned from but for its text, else None."""
        if not self._least or len(data) <= self._least:
            return None
        if not (data.startswith(self._before) and data.endswith(self._behind)):
            return None
        said = data[len(self._before) : len(data) - len(self._behind)]
        if _PLAIN.fullmatch(said) is None:
            return None
        try:
            return said.decode()
        except UnicodeDecodeError:
            return None

    def learn(self, data: bytes, text: str, with_text: Callable[[str], object]) -> None:
        """Learn from an event that has been read whole, where that is possible.

        Args:
            data: The event.
            text: What it says; nothing else of it may matter.
            with_text: Returns what the event holds, with another text. That the place found is the text's is not
                guessed: an event made with another text must hold just that.
        """
        if not self._tries:
            return
        self._tries -= 1
        self._least = 0
        said = text.encode("utf-8", "replace")
        before, found, behind = data.partition(b'"' + said + b'"')
        if not found or _PLAIN.fullmatch(said) is None:
            return
        before, behind = before + b'"', b'"' + behind
        try:
            held = loads(before + _PROBE.encode() + behind)
        except JsonError:
            return
        if held == with_text(_PROBE):
            self._before, self._behind = before, behind
            self._least = len(before) + len(behind)
