"""What the router costs, measured against the same upstream without it, in interleaved rounds of one run.

    python -m tests.bench.run [--rounds N] [--json]

Each round measures direct and router one right after the other, so that a busy machine slows both; each figure
is the median over the rounds. Read ratios and processor time: absolute times are those of the machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from openfusion_auto.config.load import shipped_pool
from openfusion_auto.config.pool import load_pool
from openfusion_auto.core.classify import read
from openfusion_auto.core.decide import decide
from openfusion_auto.core.types import State, Stats
from openfusion_auto.server.files import allow_connections
from openfusion_auto.wire.chat_request import parse_request
from tests.bench.load import NONCE, Target, all_at_once, body, one_by_one
from tests.bench.procs import Router, bare, cpu_s, memory_mb, mock, pinned_here, router

Figures = dict[str, float]

# name -> (unit, must, what it is); `must` as in docs/reference/speed.md, None where the figure is only for comparison.
TARGETS: dict[str, tuple[str, float | None, str]] = {
    "cpu_request_ms": ("ms", 0.30, "processor time of a 2 KB request, 64 at a time"),
    "cpu_request_ratio": ("x", None, "the same, in requests of a bare relay"),
    "cpu_chunk_us": ("µs", 45.0, "processor time of a relayed chunk"),
    "cpu_chunk_ratio": ("x", None, "the same, in chunks of a bare relay"),
    "added_p50_ms": ("ms", 0.6, "added to a 2 KB request, one at a time, median"),
    "added_p99_ms": ("ms", 1.5, "the same, 99th percentile"),
    "throughput_rps": ("1/s", 3300.0, "requests a second on one core, 64 at a time"),
    "throughput_ratio": ("", None, "the same as a share of direct"),
    "first_byte_added_ms": ("ms", 1.5, "added to the first byte of a stream, median"),
    "big_added_ms": ("ms", 4.0, "added to a 400 KB request, median"),
    "big_cpu_ratio": ("x", None, "its processor time, in 400 KB requests of a bare relay"),
    "streams_mb": ("MB", 220.0, "the most memory, 2,000 slow streams at once, all of them whole"),
    "decision_ms": ("ms", 0.5, "reading and deciding a 20 KB request, 12 candidates, median"),
    "cold_start_s": ("s", 1.0, "from the command to its first answer"),
    "idle_mb": ("MB", 90.0, "resident memory after the first answer"),
}
CHUNKS, PAUSE_MS, STREAMS = 100, 10, 50
SLOW_STREAMS, SLOW_CHUNKS, SLOW_PAUSE_MS = 2000, 10, 500
WORK_S = 0.14  # [s] of processor time for `work`, the least seen on the machine of docs/reference/speed.md


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def work() -> None:
    """What an interpreter does in a router: objects, dictionaries, text, JSON; always the same amount."""
    raw = body("m", 20_000).decode()
    for _ in range(400):
        messages = json.loads(raw)["messages"]
        words = {m["role"]: m["content"].split() for m in messages}
        pairs = [(k, len(w), w[0]) for k, v in words.items() for w in v]
        json.dumps({"pairs": sorted(pairs)[:500]})


def slowness() -> float:
    """How much slower than `WORK_S` this machine is now: other work on a shared core shows in processor time too."""
    began_s = time.process_time()
    work()
    return (time.process_time() - began_s) / WORK_S


def latency(direct: Target, through: Target, count: int) -> Figures:
    """One request at a time, on either side."""
    bare, _ = one_by_one(direct.request(), count)
    whole, _ = one_by_one(through.request(), count)
    return {
        "added_p50_ms": (percentile(whole, 0.5) - percentile(bare, 0.5)) * 1e3,
        "added_p99_ms": (percentile(whole, 0.99) - percentile(bare, 0.99)) * 1e3,
    }


def first_byte(direct: Target, through: Target, count: int) -> Figures:
    """Streams, one at a time: when the first data is there."""
    _, bare = one_by_one(direct.request(stream=True), count)
    _, added = one_by_one(through.request(stream=True), count)
    return {"first_byte_added_ms": (percentile(added, 0.5) - percentile(bare, 0.5)) * 1e3}


def used(through: Router, work: Callable[[], float]) -> float:
    """Processor time that a process uses while `work` runs [s]; its load generator does not count."""
    before = cpu_s(through.pid)
    work()
    return cpu_s(through.pid) - before


def big(direct: Target, through: Router, relay: Router, count: int) -> Figures:
    """Long prompts, one at a time."""

    def median_s(target: Target) -> float:
        whole, _ = one_by_one(target.request(400_000), count, warm=3)
        return percentile(whole, 0.5)

    added = -median_s(direct)
    ours = used(through, lambda: median_s(through.target))
    added += median_s(through.target)
    theirs = used(relay, lambda: median_s(relay.target))
    return {"big_added_ms": added * 1e3, "big_cpu_ratio": ours / max(theirs, 0.01)}


def throughput(direct: Target, through: Router, relay: Router, count: int) -> Figures:
    """64 at a time, directly, through the router, through the bare relay."""
    bare_s = all_at_once(direct.request(), count, 64)
    took_s = [0.0]

    def load(router: Router) -> float:
        took_s[0] = all_at_once(router.target.request(), count, 64)
        return took_s[0]

    theirs = used(relay, lambda: load(relay))
    ours = used(through, lambda: load(through))
    return {
        "throughput_rps": count / took_s[0],
        "throughput_ratio": bare_s / took_s[0],
        "cpu_request_ms": ours / count * 1e3,
        "cpu_request_ratio": ours / theirs,
    }


def chunks(through: Router, relay: Router, streams: int) -> Figures:
    """Slow streams side by side: each chunk is read, passed on and written for itself.

    The request's own share is in it: a hundredth of a request a chunk.
    """

    def load(router: Router) -> float:
        request = router.target.request(stream=True, n=CHUNKS, i=PAUSE_MS)
        return all_at_once(request, streams, STREAMS)

    theirs = used(relay, lambda: load(relay))
    ours = used(through, lambda: load(through))
    return {"cpu_chunk_us": ours / (streams * CHUNKS) * 1e6, "cpu_chunk_ratio": ours / theirs}


def slow_streams(through: Router, streams: int = SLOW_STREAMS) -> Figures:
    """Many streams at once, each a few chunks far apart; one that is not whole is an error."""
    request = through.target.request(stream=True, n=SLOW_CHUNKS, i=SLOW_PAUSE_MS)
    all_at_once(request, streams, streams)
    return {"streams_mb": memory_mb(through.pid, peak=True)}


def decision(count: int = 200) -> Figures:
    """Reading and deciding alone, in this process, with live numbers of every candidate; no two prompts are alike."""
    pool = load_pool(shipped_pool("default"))
    seen = Stats(20.0, 1.0, 900.0, 10.0, 60.0, 10.0, 3.5, 20.0, at_s=90.0)
    state = State(now_s=100.0, stats={c.id: seen for c in pool.candidates})
    raw = body("openfusion/auto", 20_000)
    prompts = [parse_request(raw.replace(NONCE.encode(), b"%012d" % k)) for k in range(count)]
    times = []
    gc.collect()
    for prompt in prompts:
        began_s = time.perf_counter()
        decided = decide(read(prompt), pool, state)
        times.append(time.perf_counter() - began_s)
        assert len(decided.ranking) == len(pool.candidates) == 12
    return {"decision_ms": statistics.median(times) * 1e3}


def measure(rounds: int, *, requests: int = 2000, folder: Path) -> Figures:
    """All figures, each the median over the rounds."""
    gathered: dict[str, list[float]] = {}

    def take(figures: Figures) -> None:
        for name, value in figures.items():
            gathered.setdefault(name, []).append(value)

    allow_connections()  # this process has as many as the router
    with pinned_here(), mock() as direct, bare(direct) as relay:
        for _ in range(rounds):
            with router(direct, folder) as through:
                take({"cold_start_s": through.cold_s, "idle_mb": memory_mb(through.pid)})
                parts: list[Callable[[], Figures]] = [
                    lambda r=through: latency(direct, r.target, requests // 5),
                    lambda r=through: throughput(direct, r, relay, requests),
                    lambda r=through: first_byte(direct, r.target, requests // 20),
                    lambda r=through: chunks(r, relay, 2 * STREAMS),
                    lambda r=through: big(direct, r, relay, 20),
                    lambda r=through: slow_streams(r),
                    decision,
                ]
                for part in parts:
                    take(part())
    return {name: statistics.median(gathered[name]) for name in TARGETS}


def table(figures: Figures) -> str:
    """The figures beside what they must be; over 1.00 in the last column is missed."""
    lines = [f"{'figure':<21}{'value':>10} {'unit':<5}{'must':>8}{'share':>7}  what"]
    for name, (unit, must, what) in TARGETS.items():
        value = figures[name]
        share = None
        if must is not None:
            share = must / value if unit == "1/s" else value / must
        lines.append(
            f"{name:<21}{value:>10.3f} {unit:<5}{'' if must is None else f'{must:g}':>8}"
            f"{'' if share is None else f'{share:.2f}':>7}  {what}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(args.rounds, folder=Path(folder))
    print(json.dumps(figures) if args.json else table(figures))


if __name__ == "__main__":
    main()
