"""A trace that was written down is shown exactly as it was in memory, and found wherever it is."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import typing
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_digest, decision_json
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.types import (
    LEVELS,
    Breaker,
    Cached,
    Decision,
    Needs,
    Pin,
    Policy,
    State,
    Stats,
)
from openfusion_auto.runtime import archive
from openfusion_auto.runtime.archive import (
    TUPLES,
    UNREADABLE,
    Archive,
    KeptDecision,
    head_of,
    restored,
    row_of,
)
from openfusion_auto.runtime.texts import Texts
from openfusion_auto.runtime.trace import Attempt, Trace, TraceStore, full
from openfusion_auto.store import records
from openfusion_auto.store.base import TraceQuery
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.records import Unreadable
from tests.support.pools import CODER, FOUR, candidate, pool, solves, task

STATE = State(
    5.0,
    {"coder-a": Stats(3.2, 0.1, 412.5, 3.0, 61.0, 2.0, 3.7, 3.0, 4.5)},
    {"fast-a": Breaker("open", 3, 25.0)},
    Pin("coder-a", (Cached("coder-a", 1050, 300.0),), 2, 3600.0),
    {"other": "set KEY"},
)


def trace(name="tr_1", at=1_800_000_000.25, **changes) -> Trace:
    asked = task(options=Options(max_usd=0.5, panel=("coder-a",)))
    made = Trace(name, "openfusion/auto", "chat", True, at, outcome="ok", ms=12.5)
    made.decision = decide(asked, FOUR, STATE, Policy(cost_quality=3))
    made.state, made.answered_by, made.answered_phase = STATE, "coder-a", "primary"
    line = Attempt("primary", CODER.id, CODER.model, CODER.upstream, 1.0, status="ok", lost=("x",))
    line.book(CODER, Usage(1000, 50, 900))
    made.attempts.append(line)
    made.notes.append("a note")
    for key, value in changes.items():
        setattr(made, key, value)
    return made


@pytest.fixture(params=["with orjson", "without"])
def encoder(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(records, "orjson", None)


def test_a_restored_trace_is_the_same_and_is_shown_the_same(encoder):
    made = trace()
    again = restored(row_of(made).document)
    assert again == made
    assert json.dumps(full(again)) == json.dumps(full(made))


# -- any decision -----------------------------------------------------------------------------------------------------

UNPRICED = candidate("unpriced-a", price=None, benchmarks=solves(75))
FREE = candidate("free-a", price=dataclasses.replace(CODER.price, input=0.0, output=0.0))
POOLS = (FOUR, pool(*FOUR.candidates, UNPRICED), pool(UNPRICED, FREE), pool(UNPRICED))
ids_of_all = st.sampled_from(sorted({c.id for p in POOLS for c in p.candidates}))
numbers = st.floats(0, 5_000, allow_nan=False)
measured = st.builds(Stats, *[numbers] * 8, at_s=numbers, cache_hit=st.floats(0, 1), cache_weight=numbers)  # fmt: skip
pins = st.builds(
    Pin,
    ids_of_all,
    st.lists(st.builds(Cached, ids_of_all, st.integers(0, 200_000), numbers), max_size=3).map(
        tuple
    ),
    st.integers(1, 40),
    st.floats(5_000, 9_000),
    st.booleans(),
)
tasks = st.builds(
    task,
    kind=st.sampled_from(["bugfix", "feature", "chat", "aux"]),
    risk=st.sampled_from(LEVELS),
    complexity=st.sampled_from(LEVELS),
    turn=st.sampled_from(["user", "tool", "tool", "aux"]),
    needs=st.builds(Needs, input_tokens=st.integers(0, 150_000)),
    struggling=st.booleans(),
    ease=st.none() | st.floats(-4, 4),
    lifts=st.lists(st.tuples(ids_of_all, st.floats(-0.5, 0.5)), max_size=3).map(tuple),
    options=st.builds(
        Options,
        mode=st.sampled_from(["auto", "single", "verify", "panel"]),
        max_usd=st.none() | st.floats(0.0001, 2),
    ),
)
states = st.builds(
    State,
    numbers,
    st.dictionaries(ids_of_all, measured, max_size=5),
    st.dictionaries(ids_of_all, st.builds(Breaker, st.sampled_from(["closed", "open"]), st.integers(0, 5), numbers), max_size=3),
    st.none() | pins,
)  # fmt: skip


@given(tasks, st.sampled_from(range(len(POOLS))), states, st.floats(0, 10))
@settings(max_examples=100, deadline=None)
def test_any_decision_comes_back_and_says_the_same(asked, of, state, knob):
    decision = decide(asked, POOLS[of], state, Policy(cost_quality=knob))
    made = trace(decision=decision, state=state)
    again = restored(row_of(made).document)
    assert again == made
    assert json.dumps(full(again)) == json.dumps(full(made))
    assert decision_digest(again.decision) == decision_digest(decision)
    assert decision_json(again.decision) == decision_json(decision)


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
@pytest.mark.parametrize("turn", ["user", "tool"])
def test_a_decision_of_every_mode_comes_back_pinned_or_locked(encoder, mode, turn):
    asked = task(turn=turn, risk="high", complexity="high", options=Options(mode=mode))
    decision = decide(asked, POOLS[1], STATE, Policy())
    assert decision.mode == mode
    assert decision.staying is not None
    assert decision.ranking[0].table.locked == (turn == "tool")
    made = trace(decision=decision)
    again = restored(row_of(made).document)
    assert full(again) == full(made)
    assert decision_digest(again.decision) == decision_digest(decision)
    # Once more from what came back: nothing of it wears off.
    assert full(restored(row_of(again).document)) == full(made)


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": None, "state": None, "attempts": [], "answered_by": None},
        {"requested_model": "half a pair \ud800", "outcome": "error", "error": "bad_request"},
        {"attempts": [Attempt("p", "c", "m", "u", 1.0, usage=Usage(10**30))]},
    ],
    ids=["nothing decided", "odd name", "absurd usage"],
)
def test_traces_of_requests_that_went_wrong_come_back_too(changes):
    made = trace(**changes)
    assert restored(row_of(made).document) == made


def test_every_named_tuple_inside_a_trace_says_its_fields():
    found, seen = set(), set()

    def walk(hint):
        for inner in typing.get_args(hint):
            walk(inner)
        if not isinstance(hint, type) or hint in seen:
            return
        seen.add(hint)
        if issubclass(hint, tuple) and hasattr(hint, "_fields"):
            found.add(hint)
        if dataclasses.is_dataclass(hint) or hint in found:
            for inner in typing.get_type_hints(hint).values():
                walk(inner)

    for kind in (Trace, Decision, KeptDecision):
        walk(kind)
    assert found == set(TUPLES)


def test_it_is_small():
    assert len(row_of(trace()).document) < 3_000


def test_what_it_is_found_by():
    assert head_of(trace(requested_model="x" * 999)) == (
        "tr_1", 1_800_000_000.25, "x" * 200, "coder-a", CODER.model, trace().decision.mode, "ok", None,
        "bugfix", None,
    )  # fmt: skip
    assert head_of(trace(answered_by=None, decision=None, attempts=[]))[3:6] == (None, None, None)
    assert head_of(trace(owner="hash")).owner == "hash"


@pytest.mark.parametrize("document", [b"", b"rubbish", zlib.compress(b"[]"), zlib.compress(b"{"), zlib.compress(b'{"layout": {}, "trace": {}}')])  # fmt: skip
def test_what_this_version_cannot_read_is_shown_as_far_as_it_goes(document):
    with pytest.raises(Unreadable):
        restored(document)
    shown = archive.shown(row_of(trace())._replace(document=document))
    assert (shown["trace_id"], shown["outcome"], shown["ms"]) == ("tr_1", "ok", 12.5)
    assert shown["notes"] == [UNREADABLE]
    assert archive.summary(row_of(trace())._replace(summary="[]"))["trace_id"] == "tr_1"


# -- finding ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def both():
    """Memory with the newest two, one of them still running; a store with all that have ended."""
    memory, store = TraceStore(2), MemoryStore()
    for n in range(1, 5):
        made = trace(f"tr_{n}", at=float(n), requested_model=f"m{n % 2}")
        store.record(made.id, lambda made=made: row_of(made))
        memory.add(made)
    memory.add(trace("tr_5", at=5.0, outcome="running"))
    return memory, store


def ids(both, **query):
    rows = asyncio.run(Archive(*both).listed(TraceQuery(**{"limit": 9, **query})))
    return [row["trace_id"] for row in rows]


def test_a_list_goes_on_from_memory_into_the_store(both):
    assert ids(both) == ["tr_5", "tr_4", "tr_3", "tr_2", "tr_1"]
    assert ids(both, limit=3) == ["tr_5", "tr_4", "tr_3"]
    assert ids(both, before=(3.0, "tr_3")) == ["tr_2", "tr_1"]
    assert ids(both, before=(4.0, "")) == ["tr_3", "tr_2", "tr_1"]


def test_a_list_takes_a_part(both):
    assert ids(both, outcome="running") == ["tr_5"]
    assert ids(both, model="m1") == ["tr_3", "tr_1"]
    assert ids(both, model="coder-a") == ids(both)
    assert ids(both, model=CODER.model) == ids(both)
    assert ids(both, mode=trace().decision.mode) == ids(both)
    assert ids(both, mode="verify", outcome="ok") == []


async def test_words_are_looked_through_only_by_who_searches_and_not_on_the_event_loop(monkeypatch):
    memory, looked = TraceStore(9), []
    memory.add(trace("tr_w", texts=Texts("Find the NEEDLE")))
    found = Archive(memory, MemoryStore())

    def words(made):
        looked.append(threading.current_thread() is threading.main_thread())
        return made.texts.words()

    monkeypatch.setattr(archive, "words_of", words)
    assert len(await found.listed(TraceQuery(5))) == 1
    assert looked == []
    for text, count in (("needle", 1), ("pin", 0)):
        rows = await found.listed(TraceQuery(5, words=text))
        assert len(rows) == count
    assert looked == [False, False]


async def test_searches_take_no_thread_from_those_who_resolve_names():
    ended, store = threading.Event(), MemoryStore()
    store.traces = lambda query: ended.wait(9) and [] if query.words else []
    found = Archive(TraceStore(9), store)
    searches = [asyncio.create_task(found.listed(TraceQuery(5, words="x"))) for _ in range(40)]
    try:
        await asyncio.sleep(0.1)
        async with asyncio.timeout(2):
            assert await found.listed(TraceQuery(5)) == []
            await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 1)
    finally:
        ended.set()
        assert await asyncio.gather(*searches) == [[]] * 40
    found.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        await found.listed(TraceQuery(5, words="x"))


def test_one_is_found_in_memory_or_in_the_store(both):
    for name in ("tr_1", "tr_5"):
        assert asyncio.run(Archive(*both).find(name))["trace_id"] == name
        assert asyncio.run(Archive(*both).moment(name)) == (float(name[3:]), name)
    assert asyncio.run(Archive(*both).find("tr_9")) is None
    assert asyncio.run(Archive(*both).moment("tr_9")) is None


def test_who_is_not_its_owner_finds_no_trace_wherever_it_is():
    memory, store = TraceStore(9), MemoryStore()
    kept = trace("tr_kept", owner="a")
    memory.add(trace("tr_fresh", owner="a"))
    store.record(kept.id, lambda: row_of(kept))
    for owner, sees in ((None, True), ("a", True), ("b", False)):
        for name in ("tr_kept", "tr_fresh"):
            assert (asyncio.run(Archive(memory, store).find(name, owner)) is not None) == sees
            assert (asyncio.run(Archive(memory, store).moment(name, owner)) is not None) == sees
        assert len(ids((memory, store), owner=owner)) == 2 * sees


async def test_the_trace_itself_is_found_in_memory_and_in_the_store_by_its_owner_alone():
    memory, store = TraceStore(10), MemoryStore()
    fresh, old = trace("tr_fresh", owner="me"), trace("tr_old", owner="me")
    memory.add(fresh)
    store.record("tr_old", lambda: row_of(old))
    store.record(
        "tr_odd", lambda: row_of(old)._replace(document=b"", head=head_of(trace("tr_odd")))
    )
    assert await Archive(memory, store).whole("tr_fresh", "me") is fresh
    assert full(await Archive(memory, store).whole("tr_old")) == full(old)
    for name in ("tr_fresh", "tr_old", "tr_odd"):
        assert await Archive(memory, store).whole(name, "another") is None
    assert await Archive(memory, store).whole("tr_none") is None
    with pytest.raises(Unreadable):
        await Archive(memory, store).whole("tr_odd")
