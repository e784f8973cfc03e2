"""One request, from prompt to answer: read it, decide, call, answer, book. The whole way is on this page."""

from __future__ import annotations

import asyncio
import copy
import secrets
from collections.abc import Mapping
from dataclasses import replace

from openfusion_auto.core.decide import bounds
from openfusion_auto.core.own import NONE_OWN, OwnModels
from openfusion_auto.core.prompt import Answer, Dialect, Prompt, Usage
from openfusion_auto.core.recipes import Outcome, recipe
from openfusion_auto.core.strategy import IN_TURN
from openfusion_auto.core.types import Candidate, Policy, Pool
from openfusion_auto.errors import (
    FusionError,
    InternalError,
)
from openfusion_auto.runtime.access import owner_of
from openfusion_auto.runtime.attempt import Means, StreamBroken
from openfusion_auto.runtime.cache import Cache, Kept, recorded
from openfusion_auto.runtime.caller import Caller
from openfusion_auto.runtime.driver import drive
from openfusion_auto.runtime.judging import Incoming, Judged, Judging, raise_if_empty
from openfusion_auto.runtime.limits import Allowance
from openfusion_auto.runtime.reader import Reader
from openfusion_auto.runtime.session import session_hash, session_of
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.runtime.texts import texts_of
from openfusion_auto.runtime.trace import Again, Trace, TraceStore, shown
from openfusion_auto.wire.jsons import dumps
from openfusion_auto.wire.portable import seals_of_answer
from openfusion_auto.wire.refused import BETA
from openfusion_auto.wire.telling import stream_of, telling
from openfusion_auto.wire.traceparent import read_traceparent


