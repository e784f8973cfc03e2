"""One call, from what is sent to the last byte of its answer, and its line in the books.

No retry and no fallback once a byte of the answer has reached the client: then `StreamBroken` ends the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openfusion_auto.core import cost
from openfusion_auto.core.ceilings import Ceilings
from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Answer, Dialect, Prompt, Usage
from openfusion_auto.core.recipes import Ask, Reply
from openfusion_auto.core.tokens import (
    answer_bytes,
    attachment_tokens,
    completed,
    estimate,
    prompt_bytes,
)
from openfusion_auto.core.types import Candidate, Pool, State
from openfusion_auto.errors import (
    FusionError,
    InternalError,
    UpstreamDenied,
    UpstreamError,
    UpstreamMisfit,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamWants,
)
from openfusion_auto.runtime.books import Books
from openfusion_auto.runtime.charge import charge
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.hedge import Hedger
from openfusion_auto.runtime.relay import Received, Relay
from openfusion_auto.runtime.sending import is_stream, outgoing, refuse_broken_calls
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import Outlet
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.runtime.turns import Turns
from openfusion_auto.upstream.base import Call, Opened, Upstream, pour
from openfusion_auto.wire.call_ids import with_fit_ids
from openfusion_auto.wire.chat_marks import OFFER, is_claude, with_marks
from openfusion_auto.wire.chat_reasoning import with_reasoning, with_signatures
from openfusion_auto.wire.codec import CODECS, Codec, Reader, told_of
from openfusion_auto.wire.extensions import with_extensions, without_extensions
from openfusion_auto.wire.portable import (
    check_foreign,
    for_another,
    seals_of_answer,
    seals_of_prompt,
)
from openfusion_auto.wire.refused import with_value, without_flags, without_refused
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.web import web_headers, with_web

NO_HEADERS: Mapping[str, str] = {}
SEED = 12  # characters of a trace's id in the ids of its calls, where an upstream gives none
SILENT = "was cut before it said anything: whether its prompt is billed nobody knows, only budgets count it"
# Nobody has read the prompt, and nobody bills it, even where the answer had been opened.
REFUSED = (UpstreamDenied, UpstreamRateLimited, UpstreamRejected)
MIN_SPAN_S = 0.05  # [s] an answer shorter than this says nothing about throughput


class StreamBroken(Exception):
    """The answer broke after its first byte had reached the client."""

    def __init__(self, error: FusionError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Means:
    """What calls are made with: shared by all requests.

    `guarded`: calls are held against their tools' schemas. `turns`: whose turn it is in lists that take turns.
    `offers`: Upstream name -> what it takes besides its dialect. `search_usd`: what a search costs there, where known.
    """

    pool: Pool
    upstreams: Mapping[str, Upstream]
    live: LiveState
    clock: Clock
    total_s: float
    books: Books = field(default_factory=Books)
    hedger: Hedger | None = None
    guarded: bool = True
    ceilings: Ceilings = field(default_factory=Ceilings)
    turns: Turns = field(default_factory=Turns)
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    search_usd: Mapping[str, float] = field(default_factory=dict)


class Attempts:
    """Makes single calls for one request and books each, however it ends.

    `headers` of a Messages client (`anthropic-beta` and the like) go on to Messages upstreams.
    """

    def __init__(
        self,
        means: Means,
        trace: Trace,
        *,
        began_s: float,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self._means = means
        self._trace = trace
        self._began_s = began_s
        self._headers = headers
        # An answer with a call that breaks its schema: told as it is if nobody does better. One a request.
        self._misfit: Reply | None = None

    def _elapsed_ms(self) -> float:
        return round((self._means.clock.now() - self._began_s) * 1000, 2)

    async def _attempt(self, ask: Ask, candidate: Candidate, client: Outlet | None) -> Answer:
        """Make one call and enter it in the books, however it ends."""
        line = Attempt(
            ask.phase, candidate.id, candidate.model, candidate.upstream, self._elapsed_ms()
        )
        self._trace.attempts.append(line)
        live, received = self._means.live, Received()
        live.started(candidate.id)
        try:
            answer = await self._exchange(ask, candidate, line, client, received)
        except FusionError as error:
            line.status, line.error, line.detail = "error", error.code, error.message[:300]
            silent = isinstance(error, UpstreamTimeout)
            self._book_partial(line, ask.prompt, candidate, received, cut=silent)
            live.failed(candidate.id, error)
            if client is not None and client.started:
                raise StreamBroken(error) from error
            raise
        except BaseException as end:
            # The client left (cancelled, or its socket broke) or a defect of ours: no verdict on the candidate, and
            # a probe must not hold its breaker for ever.
            gone = isinstance(end, asyncio.CancelledError | ConnectionError)
            line.status = "cancelled" if gone else "error"
            self._book_partial(line, ask.prompt, candidate, received, cut=gone)
            live.released(candidate.id)
            raise
        finally:
            line.ms = round(self._elapsed_ms() - line.at_ms, 2)
            if line.status != "running":
                self._means.books.enter(self._trace, line)
        if self._trace.texts is not None:
            self._trace.texts.answered(ask.phase, candidate.id, answer)
        self._book(line, ask.prompt, candidate, answer)
        self._means.books.enter(self._trace, line)
        hedger = self._means.hedger
        if hedger is not None and ask.final and line.ttft_ms is not None:
            hedger.waited(candidate.id, line.ttft_ms / 1000, streamed=ask.prompt.stream)
        return answer

    def _book(self, line: Attempt, prompt: Prompt, candidate: Candidate, answer: Answer) -> None:
        """Enter a good answer: money, and what it teaches about the candidate."""
        line.status, line.finish = "ok", answer.finish
        usage = answer.usage
        used = completed(usage, prompt, answer_bytes(answer, prompt.n))
        line.book(candidate, used, estimated=used != usage)
        self._charge(line, prompt, candidate, answer)
        span_s = ((line.ms or 0.0) - (line.ttft_ms or 0.0)) / 1000
        counted = usage is not None and usage.input > 0 and usage.output > 0
        streamed = counted and prompt.stream and span_s > MIN_SPAN_S
        textual = counted and not attachment_tokens(prompt)
        self._means.live.succeeded(
            candidate.id,
            ttft_ms=line.ttft_ms if prompt.stream else None,
            tokens_per_s=usage.output / span_s if usage is not None and streamed else None,
            bytes_per_token=prompt_bytes(prompt) / usage.input if usage and textual else None,
            cache_hit=confirmed_share(self._trace.state, candidate.id, usage),
        )

    def _book_partial(
        self,
        line: Attempt,
        prompt: Prompt,
        candidate: Candidate,
        received: Received,
        *,
        cut: bool = False,
    ) -> None:
        """Enter a call that came to nothing: providers bill what they read and wrote.

        What the upstream told counts; what it did not get to tell is counted by the bytes that came. Of a call that was
        `cut` while it was silent nobody knows whether it is billed: budgets count its prompt, or who leaves early would
        never use his up.
        """
        told = received.usage
        if told is not None and told.input and received.final:
            line.book(candidate, told)
        elif told is not None or received.size or received.began:
            used = completed(told, prompt, received.size)
            used = replace(used, output=max(used.output, estimate(received.size)))
            line.book(candidate, used, estimated=True)
        elif cut and candidate.price is not None and not self._trace.dry_run:
            line.least_usd = cost.usd(candidate.price, completed(None, prompt, 0))
            if line.least_usd:
                self._trace.notes.append(f"{candidate.id} {SILENT}")
        self._charge(line, prompt, candidate, received)

    def _charge(
        self, line: Attempt, prompt: Prompt, candidate: Candidate, told: Answer | Received
    ) -> None:
        offers = self._means.offers.get(candidate.upstream, ())
        charge(self._trace, line, prompt, candidate, told, offers=offers)

    async def _exchange(
        self,
        ask: Ask,
        candidate: Candidate,
        line: Attempt,
        client: Outlet | None,
        received: Received,
    ) -> Answer:
        """Send the prompt to one candidate and read its whole answer, relaying it to `client` as it comes.

        What its model refuses is remembered where a request without it is another one.

        Raises:
            UpstreamError: as `Upstream.open`; `UpstreamWants.anew` says whether the next try is another request.
        """
        prompt = ask.prompt
        upstream = self._means.upstreams.get(candidate.upstream)
        if upstream is None:
            raise InternalError(f"candidate {candidate.id} has no upstream {candidate.upstream}")
        fits = self._fits_of(ask)
        strict = fits is not None and self._misfit is None and candidate.id != ask.candidates[-1]
        if client is not None:
            client.fresh(fits if strict else None)
        codec = CODECS[upstream.dialect]
        if prompt.web:
            self._trace.notes.append(f"{candidate.id} may use {' and '.join(prompt.web)}")
        live, dialect = self._means.live, upstream.dialect
        wants = live.wants(candidate.id)
        call, line.lost = self._call_of(prompt, candidate, dialect, wants)
        try:
            opened = await upstream.open(call)
            try:
                answer = await self._hear(opened, prompt, codec, candidate, line, client, received)
            finally:
                await opened.close()
        except UpstreamWants as error:
            want = with_value(error.want, call.body, call.headers)
            if want == UpstreamWants.UNSEALED:
                live.disown(seals_of_prompt(prompt))
            error.anew = self._call_of(prompt, candidate, dialect, wants | {want})[0] != call
            if error.anew and want != UpstreamWants.UNSEALED:  # which is of this history alone
                live.learn_want(candidate.id, want)
            raise
        received.tell(answer, prompt.n)
        received.final = True
        refuse_broken_calls(answer)
        if fits is not None:
            self._look(Reply(ask.phase, candidate.id, answer), fits, client, strict=strict)
        if client is not None:
            await client.whole()
        return answer

    async def _hear(
        self,
        opened: Opened,
        prompt: Prompt,
        codec: Codec,
        candidate: Candidate,
        line: Attempt,
        client: Outlet | None,
        received: Received,
    ) -> Answer:
        """Read what comes of a call, relaying it to `client`."""
        seed = self._trace.id[-SEED:]
        if is_stream(opened, asked=prompt.stream):
            # A relayed answer is not kept by its reader: a long stream must not fill the memory.
            reader = codec.Reader(keep=client is None, seed=seed)
            try:
                return await self._read_stream(opened, reader, candidate, client, received)
            except BaseException as error:
                received.tell(reader.answer(), prompt.n)
                received.began = received.began and not isinstance(error, REFUSED)
                raise
            finally:
                self._note_first(line, received)
        body = await self._read_body(opened, line, received)
        try:
            answer = codec.read_answer(body, seed=seed)
        except UpstreamError as error:
            received.usage, received.billed_usd, received.size = told_of(codec, body)
            received.final, received.began = True, not isinstance(error, REFUSED)
            raise
        self._means.live.first_seen(seals_of_answer(answer), candidate)
        if client is not None:
            await client.relay(codec.deltas_of(answer))
        return answer

    def _call_of(
        self, prompt: Prompt, candidate: Candidate, dialect: Dialect, wants: frozenset[str]
    ) -> tuple[Call, tuple[str, ...]]:
        """Return what a candidate that has such wants is sent, and what is lost by that."""
        sent = self._outgoing(prompt, candidate, dialect, wants)
        own = self._headers if prompt.dialect == dialect == "messages" else NO_HEADERS
        headers, lost = without_flags(web_headers(own, prompt.web, dialect), wants)
        return Call(candidate.model, sent.body, prompt.stream, headers), (*sent.lost, *lost)

    def _fits_of(self, ask: Ask) -> Fits | None:
        """Return what calls are held against; None for an ask whose calls no client runs, or a recipe looks at."""
        decision = self._trace.decision
        single = decision is not None and decision.mode == "single"
        # The primary answer of a single plan may wait for a verifier and is not final then.
        alone = ask.final or (single and ask.phase == "primary")
        guarded = self._means.guarded and alone and ask.prompt.tools
        return Fits(ask.prompt.tools) if guarded else None

    def _look(self, reply: Reply, fits: Fits, client: Outlet | None, *, strict: bool) -> None:
        """Hold an answer's calls against their schemas; a misfit is noted where the answer is passed on all the same.

        Raises:
            UpstreamMisfit: a call breaks its schema, another candidate may do better, and nothing has gone out.
        """
        misfit = fits.first_misfit(reply.answer or Answer())
        held = strict and misfit is not None if client is None else client.held
        if held:
            self._misfit = reply
            raise UpstreamMisfit(misfit or "a call breaks its schema")
        if misfit is not None:
            self._trace.notes.append(f"{reply.candidate}: {misfit}; passed on as it is")

    def _outgoing(
        self, prompt: Prompt, candidate: Candidate, dialect: Dialect, wants: frozenset[str]
    ) -> Rendered:
        """Return what to send to a candidate: its history compiled for it, in its upstream's dialect."""
        check_foreign(prompt, dialect)
        offers = self._means.offers.get(candidate.upstream, ())
        if is_claude(candidate.model) or (dialect == "messages" != prompt.dialect):
            prompt = with_fit_ids(prompt)
        thinks = dialect == "chat" and UpstreamWants.REASONING in wants
        if prompt.dialect != dialect:  # its renderer leaves out what is its maker's, and says so
            sent = outgoing(prompt, candidate, dialect, keep_reasoning=thinks)
            sent = with_extensions(sent, prompt, offers)
        else:
            own, kept = without_extensions(prompt, offers)
            live = self._means.live
            own, lost = for_another(own, lambda seal: live.is_foreign((seal,), candidate))
            sent = outgoing(own, candidate, dialect)
            sent = Rendered(sent.body, (*kept, *lost, *sent.lost))
        if thinks:
            sent = with_reasoning(sent)
        if dialect == "chat" and UpstreamWants.SIGNATURE in wants:
            sent = with_signatures(sent)
        if wants:
            sent = without_refused(sent, wants)
        if prompt.web:
            sent = with_web(sent, prompt.web, dialect)
        marks = dialect == "chat" and OFFER in offers and is_claude(candidate.model)
        return with_marks(sent, prompt) if marks else sent

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
        client: Outlet | None,
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
