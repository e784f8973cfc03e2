"""Mixed load for a while, and then the books: nothing leaks, nothing is lost, nothing is counted twice.

    python -m tests.load.mixed [--minutes 1] [--clients 16] [--faults 0.05] [--seed 1]

Chat Completions, Responses and Messages, streamed and whole, tool calls with their results, panels and verified answers
go through `openfusion serve` to an upstream that fails one call in twenty in seven ways; some clients leave. At the end
the memory's slope, what is still open, and the ledger beside the upstream's own meter. Exits 1 on a miss.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp

from tests.bench.procs import memory_mb
from tests.load.ask import Seen, Want, ask
from tests.load.books import Found, compare, read_ledger, read_traces, trace_problems, traces_of
from tests.load.rig import (
    DIALECTS,
    MODELS,
    SLOTS,
    Row,
    Running,
    Slope,
    becomes,
    configured,
    doing,
    finish,
    metric,
    router,
    slope,
    sockets,
    state,
    upstream,
)
from tests.load.upstream import read_journal

KINDS = ("text", "text", "tool", "tool", "panel", "verify")
SESSIONS = 400  # a ring of them: what is kept of sessions stops growing, and what grows all the same is a leak
LEAVE_MID, LEAVE_EARLY = 0.05, 0.01  # shares of clients that go
THINK_S = 0.4  # [s] most that a client waits before it asks again
# [MB/h] of the second half: above what an allocator's pages wander in a quarter of an hour, far below a leak of a
# kilobyte a request (10 requests a second: 36 MB an hour).
MOST_SLOPE = 12.0
LONG_MIN = 20.0  # [min] from which on a slope is judged: before, what is kept in memory is still filling up
CLOSED_S = 60.0  # [s] in which everything is closed again: idle connections are kept for 15


@dataclass
class Ran:
    """What a run left behind, to be judged."""

    seen: list[Seen]
    memory: list[tuple[float, float]]
    idle_mb: float
    took_s: float
    still: dict[str, float]  # what is open, by name, after everything ended
    slots: tuple[
        int, int, bool
    ]  # answers of as many requests as there are slots, refused besides, kept waiting
    status: int = 0


class Watch(threading.Thread):
    """Notes the memory of a process each second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.ended = pid, threading.Event()
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        began_s = time.monotonic()
        while not self.ended.wait(1.0):
            self.samples.append((time.monotonic() - began_s, memory_mb(self.pid)))


class Clients:
    """Clients that ask, wait a little, and ask again until the time is over."""

    def __init__(self, url: str, seed: int) -> None:
        self.url, self.chance = url, random.Random(seed)
        self.seen: list[Seen] = []
        self._ids = itertools.count(1)

    def want(self) -> Want:
        """Return the next request."""
        chance, number = self.chance, next(self._ids)
        kind, streamed = chance.choice(KINDS), chance.random() < 0.6
        leaves, session = None, f"ring-{chance.randrange(SESSIONS)}"
        draw = chance.random()
        if draw < LEAVE_EARLY:
            leaves, session = 0, f"early-{number}"  # its trace is found by its session
        elif draw < LEAVE_EARLY + LEAVE_MID and streamed:
            leaves = chance.randrange(1, 30)
        some = tuple(chance.sample(sorted(MODELS), chance.randrange(3, len(MODELS) + 1)))
        surface = chance.choice(DIALECTS)
        return Want(f"r{number}", surface, streamed, kind, session, some, leaves)

    async def run(self, count: int, span_s: float) -> None:
        """Ask with `count` clients for a while."""
        ends_s = time.monotonic() + span_s
        async with session(count) as http, asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self.one(http, ends_s))

    async def one(self, http: aiohttp.ClientSession, ends_s: float) -> None:
        while time.monotonic() < ends_s:
            want = self.want()
            seen = await ask(http, self.url, want)
            self.seen.append(seen)
            if want.kind == "tool" and seen.outcome == "ok" and seen.calls:
                # The same session brings the tool's result.
                more = {"kind": "result", "used": seen.calls[0], "leaves": None}
                then = replace(want, id=f"{want.id}b", **more)
                self.seen.append(await ask(http, self.url, then))
            await asyncio.sleep(self.chance.uniform(0.0, THINK_S))


