"""How the server's log is written: lines for people, or JSON; one record a line, and no text of an exception.

What an exception says may quote a prompt, a key or an upstream's page. Its kind and the places in the code tell a
developer what to look for.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType

from openfusion_auto.config.schema import LogSection

log = logging.getLogger("openfusion.server")

AGAIN_S = 60.0  # [s] before the same is said again
SAID_KEPT = 100  # different ones that are remembered
SAID_LENGTH = 300  # characters
ACCESS = "openfusion.access"
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def where(info: ExcInfo) -> str:
    """Return the kind of an exception and the places it came through, innermost last."""
    kind, _, trace = info
    places = [f"{f.filename}:{f.lineno} in {f.name}" for f in traceback.extract_tb(trace)]
    return " <- ".join([kind.__name__ if kind else "?", *reversed(places)])


class JsonLines(logging.Formatter):
    """One JSON object a record: time, level, logger, message; `fields` of the record beside them."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        shown: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        # The fields are the message: twice would only be longer.
        shown |= fields if isinstance(fields, dict) else {"message": record.getMessage()}
        if record.exc_info:
            shown["exception"] = where(record.exc_info)
        return json.dumps(shown)


class TextLines(logging.Formatter):
    """One line a record, for people; what would end the line or move the cursor is escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the library's name
        """Return an exception without what it says."""
        return where(ei)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        record.exc_text = None  # another handler's rendering, with the text
        line = super().format(record).replace("\n", " ")
        if line.isprintable():
            return line
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def set_up(section: LogSection) -> None:
    """Write the log as `[log]` says, to stderr."""
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h.formatter, JsonLines | TextLines)]:
        root.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if section.format == "json" else TextLines())
    root.addHandler(handler)
    root.setLevel(section.level.upper())
    logging.getLogger(ACCESS).setLevel(logging.NOTSET if section.access else logging.CRITICAL)


class Unhandled:
    """Says that something failed which nobody waits for; asyncio itself would quote the exception.

    The same is said once a minute: where open files end, asyncio tells of a thousand connections a second (Python 3.11
    goes on accepting as often as its backlog is long).

    Args:
        now: Returns the loop's time [s].
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._said: dict[str, float] = {}

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """Take what a loop tells."""
        error = context.get("exception")
        kind = type(error).__name__ if error is not None else "no exception"
        said = f"{str(context.get('message'))[:SAID_LENGTH]} ({kind})"
        now_s = self._now()
        if now_s - self._said.get(said, -AGAIN_S) < AGAIN_S:
            return
        if len(self._said) >= SAID_KEPT:
            self._said.clear()
        self._said[said] = now_s
        log.error("%s", said)
