"""The four tools: what each is for, what it asks the router, and what it tells the agent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from openfusion_auto.mcp import reading, review, telling
from openfusion_auto.mcp.router import Body, Refused, Router
from openfusion_auto.mcp.shapes import (
    Asked,
    Decision,
    Deliberate,
    Deliberated,
    ExplainChoice,
    Explained,
    Opinion,
    Route,
    Routed,
    SecondOpinion,
    Spent,
    Told,
)
from openfusion_auto.wire.options import IDS_LIMIT

AUTO, FUSION, VERIFIER = "openfusion/auto", "openfusion/fusion", "openfusion/verifier"
OWN = "openfusion/"  # names under this stand for whoever the router picked
TICK_S = 1.0  # [s] between two looks at a running request
# [s] without news after which the agent is told that it still runs: some end a silent call.
QUIET_S = 5.0
MOST_LOOKED = 20  # requests among which the one that an agent wrote its answer with is looked for
MOST_SAID = 1_000  # [characters] of an error
SAMPLE_TOOL = {
    "type": "function",
    "function": {"name": "read_file", "parameters": {"type": "object", "properties": {}}},
}
S = TypeVar("S", bound=Spent)
# Takes (seconds so far, what goes on); None = the agent does not want to know.
Tell = Callable[[float, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool as an agent sees it.

    Attributes:
        name, title, description: For the agent; the description says when to call it.
        takes, gives: Its arguments and its answer.
        run: What it does; raises `Refused`.
        text: The answer for agents that read text alone.
        calls: Whether models are asked, which takes time and money.
    """

    name: str
    title: str
    description: str
    takes: type[Asked]
    gives: type[Told]
    run: Callable[[Router, Any, Tell | None], Awaitable[Told]]
    text: Callable[[Any], str]
    calls: bool = True


async def deliberate(router: Router, asked: Deliberate, tell: Tell | None) -> Deliberated:
    """Let a panel answer."""
    content = asked.question
    if asked.context.strip():
        content += f"\n\nContext:\n{asked.context}"
    options: dict[str, object] = {"mode": "panel", "analysis": True}
    if asked.models:
        options["panel"] = asked.models
    messages = [{"role": "user", "content": content}]
    body = request(FUSION, messages, options, asked.max_usd)
    answer, trace = await answered(router, body, tell)
    text, cut = reading.answer_of(answer)
    panel = reading.row(trace.get("panel"))
    return spent(
        Deliberated(
            answer=text,
            truncated=cut,
            mode=reading.word(trace.get("mode")),
            answered_by=reading.who_of(trace.get("answered_by"), reading.models_of(trace)),
            decided_by=reading.word(panel.get("aggregator")),
            members=reading.members_of(trace),
            analysis=reading.analysis_of(trace),
            why=reading.words(trace.get("why")),
            notes=reading.lines(trace.get("notes")),
        ),
        trace,
        router,
    )


async def second_opinion(router: Router, asked: SecondOpinion, tell: Tell | None) -> Opinion:
    """Let another model check an answer."""
    author = await author_of(router, asked.author)
    messages, options = review.request(asked), {"mode": "single"}
    model, may, out = await checkers(router, messages, author)
    body = request(
        model, messages, {**options, "candidates": may} if out else options, asked.max_usd
    )
    answer, trace = await answered(router, body, tell)
    text, _ = reading.answer_of(answer)
    verdict, summary, findings = review.read(text)
    return spent(
        Opinion.model_validate(
            {
                "verdict": verdict,
                "summary": summary,
                "findings": findings,
                "checked_by": reading.who_of(trace.get("answered_by"), reading.models_of(trace)),
                "independent": True if author else None,
                "left_out": out,
            }
        ),
        trace,
        router,
    )


async def checkers(
    router: Router, messages: list[dict[str, str]], author: str
) -> tuple[str, list[str], list[str]]:
    """Return the name to ask for, who may answer under it, and who is left out as the author.

    Those with the role of a verifier go first; where there are none but the author, anybody else.

    Raises:
        Refused: the author alone could answer.
    """
    out: list[str] = []
    for model in (VERIFIER, AUTO):
        try:
            decision = await router.decide(request(model, messages, {"mode": "single"}, None))
        except Refused as error:
            if model == VERIFIER and error.code == "model_not_found":  # nobody plays the role
                continue
            raise
        may, out = review.others(reading.ids_of(reading.rows(decision.get("ranking"))), author)
        if may:
            return model, may[:IDS_LIMIT], out
    if out:
        raise Refused(f"nobody but the author ({', '.join(out)}) could check this now")
    return AUTO, [], []  # nobody at all: asking says why


async def author_of(router: Router, named: str) -> str:
    """Return the author's name; a name of the router's own stands for who answered an agent under it last."""
    if not named.startswith(OWN):
        return named
    answered_last = await router.newest(MOST_LOOKED, named)
    theirs = (t for t in answered_last if t.get("trace_id") not in router.own)
    return reading.words(next(theirs, {}).get("answered_by"))


async def route(router: Router, asked: Route, tell: Tell | None) -> Routed:  # noqa: ARG001 - one form for all tools
    """Show a decision."""
    options = {} if asked.cost_quality is None else {"cost_quality": asked.cost_quality}
    body = request(AUTO, [{"role": "user", "content": asked.text}], options, None)
    if asked.tools:
        body = {**body, "tools": [SAMPLE_TOOL]}
    found = reading.decision_of(await router.decide(body), Routed)
    found.router = router.name
    return found


