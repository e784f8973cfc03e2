"""The processes of a measurement: the mock upstream, the router before it, and what the kernel says of them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import Target, one_by_one

ROOT = Path(__file__).resolve().parents[2]
KEY_ENV = "BENCH_UPSTREAM_KEY"
# `single`: a further call to a model would be taken for a cost of the router.
CONFIG = """\
[[upstreams]]
name = "openrouter"
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "{key_env}"
dialect = "chat"

[pool]
file = "default"

[auto]
mode = "single"
"""


def can_measure() -> bool:
    """Whether this machine tells the processor time of other processes (Linux)."""
    return Path("/proc/self/stat").exists()


def cpu_s(pid: int) -> float:
    """Processor time of a process, all its threads, user and system [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, *, peak: bool = False) -> float:
    """Resident memory of a process [MB]: now, or the most it has had."""
    name = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1000
    raise ProcessLookupError(pid)


def pin(pid: int, share: int) -> None:
    """Keep a process on one processor where there are two: 0 for the router, 1 for everything else."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(usable) >= 2:
        os.sched_setaffinity(pid, {usable[share]})


@contextlib.contextmanager
def pinned_here() -> Iterator[None]:
    """Keep this process beside the mock while it makes load."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    cpus = sorted(before)
    os.sched_setaffinity(0, {cpus[-1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def spawned(*args: str, cpu: int, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Run a Python module of this checkout; it is terminated at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", *args],
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        pin(process.pid, cpu)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


@dataclass(frozen=True)
class Router:
    """A running router: its address, its process, how long it took to its first answer [s]."""

    target: Target
    pid: int
    cold_s: float


@contextlib.contextmanager
def mock() -> Iterator[Target]:
    """Run the mock upstream."""
    with spawned("tests.bench.mock", cpu=1) as process:
        yield Target(int(first_line(process)), "mock-model")


@contextlib.contextmanager
def bare(upstream: Target) -> Iterator[Router]:
    """Run the relay that does nothing else, where the router runs too."""
    with spawned("tests.bench.bare", str(upstream.port), cpu=0) as process:
        target = Target(int(first_line(process)), "mock-model")
        one_by_one(target.request(), 1, warm=0)
        yield Router(target, process.pid, 0.0)


@contextlib.contextmanager
def router(upstream: Target, folder: Path) -> Iterator[Router]:
    """Run `serve` with the shipped pool before the mock, as a user would, and ask it once."""
    config = folder / "openfusion.toml"
    config.write_text(CONFIG.format(port=upstream.port, key_env=KEY_ENV), encoding="utf-8")
    args = ("openfusion_auto", "serve", "--config", str(config), "--port", "0", "--json")
    state = {KEY_ENV: "sk-upstream", "OPENFUSION_STATE_DIR": str(folder / "state")}
    began_s = time.perf_counter()
    with spawned(*args, cpu=0, **state) as process:
        url = json.loads(first_line(process))["url"]
        target = Target(int(url.rpartition(":")[2]), "openfusion/auto")
        one_by_one(target.request(), 1, warm=0)
        yield Router(target, process.pid, time.perf_counter() - began_s)


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for a process to say where it listens; fail with what it complains of."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        complaint = process.stderr.read() if process.stderr else ""
        raise RuntimeError(f"it did not start: {complaint[-2000:]}")
    return line
