"""Routing policies over one source's recorded outcomes: ours, and those it has to beat.

Every policy learns on some tasks of a source and then says, for each of the other tasks, which model answers it. None
looks at a task's own outcome but `oracle`, which is the limit. `auto` is the decision of the server: the same `decide`,
on a pool whose prices and benchmarks are the means of the tasks learned on, and an `Experience` of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from openfusion_auto.core import classify
from openfusion_auto.core.cascade import WORTH, best_pair
from openfusion_auto.core.decide import decide
from openfusion_auto.core.experience import Experience
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.types import (
    Benchmark,
    Candidate,
    Check,
    Needs,
    Policy,
    Pool,
    Price,
    State,
    Task,
)
from openfusion_auto.evals import learn
from openfusion_auto.evals.dataset import Source
from openfusion_auto.wire.chat_request import parse_request

Matrix = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
# (task number) -> who answers; a cascade's second is asked when the check rejects, -1 = nobody.
Picks = tuple[Rows, Rows]

NEIGHBOURS = 20
FOLDS_KEPT = 16  # folds whose baselines are kept while their settings are swept
RIDGE = 3.0  # of the logistic baseline
STEPS = 300
MTOK = 1e6


@dataclass(frozen=True, eq=False)
class Fold:
    """What a policy may see: a source, the tasks to learn on, and the tasks to pick for.

    `features` (n, buckets) are the hashed words of all tasks; `tasks` how the server reads them, those to pick for with
    what experience says of their words.
    """

    source: Source
    train: Rows
    test: Rows
    features: Matrix
    tasks: tuple[Task, ...]

    def means(self) -> tuple[Matrix, Matrix]:
        """Return each model's mean score and mean cost [USD] on the tasks learned on, (m,)."""
        s = self.source
        return np.nanmean(s.score[self.train], axis=0), np.nanmean(s.usd[self.train], axis=0)

    def all_to(self, model: int) -> Picks:
        """Return every task for one model."""
        n = len(self.test)
        return np.full(n, model), np.full(n, -1)


def request_of(prompt: str) -> Prompt:
    """Return a task as a client would send it: a single user message to `openfusion/auto`."""
    message = {"role": "user", "content": prompt}
    return parse_request(json.dumps({"model": "openfusion/auto", "messages": [message]}).encode())


def pool_of(fold: Fold, *, size: float | None = None) -> Pool:
    """Return the source's models as candidates: recorded mean score as benchmark, recorded mean cost as price.

    A prompt of `size` tokens costs the recorded mean; None = the mean size of the tasks learned on.
    """
    score, usd = fold.means()
    size = size or float(np.mean([fold.tasks[i].needs.input_tokens for i in fold.train]))
    counts = (~np.isnan(fold.source.score[fold.train])).sum(axis=0)
    return Pool(
        tuple(
            Candidate(
                id=model,
                upstream="replay",
                model=model,
                offers=("tools", "vision", "json_schema"),
                price=Price(float(usd[j]) / size * MTOK, 0.0, source=fold.source.name),
                benchmarks=(
                    Benchmark("recorded", 100 * float(score[j]), int(counts[j]), fold.source.name),
                ),
            )
            for j, model in enumerate(fold.source.models)
        ),
        digest=f"replay:{fold.source.name}",
    )


def task_of(fold: Fold, i: int, *, experienced: bool = True) -> Task:
    """Return a task as it is decided: as the server reads it, with what experience says of its words.

    All tasks of a source are what its models were measured on, so without experience they are as easy as those; one
    risk and one kind for all, since a recorded outcome was worth the same whatever the task spoke of.
    """
    read = fold.tasks[i]
    return replace(
        read,
        kind="bugfix",
        turn="user",
        risk="medium",
        needs=Needs(input_tokens=read.needs.input_tokens),
        ease=read.ease if experienced else 0.0,
        lifts=read.lifts if experienced else (),
        effort=read.effort if experienced else 1.0,
    )


def auto(knob: float, *, experienced: bool = True) -> Callable[[Fold], Picks]:
    """Return Auto at one setting of `cost_quality`; one model answers each task."""

    def picks(fold: Fold) -> Picks:
        pool = pool_of(fold)
        number = {m: j for j, m in enumerate(fold.source.models)}
        policy = Policy(cost_quality=knob, mode="single")
        chosen = [
            decide(task_of(fold, i, experienced=experienced), pool, State(), policy)
            .ranking[0]
            .candidate
            for i in fold.test.tolist()
        ]
        return np.array([number[c] for c in chosen]), np.full(len(chosen), -1)

    return picks


def cascade(knob: float, check: Check) -> Callable[[Fold], Picks]:
    """Return Auto with a check behind the answer: who answers, and who mends what the check rejects."""

    def picks(fold: Fold) -> Picks:
        pool = pool_of(fold)
        number = {m: j for j, m in enumerate(fold.source.models)}
        policy = Policy(cost_quality=knob, mode="single", check=check)
        first, second = [], []
        for i in fold.test.tolist():
            ranking = decide(task_of(fold, i), pool, State(), policy).ranking
            pair = best_pair(ranking, check)
            checked = pair is not None and pair.gain > WORTH
            first.append(number[pair.first if pair and checked else ranking[0].candidate])
            second.append(number[pair.mender] if pair and checked else -1)
        return np.array(first), np.array(second)

    return picks


def cheapest(fold: Fold) -> Picks:
    """Always the model of the lowest mean cost."""
    return fold.all_to(int(np.argmin(fold.means()[1])))


