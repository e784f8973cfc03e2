"""Who may serve at all: the quick look at whole columns says what the rules say one by one."""

from __future__ import annotations

from hypothesis import given

from openfusion_auto.core.eligible import HARD_RULES, by_hard_rules
from tests.core import strategies


@given(strategies.inputs)
def test_suspects_are_all_that_break_a_rule(inputs):
    kept, rejected = by_hard_rules(inputs.task, inputs.pool, inputs.state)
    for i, c in enumerate(inputs.pool.candidates):
        broken = [r for _, r in HARD_RULES if r(c, inputs.task, inputs.state) is not None]
        assert (i in kept) == (not broken)
    assert len(kept) + len(rejected) == len(inputs.pool.candidates)
