"""Traces beyond memory: how one is written down, and how it is found again, in memory first and then in the store.

What is written is the trace itself, not its rendering: that costs a tenth of the time, and whoever reads it renders it
with the same `full` as a fresh one.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from openfusion_auto.core.recorded import Recorded, recorded, table_of
from openfusion_auto.core.score import Table
from openfusion_auto.core.types import Cached, Decision, Evidence, Pool, Score, Term
from openfusion_auto.runtime.trace import Trace, TraceStore, compact, full
from openfusion_auto.store.base import Store, TraceHead, TraceQuery, TraceRow
from openfusion_auto.store.records import Unreadable, dumps, read

# Named tuples inside a trace are written as lists; each document says in which order. A test looks for new ones.
TUPLES: tuple[type, ...] = (Term, Evidence, Cached)
LAYOUT = dumps({kind.__name__: list(getattr(kind, "_fields", ())) for kind in TUPLES})
# zlib's fastest: a third of the size, 0.05 ms. A window of 8 KB and tables to match find as much in a trace of some
# 12 KB as the usual ones, and are small enough to be had from the heap; those get pages of their own each time.
LEVEL, WINDOW, TABLES = 1, 13, 5
# [characters] of the model's name that a client asked for, in the column it is found by.
MAX_NAME = 200
UNREADABLE = (
    "recorded by another version of openfusion: only this summary of it can be shown by this one"
)


def head_of(trace: Trace) -> TraceHead:
    """Return what a trace is found by."""
    answered = (a.model for a in trace.attempts if a.candidate == trace.answered_by)
    return TraceHead(
        trace.id,
        trace.at,
        trace.requested_model[:MAX_NAME],
        trace.answered_by,
        next(answered, trace.cached.model if trace.cached else None),
        trace.mode,
        trace.outcome,
        trace.owner,
        trace.decision.task.kind if trace.decision else None,
        trace.session or None,
    )


def summary_of(trace: Trace) -> dict[str, object]:
    """Return a trace as an entry of a list: its compact form, and how it ended."""
    ended = {
        "at": trace.at,
        "outcome": trace.outcome,
        "answered_by": trace.answered_by,
        "ms": trace.ms,
        "session_hash": trace.session or None,
    }
    return {**compact(trace), **ended}


def row_of(trace: Trace) -> TraceRow:
    """Return a trace as it is kept."""
    told = trace.deliberation
    if told is not None and trace.texts is None:  # an analysis quotes the answers
        told = replace(told, analysis=None)
    # A pool remembers tables of itself, which an encoder in C would write too: a fresh one has none.
    pool = None if trace.pool is None else Pool(trace.pool.candidates, trace.pool.digest)
    kept = replace(trace, decision=None, deliberation=told, pool=pool)
    parts = (LAYOUT, dumps(kept), dumps(kept_of(trace.decision)))
    document = compressed(b'{"layout":%b,"trace":%b,"decision":%b}' % parts)
    return TraceRow(head_of(trace), json.dumps(summary_of(trace)), document, words_of(trace))


def compressed(data: bytes) -> bytes:
    """Return bytes as `zlib.decompress` takes them."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW, TABLES)
    return stream.compress(data) + stream.flush()


def words_of(trace: Trace) -> str | None:
    """Return what a trace is searched for."""
    return None if trace.texts is None else trace.texts.words()


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """A decision with its ranking as names and one table of all terms."""

    decision: Decision
    ranked: tuple[tuple[str, str, float | None, float], ...]
    table: Recorded | None


def kept_of(decision: Decision | None) -> KeptDecision | None:
    """Return a decision as it is kept."""
    if decision is None:
        return None
    table = decision.ranking[0].table if decision.ranking else None
    return KeptDecision(
        replace(decision, ranking=()),
        tuple((s.candidate, s.model, s.expected_usd, s.total) for s in decision.ranking),
        recorded(table) if isinstance(table, Table) else None,
    )


def decision_of(kept: KeptDecision) -> Decision:
    """Return the decision that was kept."""
    if kept.table is None:
        return kept.decision
    table = table_of(kept.table)
    ranking = tuple(
        Score(candidate, model, usd, total, row, table)
        for row, (candidate, model, usd, total) in enumerate(kept.ranked)
    )
    return replace(kept.decision, ranking=ranking)


