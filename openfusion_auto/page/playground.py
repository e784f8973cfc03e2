"""`/ui/playground`: a question asked by hand, through the server's own surface; what it would cost is said before.

The browser never holds a provider's key: it sends what any chat client sends, and who signed in on the page asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from openfusion_auto.core.prompt import WebTool
from openfusion_auto.core.types import Pool
from openfusion_auto.errors import BadRequest, FusionError
from openfusion_auto.page import keys, markup
from openfusion_auto.page.render import render
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.server import info, models
from openfusion_auto.server.keys import ENGINE
from openfusion_auto.server.middleware import error_response, named
from openfusion_auto.server.surface import read_body, surface
from openfusion_auto.wire.jsons import JsonError, as_object, loads
from openfusion_auto.wire.options import PRESETS
from openfusion_auto.wire.web import has_web

chat = surface("chat")
# What a request may ask for, as `field:value` of its options; the words are for people.
WAYS = (
    ("", "Auto: whatever is worth its money"),
    ("mode:single", "One model"),
    ("mode:verify", "One model, and a check"),
    ("mode:panel", "A panel"),
    *((f"preset:{name}", f"Preset {name}") for name in PRESETS),
    ("strategy:self_fusion", "One model, several times"),
    ("strategy:debate", "A debate"),
    ("strategy:cascade", "The cheapest first"),
)
# What whoever answers may do on the web.
WEB: Mapping[WebTool, str] = {"web_search": "Search the web", "web_fetch": "Read web pages"}
AGGREGATORS = (
    ("", "as usual: vote, else a judge picks"),
    ("vote", "a vote, no judge"),
    ("ranked", "a judge picks"),
    ("judge", "a judge picks and writes anew"),
)


async def page(request: web.Request) -> web.Response:
    """`GET /ui/playground`."""
    engine, view = request.app[ENGINE], models.view_of(request)
    unready = engine.means.live.snapshot(None).unready
    pool = view.pool if view else engine.means.pool
    return render(
        request,
        "playground.html",
        here="playground",
        title="Playground",
        ways=WAYS,
        aggregators=AGGREGATORS,
        candidates=[(c, unready.get(c.upstream)) for c in pool.candidates],
        models=[entry["id"] for entry in models.listing(request)],
        problems={c.id: unready[c.upstream] for c in pool.candidates if c.upstream in unready},
        texts=engine.keep_texts,
        web_tools=web_tools(engine, pool),
        lacks=keys.lacking(request),
        without=sorted(unready.items()) if view is None else [],
    )


def web_tools(engine: Engine, pool: Pool) -> Mapping[WebTool, str]:
    """Return which web tools some candidate of a pool has, with words for people."""
    ups = {
        c.upstream
        for c in pool.candidates
        if "web_search" in engine.means.offers.get(c.upstream, ())
    }
    spoken = {up.dialect for name, up in engine.means.upstreams.items() if name in ups}
    return {tool: said for tool, said in WEB.items() if any(has_web(d, (tool,)) for d in spoken)}


async def ask(request: web.Request) -> web.StreamResponse:
    """`POST /ui/playground/ask`: Chat Completions, for who has signed in on the page."""
    try:
        return await chat(request)
    except FusionError as error:  # for the script, not for a reader: JSON as everywhere
        return error_response(error, request_id=named(request))


async def estimate(request: web.Request) -> web.Response:
    """`POST /ui/playground/estimate`: as `POST /v1/estimate`."""
    try:
        return await info.estimate(request)
    except FusionError as error:
        return error_response(error, request_id=named(request))


async def markdown(request: web.Request) -> web.Response:
    """`POST /ui/playground/markdown`: the `text` of a body as safe HTML."""
    try:
        body = as_object(loads(await read_body(request))) or {}
    except JsonError:
        body = {}
    text = body.get("text")
    if not isinstance(text, str):
        raise BadRequest("Send an object with a text.", param="text")
    html = await asyncio.to_thread(markup.to_html, text)
    return web.Response(text=html, content_type="text/html", charset="utf-8")
