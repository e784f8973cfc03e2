"""What the server says about itself: health, routes, what decides."""

from __future__ import annotations

import os
from dataclasses import asdict, replace

from aiohttp import web

from openfusion_auto import __version__
from openfusion_auto.core.estimate import estimate_json
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.own import OwnModel
from openfusion_auto.core.prompt import Dialect, FanOut
from openfusion_auto.core.strategy import mode_of
from openfusion_auto.core.types import Candidate, Policy
from openfusion_auto.errors import BadRequest
from openfusion_auto.runtime.judging import Judged, raise_if_empty
from openfusion_auto.server.keys import CLIENT, CONFIG, ENGINE, LIMITER, LIVE, PAGE
from openfusion_auto.server.middleware import answer_json
from openfusion_auto.server.models import candidate_info, view_of
from openfusion_auto.server.serving import WORKER
from openfusion_auto.server.sharing import HEARING, LINK
from openfusion_auto.server.surface import read_body, understood
from openfusion_auto.wire.jsons import JsonError, as_object, loads


async def alive(request: web.Request) -> web.Response:
    """`GET /health`: the process answers. `store` says whether what it learns is kept, and what is wrong if not;
    `config` since when its configuration counts, and why a newer one does not; `redis` whether limits and sessions are
    shared with other processes, and why not; `worker` which of several processes this is; `page` where people look.
    """
    kept, loaded = request.app[ENGINE].means.books.store.status(), request.app[CONFIG]
    config = {"loaded_at": loaded.at, "error": loaded.error, "restart": loaded.restart}
    said = {"ok": True, "name": "openfusion_auto", "store": kept._asdict(), "config": config}
    if PAGE in request.app:
        said["page"] = "/ui"
    link = request.app.get(LINK)
    if link is not None:
        said["redis"] = link.status()._asdict()
    worker = request.app.get(WORKER)
    if worker is not None:
        said["worker"] = {"number": worker.number, "of": worker.of, "pid": os.getpid()}
    return answer_json(said)


async def front(request: web.Request) -> web.Response:
    """`GET /`: leads a browser to the page, where one is served; tells everybody else what `GET /health` does."""
    if PAGE in request.app and "text/html" in request.headers.get("Accept", ""):
        return web.Response(status=303, headers={"Location": "/ui", "Vary": "Accept"})
    return await alive(request)


async def ready(request: web.Request) -> web.Response:
    """`GET /ready`: at least one candidate's upstream can be called, and the server is not draining."""
    means = request.app[ENGINE].means
    unready, pool = means.live.snapshot(None).unready, means.pool
    usable = sum(1 for c in pool.candidates if c.upstream not in unready)
    good = usable > 0 and not request.app[LIVE].draining
    body = {
        "ready": good,
        "candidates": len(pool.candidates),
        "usable": usable,
        "unready": dict(unready),
        "dry_run": request.app[ENGINE].dry_run,
    }
    return answer_json(body, 200 if good else 503)


async def debug_route(request: web.Request) -> web.Response:
    """`POST /debug/route`: the decision for exactly this request; nothing is called, no pin changes."""
    judged = await looked_at(request)
    return answer_json({"object": "openfusion.route", "decision": decision_json(judged.decision)})


async def estimate(request: web.Request) -> web.Response:
    """`POST /v1/estimate`: what exactly this request would cost; refused as the request itself would be."""
    judged, engine = await looked_at(request), request.app[ENGINE]
    raise_if_empty(judged)
    return answer_json(
        estimate_json(
            judged.decision,
            judged.pool,
            judged.policy,
            left_usd=judged.left_usd,
            dry_run=engine.dry_run,
        )
    )


async def looked_at(request: web.Request) -> Judged:
    """Return the decision for a request with what its budgets leave now; nothing is taken and nobody called."""
    raw = await read_body(request)
    asked = understood(request, raw, spoken(request, raw))
    if HEARING in request.app:
        await request.app[HEARING].of(asked)
    allowance = request.app[LIMITER].allowance(request.get(CLIENT))
    return request.app[ENGINE].judge(replace(asked, allowance=allowance))


