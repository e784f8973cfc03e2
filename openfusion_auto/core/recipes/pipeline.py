"""Named steps, one after the other: each is told its words, in which earlier steps' names stand for what they wrote.

The last step writes the client's answer, with the client's own tools and form. A step before it that fails leaves its
place empty: the answer is then made with less, not refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Outcome, Step, prompts
from openfusion_auto.core.types import Decision

STEP = "step:"  # what the phases of the steps before the last begin with
NOTHING = "(nothing: this step failed)"
# [characters] of a step's text that later ones are told; the plan counts with no more.
MOST = 20_000
_PLACE = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def pipeline(prompt: Prompt, decision: Decision) -> Step:
    """Ask the steps in order; the last one's reply is the outcome."""
    written: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    *before, last = decision.plan.steps
    for step in before:
        name = step.phase.removeprefix(STEP)
        asked = prompts.working(prompt, filled(step.words, written))
        (reply,) = yield Ask(step.phase, step.candidates, asked)
        written[name] = reply.answer.text[:MOST] if reply.answer is not None else ""
        if not written[name].strip():
            written[name] = NOTHING
            code = reply.error.code if reply.error is not None else "no text"
            notes = (*notes, f"step {name} failed ({code}): the answer is made without it")
    told = prompts.told(prompt, filled(last.words, written)) if before or last.words else prompt
    (reply,) = yield Ask(last.phase, last.candidates, told, final=True)
    return Outcome(reply.phase, reply.candidate, reply.answer, reply.error, notes)


def filled(words: str, written: Mapping[str, str]) -> str:
    """Return the words with what earlier steps wrote; their own text is not searched for names again."""
    return _PLACE.sub(lambda found: written.get(found[1], found[0]), words)


def places(words: str) -> tuple[str, ...]:
    """Return the names that stand in a step's words."""
    return tuple(dict.fromkeys(_PLACE.findall(words)))
