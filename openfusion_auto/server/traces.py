"""`GET /v1/traces` and `GET /v1/traces/{id}`: what was recorded, by this process and by those before it."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from aiohttp import web

from openfusion_auto.core.types import KINDS
from openfusion_auto.errors import BadRequest, NotFound
from openfusion_auto.runtime.access import owner_of
from openfusion_auto.runtime.archive import Archive
from openfusion_auto.server.keys import ARCHIVE, CLIENT, CLOCK
from openfusion_auto.server.middleware import answer_json
from openfusion_auto.server.sharing import HEARING
from openfusion_auto.store.base import TraceQuery, folded

Found = TypeVar("Found")
Look = Callable[[Archive, str, str | None], Awaitable[Found | None]]

MAX_LISTED = 200  # traces in one listing
DEFAULT_LISTED = 50
WRITTEN_S = 3.0  # [s] another worker's trace is waited for; it is written within a tenth of one, and later under load
LOOK_S = 0.1
MODES = ("single", "verify", "panel")
OUTCOMES = ("ok", "error", "cancelled", "running")


async def traces(request: web.Request) -> web.Response:
    """`GET /v1/traces`: the newest first, compact.

    `limit` says how many, `before` (the id of a trace, or seconds since 1970) where to go on; `model` (as asked for, or
    as answered), `mode`, `outcome`, `kind`, `session` (its hash) and `since` (seconds since 1970) take a part of them;
    so does `text`, what was asked or answered, of those whose words are kept (`store.texts`). A gateway key sees its
    own alone.
    """
    asked = request.query
    rows, more = await found(request, asked, limit_of(asked))
    return answer_json({"object": "list", "data": rows, "has_more": more})


async def found(
    request: web.Request, asked: Mapping[str, str], limit: int, *, at_once: bool = False
) -> tuple[list[dict[str, object]], bool]:
    """Return the traces that `asked` says, as entries of a list, and whether there are more of them.

    `at_once`: see `TraceQuery`; this process has its own newest ones in memory anyway.
    """
    query = TraceQuery(
        limit + 1,
        await before(request, asked),
        asked.get("model"),
        one_of(asked, "mode", MODES),
        one_of(asked, "outcome", OUTCOMES),
        owner(request),
        one_of(asked, "kind", KINDS),
        asked.get("session"),
        since(asked),
        words(asked),
        at_once,
    )
    rows = await request.app[ARCHIVE].listed(query)
    return rows[:limit], len(rows) > limit


async def trace(request: web.Request) -> web.Response:
    """`GET /v1/traces/{id}`: everything recorded of one request."""
    return answer_json(await awaited(request, Archive.find))


async def awaited(request: web.Request, look: Look[Found]) -> Found:
    """Return what `look` (of the archive) finds of the trace that a request names, and may see.

    Raises:
        NotFound: nobody knows it, or it is another key's.
    """
    name = request.match_info["trace"]
    clock = request.app[CLOCK]
    # Of a request that another worker answered a moment ago the trace is still on its way to the store.
    until_s = clock.now() + (WRITTEN_S if HEARING in request.app else 0.0)
    while True:
        found = await look(request.app[ARCHIVE], name, owner(request))
        if found is not None or clock.now() >= until_s:
            break
        await clock.sleep(LOOK_S)
    if found is None:
        raise NotFound("No trace with this id; the oldest ones are deleted in time.", param="id")
    return found


def owner(request: web.Request) -> str | None:
    """Return whose traces alone the client may see: a gateway key its own; None = all."""
    client = request.get(CLIENT)
    return owner_of(client.id) if client is not None and client.own else None


def limit_of(asked: Mapping[str, str]) -> int:
    """Return how many traces are wanted."""
    text = asked.get("limit", str(DEFAULT_LISTED))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_LISTED:
        raise BadRequest(f"limit must be a number from 1 to {MAX_LISTED}.", param="limit")
    return int(text)


async def before(request: web.Request, asked: Mapping[str, str]) -> tuple[float, str] | None:
    """Return the place in the order of all traces from which older ones are wanted."""
    text = asked.get("before")
    if text is None:
        return None
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if math.isfinite(at):
        return at, ""
    place = await request.app[ARCHIVE].moment(text, owner(request))
    if place is None:
        raise BadRequest(
            "before must be the id of a recorded trace, or seconds since 1970.", param="before"
        )
    return place


def since(asked: Mapping[str, str]) -> float | None:
    """Return from when on traces are wanted [s since 1970]."""
    text = asked.get("since")
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        at = float(text)
        if math.isfinite(at):
            return at
    raise BadRequest("since must be seconds since 1970.", param="since")


def words(asked: Mapping[str, str]) -> str | None:
    """Return what the words of a trace must hold."""
    text = asked.get("text")
    return folded(text) if text else None


def one_of(asked: Mapping[str, str], name: str, known: tuple[str, ...]) -> str | None:
    """Return a parameter that takes one of some words."""
    text = asked.get(name)
    if text is not None and text not in known:
        raise BadRequest(f"{name} must be one of {', '.join(known)}.", param=name)
    return text
