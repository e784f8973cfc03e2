"""`/ui/traces`: what was recorded, page by page, and parts of it."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from openfusion_auto.core.types import KINDS
from openfusion_auto.errors import BadRequest
from openfusion_auto.page.live import pool_of
from openfusion_auto.page.render import render
from openfusion_auto.page.saving import whole, yardstick
from openfusion_auto.server import traces
from openfusion_auto.server.keys import CLOCK, ENGINE

PAGE_ROWS = 50
# Seconds -> words. A moment would be out of date as soon as the address is kept.
SPANS = {"3600": "last hour", "86400": "last 24 hours", "604800": "last 7 days"}
CHOICES = {"mode": traces.MODES, "kind": KINDS, "outcome": traces.OUTCOMES}
FILTERS = ("model", "mode", "kind", "outcome", "session", "within")


async def page(request: web.Request) -> web.Response:
    """`GET /ui/traces`: `within` (seconds) and what `GET /v1/traces` takes; a field that is empty asks for nothing."""
    asked = {name: text for name, text in request.query.items() if text}
    wanted = {name: asked[name] for name in FILTERS if name in asked}
    if "within" in wanted:
        asked["since"] = since_of(wanted["within"], request.app[CLOCK].wall())
    rows, more = await traces.found(request, asked, PAGE_ROWS)
    pool = pool_of(request)
    older = {**wanted, "before": str(rows[-1]["trace_id"])} if more else None
    return render(
        request,
        "traces.html",
        here="traces",
        title="Traces",
        rows=whole(rows),
        measure=yardstick(pool, request.app[ENGINE].means.live.snapshot(None).unready),
        wanted=dict.fromkeys(FILTERS, "") | wanted,
        filtered=bool(wanted),
        later="before" in asked,
        newest=f"?{urlencode(wanted)}",
        older=f"?{urlencode(older)}" if older else None,
        models=[c.id for c in pool.candidates],
        choices={name: [(w, w) for w in words] for name, words in CHOICES.items()},
        spans=SPANS,
    )


def since_of(within: str, now_s: float) -> str:
    """Return the moment from which on traces are wanted, as `GET /v1/traces` takes it."""
    if within not in SPANS:
        raise BadRequest(f"within must be one of {', '.join(SPANS)}.", param="within")
    return str(now_s - float(within))
