"""What `ask`, `chat` and earlier servers have left in the state folder, for when no server runs."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from openfusion_auto.cli import output
from openfusion_auto.runtime.archive import shown, summary
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.store.base import TraceQuery, TraceRow
from openfusion_auto.store.files import file_in, reason
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings


def listing(settings: Settings, limit: int) -> dict[str, object] | None:
    """Return the newest traces as `GET /v1/traces` does, real ones and dry runs; None when none is kept.

    Raises:
        Failure, StoreTooNew: a file is there and cannot be read.
    """
    query = TraceQuery(limit + 1)
    rows = [row for store in stores(settings) for row in store.traces(query)]
    rows.sort(key=lambda row: (row.head.at, row.head.id), reverse=True)
    data = [summary(row) for row in rows[:limit]]
    return {"object": "list", "data": data, "has_more": len(rows) > limit} if rows else None


def one(settings: Settings, trace_id: str) -> dict[str, object] | None:
    """Return a trace as `GET /v1/traces/{id}` does; None when it is not kept. Raises as `listing`."""
    found = row(settings, trace_id)
    return shown(found) if found else None


def row(settings: Settings, trace_id: str) -> TraceRow | None:
    """Return a trace as the store holds it; None when it is not kept. Raises as `listing`."""
    found = (store.trace(trace_id) for store in stores(settings))
    return next((each for each in found if each is not None), None)


def stores(settings: Settings) -> Iterator[SqliteStore]:
    """Yield each store that is there, open until the next one is asked for. Raises as `listing`."""
    for dry in (False, True):
        store = opened(file_in(settings.state_path, dry_run=dry), Clock())
        if store is not None:
            with contextlib.closing(store):
                yield store


def opened(path: Path, clock: Clock) -> SqliteStore | None:
    """Return the store in a file, None while it is not there.

    Raises:
        Failure: it cannot be read.
        StoreTooNew: a later version has written it.
    """
    try:
        return SqliteStore(path, Limits(), clock.wall) if path.exists() else None
    except (sqlite3.Error, OSError) as error:
        raise output.Failure(f"{path} cannot be read: {reason(error)}") from None
