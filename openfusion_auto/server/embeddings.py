"""`POST /v1/embeddings`: relayed as it came to a candidate that offers embeddings; booked and traced like any call.

Vectors of two models mean nothing to each other, so nothing is ranked here and no other model steps in: only
candidates of one and the same model stand in for each other.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from aiohttp import web

from openfusion_auto.core.decide import bounds
from openfusion_auto.core.eligible import provider_unmet
from openfusion_auto.core.prompt import Answer, Prompt, Usage
from openfusion_auto.core.recipes import Ask
from openfusion_auto.core.types import Candidate, Needs, Pool, State, Task
from openfusion_auto.errors import (
    BadRequest,
    FusionError,
    InternalError,
    ModelNotFound,
    NoCandidate,
    Overloaded,
    UpstreamBroken,
)
from openfusion_auto.runtime.attempt import REFUSED
from openfusion_auto.runtime.caller import Caller
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.judging import Incoming, refuse_beyond
from openfusion_auto.runtime.names import AUTO, PREFIX
from openfusion_auto.runtime.relay import Received
from openfusion_auto.runtime.session import session_of
from openfusion_auto.runtime.stream import Outlet
from openfusion_auto.runtime.trace import Attempt, Trace, compact, full
from openfusion_auto.server.keys import CLIENT, ENGINE, LIMITER, LIVE, TRACE, VIEWS
from openfusion_auto.server.middleware import error_response, identity
from openfusion_auto.server.surface import read_body, trace_headers
from openfusion_auto.upstream.base import Call
from openfusion_auto.wire.chat_answer import read_bill, read_usage
from openfusion_auto.wire.chat_checks import check_model, missing, refuse_forbidden
from openfusion_auto.wire.errors import HOLDS_ERROR, told_failure
from openfusion_auto.wire.extensions import provider_of, without_extensions
from openfusion_auto.wire.jsons import BOM, Body, JsonError
from openfusion_auto.wire.jsons import read_body as read_json
from openfusion_auto.wire.options import FIELD, read_options
from openfusion_auto.wire.splice import read_top_level, splice_top_level

PATH = "/embeddings"  # below an upstream's base URL, whatever its dialect
OFFER = "embeddings"  # the ability, in a candidate's `offers`
ANY = (AUTO, PREFIX + "embedding")  # names that leave the choice to the router
PHASE = "embeddings"
# [bytes] of an answer above which it is read beside the loop: 2,048 vectors are tens of megabytes of JSON.
LARGE_ANSWER = 2**20
NOBODY = (
    "No model for embeddings is configured. Add a candidate to the pool file with "
    'roles = ["embedding"] and offers = ["embeddings"].'
)


@dataclass(frozen=True, slots=True)
class Vectors:
    """An upstream's answer: its bytes, the object in them, the tokens and the bill it reported (None: none)."""

    raw: bytes
    body: Body
    usage: Usage | None
    billed_usd: float | None = None


def read_request(raw: bytes) -> Prompt:
    """Return a request as a prompt without messages; its body and bytes are what goes up.

    Raises:
        BadRequest: not a JSON object, no `input`, a field that names an address or a key, bad options.
    """
    raw = raw.removeprefix(BOM)
    body = read_top_level(raw, "'model' and 'input'")
    refuse_forbidden(body)
    model = check_model(body)
    if body.get("input") is None:
        raise missing("input")
    return Prompt(
        dialect="chat",
        model=model,
        messages=(),
        max_output_tokens=1,  # nothing is written: a budget reserves the input alone
        options=replace(read_options(body.get(FIELD)), hosts=provider_of(body.get("provider"))),
        body=body,
        raw=raw,
    )


