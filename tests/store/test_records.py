"""Values survive being written, in files of other versions too; moments are marked as such."""

import dataclasses
import json
import types
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.limits import Spending
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.types import Breaker, Cached, Pin, Policy, Price, State, Stats, Task, Term
from openfusion_auto.runtime.trace import Attempt
from openfusion_auto.store import records
from openfusion_auto.store.base import KINDS, Maker
from openfusion_auto.store.records import TIMES, Unreadable, dumps, loads, moved, read
from tests.store.samples import ALL, BREAKER, PIN, SPENDING, STATS

# Fields in seconds that are no moments but durations would stand here.
DURATIONS = {
    "tokens_per_s",  # a rate
    "last_s",  # of an account: since 1970 in memory too
}


@pytest.fixture(params=["with orjson", "without"])
def encoder(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(records, "orjson", None)
    else:
        assert records.orjson is not None


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_that_is_a_moment_is_moved(kind):
    names = getattr(kind, "_fields", None) or [f.name for f in dataclasses.fields(kind)]
    in_seconds = {n for n in names if n.endswith("_s")} - DURATIONS
    assert set(TIMES[kind]) >= in_seconds, "a new moment: add it to TIMES, or to DURATIONS here"


def test_moments_move_and_nothing_else():
    assert moved(STATS, 5.0) == dataclasses.replace(STATS, at_s=1005.0)
    assert moved(BREAKER, 5.0) == dataclasses.replace(BREAKER, until_s=1025.0)
    caches = (Cached("fast-a", 2100, 1195.0), Cached("coder-a", 1050, 1295.0))
    assert moved(PIN, -5.0) == dataclasses.replace(PIN, caches=caches, expires_s=4595.0)
    assert moved(Maker("a", "b"), 5.0) == Maker("a", "b")
    assert moved(SPENDING, 5.0) == SPENDING


@pytest.mark.parametrize("value", ALL.values(), ids=lambda v: type(v).__name__)
def test_what_is_kept_comes_back(encoder, value):
    assert loads(type(value), dumps(value)) == value


numbers = st.floats(allow_nan=False, allow_infinity=False)
caches = st.lists(st.builds(Cached, st.text(), st.integers(), numbers), max_size=3).map(tuple)


@given(
    st.builds(Stats, *[numbers] * len(dataclasses.fields(Stats)))
    | st.builds(Pin, st.text(), caches, st.integers(), numbers, st.booleans())
)
def test_any_value_comes_back(value):
    assert loads(type(value), dumps(value)) == value


@given(st.builds(Task, kind=st.sampled_from(["bugfix", "chat"]), risk=st.just("low"), complexity=st.just("high"), turn=st.just("tool"), only=st.lists(st.text()).map(tuple), role=st.none() | st.text(), ease=st.none() | numbers, lifts=st.lists(st.tuples(st.text(), numbers), max_size=3).map(tuple), options=st.builds(Options, max_usd=st.none() | numbers, panel=st.lists(st.text(), max_size=3).map(tuple))))  # fmt: skip
def test_nested_values_come_back(value):
    assert loads(Task, dumps(value)) == value


def test_mappings_lists_and_optional_members_come_back(encoder):
    state = State(1.0, {"a": STATS}, {"a": BREAKER}, PIN, {"relay": "set KEY"})
    assert loads(State, dumps(state)) == state
    call = Attempt("primary", "a", "m", "u", 1.0, usage=Usage(3, 4), lost=("x",))
    assert loads(Attempt, dumps(call)) == call


@dataclasses.dataclass(frozen=True)
class Pair:
    both: tuple[str, float]
    names: typing.Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_pairs_and_mappings_of_other_kinds_come_back(encoder):
    value = Pair(("a", 1.5), types.MappingProxyType({"x": 1}))
    assert loads(Pair, dumps(value)) == value
    with pytest.raises(Unreadable):
        loads(Pair, '{"both": ["a"]}')


def test_whole_numbers_stand_for_floats():
    assert loads(Price, '{"input": 1, "output": 2}') == Price(1.0, 2.0)


def test_a_file_of_an_older_version_lacks_fields_and_of_a_newer_one_has_more():
    text = '{"ok": 2.0, "at_s": 7.0, "invented_later": {"x": 1}}'
    assert loads(Stats, text) == Stats(ok=2.0, at_s=7.0)


def test_named_tuples_are_read_in_the_order_in_which_they_were_written():
    old = {"Term": ["unit", "name", "raw", "gone", "value", "weight", "points", "source"]}
    values = ["usd", "price", 0.5, "?", 0.8, 0.2, 0.16, "pool"]
    term = Term("price", 0.5, "usd", 0.8, 0.2, 0.16, "pool")
    assert read(Term, values, old) == term
    assert read(Term, list(term)) == term


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Stats, "nonsense"),
        (Stats, "[]"),
        (Stats, '{"ok": "two"}'),
        (Stats, '{"ok": true}'),
        (Stats, '{"ok": null}'),
        (Pin, "{}"),
        (Pin, '{"candidate": 3}'),
        (Pin, '{"candidate": "a", "caches": [["a", "many", 1.0]]}'),
        (Pin, '{"candidate": "a", "caches": [["a"]]}'),
        (Breaker, '{"failures": 1.5}'),
        (Maker, '["relay"]'),
        (Spending, "[[[1]], [], 0, 0.0]"),
        (Spending, "[[[1, 2.5]], [], 0, 0.0]"),
        (Spending, '[[], [], "1", 0.0]'),
        (Maker, '{"upstream": "relay"}'),
        (State, '{"stats": []}'),
        (State, '{"stats": {"a": 3}}'),
        (
            Task,
            '{"kind": "chat", "risk": "low", "complexity": "low", "turn": "user", "only": "abc"}',
        ),
        (Stats, "[" * 100_000),
    ],
)
def test_what_is_not_such_a_value_is_unreadable_and_nothing_else(kind, text):
    with pytest.raises(Unreadable):
        loads(kind, text)


@pytest.mark.parametrize("odd", ["\ud800 half a pair", 10**30])
def test_what_the_fast_encoder_refuses_the_slow_one_takes(odd):
    assert json.loads(dumps({"value": odd})) == {"value": odd}


def test_what_has_no_form_is_a_defect():
    with pytest.raises(TypeError):
        dumps({"value": object()})


def test_types_of_all_kinds_are_resolved():
    for kind in KINDS:
        assert typing.get_type_hints(kind)


def test_a_field_that_was_not_there_yet_says_what_held_before_it():
    # A panel's judge was asked once before there was a choice: such a receipt must lead to the same plan.
    assert read(Policy, {"panel_size": 2}) == Policy(panel_size=2, judge_twice="never")
    assert read(Policy, {"judge_twice": "auto"}) == Policy()
