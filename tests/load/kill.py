"""`kill -9` again and again under load: the file opens, the books lack at most the last moment, the server comes back.

    python -m tests.load.kill [--kills 50] [--clients 8] [--window-ms 100] [--seed 1]

Each round starts `openfusion serve` on the same state folder, asks sessions of the round before whether they are still
known, lets clients ask for a moment, and kills. Every fifth kill hits the server while it starts. After each the file
is looked at as it was left (a copy of it, so that the next start mends it itself); at the end the ledger is compared
with the upstream's own meter, call by call. Exits 1 on a miss.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import shutil
import signal
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from openfusion_auto.store.migrations import LATEST
from tests.bench.procs import cpu_s
from tests.load.ask import Seen, Want, ask
from tests.load.books import Line, read_ledger, read_traces
from tests.load.mixed import session
from tests.load.rig import (
    Row,
    Running,
    configured,
    doing,
    finish,
    nano_usd,
    start_router,
    upstream,
    wait_for_router,
)
from tests.load.upstream import Metered, read_journal

ROUND = re.compile(r"k(\d+)")  # in the id of a request
FILES = ("state.sqlite3", "state.sqlite3-wal", "state.sqlite3-shm")
STARTING = 5  # every so many kills one comes while the server starts
ANSWERS = (
    3,
    60,
)  # fewest and most answers before a kill: by number, so that a slow machine is loaded as a quick one
LOAD_S = 60.0  # [s] of load at most
START_S = 1.0  # [s] within which a starting server is killed
ASKED_AGAIN = 5  # sessions that are asked after a restart whether they are known
# [s] after which a call that the upstream ended is in the file, whatever its client saw: time enough for a router on a
# machine that is busy with others to read it.
SURELY_S = 2.0


@dataclass
class Killed:
    """What a series of kills left behind."""

    seen: list[Seen] = field(default_factory=list)  # `ended_s` and the kills are on one clock
    kills_s: list[float] = field(default_factory=list)  # of each round, the last one apart
    starting: int = 0
    bad_files: list[str] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    starts_cpu_s: list[float] = field(default_factory=list)
    silent: int = 0  # starts after which nobody got an answer
    asked_again: int = 0
    forgotten: int = 0
    status: int = 0


class Round:
    """One life of a server: who asks it, and what came of it."""

    def __init__(self, number: int, url: str, clients: int) -> None:
        self.number, self.url, self.clients = number, url, clients
        self.seen: list[Seen] = []
        self.over = False

    async def again(self, sessions: Sequence[str]) -> list[Seen]:
        """Ask a session of its own, and those of an earlier life once more; returns what these got."""
        async with session(len(sessions) + 1) as http:
            wants = [
                Want(f"k{self.number}again{n}", "chat", False, "text", name)
                for n, name in enumerate(sessions)
            ]
            own = f"k{self.number}first"
            self.seen.append(await ask(http, self.url, Want(own, "chat", True, "text", own)))
            found = [await ask(http, self.url, want) for want in wants]
        self.seen += found
        return found

    async def load(self, answers: int, least_s: float, victim: Running) -> float:
        """Let clients ask until the server is killed, after so many answers and so long; returns when that was."""
        async with session(self.clients) as http:
            tasks = [asyncio.create_task(self.client(http, n)) for n in range(self.clients)]
            began_s = time.monotonic()
            while (took_s := time.monotonic() - began_s) < LOAD_S:
                if len(self.seen) >= answers and took_s > least_s:
                    break
                await asyncio.sleep(0.01)
            killed_s = time.monotonic()
            victim.process.send_signal(signal.SIGKILL)
            self.over = True
            await asyncio.gather(*tasks)
        return killed_s

    async def client(self, http, name: int) -> None:
        count = 0
        while not self.over:
            count += 1
            want = Want(
                f"k{self.number}c{name}n{count}",
                ("chat", "responses", "messages")[(name + count) % 3],
                count % 2 == 0,
                "text",
                f"k{self.number}c{name}",
            )
            self.seen.append(await ask(http, self.url, want))


def file_problem(folder: Path) -> str | None:
    """Return what is wrong with the file as it was left, looked at in a copy; None when nothing is."""
    with tempfile.TemporaryDirectory(prefix="openfusion-load-") as copy:
        for name in FILES:
            if (folder / "state" / name).exists():
                shutil.copy(folder / "state" / name, copy)
        path = Path(copy, FILES[0])
        if not path.exists():
            return "there is no file"
        try:
            with closing(sqlite3.connect(path)) as db:
                (found,) = db.execute("PRAGMA integrity_check").fetchone()
                (version,) = db.execute("PRAGMA user_version").fetchone()
                db.execute("SELECT count(*) FROM ledger, traces").fetchone()
        except sqlite3.Error as error:
            return str(error)
    if found != "ok":
        return str(found)
    return None if version == LATEST else f"version {version}, not {LATEST}"


def run(folder: Path, *, kills: int, clients: int, window_s: float, seed: int) -> Killed:
    """Start, load, kill, and again; at the end once more in peace."""
    chance, done = random.Random(seed), Killed()
    known: list[str] = []  # sessions that a server must know again
    with upstream(folder, 0.0, seed) as up:
        config = configured(folder, up.port)
        for number in range(kills + 1):
            last = number == kills
            began_s = time.monotonic()
            running = start_router(folder, config)
            if number % STARTING == STARTING - 1 and not last:
                time.sleep(chance.uniform(0.0, START_S))
                done.kills_s.append(time.monotonic())
                done.starting += 1
                running.end(signal.SIGKILL)
            else:
                wait_for_router(running)
                done.starts_s.append(time.monotonic() - began_s)
                done.starts_cpu_s.append(cpu_s(running.pid))
                life = Round(number, running.url, clients)
                again = asyncio.run(life.again(known))
                done.asked_again += len(again)
                done.forgotten += sum(not s.pinned for s in again)
                if last:
                    done.status = running.end()
                else:
                    killed_s = asyncio.run(
                        life.load(chance.randint(*ANSWERS), 2 * window_s, running)
                    )
                    running.end(signal.SIGKILL)
                    done.kills_s.append(killed_s)
                    known = settled(life.seen, killed_s - window_s)
                done.silent += not any(s.outcome == "ok" for s in life.seen)
                done.seen += life.seen
            problem = file_problem(folder)
            if problem is not None:
                done.bad_files.append(f"kill {number + 1}: {problem}")
            doing(f"  {number + 1} of {kills}: {len(done.seen)} requests" if not last else "  done")
    return done


def settled(seen: Sequence[Seen], before_s: float) -> list[str]:
    """Return the sessions whose last answer came before a moment, some of them."""
    names = {s.want.session: s.ended_s for s in seen if s.outcome == "ok"}
    return [name for name, ended_s in names.items() if ended_s < before_s][-ASKED_AGAIN:]


# -- judging ----------------------------------------------------------------------------------------------------------


@dataclass
class Losses:
    """What the ledger lacks, and what it has too much."""

    problems: list[str] = field(default_factory=list)
    booked: int = 0
    nano: int = 0  # of what is booked [1e-9 USD]
    lost_nano: int = 0
    # Calls whose client had no whole answer when the server was killed, without a line.
    in_flight: int = 0
    in_flight_nano: int = 0
    lost_ms: list[float] = field(
        default_factory=list
    )  # how long before its kill a client had the answer
    ended_ms: list[float] = field(
        default_factory=list
    )  # how long before it the upstream had sent it


def losses(
    lines: Sequence[Line], calls: Sequence[Metered], done: Killed, window_s: float
) -> Losses:
    """Compare ledger and meter, call by call."""
    found = Losses()
    known = {c.tokens: c for c in calls}
    counts = Counter((line.input, line.output) for line in lines if not line.estimated)
    for tokens, count in counts.items():
        if tokens not in known and tokens != (None, None):
            found.problems.append(f"a line of no call: {tokens}")
        elif count > 1 and tokens != (None, None):
            found.problems.append(f"{count} lines of call {known[tokens].number}")
    for line in lines:
        call = None if line.estimated else known.get((line.input, line.output))
        if call is None:
            continue
        nano = nano_usd(call.model, *call.tokens)
        found.booked, found.nano = found.booked + 1, found.nano + nano
        if line.usd is None or round(line.usd * 1e9) != nano or line.model != call.model:
            found.problems.append(f"call {call.number}: another price or model: {line}")
    had = {s.want.id: s.ended_s for s in done.seen if s.outcome == "ok"}
    for call in calls:
        if counts[call.tokens] == 0:
            unbooked(call, had.get(call.asked), killed_s(call, done.kills_s), window_s, found)
    return found


def killed_s(call: Metered, kills_s: Sequence[float]) -> float | None:
    """Return when the server of a call was killed; None when that was the last one, which was not."""
    number = int(ROUND.match(call.asked)[1])
    return kills_s[number] if number < len(kills_s) else None


def unbooked(
    call: Metered, had_s: float | None, kill_s: float | None, window_s: float, found: Losses
) -> None:
    """Judge a call without a line by when its client, and its upstream, were done with it."""
    nano = nano_usd(call.model, *call.tokens)
    if kill_s is None:
        found.problems.append(f"call {call.number} has no line, and nothing was killed after it")
        return
    ended_ms = (kill_s - call.ended_s) * 1000
    if had_s is None:
        found.in_flight += 1
        found.in_flight_nano += nano
        if call.whole and ended_ms > SURELY_S * 1000:
            found.problems.append(f"call {call.number} ended {ended_ms:.0f} ms before: no line")
        return
    lost_ms = (
        max(0.0, kill_s - had_s) * 1000
    )  # what was on its way to the client is read after the kill
    found.lost_nano += nano
    found.lost_ms.append(lost_ms)
    found.ended_ms.append(ended_ms)
    if lost_ms > window_s * 1000:
        found.problems.append(f"call {call.number}: answered {lost_ms:.0f} ms before, and no line")


def judged(
    folder: Path, done: Killed, *, window_s: float, start_s: float
) -> tuple[list[Row], list[str]]:
    """Return the figures, and what is wrong."""
    path = folder / "state" / FILES[0]
    lines, calls = read_ledger(path), read_journal(folder / "journal.jsonl")
    found = losses(lines, calls, done, window_s)
    traces = {t.id for t in read_traces(path)}
    answered = [s for s in done.seen if s.outcome == "ok"]
    bad = [
        f"{s.want.id}: {s.outcome} {s.note}"
        for s in done.seen
        if s.outcome in ("broken", "hung", "error")
    ]
    meter = sum(nano_usd(c.model, *c.tokens) for c in calls)
    oldest, sent = max(found.lost_ms, default=0.0), max(found.ended_ms, default=0.0)
    work_s = statistics.median(done.starts_cpu_s)
    rest = meter - found.lost_nano - found.in_flight_nano
    rows = [
        Row("kills", f"{len(done.kills_s)}"),
        Row("  while it was starting", f"{done.starting}"),
        Row("files that do not open whole", f"{len(done.bad_files)}", "0", not done.bad_files),
        Row("starts", f"{len(done.starts_s)}"),
        Row("  median until it serves", f"{statistics.median(done.starts_s):.2f} s"),
        Row("  slowest", f"{max(done.starts_s):.2f} s"),
        Row("  processor time, median", f"{work_s:.2f} s", f"at most {start_s:g} s", work_s <= start_s),
        Row("  without an answer", f"{done.silent}", "0", not done.silent),
        Row("sessions asked after a restart", f"{done.asked_again}"),
        Row("  not known any more", f"{done.forgotten}", "0", not done.forgotten),
        Row("requests", f"{len(done.seen):,}"),
        Row("  answered", f"{len(answered):,}"),
        Row("  broken or refused, but for the kill", f"{len(bad)}", "0", not bad),
        Row("calls at the upstream's meter", f"{len(calls):,}"),
        Row("  money", f"{meter * 1e-9:.6f} USD"),
        Row("lines of the ledger with its tokens", f"{found.booked:,}"),
        Row("  money", f"{found.nano * 1e-9:.6f} USD"),
        Row("in flight when it was killed", f"{found.in_flight:,}"),
        Row("  money", f"{found.in_flight_nano * 1e-9:.6f} USD"),
        Row("answered, and not in the ledger", f"{len(found.lost_ms)}"),
        Row("  money", f"{found.lost_nano * 1e-9:.6f} USD"),
        Row(
            "  the oldest, its client had it before", f"{oldest:.0f} ms",
            f"at most {window_s * 1000:g} ms", oldest <= window_s * 1000,
        ),
        Row("  and its upstream had sent it before", f"{sent:.0f} ms"),
        Row("meter less these, less the ledger", f"{(rest - found.nano) * 1e-9:.6f} USD", "0", rest == found.nano),
        Row("double, invented or of another amount", f"{len(found.problems)}", "0", not found.problems),
        Row("answered, and no trace", f"{sum(s.trace not in traces for s in answered)}"),
        Row("ended when told to, with status", f"{done.status}", "0", done.status == 0),
    ]  # fmt: skip
    return rows, [*done.bad_files, *bad, *found.problems]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--window-ms", type=float, default=100.0)
    parser.add_argument("--start-s", type=float, default=3.0, help="processor time until it serves")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for journal, store and logs")
    asked = parser.parse_args()
    window_s = asked.window_ms / 1000
    with tempfile.TemporaryDirectory(prefix="openfusion-load-") as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        done = run(
            folder, kills=asked.kills, clients=asked.clients, window_s=window_s, seed=asked.seed
        )
        rows, problems = judged(folder, done, window_s=window_s, start_s=asked.start_s)
    for problem in problems[:20]:
        doing(f"  {problem}")
    return finish(f"kill -9, {asked.kills} times, {asked.clients} clients", rows)


if __name__ == "__main__":
    sys.exit(main())
