"""What is said to be saved: an estimate by list prices, and nothing where something is unknown."""

import pytest

from openfusion_auto.core import cost
from openfusion_auto.core.prompt import Usage
from openfusion_auto.page.saving import add_up, whole, yardstick
from tests.support.pools import FOUR, candidate, pool

LINE = {"input_tokens": 10_000, "cached_tokens": 4_000, "output_tokens": 500}


def entry(**more):
    (made,) = whole(
        [
            {
                "trace_id": "tr_1",
                "at": 1.0,
                "outcome": "ok",
                "usd": 0.001,
                "usage": [LINE],
                "ms": 5.0,
                **more,
            }
        ]
    )
    return made


def test_the_strongest_is_asked_once_with_the_tokens_of_the_first_call():
    measure = yardstick(FOUR, {})
    alone = cost.usd(measure.candidate.price, Usage(10_000, 500, 4_000))
    assert measure.saved(entry()) == pytest.approx(alone - 0.001)
    panel = entry(usage=[LINE, LINE, LINE], usd=9.0)
    assert measure.saved(panel) == pytest.approx(alone - 9.0)


@pytest.mark.parametrize("more", [{"usd": None}, {"usage": []}, {"dry_run": True}])
def test_nothing_is_said_where_something_is_unknown(more):
    assert yardstick(FOUR, {}).saved(entry(**more)) is None


def test_nothing_is_said_without_a_price_or_anybody():
    assert yardstick(pool(candidate("a", price=None)), {}).saved(entry()) is None
    assert yardstick(FOUR, {"relay": "no key"}).saved(entry()) is None


def test_sums_leave_out_what_runs_and_count_what_has_no_price():
    rows = [entry(), entry(usd=None, outcome="error", ms=50.0), entry(outcome="running", ms=None)]
    found = add_up(rows, yardstick(FOUR, {}))
    assert (found.requests, found.failed, found.usd, found.unpriced, found.compared) == (
        2,
        1,
        0.001,
        1,
        1,
    )
    assert found.ms_p50 == 50.0
    assert add_up([], yardstick(FOUR, {})).ms_p50 is None


def test_an_entry_of_an_earlier_version_has_every_member():
    (made,) = whole([{"trace_id": "tr_1", "at": 1.0}])
    assert made["outcome"] is made["task"] is None
    assert yardstick(FOUR, {}).saved(made) is None
