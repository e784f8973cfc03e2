"""A replay as JSON and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from openfusion_auto.core.types import Check
from openfusion_auto.evals.plot_types import Chart, Dot, Series
from openfusion_auto.evals.replay import FOLDS, PolicyReport, SourceReport, overall

KEPT = ("auto", "auto with a check", "front")


def as_json(
    reports: Sequence[SourceReport], dataset: str, check: Check, seed: int
) -> dict[str, object]:
    """Return the whole replay. Gains are shares of tasks solved; costs USD a task; null = not defined."""
    return {
        "object": "openfusion.replay",
        "dataset": dataset,
        "method": {
            "cross_validation": f"{FOLDS}-fold inside each source, groups of tasks kept together",
            "seed": seed,
            "check": asdict(check),
            "front": "of single models, chosen on the other folds as every policy is; hindsight = drawn on all tasks",
            "intervals": "bootstrap over groups of tasks, 95 %",
        },
        "overall": [policy_json(p, shares_only=True) for p in overall(reports)],
        "sources": [
            {
                "source": r.source.name,
                "tasks": r.source.size,
                "models": list(r.source.models),
                "left_out": list(r.source.left_out),
                "billed": r.source.billed,
                "front": [
                    {"model": m, "score": round(q, 6), "usd": round(c, 8)}
                    for m, c, q in zip(
                        r.front.members, r.front.costs, r.front.qualities, strict=True
                    )
                ],
                "policies": [policy_json(p) for p in r.policies],
            }
            for r in reports
        ],
    }


def policy_json(policy: PolicyReport, *, shares_only: bool = False) -> dict[str, object]:
    """Return one policy; over several sources dollars mean nothing, only shares do."""
    points = []
    for point in policy.points:
        row = asdict(point)
        row["cost_quality"] = row.pop("setting")
        if shares_only:
            del row["usd"]
        points.append(row)
    return {
        "policy": policy.name,
        "aiq": policy.aiq,
        "aiq_interval": asdict(policy.aiq_interval) if policy.aiq_interval else None,
        "apgr": policy.apgr,
        "points": points,
    }


def chart_of(report: SourceReport) -> Chart:
    """Return cost against quality of one source: its models, its front, and what Auto makes of them."""
    from openfusion_auto.evals.replay import outcomes

    score, usd = outcomes(report.source)
    front = set(report.front.members)
    models = tuple(
        Dot(short(m), float(usd[:, j].mean()), 100 * float(score[:, j].mean()))
        for j, m in enumerate(report.source.models)
        if m not in front
    )
    members = tuple(
        Dot(short(m), c, 100 * q)
        for m, c, q in zip(
            report.front.members, report.front.costs, report.front.qualities, strict=True
        )
    )
    lines = [Series("front of single models", "front", members, joined=True)]
    for policy in report.policies:
        if policy.name in KEPT[:2]:
            dots = tuple(
                Dot(f"{p.setting:g}" if policy.name == "auto" else "", p.usd, 100 * p.score)
                for p in policy.points
            )
            lines.append(Series(policy.name, "policy", dots, joined=True))
    if models:
        lines.append(Series("other models", "model", models))
    return Chart(
        title=f"{report.source.name}: {report.source.size} tasks",
        x_label="USD a task",
        y_label="tasks solved",
        series=tuple(lines),
        source="recorded outcomes, each pick made without having seen the task; numbers at Auto's points: cost_quality",
        y_suffix=" %",
    )


def short(model: str) -> str:
    """Return a model's name without its maker."""
    return model.rpartition("/")[2]