def restored(document: bytes) -> Trace:
    """Return a trace from what `row_of` made of it.

    Raises:
        Unreadable: made by a version whose traces this one cannot read, or damaged.
    """
    try:
        kept = json.loads(zlib.decompress(document))
        layout, data, decided = kept["layout"], kept["trace"], kept["decision"]
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError):
        raise Unreadable("not a trace") from None
    trace = read(Trace, data, layout)
    if decided is not None:
        trace.decision = decision_of(read(KeptDecision, decided, layout))
    return trace


def shown(row: TraceRow) -> dict[str, object]:
    """Return a kept trace as `/v1/traces/{id}` shows it; its summary alone when this version cannot read the rest."""
    try:
        return full(restored(row.document))
    except Unreadable:
        return {"object": "openfusion.trace", **summary(row), "notes": [UNREADABLE]}


def summary(row: TraceRow) -> dict[str, object]:
    """Return a kept trace as an entry of a list."""
    found = json.loads(row.summary)
    return found if isinstance(found, dict) else {"trace_id": row.head.id, "at": row.head.at}


class Archive:
    """Where traces are found: in memory first, and then in the store. `owner` is whose alone are found; None = all."""

    def __init__(self, memory: TraceStore, store: Store) -> None:
        self._memory, self._store = memory, store
        # Words are looked through here: that may take longer than anything else that is read, and of the loop's own
        # threads there are few, which resolve the names of upstreams, too.
        self._searches = ThreadPoolExecutor(1, "search")

    def close(self) -> None:
        """Let the thread for searches go; one that has begun ends in its own time."""
        self._searches.shutdown(wait=False, cancel_futures=True)

    async def find(self, trace_id: str, owner: str | None = None) -> dict[str, object] | None:
        """Return everything recorded of one request; None when nobody knows it, or it is not `owner`'s."""
        found = self._memory.get(trace_id)
        if found is not None:
            return full(found) if owner in (None, found.owner) else None
        row = await self._row(trace_id, owner)
        return await asyncio.to_thread(shown, row) if row else None

    async def whole(self, trace_id: str, owner: str | None = None) -> Trace | None:
        """Return the trace itself; None as `find`.

        Raises:
            Unreadable: another version recorded it.
        """
        found = self._memory.get(trace_id)
        if found is not None:
            return found if owner in (None, found.owner) else None
        row = await self._row(trace_id, owner)
        return await asyncio.to_thread(restored, row.document) if row else None

    async def moment(self, trace_id: str, owner: str | None = None) -> tuple[float, str] | None:
        """Return the place of a trace in the order of all; None as `find`."""
        found = self._memory.get(trace_id)
        if found is not None:
            return (found.at, found.id) if owner in (None, found.owner) else None
        row = await self._row(trace_id, owner)
        return (row.head.at, row.head.id) if row else None

    async def _row(self, trace_id: str, owner: str | None) -> TraceRow | None:
        row = await asyncio.to_thread(self._store.trace, trace_id)
        return row if row and owner in (None, row.head.owner) else None

    async def listed(self, query: TraceQuery) -> list[dict[str, object]]:
        """Return traces as entries of a list, newest first: those in memory, and older ones from the store."""
        fresh = [t for t in self._memory.latest() if query.takes(head_of(t))]
        fresh.sort(key=lambda t: (t.at, t.id), reverse=True)
        if query.words is None:
            rows = await asyncio.to_thread(self._store.traces, query)
        else:
            search = asyncio.get_running_loop().run_in_executor
            fresh, rows = await search(self._searches, self._searched, fresh, query)
        found = [((t.at, t.id), summary_of(t)) for t in fresh[: query.limit]]
        # One in memory is the newer word: it may have been running when the store was asked.
        found += [
            ((row.head.at, row.head.id), summary(row))
            for row in rows
            if self._memory.get(row.head.id) is None
        ]
        found.sort(key=lambda entry: entry[0], reverse=True)
        return [entry for _, entry in found[: query.limit]]

    def _searched(
        self, fresh: list[Trace], query: TraceQuery
    ) -> tuple[list[Trace], list[TraceRow]]:
        """Return those of `fresh` whose words are wanted, and those in the store; blocks."""
        wanted = (t for t in fresh if query.finds(words_of(t)))
        return list(islice(wanted, query.limit)), self._store.traces(query)
