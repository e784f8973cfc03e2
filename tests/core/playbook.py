"""Plays a recipe by a script of (what it must ask, what it is told): no event loop, no mock.

    outcome = play(verify(prompt, decision), (expect("primary"), came("coder-a", said("x"))), ...)

For a gather the expectation is a list, and the replies are a list of the same length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openfusion_auto.core.prompt import Answer
from openfusion_auto.core.recipes import Ask, Gather, Outcome, Reply, Step
from openfusion_auto.errors import FusionError


@dataclass(frozen=True)
class Expected:
    """What an ask must be; None = not looked at. `prompt` may look at the prompt and assert."""

    phase: str
    candidates: tuple[str, ...] | None = None
    final: bool | None = None
    prompt: Callable[[object], None] | None = None

    def check(self, ask: Ask) -> None:
        """Compare an ask with this."""
        assert isinstance(ask, Ask), f"expected {self.phase}, got {ask}"
        assert ask.phase == self.phase
        if self.candidates is not None:
            assert ask.candidates == self.candidates
        if self.final is not None:
            assert ask.final is self.final
        if self.prompt is not None:
            self.prompt(ask.prompt)


def expect(phase: str, *candidates: str, final: bool | None = None, prompt=None) -> Expected:
    """An expected ask; no candidates = any."""
    return Expected(phase, candidates or None, final, prompt)


@dataclass(frozen=True)
class Told:
    """A reply without its phase, which the ask gives."""

    candidate: str
    answer: Answer | None = None
    error: FusionError | None = None

    def reply(self, phase: str) -> Reply:
        """The reply to an ask of that phase."""
        return Reply(phase, self.candidate, self.answer, self.error)


def came(candidate: str, answer: Answer) -> Told:
    """An answer of a candidate."""
    return Told(candidate, answer)


def broke(candidate: str, error: FusionError) -> Told:
    """The error that ended an ask."""
    return Told(candidate, error=error)


def play(recipe: Step, *script: tuple) -> Outcome:
    """Drive `recipe` through the script; it must ask exactly that and then end."""
    sent: tuple[Reply, ...] | None = None
    for expected, told in script:
        try:
            step = recipe.send(sent)
        except StopIteration as end:
            raise AssertionError(f"ended with {end.value} where {expected} was expected") from end
        if isinstance(expected, list):
            assert isinstance(step, Gather), f"expected a gather, got {step}"
            assert len(step.asks) == len(expected) == len(told)
            for one, ask in zip(expected, step.asks, strict=True):
                one.check(ask)
            sent = tuple(t.reply(a.phase) for t, a in zip(told, step.asks, strict=True))
        else:
            expected.check(step)
            sent = (told.reply(step.phase),)
    try:
        more = recipe.send(sent)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    raise AssertionError(f"asked for more than the script has: {more}")
