"""A request written in a dialect, and what the writing has cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Rendered(NamedTuple):
    """A request body for an upstream.

    Attributes:
        body: UTF-8 JSON.
        lost: What was converted lossily or dropped, each in stable words (`reasoning of 2 messages`, `server tool
            web_search`); empty when the dialect can say all that the client said.
    """

    body: bytes
    lost: tuple[str, ...] = ()


def each_once(lost: Iterable[str]) -> tuple[str, ...]:
    """Return what was lost in the order in which it was, each wording once."""
    return tuple(dict.fromkeys(lost))


def counted(what: str, count: int, of: str = "message") -> tuple[str, ...]:
    """Return `WHAT of N messages` as an entry of `Rendered.lost`, none for a count of 0."""
    if not count:
        return ()
    return (f"{what} of {count} {of}{'' if count == 1 else 's'}",)
