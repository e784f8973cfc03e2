"""Live numbers: blended with priors, faded, and as values 0..1."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import stats
from openfusion_auto.core.live import live, live_values, speed_value, up_value, wait_value
from openfusion_auto.core.types import Performance, Stats
from tests.support.pools import candidate

COUNTS = st.floats(0.0, 100.0)
SEEN = st.builds(
    Stats, ok=COUNTS, failed=COUNTS, ttft_ms=st.floats(0.0, 90_000.0), ttft_weight=COUNTS,
    tokens_per_s=st.floats(0.0, 500.0), tps_weight=COUNTS, at_s=st.floats(0.0, 1_000.0),
)  # fmt: skip
PRIORS = st.none() | st.builds(
    Performance, st.none() | st.floats(1.0, 1e4), st.none() | st.floats(1.0, 500.0)
)


def test_live_numbers_are_blended_with_the_prior_and_say_how_many():
    seen = Stats(ttft_ms=100.0, ttft_weight=8.0, tokens_per_s=200.0, tps_weight=8.0)
    assert live(seen, 900.0, "ttft") == (500.0, "live n=8.0")
    assert live(seen, None, "tps") == (200.0, "live n=8.0")
    assert live(replace(seen, tps_weight=0.5), None, "tps") == (None, "unknown")
    assert live(None, 900.0, "ttft") == (900.0, "pool")


def test_availability_is_worth_nothing_at_one_failure_in_two():
    assert (up_value(1.0), up_value(0.75), up_value(0.5), up_value(0.1)) == (1.0, 0.5, 0.0, 0.0)


@given(SEEN, PRIORS, st.floats(0.0, 100_000.0))
def test_the_values_are_those_of_the_numbers_that_are_shown(seen, prior, now_s):
    one = candidate("a", performance=prior)
    aged, known = stats.decayed(seen, now_s), prior or Performance()
    assert live_values(seen, now_s, one) == (
        speed_value(live(aged, known.tokens_per_s_p50, "tps")[0]),
        wait_value(live(aged, known.ttft_ms_p50, "ttft")[0]),
        up_value(round(stats.availability(aged), 6)),
    )
