"""`GET /v1/keys/me`: what the key that asks may still do."""

from __future__ import annotations

from aiohttp import web

from openfusion_auto.core.limits import NO_LIMITS, Limits, to_usd
from openfusion_auto.runtime.limits import SERVER, Client, Limiter, Scope, spent_usd
from openfusion_auto.server.keys import CLIENT, CLOCK, LIMITER
from openfusion_auto.server.middleware import answer_json


async def me(request: web.Request) -> web.Response:
    """Tell it; nothing is counted for asking. Without keys it is what everybody together may do."""
    told = standing(request.get(CLIENT), request.app[LIMITER], request.app[CLOCK].wall())
    return answer_json(told)


def standing(client: Client | None, limiter: Limiter, now_s: float) -> dict[str, object]:
    """Return limits, use and rest of who asks; None where there is no limit. Money in USD, a day is 24 hours.

    Without a key and without limits of the server nobody counts: what is used is None too (the ledger knows it).
    """
    scopes = limiter.scopes(client)
    own = scopes[0] if client is not None else Scope(SERVER, limiter.server, "this server")
    spending = limiter.counters.spending(own.name)
    counted = client is not None or limiter.server != NO_LIMITS
    day, month = spent_usd(spending, now_s)
    left = limiter.counters.left(scopes)
    requests, tokens = limiter.counters.rooms(scopes)
    return {
        "object": "openfusion.key",
        "name": client.name if client else None,
        "models": list(client.models) if client and client.models else None,
        "expires": client.expires if client else None,
        "limits": limits_json(own.limits),
        "server_limits": limits_json(limiter.server) if limiter.server != NO_LIMITS else None,
        "used": {
            "requests": spending.requests if counted else None,
            "usd_today": day if counted else None,
            "usd_month": month if counted else None,
        },
        "left": {
            "usd": None if left is None else to_usd(left[1]),
            "requests": requests.left if requests else None,
            "tokens": tokens.left if tokens else None,
        },
    }


def limits_json(limits: Limits) -> dict[str, object]:
    """Return limits as JSON; None = no limit."""
    day, month = limits.per_day, limits.per_month
    return {
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "concurrent": limits.concurrent,
        "usd_per_day": None if day is None else to_usd(day),
        "usd_per_month": None if month is None else to_usd(month),
    }
