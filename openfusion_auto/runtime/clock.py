"""The only place with time and chance: injected, so that tests run without waiting."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 - this module is the one place
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance as values.

    Attributes:
        now: Monotonic seconds.
        wall: Seconds since the epoch.
        sleep: Waits for seconds.
        chance: A number 0..1.
    """

    now: Callable[[], float] = time.monotonic  # noqa: TID251 - this module is the one place
    wall: Callable[[], float] = time.time  # noqa: TID251 - this module is the one place
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep  # noqa: TID251 - this module is the one place
    chance: Callable[[], float] = random.random

    def epoch_s(self) -> float:
        """Return when the monotonic clock stood at 0 [s since 1970]; asked each time, as the wall clock is set."""
        return self.wall() - self.now()
