"""Things to keep, and a clock that a test moves."""

import time

from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Breaker, Cached, Pin, Stats
from openfusion_auto.store.base import Line, Maker, TraceHead, TraceRow

STATS = Stats(3.0, 1.0, 412.5, 3.0, 61.0, 2.0, 3.7, 3.0, at_s=1000.0)
BREAKER = Breaker("open", 3, until_s=1020.0)
CACHES = (Cached("fast-a", 2100, 1200.0), Cached("coder-a", 1050, 1300.0))
PIN = Pin("coder-a", CACHES, 3, expires_s=4600.0, escalated=True)
MAKER = Maker("relay", "vendor/coder-a")
SPENDING = Spending(((500_000, 7), (500_001, 8)), ((20_000, 15),), 3, 1_800_000_000.0)
TALLY = Tally(4.0, 2.5, at_s=900.0)
ALL = {
    Stats: STATS,
    Breaker: BREAKER,
    Pin: PIN,
    Maker: MAKER,
    Spending: SPENDING,
    Tally: TALLY,
}


class Wall:
    """Seconds since 1970, moved by hand."""

    def __init__(self, now_s=1_800_000_000.0):
        self.now_s = now_s

    def __call__(self):
        return self.now_s


def line(trace="tr_1", at=1_800_000_000.0, **more):
    known = {
        "trace": trace, "at": at, "session": "s", "phase": "primary", "candidate": "coder-a",
        "model": "vendor/coder-a", "upstream": "relay", "status": "ok", "input": 100, "cached": 40,
        "cache_write": 0, "output": 20, "usd": 0.25, "estimated": False,
    }  # fmt: skip
    return Line(**{**known, **more})


def row(name="tr_1", at=1_800_000_000.0, document=b"d", words=None, **more):
    known = {
        "requested": "openfusion/auto",
        "candidate": "coder-a",
        "model": "vendor/coder-a",
        "mode": "single",
        "outcome": "ok",
    }
    head = TraceHead(name, at, **{**known, **more})
    return TraceRow(head, f'{{"trace_id": "{name}"}}', document, words)


def until(true, timeout_s=10.0):
    """Wait for something that another thread does."""
    ends = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)
