"""From the cheapest model up: an answer that the checks accept is delivered, else the next model answers anew.

The free checks come first; where they are silent a verifier is asked. The last model's answer is delivered as it
comes. Unlike verify, which mends a draft, each model starts from the client's own prompt.
"""

from __future__ import annotations

from openfusion_auto.core import checks
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Outcome, Reply, Step
from openfusion_auto.core.recipes.verify import Verified, verified
from openfusion_auto.core.types import Decision


def cascade(prompt: Prompt, decision: Decision) -> Step:
    """Climb until an answer is accepted; the best that came when the top fails."""
    rungs = [s for s in decision.plan.steps if s.phase in ("primary", "escalation")]
    verifier = next(s.candidates for s in decision.plan.steps if s.phase == "verify")
    notes: tuple[str, ...] = ()
    kept: Reply | None = None
    spare: Reply | None = None  # calls of bad form: passed on only when nobody else answers
    reply = Reply("primary", "")
    for place, rung in enumerate(rungs):
        top = place == len(rungs) - 1
        (reply,) = yield Ask(rung.phase, rung.candidates, prompt, final=top)
        if reply.answer is None:
            notes = (*notes, f"{reply.candidate} failed ({reply.error and reply.error.code})")
            continue
        if top:
            return Outcome(reply.phase, reply.candidate, reply.answer, None, notes)
        found = list(checks.findings(prompt, reply.answer))
        if not found and not reply.answer.tool_calls and checks.refuses(reply.answer.text):
            found = ["it declines"]
        if found:
            notes = (*notes, f"{reply.candidate} was not enough: {'; '.join(found)}")
        else:
            note, rejected = yield from accepted(prompt, reply, verifier)
            notes = (*notes, note)
            if not rejected:
                return Outcome(reply.phase, reply.candidate, reply.answer, None, notes)
        if found and reply.answer.tool_calls:
            spare = reply
        else:
            kept = reply
    kept = kept or spare
    if kept is not None and kept.answer is not None:
        notes = (*notes, f"the next models failed: what {kept.candidate} wrote was kept")
        return Outcome(kept.phase, kept.candidate, kept.answer, None, notes)
    return Outcome(reply.phase, reply.candidate, None, reply.error, notes)


def accepted(prompt: Prompt, reply: Reply, verifier: tuple[str, ...]) -> Verified:
    """Have a verifier read words; calls of good form show their worth when they run."""
    if reply.answer is not None and reply.answer.tool_calls:
        return f"{reply.candidate} calls a tool: accepted by form", ()
    return (yield from verified(prompt, reply, verifier))
