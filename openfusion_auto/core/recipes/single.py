"""One model answers; the others stand behind it in order."""

from __future__ import annotations

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Outcome, Step
from openfusion_auto.core.types import Decision


def single(prompt: Prompt, decision: Decision) -> Step:
    """Ask the primary; its reply is the outcome, as it came."""
    step = decision.plan.steps[0]
    (reply,) = yield Ask(step.phase, step.candidates, prompt, final=True)
    return Outcome(reply.phase, reply.candidate, reply.answer, reply.error)
