"""What of a request outlives it: a line for every call, and its trace. On the way of a request, so it only notes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from openfusion_auto.runtime.archive import row_of
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.store.base import Line, Store
from openfusion_auto.store.memory import MemoryStore

log = logging.getLogger("openfusion.runtime")

Observer = Callable[[Trace], None]


class Books:
    """Enters calls and traces in a store, and shows finished traces to `observers`: metrics and the like."""

    def __init__(self, store: Store | None = None) -> None:
        self.store: Store = store if store is not None else MemoryStore()
        self.observers: list[Observer] = []

    def enter(self, trace: Trace, call: Attempt) -> None:
        """Enter a call that has ended, however it did."""
        self.store.enter(line_of(trace, call))

    def close(self, trace: Trace) -> None:
        """Keep the trace of a request that has ended; nothing of it changes any more."""
        self.store.record(trace.id, partial(row_of, trace))
        for observe in self.observers:
            try:
                observe(trace)
            except Exception as error:  # noqa: BLE001 - who only looks on must not break a request
                kind = type(error).__name__
                log.error("%s cannot be observed: %s", trace.id, kind)  # noqa: TRY400 - its text may quote the client


def line_of(trace: Trace, call: Attempt) -> Line:
    """Return the line of a call."""
    used = call.usage
    return Line(
        trace.id,
        trace.at,
        trace.session,
        call.phase,
        call.candidate,
        call.model,
        call.upstream,
        call.error or call.status,
        used.input if used else None,
        used.cached if used else None,
        used.cache_write if used else None,
        used.output if used else None,
        call.usd,
        call.estimated,
    )