def candidates_for(model: str, pool: Pool, state: State) -> tuple[Candidate, ...]:
    """Return who may answer, in the order of asking: candidates of one model, by id, whose upstream is ready.

    Args:
        model: What the client named: a candidate's id or model, or one of `ANY`, which is the first by id.
        pool: All candidates.
        state: Which upstreams cannot be called.

    Raises:
        ModelNotFound: nobody offers embeddings, or nobody of that name; says what to configure or to name.
        NoCandidate: whoever could is not ready, and why.
    """
    able = [c for c in pool.candidates if OFFER in c.offers]
    if not able:
        raise ModelNotFound(NOBODY, param="model")
    named = able if model in ANY else [c for c in able if model in (c.id, c.model)]
    if not named:
        known = ", ".join(c.id for c in able[:20])
        raise ModelNotFound(
            f"The model {model[:80]!r} offers no embeddings here. Those that do: {known}.",
            param="model",
        )
    ready = [c for c in named if c.upstream not in state.unready]
    if not ready:
        why = "; ".join(f"{c.id}: {state.unready[c.upstream]}" for c in named[:20])
        raise NoCandidate(f"No candidate can make embeddings now. {why}")
    return tuple(c for c in ready if c.model == ready[0].model)


def as_demanded(
    found: tuple[Candidate, ...], prompt: Prompt, state: State
) -> tuple[Candidate, ...]:
    """Return those whose upstream reads the request's `provider`, or is what that demands.

    Raises:
        BadRequest: nobody is (`no_eligible_candidate`); says why.
    """
    task = Task("chat", "low", "low", "user", Needs(), options=prompt.options)
    unmet = {c.id: why for c in found if (why := provider_unmet(c, task, state)) is not None}
    if len(unmet) == len(found):
        why = "; ".join(f"{name}: {said}" for name, said in unmet.items())
        raise BadRequest(
            f"No candidate is what this request asks for. {why}", code="no_eligible_candidate"
        )
    return tuple(c for c in found if c.id not in unmet)


def read_vectors(raw: bytes) -> Vectors:
    """Read an upstream's answer.

    Raises:
        UpstreamError: not a JSON object with a list `data`, or an error in its place.
    """
    try:
        body = read_json(raw.removeprefix(BOM))
    except JsonError:
        raise UpstreamBroken("the answer is not JSON") from None
    if body is not None and body.get("error"):
        raise told_failure(body["error"], HOLDS_ERROR)
    if body is None or not isinstance(body.get("data"), list):
        raise UpstreamBroken("the answer holds no embeddings")
    usage = read_usage(body.get("usage"))
    bill = read_bill(body.get("usage"))
    return Vectors(raw.removeprefix(BOM), body, usage if usage and usage.input else None, bill)


class EmbeddingsCaller(Caller):
    """Makes the calls as for chat (tries, breakers, budget, books); only what is sent and read differs."""

    async def _exchange(
        self,
        ask: Ask,
        candidate: Candidate,
        line: Attempt,
        client: Outlet | None,  # noqa: ARG002 - of the method that this one stands for
        received: Received,
    ) -> Answer:
        upstream = self._means.upstreams.get(candidate.upstream)
        if upstream is None:
            raise InternalError(f"candidate {candidate.id} has no upstream {candidate.upstream}")
        offers = self._means.offers.get(candidate.upstream, ())
        prompt, line.lost = without_extensions(ask.prompt, offers)
        sent = splice_top_level(prompt.body, prompt.raw, {"model": candidate.model, FIELD: None})
        opened = await upstream.open(Call(candidate.model, sent, stream=False, path=PATH))
        try:
            raw = await self._read_body(opened, line, received)
        finally:
            await opened.close()
        try:
            large = len(raw) > LARGE_ANSWER
            found = await asyncio.to_thread(read_vectors, raw) if large else read_vectors(raw)
        except REFUSED:
            received.size = 0
            raise
        return Answer(
            raw=found.raw,
            data=found.body,
            usage=found.usage,
            billed_usd=found.billed_usd,
            finish="stop",
        )

    def worst_within(self, prompt: Prompt, candidate: Candidate, left_usd: float) -> float | None:
        """Return what a call can cost [USD]; None when that is unknown or more than is left."""
        worst_usd = self._worst_usd(prompt, candidate)
        return worst_usd if worst_usd is not None and worst_usd <= left_usd else None

    def refuse_too_dear(self, prompt: Prompt, candidate: Candidate) -> None:
        """Refuse before any call what a budget cannot hold. Raises `BadRequest` (`budget_exceeded`)."""
        if not self._affords(self._worst_usd(prompt, candidate)):
            raise BadRequest(
                f"{candidate.id} does not fit the budget of this request, or its price is unknown.",
                param="openfusion.max_usd",
                code="budget_exceeded",
            )


