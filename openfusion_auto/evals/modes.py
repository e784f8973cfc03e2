"""Play the choice of a mode over recorded outcomes: does a check or a panel pay, and does Auto know when?

The outcomes of a source say what each model alone made of a task. What a mode makes of it follows without inventing
anything: a check finds a stated share of wrong answers and accepts a stated share of right ones (`Check`); what it
rejects is answered anew by the plan's mender, whose recorded outcome counts; a panel delivers the first member, in rank
order, that the same check accepts, and the best-ranked one when it accepts none. No answer is better than one that was
recorded. A check and a judge cost one further call, at their model's mean recorded cost, as `core/mode.py` counts it.

    utility = price of the risk * solved - money - waiting

Prices are `mode.LOSS_USD`: what a wrong answer costs that a right one does not. Waiting is `mode.py`'s, since outcomes
rarely say how long they took; figures without it stand beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import cost
from openfusion_auto.core.cascade import accepted_first, rejected
from openfusion_auto.core.decide import decide
from openfusion_auto.core.mode import LOSS_USD, PANEL_S, VERIFY_S, WAIT_USD_PER_S
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.types import Check, Level, Plan, Policy, State
from openfusion_auto.evals import metrics, policies
from openfusion_auto.evals.dataset import Source
from openfusion_auto.evals.metrics import Interval
from openfusion_auto.evals.policies import Fold
from openfusion_auto.evals.replay import FOLDS, outcomes

Vector = npt.NDArray[np.float64]

KNOB = 5.0  # of cost_quality, the default
MODES: tuple[ModeName, ...] = ("single", "verify", "panel")
WAIT_USD = {"single": 0.0, "verify": VERIFY_S * WAIT_USD_PER_S, "panel": PANEL_S * WAIT_USD_PER_S}
AUTO = "auto"
NEVER_PANEL = "auto, never a panel"
POLICIES = (AUTO, NEVER_PANEL, *(f"always {m}" for m in MODES))


@dataclass(frozen=True, eq=False)
class Played:
    """One mode, or a choice of modes, over the tasks of a source: solved 0..1, money and waiting [USD], each (n,)."""

    solved: Vector
    usd: Vector
    wait_usd: Vector

    def utility(self, price: float, *, waiting: bool = True) -> Vector:
        """Return what each task was worth at a price of the risk [USD]."""
        return price * self.solved - self.usd - (self.wait_usd if waiting else 0.0)


@dataclass(frozen=True, eq=False)
class ModesPlayed:
    """A source at one price of risk: the mode that Auto took for each task, and what each mode makes of all."""

    source: Source
    risk: Level
    chosen: tuple[ModeName, ...]
    plays: Mapping[ModeName, Played]

    def runs(self) -> dict[str, Played]:
        """Return what is compared, by name."""
        never = ["verify" if m == "panel" else m for m in self.chosen]
        return {
            AUTO: picked(self.plays, self.chosen),
            NEVER_PANEL: picked(self.plays, never),
            **{f"always {m}": self.plays[m] for m in MODES},
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A policy at one price of risk, means a task: `ahead` is Auto's utility less this policy's, with its interval.

    The `_money` figures leave waiting out.
    """

    policy: str
    solved: float
    usd: float
    utility: float
    ahead: float
    ahead_interval: Interval
    utility_money: float
    ahead_money: float
    ahead_money_interval: Interval


@dataclass(frozen=True, slots=True)
class Priced:
    """All policies at one price of risk [USD], and the share of tasks for which Auto took each mode."""

    risk: Level
    price: float
    shares: Mapping[ModeName, float]
    rows: tuple[Row, ...]


def play_modes(source: Source, *, check: Check, seed: int = 0) -> tuple[ModesPlayed, ...]:
    """Play every mode and Auto's choice among them over one source, at each price of risk."""
    parts = policies.folds(source, FOLDS, seed)
    return tuple(ModesPlayed(source, risk, *played(parts, risk, check)) for risk in LOSS_USD)


def priced(several: Sequence[ModesPlayed], seed: int) -> Priced:
    """Return the figures of one source, or the means of several at one price of risk, each counting the same."""
    risk = several[0].risk
    price = LOSS_USD[risk]
    runs = [p.runs() for p in several]
    groups = [f"{n} {g}" for n, p in enumerate(several) for g in p.source.groups]
    of = np.repeat(np.arange(len(several)), [p.source.size for p in several])

    def mean(values: Vector, rows: npt.NDArray[np.int64]) -> float:
        own = of[rows]
        return float(
            np.mean(
                [values[rows[own == n]].mean() for n in range(len(several)) if (own == n).any()]
            )
        )

    every = np.arange(len(of))

    def row(name: str) -> Row:
        def gather(figure: Callable[[Played], Vector], than: str = name) -> Vector:
            return np.concatenate([figure(r[than]) for r in runs])

        def ahead(*, waiting: bool) -> tuple[float, float, Interval]:
            own = gather(lambda p: p.utility(price, waiting=waiting))
            more = gather(lambda p: p.utility(price, waiting=waiting), AUTO) - own
            wide = metrics.bootstrap(lambda rows: mean(more, rows), groups, seed)
            return round(mean(own, every), 6), round(mean(more, every), 6), wide

        solved, usd = gather(lambda p: p.solved), gather(lambda p: p.usd)
        return Row(
            name,
            round(mean(solved, every), 6),
            round(mean(usd, every), 6),
            *ahead(waiting=True),
            *ahead(waiting=False),
        )

    shares = {
        m: round(float(np.mean([p.chosen.count(m) / len(p.chosen) for p in several])), 6)
        for m in MODES
    }
    return Priced(risk, price, shares, tuple(row(n) for n in POLICIES))


