"""`/ui`: requests as they come, what they cost, and how the pool is."""

from __future__ import annotations

from aiohttp import web

from openfusion_auto.page.render import render


async def page(request: web.Request) -> web.Response:
    """`GET /ui`."""
    return render(request, "live.html", here="live", title="Live")
