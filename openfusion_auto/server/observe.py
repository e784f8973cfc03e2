"""What is told of every answer: a count, a line in the access log; and `GET /metrics`."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from openfusion_auto.server.keys import CLOCK, METRICS, REFUSAL, TRACE
from openfusion_auto.server.metrics import CONTENT_TYPE

access = logging.getLogger("openfusion.access")

UNKNOWN = "unknown"  # a path that is none of ours: its text is the client's
GONE = 499  # nginx's status for a client that left before there was one


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer, and tell how; stands before the gate, so that refusals are told too."""
    clock, status = request.app[CLOCK], GONE
    began_s = clock.now()
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        resource = request.match_info.route.resource
        route = UNKNOWN if resource is None else resource.canonical
        request.app[METRICS].answered(route, status)
        if access.isEnabledFor(logging.INFO):
            ms = round((clock.now() - began_s) * 1000, 1)
            tell(request, {"method": request.method, "route": route, "status": status, "ms": ms})


def tell(request: web.Request, fields: dict[str, object]) -> None:
    """Write one line: words of ours and numbers, nothing that a client or an upstream wrote."""
    trace = request.get(TRACE)
    # A method may be any word.
    fields["method"] = request.method if request.method in METHODS else UNKNOWN
    if REFUSAL in request:
        fields["request_id"] = request[REFUSAL]
    if trace is not None:
        who = request.app[METRICS].candidate(trace.answered_by) if trace.answered_by else None
        fields |= {
            "trace_id": trace.id,
            "surface": trace.surface or trace.dialect,
            "outcome": trace.outcome,
            "model": who,
            "mode": trace.mode,
            "usd": trace.usd(),
        }
    said = " ".join(f"{k}={v}" for k, v in fields.items() if v is not None)
    access.info("%s", said, extra={"fields": fields})


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


async def metrics(request: web.Request) -> web.Response:
    """`GET /metrics`."""
    return web.Response(body=request.app[METRICS].text(), headers={"Content-Type": CONTENT_TYPE})
