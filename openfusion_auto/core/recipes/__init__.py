"""Recipes: how models are asked. Each is a generator that yields asks and receives replies.

A recipe knows nothing of sockets, retries or clocks: one driver does all the waiting (`runtime/driver.py`), so a
recipe is tested as a script of asks and replies.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import cache

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
class Looks:
    """How a judge looked at the answers. Members are named by their places, from 1.

    Attributes:
        seed: What the order of the answers was drawn with.
        orders: For each time it was asked, the members in the order in which it saw their answers.
        picks: Whose answer it found best each time; None where no verdict came.
        outcome: `once` (one verdict), `agreed` (both orders, one answer), `tie` (each order another answer), `none`.
    """

    seed: str
    orders: tuple[tuple[int, ...], ...]
    picks: tuple[int | None, ...]
    outcome: str


@dataclass(frozen=True, slots=True)
class Deliberation:
    """How a panel came to its answer.

    Attributes:
        aggregator: Who decided: `vote` (a majority, or the largest group), `ranked` (a judge picked), `judge` (a judge
            picked and it was written anew), `rank` (the best-ranked, for want of better), `only` (one answer), `mend`
            (no call could be run as it was: written again), `none`.
        members: All, in rank order.
        best_of: How many answers were chosen from.
        same_as: The members that say what was delivered.
        analysis: What they have in common and where they differ, where the request asks for it.
        judged: How the judge was asked; None without one.
    """

    aggregator: str
    members: tuple[Member, ...]
    best_of: int
    same_as: tuple[str, ...] = ()
    analysis: Mapping[str, list[object]] | None = None
    judged: Looks | None = None


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
    """Return the recipe of a decision: its strategy's, else its mode's (an order of models is in the plan's step)."""
    known = recipes()
    name: str = decision.strategy if decision.strategy in known else decision.mode
    if name == "single" and decision.hold:
        name = "held"
    return known[name](prompt, decision)


@cache  # each of these modules imports this one
def recipes() -> Mapping[str, Callable[[Prompt, Decision], Step]]:
    """Return the recipes by strategy and mode; `held` is one model whose calls may wait for a verifier."""
    from openfusion_auto.core.recipes.cascade import cascade
    from openfusion_auto.core.recipes.debate import debate
    from openfusion_auto.core.recipes.panel import panel, self_fusion
    from openfusion_auto.core.recipes.pipeline import pipeline
    from openfusion_auto.core.recipes.single import single
    from openfusion_auto.core.recipes.verify import held, verify

    return {
        "self_fusion": self_fusion,
        "debate": debate,
        "pipeline": pipeline,
        "cascade": cascade,
        "single": single,
        "held": held,
        "verify": verify,
        "panel": panel,
    }