def session(connections: int) -> aiohttp.ClientSession:
    """Return a client with as many connections as it needs."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2 * connections))


async def all_slots(url: str, up: Running) -> tuple[list[Seen], tuple[int, int, bool]]:
    """Take every slot at once, and ask for one more: a slot that was lost is missing here."""
    wants = [Want(f"slot{n}", "chat", False, "slow", f"slot-{n}") for n in range(SLOTS)]
    async with session(SLOTS) as http:
        tasks = [asyncio.create_task(ask(http, url, want)) for want in wants]
        full = await asyncio.to_thread(becomes, lambda: state(up)["open"] >= SLOTS, 30.0)
        more = await ask(http, url, Want("slotmore", "chat", False, "text", "slot-more"))
        seen = [await task for task in tasks]
    good = sum(s.outcome == "ok" for s in seen)
    refused = int(more.status == 503)
    return seen + ([] if refused else [more]), (good, refused, full)


def run(folder: Path, *, span_s: float, clients: int, faults: float, seed: int) -> Ran:
    """Run the load, then close everything and look what is left."""
    with upstream(folder, faults, seed) as up:
        with router(folder, configured(folder, up.port)) as through:
            before, idle_mb = sockets(through.pid), memory_mb(through.pid)
            load, watch = Clients(through.url, seed), Watch(through.pid)
            watch.start()
            began_s = time.monotonic()
            asyncio.run(load.run(clients, span_s))
            took_s = time.monotonic() - began_s
            watch.ended.set()
            watch.join()
            seen, slots = asyncio.run(all_slots(through.url, up))
            still = what_is_open(through, up, before)
        status = through.process.returncode
    return Ran([*load.seen, *seen], watch.samples, idle_mb, took_s, still, slots, status)


def what_is_open(through: Running, up: Running, before: int) -> dict[str, float]:
    """Return what is still open once there was time to close it: streams, calls, connections on both sides."""

    found: dict[str, float] = {}

    def all_closed() -> bool:
        # First: the connection that asks for a metric is one more for a moment.
        found["sockets more than before"] = max(0, sockets(through.pid) - before)
        found["streams"] = metric(through.url, "openfusion_streams_in_flight")
        found["waiting to be written"] = metric(through.url, "openfusion_store_queue")
        counts = state(up)
        found["calls at the upstream"] = counts["open"]
        found["connections at the upstream"] = counts["connections"]
        return not any(found.values())

    becomes(all_closed, CLOSED_S)
    return found


# -- judging ----------------------------------------------------------------------------------------------------------


def session_name(session_id: str) -> str:
    """Return the name that a session is kept under (docs/explanation/what-is-kept.md: a hash of what the client said)."""
    return hashlib.sha256(f"id:{session_id}".encode()).hexdigest()[:32]


def second_half(samples: list[tuple[float, float]]) -> Slope:
    """Fit the memory of the second half."""
    return slope(samples[len(samples) // 2 :] or [(0.0, 0.0)])


def judged(folder: Path, ran: Ran) -> tuple[list[Row], list[str]]:
    """Return the figures of a run, and what is wrong with its books."""
    path = folder / "state" / "state.sqlite3"
    lines, kept = read_ledger(path), read_traces(path)
    calls = read_journal(folder / "journal.jsonl")
    hashed = {s.want.session: session_name(s.want.session) for s in ran.seen}
    who = traces_of(ran.seen, kept, hashed)
    found = compare(lines, calls, who)
    traces = trace_problems(ran.seen, kept, lines, who)
    outcomes = Counter(s.outcome for s in ran.seen)
    bad = [f"{s.want}: {s.outcome} {s.note}" for s in ran.seen if s.outcome in BAD]
    faults = Counter(c.fault for c in calls if c.fault)
    rows = [
        Row("requests", f"{len(ran.seen):,}"),
        Row("  a second", f"{len(ran.seen) / ran.took_s:.1f}"),
        Row("  answered", f"{outcomes['ok']:,}"),
        Row("  told that it failed", f"{outcomes['error']:,}"),
        Row("  left by their clients", f"{outcomes['left']:,}"),
        Row("  broken, hung or refused a connection", f"{len(bad):,}", "0", not bad),
        *memory_rows(ran),
        *(Row(f"still open: {name}", f"{n:g}", "0", not n) for name, n in ran.still.items()),
        Row("slots that are there", f"{ran.slots[0]}", f"{SLOTS}", ran.slots[0] == SLOTS),
        Row("  refused when all are taken", f"{ran.slots[1]}", "1", ran.slots[1] == 1),
        Row("ended when told to, with status", f"{ran.status}", "0", ran.status == 0),
        Row("traces", f"{len(kept):,}"),
        Row("  amiss", f"{len(traces):,}", "0: one a request, as many calls as lines", not traces),
        Row("calls at the upstream's meter", f"{len(calls):,}"),
        Row("  failed on purpose", f"{sum(faults.values()):,}"),
        *book_rows(len(lines), found),
    ]
    return rows, [*bad, *traces, *found.problems]


BAD = ("broken", "hung", "gone")


def memory_rows(ran: Ran) -> list[Row]:
    """Return what became of the memory."""
    fitted = second_half(ran.memory)
    most = max((mb for _, mb in ran.memory), default=0.0)
    long = ran.took_s >= LONG_MIN * 60
    must = f"at most {MOST_SLOPE:g}" if long else ""
    how = f"{fitted.per_hour:+.1f} MB/h"
    return [
        Row("memory, idle", f"{ran.idle_mb:.0f} MB"),
        Row("  at most", f"{most:.0f} MB"),
        Row("  slope of the second half", how, must, not long or fitted.per_hour <= MOST_SLOPE),
        Row("    fitted through", f"{fitted.count} samples"),
        Row("    that lie from the line by", f"{fitted.spread:.1f} MB"),
    ]


def book_rows(count: int, found: Found) -> list[Row]:
    """Return how the ledger stands beside the meter."""
    return [
        Row("lines of the ledger", f"{count:,}"),
        Row("  with the meter's own tokens", f"{found.exact:,}"),
        Row("    tokens", f"{found.tokens:,}"),
        Row("    money", f"{found.nano * 1e-9:.6f} USD"),
        Row("  counted by bytes: cut or left", f"{found.counted:,}"),
        Row("    money", f"{found.counted_nano * 1e-9:.6f} USD"),
        Row("  failed before anything came", f"{found.blank:,}"),
        Row("  cancelled on the way there", f"{found.unreached:,}"),
        Row("  of them of clients that left", f"{found.cancelled:,}"),
        Row(
            "lost, double, or of another amount",
            f"{len(found.problems):,}",
            "0",
            not found.problems,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for journal, store and logs")
    asked = parser.parse_args()
    doing(f"{asked.clients} clients for {asked.minutes:g} minutes ...")
    with tempfile.TemporaryDirectory(prefix="openfusion-load-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ran = run(
            folder,
            span_s=asked.minutes * 60,
            clients=asked.clients,
            faults=asked.faults,
            seed=asked.seed,
        )
        rows, problems = judged(folder, ran)
    for problem in problems[:20]:
        doing(f"  {problem}")
    title = (
        f"mixed load, {asked.clients} clients, {asked.minutes:g} minutes, {asked.faults:.0%} faults"
    )
    return finish(title, rows)


if __name__ == "__main__":
    sys.exit(main())
