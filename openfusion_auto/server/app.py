"""The application: routes, the gate, housekeeping; and how it is built from configuration."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.log import server_logger
from aiohttp.typedefs import Handler

from openfusion_auto.runtime.access import Views
from openfusion_auto.runtime.archive import Archive
from openfusion_auto.runtime.beside import beside
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.limits import Limiter
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.server import info, models, traces
from openfusion_auto.server.embeddings import embeddings
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.keys import (
    ARCHIVE,
    CLOCK,
    CONFIG,
    ENGINE,
    KEYRING,
    LIMITER,
    LIVE,
    METRICS,
    OPTIONS,
    VIEWS,
    Live,
    Loaded,
    ServerOptions,
)
from openfusion_auto.server.me import me
from openfusion_auto.server.metrics import Look, Metrics
from openfusion_auto.server.middleware import expect, gate, without_the_request
from openfusion_auto.server.observe import metrics, observe
from openfusion_auto.server.stalled import unsent
from openfusion_auto.server.status import status
from openfusion_auto.server.surface import surface

# `/api/v1` is what OpenRouter's clients say; a base URL with /v1 too many or too few is a common slip.
ROOTS = ("/v1", "/api/v1", "/v1/v1", "")
TICK_S = 0.5  # [s] how often open streams are looked at for keep-alives


def build_app(
    engine: Engine,
    options: ServerOptions,
    clock: Clock,
    keyring: Keyring,
    limiter: Limiter,
    counted: Path | None = None,
) -> web.Application:
    """Return the application that serves `engine` to whom `keyring` lets in and as much as `limiter` gives.

    `counted`: the folder in which several workers count together.
    """
    # Before the gate stands the library's own parser; what it logs of broken HTTP quotes keys and prompts.
    server_logger.addFilter(without_the_request)
    app = web.Application(middlewares=[observe, gate], client_max_size=options.max_body)
    app[ENGINE], app[OPTIONS], app[CLOCK] = engine, options, clock
    app[LIVE], app[CONFIG] = Live(), Loaded(clock.wall())
    app[METRICS] = Metrics(look_at(engine, limiter, app[LIVE], app[CONFIG]), counted)
    engine.means.books.observers.append(app[METRICS].observe)
    app[KEYRING], app[LIMITER], app[VIEWS] = keyring, limiter, Views(engine.means.pool)
    app[ARCHIVE] = Archive(engine.traces, engine.means.books.store)
    # aiohttp answers HEAD wherever GET is served: clients probe with it.
    app.router.add_get("/", info.front)
    app.router.add_get("/health", info.alive)
    app.router.add_get("/api/hello", info.alive)
    app.router.add_get("/ready", info.ready)
    app.router.add_get("/metrics", metrics)
    for root in ROOTS:
        add_api(app.router, root)
    app.router.add_post("/debug/route", info.debug_route, expect_handler=expect)
    app.cleanup_ctx.append(housekeeping)
    app.on_cleanup.append(let_go)
    return app


def look_at(engine: Engine, limiter: Limiter, live: Live, loaded: Loaded) -> Look:
    """Return where metrics read what is a state."""
    return Look(
        pool=lambda: engine.means.pool,
        own=lambda: engine.own,
        breakers=engine.means.live.breakers,
        streams=lambda: len(live.streams),
        store=engine.means.books.store.status,
        refused=lambda: limiter.counters.refused,
        config=lambda: (loaded.at, loaded.error is None, loaded.reloads),
    )


def add_api(router: web.UrlDispatcher, root: str) -> None:
    """Serve the API under a root."""
    router.add_get(f"{root}/models", models.models)
    router.add_get(f"{root}/models/{{model:.+}}", models.model)
    router.add_get(f"{root}/keys/me", me)
    router.add_get(f"{root}/status", status)
    router.add_get(f"{root}/config", info.configured)
    router.add_get(f"{root}/traces", traces.traces)
    router.add_get(f"{root}/traces/{{trace}}", traces.trace)
    router.add_get(f"{root}/responses", info.no_websocket)
    posts: tuple[tuple[str, Handler], ...] = (
        ("/chat/completions", surface("chat")),
        ("/responses", surface("responses")),
        ("/messages", surface("messages")),
        ("/messages/count_tokens", info.count_tokens),
        ("/embeddings", embeddings),
        ("/estimate", info.estimate),
    )
    for path, handler in posts:
        router.add_post(root + path, handler, expect_handler=expect)


async def housekeeping(app: web.Application) -> AsyncIterator[None]:
    """Keep open streams alive while the server runs: one task for all of them."""
    async with beside(keep_alive(app)):
        yield


async def keep_alive(app: web.Application) -> None:
    """Send a comment on every stream that has been silent for too long; one that is waiting for panel or
    verifier gets its head this way. Who asked for progress is told what is new.
    """
    clock, live = app[CLOCK], app[LIVE]
    while True:
        await clock.sleep(TICK_S)
        quiet_s, now = app[OPTIONS].keep_alive_s, clock.now()
        for client, request in list(live.streams.items()):
            if client.watch is None and not is_silent(client, quiet_s, now):
                continue
            if unsent(request.protocol):
                continue  # it has not taken what is there yet: a sign would only wait behind it
            with contextlib.suppress(ConnectionError):
                await client.report()
                if is_silent(client, quiet_s, now):  # the report may have been a sign
                    await client.keep_alive()


def is_silent(client: ClientStream, quiet_s: float, now_s: float) -> bool:
    """Whether a stream waits for a sign of life; `quiet_s` 0: none is sent."""
    waits = client.head_sent or client.patient
    return waits and 0 < quiet_s <= now_s - client.last_s


async def let_go(app: web.Application) -> None:
    """Release every upstream's connections, and what looks for traces."""
    app[ARCHIVE].close()
    for upstream in app[ENGINE].means.upstreams.values():
        await upstream.close()
