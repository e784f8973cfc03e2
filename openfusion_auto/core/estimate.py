"""What a request would cost, before it is sent: of the plan that was decided, and of the other modes beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openfusion_auto.core import cost
from openfusion_auto.core.plan import build
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.types import Decision, Plan, Policy, Pool

MODES: tuple[ModeName, ...] = ("single", "verify", "panel")


@dataclass(frozen=True, slots=True)
class Preview:
    """One mode's price [USD]; None where a price is unknown. `calls` is without fallbacks and retries."""

    mode: ModeName
    taken: bool
    calls: int
    expected_usd: float | None
    worst_case_usd: float | None


def previews(decision: Decision, pool: Pool, policy: Policy) -> tuple[Preview, ...]:
    """Return what the mode that was decided and each other that could be carried out would cost."""
    found = []
    for name in MODES:
        taken = name == decision.mode
        plan = (
            decision.plan if taken else build(name, decision.ranking, decision.task, pool, policy)
        )
        if plan is not None and plan.steps:
            found.append(preview(name, plan, taken=taken))
    return tuple(found)


def preview(mode: ModeName, plan: Plan, *, taken: bool) -> Preview:
    """Return one plan's price."""
    return Preview(mode, taken, len(plan.steps), plan.expected_usd, plan.worst_case_usd)


def estimate_json(
    decision: Decision, pool: Pool, policy: Policy, *, left_usd: float | None, dry_run: bool
) -> dict[str, object]:
    """Return the answer of `POST /v1/estimate`.

    Args:
        decision: What would be done; its plan has steps.
        pool: The candidates it was made of.
        policy: The operator's settings it was made with.
        left_usd: What the budgets leave [USD]; None = there are none.
        dry_run: Nothing would be called and nothing spent.
    """
    first = decision.plan.steps[0].candidates[0]
    candidate, task = pool.get(first), decision.task
    longer = None if candidate is None else cost.longer(candidate, task.needs.input_tokens)
    return {
        "object": "openfusion.estimate",
        "mode": decision.mode,
        "candidate": first,
        "dry_run": dry_run,
        "tokens": {
            "input": task.needs.input_tokens,
            "output_expected": cost.output_tokens(task),
            "output_most": None if candidate is None else cost.output_bound(candidate, task),
        },
        "usd": {
            "expected": decision.plan.expected_usd,
            "worst_case": decision.plan.worst_case_usd,
            "left": left_usd,
        },
        "price_above_tokens": None if longer is None else longer.above_tokens,
        "searching": [
            {"upstream": s.upstream, "usd": s.usd, "most": s.most} for s in task.options.searching
        ],
        "tiers": [{"upstream": t.upstream, "tier": t.tier} for t in task.options.tiers],
        "us_only": list(task.options.us_only),
        "steps": [
            {"phase": s.phase, "candidate": s.candidates[0], "fallbacks": list(s.candidates[1:])}
            for s in decision.plan.steps
        ],
        "modes": [as_json(p) for p in previews(decision, pool, policy)],
        "reasons": list(decision.reasons),
        "pool_digest": decision.pool_digest,
    }


def as_json(p: Preview) -> Mapping[str, object]:
    """Return a mode's price as JSON."""
    return {
        "mode": p.mode,
        "taken": p.taken,
        "calls": p.calls,
        "usd": {"expected": p.expected_usd, "worst_case": p.worst_case_usd},
    }
