"""Whether a second model is asked when the first stays silent, when, and how often: the rules; nothing waits here.

    may_hedge   whether this turn can have one: a person waits, one model answers, nobody named it, another can serve
    silence    how long the first may be silent: a quantile of its own latest waits, else a fixed time
    second      who is asked then: the next ranked one whose breaker is closed
    Share       how often: never more than a share of all requests

Source: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 56(2), 2013: hedged requests, deferred until the first one
has been out for longer than the 95th percentile, and throttled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from openfusion_auto.core import breaker
from openfusion_auto.core.types import Breaker, Decision

PHASE = "hedge"  # of the second call, in trace and ledger
MIN_WAITS = 20  # measured waits below which a quantile of the tail says nothing
MAX_WAITS = 64  # latest waits that count: minutes to hours of one model, so that its weather shows
MIN_S = 0.1  # [s] least silence: below it a second call cannot win much
WHOLE = 1_000_000  # parts of one hedge, so that shares add up exactly
MAX_CREDIT = 10 * WHOLE  # hedges that a quiet time saves up: an outage must not double every call


@dataclass(frozen=True, slots=True)
class Hedging:
    """The operator's settings.

    Attributes:
        after_s: Silence before a second call where too little is measured [s].
        whole_after_s: The same for answers that are not streamed [s]: those are silent until they are whole.
        quantile: Of the measured waits, 0..1; 0 = always the fixed times.
        max_share: Second calls, as a share of all requests.
        max_usd_per_day: What second calls may cost in 24 hours [USD].
    """

    after_s: float
    whole_after_s: float
    quantile: float
    max_share: float
    max_usd_per_day: float


class Silence(NamedTuple):
    """How long a model may be silent [s], and by which rule."""

    s: float
    rule: str


def may_hedge(decision: Decision, *, named: bool) -> bool:
    """Whether a turn can have a second call at all.

    Never in a tool loop: another model would break off its reasoning and its provider's cache. Never for what a client
    asks for itself, since nobody waits for that. `named`: the client named one model, and gets no other.
    """
    task, steps = decision.task, decision.plan.steps
    if named or decision.mode != "single" or task.turn != "user" or task.kind == "aux":
        return False
    return len(steps) == 1 and len(steps[0].candidates) > 1


def silence(waits_s: Sequence[float], settings: Hedging, *, streamed: bool) -> Silence:
    """Return how long a model may be silent.

    Args:
        waits_s: How long its latest answers let wait for their first token [s]; streamed ones, or the others.
        settings: The operator's.
        streamed: Whether this answer is streamed.
    """
    if settings.quantile <= 0 or len(waits_s) < MIN_WAITS:
        if streamed:
            return Silence(settings.after_s, "hedge.after_s")
        return Silence(settings.whole_after_s, "hedge.whole_after_s")
    rank = math.ceil(settings.quantile * len(waits_s))  # nearest rank
    wait_s = sorted(waits_s)[max(1, rank) - 1]
    rule = f"{settings.quantile:g} quantile of its last {len(waits_s)} waits"
    return Silence(max(MIN_S, wait_s), rule)


def second(candidates: Sequence[str], breakers: Mapping[str, Breaker], now_s: float) -> str | None:
    """Return who is asked beside the first of `candidates`; None when all others rest or are on probation."""
    for candidate in candidates[1:]:
        known = breakers.get(candidate)
        if known is None or breaker.phase(known, now_s) == "closed":
            return candidate
    return None


class Share(NamedTuple):
    """What requests have saved up for second calls: `credit` [parts, `WHOLE` to one]. Begins with nothing."""

    credit: int = 0

    def earn(self, max_share: float) -> Share:
        """Return it after one more request, of which `max_share` 0..1 may be hedged."""
        return Share(min(MAX_CREDIT, self.credit + math.floor(max_share * WHOLE)))

    def spend(self) -> Share | None:
        """Return it after a second call, None when there is not enough for one."""
        return Share(self.credit - WHOLE) if self.credit >= WHOLE else None

    def give_back(self) -> Share:
        """Return it after a second call that was not made after all."""
        return Share(min(MAX_CREDIT, self.credit + WHOLE))
