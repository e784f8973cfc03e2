"""Before a request is decided: wait a moment for what another worker of this server may just have learnt of it.

A worker's word reaches the others within a quarter of a second. Who asks again sooner, over another connection, may
come to a worker that has not heard yet. So a request that goes on with a conversation of which this worker knows
nothing waits for that, once a session: a new conversation never does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.session import session_hash, session_of
from openfusion_auto.runtime.state import LiveState, seal_of
from openfusion_auto.wire.portable import seals_of

# [s] twice what the slower way takes (Redis: a stream that is read four times a second).
WITHIN_S = 0.6
STEP_S = 0.02
MAX_SOUGHT = 20_000  # sessions and seals that were waited for; the oldest goes first


class Hearing:
    """What is waited for.

    Args:
        live: Where it arrives.
        catch_up: Looks at once what others have changed; blocks.
        clock: For the pauses.
    """

    def __init__(self, live: LiveState, catch_up: Callable[[], None], clock: Clock) -> None:
        self._live, self._catch_up, self._clock = live, catch_up, clock
        self._sought: OrderedDict[str, None] = OrderedDict()

    async def of(self, incoming: Incoming) -> None:
        """Wait for what is known of a request's session elsewhere, `WITHIN_S` at most."""
        prompt = incoming.prompt
        if not goes_on(prompt):
            return
        session = session_of(prompt, incoming.headers, incoming.identity, incoming.client).key
        seal = newest_seal(prompt)
        if not self._live.lacks(session, seal) or not self._first_time(session, seal):
            return
        until_s = self._clock.now() + WITHIN_S
        while self._live.lacks(session, seal) and self._clock.now() < until_s:
            await asyncio.to_thread(self._catch_up)
            await self._clock.sleep(STEP_S)

    def _first_time(self, session: str, seal: str | None) -> bool:
        """Whether nobody has waited for this before."""
        name = session_hash(session) if seal is None else seal_of(seal)
        if name in self._sought:
            return False
        self._sought[name] = None
        while len(self._sought) > MAX_SOUGHT:
            self._sought.popitem(last=False)
        return True


def goes_on(prompt: Prompt) -> bool:
    """Whether a request holds an answer of before."""
    return any(message.role in ("assistant", "tool") for message in prompt.messages)


def newest_seal(prompt: Prompt) -> str | None:
    """Return the last thing in a prompt that is sealed."""
    for message in reversed(prompt.messages):
        for part in reversed(message.parts):
            for seal in seals_of(part, prompt.dialect):
                return seal
    return None