async def configured(request: web.Request) -> web.Response:
    """`GET /v1/config`: what decides now, without secrets: the pool with its sources, policy, upstreams."""
    engine, loaded = request.app[ENGINE], request.app[CONFIG]
    view = view_of(request)
    pool = view.pool if view else engine.means.pool
    unready = engine.means.live.snapshot(None).unready
    names = sorted({c.upstream for c in pool.candidates})
    return answer_json(
        {
            "object": "openfusion.config",
            "version": __version__,
            "loaded_at": loaded.at,
            "dry_run": engine.dry_run,
            "policy": policy_json(engine.policy),
            "models": [
                own_json(m) for m in engine.own.values() if view is None or m.name in view.names
            ],
            "upstreams": [
                {
                    "name": n,
                    "dialect": engine.means.upstreams[n].dialect
                    if n in engine.means.upstreams
                    else None,
                    "ready": n not in unready,
                    "why_not": unready.get(n),
                }
                for n in names
            ],
            "pool": {
                "digest": pool.digest,
                "candidates": [
                    {
                        "id": c.id,
                        "upstream": c.upstream,
                        **candidate_info(c, None),
                        "benchmarks": benchmarks(c),
                    }
                    for c in pool.candidates
                ],
            },
        }
    )


def benchmarks(c: Candidate) -> list[dict[str, object]]:
    """Return a candidate's published scores with their sources."""
    return [asdict(b) for b in c.benchmarks]


def own_json(model: OwnModel) -> dict[str, object]:
    """Return a model of the operator's own, as `[[models]]` says it."""
    asks = model.options
    fan = asks.fan or FanOut(model.name)
    return {
        "name": model.name,
        "description": model.says,
        "candidates": list(asks.panel),
        "weights": {e.name: e.weight for e in asks.each},
        "mode": mode_of(asks.strategy) if asks.strategy != "panel" else asks.mode,
        "strategy": asks.strategy,
        "aggregator": asks.aggregator,
        "fanout": fan.count,
        "judge": asks.judge,
        "synthesis": fan.synthesis,
        "fallback": fan.fallback,
        "analysis": asks.analysis,
        "tools": list(asks.tools),
        "cost_quality": asks.cost_quality,
        "max_usd": asks.max_usd,
        "max_calls": asks.max_calls,
    }


def policy_json(policy: Policy) -> dict[str, object]:
    """Return the operator's settings that decisions depend on."""
    return {
        "mode": policy.mode,
        "cost_quality": policy.cost_quality,
        "max_usd": policy.max_usd,
        "max_calls": policy.max_calls,
        "fallbacks": policy.fallbacks,
        "panel_size": policy.panel_size,
    }


def spoken(request: web.Request, raw: bytes) -> Dialect:
    """Return the dialect a body is in: Responses has an `input`, Messages a version header or a top-level `system`."""
    if "anthropic-version" in request.headers:
        return "messages"
    try:
        body = as_object(loads(raw)) or {}
    except JsonError:
        return "chat"  # its parser says what is wrong
    if "input" in body and "messages" not in body:
        return "responses"
    return "messages" if "system" in body else "chat"


async def count_tokens(request: web.Request) -> web.Response:
    """`POST /v1/messages/count_tokens`: an estimate of the input, tools and pictures included; calls nobody."""
    from openfusion_auto.wire.count_tokens import count_tokens as count
    from openfusion_auto.wire.count_tokens import render_count
    from openfusion_auto.wire.messages import parse_count_request

    prompt = parse_count_request(await read_body(request))
    return web.Response(body=render_count(count(prompt)), content_type="application/json")


async def no_websocket(_request: web.Request) -> web.Response:
    """`GET /v1/responses`: there is no WebSocket here; Codex goes on over POST when told so by 426."""
    raise BadRequest(
        "Responses are not served over WebSocket; send a POST.",
        code="upgrade_required",
        status=426,
    )
