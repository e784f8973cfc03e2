"""The store without a file: bounded, and the measure of the other one (see test_sqlite.py)."""

import pytest

from openfusion_auto.core.types import Pin, Stats
from openfusion_auto.store import memory as module
from openfusion_auto.store.base import Spend, TraceQuery
from openfusion_auto.store.memory import MemoryStore
from tests.store.samples import PIN, STATS, line, row


def test_it_says_why_it_is_not_a_file():
    assert MemoryStore().status() == ("memory", None, 0, 0)
    assert MemoryStore(problem="no room").status().problem == "no room"


def test_pins_are_bounded_the_oldest_change_goes_first(monkeypatch):
    monkeypatch.setattr(module, "NEWEST", {"pin": 2})
    store = MemoryStore()
    for name in ("one", "two", "one", "three"):
        store.keep(Pin, name, PIN, 0.0)
    assert [name for name, _ in store.load(Pin, 0.0)] == ["one", "three"]


def test_lines_and_traces_are_bounded():
    store = MemoryStore(max_lines=2, max_traces=1)
    for n in range(3):
        store.enter(line(candidate=f"c{n}"))
        store.record(f"tr_{n}", lambda n=n: row(f"tr_{n}"))
    assert [s.candidate for s in store.spend(0.0)] == ["c1", "c2"]
    assert [r.head.id for r in store.traces(TraceQuery(9))] == ["tr_2"]


def test_it_holds_no_traces_when_told_so():
    store = MemoryStore(max_traces=0)
    store.record("tr_1", row)
    assert store.trace("tr_1") is None


def test_unknown_prices_are_counted_and_calls_without_tokens_are_not():
    store = MemoryStore()
    store.enter(line(usd=None))
    store.enter(line(usd=None, input=None, cached=None, output=None, status="upstream_timeout"))
    store.enter(line(usd=0.5, status="cancelled"))
    assert store.spend(0.0) == [Spend("coder-a", 3, 1, 200, 80, 40, 0.5, 1)]


def test_nobody_else_can_tell_it_to_forget():
    told = []
    store = MemoryStore()
    store.on_forget(told.append)
    store.keep(Stats, "a", STATS, 0.0)
    assert store.forget(None) == 1
    assert told == []
    store.close()


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_traces_come_newest_first_up_to_the_limit(limit):
    store = MemoryStore()
    for n in (2, 1, 3):
        store.record(f"tr_{n}", lambda n=n: row(f"tr_{n}", at=float(n)))
    assert [r.head.id for r in store.traces(TraceQuery(limit))] == ["tr_3", "tr_2", "tr_1"][:limit]
