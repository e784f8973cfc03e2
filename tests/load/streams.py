"""Thousands of slow streams at once through a real server: all complete, their memory, how late their chunks are.

    python -m tests.load.streams [--streams 2000] [--chunks 30] [--pause-ms 1000] [--rounds 2]

Each round sends the same streams straight to the upstream and then through `openfusion serve`, one after the other, so
that a busy machine slows both. Every chunk says when it was sent. Exits 1 unless all are whole, all were open at once,
and the memory is in its bound; how late chunks are is judged beside those that came straight, since it is the
machine's doing first; `--most-added-ms 5` judges it on a quiet one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from openfusion_auto.server.files import allow_connections
from tests.bench.load import Request, body
from tests.bench.mock import fast_loop
from tests.bench.procs import cpu_s, memory_mb
from tests.bench.run import percentile
from tests.load.rig import Row, begin, configured, doing, finish, first_line, router

SENT = re.compile(rb" t=(\d{20})")
TAIL = 24  # [bytes] of a read that may hold the beginning of a mark, or of the end
OPEN_AT_ONCE = 200  # connections that are opened before the next ones
SPARE_S = 900.0  # [s] beyond what the streams take of themselves, for a machine that is busy
MOST_MB = 220.0  # the server at most, with 2,000 streams


@dataclass
class Load:
    """What many streams have in common."""

    chunks: int
    open: int = 0
    most_open: int = 0
    whole: int = 0
    broken: list[str] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    jitters_ms: list[float] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)
    opened_s: float = 0.0  # how long it took until as many were open as ever

    def begin(self) -> None:
        """One more stream has its first bytes."""
        self.open += 1
        if self.open > self.most_open:
            self.most_open, self.opened_s = self.open, time.monotonic() - self.began_s

    @property
    def ended(self) -> int:
        return self.whole + len(self.broken)


class Stream(asyncio.Protocol):
    """One stream: notes how late each chunk is, and whether it came to its end."""

    def __init__(self, request: Request, load: Load) -> None:
        self.request, self.load = request, load
        self.rest, self.delays_ms = b"", []
        self.begun = self.done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.request.bytes())

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        if not self.begun:
            self.begun = True
            self.load.begin()
        data = self.rest + data
        after = 0
        for found in SENT.finditer(data):
            self.delays_ms.append((now_ns - int(found[1])) / 1e6)
            after = found.end()
        self.rest = data[max(after, len(data) - TAIL) :]
        if self.rest.endswith(b"0\r\n\r\n"):
            self.done = True
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        load, count = self.load, len(self.delays_ms)
        load.open -= self.begun
        if not self.done or count != load.chunks:
            load.broken.append(f"{count} of {load.chunks} chunks, {exc or self.rest!r}")
            return
        load.whole += 1
        load.delays_ms += self.delays_ms
        steps = zip(self.delays_ms, self.delays_ms[1:], strict=False)
        load.jitters_ms.append(statistics.fmean(abs(b - a) for a, b in steps))


def run(port: int, streams: int, chunks: int, pause_ms: int) -> Load:
    """Open streams, all at once; returns what came of them."""

    async def together() -> Load:
        load, loop = Load(chunks), asyncio.get_running_loop()
        request = Request(port, content(streams, chunks, pause_ms))
        for first in range(0, streams, OPEN_AT_ONCE):
            count = min(OPEN_AT_ONCE, streams - first)
            opened = (
                loop.create_connection(lambda: Stream(request, load), "127.0.0.1", port)
                for _ in range(count)
            )
            await asyncio.gather(*opened)
        ends_s = time.monotonic() + chunks * pause_ms / 1000 + SPARE_S
        while load.ended < streams and time.monotonic() < ends_s:
            if load.broken and load.open + load.ended == streams:
                break  # the upstream waits for all of them, and some will not come any more
            await asyncio.sleep(0.1)
        return load

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(together())


def content(streams: int, chunks: int, pause_ms: int) -> bytes:
    """Return a coding agent's request for one slow stream of many."""
    asked = json.loads(body("openfusion/auto", stream=True, n=chunks, i=pause_ms))
    asked["messages"][-1]["content"] += f" [[gate n={streams}]]"
    asked["openfusion"] = {"mode": "single", "candidates": ["chat-a", "chat-b"]}
    return json.dumps(asked).encode()


@dataclass
class Rounds:
    """Both sides of every round, and what the kernel says of the server."""

    direct: list[Load] = field(default_factory=list)
    through: list[Load] = field(default_factory=list)
    idle_mb: float = 0.0
    most_mb: float = 0.0
    cpu_s: float = 0.0
    status: int = 0


