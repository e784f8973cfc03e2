"""The calls of one request: one attempt after the other, each a line in the books, until an answer is there.

No retry and no fallback once a byte of the answer has reached the client: then `StreamBroken` ends the request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openfusion_auto.core import cost
from openfusion_auto.core.backoff import Move, next_move
from openfusion_auto.core.checks import is_json
from openfusion_auto.core.decide import tightest
from openfusion_auto.core.prompt import Answer, Dialect, Prompt, Usage
from openfusion_auto.core.recipes import Ask, Reply
from openfusion_auto.core.tokens import estimate, input_tokens, prompt_bytes, text_bytes
from openfusion_auto.core.types import Candidate, Needs, Pool, State, Task
from openfusion_auto.errors import (
    BadRequest,
    ContextTooLong,
    FusionError,
    InternalError,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
)
from openfusion_auto.runtime.books import Books
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import Allowance
from openfusion_auto.runtime.relay import Received, Relay
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.upstream.base import Call, Opened, Upstream, pour
from openfusion_auto.wire.codec import CODECS, Reader, usage_of
from openfusion_auto.wire.portable import check_foreign, for_another, seals_of_answer
from openfusion_auto.wire.rendered import Rendered

NO_HEADERS: Mapping[str, str] = {}
MIN_SPAN_S = 0.05  # [s] an answer shorter than this says nothing about throughput


class StreamBroken(Exception):
    """The answer broke after its first byte had reached the client."""

    def __init__(self, error: FusionError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Means:
    """What calls are made with: shared by all requests."""

    pool: Pool
    upstreams: Mapping[str, Upstream]
    live: LiveState
    clock: Clock
    max_calls: int
    total_s: float
    books: Books = field(default_factory=Books)


class Caller:
    """Makes the calls of one request; `client` is the stream to relay a final answer to, or None.

    `headers` of a Messages client (`anthropic-beta` and the like) go on to Messages upstreams. `allowance` holds the
    worst case of every call before it is made.
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
    ) -> None:
        self._means = means
        self._trace = trace
        self._client = client
        self._began_s = began_s
        self._max_calls = max_calls
        # With budgets every call is counted, whether the request has a ceiling of its own or not.
        self._max_usd = max_usd if allowance is None else tightest(max_usd, math.inf)
        self._allowance = allowance
        self._headers = headers
        self._reserved_usd = 0.0  # the worst case of the calls in flight

    def _elapsed_ms(self) -> float:
        return round((self._means.clock.now() - self._began_s) * 1000, 2)

    async def perform(self, ask: Ask) -> Reply:
        """Ask the candidates in order until one answers; see `core/backoff.py` for what follows a failure."""
        clock, skip, timeouts = self._means.clock, set[str](), 0
        errors: list[FusionError] = []
        candidate_id = ask.candidates[0]
        for candidate_id in ask.candidates:
            candidate = self._means.pool.get(candidate_id)
            if candidate is None or candidate.upstream in skip:
                continue
            if errors and not self._means.live.may_call(candidate_id):
                continue  # it rests, or somebody else is trying whether it is back
            tries = 0
            while True:
                if len(self._trace.attempts) >= self._max_calls:
                    errors.append(UpstreamError(f"the limit of {self._max_calls} calls is used up"))
                    return Reply(ask.phase, candidate_id, error=summary(errors))
                worst_usd = self._worst_usd(ask.prompt, candidate)
                if not self._affords(worst_usd) or not await self._covered(worst_usd):
                    errors.append(
                        UpstreamError(f"{candidate_id} does not fit what is left of the budget")
                    )
                    break
                tries += 1
                self._reserved_usd += worst_usd or 0.0
                try:
                    return Reply(ask.phase, candidate_id, await self._attempt(ask, candidate))
                except FusionError as error:
                    # Its frames hold all that was read, and one of them this list: a cycle for every failed call.
                    errors.append(error.with_traceback(None))
                    timeouts += isinstance(error, UpstreamTimeout)
                    move = self._move(error, tries, timeouts)
                finally:
                    self._reserved_usd -= worst_usd or 0.0
                if move.kind == "stop":
                    return Reply(ask.phase, candidate_id, error=summary(errors))
                if move.kind == "next":
                    skip |= {candidate.upstream} if move.skip_upstream else set()
                    break
                await clock.sleep(move.wait_s)
        return Reply(ask.phase, candidate_id, error=summary(errors))

    async def once(self, ask: Ask) -> Reply:
        """Ask the first candidate one time, inside the limits: no retry and no fallback."""
        candidate_id = ask.candidates[0]
        candidate = self._means.pool.get(candidate_id)
        worst_usd = self._worst_usd(ask.prompt, candidate) if candidate else None
        if candidate is None or not self._means.live.may_call(candidate_id):
            error: FusionError = UpstreamError(f"{candidate_id} cannot be called now")
        elif len(self._trace.attempts) >= self._max_calls or not self._affords(worst_usd):
            error = UpstreamError(f"{candidate_id} does not fit the limits of this request")
        else:
            try:
                return Reply(ask.phase, candidate_id, await self._attempt(ask, candidate))
            except FusionError as failed:
                error = failed.with_traceback(None)
        return Reply(ask.phase, candidate_id, error=error)

    def _move(self, error: FusionError, tries: int, timeouts: int) -> Move:
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
        )

    def _worst_usd(self, prompt: Prompt, candidate: Candidate) -> float | None:
        """Return the most the next call can cost [USD]; None when the price is unknown or nobody asks."""
        if self._max_usd is None:
            return None
        bound = prompt.overrides.get("max_tokens", prompt.max_output_tokens)
        added = estimate(sum(text_bytes(m.text) for m in prompt.added))
        needs = Needs(
            input_tokens=input_tokens(prompt) + added,
            max_output_tokens=bound if isinstance(bound, int) else None,
            n=prompt.n,
        )
        return cost.worst_usd(candidate, Task("chat", "low", "low", "user", needs))

    def _affords(self, worst_usd: float | None) -> bool:
        """Whether a call fits the request's budget beside what is spent and what is in flight: reserve, then settle."""
        if self._max_usd is None:
            return True
        return worst_usd is not None and self._with(worst_usd) <= self._max_usd

    def _with(self, worst_usd: float) -> float:
        """Return what the request costs at worst with one more call [USD]."""
        spent = sum(a.usd for a in self._trace.attempts if a.usd is not None)
        return spent + self._reserved_usd + worst_usd

    async def _covered(self, worst_usd: float | None) -> bool:
        """Whether the budgets of key, server and session hold enough for a call: more than was planned, if need be."""
        return self._allowance is None or await self._allowance.cover(self._with(worst_usd or 0.0))

    async def _attempt(self, ask: Ask, candidate: Candidate) -> Answer:
        """Make one call and enter it in the books, however it ends."""
        line = Attempt(
            ask.phase, candidate.id, candidate.model, candidate.upstream, self._elapsed_ms()
        )
        self._trace.attempts.append(line)
        live, received = self._means.live, Received()
        live.started(candidate.id)
        client = self._client if ask.final and ask.prompt.stream else None
        try:
            answer = await self._exchange(ask.prompt, candidate, line, client, received)
        except FusionError as error:
            line.status, line.error, line.detail = "error", error.code, error.message[:300]
            self._book_partial(line, ask.prompt, candidate, received)
            live.failed(candidate.id, error)
            if client is not None and client.started:
                raise StreamBroken(error) from error
            raise
        except BaseException as end:
            # The client left (cancelled, or its socket broke) or a defect of ours: no verdict on the candidate, and
            # a probe must not hold its breaker for ever.
            gone = isinstance(end, asyncio.CancelledError | ConnectionError)
            line.status = "cancelled" if gone else "error"
            self._book_partial(line, ask.prompt, candidate, received)
            live.released(candidate.id)
            raise
        finally:
            line.ms = round(self._elapsed_ms() - line.at_ms, 2)
            if line.status != "running":
                self._means.books.enter(self._trace, line)
        self._book(line, ask.prompt, candidate, answer)
        self._means.books.enter(self._trace, line)
        return answer

    def _book(self, line: Attempt, prompt: Prompt, candidate: Candidate, answer: Answer) -> None:
        """Enter a good answer: money, and what it teaches about the candidate."""
        line.status, line.finish = "ok", answer.finish
        usage = answer.usage
        if usage is None:
            size = len(answer.text) + sum(len(c.arguments) for c in answer.tool_calls)
            line.book(
                candidate, Usage(estimate(prompt_bytes(prompt)), estimate(size)), estimated=True
            )
        else:
            line.book(candidate, usage)
        if self._trace.dry_run:
            line.usd = 0.0  # nobody was paid
        span_s = ((line.ms or 0.0) - (line.ttft_ms or 0.0)) / 1000
        streamed = usage is not None and prompt.stream and span_s > MIN_SPAN_S
        self._means.live.succeeded(
            candidate.id,
            ttft_ms=line.ttft_ms if prompt.stream else None,
            tokens_per_s=usage.output / span_s if usage is not None and streamed else None,
            bytes_per_token=prompt_bytes(prompt) / usage.input if usage and usage.input else None,
            cache_hit=confirmed_share(self._trace.state, candidate.id, usage),
        )

    def _book_partial(
        self, line: Attempt, prompt: Prompt, candidate: Candidate, received: Received
    ) -> None:
        """Enter a call that came to nothing: providers bill what they read and wrote.

        What the upstream told counts; what it did not get to tell is counted by the bytes that came.
        """
        told = received.usage
        if told is not None and received.final:
            line.book(candidate, told)
        elif told is not None or received.size:
            told = told or Usage(estimate(prompt_bytes(prompt)))
            written = max(told.output, estimate(received.size))
            line.book(candidate, replace(told, output=written), estimated=True)
        if self._trace.dry_run and line.usd is not None:
            line.usd = 0.0

    async def _exchange(
        self,
        prompt: Prompt,
        candidate: Candidate,
        line: Attempt,
        client: ClientStream | None,
        received: Received,
    ) -> Answer:
        """Send the prompt to one candidate and read its whole answer, relaying it to `client` as it comes."""
        upstream = self._means.upstreams.get(candidate.upstream)
        if upstream is None:
            raise InternalError(f"candidate {candidate.id} has no upstream {candidate.upstream}")
        if client is not None:
            client.fresh()
        codec = CODECS[upstream.dialect]
        sent = self._outgoing(prompt, candidate, upstream.dialect)
        line.lost = sent.lost
        theirs = prompt.dialect == upstream.dialect == "messages"
        headers = self._headers if theirs else NO_HEADERS
        opened = await upstream.open(Call(candidate.model, sent.body, prompt.stream, headers))
        try:
            if is_stream(opened, asked=prompt.stream):
                # A relayed answer is not kept by its reader: a long stream must not fill the memory.
                reader = codec.Reader(keep=client is None)
                try:
                    answer = await self._read_stream(opened, reader, candidate, client, received)
                except BaseException:
                    received.tell(reader.answer())
                    raise
                finally:
                    self._note_first(line, received)
            else:
                body = await self._read_body(opened, line, received)
                try:
                    answer = codec.read_answer(body)
                except UpstreamBroken:
                    received.usage, received.final = usage_of(codec, body), True
                    raise
                self._means.live.first_seen(seals_of_answer(answer), candidate)
                if client is not None:
                    await client.relay(codec.deltas_of(answer))
        finally:
            await opened.close()
        received.usage, received.final = answer.usage, True
        refuse_broken_calls(answer)
        if client is not None:
            client.relayed = True
        return answer

    def _outgoing(self, prompt: Prompt, candidate: Candidate, dialect: Dialect) -> Rendered:
        """Return what to send to a candidate: its history compiled for it, in its upstream's dialect."""
        check_foreign(prompt, dialect)
        lost: tuple[str, ...] = ()
        if (
            prompt.dialect == dialect
        ):  # another dialect's renderer leaves all of it out, and says so
            live = self._means.live
            prompt, lost = for_another(prompt, lambda seal: live.is_foreign((seal,), candidate))
        sent = outgoing(prompt, candidate, dialect)
        return Rendered(sent.body, (*lost, *sent.lost)) if lost else sent

    def _note_first(self, line: Attempt, received: Received) -> None:
        """Enter when the first piece of a stream came."""
        if received.first_s is not None:
            ms = (received.first_s - self._began_s) * 1000 - line.at_ms
            line.ttft_ms = round(ms, 2)

    async def _read_body(self, opened: Opened, line: Attempt, received: Received) -> bytes:
        parts = []
        async for chunk in opened.chunks():
            if line.ttft_ms is None:
                line.ttft_ms = round(self._elapsed_ms() - line.at_ms, 2)
            parts.append(chunk)
            received.size += len(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _read_stream(
        self,
        opened: Opened,
        reader: Reader,
        candidate: Candidate,
        client: ClientStream | None,
        received: Received,
    ) -> Answer:
        means = self._means
        relay = Relay(
            reader,
            client,
            received,
            candidate,
            live=means.live,
            clock=means.clock,
            silence_s=means.total_s,
        )
        await pour(opened, relay)
        waits = relay.end()
        if waits is not None:
            await waits
        return reader.answer()


def confirmed_share(state: State | None, candidate_id: str, usage: Usage | None) -> float | None:
    """Return which share of the tokens that were believed cached was reported as cached, 0..1; None without a belief.

    Of the belief counts what the prompt has tokens for: a shorter one (compacted, another phase's) cannot confirm more.
    """
    if state is None or usage is None:
        return None
    believed = min(usage.input, cost.warm_tokens(state.pin, candidate_id, state.now_s))
    return min(1.0, usage.cached / believed) if believed > 0 else None


def refuse_broken_calls(answer: Answer) -> None:
    """Fail an attempt whose tool calls cannot be run: another try may bring whole ones.

    An answer that says itself that it was cut (at the output limit, by a filter) is told as it is: trying again would
    end in the same place.

    Raises:
        UpstreamBroken: the arguments of a function call are not JSON.
    """
    if answer.finish in ("length", "content_filter"):
        return
    for call in answer.tool_calls:
        if call.kind == "function" and call.arguments.strip() and not is_json(call.arguments):
            raise UpstreamBroken("a tool call's arguments are not JSON")


def outgoing(prompt: Prompt, candidate: Candidate, dialect: Dialect) -> Rendered:
    """Return what to send to a candidate whose upstream speaks `dialect`.

    The client's own bytes with the model's name spliced in where nothing was changed and the dialect is the same;
    else written anew, with what was lost.
    """
    codec = CODECS[dialect]
    if prompt.raw and prompt.dialect == dialect:
        return Rendered(codec.splice_request(prompt, candidate.model, want_usage=True))
    most = candidate.max_output_tokens
    if dialect == "messages" and most is not None and prompt.dialect != dialect:
        # This dialect demands a bound, and refuses one over the model's own.
        prompt = replace(prompt, max_output_tokens=min(prompt.max_output_tokens or most, most))
    return codec.render_request(prompt, candidate.model, stream=prompt.stream, want_usage=True)


def is_stream(opened: Opened, *, asked: bool) -> bool:
    """Whether an answer is an event stream; some upstreams answer JSON to a stream request, or the other way."""
    if opened.content_type == "text/event-stream":
        return True
    return asked and opened.content_type not in ("application/json", "text/html")


def summary(errors: list[FusionError]) -> FusionError:
    """Return the one error that tells the client most: the only kind there was, else all kinds in one sentence."""
    if not errors:
        return UpstreamError("no candidate could be called")
    first = errors[0]
    too_long = next((e for e in errors if e.code == ContextTooLong.default_code), None)
    if too_long is not None:
        return too_long  # agents compact on it; any other error would end their session
    if len({(type(e), e.status) for e in errors}) == 1:
        waits = [e.retry_after_s for e in errors if e.retry_after_s is not None]
        first.retry_after_s = min(waits) if waits else None
        return first
    kinds = ", ".join(dict.fromkeys(e.code or "error" for e in errors))
    waits = [e.retry_after_s for e in errors if e.retry_after_s is not None]
    return UpstreamError(
        f"no candidate could answer: {len(errors)} attempts failed ({kinds})",
        retry_after_s=min(waits) if waits else None,
    )
