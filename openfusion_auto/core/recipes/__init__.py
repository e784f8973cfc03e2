"""Recipes: how models are asked. Each is a generator that yields asks and receives replies.

A recipe knows nothing of sockets, retries or clocks: one driver does all the waiting (`runtime/driver.py`), so a
recipe is tested as a script of asks and replies.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.types import Decision
from openfusion_auto.errors import FusionError


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask one model, with ordered fallbacks.

    Attributes:
        phase: Name of the phase in plan, trace and ledger.
        candidates: Ids in order; the next is tried when the one before cannot answer.
        prompt: What to ask.
        final: The reply is the client's answer: it may be streamed on while it comes.
    """

    phase: str
    candidates: tuple[str, ...]
    prompt: Prompt
    final: bool = False


@dataclass(frozen=True, slots=True)
class Gather:
    """Ask several at once. After `quorum` good replies the others have `grace_s` seconds more [s], then are cut."""

    asks: tuple[Ask, ...]
    quorum: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of an ask: an answer of a candidate, or the error that ended it."""

    phase: str
    candidate: str
    answer: Answer | None = None
    error: FusionError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client gets: an answer, or the error when there is none. `notes` go to the trace."""

    phase: str
    candidate: str
    answer: Answer | None
    error: FusionError | None = None
    notes: tuple[str, ...] = ()


Step = Generator[Ask | Gather, tuple[Reply, ...], Outcome]


def recipe(prompt: Prompt, decision: Decision) -> Step:
    """Return the recipe of a decision's mode."""
    from openfusion_auto.core.recipes.panel import panel
    from openfusion_auto.core.recipes.single import single
    from openfusion_auto.core.recipes.verify import verify

    match decision.mode:
        case "single":
            return single(prompt, decision)
        case "verify":
            return verify(prompt, decision)
        case "panel":
            return panel(prompt, decision)
