"""Server-sent events, framed: bytes in whatever pieces they come, whole frames out.

A frame keeps its bytes, so that what is relayed is what came: the frames' bytes joined are the input (but for a
byte order mark). Source: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6; one difference: a last frame without
its blank line is delivered by `close`, because servers exist that end with `data: [DONE]` and no newline.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.jsons import BOM

LIMIT = 16 * 1024 * 1024  # [bytes] of one frame: images in answers stay below, endless lines do not
_LF, _CR = 10, 13
_LINE = re.compile(rb"\r\n|\n|\r")
# A line end and a blank line. `\r(?!\n)`: a CR before LF is half a line end, never a whole one.
_BLANK = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")


class Frame(NamedTuple):
    """One event, or one stretch without any (comments, blank lines: then `data` is None).

    Attributes:
        raw: The bytes as they came, the blank line included.
        event: The `event` field, "" when there is none.
        data: The `data` lines joined by LF; None without such a line.
    """

    raw: bytes
    event: str
    data: bytes | None


class SseReader:
    """Cuts a byte stream into frames. Any split of the same bytes gives the same frames.

    Args:
        limit: Longest frame [bytes].
    """

    __slots__ = ("_begun", "_limit", "_lone_lf", "_pending", "_scanned")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pending = bytearray()
        self._scanned = 0  # no blank line begins before this offset of `_pending`
        self._begun = False  # past the place where a byte order mark may stand
        self._lone_lf = True  # no CR so far: blank lines can be searched by `find`

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes.

        Raises:
            UpstreamBroken: a frame is longer than the limit.
        """
        if self._lone_lf and b"\r" in data:
            self._lone_lf = False
        if not self._pending and self._lone_lf and _is_one_line(data) and len(data) <= self._limit:
            self._begun = True
            return [Frame(data, "", data[6:-2])]
        if self._pending or not self._begun:
            self._pending += data
            if not self._begin(last=False):
                return []
            return self._cut(self._pending, last=False)
        return self._cut(data, last=False)

    def close(self) -> list[Frame]:
        """Return what is left, its last frame also without a blank line; the input is over."""
        self._begin(last=True)
        frames = self._cut(self._pending, last=True)
        if self._pending:
            frames.append(_frame(bytes(self._pending)))
            self._pending = bytearray()
        return frames

    def _begin(self, *, last: bool) -> bool:
        """Drop a byte order mark; False while it cannot be told yet whether there is one."""
        if self._begun:
            return True
        if not last and len(self._pending) < len(BOM) and BOM.startswith(self._pending):
            return False
        if self._pending.startswith(BOM):
            del self._pending[: len(BOM)]
        self._begun = True
        return True

    def _cut(self, source: bytes | bytearray, *, last: bool) -> list[Frame]:
        frames: list[Frame] = []
        at, size, scan = 0, len(source), self._scanned
        while at < size:
            end = self._end(source, at, max(at, scan), last=last)
            if end < 0:
                break
            if end - at > self._limit:
                self._too_long()
            frames.append(_frame(bytes(source[at:end])))
            at = end
        if size - at > self._limit:
            self._too_long()
        if source is self._pending:
            del self._pending[:at]
        elif at < size:
            self._pending = bytearray(source[at:])
        # A blank line has up to four bytes: three of them may already be here.
        self._scanned = max(0, size - at - 3)
        return frames

    def _end(self, source: bytes | bytearray, at: int, scan: int, *, last: bool) -> int:
        """Return where the frame at `at` ends, -1 when that is not here yet."""
        first = source[at]
        if first == _LF:
            return at + 1
        size = len(source)
        if first == _CR:
            if at + 1 == size:
                return size if last else -1
            return at + 2 if source[at + 1] == _LF else at + 1
        if self._lone_lf:
            found = source.find(b"\n\n", scan)
            return -1 if found < 0 else found + 2
        blank = _BLANK.search(source, scan)
        if blank is None:
            return -1
        # A CR at the end of what is here may be half of a CRLF.
        half = blank.end() == size and source[size - 1] == _CR and not last
        return -1 if half else blank.end()

    def _too_long(self) -> None:
        raise UpstreamBroken(
            f"The upstream sent an event longer than {self._limit} bytes; the stream was ended."
        )


def _is_one_line(raw: bytes) -> bool:
    """Whether bytes are one event, a line `data: ...` and a blank one, as nearly all are."""
    return raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and raw.endswith(b"\n\n")


def _frame(raw: bytes) -> Frame:
    if _is_one_line(raw) and b"\r" not in raw:
        return Frame(raw, "", raw[6:-2])
    event = ""
    data: list[bytes] = []
    for line in _LINE.split(raw):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            event = value.removeprefix(b" ").decode(errors="replace")
    return Frame(raw, event, b"\n".join(data) if data else None)
