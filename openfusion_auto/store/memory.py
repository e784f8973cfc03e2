"""A store that lives as long as the process: for tests, for `--no-store`, and where the file cannot be used."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from openfusion_auto.core.lessons import Tally, key_of
from openfusion_auto.core.types import Breaker, Stats
from openfusion_auto.store.base import (
    KINDS,
    LEARNED,
    NEWEST,
    AnyLive,
    Line,
    Live,
    Spend,
    Status,
    Tell,
    TraceQuery,
    TraceRow,
)
from openfusion_auto.store.records import moved

MAX_LINES = 10_000  # the newest lines of the books that are held, about 4 MB
MAX_TRACES = 1_000  # that are held; a server holds its newest ones itself (`server.traces_kept`) and wants none here


class MemoryStore:
    """See `base.Store`. Not for several threads at once, except for reading lists that nobody changes."""

    def __init__(
        self,
        *,
        problem: str | None = None,
        max_lines: int = MAX_LINES,
        max_traces: int = MAX_TRACES,
    ) -> None:
        self._problem = problem
        self._live: dict[str, OrderedDict[str, AnyLive]] = {
            name: OrderedDict() for name in KINDS.values()
        }
        self._lines: deque[Line] = deque(maxlen=max_lines)
        self._traces: OrderedDict[str, Callable[[], TraceRow]] = OrderedDict()
        self._max_traces = max_traces

    def keep(self, kind: type[Live], key: str, value: Live | None, epoch_s: float) -> None:
        """Keep or forget a live value."""
        name = KINDS[kind]
        kept = self._live[name]
        kept.pop(key, None)
        if value is not None:
            kept[key] = moved(value, epoch_s)
        while len(kept) > NEWEST.get(name, len(kept)):
            kept.popitem(last=False)

    def measure(self, candidate: str, sample: Stats, whole: Stats, epoch_s: float) -> None:  # noqa: ARG002 - see `Store`
        """Keep statistics."""
        self.keep(Stats, candidate, whole, epoch_s)

    def enter(self, line: Line) -> None:
        """Enter a line in the books; of very many the oldest go."""
        self._lines.append(line)

    def record(self, trace_id: str, render: Callable[[], TraceRow]) -> None:
        """Keep a trace; the oldest goes when there are too many."""
        self._traces[trace_id] = render
        while len(self._traces) > self._max_traces:
            self._traces.popitem(last=False)

    def load(self, kind: type[Live], epoch_s: float) -> list[tuple[str, Live]]:
        """Return the live values of a kind."""
        found = ((key, moved(value, -epoch_s)) for key, value in self._live[KINDS[kind]].items())
        return [(key, value) for key, value in found if isinstance(value, kind)]

    def trace(self, trace_id: str) -> TraceRow | None:
        """Return a trace by id."""
        render = self._traces.get(trace_id)
        return render()._replace(words=None) if render else None

    def traces(self, query: TraceQuery) -> list[TraceRow]:
        """Return traces, newest first."""
        rows = (render() for render in list(self._traces.values()))
        wanted = [
            row._replace(document=b"", words=None)
            for row in rows
            if query.takes(row.head) and query.finds(row.words)
        ]
        wanted.sort(key=lambda row: (row.head.at, row.head.id), reverse=True)
        return wanted[: query.limit]

    def spend(self, since_s: float) -> list[Spend]:
        """Return what was used since a moment, by candidate."""
        by_candidate: dict[str, list[Line]] = {}
        for line in list(self._lines):
            if line.at >= since_s:
                by_candidate.setdefault(line.candidate, []).append(line)
        return [added_up(name, lines) for name, lines in sorted(by_candidate.items())]

    def forget(self, candidate: str | None) -> int:
        """Forget statistics, breakers and lessons."""
        gone = {
            (name, key)
            for name in (KINDS[Stats], KINDS[Breaker], KINDS[Tally])
            for key in self._live[name]
            if is_forgotten(name, key, (candidate,))
        }
        for name, key in gone:
            del self._live[name][key]
        return len({candidate_of(name, key) for name, key in gone})

    def on_forget(self, tell: Callable[[str | None], None]) -> None:
        """Nobody else can reach this store: nothing is ever told."""

    def on_change(self, tell: Tell, every_s: float) -> None:
        """Nobody else can change anything here."""

    def catch_up(self) -> None:
        """Nobody else can have changed anything here."""

    def status(self) -> Status:
        """Say why it is not a file, when it should have been one."""
        return Status("memory", self._problem, 0, 0)

    def close(self) -> None:
        """Nothing waits."""


def candidate_of(kind: str, key: str) -> str:
    """Return whose a live value of a candidate is."""
    return key_of(key).candidate if kind == KINDS[Tally] else key


def is_forgotten(kind: str, key: str, whose: Iterable[str | None]) -> bool:
    """Whether a live value is among what was to be forgotten; each of `whose` is as `Store.forget` takes it."""
    if kind not in (KINDS[Stats], KINDS[Breaker], KINDS[Tally]):
        return False
    own = candidate_of(kind, key)
    return any(
        (kind == KINDS[Tally]) if one == LEARNED else one is None or one == own for one in whose
    )


def added_up(candidate: str, lines: list[Line]) -> Spend:
    """Return the sum of a candidate's lines."""
    return Spend(
        candidate,
        calls=len(lines),
        failed=sum(line.status not in ("ok", "cancelled") for line in lines),
        input=sum(line.input or 0 for line in lines),
        cached=sum(line.cached or 0 for line in lines),
        output=sum(line.output or 0 for line in lines),
        usd=sum(line.usd or 0.0 for line in lines),
        unknown=sum(line.usd is None and line.input is not None for line in lines),
    )
