"""The calls of one request: one attempt after the other, until an answer is there or nobody is left to ask.

At times two at once: beside a first one that is silent for too long (`race.py`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from openfusion_auto.core import cost
from openfusion_auto.core.backoff import Move, next_move, summary
from openfusion_auto.core.decide import tightest
from openfusion_auto.core.hedge import PHASE as HEDGE
from openfusion_auto.core.prompt import Options, Prompt, Usage
from openfusion_auto.core.recipes import Ask, Reply
from openfusion_auto.core.tokens import input_tokens
from openfusion_auto.core.types import Candidate, Needs, Task
from openfusion_auto.errors import (
    BadRequest,
    FusionError,
    UpstreamError,
    UpstreamMisfit,
    UpstreamTimeout,
)
from openfusion_auto.runtime.attempt import NO_HEADERS, Attempts, Means
from openfusion_auto.runtime.hedge import Hedge
from openfusion_auto.runtime.limits import Allowance
from openfusion_auto.runtime.race import Lane, Race, Runner
from openfusion_auto.runtime.stream import ClientStream, Outlet
from openfusion_auto.runtime.trace import Hedged, Trace


@dataclass(slots=True)
class Failures:
    """What went wrong in one ask, and who is not asked again for it."""

    errors: list[FusionError] = field(default_factory=list)
    timeouts: int = 0
    candidates: set[str] = field(default_factory=set)
    upstreams: set[str] = field(default_factory=set)

    def note(self, error: FusionError) -> None:
        """Note a failure."""
        # Its frames hold all that was read, and one of them this list: a cycle for every failed call.
        self.errors.append(error.with_traceback(None))
        self.timeouts += isinstance(error, UpstreamTimeout)

    def leave(self, candidate: Candidate | None, move: Move) -> None:
        """Ask a candidate no more, nor others of its upstream where the fault is the provider's."""
        if candidate is not None:
            self.candidates.add(candidate.id)
            self.upstreams |= {candidate.upstream} if move.skip_upstream else set()


