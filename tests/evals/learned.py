"""What learning from a project's own outcomes is worth, played on recorded outcomes:

    python -m tests.evals.learned DATASET

A project has five models of a source, drawn, and half of its groups of tasks, in drawn order. What the pool's benchmark
says of each model is off by a normal error on the log-odds scale. The server's own `decide` picks; each outcome is seen
as a session shows it: half of those that went well end with a run that passed, and many had a failing one before. Then
the other half of the groups is decided with what was learned, and told is the share of tasks solved above the front of
the five models at the same cost. Costs are relative to the front's cheapest where a policy is below it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from openfusion_auto.config.rules import LearnSection
from openfusion_auto.core import lessons
from openfusion_auto.core.classify import read
from openfusion_auto.core.decide import decide
from openfusion_auto.core.front import front
from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.strength import logit
from openfusion_auto.core.types import (
    Benchmark,
    Candidate,
    Needs,
    Policy,
    Pool,
    Price,
    State,
    Task,
)
from openfusion_auto.evals.dataset import Source, load
from openfusion_auto.evals.policies import request_of

MODELS = 5
ERRORS = (0.0, 0.5, 1.0)  # [log-odds] of what benchmarks say
KNOBS = (2.5, 5.0, 7.5)
PROJECTS = 24  # drawn for each source and setting
SEEN = {True: 0.5, False: 0.1}  # how often an answer that was right, or wrong, is seen to be good
FAILED = {True: 0.25, False: 0.6}  # how often it is seen to be bad
SIZE = 3_000  # [tokens] of each request
HALF_LIFE_S = 1e12


@dataclass(frozen=True)
class Project:
    """Models (m), the tasks to learn from and those to judge by, with what every model did on each, (n, m)."""

    pool: Pool
    models: tuple[str, ...]
    tasks: tuple[tuple[Task, ...], tuple[Task, ...]]
    right: tuple[np.ndarray, np.ndarray]
    usd: np.ndarray


def project(source: Source, tasks: Sequence[Task], error: float, random: Random) -> Project:
    """Draw a project of a source."""
    models = tuple(sorted(random.sample(source.models, min(MODELS, len(source.models)))))
    at = [source.models.index(m) for m in models]
    groups = sorted(set(source.groups))
    random.shuffle(groups)
    first = set(groups[: len(groups) // 2])
    learnt = [i for i, g in enumerate(source.groups) if g in first]
    judged = [i for i, g in enumerate(source.groups) if g not in first]
    random.shuffle(learnt)
    score, usd = source.score[:, at], source.usd[:, at]
    means, costs = np.nanmean(score[learnt], axis=0), np.nanmean(usd[learnt], axis=0)
    candidates = []
    for j, model in enumerate(models):
        believed = 1 / (1 + math.exp(-(logit(float(means[j])) + random.gauss(0, error))))
        told = Benchmark("recorded", 100 * believed, None, source.name)
        price = Price(float(costs[j]) / SIZE * 1e6, 0.0)
        candidates.append(Candidate(model, "u", model, price=price, benchmarks=(told,)))
    pool = Pool(tuple(candidates), f"sha256:{random.random()}")
    parts = (tuple(tasks[i] for i in learnt), tuple(tasks[i] for i in judged))
    return Project(pool, models, parts, (score[learnt], score[judged]), usd[judged])


def picked(task: Task, pool: Pool, knob: float) -> str:
    """Return who answers a task."""
    return (
        decide(task, pool, State(), Policy(cost_quality=knob, mode="single")).ranking[0].candidate
    )


def learned(given: Project, knob: float, random: Random) -> tuple[tuple[str, float], ...]:
    """Play the first half; return the lifts that it leaves."""
    max_lift = LearnSection().max_lift
    tallies: dict[str, Tally] = {}
    lifts: tuple[tuple[str, float], ...] = ()
    for task, right in zip(given.tasks[0], given.right[0], strict=True):
        model = picked(replace(task, lifts=lifts), given.pool, knob)
        went_well = bool(right[given.models.index(model)] >= 0.5)  # NaN: a run that crashed
        expected = lessons.expected_of(given.pool, model, task)
        for good, chance in ((True, SEEN[went_well]), (False, FAILED[went_well])):
            if random.random() < chance:
                old = tallies.get(model, Tally())
                tallies[model] = lessons.taught(old, 0.0, HALF_LIFE_S, good=good, expected=expected)
        lifts = lessons.lifts_of(tallies.items(), given.pool, "bugfix", max_lift)
    return lifts


def gain(given: Project, knob: float, lifts: tuple[tuple[str, float], ...]) -> float:
    """Return the share of the second half that is solved above the front of single models at the same cost."""
    at = [
        given.models.index(picked(replace(t, lifts=lifts), given.pool, knob))
        for t in given.tasks[1]
    ]
    rows = np.arange(len(at))
    solved, usd = np.nanmean(given.right[1][rows, at]), np.nanmean(given.usd[rows, at])
    means = zip(np.nanmean(given.usd, axis=0), np.nanmean(given.right[1], axis=0), strict=True)
    known = front([(m, float(u), float(s)) for m, (u, s) in zip(given.models, means, strict=True)])
    height = known.quality_at(float(usd))
    return float(solved) - (known.qualities[0] if height is None else height)


def report(sources: Sequence[Source], projects: int = PROJECTS) -> str:
    """Return a line for each error of the benchmarks: what is lost to it, and what learning brings back."""
    every = {s.name: [plain(read(request_of(p))) for p in s.prompts] for s in sources}
    lines = ["benchmarks off by  nothing learned  learned   difference  standard error"]
    for error in ERRORS:
        pairs = []
        for source in sources:
            for seed in range(projects):
                given = project(source, every[source.name], error, Random(f"{source.name} {seed}"))
                for knob in KNOBS:
                    lifts = learned(given, knob, Random(seed))
                    pairs.append((gain(given, knob, ()), gain(given, knob, lifts)))
        without, with_ = np.array(pairs).T
        apart = (with_ - without).reshape(-1, len(KNOBS)).mean(axis=1)
        spread = apart.std(ddof=1) / math.sqrt(len(apart))
        lines.append(
            f"{error:17.1f}  {without.mean():+15.4f}  {with_.mean():+7.4f}  {apart.mean():+11.4f}  {spread:14.4f}"
        )
    return "\n".join(lines)


def plain(task: Task) -> Task:
    """Return a task as all of a source are decided: of one kind, risk and size, as hard as it was read."""
    needs = Needs(input_tokens=SIZE)
    return replace(task, kind="bugfix", turn="user", risk="medium", needs=needs)


if __name__ == "__main__":
    print(report(load(Path(sys.argv[1]))))
