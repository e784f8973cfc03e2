"""What a shell may complete: names of models, clients, traces and receipts. Whatever goes wrong, nothing is offered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings

Found = Callable[[click.Context], Iterable[str]]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
WAIT_S = 1.0  # [s] for a server on this machine: who presses a key does not wait longer
LISTED = 50  # traces that are offered


def completing(find: Found) -> Complete:
    """Return what click asks: of the names that `find` knows those that begin as was typed."""

    @wraps(find)
    def complete(
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG001 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        try:
            return [CompletionItem(name) for name in find(ctx) if name.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a broken file or a silent server must not write into the person's line
            return []

    return complete


def settings_of(ctx: click.Context) -> Settings:
    """Return the settings that the command line so far means."""
    from openfusion_auto.cli.common import load_settings

    return load_settings(ctx.params.get("config"))


@completing
def models(ctx: click.Context) -> Iterable[str]:
    """Return what may be asked for."""
    from openfusion_auto.runtime.names import known_names

    settings = settings_of(ctx)
    return known_names(settings.pool, settings.own)


@completing
def candidates(ctx: click.Context) -> Iterable[str]:
    """Return the ids of the pool."""
    return [c.id for c in settings_of(ctx).pool.candidates]


@completing
def contenders(ctx: click.Context) -> Iterable[str]:
    """Return who may answer beside Auto."""
    from openfusion_auto.runtime.names import roles_of

    pool = settings_of(ctx).pool
    return ["strongest", "cheapest", "panel", *roles_of(pool), *(c.id for c in pool.candidates)]


@completing
def roles(ctx: click.Context) -> Iterable[str]:
    """Return the roles that somebody plays."""
    from openfusion_auto.runtime.names import roles_of

    return roles_of(settings_of(ctx).pool)


@completing
def clients(ctx: click.Context) -> Iterable[str]:
    """Return the coding agents that there are adapters for; with `--mcp` before it those that can use our tools."""
    from openfusion_auto.clients.spec import names

    return names(mcp=bool(ctx.params.get("mcp")))


@completing
def pools(_ctx: click.Context) -> Iterable[str]:
    """Return the shipped pools."""
    from openfusion_auto.config.load import SHIPPED_POOLS

    return SHIPPED_POOLS


@completing
def traces(ctx: click.Context) -> Iterable[str]:
    """Return the newest traces of the server; one on another machine is not asked for a key that is pressed."""
    from openfusion_auto.cli.remote import ask_server, server_of
    from openfusion_auto.config.addresses import is_loopback

    server = server_of(settings_of(ctx), ctx.params.get("server"))
    if not is_loopback(urlsplit(server.url).hostname or ""):
        return []
    rows = ask_server(server, f"/v1/traces?limit={LISTED}", timeout_s=WAIT_S)["data"]
    return [row["trace_id"] for row in rows] if isinstance(rows, list) else []


def receipts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return `last` and the digests of the state folder's receipts; files where none of them begins so."""
    return digests(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]


@completing
def digests(_ctx: click.Context) -> Iterable[str]:
    """Return what names a receipt of the state folder."""
    from openfusion_auto.config.paths import state_path
    from openfusion_auto.evals.shelf import FOLDER, Shelf

    kept = Shelf(state_path(os.environ) / FOLDER).kept()
    marks = [k.path.stem.rpartition("-")[2] for k in reversed(kept)]
    return ["last", *marks] if kept else []
