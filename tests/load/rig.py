"""What the load programs run: an upstream and `openfusion serve` before it, each a process of its own.

And what the kernel says of them, and how figures are shown.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench.procs import KEY_ENV, ROOT

DIALECTS = ("chat", "responses", "messages")
# id -> (USD per 1,000,000 tokens in, out, roles); an upstream of each dialect has two.
MODELS: dict[str, tuple[float, float, str]] = {
    "chat-a": (0.1, 0.4, "fast"),
    "chat-b": (0.5, 2.0, "coder"),
    "responses-a": (0.3, 1.2, "writer"),
    "responses-b": (2.0, 8.0, "reasoner"),
    "messages-a": (0.25, 1.25, "coder"),
    "messages-b": (3.0, 15.0, "verifier"),
}
SLOTS = 64  # requests that are answered at once
FACTS = 'source = "load", as_of = "2026-11-26"'
CANDIDATE = """
[[candidates]]
id = "{id}"
upstream = "{upstream}"
model = "load/{id}"
roles = ["{role}"]
price_usd_per_mtok = {{ input = {input}, output = {output}, {facts} }}
context_tokens = 200000
max_output_tokens = 32000
offers = ["tools"]
benchmarks = [{{ name = "swebench_verified_openhands", score = {score}, n = 500, {facts} }}]
"""
UPSTREAM = """
[[upstreams]]
name = "{name}"
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "{key_env}"
dialect = "{name}"
"""
CONFIG = """
[pool]
file = "pool.toml"

[timeouts]
first_token_s = {first_s}
idle_s = {idle_s}
total_s = 900

[store]
max_mb = 4000
"""
LIMITS = """
[limits]
max_concurrent = {slots}
"""
GIVE_UP_S = 60.0  # [s] for a process to start or to end


def pool_text() -> str:
    """Return the pool file: strengths so close that a panel has members."""
    entries = [
        CANDIDATE.format(
            id=name, upstream=name.partition("-")[0], role=role, input=read, output=written,
            score=68 + 2 * n, facts=FACTS,
        )
        for n, (name, (read, written, role)) in enumerate(MODELS.items())
    ]  # fmt: skip
    return "schema = 1\n" + "".join(entries)


def nano_usd(model: str, read: int, written: int) -> int:
    """Return what tokens of a model cost [1e-9 USD], by the prices above and by whole numbers."""
    price_in, price_out, _ = MODELS[model.removeprefix("load/")]
    return read * round(price_in * 1000) + written * round(price_out * 1000)


def configured(
    folder: Path, port: int, *, slots: int | None = SLOTS, patience_s: float = 3.0
) -> Path:
    """Write the configuration of a router before an upstream on `port`; return its path.

    Args:
        folder: Where to.
        port: The upstream's.
        slots: Requests that are answered at once; None = no bound.
        patience_s: Longest silence inside an answer [s].
    """
    (folder / "pool.toml").write_text(pool_text(), encoding="utf-8")
    places = [UPSTREAM.format(name=d, port=port, key_env=KEY_ENV) for d in DIALECTS]
    path = folder / "openfusion.toml"
    more = CONFIG.format(first_s=max(20.0, patience_s), idle_s=patience_s)
    more += LIMITS.format(slots=slots) if slots is not None else ""
    path.write_text("".join(places) + more, encoding="utf-8")
    return path


@dataclass
class Running:
    """A process and the port it serves on; `said` is where its complaints go."""

    process: subprocess.Popen[str]
    said: Path
    port: int = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its end; returns its status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


def begin(folder: Path, *args: str) -> Running:
    """Start a module of this checkout; its complaints go to a file, so that no full pipe ever holds it up."""
    said = folder / f"{args[0].rpartition('.')[2]}.log"
    env = {**os.environ, KEY_ENV: "sk-load", "OPENFUSION_STATE_DIR": str(folder / "state")}
    with said.open("a", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *args], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=file, text=True
        )  # fmt: skip
    return Running(process, said)


def first_line(running: Running) -> str:
    """Wait for a process to say where it listens."""
    line = running.process.stdout.readline() if running.process.stdout else ""
    if not line:
        running.end()
        raise RuntimeError(f"it did not start: {running.said.read_text()[-2000:]}")
    return line


@contextlib.contextmanager
def upstream(folder: Path, faults: float, seed: int) -> Iterator[Running]:
    """Run the scripted upstream."""
    journal = str(folder / "journal.jsonl")
    args = (journal, "--faults", str(faults), "--seed", str(seed))
    running = begin(folder, "tests.load.upstream", *args)
    try:
        running.port = int(first_line(running))
        yield running
    finally:
        running.end()


def start_router(folder: Path, config: Path) -> Running:
    """Start `serve`, not waiting for it."""
    return begin(
        folder, "openfusion_auto", "serve", "--config", str(config), "--port", "0", "--json"
    )


def wait_for_router(running: Running) -> None:
    """Wait until it serves."""
    running.port = int(json.loads(first_line(running))["url"].rpartition(":")[2])


@contextlib.contextmanager
def router(folder: Path, config: Path) -> Iterator[Running]:
    """Run `openfusion serve`."""
    running = start_router(folder, config)
    try:
        wait_for_router(running)
        yield running
    finally:
        running.end()


# -- looking ----------------------------------------------------------------------------------------------------------


def get(url: str) -> str:
    """Return what an address says."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def metric(url: str, name: str) -> float:
    """Return a metric without labels."""
    line = next(x for x in get(f"{url}/metrics").splitlines() if x.startswith(name + " "))
    return float(line.split()[1])