def measure(folder: Path, *, streams: int, chunks: int, pause_ms: int, rounds: int) -> Rounds:
    """Run all rounds against one server."""
    allow_connections()
    found = Rounds()
    up = begin(folder, "tests.load.timed")
    try:
        up.port = int(first_line(up))
        config = configured(folder, up.port, slots=None, patience_s=900)
        with router(folder, config) as server:
            run(server.port, 1, 2, 1)  # what is loaded with the first request is no stream's
            found.idle_mb = memory_mb(server.pid)
            for number in range(rounds):
                doing(f"  round {number + 1} of {rounds}")
                found.direct.append(run(up.port, streams, chunks, pause_ms))
                before_s = cpu_s(server.pid)
                found.through.append(run(server.port, streams, chunks, pause_ms))
                found.cpu_s += cpu_s(server.pid) - before_s
            found.most_mb = memory_mb(server.pid, peak=True)
        found.status = server.process.returncode
    finally:
        up.end()
    return found


def over(loads: Iterable[Load], share: float, *, jitter: bool = False) -> float:
    """Return a percentile over all rounds [ms]; 0 when nothing came."""
    values = [v for load in loads for v in (load.jitters_ms if jitter else load.delays_ms)]
    return percentile(values, share) if values else 0.0


def beside(what: str, found: Rounds, share: float, *, jitter: bool = False) -> Row:
    """Return a figure of both sides."""
    direct = over(found.direct, share, jitter=jitter)
    through = over(found.through, share, jitter=jitter)
    ratio = f", {through / direct:.1f} x" if direct else ""
    return Row(what, f"{direct:.2f} -> {through:.2f} ms{ratio}")


def judged(found: Rounds, streams: int, most_added_ms: float | None) -> tuple[list[Row], list[str]]:
    """Return the figures, and what is wrong."""
    wanted = streams * len(found.through)
    whole = sum(load.whole for load in found.through)
    straight = sum(load.whole for load in found.direct)
    at_once = min(load.most_open for load in found.through)
    each_kb = (found.most_mb - found.idle_mb) * 1000 / streams
    chunks = sum(len(load.delays_ms) for load in found.through) or 1
    added = over(found.through, 0.99) - over(found.direct, 0.99)
    must = "" if most_added_ms is None else f"at most {most_added_ms:g} ms"
    good = most_added_ms is None or added <= most_added_ms
    rows = [
        Row("streams straight to the upstream, whole", f"{straight:,}", f"{wanted:,}", straight == wanted),
        Row("streams through the server, whole", f"{whole:,}", f"{wanted:,}", whole == wanted),
        Row("  open at once", f"{at_once:,}", f"{streams:,}", at_once == streams),
        Row("  until all were open, straight -> through", f"{opened(found.direct):.1f} -> {opened(found.through):.1f} s"),
        Row("memory of the server, idle", f"{found.idle_mb:.0f} MB"),
        Row("  at most", f"{found.most_mb:.0f} MB", f"at most {MOST_MB:g} MB", found.most_mb <= MOST_MB),
        Row("  a stream", f"{each_kb:.1f} KB"),
        Row("processor time a chunk, request included", f"{found.cpu_s / chunks * 1e6:.0f} us"),
        beside("chunk delay, straight -> through, p50", found, 0.5),
        beside("  p99", found, 0.99),
        Row("    added", f"{added:.2f} ms", must, good),
        beside("jitter (mean change of delay in a stream), p50", found, 0.5, jitter=True),
        beside("  p99", found, 0.99, jitter=True),
        Row("ended when told to, with status", f"{found.status}", "0", found.status == 0),
    ]  # fmt: skip
    return rows, [why for load in (*found.direct, *found.through) for why in load.broken]


def opened(loads: Iterable[Load]) -> float:
    """Return the longest time until all streams were open [s]."""
    return max(load.opened_s for load in loads)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--chunks", type=int, default=30)
    parser.add_argument("--pause-ms", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most-added-ms", type=float, help="bound at p99, for a quiet machine")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openfusion-load-") as folder:
        found = measure(
            Path(folder),
            streams=asked.streams,
            chunks=asked.chunks,
            pause_ms=asked.pause_ms,
            rounds=asked.rounds,
        )
    rows, problems = judged(found, asked.streams, asked.most_added_ms)
    for problem in problems[:20]:
        doing(f"  {problem}")
    title = f"{asked.streams:,} streams at once, {asked.chunks} chunks {asked.pause_ms} ms apart"
    return finish(title, rows)


if __name__ == "__main__":
    sys.exit(main())
