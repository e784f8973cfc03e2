"""A judge's pick among answers, and what its eye for places does to it.

A judge favours places: the same answers in another order get another verdict (`docs/explanation/modes.md`). So their
order is drawn with a seed that the trace keeps, and where it is worth a call the judge is asked twice, the second time
with the order turned round. What it finds best in both orders is its pick. Where each order has another winner it has
not told them apart: a tie. Of the two winners the one that more members agree with is taken, else the better-ranked.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace

from openfusion_auto.core import vote
from openfusion_auto.core.patience import GRACE_S
from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.recipes import Ask, Gather, Looks, Reply, prompts
from openfusion_auto.core.types import Decision
from openfusion_auto.core.vote import Said


@dataclass(frozen=True, slots=True)
class Settled:
    """What judging came to: the pick's place on the side, None when no verdict came; a defect that it still has.

    `order` is the one in which the answers were first seen: who writes anew sees them so too.
    """

    order: tuple[int, ...]
    best: int | None
    defect: str | None
    judged: Looks
    note: str


Judgement = Generator[Ask | Gather, tuple[Reply, ...], Settled]


def judge(
    prompt: Prompt, decision: Decision, side: list[Said], places: tuple[int, ...], keys: list[str]
) -> Judgement:
    """Ask for the best of the answers of one side, which are in rank order.

    Args:
        prompt: The client's.
        decision: Its plan has a step `judge`, and a second one where the judge may be asked twice.
        side: The answers to judge, at least two.
        places: Of each, its member's place among all, from 1.
        keys: Of each, what it says (`vote.key_of`).
    """
    steps = [s for s in decision.plan.steps if s.phase == "judge"]
    seed = seed_of(side)
    order = shuffled(side, seed)
    twice = len(steps) > 1 and (decision.twice or len(side) == 2 or vote.tied(keys))
    orders = (order, order[::-1]) if twice else (order,)
    asks = tuple(
        Ask(
            "judge", steps[0].candidates, prompts.judgement(prompt, tuple(side[i][1] for i in seen))
        )
        for seen in orders
    )
    # Both at once, and a second verdict that is late is done without.
    grace_s = GRACE_S[1] if decision.patience is None else decision.patience.grace_s
    replies = yield Gather(asks, 1, grace_s) if twice else asks[0]
    picks = [pick_of(reply, seen) for reply, seen in zip(replies, orders, strict=True)]
    said = [(p, reply.candidate) for p, reply in zip(picks, replies, strict=True) if p is not None]
    best, defect, outcome, note = come_to(said, side, keys, twice=twice)
    judged = Looks(
        seed,
        tuple(tuple(places[i] for i in seen) for seen in orders),
        tuple(None if p is None else places[p.best] for p in picks),
        outcome,
    )
    return Settled(order, best, defect, judged, note)


def come_to(
    said: list[tuple[prompts.Pick, str]], side: list[Said], keys: list[str], *, twice: bool
) -> tuple[int | None, str | None, str, str]:
    """Return what one or two verdicts, each with who gave it, come to: the pick, its defect, the outcome, a note."""
    if not said:
        return None, None, "none", "the judge failed: the best-ranked member's answer"
    (first, who), (last, other) = said[0], said[-1]
    named = f"{who} picked {side[first.best][0]}"
    if len(said) == 1:
        alone = " in one order; no verdict came of the other" if twice else ""
        return first.best, first.defect, "once", named + alone
    if keys[first.best] == keys[last.best]:
        return first.best, first.defect or last.defect, "agreed", f"{named} in both orders"
    votes = Counter(keys)
    best = min(first.best, last.best, key=lambda i: (-votes[keys[i]], i))
    apart = votes[keys[first.best]] != votes[keys[last.best]]
    by = "more members agree with" if apart else "the better-ranked is"
    whom = side[last.best][0] if who == other else f"{other} {side[last.best][0]}"
    return (
        best,
        None,
        "tie",
        f"{named} in one order and {whom} in the other: a tie; {by} {side[best][0]}",
    )


def pick_of(reply: Reply, seen: tuple[int, ...]) -> prompts.Pick | None:
    """Return a verdict with the pick's place on the side, None when none came."""
    if reply.answer is None:
        return None
    pick = prompts.read_pick(reply.answer.text, len(seen))
    return None if pick is None else replace(pick, best=seen[pick.best])


def shuffled(side: list[Said], seed: str) -> tuple[int, ...]:
    """Return the places of the answers in the order of a seed: rank has no part in it."""
    marks = [sha256_of(seed + fingerprint(a)) for _, a in side]
    return tuple(sorted(range(len(side)), key=lambda i: marks[i]))


def seed_of(side: list[Said]) -> str:
    """Return the seed for these answers: drawn from all of their words and calls, whoever wrote them.

    So the same answers are judged in the same order again, and none can have written itself to the front.
    """
    return sha256_of("".join(sorted(fingerprint(a) for _, a in side)))[:16]


def fingerprint(answer: Answer) -> str:
    """Return what a judge would read of an answer, as a digest."""
    return sha256_of(prompts.listed((answer,)))


def sha256_of(text: str) -> str:
    """Return the SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
