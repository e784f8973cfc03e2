"""From configuration to a running server: the one place where the parts are put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from aiohttp import web

from openfusion_auto.config.keyfile import path_in
from openfusion_auto.config.load import Settings
from openfusion_auto.config.schema import is_loopback
from openfusion_auto.core.limits import Limits, to_units
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.attempt import Means
from openfusion_auto.runtime.books import Books
from openfusion_auto.runtime.cache import Cache, MemoryShelf, SharedShelf, Shelf
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.exchange import Outbox
from openfusion_auto.runtime.limits import Limiter, MemoryCounters, SpendLog
from openfusion_auto.runtime.shared import SharedCounters
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.trace import TraceStore
from openfusion_auto.server.app import build_app
from openfusion_auto.server.files import allow_connections
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.keys import CLOCK, ENGINE, LIVE, ServerOptions
from openfusion_auto.server.sharing import LINK, Sharing, build_link
from openfusion_auto.server.stalled import cut_stalled
from openfusion_auto.server.upkeep import Ledger, upkeep
from openfusion_auto.store import retention
from openfusion_auto.store.base import Store
from openfusion_auto.store.files import file_in
from openfusion_auto.store.redis import Link
from openfusion_auto.store.spendfile import FILE as SPEND_FILE
from openfusion_auto.store.spendfile import SpendFile
from openfusion_auto.store.sqlite import open_store
from openfusion_auto.upstream.registry import build_upstreams

MEGABYTE = 1_000_000
# Kept traces are thousands of small values without a cycle among them: Python's own thresholds (700, 10, 10) look at
# them again and again, a tenth to a fifth of a request's processor time. The rare garbage in cycles waits a little.
COLLECT_AT = (20_000, 20, 20)
# [s] a connection may have no whole request on it, at its start (a head that never ends) or between two. Longer than
# clients keep theirs (reqwest 90 s, httpx 5 s, undici 4 s), so that they and not we close one that both believe in.
IDLE_CONNECTION_S = 120.0


def store_file(settings: Settings, *, dry_run: bool) -> Path | None:
    """Return the file that a configuration keeps things in; None when it keeps nothing."""
    return file_in(settings.state_path, dry_run=dry_run) if settings.config.store.enabled else None


def build_store(settings: Settings, *, dry_run: bool, clock: Clock) -> Store:
    """Return the store of a configuration; whoever asks for it closes it.

    Raises:
        StoreTooNew: the file is a later version's.
    """
    kept = settings.config.store
    limits = retention.Limits(int(kept.max_mb * MEGABYTE), kept.keep_days * retention.DAY_S)
    return open_store(store_file(settings, dry_run=dry_run), limits, clock.wall)


def build_engine(
    settings: Settings,
    *,
    dry_run: bool,
    clock: Clock,
    store: Store | None = None,
    outbox: Outbox | None = None,
    link: Link | None = None,
) -> Engine:
    """Return the engine of a configuration; in a dry run every upstream is the fake one and ready.

    Without a store it begins with nothing and keeps nothing. `outbox` and `link`: what others are told, and how.
    """
    config = settings.config
    books = Books(store)
    unready = {} if dry_run else dict(settings.unready)
    live = LiveState(
        clock,
        unready,
        pin_ttl_s=config.session.ttl_s,
        cache_ttl_s=config.session.cache_ttl_s,
        store=outbox or books.store,
    )
    upstreams = build_upstreams(config, settings.key, dry_run=dry_run)
    means = Means(
        settings.pool,
        upstreams,
        live,
        clock,
        settings.policy.max_calls,
        config.timeouts.total_s,
        books,
    )
    offers = {u.name: u.offers for u in config.upstreams}
    return Engine(
        means,
        settings.policy,
        TraceStore(config.server.traces_kept),
        offers,
        dry_run=dry_run,
        report_requested=config.server.report_model == "requested",
        cache=build_cache(settings, clock, link),
    )


def build_cache(settings: Settings, clock: Clock, link: Link | None = None) -> Cache | None:
    """Return what `[cache]` says; None when nothing is to be kept."""
    wanted = settings.config.cache
    if not wanted.enabled:
        return None
    shelf: Shelf = MemoryShelf(clock, ttl_s=wanted.ttl_s, most=int(wanted.max_mb * MEGABYTE))
    if link is not None:
        shelf = SharedShelf(link, shelf, ttl_s=wanted.ttl_s)
    return Cache(shelf, settings.policy, max_entry=int(wanted.max_entry_kb * 1000))


def server_options(settings: Settings) -> ServerOptions:
    """Return how the server behaves."""
    server = settings.config.server
    hosts = {h.lower() for h in server.allowed_hosts}
    if server.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        hosts.add(server.host.lower().strip("[]"))
    return ServerOptions(
        allowed_hosts=frozenset(hosts),
        max_body=int(server.max_body_mb * MEGABYTE),
        keep_alive_s=server.keep_alive_s,
        guarded=settings.config.stream.tool_calls == "guarded",
    )


def build_keyring(settings: Settings, clock: Clock, *, insecure: bool) -> Keyring:
    """Return the keys of a configuration.

    Args:
        settings: The configuration.
        clock: By which keys expire.
        insecure: Serve everybody, also beyond this machine. Both this and `server.insecure_no_keys` must say so.

    Raises:
        ConfigError: it would listen beyond this machine without a key that opens; or the file of keys is broken.
    """
    server = settings.config.server
    told_twice = insecure and server.insecure_no_keys
    exposed = not is_loopback(server.host) and not told_twice
    keyring = Keyring(path_in(settings.state_path), settings.client_keys, clock, required=exposed)
    if exposed and not keyring.opens():
        half = " Only one of --insecure-no-keys and server.insecure_no_keys is there."
        raise ConfigError(
            f"server.host = {server.host!r} is reachable from other machines: make a key (openfusion keys create "
            "NAME) or set OPENFUSION_API_KEYS, so that not everybody can spend your money, or listen on 127.0.0.1."
            + (half if insecure or server.insecure_no_keys else "")
        )
    return keyring


def build_limiter(settings: Settings, counters: MemoryCounters) -> Limiter:
    """Return what `[limits]` says."""
    wanted = settings.config.limits
    day, month, session = (
        None if usd is None else to_units(usd)
        for usd in (wanted.usd_per_day, wanted.usd_per_month, wanted.usd_per_session)
    )
    server = Limits(wanted.requests_per_minute, None, wanted.max_concurrent, day, month)
    return Limiter(counters, server, session)


def build(
    settings: Settings, *, dry_run: bool, clock: Clock | None = None, insecure: bool = False
) -> web.Application:
    """Return the application of a configuration.

    Raises:
        ConfigError: it would listen beyond this machine without asking for a key; a file of the state folder is
            broken; a newer version has written its store.
    """
    clock = clock or Clock()
    keyring = build_keyring(settings, clock, insecure=insecure)
    spend_log: SpendLog = SpendFile(settings.state_path / SPEND_FILE)
    link = build_link(settings, dry_run=dry_run)
    kept = spend_log.load()
    counters = SharedCounters(link, clock, kept) if link else MemoryCounters(clock, kept)
    store = build_store(settings, dry_run=dry_run, clock=clock)
    outbox = Outbox(store) if link else None
    engine = build_engine(
        settings, dry_run=dry_run, clock=clock, store=store, outbox=outbox, link=link
    )
    unready = engine.means.live.snapshot(None).unready
    limiter = build_limiter(settings, counters)
    app = build_app(engine, server_options(settings), clock, unready, keyring, limiter)
    app.cleanup_ctx.append(keeping)
    app.cleanup_ctx.append(upkeep(keyring, Ledger(counters, spend_log), clock))
    if link is not None and outbox is not None and isinstance(counters, SharedCounters):
        app[LINK] = link
        app.cleanup_ctx.append(Sharing(link, counters, outbox, engine.means.live, clock).context())
    return app


async def keeping(app: web.Application) -> AsyncIterator[None]:
    """While the server runs: forget what another process was told to forget. At its end: write what waits."""
    live, loop = app[ENGINE].means.live, asyncio.get_running_loop()
    store = app[ENGINE].means.books.store

    def forget(candidate: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(live.forget, candidate)

    store.on_forget(forget)
    yield
    await asyncio.to_thread(store.close)


def runner_server(runner: web.AppRunner) -> web.Server:
    """Return the server of a runner that has been set up."""
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    return runner.server


@contextlib.contextmanager
def rarer_collections() -> Iterator[None]:
    """Let the collector of cycles look as rarely as `COLLECT_AT` says while a server runs."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AT)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def serve(app: web.Application, settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return.

    Args:
        app: The application.
        settings: Address and drain time.
        announce: Called with the address once connections are accepted.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server = settings.config.server
    allow_connections()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # A client that leaves cancels its handler, and with it the calls upstream.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=server.drain_s,
        keepalive_timeout=IDLE_CONNECTION_S,
    )
    await runner.setup()
    watching = asyncio.create_task(cut_stalled(runner_server(runner), app[CLOCK]))
    try:
        site = web.TCPSite(runner, server.host, server.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {server.host}:{server.port} ({error.strerror}): "
                "is another openfusion running? Choose another port with --port"
            ) from None
        host, port = runner.addresses[0][:2]
        with rarer_collections():
            announce(f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}")
            await stop.wait()
            app[LIVE].draining = True
    finally:
        watching.cancel()
        await runner.cleanup()
