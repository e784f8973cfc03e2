"""Second calls beside silent ones: what they may cost, how long each model lets wait. `core/hedge.py` has the rules.

What second calls cost is an account like a key's (`runtime/limits.py`): kept over a restart, and shared where Redis is.
How many there may be, and the waits, are this process's own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from openfusion_auto.core import hedge as rules
from openfusion_auto.core.hedge import MAX_WAITS, Hedging, Share, Silence
from openfusion_auto.core.limits import Limits, to_units
from openfusion_auto.core.types import Breaker, Decision
from openfusion_auto.runtime.limits import Counters, Scope

ACCOUNT = "hedge"


class Hedger:
    """Counts requests, measures waits, and gives out hedges.

    Args:
        counters: Where the money is counted.
        settings: The operator's.
    """

    def __init__(self, counters: Counters, settings: Hedging) -> None:
        self.counters = counters
        self.settings = settings
        self.share = Share()
        self._waits: dict[tuple[str, bool], deque[float]] = {}

    def configure(self, settings: Hedging) -> None:
        """Go by these settings from now on; what is known stays."""
        self.settings = settings

    @property
    def scope(self) -> Scope:
        """The account of second calls."""
        budget = Limits(per_day=to_units(self.settings.max_usd_per_day))
        return Scope(ACCOUNT, budget, "hedging")

    def turn(self, decision: Decision, *, named: bool) -> Hedge | None:
        """Count a request; return its hedge when it may have one."""
        self.share = self.share.earn(self.settings.max_share)
        return Hedge(self) if rules.may_hedge(decision, named=named) else None

    def waited(self, candidate: str, wait_s: float, *, streamed: bool) -> None:
        """Note how long an answer's first token took [s]; of a call that was cut before it, how long it was out."""
        ring = self._waits.setdefault((candidate, streamed), deque(maxlen=MAX_WAITS))
        ring.append(wait_s)

    def silence(self, candidate: str, *, streamed: bool) -> Silence:
        """Return how long a candidate may be silent."""
        waits = self._waits.get((candidate, streamed), ())
        return rules.silence(tuple(waits), self.settings, streamed=streamed)


class Hedge:
    """The one hedge that a request may have: money is held before its second call, and settled however it ends."""

    def __init__(self, hedger: Hedger) -> None:
        self.hedger = hedger
        self._scope = hedger.scope  # one account, also when the settings change meanwhile
        self._held = 0
        self._spent = False

    def second(
        self, candidates: Sequence[str], breakers: dict[str, Breaker], now_s: float
    ) -> str | None:
        """Return who is asked beside the first of `candidates`."""
        return rules.second(candidates, breakers, now_s)

    async def hold(self, worst_usd: float | None) -> str | None:
        """Hold the worst case of a second call [USD]; returns why there must not be one."""
        if worst_usd is None:
            return "its price is unknown"
        if self.hedger.share.spend() is None:
            return "hedge.max_share is used up"
        units = to_units(worst_usd)
        if not await self.hedger.counters.reserve((self._scope,), units):
            return "hedge.max_usd_per_day is used up"
        self._held = units
        left = self.hedger.share.spend()
        if left is None:  # another request was quicker
            self.settle(0.0)
            return "hedge.max_share is used up"
        self.hedger.share, self._spent = left, True
        return None

    def unused(self) -> None:
        """Note that the second call was not made after all: the first one answered while its money was asked for."""
        if self._spent:
            self._spent = False
            self.hedger.share = self.hedger.share.give_back()

    def settle(self, usd: float) -> None:
        """Book what the second call cost [USD] and let go of what was held; nothing when none was."""
        held, self._held = self._held, 0
        if held or usd:
            self.hedger.counters.settle((self._scope,), held, to_units(usd))


def hedger_of(
    settings: Hedging | None, counters: Counters, before: Hedger | None = None
) -> Hedger | None:
    """Return who gives out hedges by these settings, with what the one `before` knows; None without settings."""
    if settings is None or before is None:
        return None if settings is None else Hedger(counters, settings)
    before.configure(settings)
    return before