def picked(plays: Mapping[ModeName, Played], chosen: Sequence[ModeName]) -> Played:
    """Return what came of the mode that was chosen for each task."""
    which = np.array([MODES.index(m) for m in chosen])
    rows = np.arange(len(which))

    def of(figures: Sequence[Vector]) -> Vector:
        taken: Vector = np.stack(figures)[which, rows]
        return taken

    every = [plays[m] for m in MODES]
    return Played(
        of([p.solved for p in every]), of([p.usd for p in every]), of([p.wait_usd for p in every])
    )


def played(
    parts: Sequence[Fold], risk: Level, check: Check
) -> tuple[tuple[ModeName, ...], dict[ModeName, Played]]:
    """Return the mode that Auto wants for each task, and what each mode makes of all of them."""
    source = parts[0].source
    score, usd = outcomes(source)
    number = {m: j for j, m in enumerate(source.models)}
    chosen: list[ModeName] = ["single"] * source.size
    got = {m: np.zeros((3, source.size)) for m in MODES}
    for fold in parts:
        pool = policies.pool_of(fold, size=cost.NOMINAL.input)
        usual = fold.means()[1]
        for i in fold.test.tolist():
            task = replace(policies.task_of(fold, i), risk=risk)
            policy = Policy(cost_quality=KNOB, check=check)
            chosen[i] = decide(task, pool, State(), policy).mode
            for mode in MODES:
                decision = decide(task, pool, State(), replace(policy, mode=mode))
                solved, paid = outcome(decision.plan, number, score[i], usd[i], usual, check)
                got[mode][:, i] = solved, paid, WAIT_USD[decision.mode]
    return tuple(chosen), {m: Played(*got[m]) for m in MODES}


def outcome(
    plan: Plan,
    number: Mapping[str, int],
    score: Vector,
    usd: Vector,
    usual: Vector,
    check: Check,
) -> tuple[float, float]:
    """Return what a plan is expected to make of a task: solved 0..1 and money [USD].

    Args:
        plan: Of a decision.
        number: Candidate -> column.
        score: What each model made of the task, 0..1.
        usd: What that cost.
        usual: What an answer of each model costs on average: of who checks nothing is recorded.
        check: How good a verdict is.
    """
    first_of = {s.phase: number[s.candidates[0]] for s in plan.steps}
    members = [number[s.candidates[0]] for s in plan.steps if s.phase == "member"]
    if members:
        # Of three and more that differ a judge is asked once, of two in both orders.
        looks = min(sum(s.phase == "judge" for s in plan.steps), 2 if len(members) == 2 else 1)
        judged = looks * float(usual[first_of["judge"]]) if looks else 0.0
        return accepted_first(score[members].tolist(), check), float(usd[members].sum()) + judged
    first = first_of["primary"]
    if "verify" not in first_of:
        return float(score[first]), float(usd[first])
    right, mender = float(score[first]), first_of["mend"]
    again = rejected(right, check)
    solved = right * check.specificity + again * float(score[mender])
    paid = usd[first] + usual[first_of["verify"]] + again * usd[mender]
    return solved, float(paid)


def as_json(
    reports: Sequence[Sequence[ModesPlayed]], dataset: str, check: Check, seed: int
) -> dict[str, object]:
    """Return the whole comparison. Utility and money in USD a task, solved and shares 0..1."""
    return {
        "object": "openfusion.replay_modes",
        "dataset": dataset,
        "method": {
            "utility": "price of the risk * solved - money - waiting; the figures of money leave waiting out",
            "waiting_usd": WAIT_USD,
            "check": asdict(check),
            "cost_quality": KNOB,
            "cross_validation": f"{FOLDS}-fold inside each source, groups of tasks kept together",
            "intervals": "bootstrap over groups of tasks, 95 %",
            "seed": seed,
        },
        "overall": [asdict(priced(p, seed)) for p in zip(*reports, strict=True)],
        "sources": [
            {
                "source": r[0].source.name,
                "tasks": r[0].source.size,
                "risks": [asdict(priced([p], seed)) for p in r],
            }
            for r in reports
        ],
    }
