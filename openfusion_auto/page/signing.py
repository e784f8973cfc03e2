"""Signing in with a gateway key, and errors as pages. The browser keeps a cookie that no script reads, and no key."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from openfusion_auto.errors import FusionError, NotAuthorized, NotFound
from openfusion_auto.page.render import render
from openfusion_auto.server.keyring import PASS_S
from openfusion_auto.server.keys import KEYRING
from openfusion_auto.server.middleware import cookie_of
from openfusion_auto.server.surface import read_body

HOME = "/ui"
FORM_BYTES = 16 * 1024  # of the sign-in: who sends it has shown no key yet


async def page(request: web.Request) -> web.Response:
    """`GET /ui/sign-in`: the form; nothing to sign in to where no key is asked for."""
    if not request.app[KEYRING].required:
        return onward_to(HOME)
    return form(request, HOME)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """`POST /ui/sign-in`: a pass for a key, as a cookie, and on to where one wanted to go."""
    raw = await read_body(request, FORM_BYTES)
    said = dict(parse_qsl(raw.decode("utf-8", "replace")))
    key, onward = said.get("key", "").strip(), said.get("next", HOME)
    onward = onward if is_own(onward) else HOME
    keyring = request.app[KEYRING]
    if not keyring.required:
        return onward_to(onward)
    try:
        given = keyring.pass_for(key)
    except NotAuthorized as error:
        return form(request, onward, error.message if key else "A key is needed.")
    response = onward_to(onward)
    response.set_cookie(
        cookie_of(request),
        given,
        path="/ui",
        max_age=PASS_S,
        httponly=True,
        samesite="Strict",
        secure=over_tls(request),
    )
    return response


def over_tls(request: web.Request) -> bool:
    """Whether the browser speaks TLS, to this server or to a proxy before it: its form's own origin says so."""
    return request.secure or request.headers.get("Origin", "").startswith("https://")


async def sign_out(request: web.Request) -> web.Response:
    """`POST /ui/sign-out`: the cookie goes."""
    response = onward_to("/ui/sign-in")
    response.del_cookie(cookie_of(request), path="/ui", httponly=True, samesite="Strict")
    return response


def onward_to(path: str) -> web.Response:
    """Return what leads to another address of the page."""
    return web.Response(status=303, headers={"Location": path})


async def nothing(_request: web.Request) -> web.Response:
    """Any other address under `/ui`."""
    raise NotFound("There is no such view.")


def is_own(path: str) -> bool:
    """Whether a path is one of the page's, as the page itself writes it: nothing that leads elsewhere."""
    return path == HOME or (
        path.startswith(("/ui/", "/ui?")) and path.isascii() and path.isprintable()
    )


def form(request: web.Request, onward: str, problem: str = "") -> web.Response:
    """Return the sign-in form; with a `problem` it is a refusal."""
    status = 401 if problem else 200
    return render(
        request, "sign_in.html", status=status, title="Sign in", onward=onward, problem=problem
    )


def refused(request: web.Request, error: FusionError) -> web.Response:
    """Return an error as a page: the form when a key is missing."""
    if isinstance(error, NotAuthorized):
        onward = str(request.rel_url) if request.method == "GET" else HOME
        response = form(request, onward if is_own(onward) else HOME)
        response.set_status(401)
        return response
    return render(request, "error.html", status=error.status, title="Error", problem=error.message)
