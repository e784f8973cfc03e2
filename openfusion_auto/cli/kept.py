"""Traces out of the state folder, for when no server runs: what `ask`, `chat` and earlier servers have left there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from openfusion_auto.cli import output
from openfusion_auto.errors import StoreTooNew
from openfusion_auto.runtime.archive import shown, summary
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.store.base import TraceQuery
from openfusion_auto.store.files import file_in, reason
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings


def listing(settings: Settings, limit: int) -> dict[str, object] | None:
    """Return the newest traces as `GET /v1/traces` does, real ones and dry runs; None when none is kept.

    Raises:
        Failure: a file is there and cannot be read.
    """
    query = TraceQuery(limit + 1)
    rows = [row for store in stores(settings) for row in store.traces(query)]
    rows.sort(key=lambda row: (row.head.at, row.head.id), reverse=True)
    data = [summary(row) for row in rows[:limit]]
    return {"object": "list", "data": data, "has_more": len(rows) > limit} if rows else None


def one(settings: Settings, trace_id: str) -> dict[str, object] | None:
    """Return a trace as `GET /v1/traces/{id}` does; None when it is not kept. Raises as `listing`."""
    found = (store.trace(trace_id) for store in stores(settings))
    row = next((row for row in found if row is not None), None)
    return shown(row) if row else None


def stores(settings: Settings) -> Iterator[SqliteStore]:
    """Yield each store that is there, open until the next one is asked for. Raises as `listing`."""
    for dry in (False, True):
        path = file_in(settings.state_path, dry_run=dry)
        if not path.exists():
            continue
        try:
            store = SqliteStore(path, Limits(), Clock().wall)
        except (sqlite3.Error, OSError, StoreTooNew) as error:
            raise output.Failure(f"{path} cannot be read: {reason(error)}") from None
        try:
            yield store
        finally:
            store.close()
