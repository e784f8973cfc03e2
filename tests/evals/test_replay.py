"""A replay's figures, on outcomes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from openfusion_auto.core.types import Check
from openfusion_auto.evals import policies, replay
from tests.evals.recorded import coarsen, source


@pytest.fixture(scope="module")
def report():
    return replay.replay(source())


def named(report, name):
    return next(p for p in report.policies if p.name == name)


def test_every_policy_is_there_with_its_points(report):
    names = [p.name for p in report.policies]
    assert names == [p.name for p in replay.plans(replay.CHECK, 0)]
    assert [p.setting for p in named(report, "auto").points] == list(replay.SETTINGS)
    assert len(named(report, "strongest").points) == 1
    assert named(report, "logistic").aiq is not None


def test_the_single_models_have_the_figures_of_the_data(report):
    cheapest, strongest = named(report, "cheapest").points[0], named(report, "strongest").points[0]
    assert (cheapest.score, cheapest.usd) == (0.5, 0.01)
    assert (strongest.score, strongest.usd) == (1.0, 0.10)
    assert strongest.share_of_strongest == 1.0
    assert cheapest.share_of_strongest == pytest.approx(0.1)
    for point in (cheapest, strongest):
        assert point.gain == pytest.approx(0, abs=1e-6)
        assert point.gain_hindsight == pytest.approx(0, abs=1e-6)


def test_knowing_the_words_gains_over_the_front_and_the_oracle_gains_most(report):
    auto, oracle = named(report, "auto"), named(report, "oracle").points[0]
    best = max(p.gain for p in auto.points)
    assert 0.2 < best <= oracle.gain + 0.01
    assert auto.aiq > named(report, "auto, nothing learned").aiq + 0.1
    interval = max(auto.points, key=lambda p: p.gain).gain_interval
    assert interval.low <= best <= interval.high
    assert interval.low > 0


def test_a_checks_score_and_cost_are_its_expectation():
    parts = policies.folds(source(), 5, 0)
    check = Check(0.7, 0.9)

    def always(fold):
        n = len(fold.test)
        return np.zeros(n, dtype=int), np.full(n, 2)

    played = replay.play(parts, always, None, check)
    # Right (half): kept 0.9, else the strong one, right too. Wrong: found 0.7, then right.
    assert played.score[0::2] == pytest.approx(1.0)
    assert played.score[1::2] == pytest.approx(0.7)
    assert played.usd[0::2] == pytest.approx(0.01 + 0.1 * 0.10)
    assert played.usd[1::2] == pytest.approx(0.01 + 0.7 * 0.10)


def test_a_missing_outcome_counts_as_the_models_mean():
    made = source()
    made.score[3, 2] = np.nan
    made.usd[3, 2] = np.nan
    score, usd = replay.outcomes(made)
    assert score[3, 2] == 1.0
    assert usd[3, 2] == pytest.approx(0.10)


def test_sources_count_the_same_and_dollars_are_not_added_up(monkeypatch):
    coarsen(monkeypatch)
    own, other = replay.replay(source()), replay.replay(source(40, seed=2, name="other"))
    mean = {p.name: p for p in replay.overall([own, other])}
    for name in ("auto", "cheapest"):
        ours, theirs = named(own, name), named(other, name)
        for point, a, b in zip(mean[name].points, ours.points, theirs.points, strict=True):
            assert point.score == pytest.approx((a.score + b.score) / 2, abs=1e-5)
            assert point.gain == pytest.approx((a.gain + b.gain) / 2, abs=1e-5)
    assert mean["auto"].aiq == pytest.approx(
        (named(own, "auto").aiq + named(other, "auto").aiq) / 2, abs=1e-5
    )


def test_the_same_seed_gives_the_same_report(monkeypatch):
    coarsen(monkeypatch)
    first, second = replay.replay(source(40)), replay.replay(source(40))
    assert first.policies == second.policies
