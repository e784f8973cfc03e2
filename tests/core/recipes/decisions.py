"""Decisions for recipes: a plan and a way to put answers together, everything else ordinary."""

from __future__ import annotations

import json
from collections.abc import Sequence

from openfusion_auto.core.prompt import Answer
from openfusion_auto.core.recipes.judge import seed_of, shuffled
from openfusion_auto.core.types import Decision
from tests.support.pools import plan, said, scored, task

SINGLE = (("primary", ("a", "b")),)
VERIFY = (("primary", ("a", "b")), ("verify", ("v", "b")), ("mend", ("v", "a")))
PANEL = (
    ("member", ("a",)),
    ("member", ("b",)),
    ("member", ("c",)),
    ("judge", ("j", "a")),
    ("synthesis", ("a", "b", "c", "j")),
)


def decision(mode: str, steps=None, *, aggregator: str = "auto") -> Decision:
    """A decision of that mode with the plan above, or with other steps."""
    usual = {"single": SINGLE, "verify": VERIFY, "panel": PANEL}[mode]
    return Decision(
        mode=mode,
        reasons=(f"{mode}: for a test",),
        task=task(),
        ranking=tuple(scored(i) for i in ("a", "b", "c", "v", "j")),
        rejected=(),
        plan=plan(*(steps or usual)),
        aggregator=aggregator,
        pool_digest="sha256:test",
        cost_quality=5.0,
    )


def in_sight(answers: Sequence[Answer]) -> list[Answer]:
    """The answers in the order in which a judge sees them at first."""
    side = [(str(i), a) for i, a in enumerate(answers)]
    return [answers[i] for i in shuffled(side, seed_of(side))]


def pick(
    answers: Sequence[Answer], best: Answer, defect: str | None = None, *, turned: bool = False
) -> Answer:
    """A judge's words for the best of these answers, by the number under which it sees it; `turned` at the second look."""
    order = in_sight(answers)[:: -1 if turned else 1]
    return said(json.dumps({"best": order.index(best) + 1, "why": "it is", "defect": defect}))
