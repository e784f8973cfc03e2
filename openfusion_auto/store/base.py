"""What a store keeps and how it is asked. `runtime` knows these names alone; `memory.py` and `sqlite.py` stand behind.

Writing never waits: a call puts something small in memory and returns. Reading blocks; call it off the event loop.
Prompts and answers are no part of anything here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Breaker, Pin, Stats


class Maker(NamedTuple):
    """Who made a sealed item (a signature, encrypted reasoning): a model at an upstream."""

    upstream: str
    model: str


Live = TypeVar("Live", Stats, Breaker, Pin, Maker, Spending, Tally)
AnyLive = Stats | Breaker | Pin | Maker | Spending | Tally
# Live values by the name they are kept under; the key is a candidate's id, a session's hash, a seal's hash, an account,
# or what a tally is of (`lessons.Key`).
KINDS: Mapping[type, str] = {
    Stats: "stats",
    Breaker: "breaker",
    Pin: "pin",
    Maker: "seal",
    Spending: "spending",
    Tally: "tally",
}
LEARNED = "*learned*"  # what is forgotten is what was learned, all of it and nothing else; no candidate has such an id
# Of these at most so many are kept, the newest; as many as `runtime/state.py` holds in memory.
NEWEST: Mapping[str, int] = {"pin": 20_000, "seal": 100_000, "tally": 20_000}


class Line(NamedTuple):
    """One line of the books: an upstream call that ended.

    Attributes:
        trace: Id of the request's trace.
        at: When the request came in [s since 1970].
        session: Hash of the session's key; "" when there is none.
        status: `ok`, `cancelled`, or the error's code.
        input, cached, cache_write, output: Tokens; None when nothing is known to have been used.
        usd: None = the price is unknown, never 0.
        estimated: The tokens were counted from bytes, because the upstream reported none.
    """

    trace: str
    at: float
    session: str
    phase: str
    candidate: str
    model: str
    upstream: str
    status: str
    input: int | None
    cached: int | None
    cache_write: int | None
    output: int | None
    usd: float | None
    estimated: bool


class TraceHead(NamedTuple):
    """What a trace is found by. `requested` is the name the client asked for, `model` and `candidate` who answered.

    `owner` is a hash of the id of the gateway key that asked, None without one. `kind` is what was asked for, `session`
    a hash of the session's key; None where there is none, and in what earlier versions kept.
    """

    id: str
    at: float
    requested: str
    candidate: str | None
    model: str | None
    mode: str | None
    outcome: str
    owner: str | None = None
    kind: str | None = None
    session: str | None = None


class TraceRow(NamedTuple):
    """A trace as it is kept: `summary` is JSON for a list, `document` all of it, in its writer's own form.

    `words` are what it is searched for, `folded`; None where words are not kept, and in what a store returns.
    """

    head: TraceHead
    summary: str
    document: bytes
    words: str | None = None


def folded(text: str) -> str:
    """Return text as it is searched: without case, and without the character at which SQLite would end it."""
    return text.casefold().replace("\0", " ")


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """Which traces are wanted, newest first; None = whatever.

    Attributes:
        limit: How many at most.
        before: Only what is older than this moment [s since 1970] and id.
        since: Only what came at this moment or later [s since 1970].
        model: The name asked for, or the candidate or model that answered.
        owner: Whose alone are wanted.
        words: What its words must hold, `folded`.
        at_once: What was put in a moment ago need not be among them: writing is not waited for.
    """

    limit: int
    before: tuple[float, str] | None = None
    model: str | None = None
    mode: str | None = None
    outcome: str | None = None
    owner: str | None = None
    kind: str | None = None
    session: str | None = None
    since: float | None = None
    words: str | None = None
    at_once: bool = False

    def finds(self, words: str | None) -> bool:
        """Whether the words of a trace hold what is wanted."""
        return self.words is None or (words is not None and self.words in words)

    def takes(self, head: TraceHead) -> bool:
        """Whether a trace is among the wanted ones, by all but its words."""
        return (
            (self.before is None or (head.at, head.id) < self.before)
            and (self.model is None or self.model in (head.requested, head.candidate, head.model))
            and self.mode in (None, head.mode)
            and self.outcome in (None, head.outcome)
            and self.owner in (None, head.owner)
            and self.kind in (None, head.kind)
            and self.session in (None, head.session)
            and (self.since is None or head.at >= self.since)
        )


class Spend(NamedTuple):
    """What the calls of one candidate used and cost.

    Attributes:
        usd: Sum of the lines whose price is known [USD].
        unknown: Calls that used tokens at an unknown price: as long as there is one, `usd` is not the whole.
    """

    candidate: str
    calls: int
    failed: int
    input: int
    cached: int
    output: int
    usd: float
    unknown: int


class Status(NamedTuple):
    """How a store is. `problem` says what is wrong and what it means, None when all is well."""

    kind: Literal["sqlite", "memory"]
    problem: str | None
    waiting: int
    dropped: int


class Change(NamedTuple):
    """What another process that works with the same store has changed; of statistics what it saw, to be added."""

    kind: type
    key: str
    value: AnyLive | None


Tell = Callable[[list[Change]], None]


class LiveStore(Protocol):
    """The part of a store that live state needs; see `Store`."""

    def measure(self, candidate: str, sample: Stats, whole: Stats, epoch_s: float) -> None:
        """Keep statistics: `sample` is what is new, `whole` all that this process knows with it."""
        ...

    def keep(self, kind: type[Live], key: str, value: Live | None, epoch_s: float) -> None:
        """Keep a live value, or forget it (None)."""
        ...

    def load(self, kind: type[Live], epoch_s: float) -> list[tuple[str, Live]]:
        """Return all live values of a kind."""
        ...


class Store(Protocol):
    """Keeps what must outlive a request, and as far as it can a process.

    Times inside live values are on the caller's own clock; `epoch_s` is the moment [s since 1970] when that clock
    stood at 0. So what was kept by one process reads right in the next.
    """

    def keep(self, kind: type[Live], key: str, value: Live | None, epoch_s: float) -> None:
        """Keep a live value, or forget it (None); a later one of the same key replaces it."""
        ...

    def measure(self, candidate: str, sample: Stats, whole: Stats, epoch_s: float) -> None:
        """Keep statistics: `sample` is what is new, `whole` all that this process knows with it."""
        ...

    def enter(self, line: Line) -> None:
        """Enter a line in the books; it is never dropped."""
        ...

    def record(self, trace_id: str, render: Callable[[], TraceRow]) -> None:
        """Keep a trace that is complete; `render` is called later, by another thread."""
        ...

    def load(self, kind: type[Live], epoch_s: float) -> list[tuple[str, Live]]:
        """Return all live values of a kind, those changed last at the end."""
        ...

    def trace(self, trace_id: str) -> TraceRow | None:
        """Return a trace by id."""
        ...

    def traces(self, query: TraceQuery) -> list[TraceRow]:
        """Return traces, newest first, with an empty `document`."""
        ...

    def spend(self, since_s: float) -> list[Spend]:
        """Return what was used since a moment [s since 1970], by candidate."""
        ...

    def forget(self, candidate: str | None) -> int:
        """Forget statistics, breaker and lessons of a candidate, or of all (None); returns how many had some.

        `LEARNED` forgets the lessons of all, and nothing else.

        Every process that works with the store is told, see `on_forget`.
        """
        ...

    def on_forget(self, tell: Callable[[str | None], None]) -> None:
        """Call `tell` (from another thread) when somebody else forgets; it gets what `forget` got."""
        ...

    def on_change(self, tell: Tell, every_s: float) -> None:
        """Call `tell` (from another thread) with what other processes change, looked for so often; its moments are
        seconds since 1970. Nothing is told where what others know is heard in another way.
        """
        ...

    def catch_up(self) -> None:
        """Write what waits, and tell what others have changed up to now; blocks."""
        ...

    def status(self) -> Status:
        """Say how the store is; cheap, may be called on the event loop."""
        ...

    def close(self) -> None:
        """Write what waits and let go; blocks for some seconds at most."""
        ...
