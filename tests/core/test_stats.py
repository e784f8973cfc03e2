"""Live numbers: samples count, old ones fade, priors fill in. Also as a machine against the plain sums."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openfusion_auto.core.stats import (
    HALF_LIFE_S,
    PRIOR_FAILED,
    PRIOR_HITS,
    PRIOR_OK,
    PRIOR_WEIGHT,
    availability,
    blend,
    confirmed,
    decayed,
    failed,
    mean_with,
    merged,
    minus,
    succeeded,
    waited,
)
from openfusion_auto.core.types import Stats
from tests.core import strategies


def test_after_a_half_life_a_sample_counts_half_and_its_mean_stays():
    fresh = succeeded(Stats(), 0.0, ttft_ms=800.0, tokens_per_s=50.0, bytes_per_token=3.5)
    old = decayed(fresh, HALF_LIFE_S)
    assert (old.ok, old.ttft_weight, old.tps_weight, old.bpt_weight) == (0.5, 0.5, 0.5, 0.5)
    assert (old.ttft_ms, old.tokens_per_s, old.bytes_per_token) == (800.0, 50.0, 3.5)
    assert old.at_s == HALF_LIFE_S


def test_a_call_that_was_cut_is_a_wait_and_neither_success_nor_failure():
    fresh = succeeded(Stats(), 0.0, ttft_ms=800.0, tokens_per_s=50.0)
    cut = waited(fresh, HALF_LIFE_S, 2_000.0)
    assert (cut.ok, cut.failed, cut.tokens_per_s, cut.tps_weight) == (0.5, 0.0, 50.0, 0.5)
    assert (cut.ttft_ms, cut.ttft_weight) == (1_600.0, 1.5)  # the older one counts half
    assert waited(fresh, -50.0, 1.0).at_s == 0.0


def test_a_clock_that_goes_back_changes_nothing():
    fresh = Stats(ok=3.0, at_s=100.0)
    assert decayed(fresh, 100.0) is fresh
    assert decayed(fresh, 50.0) is fresh
    assert succeeded(fresh, 50.0).at_s == failed(fresh, 50.0).at_s == 100.0


@given(strategies.live_stats, strategies.numbers(0, 5000), strategies.numbers(0, 5000))
def test_ageing_in_two_steps_is_ageing_in_one(stats, one, two):
    first, second = sorted((stats.at_s + one, stats.at_s + two))
    a, b = decayed(decayed(stats, first), second), decayed(stats, second)
    assert (a.ok, a.failed, a.ttft_weight) == pytest.approx((b.ok, b.failed, b.ttft_weight))


def test_what_was_not_measured_is_no_sample():
    one = succeeded(Stats(), 0.0, ttft_ms=100.0)
    two = succeeded(one, 0.0)
    assert (two.ok, two.ttft_ms, two.ttft_weight, two.tps_weight) == (2.0, 100.0, 1.0, 0.0)
    assert mean_with(5.0, 2.0, None) == (5.0, 2.0)
    assert mean_with(5.0, 2.0, 8.0) == (6.0, 3.0)


def test_a_failure_counts_as_one():
    assert failed(Stats(), 5.0) == Stats(failed=1.0, at_s=5.0)


def test_availability_starts_at_its_prior_and_follows_the_counts():
    assert availability(None) == availability(Stats()) == PRIOR_OK / (PRIOR_OK + PRIOR_FAILED)
    assert availability(Stats(ok=80.0)) == pytest.approx(0.99)
    assert availability(Stats(failed=20.0)) == pytest.approx(0.475)


@given(strategies.live_stats)
def test_availability_is_a_share_that_failures_lower_and_successes_raise(stats):
    now_s = stats.at_s
    assert 0 < availability(failed(stats, now_s)) < availability(stats)
    assert availability(stats) < availability(succeeded(stats, now_s)) < 1


def test_a_prior_is_worth_its_weight_in_samples():
    assert blend(100.0, 0.0, 900.0) == 900.0
    assert blend(100.0, PRIOR_WEIGHT, 900.0) == 500.0
    assert blend(100.0, 1.0, None) == 100.0
    assert blend(100.0, 0.99, None) is None


@given(strategies.numbers(0, 9000), strategies.numbers(0, 100), strategies.numbers(0, 9000))
def test_a_blend_lies_between_live_and_prior(mean, weight, prior):
    got = blend(mean, weight, prior)
    assert min(mean, prior) - 1e-6 <= got <= max(mean, prior) + 1e-6


def test_predicted_caches_are_believed_until_usage_says_otherwise():
    assert confirmed(Stats()) == 1.0
    missed = succeeded(Stats(), 0.0, cache_hit=0.0)
    assert confirmed(missed) == pytest.approx(PRIOR_HITS / (PRIOR_HITS + 1))
    assert confirmed(succeeded(missed, 0.0, cache_hit=1.0)) > confirmed(missed)
    assert confirmed(decayed(missed, 20 * HALF_LIFE_S)) == pytest.approx(1.0, abs=1e-5)


@given(strategies.live_stats, strategies.numbers(0, 3))
def test_the_share_of_confirmed_caches_is_a_share(stats, hit):
    assert 0 <= confirmed(succeeded(stats, stats.at_s, cache_hit=hit)) <= 1


class StatsMachine(RuleBasedStateMachine):
    """Any sequence of attempts; `samples` keeps each with its time, and the sums are computed from scratch."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.stats = Stats()
        self.samples: list[tuple[float, bool, float | None]] = []

    @rule(seconds=st.integers(1, 2000))
    def time_passes(self, seconds):
        self.now_s += seconds

    @rule(ttft_ms=st.none() | st.integers(1, 9000))
    def works(self, ttft_ms):
        self.stats = succeeded(self.stats, self.now_s, ttft_ms=ttft_ms)
        self.samples.append((self.now_s, True, ttft_ms))

    @rule()
    def fails(self):
        self.stats = failed(self.stats, self.now_s)
        self.samples.append((self.now_s, False, None))

    def _weights(self, keep):
        now = decayed(self.stats, self.now_s).at_s
        return [0.5 ** ((now - at) / HALF_LIFE_S) for at, *rest in self.samples if keep(*rest)]

    @invariant()
    def counts_are_the_sums_of_what_is_left_of_each_sample(self):
        now = decayed(self.stats, self.now_s)
        assert now.ok == pytest.approx(sum(self._weights(lambda ok, _: ok)))
        assert now.failed == pytest.approx(sum(self._weights(lambda ok, _: not ok)))

    @invariant()
    def the_mean_is_the_weighted_mean_of_the_samples(self):
        weights = self._weights(lambda ok, ms: ms is not None)
        values = [ms for _, _, ms in self.samples if ms is not None]
        if values and sum(weights) > 1e-9:
            mean = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
            assert self.stats.ttft_ms == pytest.approx(mean)


