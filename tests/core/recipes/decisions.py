"""Decisions for recipes: a plan and a way to put answers together, everything else ordinary."""

from __future__ import annotations

from openfusion_auto.core.types import Decision
from tests.support.pools import plan, scored, task

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
