"""The header `traceparent`: who called, in a trace that began before this request.

Source: W3C Recommendation "Trace Context", section 3.2: version, trace id, parent id, flags, in lower-case hex.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
# [characters] of a header that is looked at; a later version's may be longer than 55.
MOST_CHARS = 512
NEVER = "ff"  # of versions: forbidden
SAMPLED = 1  # of the flags, the only one that version 00 knows


class Parent(NamedTuple):
    """A caller's span: its trace, itself, and whether the caller records."""

    trace_id: str
    span_id: str
    sampled: bool

    def header(self) -> str:
        """Return it as version 00 writes it."""
        return f"00-{self.trace_id}-{self.span_id}-{int(self.sampled):02x}"


def read_traceparent(value: str | None) -> Parent | None:
    """Return who called; None when nobody says, or not as the standard wants it: then the header is ignored whole.

    A later version's is read as far as version 00 goes, as the standard asks.
    """
    text = (value or "").strip(" \t")
    found = _FORM.fullmatch(text) if len(text) <= MOST_CHARS else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (
        version == NEVER
        or (version == "00" and more)
        or not (trace_id.strip("0") and span_id.strip("0"))
    ):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & SAMPLED))