class Caller(Attempts):
    """Makes the calls of one request; `client` is the stream to relay a final answer to, or None.

    `allowance` holds the worst case of every call before it is made. `hedge`: a second call may be made beside a first
    one that is silent.
    """

    def __init__(
        self,
        means: Means,
        trace: Trace,
        client: ClientStream | None,
        *,
        began_s: float,
        max_calls: int,
        max_usd: float | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        allowance: Allowance | None = None,
        hedge: Hedge | None = None,
    ) -> None:
        self._hedge = hedge
        super().__init__(means, trace, began_s=began_s, headers=headers)
        self._client = client
        self._max_calls = max_calls
        # With budgets every call is counted, whether the request has a ceiling of its own or not.
        self._max_usd = max_usd if allowance is None else tightest(max_usd, math.inf)
        self._allowance = allowance
        # Calls made and about to be made, and the worst case of those that are not over: taken before their money is
        # asked for, so that members of a panel that fail together do not all take the last place.
        self._calls = len(trace.attempts)
        self._reserved_usd = 0.0

    async def perform(self, ask: Ask) -> Reply:
        """Ask the candidates in order until one answers; see `core/backoff.py` for what follows a failure."""
        failed = Failures()
        ask = replace(ask, prompt=self._means.ceilings.clamped(ask.phase, ask.prompt))
        candidate_id = ask.candidates[0]
        for candidate_id in ask.candidates:
            candidate = self._means.pool.get(candidate_id)
            if candidate is None or self._is_passed_over(candidate, ask, failed):
                continue
            tries = 0
            while True:
                if self._calls >= self._max_calls:
                    failed.note(UpstreamError(f"the limit of {self._max_calls} calls is used up"))
                    return await self._ended(ask, candidate_id, failed)
                tries += 1
                worst_usd = self._worst_usd(ask.prompt, candidate)
                reply = await self._held(worst_usd, partial(self._tried, ask, candidate, failed))
                if reply is None:
                    failed.note(
                        UpstreamError(f"{candidate_id} does not fit what is left of the budget")
                    )
                    break
                if reply.error is None:
                    return reply
                failed.note(reply.error)
                alone = not self._others(candidate, ask, failed)
                move = self._move(reply.error, tries, failed.timeouts, alone=alone)
                if move.kind == "stop":
                    return await self._ended(ask, candidate_id, failed)
                if not self._is_tried_again(candidate, move, reply):
                    failed.leave(self._means.pool.get(reply.candidate), move)
                    break
                await self._means.clock.sleep(move.wait_s)
        return await self._ended(ask, candidate_id, failed)

    async def _ended(self, ask: Ask, candidate_id: str, failed: Failures) -> Reply:
        """Return what an ask comes to when nobody is left: an answer that was held for a call, or the failure."""
        kept = self._misfit
        if kept is None or kept.phase not in (ask.phase, HEDGE):
            return Reply(ask.phase, candidate_id, error=summary(failed.errors))
        why = next(e.message for e in failed.errors if isinstance(e, UpstreamMisfit))
        self._trace.notes.append(f"{kept.candidate}: {why}; passed on: nobody else could answer")
        client = self._client_of(ask)
        if client is not None:
            await client.recall()
        return kept

    def _is_passed_over(self, candidate: Candidate, ask: Ask, failed: Failures) -> bool:
        """Whether a candidate is not asked: it or its provider has failed, or its breaker says no.

        A breaker is asked again here: between the decision and the call another request may have begun to try whether
        the candidate is back. When all rest, the first is tried all the same (decision 0004).
        """
        if candidate.upstream in failed.upstreams or candidate.id in failed.candidates:
            return True
        live = self._means.live
        if live.may_call(candidate.id):
            return False
        return bool(failed.errors) or any(live.may_call(other) for other in ask.candidates)

    def _others(self, candidate: Candidate, ask: Ask, failed: Failures) -> bool:
        """Whether somebody stands behind a candidate who could be asked."""
        behind = ask.candidates[ask.candidates.index(candidate.id) + 1 :]
        known = (self._means.pool.get(name) for name in behind)
        return any(c is not None and not self._is_passed_over(c, ask, failed) for c in known)

    def _is_tried_again(self, candidate: Candidate, move: Move, reply: Reply) -> bool:
        """Whether the same candidate is asked once more: not when this failure has opened its breaker."""
        own = reply.candidate == candidate.id
        return move.kind == "retry" and own and self._means.live.may_call(candidate.id)

    async def _tried(self, ask: Ask, candidate: Candidate, failed: Failures) -> Reply:
        """Make one call; the first candidate's, where that is allowed, with a second one when it is silent."""
        client = self._client_of(ask)
        hedge, first = self._hedge, ask.final and candidate.id == ask.candidates[0]
        if hedge is None or not first or (client is not None and client.head_sent):
            return await self._reply(ask, candidate, client)
        *others, last = await self._raced(hedge, ask, candidate)
        for reply in others:
            if reply.error is not None:
                failed.note(reply.error)
                move = self._move(reply.error, 1, failed.timeouts)
                failed.leave(self._means.pool.get(reply.candidate), move)
        return last

    async def _raced(self, hedge: Hedge, ask: Ask, candidate: Candidate) -> tuple[Reply, ...]:
        """Make one call, and a second one beside it when it is silent for too long; see `Race.run`."""
        trace = self._trace
        silence = hedge.hedger.silence(candidate.id, streamed=ask.prompt.stream)

        def won(name: str) -> None:
            if trace.hedge is not None:
                trace.hedge = replace(trace.hedge, won=name)

        async def second() -> Runner | None:
            live = self._means.live
            name = hedge.second(ask.candidates, live.breakers(), self._means.clock.now())
            other = None if name is None else self._means.pool.get(name)
            problem = await self._refuses(hedge, ask, other)
            if problem is not None or other is None:
                trace.notes.append(
                    f"{candidate.id} said nothing for {silence.s:.3g} s; no second call: {problem}"
                )
                return None
            return Runner(other.id, partial(begin, other))

        async def begin(other: Candidate, lane: Lane) -> Reply:
            self._hedge = None  # once a request
            after_ms = round(silence.s * 1000, 2)
            trace.hedge = Hedged(candidate.id, other.id, after_ms, silence.rule)
            asked = replace(ask, phase=HEDGE)
            self._calls += 1
            worst_usd = self._most_usd(ask.prompt, other) or 0.0
            self._reserved_usd += worst_usd
            try:
                return await self._reply(asked, other, lane.outlet)
            finally:
                self._reserved_usd -= worst_usd

        async def begin_first(lane: Lane) -> Reply:
            return await self._reply(ask, candidate, lane.outlet)

        race = Race(self._client_of(ask), won)
        try:
            return await race.run(Runner(candidate.id, begin_first), silence.s, second)
        finally:
            self._settle(hedge, ask)

    async def _refuses(self, hedge: Hedge, ask: Ask, other: Candidate | None) -> str | None:
        """Return why a second call must not be made, None when its worst case is held."""
        client = self._client_of(ask)
        if other is None:
            return "the others' breakers are not closed"
        if client is not None and client.head_sent:
            return "something has reached the client"
        worst_usd = self._most_usd(ask.prompt, other)
        if self._calls >= self._max_calls:
            return f"the limit of {self._max_calls} calls is used up"
        if not self._affords(worst_usd) or not await self._covered(self._with(worst_usd or 0.0)):
            return f"{other.id} does not fit what is left of the budget"
        return await hedge.hold(worst_usd)

    def _settle(self, hedge: Hedge, ask: Ask) -> None:
        """Book the second call in the budget of hedging, and learn how long the first let wait where it was cut.

        Its provider may bill the prompt of a call that was cut before it said anything: the budget counts that, the
        books what came.
        """
        usd, found, streamed = 0.0, self._trace.hedge, ask.prompt.stream
        lost = found is not None and found.won == found.second
        for line in self._trace.attempts:
            candidate = self._means.pool.get(line.candidate)
            if line.phase == HEDGE and candidate is not None and candidate.price is not None:
                least = cost.usd(candidate.price, Usage(input_tokens(ask.prompt)))
                usd += 0.0 if self._trace.dry_run else max(line.known_usd, least)
            cut = line.phase == ask.phase and line.status == "cancelled" and line.ttft_ms is None
            if lost and cut and line.ms is not None:
                hedge.hedger.waited(line.candidate, line.ms / 1000, streamed=streamed)
                if streamed:
                    self._means.live.waited(line.candidate, line.ms)
        if found is None:
            hedge.unused()
        hedge.settle(usd)

    async def _held(
        self, worst_usd: float | None, call: Callable[[], Awaitable[Reply]]
    ) -> Reply | None:
        """Make one call whose worst case is held while it runs; None when that is not there."""
        if not self._affords(worst_usd):
            return None
        self._calls += 1
        self._reserved_usd += worst_usd or 0.0
        try:
            if await self._covered(self._with(0.0)):
                return await call()
            self._calls -= 1
            return None
        finally:
            self._reserved_usd -= worst_usd or 0.0

    async def _reply(self, ask: Ask, candidate: Candidate, client: Outlet | None) -> Reply:
        """Make one call."""
        try:
            answer = await self._attempt(ask, candidate, client)
            return Reply(ask.phase, candidate.id, answer)
        except FusionError as error:
            return Reply(ask.phase, candidate.id, error=error.with_traceback(None))

    def _client_of(self, ask: Ask) -> ClientStream | None:
        """Return where the events of an answer go as they come; None when only the whole answer is wanted."""
        return self._client if ask.final and ask.prompt.stream else None

    async def once(self, ask: Ask) -> Reply:
        """Ask the first candidate one time, inside the limits: no retry and no fallback."""
        candidate_id = ask.candidates[0]
        candidate = self._means.pool.get(candidate_id)
        worst_usd = self._worst_usd(ask.prompt, candidate) if candidate else None
        problem = "does not fit the limits of this request"
        if candidate is None or not self._means.live.may_call(candidate_id):
            problem = "cannot be called now"
        elif self._calls < self._max_calls:
            call = partial(self._reply, ask, candidate, self._client_of(ask))
            reply = await self._held(worst_usd, call)
            if reply is not None:
                return reply
        return Reply(ask.phase, candidate_id, error=UpstreamError(f"{candidate_id} {problem}"))

    def _move(self, error: FusionError, tries: int, timeouts: int, *, alone: bool = False) -> Move:
        """Return what follows a failed attempt.

        A request that cannot be said in one upstream's dialect may be fine in another's: no call was made, and the
        next candidate is tried.
        """
        if isinstance(error, BadRequest):
            return Move("next")
        clock = self._means.clock
        return next_move(
            error,
            tries=tries,
            timeouts=timeouts,
            remaining_s=self._began_s + self._means.total_s - clock.now(),
            jitter=clock.chance(),
            alone=alone,
        )

    def _worst_usd(self, prompt: Prompt, candidate: Candidate) -> float | None:
        """Return the most the next call can cost [USD]; None when the price is unknown or nobody asks."""
        return None if self._max_usd is None else self._most_usd(prompt, candidate)

    def _most_usd(self, prompt: Prompt, candidate: Candidate) -> float | None:
        """Return the most a call can cost [USD]; None when the price is unknown."""
        decision = self._trace.decision
        hour = decision is not None and decision.task.needs.hour_cache
        return worst_case(prompt, candidate, hour_cache=hour)

    def _affords(self, worst_usd: float | None) -> bool:
        """Whether a call fits the request's budget beside what is spent and what is in flight: reserve, then settle."""
        if self._max_usd is None:
            return True
        return worst_usd is not None and self._with(worst_usd) <= self._max_usd

    def _with(self, worst_usd: float) -> float:
        """Return what the request costs at worst with one more call [USD]."""
        spent = sum(a.known_usd for a in self._trace.attempts)
        return spent + self._reserved_usd + worst_usd

    async def _covered(self, usd: float) -> bool:
        """Whether the budgets of key, server and session hold `usd` [USD] for the request, planned or not."""
        return self._allowance is None or await self._allowance.cover(usd)


def worst_case(prompt: Prompt, candidate: Candidate, *, hour_cache: bool = False) -> float | None:
    """Return the most a call can cost [USD]; None when that is unknown: no price, or of searches, or a dearer tier."""
    bound = prompt.overrides.get("max_tokens", prompt.max_output_tokens)
    needs = Needs(
        input_tokens=input_tokens(prompt),
        max_output_tokens=bound if isinstance(bound, int) else None,
        n=prompt.n,
        web=bool(prompt.web),
        hour_cache=hour_cache,
    )
    said = prompt.options
    options = Options(searching=said.searching, tiers=said.tiers, us_only=said.us_only)
    return cost.worst_usd(candidate, Task("chat", "low", "low", "user", needs, options=options))
