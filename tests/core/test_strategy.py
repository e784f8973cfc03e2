"""Which mode a strategy is a way of."""

from __future__ import annotations

import pytest

from openfusion_auto.core.strategy import mode_of


@pytest.mark.parametrize(
    ("strategy", "mode"),
    [("panel", "panel"), ("self_fusion", "panel"), ("debate", "panel"), ("pipeline", "panel"), ("cascade", "verify")],
)  # fmt: skip
def test_a_cascade_checks_and_all_others_are_panels(strategy, mode):
    assert mode_of(strategy) == mode
