"""Typed keys of what the application holds: no globals, no strings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from aiohttp import web

from openfusion_auto.errors import FusionError
from openfusion_auto.runtime.access import Views
from openfusion_auto.runtime.archive import Archive
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.limits import Client, Limiter
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.runtime.trace import Trace
from openfusion_auto.server.keyring import Keyring
from openfusion_auto.server.metrics import Metrics
from openfusion_auto.store.base import Spend


@dataclass(slots=True)
class ServerOptions:
    """How the server behaves; from configuration, and changed with it.

    Attributes:
        allowed_hosts: Names in `Host` and `Origin` that are served beside loopback ones, lower case.
        max_body: Largest request body after decompression [bytes].
        keep_alive_s: Silence on an open stream after which a comment is sent [s].
        open_metrics: Clients on this machine read `/metrics` without a key.
    """

    allowed_hosts: frozenset[str] = frozenset()
    max_body: int = 64 * 2**20
    keep_alive_s: float = 3.0
    open_metrics: bool = False

    def take(self, other: ServerOptions) -> None:
        """Behave as `other` says from now on."""
        for option in fields(self):
            setattr(self, option.name, getattr(other, option.name))


@dataclass(slots=True)
class Loaded:
    """How the configuration is that counts.

    Attributes:
        at: When it was read [s since 1970].
        error: Why a newer one is not taken; None when there is none.
        restart: Settings that have changed and count after a restart only.
        reloads: How often a newer one was taken (`ok`) or not (`error`).
    """

    at: float
    error: str | None = None
    restart: tuple[str, ...] = ()
    reloads: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Live:
    """What the running server keeps: open streams and their requests for keep-alives, and whether it is draining."""

    streams: dict[ClientStream, web.Request] = field(default_factory=dict)
    draining: bool = False


@dataclass(slots=True)
class Page:
    """The page for people.

    Attributes:
        tell: Tells an error as a page.
        receipts: The folder of the receipts that it shows.
        spent: What was spent lately, and until when that is not asked for again [s].
    """

    tell: Callable[[web.Request, FusionError], web.Response]
    receipts: Path
    spent: tuple[float, list[Spend]] = field(default_factory=lambda: (0.0, []))


ENGINE = web.AppKey("engine", Engine)
CONFIG = web.AppKey("config", Loaded)
OPTIONS = web.AppKey("options", ServerOptions)
CLOCK = web.AppKey("clock", Clock)
LIVE = web.AppKey("live", Live)
KEYRING = web.AppKey("keyring", Keyring)
LIMITER = web.AppKey("limiter", Limiter)
VIEWS = web.AppKey("views", Views)
ARCHIVE = web.AppKey("archive", Archive)
PAGE = web.AppKey("page", Page)  # not there when none is served
METRICS = web.AppKey("metrics", Metrics)
TRACE = web.RequestKey("trace", Trace)  # not there when a request is refused before it has one
REFUSAL = web.RequestKey("refusal", str)  # the id of one that is refused so
CLIENT = web.RequestKey("client", Client)  # who asks; not there when no key is asked for