def state(up: Running) -> dict[str, int]:
    """Return what the scripted upstream has open."""
    return json.loads(get(f"{up.url}/state"))


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(entry).startswith("socket:")
    return count


def becomes(wanted: Callable[[], bool], patience_s: float) -> bool:
    """Whether something becomes true in time."""
    ends_s = time.monotonic() + patience_s
    while not wanted():
        if time.monotonic() > ends_s:
            return False
        time.sleep(0.1)
    return True


class Slope(NamedTuple):
    """A line through samples: how steep [per hour], and how far samples lie from it (standard deviation)."""

    per_hour: float
    spread: float
    count: int


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line by least squares through (time [s], value)."""
    count = len(samples)
    mean_t = sum(t for t, _ in samples) / count
    mean_v = sum(v for _, v in samples) / count
    spans = sum((t - mean_t) ** 2 for t, _ in samples)
    rise = sum((t - mean_t) * (v - mean_v) for t, v in samples) / spans if spans else 0.0
    rest = sum((v - mean_v - rise * (t - mean_t)) ** 2 for t, v in samples)
    return Slope(rise * 3600, (rest / count) ** 0.5, count)


# -- showing ----------------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """A figure: `must` says what it has to be ("" = only told), `good` whether it is."""

    what: str
    value: str
    must: str = ""
    good: bool = True


def table(title: str, rows: Sequence[Row]) -> str:
    """Return figures as a table for people."""
    wide = max(len(r.what) for r in rows)
    deep = max(len(r.value) for r in rows)
    lines = [title, ""]
    for row in rows:
        verdict = "" if not row.must else "ok" if row.good else "MISS"
        lines.append(
            f"  {row.what:<{wide}}  {row.value:>{deep}}  {verdict:<4}  {row.must}".rstrip()
        )
    misses = sum(not r.good for r in rows)
    lines += ["", "all as it must be" if not misses else f"{misses} of {len(rows)} missed"]
    return "\n".join(lines)


def finish(title: str, rows: Sequence[Row]) -> int:
    """Print figures; returns the exit code."""
    print(table(title, rows), flush=True)
    return int(any(not r.good for r in rows))


def doing(text: str) -> None:
    """Tell on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)
