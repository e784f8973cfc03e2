"""A process that is killed at any moment leaves a file that opens, with all but the last tenth of a second in it."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import openfusion_auto
from openfusion_auto.core.types import Stats
from openfusion_auto.store.base import TraceQuery
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore

ROOT = str(Path(openfusion_auto.__file__).resolve().parents[1])
ROUNDS = 4
# What may be lost: the tenth of a second that is promised, and as much again for a machine that is busy with others.
LOST_S = 0.2
# Writes lines, traces and a live value as fast as a busy server, and says on stdout how far it is and when.
CHILD = """
import sys, time
from pathlib import Path
from openfusion_auto.core.types import Stats
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from tests.store.samples import line, row

store = SqliteStore(Path(sys.argv[1]), Limits(), time.time)
first = int(sys.argv[2])
for n in range(first, first + 1_000_000):
    store.enter(line(f"tr_{n}", at=time.time()))
    store.keep(Stats, "a", Stats(ok=float(n)), 0.0)
    if n % 10 == 0:
        store.record(f"tr_{n}", lambda n=n: row(f"tr_{n}", at=float(n), document=bytes(3000)))
    print(n, time.monotonic(), flush=True)
    time.sleep(0.001)
"""


def killed_after(path, first, span_s):
    """Run a writer, kill it, and return the last number that was older than what may be lost."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(first)],
        env={**os.environ, "PYTHONPATH": ROOT}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    begun = process.stdout.readline()
    time.sleep(span_s)
    at_s = time.monotonic()
    process.send_signal(signal.SIGKILL)
    said = [begun, *process.stdout]
    process.wait()
    process.stdout.close()
    whole = [line.split() for line in said if line.endswith("\n")]
    return int(whole[-1][0]), max(
        (int(n) for n, when in whole if float(when) < at_s - LOST_S), default=None
    )


def test_killed_at_any_moment_the_file_opens_and_holds_all_but_the_last_moment(tmp_path):
    path, first = tmp_path / "s.sqlite3", 0
    chance = random.Random(20261125)
    expected = set()
    for _ in range(ROUNDS):
        last, safe = killed_after(path, first, chance.uniform(0.25, 0.6))
        assert safe is not None
        expected |= set(range(first, safe + 1))
        store = SqliteStore(path, Limits(), time.time)
        ((_, stats),) = store.load(Stats, 0.0)
        assert safe <= stats.ok <= last
        ((spend),) = store.spend(0.0)
        assert spend.calls >= len(expected)
        assert spend.calls <= last + 1  # none twice
        assert store.traces(TraceQuery(1))[0].head.at >= safe // 10 * 10
        store.close()
        first = last + 1
