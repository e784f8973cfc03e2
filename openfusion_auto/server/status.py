"""`GET /v1/status`: what a person watches: money of the last day, and who rests. `openfusion top` shows it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from openfusion_auto import __version__
from openfusion_auto.runtime.limits import Client, spent_usd
from openfusion_auto.server.keys import CLIENT, CLOCK, ENGINE, LIMITER
from openfusion_auto.server.middleware import answer_json
from openfusion_auto.server.models import view_of
from openfusion_auto.store.base import Spend

DAY_S = 86_400.0


async def status(request: web.Request) -> web.Response:
    """Tell what was spent in the last 24 hours, and which breakers are not closed.

    A gateway key is told what it spent itself, and of the candidates that may answer it alone.
    """
    engine, client, now_s = request.app[ENGINE], request.get(CLIENT), request.app[CLOCK].wall()
    view = view_of(request)
    pool = view.pool if view is not None else engine.means.pool
    known = engine.means.live.breakers()
    rows = {c.id: known[c.id].phase for c in pool.candidates if c.id in known}
    if client is not None and client.own:
        spend = spent_by(client, request, now_s)
    else:
        since_s = now_s - DAY_S
        spend = spent_by_all(await asyncio.to_thread(engine.means.books.store.spend, since_s))
    return answer_json(
        {
            "object": "openfusion.status",
            "version": __version__,
            "dry_run": engine.dry_run,
            "candidates": len(pool.candidates),
            "breakers": {name: phase for name, phase in rows.items() if phase != "closed"},
            "spend": {"window_s": DAY_S, **spend},
        }
    )


def spent_by(client: Client, request: web.Request, now_s: float) -> dict[str, object]:
    """Return what one key spent; how many calls that were is not counted for it."""
    limiter = request.app[LIMITER]
    day, _ = spent_usd(limiter.counters.spending(limiter.scopes(client)[0].name), now_s)
    return {"usd": day, "known_usd": day, "calls": None, "unknown_calls": None}


def spent_by_all(rows: list[Spend]) -> dict[str, object]:
    """Return the sum over all candidates; `usd` is null as soon as one call's price is unknown."""
    usd, unknown = round(sum(r.usd for r in rows), 10), sum(r.unknown for r in rows)
    return {
        "usd": None if unknown else usd,
        "known_usd": usd,
        "calls": sum(r.calls for r in rows),
        "unknown_calls": unknown,
    }
