"""A table that was written down says the same as the one that was decided on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import flips
from openfusion_auto.core.recorded import Recorded, recorded, table_of
from tests.core import strategies


def whole_terms(table):
    """Return a table as earlier versions kept it."""
    rows = tuple(table.terms(row) for row in range(len(table.totals)))
    return Recorded(table.dearest_usd, table.rate, table.slopes, table.locked, rows=rows)


@pytest.mark.parametrize("kept_as", [recorded, whole_terms])
@given(inputs=strategies.inputs)
@settings(max_examples=40)
def test_a_kept_table_has_the_same_terms_and_explains_alike(kept_as, inputs):
    decision = decide(inputs.task, inputs.pool, inputs.state, inputs.policy)
    if not decision.ranking:
        return
    kept = table_of(kept_as(decision.ranking[0].table))
    again = tuple(replace(s, table=kept) for s in decision.ranking)
    for before, after in zip(decision.ranking, again, strict=True):
        assert after.terms == before.terms
        remade = replace(decision, ranking=again)
        assert flips(after, remade) == flips(before, decision)
