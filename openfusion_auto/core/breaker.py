"""Circuit breaker, one per candidate. Transitions are the table below; nothing else changes a phase.

    phase       event     next        when
    closed      failure   open        after `FAILURES_TO_OPEN` in a row
    open        (time)    half_open   after `OPEN_S`; doubling while probes keep failing
    half_open   success   closed
    half_open   failure   open
    open        failure   open        unchanged: a call that went out before it opened
    any         success   closed      failures = 0: a new `Breaker()` says all of it

Source: M. Nygard, "Release It!", stability patterns.
"""

from __future__ import annotations

from dataclasses import replace

from openfusion_auto.core.types import Breaker, BreakerPhase

FAILURES_TO_OPEN = 3  # failures in a row; one or two are ordinary at any provider
OPEN_S = 20.0  # [s] first pause; short, because an agent waits behind it
MAX_OPEN_S = 300.0  # [s]


def phase(breaker: Breaker, now_s: float) -> BreakerPhase:
    """Return the phase at `now_s`: an open breaker whose pause is over is half open."""
    if breaker.phase == "open" and now_s >= breaker.until_s:
        return "half_open"
    return breaker.phase


def admits(breaker: Breaker, now_s: float) -> bool:
    """Whether a call may go out: always when closed, one probe at a time when half open, never when open."""
    current = phase(breaker, now_s)
    return current == "closed" or (current == "half_open" and not breaker.probing)


def start(breaker: Breaker, now_s: float) -> Breaker:
    """Note that a call went out; in half open it is the probe."""
    if phase(breaker, now_s) == "half_open":
        return replace(breaker, phase="half_open", probing=True)
    return breaker


def fail(breaker: Breaker, now_s: float) -> Breaker:
    """Note a failure by the candidate's or its provider's fault."""
    if phase(breaker, now_s) == "open":
        # Calls in flight fail together; only a probe that fails makes the pause longer.
        return breaker
    failures = breaker.failures + 1
    if breaker.phase == "closed" and failures < FAILURES_TO_OPEN:
        return replace(breaker, failures=failures)
    pause_s = min(MAX_OPEN_S, OPEN_S * 2 ** min(10, max(0, failures - FAILURES_TO_OPEN)))
    return Breaker("open", failures, now_s + pause_s)


def release(breaker: Breaker) -> Breaker:
    """Note that a call ended without a verdict (the client left): a probe may be tried again."""
    return replace(breaker, probing=False) if breaker.probing else breaker
