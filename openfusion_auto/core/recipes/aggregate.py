"""From several answers to one: by vote, by a judge's pick, or written anew where the judge names a defect.

Evidence decides the defaults (`docs/explanation/modes.md`): picking beats synthesising without new evidence, so a
synthesis is asked for only when the judge names a concrete defect in the best answer (aggregator `auto`) or the
request wants it (`judge`). Tool calls are never rewritten: the emitted ones are one member's, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from openfusion_auto.core import checks, vote
from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.recipes import Ask, Deliberation, Member, Outcome, Reply, Step, prompts
from openfusion_auto.core.recipes.analysis import analysed
from openfusion_auto.core.recipes.judge import judge
from openfusion_auto.core.recipes.verify import mend
from openfusion_auto.core.types import Decision
from openfusion_auto.core.vote import Said
from openfusion_auto.errors import FusionError, UpstreamError

MENDERS = 2  # members that are asked again when no member's calls can be run


def aggregate(prompt: Prompt, decision: Decision, replies: tuple[Reply, ...]) -> Step:
    """Choose among the replies of all members, which are in rank order.

    The plan has a step `judge` unless it is put to the vote, and a step `synthesis` where one may be asked for.
    """
    good = usable(prompt, replies)
    notes = tuple(f"{r.candidate}: {r.error.code}" for r in replies if r.error is not None)
    if not good:
        none = Deliberation("none", members_of(prompt, replies, ()), 0)
        return (yield from rescued(prompt, replies, none, notes))
    side = vote.one_side(good)
    if len(side) < len(good):
        kind = "call tools" if side[0][1].tool_calls else "answer in words"
        notes = (*notes, f"{len(side)} of {len(good)} members {kind}: the others do not count")
    told = Deliberation("only", members_of(prompt, replies, good), len(side))
    found, said = yield from analysed(prompt, decision, side)
    told, notes = replace(told, analysis=found), (*notes, *said)
    if len(side) == 1:
        return picked(prompt, side[0], side, told, (*notes, "one usable answer: taken as it is"))
    keys = [vote.key_of(prompt, a) for _, a in side]
    agreed = vote.majority(keys)
    if agreed is not None:
        told = replace(told, aggregator="vote")
        return picked(prompt, side[agreed], side, told, (*notes, "members agree"))
    if decision.aggregator == "vote":
        largest = vote.plurality(keys)
        whose = (
            "the best-ranked member's answer" if largest is None else "the answer of most members"
        )
        told = replace(told, aggregator="rank" if largest is None else "vote")
        return picked(prompt, side[largest or 0], side, told, (*notes, f"no majority: {whose}"))
    places = tuple(next(i for i, r in enumerate(replies, 1) if r.answer is a) for _, a in side)
    return (yield from judged(prompt, decision, side, places, told, notes))


def judged(
    prompt: Prompt,
    decision: Decision,
    side: list[Said],
    places: tuple[int, ...],
    told: Deliberation,
    notes: tuple[str, ...],
) -> Step:
    """Let a judge pick; write anew only where that is worth it."""
    keys = [vote.key_of(prompt, a) for _, a in side]
    verdict = yield from judge(prompt, decision, side, places, keys)
    notes = (*notes, verdict.note)
    told = replace(told, judged=verdict.judged)
    if verdict.best is None:
        return picked(prompt, side[0], side, replace(told, aggregator="rank"), notes)
    # A tie was settled by votes or rank, not by the judge.
    tied = verdict.judged.outcome == "tie"
    told = replace(told, aggregator="rank" if tied else "ranked")
    best, answers = side[verdict.best], tuple(side[i][1] for i in verdict.order)
    if not wants_synthesis(prompt, decision, answers, verdict.defect):
        return picked(prompt, best, side, told, notes)
    number = verdict.order.index(verdict.best) + 1
    asked = prompts.synthesis(prompt, answers, number, verdict.defect)
    fan = decision.task.options.fan
    writers = next(s.candidates for s in decision.plan.steps if s.phase == "synthesis")
    if fan is None or fan.synthesis is None:
        writers = tuple(dict.fromkeys((best[0], *writers)))
    (written,) = yield Ask("synthesis", writers, asked, final=True)
    if written.answer is None:
        return picked(prompt, best, side, told, (*notes, "the synthesis failed: the pick was kept"))
    said = f"written anew by {written.candidate}" + (
        " for a named defect" if verdict.defect else ""
    )
    told = replace(told, aggregator="judge")
    return Outcome("synthesis", written.candidate, written.answer, None, (*notes, said), told)


def rescued(
    prompt: Prompt, replies: tuple[Reply, ...], told: Deliberation, notes: tuple[str, ...]
) -> Step:
    """Go on where all calls that came are of bad form: a session must not end by a slip that all members make.

    The best-ranked one's are asked for again with what is wrong with them, then of the next member; when nobody does
    better they are passed on as they are, as one model's would be. The error, when nobody answered.
    """
    calling = [r for r in replies if r.answer is not None and r.answer.tool_calls]
    if not calling or calling[0].answer is None:
        return Outcome("member", "", None, all_failed(replies), notes, told)
    first = calling[0]
    found = checks.findings(prompt, calling[0].answer)
    others = (r.candidate for r in (*calling, *replies))
    who = tuple(dict.fromkeys((first.candidate, *others)))[:MENDERS]
    (again,) = yield Ask("mend", who, mend(prompt, calling[0].answer, found), final=True)
    notes = (*notes, f"no member's calls fit ({first.candidate}: {'; '.join(found)})")
    if again.answer is None:
        notes = (*notes, f"asked again in vain: what {first.candidate} wrote is passed on as it is")
        rank = replace(told, aggregator="rank", same_as=(first.candidate,))
        return Outcome("member", first.candidate, first.answer, None, notes, rank)
    notes = (*notes, f"written again by {again.candidate}")
    mended = replace(told, aggregator="mend")
    return Outcome("mend", again.candidate, again.answer, None, notes, mended)


def picked(
    prompt: Prompt, best: Said, side: list[Said], told: Deliberation, notes: tuple[str, ...]
) -> Outcome:
    """Return a member's answer as the outcome, as it was written."""
    key = vote.key_of(prompt, best[1])
    same = tuple(dict.fromkeys(c for c, a in side if a is best[1] or vote.key_of(prompt, a) == key))
    return Outcome("member", best[0], best[1], None, notes, replace(told, same_as=same))


