"""Recipes: how models are asked. Each is a generator that yields asks and receives replies.

A recipe knows nothing of sockets, retries or clocks: one driver does all the waiting (`runtime/driver.py`), so a
recipe is tested as a script of asks and replies.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
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
    """Ask several at once, and cut those that are slow.

    After `quorum` good replies the others have `grace_s` seconds more [s]. After `limit_s` seconds [s] all are cut that
    have not replied, as soon as there is one good reply; None = no such limit.
    """

    asks: tuple[Ask, ...]
    quorum: int
    grace_s: float
    limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of an ask: an answer of a candidate, or the error that ended it."""

    phase: str
    candidate: str
    answer: Answer | None = None
    error: FusionError | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """What one member of a panel came to: `usable`, `set aside` (by a free check) or the code of its error.

    `votes` counts the members that say what it says, itself included; 0 without a vote.
    """

    candidate: str
    outcome: str
    votes: int = 0


@dataclass(frozen=True, slots=True)
class Deliberation:
    """How a panel came to its answer.

    Attributes:
        aggregator: Who decided: `vote` (a majority, or the largest group), `ranked` (a judge picked), `judge` (a judge
            picked and it was written anew), `rank` (the best-ranked, for want of better), `only` (one answer), `none`.
        members: All, in rank order.
        best_of: How many answers were chosen from.
        same_as: The members that say what was delivered.
        analysis: What they have in common and where they differ, where the request asks for it.
    """

    aggregator: str
    members: tuple[Member, ...]
    best_of: int
    same_as: tuple[str, ...] = ()
    analysis: Mapping[str, list[object]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client gets: an answer, or the error when there is none. `notes` go to the trace."""

    phase: str
    candidate: str
    answer: Answer | None
    error: FusionError | None = None
    notes: tuple[str, ...] = ()
    deliberation: Deliberation | None = None


Step = Generator[Ask | Gather, tuple[Reply, ...], Outcome]


def recipe(prompt: Prompt, decision: Decision) -> Step:
    """Return the recipe of a decision: its strategy's, else its mode's."""
    from openfusion_auto.core.recipes.cascade import cascade
    from openfusion_auto.core.recipes.debate import debate
    from openfusion_auto.core.recipes.panel import panel, self_fusion
    from openfusion_auto.core.recipes.pipeline import pipeline
    from openfusion_auto.core.recipes.single import single
    from openfusion_auto.core.recipes.verify import held, verify

    match decision.strategy:
        case "self_fusion":
            return self_fusion(prompt, decision)
        case "debate":
            return debate(prompt, decision)
        case "pipeline":
            return pipeline(prompt, decision)
        case "cascade":
            return cascade(prompt, decision)
        case _:  # the mode's own way; an order of models is in the plan's step
            pass
    match decision.mode:
        case "single":
            return held(prompt, decision) if decision.hold else single(prompt, decision)
        case "verify":
            return verify(prompt, decision)
        case "panel":
            return panel(prompt, decision)