async def explain_choice(
    router: Router,
    asked: ExplainChoice,
    tell: Tell | None,  # noqa: ARG001 - one form for all tools
) -> Explained:
    """Show why a recorded request was decided as it was."""
    name = asked.trace_id
    if not name:
        newest = await router.newest(1)
        if not newest:
            raise Refused("nothing has been answered yet, so there is nothing to explain")
        name = str(newest[0].get("trace_id"))
    trace = await router.trace(name)
    decision = reading.row(trace.get("decision"))
    return spent(
        Explained(
            at=reading.moment_of(trace),
            outcome=reading.word(trace.get("outcome")),
            requested_model=reading.word(trace.get("requested_model")),
            answered_by=reading.who_of(trace.get("answered_by"), reading.models_of(trace)),
            why=reading.words(trace.get("why")),
            decision=reading.decision_of(decision, Decision) if decision else None,
            attempts=reading.attempts_of(trace),
            notes=reading.lines(trace.get("notes")),
        ),
        trace,
        router,
    )


def request(
    model: str, messages: list[dict[str, str]], options: dict[str, Any], max_usd: float | None
) -> dict[str, object]:
    """Return a chat request whose answer carries its whole trace."""
    given = {**options, "trace": "full"}
    if max_usd is not None:
        given["max_usd"] = max_usd
    return {"model": model, "messages": messages, "openfusion": given}


def spent(told: S, trace: reading.Row, router: Router) -> S:
    """Enter what a request cost, and where it was answered."""
    told.money = reading.money_of(trace)
    told.trace_id = reading.word(trace.get("trace_id"))
    told.router = router.name
    told.dry_run = trace.get("dry_run") is True
    return told


async def answered(
    router: Router, body: Body, tell: Tell | None
) -> tuple[dict[str, Any], reading.Row]:
    """Return an answer and its trace; meanwhile tell how far it is.

    Raises:
        Refused: no answer; the message says what was spent all the same.
    """
    mark = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    task = asyncio.ensure_future(router.answer(body, mark))
    try:
        if tell is not None:
            await follow(router, mark, task, tell)
        answer = await task
    except Refused as error:
        raise await with_cost(router, error) from None
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    trace = reading.row(answer.get("openfusion"))
    router.own.add(reading.words(trace.get("trace_id")))
    return answer, trace


async def follow(
    router: Router, mark: str, task: asyncio.Future[dict[str, Any]], tell: Tell
) -> None:
    """Tell what goes on until `task` is done: each change, and now and then that it still runs."""
    loop = asyncio.get_running_loop()
    began_s = told_s = loop.time()
    last = ""
    while not task.done():
        stage = "deciding whom to ask"
        with suppress(Refused):
            trace = await router.underway(mark)
            stage = last or stage if trace is None else reading.stage_of(trace)
        now_s = loop.time()
        if not task.done() and (stage != last or now_s - told_s >= QUIET_S):
            await tell(now_s - began_s, f"{stage} ({now_s - began_s:.0f} s)")
            last, told_s = stage, now_s
        await asyncio.wait([task], timeout=TICK_S)


async def with_cost(router: Router, error: Refused) -> Refused:
    """Return an error that says what was spent before it.

    When models were asked, it says what came of each in our own words: an upstream's may be anything.
    """
    if error.trace_id is None:
        return error
    said = reading.words(error.message, MOST_SAID)
    with suppress(Refused):
        trace = await router.trace(error.trace_id)
        calls, money = reading.attempts_of(trace), reading.money_of(trace)
        if calls:
            ends = ", ".join(f"{c.candidate} ({c.error or c.status})" for c in calls)
            said = f"no usable answer: {ends}"
        if money.calls:
            said = f"{said.rstrip('.')}. Spent: {telling.dollars(money.usd)}"
    return Refused(f"{said.rstrip('.')}. Trace: {error.trace_id}.", error.code, error.trace_id)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "deliberate",
        "Ask a panel of models",
        "Ask several different models the same question at once and get the best answer, with where they agree and "
        "contradict each other. Call it before a decision that is costly to undo (design, data migration, security, "
        "an algorithm whose correctness you cannot test), when you have failed twice at the same thing, or when the "
        "user wants several opinions. Not for what a test, a search or one file answers. Takes from seconds to "
        "minutes and costs several model calls.",
        Deliberate,
        Deliberated,
        deliberate,
        telling.deliberated,
    ),
    Tool(
        "second_opinion",
        "Have another model check an answer",
        "Give your answer, plan or patch to one other model, which says agree or disagree with concrete findings. Call "
        "it when you are done with something risky and before you present, run or merge it: a plan, a fix whose cause "
        "you inferred, a security or concurrency change. Judge the findings yourself: they can be wrong. One model "
        "call.",
        SecondOpinion,
        Opinion,
        second_opinion,
        telling.opinion,
    ),
    Tool(
        "route",
        "Show whom the router would ask",
        "Show which model and mode the router would choose for a prompt, what that would cost and why the others lose. "
        "Free: nobody is called. Call it when the user asks what a task would cost or who would do it.",
        Route,
        Routed,
        route,
        telling.routed,
        calls=False,
    ),
    Tool(
        "explain_choice",
        "Explain a choice of the router",
        "Explain why the router chose the model of an answer that was given: how the task was read, who was ranked "
        "and rejected, every call with its cost. Free: nobody is called. Call it when the user asks why a model was "
        "used or what something cost.",
        ExplainChoice,
        Explained,
        explain_choice,
        telling.explained,
        calls=False,
    ),
)
