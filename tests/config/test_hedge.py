"""`[hedge]`: off unless it is asked for, and within bounds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openfusion_auto.config.hedge import HedgeSection
from openfusion_auto.core.hedge import Hedging


def test_it_is_off_by_default():
    assert HedgeSection().hedging() is None


def test_what_is_asked_for_is_what_the_rules_take():
    asked = HedgeSection(enabled=True, after_s=3.0, max_share=0.2)
    assert asked.hedging() == Hedging(3.0, 45.0, 0.95, 0.2, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantile": 1.0},
        {"quantile": -0.1},
        {"after_s": 0.0},
        {"whole_after_s": 0.0},
        {"max_share": 0.0},
        {"max_share": 1.1},
        {"max_usd_per_day": 0.0},
        {"max_usd_per_day": float("inf")},
        {"enabled": "yes"},
        {"budget": 1.0},
    ],
)
def test_what_is_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError):
        HedgeSection(**wrong)
