"""`/ui/playground/key`: a key for an upstream that lacks one, given once to the server's memory. It never comes back.

Only where `page.take_keys` says so, and only on this machine itself: what comes through a proxy is refused, however
near it stands. `middleware.check_origin` has seen to it that the page's own form is what asks.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, web

from openfusion_auto.config.addresses import is_loopback
from openfusion_auto.errors import BadRequest, Forbidden, Overloaded
from openfusion_auto.page.signing import FORM_BYTES
from openfusion_auto.server.follow import FOLLOWER, Follower
from openfusion_auto.server.held import HELD, HeldKeys, Lack
from openfusion_auto.server.keys import CONFIG, ENGINE, Loaded
from openfusion_auto.server.middleware import LOOPBACK, host_name
from openfusion_auto.server.surface import read_body
from openfusion_auto.server.traces import owner

HERE = "/ui/playground#keys"
ELSEWHERE = "Set keys where the server starts, or give them to openfusion chat: that counts within a second."
PROXIED = ("forwarded", "x-forwarded-", "x-real-ip", "via", "cf-")  # how their names begin


async def give(request: web.Request) -> web.Response:
    """`POST /ui/playground/key`: a form of `upstream` and `key`; an empty key is forgotten.

    Raises:
        Forbidden: no keys are taken, or not from there.
        BadRequest: it is no key, or nothing lacks it.
        Overloaded: the configuration cannot be read now, so that nothing changes.
    """
    held, follower = taker(request)
    raw = await read_body(request, FORM_BYTES)
    said = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    rows = {row.upstream: row for row in held.lacks(follower.settings)}
    lack = rows.get(said.get("upstream", ""))
    if lack is None or lack.why_not is not None:
        raise BadRequest(lack.why_not if lack and lack.why_not else "No upstream lacks this key.")
    # To its end even where who asks does not wait: a reading that is cut off would be half taken.
    await asyncio.shield(
        take(held, follower, request.app[CONFIG], lack, said.get("key", "").strip())
    )
    return web.Response(status=303, headers={"Location": HERE})


async def take(held: HeldKeys, follower: Follower, loaded: Loaded, lack: Lack, key: str) -> None:
    """Hold a key and let it count; raises as `give`."""
    try:
        before = held.hold(lack, key)
    except ValueError as error:
        raise BadRequest(str(error), param="key") from None
    follower.ask()
    await follower.tick()
    if loaded.error is not None:
        held.hold(lack, before)
        raise Overloaded("The configuration cannot be read now, so nothing changes.")


def lacking(request: web.Request) -> list[Lack] | str:
    """Return which upstreams lack a key that the page would take; why, when it takes none from who asks."""
    try:
        held, follower = taker(request)
    except Forbidden as error:
        return error.message
    return held.lacks(follower.settings)


def taker(request: web.Request) -> tuple[HeldKeys, Follower]:
    """Return what takes keys.

    Raises:
        Forbidden: none are taken, or not from who asks.
    """
    app = request.app
    if FOLLOWER not in app or not app[FOLLOWER].settings.config.page.take_keys:
        raise Forbidden(f"No keys are taken here: page.take_keys is not set. {ELSEWHERE}")
    if HELD not in app:
        raise Forbidden(
            f"Several workers serve, and a key given here would reach one of them alone. {ELSEWHERE}"
        )
    near = is_loopback(request.remote or "") and host_name(request.headers["Host"]) in LOOPBACK
    if not near or is_proxied(request):
        raise Forbidden("Keys are taken on the server's own machine alone.")
    if owner(request) is not None:
        raise Forbidden("Keys of upstreams are the operator's.")
    if app[ENGINE].dry_run:
        raise Forbidden("A dry run calls nobody: it needs no keys.")
    return app[HELD], app[FOLLOWER]


def is_proxied(request: web.Request) -> bool:
    """Whether a proxy says that it is one. No browser speaks HTTP/1.0; nginx does when nobody told it anything."""
    told = any(name.lower().startswith(PROXIED) for name in request.headers)
    return told or request.version < HttpVersion11
