"""Members answer alone, then see each other's answers and may revise their own; then one answer is chosen.

Published runs find that members conform and tokens double (`docs/explanation/modes.md`), so a debate happens only where
a request asks for it, ends as soon as a majority agrees, and what was said before a failed revision stays.
"""

from __future__ import annotations

from openfusion_auto.core import checks, vote
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Reply, Step, prompts
from openfusion_auto.core.recipes.aggregate import aggregate, usable
from openfusion_auto.core.recipes.panel import together
from openfusion_auto.core.types import Decision


def debate(prompt: Prompt, decision: Decision) -> Step:
    """Gather, let the members revise for as many rounds as are planned, then choose."""
    members = [s for s in decision.plan.steps if s.phase == "member"]
    revisions = sum(s.phase == "revision" for s in decision.plan.steps)
    replies = yield together(tuple(Ask("member", s.candidates, prompt) for s in members), decision)
    for _ in range(revisions // max(1, len(members))):
        good = usable(prompt, replies)
        if len(good) < 2 or vote.majority([vote.key_of(prompt, a) for _, a in good]) is not None:
            break
        answers = tuple(a for _, a in good)
        asks = tuple(
            Ask("revision", (candidate,), prompts.revision(prompt, answers, own))
            for own, (candidate, _) in enumerate(good)
        )
        revised = yield together(asks, decision)
        replies = tuple(newer(prompt, reply, good, revised) for reply in replies)
    return (yield from aggregate(prompt, decision, replies))


def newer(prompt: Prompt, reply: Reply, good: list[vote.Said], revised: tuple[Reply, ...]) -> Reply:
    """Return a member's revision, or what it said before where that failed or is of worse form."""
    place = next((i for i, (_, a) in enumerate(good) if a is reply.answer), None)
    new = None if place is None else revised[place]
    if new is None or new.answer is None or checks.findings(prompt, new.answer):
        return reply
    return new