class Engine:
    """Answers requests. Holds no request's data; everything live is in `means.live` and `traces`."""

    def __init__(
        self,
        means: Means,
        policy: Policy,
        traces: TraceStore,
        *,
        dry_run: bool,
        report_requested: bool = False,
        report_answering: bool = False,
        reader: Reader | None = None,
        cache: Cache | None = None,
        own: OwnModels = NONE_OWN,
        keep_texts: bool = False,
    ) -> None:
        self.means = means
        self.policy = policy
        self.traces = traces
        self.dry_run = dry_run
        self.report_requested = report_requested
        self.report_answering = report_answering
        self.reader = reader or Reader()
        self.cache = cache
        self.own = own
        self.keep_texts = keep_texts

    def as_now(self) -> Engine:
        """Return the engine as it is now: a request goes its whole way with one configuration."""
        return copy.copy(self)

    def take(self, other: Engine) -> None:
        """Serve requests from now on as `other` would, which has the same traces and live state."""
        vars(self).update(vars(other))

    @property
    def _judging(self) -> Judging:
        return Judging(self.means, self.policy, self.reader, self.own)

    def judge(self, incoming: Incoming) -> Judged:
        """Read and decide a request; see `Judging.judge`."""
        return self._judging.judge(incoming)

    def open(self, incoming: Incoming) -> Trace:
        """Start the trace of a request; it is in the store at once, so that a crash on the way is seen."""
        parent = read_traceparent(incoming.headers.get("traceparent"))
        trace = Trace(
            id="tr_" + secrets.token_hex(12),
            requested_model=incoming.prompt.model,
            dialect=incoming.prompt.dialect,
            stream=incoming.prompt.stream,
            at=self.means.clock.wall(),
            dry_run=self.dry_run,
            owner=owner_of(incoming.client),
            parent=parent.header() if parent is not None else None,
            texts=texts_of(incoming.prompt) if self.keep_texts else None,
        )
        self.traces.add(trace)
        return trace

    async def answer(self, incoming: Incoming, trace: Trace, client: ClientStream | None) -> bytes:
        """Answer a request.

        Args:
            incoming: The request.
            trace: Its trace, filled here.
            client: Where a streamed answer goes; None for a whole one.

        Returns:
            The body of the answer; b"" when it was streamed.

        Raises:
            FusionError: nothing has been sent; the surface renders it. After the first byte of a stream the
                error has been sent as the dialect's own event and nothing is raised.
            asyncio.CancelledError: the client left; calls are cut and booked.
        """
        began_s = self.means.clock.now()
        try:
            if self.cache is not None:
                return await self._answer_or_again(self.cache, incoming, trace, client)
            return (await self._made(incoming, trace, client))[0]
        except StreamBroken as broken:
            return await self._break(broken.error, trace, client)
        except FusionError as error:
            if client is not None and client.head_sent:
                return await self._break(error, trace, client)
            trace.outcome, trace.error = "error", error.code
            raise
        except (asyncio.CancelledError, ConnectionError):
            trace.outcome = "cancelled"
            raise
        except Exception:  # any defect of ours: the trace says so, the gate answers
            trace.outcome, trace.error = "error", InternalError.default_code
            raise
        finally:
            trace.ms = round((self.means.clock.now() - began_s) * 1000, 2)
            self.means.books.close(trace)

    async def _answer_or_again(
        self, cache: Cache, incoming: Incoming, trace: Trace, client: ClientStream | None
    ) -> bytes:
        """Answer with what was kept of the same request, else anew, and keep that."""
        prompt, view = incoming.prompt, incoming.view
        if view is not None:
            view.check(prompt.model, prompt.body)
        pool = view.pool if view is not None else self.means.pool
        who = f"key {incoming.client}" if incoming.client else f"client {incoming.identity}"
        key = cache.key(prompt, who, pool.digest, forwarded(incoming.headers))
        if key is None:
            return (await self._made(incoming, trace, client))[0]
        if client is not None:
            client.tape = cache.tape()
            client.patient = cache.busy(key)
        async with cache.turn(key) as kept:
            again = kept.answer() if kept is not None else None
            if kept is not None and again is not None:
                return await self._again(incoming, kept, again, trace, client)
            body, judged, outcome = await self._made(incoming, trace, client)
            tape = client.tape if client is not None else None
            found = recorded(outcome.answer, tape) if outcome.answer is not None else None
            if found is not None:
                model, mode = self._model_of(outcome, judged.pool), judged.decision.mode
                who_said = (outcome.candidate, outcome.phase, model, mode)
                dialect, streamed, data = found
                cache.keep(key, Kept(dialect, streamed, *who_said, trace.id, trace.at, data))
            return body

    async def _again(
        self,
        incoming: Incoming,
        kept: Kept,
        answer: Answer,
        trace: Trace,
        client: ClientStream | None,
    ) -> bytes:
        """Give a kept answer: no call, no cost, nothing learnt (`Learner.again`), no pin."""
        session = session_of(incoming.prompt, incoming.headers, incoming.identity, incoming.client)
        trace.session, trace.session_source = session_hash(session.whole), session.source
        if self.reader.learner is not None:
            self.reader.learner.again(session.key, kept.candidate)
        trace.cached = Again(kept.trace, kept.mode, kept.model, kept.at)
        trace.answered_by, trace.answered_phase = kept.candidate, kept.phase
        if trace.texts is not None:
            trace.texts.answered(kept.phase or "", kept.candidate, answer)
        maker = self.means.pool.get(kept.candidate)
        if maker is not None:  # another process may have seen it first
            self.means.live.first_seen(seals_of_answer(answer), maker)
        trace.outcome = "ok"
        if client is not None:
            client.tape = None
        return await self._tell(incoming.prompt, answer, kept.model, trace, client)

    async def _made(
        self, incoming: Incoming, trace: Trace, client: ClientStream | None
    ) -> tuple[bytes, Judged, Outcome]:
        """Decide, call, deliver; returns the body with what it came from."""
        began_s = self.means.clock.now()
        judged = await self._judging.judged(incoming, trace, began_s)
        trace.decision, trace.state, trace.policy = judged.decision, judged.state, judged.policy
        trace.notes += judged.notes
        trace.pool = judged.pool if judged.want.outside else None
        trace.session_source, trace.pinned = judged.session.source, judged.state.pin is not None
        trace.session = session_hash(judged.session.whole)
        allowance = await self._reserved(incoming, judged, trace)
        raise_if_empty(judged)
        if client is not None:
            client.patient = len(judged.decision.plan.steps) > 1
        hedger, named = self.means.hedger, bool(judged.want.only)
        max_calls, max_usd = bounds(self.policy, judged.prompt.options)
        caller = Caller(
            self._means_of(judged),
            trace,
            client,
            began_s=began_s,
            max_calls=max_calls,
            max_usd=max_usd,
            headers=forwarded(incoming.headers),
            allowance=allowance,
            hedge=hedger.turn(judged.decision, named=named) if hedger is not None else None,
        )
        outcome = await drive(recipe(judged.prompt, judged.decision), caller.perform)
        body = await self._deliver(judged, outcome, trace, client)
        return body, judged, outcome

    async def _reserved(self, incoming: Incoming, judged: Judged, trace: Trace) -> Allowance | None:
        """Hold the worst case of what was decided where budgets count; returns who must cover every further call.

        Raises:
            QuotaExceeded: the budgets are why nobody can serve.
        """
        if incoming.allowance is None or judged.left_usd is None:
            return None
        trace.notes.append(f"{judged.left_usd:.6f} USD were left of its budgets")
        plan = judged.decision.plan
        if judged.decision.ranking:
            worst_usd = plan.worst_case_usd if plan.steps else None
            _, ceiling = bounds(self.policy, judged.prompt.options)
            await incoming.allowance.reserve(worst_usd, ceiling)
        return incoming.allowance

    def _means_of(self, judged: Judged) -> Means:
        same = judged.pool is self.means.pool
        return self.means if same else replace(self.means, pool=judged.pool)

    async def _deliver(
        self, judged: Judged, outcome: Outcome, trace: Trace, client: ClientStream | None
    ) -> bytes:
        """Send or return the answer with its trace; keep the session on the model that answered."""
        trace.heard(outcome)
        if outcome.answer is None:
            raise outcome.error or InternalError("the recipe ended without an answer")
        trace.answered_by, trace.answered_phase = outcome.candidate, outcome.phase
        self._pin(judged, outcome)
        if self.reader.learner is not None:
            self.reader.learner.answered(
                judged.prompt,
                judged.session.key,
                judged.identity,
                judged.task,
                outcome.candidate,
                judged.pool,
            )
        trace.outcome = "ok"
        model = self._model_of(outcome, judged.pool)
        return await self._tell(judged.prompt, outcome.answer, model, trace, client)

    async def _tell(
        self, prompt: Prompt, answer: Answer, model: str, trace: Trace, client: ClientStream | None
    ) -> bytes:
        """Return an answer with its trace; to a stream, send it or what is missing of it."""
        usage = trace.told_usage(alone=self.report_answering)
        shown = self._shown(prompt, trace)
        if client is None:
            return telling(prompt, answer_id=answer_id(trace), created=int(trace.at)).body(
                self._named(answer, prompt),
                shown,
                model=model,
                usage=usage,
                answer_id=answer_id(trace),
                created=int(trace.at),
            )
        if not client.relayed:
            client.fresh()
            await client.relay(stream_of(answer))
        await client.end(shown, usage)
        return b""

    def _named(self, answer: Answer, prompt: Prompt) -> Answer:
        """Return the answer under the name that is to be reported: its own, or the one asked for."""
        if not self.report_requested or answer.data is None:
            return answer
        data = {**answer.data, "model": prompt.model}
        return replace(answer, raw=dumps(data), data=data, model=prompt.model)

    def _model_of(self, outcome: Outcome, pool: Pool) -> str:
        candidate = pool.get(outcome.candidate)
        return candidate.model if candidate else outcome.candidate

    def _shown(self, prompt: Prompt, trace: Trace) -> dict[str, object] | None:
        return shown(trace, prompt.options.trace)

    def _pin(self, judged: Judged, outcome: Outcome) -> None:
        """Keep the session where its answer came from; a call a client makes for itself pins nothing.

        With tools it is a person who asks for a commit message: a loop of tools may follow, and stays where it began.
        """
        candidate: Candidate | None = judged.pool.get(outcome.candidate)
        task = judged.task
        alone = task.turn == "aux" or (task.kind == "aux" and not task.needs.tools)
        if alone or candidate is None:
            return
        # Who takes turns keeps one model through a tool loop; else what was named says it each time.
        in_turn = judged.prompt.options.strategy == IN_TURN
        if (judged.want.role is not None or judged.want.only) and not in_turn:
            return
        usage: Usage | None = outcome.answer.usage if outcome.answer else None
        # Once for what a person said: after an escalation its tool turns stay, the next words begin anew.
        before = judged.state.pin is not None and judged.state.pin.escalated
        escalated = judged.decision.escalates or (judged.task.turn == "tool" and before)
        self.means.live.pin(judged.session.key, candidate, usage, escalated=escalated)

    async def _break(self, error: FusionError, trace: Trace, client: ClientStream | None) -> bytes:
        """End a stream that has begun with the dialect's error event."""
        trace.outcome, trace.error = "error", error.code
        if client is not None:
            await client.fail(error)
        return b""


# What a client of Anthropic's API turns on for a request; goes from Messages clients to Messages upstreams alone.
FORWARDED = (BETA, "anthropic-version")
ID_PREFIX: Mapping[Dialect, str] = {"chat": "chatcmpl-", "responses": "resp_", "messages": "msg_"}


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request that go on to its upstream, in lower case."""
    return {k.lower(): v for k, v in headers.items() if k.lower() in FORWARDED}


def answer_id(trace: Trace) -> str:
    """Return the id of an answer that is put together here, in the form of its dialect."""
    return ID_PREFIX[trace.dialect] + trace.id[3:]
