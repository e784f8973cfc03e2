"""Several models answer independently, or one model several times; `aggregate.py` makes one answer of theirs.

Members do not see each other. A panel degrades: to the members that came, to the best-ranked one without a judge.
"""

from __future__ import annotations

from dataclasses import replace

from openfusion_auto.core.patience import GRACE_S, QUORUM
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.recipes import Ask, Gather, Step
from openfusion_auto.core.recipes.aggregate import aggregate
from openfusion_auto.core.types import Decision


def panel(prompt: Prompt, decision: Decision) -> Step:
    """Gather, then choose."""
    members = [s for s in decision.plan.steps if s.phase == "member"]
    asks = tuple(Ask("member", s.candidates, prompt) for s in members)
    replies = yield together(asks, decision)
    return (yield from aggregate(prompt, decision, replies))


def self_fusion(prompt: Prompt, decision: Decision) -> Step:
    """Gather several samples of one model, then choose; answers that must be equal are no samples."""
    if prompt.settings.temperature == 0 or prompt.settings.seed is not None:
        raw = prompt.extend(temperature=None, seed=None, stream=prompt.stream)
        settings = replace(prompt.settings, temperature=None, seed=None)
        prompt = replace(raw, settings=settings, web=prompt.web)
    return (yield from panel(prompt, decision))


def together(asks: tuple[Ask, ...], decision: Decision) -> Gather:
    """Ask all at once, and wait as long as the decision says."""
    wait = decision.patience
    if wait is None:
        return Gather(asks, min(QUORUM, len(asks)), GRACE_S[1])
    return Gather(asks, min(wait.quorum, len(asks)), wait.grace_s, wait.limit_s)
