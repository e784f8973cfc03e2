"""`/ui`: requests as they come, what they cost, and how the pool is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from openfusion_auto.core.measured import candidate_row
from openfusion_auto.core.types import Pool
from openfusion_auto.page.render import render
from openfusion_auto.page.saving import Row, add_up, whole, yardstick
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.server import traces
from openfusion_auto.server.info import view_of
from openfusion_auto.server.keys import CLOCK, ENGINE, LIVE, PAGE
from openfusion_auto.server.serving import WORKER
from openfusion_auto.store.base import Spend

SHOWN = 40  # requests in the list
SUMMED = 200  # requests that the sums are of: what comes in a second at the rate that this page is held to
DAY_S = 86_400.0
SPENT_S = 10.0  # [s] the sum of a day counts for so long: it reads the whole day's books


async def page(request: web.Request) -> web.Response:
    """`GET /ui`."""
    values = await shown(request)
    return render(request, "live.html", here="live", title="Live", **values)


async def part(request: web.Request) -> web.Response:
    """`GET /ui/live`: what of it moves, to be put in place of the older."""
    return render(request, "live_part.html", **await shown(request))


async def shown(request: web.Request) -> dict[str, Any]:
    """Return what the view shows, as values for its template."""
    found, _ = await traces.found(request, {}, SUMMED, at_once=True)
    rows = whole(found)
    pool, live = pool_of(request), request.app[ENGINE].means.live
    unready = live.snapshot(None).unready
    measure = yardstick(pool, unready)
    worker = request.app.get(WORKER)
    return {
        "rows": rows[:SHOWN],
        "sums": add_up(rows, measure),
        "measure": measure,
        "rate": rate(rows, request.app[CLOCK].wall()),
        "day": await spent(request),
        "streams": len(request.app[LIVE].streams),
        "health": health(pool, live),
        "nobody": nobody(pool, unready),
        "workers": worker.of if worker is not None else 1,
    }


def pool_of(request: web.Request) -> Pool:
    """Return the candidates that whoever asks may use."""
    view = view_of(request)
    return view.pool if view is not None else request.app[ENGINE].means.pool


def rate(rows: Sequence[Row], now_s: float) -> float | None:
    """Return how many requests came a second [1/s], by the newest of them; None when the last is long ago."""
    moments: list[float] = [row["at"] for row in rows]
    if len(moments) < 2 or now_s - moments[0] > 10:
        return None
    return len(moments) / max(1.0, now_s - moments[-1])


class Day(NamedTuple):
    """The calls of a day. `usd` is of those whose price is known, `unknown` counts the others."""

    calls: int
    failed: int
    usd: float
    unknown: int


async def spent(request: web.Request) -> Day | None:
    """Return what all calls of the last 24 hours cost; None for who sees its own traces alone."""
    if traces.owner(request) is not None:
        return None
    kept, clock = request.app[PAGE], request.app[CLOCK]
    until_s, rows = kept.spent
    if clock.now() >= until_s:
        store = request.app[ENGINE].means.books.store
        rows = await asyncio.to_thread(store.spend, clock.wall() - DAY_S)
        kept.spent = (clock.now() + SPENT_S, rows)
    return day_of(rows)


def day_of(rows: list[Spend]) -> Day:
    """Return the sum over candidates."""
    return Day(
        sum(r.calls for r in rows),
        sum(r.failed for r in rows),
        sum(r.usd for r in rows),
        sum(r.unknown for r in rows),
    )


def nobody(pool: Pool, unready: Mapping[str, str]) -> list[str]:
    """Return why no candidate at all can be called; empty when one can."""
    whys = [unready.get(c.upstream) for c in pool.candidates]
    return sorted({why for why in whys if why}) if all(whys) else []


class Health(NamedTuple):
    """How a candidate is: `state` is `good`, `warn` or `bad`, `says` why; `row` what was measured of it."""

    id: str
    state: str
    says: str
    row: Mapping[str, object]


def health(pool: Pool, live: LiveState) -> list[Health]:
    """Return how every candidate is, the worst first."""
    state = live.snapshot(None)
    found = []
    for c in pool.candidates:
        row = candidate_row(c.id, c, state.stats.get(c.id), state.breakers.get(c.id), state.now_s)
        broken = row["breaker"]
        if c.upstream in state.unready:
            found.append(Health(c.id, "bad", state.unready[c.upstream], row))
        elif isinstance(broken, Mapping) and broken["phase"] != "closed":
            found.append(Health(c.id, "warn", broken_says(broken), row))
        else:
            found.append(Health(c.id, "good", "ready", row))
    order = ("bad", "warn", "good")
    return sorted(found, key=lambda h: (order.index(h.state), h.id))


def broken_says(broken: Mapping[str, object]) -> str:
    """Return a breaker that is not closed in words."""
    failures = f"after {broken['failures']} failures in a row"
    if broken["phase"] == "half_open":
        return f"the next call is a probe, {failures}"
    return f"set aside for another {broken['open_for_s']:.0f} s, {failures}"
