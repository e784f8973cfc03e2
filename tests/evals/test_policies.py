"""Each policy picks as its name says, and none has seen the task that it picks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from openfusion_auto.core.types import Check
from openfusion_auto.evals import policies
from tests.evals.recorded import source

CHEAP, IDLE, STRONG = 0, 1, 2


@pytest.fixture(scope="module")
def parts():
    return policies.folds(source(), 5, 0)


def picks(parts, policy):
    first, second = policies.merged(parts, policy)
    return first, second


def test_the_plain_ones_ask_one_model(parts):
    assert set(picks(parts, policies.cheapest)[0]) == {CHEAP}
    assert set(picks(parts, policies.strongest)[0]) == {STRONG}
    assert set(picks(parts, policies.best_single)[0]) <= {CHEAP, STRONG}
    assert set(picks(parts, policies.at_random(1))[0]) == {CHEAP, IDLE, STRONG}


def test_the_oracle_asks_the_cheapest_that_solves_it(parts):
    first = picks(parts, policies.oracle)[0]
    made = parts[0].source
    assert [made.score[i, j] for i, j in enumerate(first)] == [1.0] * made.size
    assert (first[::2] != STRONG).all()


def test_auto_learns_which_words_need_the_strong_model(parts):
    first = picks(parts, policies.auto(5.0))[0]
    assert (first[::2] == CHEAP).mean() > 0.9
    assert (first[1::2] == STRONG).mean() > 0.9


def test_what_experience_says_counts_for_words_that_sound_like_a_clients_own_call():
    made = source()
    asked = "Summarize the following text in one sentence"
    sums = tuple(f"{asked}: {'kernel' if i % 2 else 'label'} {i}" for i in range(made.size))
    parts = policies.folds(replace(made, prompts=sums), 5, 0)
    assert {t.kind for fold in parts for t in fold.tasks} == {"aux"}
    first = picks(parts, policies.auto(5.0))[0]
    assert (first[::2] == CHEAP).mean() > 0.9
    assert (first[1::2] == STRONG).mean() > 0.9


def test_quality_is_bought_where_it_costs_least():
    made = source()
    # Words tell nothing of who solves what, and that every other task costs a third.
    words = ("a tiny one", "quite another matter, far and wide")
    prompts = tuple(f"{words[i % 2]} {i % 7}" for i in range(made.size))
    solved = np.arange(made.size) // 2 % 2 == 0
    score = np.stack([solved, made.score[:, IDLE], made.score[:, STRONG]], axis=1).astype(float)
    usd = made.usd * np.where(np.arange(made.size) % 2, 1.5, 0.5)[:, None]
    parts = policies.folds(replace(made, prompts=prompts, score=score, usd=usd), 5, 0)
    first = picks(parts, policies.auto(6.0))[0]
    assert (first[::2] == STRONG).mean() > 0.9
    assert (first[1::2] == CHEAP).mean() > 0.9


def test_auto_without_experience_asks_one_model_for_all(parts):
    for fold in parts:
        assert len(set(policies.auto(5.0, experienced=False)(fold)[0])) == 1


def test_the_knob_goes_from_the_strongest_to_the_cheapest(parts):
    usd = [0.01, 0.12, 0.10]
    cost = [
        np.mean([usd[j] for j in picks(parts, policies.auto(knob))[0]])
        for knob in (0, 2, 4, 6, 8, 10)
    ]
    assert cost == sorted(cost, reverse=True)
    assert cost[-1] == pytest.approx(0.01)
    assert set(picks(parts, policies.auto(0, experienced=False))[0]) == {STRONG}


@pytest.mark.parametrize("make", [policies.knn, policies.logistic])
def test_the_learned_baselines_learn_it_too(parts, make):
    first = picks(parts, make(0.5))[0]
    assert (first[::2] == CHEAP).mean() > 0.9
    assert (first[1::2] == STRONG).mean() > 0.9


def test_a_cascade_begins_cheap_and_mends_with_the_strong_one():
    made = source()
    blind = replace(made, prompts=tuple(f"task {i % 3}" for i in range(made.size)))
    parts = policies.folds(blind, 5, 0)
    first, second = picks(parts, policies.cascade(5.0, Check(1.0, 1.0)))
    assert set(first) == {CHEAP}
    assert set(second) == {STRONG}


def test_a_check_that_finds_nothing_is_not_asked(parts):
    second = picks(parts, policies.cascade(2.0, Check(0.0, 1.0)))[1]
    assert set(second) == {-1}


def test_a_group_is_never_on_both_sides():
    made = source()
    for fold in policies.folds(made, 5, 3):
        train = {made.groups[i] for i in fold.train}
        assert train.isdisjoint(made.groups[i] for i in fold.test)


def test_what_a_task_came_to_does_not_move_its_own_pick():
    made = source()
    told = made.score.copy()
    fold = policies.folds(made, 5, 0)[0]
    told[fold.test] = 1 - told[fold.test]
    other = policies.folds(replace(made, score=told), 5, 0)[0]
    for policy in (
        policies.auto(4.0),
        policies.knn(0.3),
        policies.logistic(0.3),
        policies.strongest,
    ):
        assert policy(fold)[0].tolist() == policy(other)[0].tolist()
