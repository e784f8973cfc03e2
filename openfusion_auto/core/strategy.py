"""Strategies: ways to go about a mode. What they need beside the nouns of a decision (`types.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from openfusion_auto.core.prompt import ModeName, Strategy

IN_TURN: Strategy = "round_robin"
# Orders in which models are tried until one answers: as named, in turn, cheapest, quickest, strongest first.
ORDERED: tuple[Strategy, ...] = (
    "fallback", IN_TURN, "cost_optimized", "latency_optimized", "performance_based",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a pipeline: its name, the role of who does it, and what they are told.

    `{name}` in the words stands for what the earlier step of that name wrote. The last step writes the answer.
    """

    name: str
    role: str
    words: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the members of a panel are waited for.

    After `quorum` answers the others have `grace_s` seconds more [s]. `limit_s` after the members were asked [s] no
    more is waited for once there is any answer.
    """

    quorum: int
    grace_s: float
    limit_s: float


def mode_of(strategy: Strategy) -> ModeName:
    """Return the mode that a strategy is one way of."""
    if strategy in ORDERED:
        return "single"
    return "verify" if strategy == "cascade" else "panel"