def strongest(fold: Fold) -> Picks:
    """Always the model of the highest mean score."""
    return fold.all_to(int(np.argmax(fold.means()[0])))


def best_single(fold: Fold) -> Picks:
    """Always the one model with the best balance: the front's member farthest above the line between its ends."""
    from openfusion_auto.core.front import front

    score, usd = fold.means()
    found = front([(str(j), float(usd[j]), float(score[j])) for j in range(len(score))])
    first, last = (found.costs[0], found.qualities[0]), (found.costs[-1], found.qualities[-1])
    rise = (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0
    above = [
        q - first[1] - rise * (c - first[0])
        for c, q in zip(found.costs, found.qualities, strict=True)
    ]
    return fold.all_to(int(found.members[int(np.argmax(above))]))


def at_random(seed: int) -> Callable[[Fold], Picks]:
    """Return a policy that draws a model for each task."""

    def picks(fold: Fold) -> Picks:
        rng = np.random.default_rng(seed)
        n = len(fold.test)
        return rng.integers(0, len(fold.source.models), n), np.full(n, -1)

    return picks


def by_chance(fold: Fold, chance: Matrix, rate: float) -> Picks:
    """Pick for each task the model of the highest chance less cost, at an exchange rate [1 per dearest model]."""
    usd = fold.means()[1]
    dearest = usd.max() or 1.0  # all may be free
    value = chance - rate * usd[None, :] / dearest
    return np.argmax(value, axis=1), np.full(len(value), -1)


def knn(rate: float) -> Callable[[Fold], Picks]:
    """Return k nearest neighbours in words: a model's chance is its mean score on the most similar known tasks."""
    return lambda fold: by_chance(fold, neighbours(fold), rate)


@lru_cache(maxsize=FOLDS_KEPT)
def neighbours(fold: Fold) -> Matrix:
    """Return each model's chance on each task to pick for, (test, m), by the tasks of the most similar words."""
    near = fold.features[fold.test] @ fold.features[fold.train].T
    closest = np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]
    seen = fold.source.score[fold.train][closest]  # (test, neighbours, m)
    chance: Matrix = np.where(np.isnan(seen), fold.means()[0], seen).mean(axis=1)
    return chance


def logistic(rate: float) -> Callable[[Fold], Picks]:
    """Return a learned router: one logistic regression on the words for each model."""
    return lambda fold: by_chance(fold, regressed(fold), rate)


@lru_cache(maxsize=FOLDS_KEPT)
def regressed(fold: Fold) -> Matrix:
    """Return each model's chance on each task to pick for, (test, m), by logistic regression."""
    y = fold.source.score[fold.train]
    filled = np.where(np.isnan(y), fold.means()[0], y)
    return regression(fold.features[fold.train], filled, fold.features[fold.test])


def regression(x: Matrix, y: Matrix, new: Matrix) -> Matrix:
    """Return the chances (new, m) of ridge-penalised logistic regressions, fitted in the dual by gradient descent."""
    kernel, other = x @ x.T, new @ x.T
    base = np.log(y.mean(axis=0).clip(0.01, 0.99) / (1 - y.mean(axis=0).clip(0.01, 0.99)))
    dual = np.zeros_like(y)
    step = 1.0 / (0.25 * float(np.linalg.eigvalsh(kernel)[-1]) + RIDGE)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-(kernel @ dual + base)))
        dual += step * (y - chance - RIDGE * dual)
    result: Matrix = 1 / (1 + np.exp(-(other @ dual + base)))
    return result


def oracle(fold: Fold) -> Picks:
    """Pick the cheapest of the models that did best on the task itself: what no policy can know."""
    score = np.nan_to_num(fold.source.score[fold.test], nan=-1.0)
    usd = np.where(score >= score.max(axis=1, keepdims=True), fold.means()[1][None, :], np.inf)
    return np.argmin(usd, axis=1), np.full(len(usd), -1)


def folds(source: Source, count: int, seed: int) -> list[Fold]:
    """Return the folds of a source; tasks of one group are on one side, and nothing of the test side is learned."""
    of = learn.folds_of(source.groups, count, seed)
    requests = [request_of(p) for p in source.prompts]
    texts = [read_facts(r).text for r in requests]
    features, tasks = learn.features(texts), [classify.read(r) for r in requests]
    found = []
    for k in range(count):
        train, test = np.flatnonzero(of != k), np.flatnonzero(of == k)
        groups = [source.groups[i] for i in train.tolist()]
        known = learn.learn(
            features[train], source.score[train], source.usd[train], source.models, groups
        )
        own = list(tasks)
        for i in test.tolist():
            # Also where the words sound like a call that a client makes for itself, of which the server asks nothing.
            ease, lifts, effort = known.of(texts[i])
            own[i] = replace(own[i], ease=ease, lifts=lifts, effort=effort)
        found.append(Fold(source, train, test, features, tuple(own)))
    return found


def learned_from(source: Source) -> Experience:
    """Return what all tasks of a source teach."""
    texts = [read_facts(request_of(p)).text for p in source.prompts]
    return learn.learn(
        learn.features(texts), source.score, source.usd, source.models, source.groups
    )


def merged(folds: Sequence[Fold], policy: Callable[[Fold], Picks]) -> Picks:
    """Return a policy's picks for all tasks of a source, each made without having seen the task."""
    n = folds[0].source.size
    first, second = np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    for fold in folds:
        first[fold.test], second[fold.test] = policy(fold)
    return first, second
