"""From configuration to a running server: the one place where the parts are put together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from aiohttp import web

from openfusion_auto.config.addresses import is_loopback
from openfusion_auto.config.keyfile import path_in
from openfusion_auto.config.load import Settings
from openfusion_auto.config.schema import Config
from openfusion_auto.core.checks.jsons import made_ready
from openfusion_auto.core.cost import CACHE_MIN
from openfusion_auto.core.limits import Limits, to_units
from openfusion_auto.core.recipes import recipes
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.attempt import Means
from openfusion_auto.runtime.books import Books
from openfusion_auto.runtime.cache import Cache, FileShelf, MemoryShelf, SharedShelf, Shelf
from openfusion_auto.runtime.classifier import Classifier
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.exchange import Outbox
from openfusion_auto.runtime.hedge import hedger_of
from openfusion_auto.runtime.learner import Learner
from openfusion_auto.runtime.limits import Counters, Limiter, MemoryCounters
from openfusion_auto.runtime.otel import Spans
from openfusion_auto.runtime.reader import Reader, every_turn
from openfusion_auto.runtime.shared import SharedCounters
from openfusion_auto.runtime.state import CacheRule, LiveState
from openfusion_auto.runtime.trace import TraceStore
from openfusion_auto.runtime.turns import Turns
from openfusion_auto.server.app import build_app
from openfusion_auto.server.follow import follower_of
from openfusion_auto.server.held import HELD, HeldKeys
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.keys import (
    ENGINE,
    KEYRING,
    LIMITER,
    METRICS,
    OPTIONS,
    VIEWS,
    ServerOptions,
)
from openfusion_auto.server.logs import set_up
from openfusion_auto.server.sharing import LINK, build_counters, build_link, share
from openfusion_auto.server.upkeep import upkeep
from openfusion_auto.store import retention
from openfusion_auto.store.answers import FILE, AnswerFile
from openfusion_auto.store.base import Store
from openfusion_auto.store.files import file_in
from openfusion_auto.store.redis import Link
from openfusion_auto.store.sqlite import open_store
from openfusion_auto.upstream.registry import build_upstreams
from openfusion_auto.wire.codec import CODECS

MEGABYTE = 1_000_000


def store_file(settings: Settings, *, dry_run: bool) -> Path | None:
    """Return the file that a configuration keeps things in; None when it keeps nothing."""
    return file_in(settings.state_path, dry_run=dry_run) if settings.config.store.enabled else None


def build_store(
    settings: Settings, *, dry_run: bool, clock: Clock, elsewhere: bool = False
) -> Store:
    """Return the store of a configuration; whoever asks for it closes it. `elsewhere`: see `SqliteStore`.

    Raises:
        StoreTooNew: the file is a later version's.
    """
    kept = settings.config.store
    limits = retention.Limits(int(kept.max_mb * MEGABYTE), kept.keep_days * retention.DAY_S)
    path = store_file(settings, dry_run=dry_run)
    return open_store(path, limits, clock.wall, elsewhere=elsewhere)


def build_engine(
    settings: Settings,
    *,
    dry_run: bool,
    clock: Clock,
    store: Store | None = None,
    outbox: Outbox | None = None,
    link: Link | None = None,
    counters: Counters | None = None,
) -> Engine:
    """Return the engine of a configuration; in a dry run every upstream is the fake one and ready.

    Without a store it begins with nothing and keeps nothing. `outbox` and `link`: what others are told, and how.
    `counters`: where the money of second calls is counted.
    """
    config = settings.config
    books = Books(store)
    unready = {} if dry_run else dict(settings.unready)
    live = LiveState(
        clock,
        unready,
        pin_ttl_s=config.session.ttl_s,
        cache_ttl_s=config.session.cache_ttl_s,
        caches=cache_rules(config),
        store=outbox or books.store,
    )
    upstreams = build_upstreams(config, settings.key, dry_run=dry_run)
    means = Means(
        settings.pool,
        upstreams,
        live,
        clock,
        config.timeouts.total_s,
        books,
        hedger_of(config.hedge.hedging(), counters or MemoryCounters(clock, books.store)),
        turns=Turns(counters.there if isinstance(counters, SharedCounters) else None),
    )
    traces = TraceStore(config.server.traces_kept)
    cache = build_cache(settings, clock, link, dry_run=dry_run)
    return engine_of(settings, means, traces, cache, dry_run=dry_run)


def engine_of(
    settings: Settings,
    means: Means,
    traces: TraceStore,
    cache: Cache | None,
    *,
    dry_run: bool,
    before: Reader | None = None,
) -> Engine:
    """Return the engine that answers by a configuration with certain means, and what the reader `before` knows."""
    config = settings.config
    return Engine(
        replace(
            means,
            total_s=config.timeouts.total_s,
            guarded=config.stream.tool_calls == "guarded",
            ceilings=config.max_tokens.ceilings(),
            offers={u.name: u.offers for u in config.upstreams},
            search_usd={u.name: u.search_usd for u in config.upstreams if u.search_usd is not None},
        ),
        settings.policy,
        traces,
        dry_run=dry_run,
        report_requested=config.server.report_model == "requested",
        report_answering=config.server.report_usage == "answering",
        reader=build_reader(settings, means.live, before),
        cache=cache,
        own=settings.own,
        keep_texts=config.store.texts,
    )


def build_cache(
    settings: Settings,
    clock: Clock,
    link: Link | None = None,
    before: Cache | None = None,
    *,
    dry_run: bool,
) -> Cache | None:
    """Return what `[cache]` says, with the answers of the one `before`; None when nothing is to be kept.

    A dry run keeps its made-up answers in memory alone.
    """
    wanted = settings.config.cache
    if not wanted.enabled:
        return None
    most, max_entry = int(wanted.max_mb * MEGABYTE), int(wanted.max_entry_kb * 1000)
    if before is not None:
        return before.following(
            ways_of(settings), max_entry=max_entry, ttl_s=wanted.ttl_s, most=most
        )
    shelf: Shelf = MemoryShelf(clock, ttl_s=wanted.ttl_s, most=most)
    if wanted.file and not dry_run:
        file = AnswerFile(settings.state_path / FILE, clock.wall)
        shelf = FileShelf(file, shelf, ttl_s=wanted.ttl_s, most=most)
    if link is not None:
        shelf = SharedShelf(link, shelf, ttl_s=wanted.ttl_s)
    return Cache(shelf, ways_of(settings), max_entry=max_entry)


def ways_of(settings: Settings) -> tuple[object, ...]:
    """Return how a configuration reads, decides and calls: what was answered by another is not given again."""
    config, known = settings.config, settings.experience
    parts = (*config.upstreams, *config.rules, *config.models)
    said = [part.model_dump(mode="json") for part in parts]
    experience = known.digest() if known is not None else None
    return settings.policy, said, config.classifier.model_dump(mode="json"), experience


def build_reader(settings: Settings, live: LiveState, before: Reader | None = None) -> Reader:
    """Return how requests are read, as the configuration says; what the reader `before` remembers stays remembered."""
    asked, named, learn = settings.config.classifier, settings.classifier, settings.config.learn
    old = before or Reader()
    classifier = learner = None
    if named:
        ask = old.classifier.following if old.classifier else Classifier
        classifier = ask(named, timeout_s=asked.timeout_s, max_chars=asked.max_chars)
    if learn.enabled:
        watch = old.learner.following if old.learner else partial(Learner, live)
        learner = watch(half_life_days=learn.half_life_days, max_lift=learn.max_lift)
    return Reader(settings.rules, every_turn(asked.mode), classifier, settings.experience, learner)


def cache_rules(config: Config) -> dict[str, CacheRule]:
    """Return how upstreams cache prompts, of those that the configuration says something about."""
    usual_s = config.session.cache_ttl_s
    return {
        u.name: CacheRule(
            usual_s if u.cache_ttl_s is None else u.cache_ttl_s,
            CACHE_MIN if u.cache_min_tokens is None else u.cache_min_tokens,
        )
        for u in config.upstreams
        if u.cache_ttl_s is not None or u.cache_min_tokens is not None
    }


def server_options(settings: Settings, host: str) -> ServerOptions:
    """Return how the server behaves that listens on `host`."""
    server = settings.config.server
    hosts = {h.lower() for h in server.allowed_hosts}
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        hosts.add(host.lower().strip("[]"))
    return ServerOptions(
        allowed_hosts=frozenset(hosts),
        max_body=int(server.max_body_mb * MEGABYTE),
        keep_alive_s=server.keep_alive_s,
        open_metrics=settings.config.metrics.open_on_loopback,
    )


def build_keyring(
    settings: Settings, clock: Clock, *, insecure: bool, secret: bytes | None = None
) -> Keyring:
    """Return the keys of a configuration.

    Args:
        settings: The configuration.
        clock: By which keys expire.
        insecure: Serve everybody, also beyond this machine. Both this and `server.insecure_no_keys` must say so.
        secret: What passes for the page are sealed with; None = a fresh one.

    Raises:
        ConfigError: it would listen beyond this machine without a key that opens; or the file of keys is broken.
    """
    server = settings.config.server
    told_twice = insecure and server.insecure_no_keys
    exposed = not is_loopback(server.host) and not told_twice
    path = path_in(settings.state_path)
    keyring = Keyring(path, settings.client_keys, clock, required=exposed, secret=secret)
    if exposed and not keyring.opens():
        half = " Only one of --insecure-no-keys and server.insecure_no_keys is there."
        raise ConfigError(
            f"server.host = {server.host!r} is reachable from other machines: make a key (openfusion keys create "
            "NAME) or set OPENFUSION_API_KEYS, so that not everybody can spend your money, or listen on 127.0.0.1."
            + (half if insecure or server.insecure_no_keys else "")
        )
    return keyring


def limits_of(settings: Settings) -> tuple[Limits, int | None]:
    """Return what `[limits]` says of all clients together, and of a session [units]."""
    wanted = settings.config.limits
    day, month, session = (
        None if usd is None else to_units(usd)
        for usd in (wanted.usd_per_day, wanted.usd_per_month, wanted.usd_per_session)
    )
    return Limits(wanted.requests_per_minute, None, wanted.max_concurrent, day, month), session


def build(
    settings: Settings,
    *,
    dry_run: bool,
    clock: Clock | None = None,
    insecure: bool = False,
    read: Callable[[], Settings] | None = None,
    workers: int = 1,
    metrics: Path | None = None,
    secret: bytes | None = None,
) -> web.Application:
    """Return the application of a configuration; with `read`, which reads it anew, it follows its files.

    As one of several `workers` it waits for what the others know, counts in the folder `metrics`, and takes the passes
    that any of them gave (`secret`).

    Raises:
        ConfigError: it would listen beyond this machine without asking for a key; a file of the state folder is
            broken; there are budgets and the store cannot be used; a newer version has written it.
    """
    clock = clock or Clock()
    keyring = build_keyring(settings, clock, insecure=insecure, secret=secret)
    link = build_link(settings, dry_run=dry_run)
    store = build_store(settings, dry_run=dry_run, clock=clock, elsewhere=link is not None)
    counters = build_counters(link, store, clock, worker=workers > 1)
    limiter = Limiter(counters, *limits_of(settings))
    problem = store.status().problem
    if problem and (limiter.has_budget or keyring.has_budget):
        raise ConfigError(
            f"{problem}, and budgets must not begin anew in silence: make it usable, set OPENFUSION_STATE_DIR, or "
            "start with --no-store, where every start begins with nothing spent"
        )
    outbox = Outbox(store) if link else None
    engine = build_engine(
        settings,
        dry_run=dry_run,
        clock=clock,
        store=store,
        outbox=outbox,
        link=link,
        counters=counters,
    )
    host = settings.config.server.host
    app = build_app(engine, server_options(settings, host), clock, keyring, limiter, metrics)
    share(app, counters, link, outbox, workers=workers)
    if settings.config.otel.enabled:
        app.on_cleanup.append(spanning(engine))
    if read is not None:
        if workers == 1:
            app[HELD] = HeldKeys()
            read = app[HELD].after(read)
        follower_of(app, settings, read, partial(take, app, host), clock)
    app.cleanup_ctx.append(partial(warming, engine.means.guarded))
    app.cleanup_ctx.append(upkeep(keyring, clock, app[METRICS].together))
    return app


async def warming(guarded: bool, _app: web.Application) -> AsyncIterator[None]:
    """Load what requests will need, beside all else: it takes 0.3 s, and a first request would wait for it.

    What is loaded late may be another version's by then (an upgrade beside the running server), or not be found.
    """

    def load() -> None:
        for dialect in CODECS:
            CODECS[dialect]
        recipes()
        if guarded:
            made_ready("{}")

    task = asyncio.create_task(asyncio.to_thread(load))
    yield
    with contextlib.suppress(OSError, ImportError):  # then whoever needs it says so
        await task


def spanning(engine: Engine) -> Callable[[web.Application], Awaitable[None]]:
    """Let spans be made of what an engine finishes; returns what sends the last of them.

    Raises:
        ConfigError: the extra `otel` is not installed.
    """
    spans = Spans()
    engine.means.books.observers.append(spans.observe)

    async def close(_app: web.Application) -> None:
        await asyncio.to_thread(spans.close)

    return close


async def take(app: web.Application, host: str, old: Settings, new: Settings) -> None:
    """Serve new requests by other settings. Live state, traces, accounts, kept answers and
    whether it is a dry run stay.

    Upstreams that are the same go on with their connections; of the others idle ones are closed, and those in use when
    their requests end.
    """
    engine, config = app[ENGINE], new.config
    before = engine.means
    upstreams = build_upstreams(config, new.key, dry_run=engine.dry_run)
    same = {n for n in upstreams if n in before.upstreams and calls_alike(old, new, n)}
    upstreams |= {name: before.upstreams[name] for name in same}
    app[KEYRING].take(new.client_keys)
    hedger = hedger_of(config.hedge.hedging(), app[LIMITER].counters, before.hedger)
    means = replace(before, pool=new.pool, upstreams=upstreams, hedger=hedger)
    before.live.configure(
        {} if engine.dry_run else new.unready,
        pin_ttl_s=config.session.ttl_s,
        cache_ttl_s=config.session.cache_ttl_s,
        caches=cache_rules(config),
    )
    reader, dry_run = engine.reader, engine.dry_run
    cache = build_cache(new, means.clock, app.get(LINK), engine.cache, dry_run=dry_run)
    engine.take(engine_of(new, means, engine.traces, cache, dry_run=dry_run, before=reader))
    app[OPTIONS].take(server_options(new, host))
    app[VIEWS].take(new.pool)
    app[LIMITER].server, app[LIMITER].session = limits_of(new)
    if old.config.log != config.log:
        set_up(config.log)
    for name, upstream in before.upstreams.items():
        if name not in same:
            await upstream.close()


def calls_alike(old: Settings, new: Settings, name: str) -> bool:
    """Whether two settings call an upstream in the same way."""
    ways = [
        (next(u for u in s.config.upstreams if u.name == name), s.key(name), s.config.timeouts)
        for s in (old, new)
    ]
    return ways[0] == ways[1]