TestStats = StatsMachine.TestCase
TestStats.settings = settings(max_examples=40, stateful_step_count=30)


def seen(samples):
    found = Stats()
    for at_s, ttft_ms in sorted(samples, key=lambda s: s[0]):
        found = succeeded(found, at_s, ttft_ms=ttft_ms) if ttft_ms else failed(found, at_s)
    return found


SAMPLES = st.lists(
    st.tuples(st.floats(0, 1000), st.one_of(st.none(), st.floats(1, 10_000))), max_size=8
)


def close(one, other):
    assert (one.ok, one.failed, one.ttft_weight) == pytest.approx(
        (other.ok, other.failed, other.ttft_weight), rel=1e-6, abs=1e-5
    )
    if other.ttft_weight > 0.01:
        assert one.ttft_ms == pytest.approx(other.ttft_ms, rel=1e-3)


@given(SAMPLES, SAMPLES)
def test_what_two_processes_saw_is_together_what_one_would_have_seen(one, other):
    close(merged(seen(one), seen(other)), seen([*one, *other]))


@given(SAMPLES, SAMPLES)
def test_what_is_new_is_the_whole_without_what_was_known(known, new):
    part, whole = seen(known), merged(seen(known), seen(new))
    close(merged(part, minus(whole, part)), whole)
    assert minus(part, part).ok == 0
