"""Puts the page into the application. Light to import: a view and what it needs are loaded when somebody looks."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from openfusion_auto.errors import FusionError
from openfusion_auto.page.routes import ROUTES
from openfusion_auto.server.keys import PAGE, Page
from openfusion_auto.server.middleware import is_page

# No script and no style but our own files, nothing from elsewhere, in no frame. The `style` attribute is shut too.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# `same-origin`, not `no-referrer`: with the latter browsers hide the origin of our own forms too.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


RECEIPTS = "receipts"  # in the state folder; `evals.shelf.FOLDER`, which is heavy to import


def mount(app: web.Application, receipts: Path) -> None:
    """Serve the page at `/ui` of an application that is not yet running; `receipts` is their folder."""
    app[PAGE] = Page(told, receipts)
    app.on_response_prepare.append(protect)
    for route in ROUTES:
        if route.method == "GET":
            app.router.add_get(route.path, lazily(route.target))
        else:
            app.router.add_route(route.method, route.path, lazily(route.target))


def lazily(target: str) -> Handler:
    """Return the handler that is `module:function` of this package."""
    module, _, name = target.partition(":")
    found: list[Handler] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        if not found:  # in a thread: templates take 0.1 s to load, and answers are being streamed
            loaded = await asyncio.to_thread(import_module, f"{__package__}.{module}")
            found.append(getattr(loaded, name))
        return await found[0](request)

    return handle


def told(request: web.Request, error: FusionError) -> web.Response:
    """Return an error as a page; who is not let in gets the sign-in."""
    from openfusion_auto.page.signing import refused

    response = refused(request, error)
    response.headers.update(error.headers)
    return response


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Put `HEADERS` on whatever answers under `/ui`, just before it is sent: views, refusals, and what streams."""
    if is_page(request.path):
        for header, value in HEADERS.items():
            response.headers.setdefault(header, value)
