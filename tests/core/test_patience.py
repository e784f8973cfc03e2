"""How long a panel waits: relative to live numbers, never beyond what the operator allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.patience import GRACE_S, LEAST_S, LIMIT, expected_s, patience
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import Performance, Policy, State, Stats, Step
from tests.support.pools import candidate, pool, task

TRIO = pool(*(candidate(i) for i in "abc"))
STEPS = tuple(Step("member", (i,)) for i in "abc")


def measured(ttft_ms: float, tokens_per_s: float) -> Stats:
    return Stats(ttft_ms=ttft_ms, ttft_weight=1e6, tokens_per_s=tokens_per_s, tps_weight=1e6)


def test_live_numbers_move_what_is_expected():
    slow = State(stats={"a": measured(30_000, 10)})
    assert expected_s(TRIO.by_id["a"], task(), slow) > expected_s(TRIO.by_id["a"], task(), State())
    bare = candidate("a", performance=None)
    assert expected_s(bare, task(), State()) > 1.5
    assert expected_s(candidate("a", performance=Performance()), task(), State()) == expected_s(
        bare, task(), State()
    )


def test_one_slow_member_does_not_lengthen_the_wait_of_the_others():
    usual = patience(STEPS, task(), TRIO, State(), 600.0)
    one_slow = patience(STEPS, task(), TRIO, State(stats={"c": measured(90_000, 1)}), 600.0)
    all_slow = State(stats={i: measured(90_000, 1) for i in "abc"})
    assert one_slow == usual
    assert patience(STEPS, task(), TRIO, all_slow, 600.0).limit_s > usual.limit_s


@pytest.mark.parametrize("wait_s", [0.5, 5.0, 30.0])
def test_the_operators_limit_binds(wait_s):
    slow = State(stats={i: measured(90_000, 1) for i in "abc"})
    got = patience(STEPS, task(), TRIO, slow, wait_s)
    assert (got.grace_s, got.limit_s) == (min(wait_s, GRACE_S[1]), wait_s)


@given(st.floats(1, 1e5), st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_the_wait_is_within_its_bounds(ttft_ms, tokens_per_s, wait_s):
    state = State(stats={i: measured(ttft_ms, tokens_per_s) for i in "abc"})
    got = patience(STEPS, task(), TRIO, state, wait_s)
    assert got.quorum == 2
    assert 0 < got.grace_s <= got.limit_s <= round(wait_s, 3)
    typical_s = expected_s(TRIO.by_id["a"], task(), state)
    assert got.limit_s <= max(LEAST_S, LIMIT * typical_s) + 0.001


def test_a_panel_has_its_patience_in_the_decision_and_others_have_none():
    panel = decide(task(options=Options(mode="panel")), TRIO, State(), Policy(panel_wait_s=7.0))
    assert panel.patience is not None
    assert panel.patience.limit_s == 7.0
    assert decide(task(options=Options(mode="single")), TRIO, State()).patience is None