async def embeddings(request: web.Request) -> web.Response:
    """`POST /v1/embeddings`; errors as OpenAI shapes them."""
    if request.app[LIVE].draining:
        raise Overloaded("The server is shutting down; try again in a moment.", retry_after_s=1.0)
    client, engine = request.get(CLIENT), request.app[ENGINE].as_now()
    view = request.app[VIEWS].of(client.models) if client else None
    key = client.id if client else None
    prompt = read_request(await read_body(request))
    asked = Incoming(prompt, request.headers, identity(request), client=key, view=view)
    allowance = await request.app[LIMITER].enter(client, prompt)
    asked = replace(asked, allowance=allowance)
    request[TRACE] = trace = engine.open(asked)
    trace.surface = PHASE
    try:
        body = await answer(engine, asked, trace)
    except FusionError as error:
        response = error_response(error, "chat", trace.id)
        response.headers.update(trace_headers(engine, trace, allowance))
        return response
    finally:
        if allowance is not None:
            allowance.close(trace)
    return web.Response(
        body=body, content_type="application/json", headers=trace_headers(engine, trace, allowance)
    )


async def answer(engine: Engine, asked: Incoming, trace: Trace) -> bytes:
    """Answer one request and close its trace, however it ends.

    Raises:
        FusionError: what the client is told.
        asyncio.CancelledError: the client left; the call is cut and booked.
    """
    began_s = engine.means.clock.now()
    try:
        found = await ask(engine, asked, trace, began_s)
        trace.outcome = "ok"
        return shown(engine, asked.prompt, trace, found)
    except FusionError as error:
        trace.outcome, trace.error = "error", error.code
        raise
    except asyncio.CancelledError:
        trace.outcome = "cancelled"
        raise
    except Exception:  # any defect of ours: the trace says so, the gate answers
        trace.outcome, trace.error = "error", InternalError.default_code
        raise
    finally:
        trace.ms = round((engine.means.clock.now() - began_s) * 1000, 2)
        engine.means.books.close(trace)


async def ask(engine: Engine, asked: Incoming, trace: Trace, began_s: float) -> Answer:
    """Find who answers, check the budget, call. Raises what `answer` does."""
    prompt, means, options = asked.prompt, engine.means, asked.prompt.options
    refuse_beyond(prompt, engine.policy)
    pool = means.pool
    if asked.view is not None:
        asked.view.check(prompt.model, prompt.body)
        pool = asked.view.pool
    state = replace(means.live.snapshot(None), offers=means.offers)
    found = as_demanded(candidates_for(prompt.model, pool, state), prompt, state)
    if engine.dry_run:
        # A made-up vector cannot say that it is one, and would stay in somebody's index.
        raise NoCandidate("This is a dry run: no embeddings are made up.", code="dry_run")
    allowance = asked.allowance
    max_calls, ceiling = bounds(engine.policy, options)
    key = session_of(prompt, asked.headers, asked.identity, asked.client).whole
    left_usd = allowance.left_usd(key) if allowance is not None else None
    caller = EmbeddingsCaller(
        means,
        trace,
        None,
        began_s=began_s,
        max_calls=max_calls,
        max_usd=ceiling,
        allowance=allowance if left_usd is not None else None,
    )
    caller.refuse_too_dear(prompt, found[0])
    if allowance is not None and left_usd is not None:
        await allowance.reserve(caller.worst_within(prompt, found[0], left_usd), ceiling)
    # One that rests is passed over, unless all rest: then the first is tried all the same (decision 0004).
    awake = tuple(c.id for c in found if means.live.may_call(c.id)) or (found[0].id,)
    reply = await caller.perform(Ask(PHASE, awake, prompt, final=True))
    if reply.answer is None:
        raise reply.error or InternalError("no embeddings and no error")
    trace.answered_by, trace.answered_phase = reply.candidate, reply.phase
    return reply.answer


def shown(engine: Engine, prompt: Prompt, trace: Trace, found: Answer) -> bytes:
    """Return the upstream's bytes with the trace put in, and the asked name where that is to be reported."""
    edits: dict[str, object] = {}
    if prompt.options.trace != "none":
        edits[FIELD] = full(trace) if prompt.options.trace == "full" else compact(trace)
    if engine.report_requested:
        edits["model"] = prompt.model
    return splice_top_level(found.data or {}, found.raw, edits)
