"""Fit an `Experience` to recorded outcomes, and only as much of it as held-out tasks bear out.

Three ridge regressions on hashed words: the mean success of a task over all candidates, then what is left of each
candidate's outcomes; and what a task costs, over all candidates. The strength of each ridge is chosen by
cross-validation inside the given tasks, infinite (nothing learned) among the choices. So words that tell nothing leave
the front of single models as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.experience import BUCKETS, Experience, ease_of, hashed

Matrix = npt.NDArray[np.float64]

RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SLOPES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
WORTH = 0.005  # share of the squared error that a ridge must take away on held-out tasks, or nothing is learned
FOLDS = 5
EDGE = 0.01
LEAST_SHARE = 0.001  # of an ordinary task's cost that a task is taken for at least: a bill of 0 has no logarithm


def features(prompts: Sequence[str]) -> Matrix:
    """Return the hashed words of prompts, (n, BUCKETS)."""
    rows = np.zeros((len(prompts), BUCKETS))
    for row, prompt in zip(rows, prompts, strict=True):
        places, values = hashed(prompt)
        row[places] = values
    return rows


def folds_of(groups: Sequence[str], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold 0..count-1 for each task; tasks of one group share it, folds are about equally large."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    of = {names[n]: k % count for k, n in enumerate(order)}
    return np.array([of[g] for g in groups])


def learn(
    x: Matrix,
    score: Matrix,
    usd: Matrix,
    models: Sequence[str],
    groups: Sequence[str],
    seed: int = 0,
) -> Experience:
    """Return what these outcomes teach.

    Args:
        x: `features` of the tasks' texts, (n, BUCKETS).
        score: Outcomes 0..1, (n, m); NaN where nothing is recorded (taken as the model's mean).
        usd: What each cost [USD], (n, m); NaN where nobody knows.
        models: Ids of the candidates, (m,).
        groups: Of each task, (n,). One group is held out together: what only its own tasks share is no evidence.
        seed: Of the folds inside.
    """
    usual = np.nanmean(score, axis=0)
    y = np.asarray(np.where(np.isnan(score), usual, score), dtype=np.float64)
    kernel = x @ x.T
    fold = folds_of(numbered(groups), FOLDS, seed)
    task_mean = np.asarray(y.mean(axis=1), dtype=np.float64)
    mean = float(task_mean.mean())
    deviation = (task_mean - mean)[:, None]
    ridge, held_out = chosen(kernel, deviation, fold)
    slope, expected = calibrated(held_out[:, 0] + mean, mean, usual, y)
    rest = y - expected
    rest_ridge, _ = chosen(kernel, rest, fold)
    lifted = tuple(models) if rest_ridge is not None else ()
    dearer = efforts(usd)[:, None]
    effort_ridge, dear = chosen(kernel, dearer, fold)
    return Experience(
        ease=weights(x, kernel, deviation, ridge)[:, 0],
        slope=slope if ridge is not None else 0.0,
        mean=mean,
        candidates=lifted,
        lifts=weights(x, kernel, rest, rest_ridge)[:, : len(lifted)],
        tasks=len(x),
        effort=weights(x, kernel, dearer, effort_ridge)[:, 0],
        level=float(np.log(np.exp(dear).mean())),
    )


def efforts(usd: Matrix) -> npt.NDArray[np.float64]:
    """Return how much dearer than usual each task was, whoever did it [log], (n,), of mean 0.

    That is the mean over the candidates of its cost over what the candidate costs on average; candidates that cost
    nothing, or nobody knows what, do not count.
    """
    known = ~np.isnan(usd)
    usual = np.where(known, usd, 0.0).sum(axis=0) / known.sum(axis=0).clip(1)
    counts = known & (usual > 0)
    share = np.divide(usd, usual, out=np.zeros_like(usd), where=counts)
    of = counts.sum(axis=1)
    mean = np.divide(share.sum(axis=1), of, out=np.ones(len(usd)), where=of > 0)
    # Rounded, so that one price for all tasks is no pattern.
    found = np.log(mean.clip(LEAST_SHARE)).round(9)
    return np.asarray(found - found.mean(), dtype=np.float64)


def numbered(groups: Sequence[str]) -> list[str]:
    """Return each task's group named by its first task, so that what groups are called does not move a fold."""
    first: dict[str, str] = {}
    return [first.setdefault(name, str(i)) for i, name in enumerate(groups)]


def solved(kernel: Matrix, y: Matrix, ridge: float) -> Matrix:
    """Return the dual weights of a ridge regression."""
    dual = np.linalg.solve(kernel + ridge * np.eye(len(kernel)), y)
    return np.asarray(dual, dtype=np.float64)


def weights(x: Matrix, kernel: Matrix, y: Matrix, ridge: float | None) -> Matrix:
    """Return the weights of the buckets, (BUCKETS, columns of y); zeros for an infinite ridge."""
    if ridge is None:
        return np.zeros((x.shape[1], y.shape[1]))
    return x.T @ solved(kernel, y, ridge)


def chosen(kernel: Matrix, y: Matrix, fold: npt.NDArray[np.int64]) -> tuple[float | None, Matrix]:
    """Return the ridge that predicts held-out rows best (None = predict nothing) and its held-out predictions."""
    best: tuple[float, float | None, Matrix] = (
        float((y**2).mean()) * (1 - WORTH), None, np.zeros_like(y),
    )  # fmt: skip
    for ridge in RIDGES:
        guess = np.zeros_like(y)
        for k in range(FOLDS):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            dual = solved(kernel[np.ix_(train, train)], y[train], ridge)
            guess[test] = kernel[np.ix_(test, train)] @ dual
        error = float(((y - guess) ** 2).mean())
        if error < best[0]:
            best = (error, ridge, guess)
    return best[1], best[2]


def calibrated(
    share: npt.NDArray[np.float64], mean: float, usual: npt.NDArray[np.float64], y: Matrix
) -> tuple[float, Matrix]:
    """Return the slope of the ease that makes the outcomes likeliest, and the chances it gives, (n, m)."""
    best: tuple[float, float, Matrix] | None = None
    for slope in SLOPES:
        ease = np.array([ease_of(float(s), mean, slope) for s in share])
        chance = chances(usual, ease)
        kept = chance.clip(EDGE, 1 - EDGE)
        loss = -float((y * np.log(kept) + (1 - y) * np.log(1 - kept)).mean())
        if best is None or loss < best[0]:
            best = (loss, slope, chance)
    if best is None:  # SLOPES is not empty
        raise ValueError
    return best[1], best[2]


def chances(usual: npt.NDArray[np.float64], ease: npt.NDArray[np.float64]) -> Matrix:
    """Return sigmoid(strength + ease), each strength such that the mean over the tasks is the model's `usual` share.

    Strength and mean are joined by Newton's method: the sigmoid is not linear, so the log-odds of a mean are not the
    mean log-odds.
    """
    wanted = usual.clip(EDGE, 1 - EDGE)
    strength = np.log(wanted / (1 - wanted))
    for _ in range(25):
        chance = 1 / (1 + np.exp(-(strength[None, :] + ease[:, None])))
        slope = (chance * (1 - chance)).mean(axis=0).clip(EDGE)
        strength = (strength + (wanted - chance.mean(axis=0)) / slope).clip(-8.0, 8.0)
    result: Matrix = 1 / (1 + np.exp(-(strength[None, :] + ease[:, None])))
    return result
