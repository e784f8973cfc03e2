"""The circuit breaker: its table by example, and as a state machine against a plain model of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openfusion_auto.core.breaker import (
    FAILURES_TO_OPEN,
    MAX_OPEN_S,
    OPEN_S,
    admits,
    fail,
    phase,
    release,
    start,
)
from openfusion_auto.core.types import Breaker


def opened(now_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker = fail(breaker, now_s)
    return breaker


def test_a_new_breaker_is_closed_and_admits():
    assert phase(Breaker(), 0.0) == "closed"
    assert admits(Breaker(), 0.0)
    assert start(Breaker(), 0.0) == Breaker()


def test_it_opens_after_failures_in_a_row_and_not_before():
    breaker = Breaker()
    for n in range(1, FAILURES_TO_OPEN):
        breaker = fail(breaker, 0.0)
        assert (phase(breaker, 0.0), breaker.failures) == ("closed", n)
    breaker = fail(breaker, 7.0)
    assert breaker == Breaker("open", FAILURES_TO_OPEN, 7.0 + OPEN_S)
    assert not admits(breaker, 7.0)


def test_after_its_pause_it_is_half_open_and_admits_one_probe():
    breaker = opened()
    assert phase(breaker, OPEN_S - 0.001) == "open"
    assert phase(breaker, OPEN_S) == "half_open"
    assert admits(breaker, OPEN_S)
    probing = start(breaker, OPEN_S)
    assert not admits(probing, OPEN_S)
    assert phase(probing, OPEN_S) == "half_open"


def test_a_probe_decides():
    probing = start(opened(), OPEN_S)
    again = fail(probing, OPEN_S)
    assert again == Breaker("open", FAILURES_TO_OPEN + 1, OPEN_S + 2 * OPEN_S)


def test_pauses_double_while_probes_fail_up_to_a_bound():
    breaker, now_s, pauses = opened(), 0.0, []
    for _ in range(8):
        pauses.append(breaker.until_s - now_s)
        now_s = breaker.until_s
        breaker = fail(start(breaker, now_s), now_s)
    assert pauses[:4] == [OPEN_S, 2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S]
    assert pauses[-1] == max(pauses) == MAX_OPEN_S


def test_calls_that_were_in_flight_when_it_opened_do_not_lengthen_the_pause():
    breaker = opened()
    assert fail(breaker, 1.0) == breaker


def test_a_probe_without_a_verdict_frees_its_place():
    probing = start(opened(), OPEN_S)
    freed = release(probing)
    assert admits(freed, OPEN_S)
    assert freed.failures == FAILURES_TO_OPEN
    assert release(Breaker()) == Breaker()


def test_the_pause_stays_bounded_after_very_many_failures():
    assert fail(Breaker("half_open", 10_000), 0.0).until_s == MAX_OPEN_S


class BreakerMachine(RuleBasedStateMachine):
    """Any sequence of calls, verdicts and time; `streak` and `open_until` are the plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.breaker = Breaker()
        self.streak = 0
        self.in_flight = 0
        self.open_until: float | None = None

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds):
        self.now_s += seconds

    @precondition(lambda self: admits(self.breaker, self.now_s))
    @rule()
    def call(self):
        self.breaker = start(self.breaker, self.now_s)
        self.in_flight += 1

    @precondition(lambda self: self.in_flight)
    @rule()
    def ends_well(self):
        self.in_flight -= 1
        self.streak, self.open_until = 0, None
        self.breaker = Breaker()  # as `LiveState.succeeded` has it

    @precondition(lambda self: self.in_flight)
    @rule()
    def ends_badly(self):
        self.in_flight -= 1
        before = self.breaker
        was_open = self.open_until is not None and self.now_s < self.open_until
        self.breaker = fail(self.breaker, self.now_s)
        if was_open:
            assert self.breaker == before
            return
        self.streak += 1
        if self.open_until is not None or self.streak >= FAILURES_TO_OPEN:
            pause_s = min(MAX_OPEN_S, OPEN_S * 2 ** max(0, self.streak - FAILURES_TO_OPEN))
            self.open_until = self.now_s + pause_s

    @precondition(lambda self: self.in_flight)
    @rule()
    def client_leaves(self):
        self.in_flight -= 1
        self.breaker = release(self.breaker)

    @invariant()
    def phase_is_the_models(self):
        expected = (
            "closed"
            if self.open_until is None
            else "open"
            if self.now_s < self.open_until
            else "half_open"
        )
        assert phase(self.breaker, self.now_s) == expected
        assert self.breaker.failures == self.streak

    @invariant()
    def an_open_one_admits_nobody_and_a_closed_one_everybody(self):
        current = phase(self.breaker, self.now_s)
        if current != "half_open":
            assert admits(self.breaker, self.now_s) == (current == "closed")

    @invariant()
    def nobody_is_shut_out_for_longer_than_the_bound(self):
        if not self.in_flight:
            assert admits(self.breaker, self.now_s + MAX_OPEN_S)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.parametrize("now_s", [0.0, 1e9])
def test_one_probe_at_a_time_whatever_the_clock(now_s):
    breaker = start(Breaker("open", 3, now_s), now_s)
    assert not admits(breaker, now_s + 1e6)
