"""What a mode makes of recorded outcomes, and whether Auto takes the one that pays."""

from __future__ import annotations

import numpy as np
import pytest

from openfusion_auto.core.mode import LOSS_USD
from openfusion_auto.core.types import Check, Plan, Step
from openfusion_auto.evals import modes
from openfusion_auto.evals.dataset import Source
from openfusion_auto.evals.modes import AUTO, MODES, NEVER_PANEL, POLICIES, outcome, play_modes
from tests.evals.recorded import HARD, coarsen

CHECK = Check(0.7, 0.9)
NUMBER = {"a": 0, "b": 1, "c": 2}
USD, USUAL = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3])


def flips(count=60, *, chances=(0.6, 0.62, 0.64), usd=(0.01, 0.011, 0.012), name="flips"):
    """Models that are about as good as one another, each right on tasks of its own: picking among them pays."""
    rng = np.random.default_rng(7)
    right = rng.random((count, len(chances))) < np.array(chances)
    return Source(
        name=name,
        models=tuple("abc"[: len(chances)]),
        prompts=tuple(f"{HARD} {i}" for i in range(count)),
        groups=tuple(f"g{i // 2}" for i in range(count)),
        score=right.astype(float),
        usd=np.tile(usd, (count, 1)),
        billed=1.0,
        left_out=(),
    )


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        coarsen(patch)
        return {p.risk: (p, modes.priced([p], 0)) for p in play_modes(flips(), check=CHECK)}


def rows_of(report, risk):
    return {r.policy: r for r in report[risk][1].rows}


def plan(*steps):
    return Plan(tuple(Step(phase, candidates) for phase, candidates in steps), None, None)


def made_of(found, score):
    return outcome(found, NUMBER, np.array(score), USD, USUAL, CHECK)


def test_one_model_makes_what_it_made():
    assert made_of(plan(("primary", ("b", "a"))), [1.0, 0.0, 1.0]) == (0.0, 2.0)


def test_a_check_keeps_mends_and_is_paid_for():
    found = plan(("primary", ("a",)), ("verify", ("c", "b")), ("mend", ("b", "a")))
    # Right: kept nine times of ten, the tenth time the mender's answer. Wrong: found seven times of ten.
    for score, solved, again in (([1, 0, 0], 0.9, 0.1), ([1, 1, 0], 1.0, 0.1), ([0, 1, 0], 0.7, 0.7)):  # fmt: skip
        got, paid = made_of(found, score)
        assert got == pytest.approx(solved)
        assert paid == pytest.approx(1.0 + 0.3 + again * 2.0)


def test_a_panel_is_no_better_than_its_members_and_all_of_them_are_paid():
    found = plan(*(("member", (m,)) for m in "abc"), ("judge", ("c", "a")))
    assert made_of(found, [0, 0, 0]) == (0.0, pytest.approx(6.3))
    assert made_of(found, [1, 1, 1])[0] == pytest.approx(1.0)
    # The second is right: the first must be refused (0.7) and it be taken (0.9).
    assert made_of(found, [0, 1, 0])[0] == pytest.approx(0.7 * 0.9)
    assert made_of(plan(("member", ("a",)), ("member", ("b",))), [0, 0, 0])[1] == 3.0


def test_utility_is_price_times_solved_less_money_and_waiting():
    one = modes.Played(np.array([0.5]), np.array([0.25]), np.array([0.1]))
    assert one.utility(2.0) == pytest.approx(0.65)
    assert one.utility(2.0, waiting=False) == pytest.approx(0.75)


def test_every_price_of_risk_has_every_policy_and_auto_is_level_with_itself(report):
    assert {risk: found.price for risk, (_, found) in report.items()} == LOSS_USD
    for risk in LOSS_USD:
        rows = rows_of(report, risk)
        assert tuple(rows) == POLICIES
        assert (rows[AUTO].ahead, rows[AUTO].ahead_interval.high) == (0, 0)
        shares = report[risk][1].shares
        assert sum(shares.values()) == pytest.approx(1)
        for mode in MODES:
            if shares[mode] == 1:
                assert rows[AUTO].utility == rows[f"always {mode}"].utility


def test_where_little_is_at_stake_auto_asks_once_and_is_ahead_of_a_panel(report):
    for risk in ("low", "medium"):
        rows = rows_of(report, risk)
        assert rows["always panel"].ahead_interval.low > 0
        assert rows[NEVER_PANEL].ahead == 0
        assert rows["always single"].ahead >= -0.01


def test_where_much_is_at_stake_auto_takes_the_panel_that_pays(report):
    rows = rows_of(report, "high")
    assert report["high"][1].shares["panel"] > 0.9
    for other in (NEVER_PANEL, "always single", "always verify"):
        assert rows[other].ahead > 1.0
        assert rows[other].ahead_interval.low > 0
    assert rows["always panel"].ahead >= -0.5


def test_a_check_that_would_spoil_more_than_it_mends_is_left_out(monkeypatch):
    """The strongest is nearly always right and much dearer than a call is worth: a check rejects right answers."""
    coarsen(monkeypatch)
    made = flips(chances=(0.2, 0.99), usd=(0.9, 1.0))
    (high,) = (p for p in play_modes(made, check=Check(0.3, 0.8)) if p.risk == "high")
    found = modes.priced([high], 0)
    assert found.shares["single"] == 1
    rows = {r.policy: r for r in found.rows}
    assert rows["always verify"].ahead > 1


def test_sources_count_the_same():
    small, large = flips(20, name="small"), flips(60, name="large")
    played = [play_modes(s, check=CHECK)[2] for s in (small, large)]
    one, other = (modes.priced([p], 0) for p in played)
    both = modes.priced(played, 0)
    for a, b, c in zip(one.rows, other.rows, both.rows, strict=True):
        assert c.utility == pytest.approx((a.utility + b.utility) / 2, abs=1e-5)
        assert c.solved == pytest.approx((a.solved + b.solved) / 2, abs=1e-5)
        assert c.ahead_interval.low <= c.ahead + 1e-6
        assert c.ahead - 1e-6 <= c.ahead_interval.high
