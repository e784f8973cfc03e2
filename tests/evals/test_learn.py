"""Experience is fitted to recorded outcomes only as far as held-out tasks bear it out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.evals.learn import (
    FOLDS,
    RIDGES,
    calibrated,
    chances,
    chosen,
    efforts,
    features,
    folds_of,
    learn,
    weights,
)

EASY = "rename a label in the page"
HARD = "race condition between kernel threads"


def tasks(count: int = 60) -> list[str]:
    return [f"{EASY if i % 2 else HARD} number {i}" for i in range(count)]


def alike(score: np.ndarray) -> np.ndarray:
    """Every task costs the same."""
    return np.ones_like(score)


def taught(prompts: list[str], noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    base = np.array([0.9 if EASY in p else 0.2 for p in prompts])
    return (base[:, None] + noise * rng.normal(size=(len(prompts), 3))).clip(0, 1)


def test_easy_words_make_a_task_easier_and_hard_ones_harder():
    prompts = tasks()
    known = learn(
        features(prompts), taught(prompts, 0.05), np.ones((60, 3)), ["a", "b", "c"], prompts
    )
    assert known.of(EASY).ease > 1.0 > -1.0 > known.of(HARD).ease
    assert known.tasks == len(prompts)
    assert known.mean == pytest.approx(0.55, abs=0.05)


def test_a_candidate_that_does_better_on_some_words_is_lifted_there():
    prompts = tasks()
    score = taught(prompts)
    score[:, 0] = [0.4 if EASY in p else 0.9 for p in prompts]
    known = learn(features(prompts), score, alike(score), ["a", "b", "c"], prompts)
    assert known.candidates == ("a", "b", "c")
    assert dict(known.of(HARD).lifts)["a"] > 0.1
    assert dict(known.of(EASY).lifts)["a"] < -0.1


def test_next_to_nothing_is_learnt_from_words_that_tell_nothing():
    nothing = 0
    for seed in range(5):
        rng = np.random.default_rng(seed)
        prompts = [" ".join(f"w{n}" for n in rng.integers(0, 500, 8)) for _ in range(160)]
        score = rng.integers(0, 2, (80, 4)).astype(float)
        known = learn(
            features(prompts[:80]), score, alike(score), ["a", "b", "c", "d"], prompts[:80]
        )
        lessons = [known.of(p) for p in prompts[80:]]
        assert np.mean([abs(lesson.ease) for lesson in lessons]) < 0.3
        assert np.mean([abs(lift) for lesson in lessons for _, lift in lesson.lifts] or [0]) < 0.1
        nothing += not known.ease.any()
    assert nothing >= 3


def test_missing_outcomes_count_as_the_models_mean():
    prompts = tasks()
    score = taught(prompts, 0.02)
    score[::7, 1] = np.nan
    known = learn(features(prompts), score, alike(score), ["a", "b", "c"], prompts)
    assert np.isfinite(known.ease).all()
    assert known.of(EASY).ease > 0.5


def test_words_of_dear_tasks_are_learned_and_one_price_for_all_teaches_nothing():
    prompts = tasks()
    score = taught(prompts, 0.05)
    usd = np.array([[0.1, 1.0, 0.0]]) * [[1.0 if EASY in p else 3.0] for p in prompts]
    usd[::5, 0] = np.nan
    known = learn(features(prompts), score, usd, ["a", "b", "c"], prompts)
    assert known.of(HARD).effort == pytest.approx(1.5, abs=0.15)
    assert known.of(EASY).effort == pytest.approx(0.5, abs=0.05)
    same = learn(features(prompts), score, usd[:1].repeat(60, axis=0), ["a", "b", "c"], prompts)
    assert not same.effort.any()
    assert same.of(HARD).effort == 1.0


def test_efforts_are_means_over_those_whose_bill_is_known():
    usd = np.array([[1.0, 20.0, 0.0], [3.0, 60.0, 0.0], [np.nan, 40.0, 0.0], [2.0, np.nan, 0.0]])
    dearer = np.exp(efforts(usd))
    assert dearer / dearer[0] == pytest.approx([1.0, 3.0, 2.0, 2.0])
    assert not efforts(np.zeros((3, 2))).any()
    assert np.isfinite(efforts(np.array([[0.0, 0.0], [1.0, 1.0]]))).all()


def test_what_only_tasks_of_one_group_share_is_no_evidence():
    rng = np.random.default_rng(1)
    groups = [f"g{i // 4}" for i in range(120)]
    prompts = [f"{g} part {i % 4}" for i, g in enumerate(groups)]
    score = np.repeat(rng.integers(0, 2, (30, 3)), 4, axis=0).astype(float)
    held_out = learn(features(prompts), score, alike(score), ["a", "b", "c"], groups)
    leaking = learn(features(prompts), score, alike(score), ["a", "b", "c"], prompts)
    assert not held_out.ease.any()
    assert held_out.candidates == ()
    assert leaking.ease.any()


def test_learning_is_repeatable_for_a_seed_whatever_groups_are_called():
    prompts = tasks(40)
    one, two = (
        learn(
            features(prompts),
            taught(prompts, 0.1),
            np.ones((40, 3)),
            ["a", "b", "c"],
            groups,
            seed=5,
        )
        for groups in (prompts, [f"another name of {p}" for p in reversed(prompts)])
    )
    assert (one.ease == two.ease).all()
    assert one.slope == two.slope


@given(st.lists(st.sampled_from("abcdefghij"), min_size=10, max_size=60), st.integers(0, 9))
def test_tasks_of_a_group_share_a_fold_and_folds_are_about_equally_large(groups, seed):
    fold = folds_of(groups, FOLDS, seed)
    of = dict(zip(groups, fold.tolist(), strict=True))
    assert [of[g] for g in groups] == fold.tolist()
    counts = np.bincount(list(of.values()), minlength=FOLDS)
    assert counts.max() - counts.min() <= 1
    assert (fold == folds_of(groups, FOLDS, seed)).all()


def test_features_are_rows_of_length_one():
    rows = features(["fix it", "", "docs"])
    assert np.allclose((rows**2).sum(axis=1), [1, 0, 1])


def test_a_ridge_is_chosen_only_where_it_predicts():
    x = features(tasks(50))
    fold = folds_of([str(i) for i in range(50)], FOLDS, 0)
    y = taught(tasks(50))[:, :1] - 0.55
    ridge, guess = chosen(x @ x.T, y, fold)
    assert ridge in RIDGES
    assert ((guess - y) ** 2).mean() < (y**2).mean() / 4
    none, nothing = chosen(x @ x.T, np.random.default_rng(0).normal(size=(50, 1)), fold)
    assert none is None
    assert not nothing.any()


def test_an_infinite_ridge_has_no_weights():
    x = features(tasks(4))
    assert not weights(x, x @ x.T, np.ones((4, 2)), None).any()
    assert weights(x, x @ x.T, np.ones((4, 2)), 0.1).any()


SHARES = st.lists(st.floats(0.05, 0.95), min_size=1, max_size=5)


@settings(max_examples=50)
@given(SHARES, st.lists(st.floats(-3, 3), min_size=2, max_size=30))
def test_chances_keep_each_models_mean_and_rise_with_the_ease(usual, ease):
    found = chances(np.array(usual), np.array(ease))
    assert np.allclose(found.mean(axis=0), usual, atol=0.01)
    order = np.argsort(ease)
    assert (np.diff(found[order], axis=0) >= -1e-12).all()


def test_the_slope_that_explains_the_outcomes_best_is_taken():
    rng = np.random.default_rng(2)
    share = rng.uniform(0.2, 0.8, 400)
    y = (rng.uniform(size=(400, 2)) < share[:, None]).astype(float)
    steep = (rng.uniform(size=(400, 2)) < (share > 0.5)[:, None] * 0.9 + 0.05).astype(float)
    slope, expected = calibrated(share, 0.5, y.mean(axis=0), y)
    steeper, _ = calibrated(share, 0.5, steep.mean(axis=0), steep)
    assert 0.75 <= slope <= 1.25 < steeper
    assert expected.shape == y.shape