def members_of(
    prompt: Prompt, replies: tuple[Reply, ...], good: list[Said] | tuple[()]
) -> tuple[Member, ...]:
    """Return what each member came to, with the votes for what it says."""
    keys = [vote.key_of(prompt, a) for _, a in good]
    count = Counter(keys)
    votes = {id(a): count[key] for (_, a), key in zip(good, keys, strict=True)}
    found = []
    for reply in replies:
        if reply.answer is None:
            found.append(Member(reply.candidate, (reply.error and reply.error.code) or "no answer"))
        else:
            known = votes.get(id(reply.answer))
            found.append(Member(reply.candidate, "usable" if known else "set aside", known or 0))
    return tuple(found)


def usable(prompt: Prompt, replies: tuple[Reply, ...]) -> list[Said]:
    """Return the answers without findings by form, in rank order.

    Those that decline, and then texts with findings, only when there is no other.
    """
    came = [(r.candidate, r.answer) for r in replies if r.answer is not None]
    sound = [(c, a) for c, a in came if not checks.findings(prompt, a)]
    willing = [(c, a) for c, a in sound if a.tool_calls or not checks.refuses(a.text)]
    return willing or sound or [(c, a) for c, a in came if not a.tool_calls and a.text.strip()]


def wants_synthesis(
    prompt: Prompt, decision: Decision, answers: tuple[Answer, ...], defect: str | None
) -> bool:
    """Whether a final answer is to be written: never over tool calls or a demanded form, else as asked or, where
    the answers are more than one word, for a named defect."""
    if any(a.tool_calls for a in answers) or prompt.shape != "text" or prompt.n > 1:
        return False
    if decision.aggregator == "judge":
        return True
    if all(vote.checkable(vote.key_of(prompt, a)) for a in answers):
        return False
    return decision.aggregator == "auto" and defect is not None


def all_failed(replies: tuple[Reply, ...]) -> FusionError:
    """Return the error for a panel without a usable answer: the 4xx that all ended with, else a 502 naming each."""
    errors = [r.error for r in replies if r.error is not None]
    kinds = {(type(e), e.status, e.code) for e in errors}
    if len(errors) == len(replies) and len(kinds) == 1 and 400 <= errors[0].status < 500:
        return errors[0]
    reasons = "; ".join(
        f"{r.candidate}: {r.error.code if r.error else 'no usable answer'}" for r in replies
    )
    return UpstreamError(f"no member of the panel gave a usable answer ({reasons})")
