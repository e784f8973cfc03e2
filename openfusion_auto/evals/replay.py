"""Replay routing policies over recorded outcomes: what would each have scored and cost?

Grouped cross-validation inside each source: a policy learns on the other folds and picks for this one, so no pick was
made by who had seen the task. The front of single models is held to the same rule (`front`: its members are chosen on
the other folds) and, as a harder measure, drawn with hindsight on all tasks (`hindsight`). Figures over all sources are
means over the sources, each counting the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.front import Front, front
from openfusion_auto.core.types import Check
from openfusion_auto.evals import metrics, policies
from openfusion_auto.evals.dataset import Source
from openfusion_auto.evals.metrics import Interval
from openfusion_auto.evals.policies import Fold, Picks

Vector = npt.NDArray[np.float64]

FOLDS = 5
SETTINGS = (0.0, 2.5, 5.0, 7.5, 10.0)  # of cost_quality that are reported one by one
# Settings that AIQ and APGR are made of; the baselines get as many exchange rates as Auto has settings, since the
# front of many noisy points lies higher than that of few.
KNOB = tuple(sorted({*SETTINGS, *(round(0.4 * i, 1) for i in range(26))}))
RATES = (0.0, *(float(r) for r in np.geomspace(1e-3, 100.0, len(KNOB) - 1)))
CHECK = Check(0.7, 0.9)
FRONT_STEPS = 60  # points of the front that is played out


@dataclass(frozen=True, eq=False)
class Played:
    """A policy at one setting over one source: each task's score and cost [USD], and whether the weakest answered."""

    setting: float | None
    score: Vector
    usd: Vector
    escaped: float


@dataclass(frozen=True, slots=True)
class Point:
    """What a policy at one setting came to over a source, or over the mean of sources.

    `gain` is over the front that is chosen as policies learn, `gain_hindsight` over the front drawn on all tasks;
    `share_of_strongest` is the cost over that of always asking the strongest, None where that is free.
    """

    setting: float | None
    score: float
    usd: float
    share_of_strongest: float | None
    gain: float
    gain_hindsight: float
    gain_interval: Interval | None


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """A policy over one source or over all: its points, and the figures made of all its settings."""

    name: str
    points: tuple[Point, ...]
    aiq: float | None
    aiq_interval: Interval | None
    apgr: float | None


