"""Two calls for one answer: the first to say something answers, the other is cut at once.

Until it is clear who answers, nothing of either reaches the client: what comes before a first token (the role, an
opening event) waits in its lane. So there is never a byte of two answers, and a call that fails before it has said
anything leaves the other one running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import NamedTuple

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Delta
from openfusion_auto.core.recipes import Reply
from openfusion_auto.runtime.relay import refuse_error, says
from openfusion_auto.runtime.stream import ClientStream, Outlet


class Runner(NamedTuple):
    """A call that may take part: by whom, and what makes it."""

    name: str
    run: Callable[[Lane], Coroutine[None, None, Reply]]


class Lane:
    """One call's way to the client: an `Outlet` that is closed until its call answers."""

    def __init__(self, name: str, race: Race, client: ClientStream | None) -> None:
        self.name = name
        self._race = race
        self._client = client
        self._held: list[Delta] = []
        self._through = False
        self._fits: Fits | None = None
        self.task: asyncio.Task[Reply] | None = None

    @property
    def outlet(self) -> Outlet | None:
        """Where the call's events go; None when nobody wants them as they come."""
        return None if self._client is None else self

    @property
    def started(self) -> bool:
        """See `Outlet`."""
        return self._through and self._client is not None and self._client.started

    def fresh(self, fits: Fits | None = None) -> None:
        """See `Outlet`."""
        self._held.clear()
        self._fits = fits

    @property
    def held(self) -> bool:
        """See `Outlet`."""
        return self._through and self._client is not None and self._client.held

    def push(self, deltas: Iterable[Delta]) -> Awaitable[None] | None:
        """See `Outlet`. Of who has lost nothing is passed on."""
        found = list(deltas)
        if self._race.winner is None:
            refuse_error(found)
            if not any(says(d) for d in found):
                self._held += found
                return None
            self._race.claim(self)
        client = self._open()
        return None if client is None else client.push([*self._taken(), *found])

    async def relay(self, deltas: Iterable[Delta]) -> None:
        """See `Outlet`: a whole answer."""
        self._race.claim(self)
        client = self._open()
        if client is not None:
            await client.relay([*self._taken(), *deltas])

    async def whole(self) -> None:
        """See `Outlet`. A good answer without a token (nothing but its end) answers now."""
        await self.relay(())
        client = self._open()
        if client is not None:
            await client.whole()

    def _open(self) -> ClientStream | None:
        """Return the client when this call answers."""
        if self._race.winner is not self or self._client is None:
            return None
        if not self._through:
            self._through = True
            self._client.fresh(self._fits)
        return self._client

    def _taken(self) -> list[Delta]:
        held, self._held = self._held, []
        return held

    def cut(self) -> None:
        """End the call."""
        if self.task is not None:
            self.task.cancel()


class Race:
    """Runs one call, and a second one beside it when the first is silent for too long.

    Args:
        client: Where a streamed answer goes; None when only the whole answer is wanted.
        won: Told who answers, before a byte of it is passed on.

    Attributes:
        winner: Who answers, once that is clear.
    """

    def __init__(self, client: ClientStream | None, won: Callable[[str], None]) -> None:
        self._won = won
        self.winner: Lane | None = None
        self._client = client
        self._lanes: list[Lane] = []
        self._decided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def open(self) -> bool:
        """Whether the first call is still out and has said nothing."""
        return self.winner is None and not any(t.done() for t in self._tasks())

    def claim(self, lane: Lane) -> None:
        """Let a call answer, unless another one does already; others are cut."""
        if self.winner is not None:
            return
        self.winner = lane
        self._won(lane.name)
        if not self._decided.done():
            self._decided.set_result(None)
        for other in self._lanes:
            if other is not lane:
                other.cut()

    async def run(
        self, first: Runner, after_s: float, second: Callable[[], Awaitable[Runner | None]]
    ) -> tuple[Reply, ...]:
        """Return what failed, then what answered; failures alone, the first call's at the end, when none did.

        Args:
            first: Makes the first call.
            after_s: How long it may be silent [s].
            second: Asked then, for what makes the second call; None when there must not be one.

        Raises:
            Exception: what a call raises instead of giving a reply; no other one runs on then.
        """
        try:
            self._enter(first)
            await self._wait(after_s)
            if self.open:
                runner = await second()
                if runner is not None and self.open:
                    self._enter(runner)
            return await self._end()
        finally:
            for lane in self._lanes:
                lane.cut()
            await asyncio.gather(*self._tasks(), return_exceptions=True)

    def _enter(self, runner: Runner) -> None:
        lane = Lane(runner.name, self, self._client)
        self._lanes.append(lane)
        lane.task = asyncio.ensure_future(runner.run(lane))

    def _tasks(self) -> list[asyncio.Task[Reply]]:
        return [lane.task for lane in self._lanes if lane.task is not None]

    async def _wait(self, timeout_s: float | None = None) -> None:
        """Wait until somebody answers or a call ends."""
        waits: set[asyncio.Future[None] | asyncio.Task[Reply]] = {
            t for t in self._tasks() if not t.done()
        }
        await asyncio.wait(
            {*waits, self._decided}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )

    async def _end(self) -> tuple[Reply, ...]:
        while True:
            replies = [
                (lane, lane.task.result())
                for lane in self._lanes
                if lane.task is not None and lane.task.done() and not lane.task.cancelled()
            ]
            for lane, reply in replies:
                if reply.answer is not None:
                    self.claim(lane)
            failed = tuple(r for lane, r in reversed(replies) if lane is not self.winner)
            if self.winner is not None and self.winner.task is not None:
                last = await self.winner.task
                return (*(r for r in failed if r.answer is None), last)
            if len(replies) == len(self._lanes):
                return failed
            await self._wait()
