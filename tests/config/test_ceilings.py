"""`[max_tokens]`: no ceiling unless it is asked for, and within bounds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openfusion_auto.config.ceilings import CeilingsSection
from openfusion_auto.core.ceilings import Ceilings


def test_there_is_no_ceiling_by_default():
    assert CeilingsSection().ceilings() == Ceilings(None, None, None)


def test_what_is_asked_for_is_what_the_rules_take():
    assert CeilingsSection(answer=9, member=8, check=7).ceilings() == Ceilings(9, 8, 7)


@pytest.mark.parametrize(
    "wrong", [{"answer": 0}, {"member": -1}, {"check": 1.5}, {"answer": "9"}, {"judge": 9}]
)
def test_what_is_out_of_bounds_is_refused(wrong):
    with pytest.raises(ValidationError):
        CeilingsSection(**wrong)