@dataclass(frozen=True, eq=False)
class SourceReport:
    """Everything about one source."""

    source: Source
    front: Front
    policies: tuple[PolicyReport, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One policy of the replay: its settings, how it is made at each, and the checks behind an answer, if any."""

    name: str
    make: Callable[[float], Callable[[Fold], Picks]]
    all: tuple[float, ...] = ()
    check: Check | None = None


def plans(check: Check, seed: int) -> tuple[Plan, ...]:
    """Return what is replayed, in the order of reports."""
    return (
        Plan("auto", policies.auto, KNOB),
        Plan("auto, nothing learned", lambda k: policies.auto(k, experienced=False), KNOB),
        Plan("auto with a check", lambda k: policies.cascade(k, check), KNOB, check),
        Plan("front", single_front, KNOB),
        Plan("logistic", policies.logistic, RATES),
        Plan("knn", policies.knn, RATES),
        Plan("cheapest", lambda _: policies.cheapest),
        Plan("best single", lambda _: policies.best_single),
        Plan("strongest", lambda _: policies.strongest),
        Plan("random", lambda _: policies.at_random(seed)),
        Plan("oracle", lambda _: policies.oracle),
    )


def single_front(knob: float) -> Callable[[Fold], Picks]:
    """Return the front of single models as a policy: at each setting one member for all tasks."""

    def picks(fold: Fold) -> Picks:
        score, usd = fold.means()
        found = front([(str(j), float(usd[j]), float(score[j])) for j in range(len(score))])
        place = round((1 - knob / 10) * (len(found.members) - 1))
        return fold.all_to(int(found.members[place]))

    return picks


def replay(
    source: Source,
    *,
    check: Check = CHECK,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> SourceReport:
    """Play every policy over one source; `progress` hears of each policy that has been played."""
    parts = policies.folds(source, FOLDS, seed)
    score, usd = np.nanmean(source.score, axis=0), np.nanmean(source.usd, axis=0)
    hindsight = front([(m, float(usd[j]), float(score[j])) for j, m in enumerate(source.models)])
    learned = learned_front(parts)
    reports = []
    for plan in plans(check, seed):
        runs = [
            play(parts, plan.make(k), k if plan.all else None, plan.check)
            for k in (plan.all or (0.0,))
        ]
        reports.append(report(plan, runs, parts, learned, hindsight, seed))
        progress(plan.name)
    return SourceReport(source, hindsight, tuple(reports))


def play(
    parts: Sequence[Fold],
    policy: Callable[[Fold], Picks],
    setting: float | None,
    check: Check | None,
) -> Played:
    """Return what the picks of a policy scored and cost, task by task."""
    first, second = policies.merged(parts, policy)
    source = parts[0].source
    score, usd = outcomes(source)
    rows = np.arange(source.size)
    got, paid = score[rows, first], usd[rows, first]
    if check is not None:
        asked = second >= 0
        mend = np.where(asked, second, first)
        rejected = np.where(
            asked, got * (1 - check.specificity) + (1 - got) * check.sensitivity, 0.0
        )
        kept = got * np.where(asked, check.specificity, 1.0)
        got, paid = kept + rejected * score[rows, mend], paid + rejected * usd[rows, mend]
    weakest = int(np.argmin(np.nanmean(source.usd, axis=0)))
    return Played(setting, got, paid, float((first != weakest).mean()))


def outcomes(source: Source) -> tuple[Vector, Vector]:
    """Return scores and costs with a model's mean where a task has no outcome of it."""
    score = np.where(np.isnan(source.score), np.nanmean(source.score, axis=0), source.score)
    return score, np.where(np.isnan(source.usd), np.nanmean(source.usd, axis=0), source.usd)


def learned_front(parts: Sequence[Fold]) -> tuple[Vector, Vector]:
    """Return the front of single models that is chosen on the other folds, played out: scores and costs, (steps, n).

    Folds choose different members; steps between neighbours are mixtures, the line that joins them.
    """
    source = parts[0].source
    score, usd = outcomes(source)
    every_score, every_usd = [], []
    for step in range(FRONT_STEPS + 1):
        got, paid = np.zeros(source.size), np.zeros(source.size)
        for fold in parts:
            mean, price = fold.means()
            own = front([(str(j), float(price[j]), float(mean[j])) for j in range(len(mean))])
            at = step / FRONT_STEPS * (len(own.members) - 1)
            low = int(at)
            high = min(low + 1, len(own.members) - 1)
            for member, share in ((low, 1 - (at - low)), (high, at - low)):
                j = int(own.members[member])
                got[fold.test] += share * score[fold.test, j]
                paid[fold.test] += share * usd[fold.test, j]
        every_score.append(got)
        every_usd.append(paid)
    return np.array(every_score), np.array(every_usd)


def height(score: Vector, usd: Vector, at: float) -> float:
    """Return the quality of a played-out front at a cost, level beyond its ends."""
    order = np.argsort(usd, kind="stable")
    return float(np.interp(at, usd[order], score[order]))


def report(
    plan: Plan,
    runs: Sequence[Played],
    parts: Sequence[Fold],
    learned: tuple[Vector, Vector],
    hindsight: Front,
    seed: int,
) -> PolicyReport:
    """Return the figures of one policy over one source."""
    source = parts[0].source
    score, usd = outcomes(source)
    got, paid = learned
    strongest = play(parts, policies.strongest, None, None)
    ends = (float(usd.mean(axis=0).min()), float(usd.mean(axis=0).max()))

    def gain(run: Played, rows: npt.NDArray[np.int64]) -> float:
        line = height(
            got[:, rows].mean(axis=1), paid[:, rows].mean(axis=1), float(run.usd[rows].mean())
        )
        return float(run.score[rows].mean()) - line

    every = np.arange(source.size)
    points = tuple(
        Point(
            setting=run.setting,
            score=round(float(run.score.mean()), 6),
            usd=round(float(run.usd.mean()), 8),
            share_of_strongest=share(float(run.usd.mean()), float(strongest.usd.mean())),
            gain=round(gain(run, every), 6),
            gain_hindsight=round(
                metrics.gain_over(hindsight, float(run.usd.mean()), float(run.score.mean())), 6
            ),
            gain_interval=metrics.bootstrap(partial(gain, run), source.groups, seed),
        )
        for run in shown(plan, runs)
    )
    if not plan.all:
        return PolicyReport(plan.name, points, None, None, None)

    def area(rows: npt.NDArray[np.int64]) -> float:
        curve = [(float(r.usd[rows].mean()), float(r.score[rows].mean())) for r in runs]
        return metrics.aiq(curve, *ends)

    weak = int(np.argmin(np.nanmean(source.usd, axis=0)))
    return PolicyReport(
        plan.name,
        points,
        round(area(every), 6),
        metrics.bootstrap(area, source.groups, seed),
        round(
            metrics.apgr(
                [r.escaped for r in runs],
                [float(r.score.mean()) for r in runs],
                float(score[:, weak].mean()),
                float(strongest.score.mean()),
            ),
            6,
        ),
    )


def shown(plan: Plan, runs: Sequence[Played]) -> list[Played]:
    """Return the runs that are reported one by one."""
    if plan.name.startswith("auto"):
        return [r for r in runs if r.setting in SETTINGS]
    return list(runs) if not plan.all else []


def overall(reports: Sequence[SourceReport]) -> tuple[PolicyReport, ...]:
    """Return the means over the sources, each counting the same; costs only as shares of the strongest's."""
    found = []
    for same in zip(*(r.policies for r in reports), strict=True):
        points = tuple(mean_point(at) for at in zip(*(p.points for p in same), strict=True))
        found.append(
            PolicyReport(
                same[0].name,
                points,
                mean_of([p.aiq for p in same]),
                None,
                mean_of([p.apgr for p in same]),
            )
        )
    return tuple(found)


def mean_point(points: Sequence[Point]) -> Point:
    """Return the mean of one setting over the sources; the interval is that of independent sources."""
    n = len(points)
    wide = [p.gain_interval for p in points if p.gain_interval is not None]
    gain = sum(p.gain for p in points) / n
    low = sum((p.gain - i.low) ** 2 for p, i in zip(points, wide, strict=True)) ** 0.5 / n
    high = sum((i.high - p.gain) ** 2 for p, i in zip(points, wide, strict=True)) ** 0.5 / n
    return replace(
        points[0],
        score=round(sum(p.score for p in points) / n, 6),
        usd=round(sum(p.usd for p in points) / n, 8),
        share_of_strongest=mean_of([p.share_of_strongest for p in points]),
        gain=round(gain, 6),
        gain_hindsight=round(sum(p.gain_hindsight for p in points) / n, 6),
        gain_interval=Interval(round(gain - low, 6), round(gain + high, 6)),
    )


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole; None where there is none."""
    return round(part / whole, 6) if whole else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean; None as soon as one is missing."""
    known = [v for v in values if v is not None]
    return round(sum(known) / len(known), 6) if known and len(known) == len(values) else None
