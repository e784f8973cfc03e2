"""Every address of the page, and who answers it. A view joins with one line here.

A view is `async def view(request) -> web.StreamResponse` in a module of this package, named `module:function`. Its
module is imported when it is first asked for, so that a server at which nobody looks pays nothing for the page.
"""

from __future__ import annotations

from typing import NamedTuple


class Route(NamedTuple):
    """One address: `target` is `module:function` in this package."""

    method: str
    path: str
    target: str


ROUTES = (
    Route("GET", "/ui", "live:page"),
    Route("GET", "/ui/", "live:page"),
    Route("GET", "/ui/live", "live:part"),
    Route("GET", "/ui/traces", "traces:page"),
    Route("GET", "/ui/pool", "pool:page"),
    Route("GET", "/ui/receipts", "receipts:page"),
    Route("GET", "/ui/receipts/diff", "receipts:diff"),
    Route("GET", "/ui/receipts/{number}", "receipts:one"),
    Route("GET", "/ui/sign-in", "signing:page"),
    Route("POST", "/ui/sign-in", "signing:sign_in"),
    Route("POST", "/ui/sign-out", "signing:sign_out"),
    Route("GET", "/ui/static/{name}", "files:static"),
    Route("GET", "/ui/playground", "playground:page"),
    Route("POST", "/ui/playground/estimate", "playground:estimate"),
    Route("POST", "/ui/playground/ask", "playground:ask"),
    Route("POST", "/ui/playground/key", "keys:give"),
    Route("POST", "/ui/playground/markdown", "playground:markdown"),
    Route("GET", "/ui/traces/{trace}", "trace:page"),
    Route("GET", "/ui/traces/{trace}/what-if", "trace:what_if"),
    Route("GET", "/ui/{rest:.*}", "signing:nothing"),  # the last: whatever no view has
)
NAVIGATION = (
    ("live", "Live", "/ui"),
    ("traces", "Traces", "/ui/traces"),
    ("playground", "Playground", "/ui/playground"),
    ("pool", "Pool", "/ui/pool"),
    ("receipts", "Receipts", "/ui/receipts"),
)
