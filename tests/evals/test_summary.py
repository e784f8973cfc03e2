"""The figures of a receipt, computed by hand."""

from __future__ import annotations

import pytest

from openfusion_auto.evals.metrics import wilson
from openfusion_auto.evals.summary import percentile, routing, summary, versus


def run(contender="auto", verdict=None, usd=0.1, outcome="ok", ms=10, **more):
    grade = None if verdict is None else {"verdict": verdict}
    return {
        "contender": contender, "grade": grade, "usd": usd, "outcome": outcome, "ms": ms, "mode": "single",
        "answered_by": "a", "attempts": [1], "checks": [], "usage": {"input": 5, "output": 2}, "decision": None, **more,
    }  # fmt: skip


def figures(*runs, dry_run=False):
    return summary(runs, None, ["auto"], dry_run=dry_run)["contenders"][0]


def test_accuracy_counts_what_could_not_be_read_and_what_did_not_come_as_not_right():
    found = figures(
        run(verdict="correct"), run(verdict="correct"), run(verdict="wrong"), run(verdict="unparsed"),
        run(verdict="unanswered", outcome="error"), run(verdict="skipped"), run(),
    )  # fmt: skip
    assert found["accuracy"] == 0.4
    assert found["accuracy_interval"] == {"low": 0.117621, "high": 0.769276}
    assert (found["answered"], found["unanswered"], found["runs"]) == (6, 1, 7)
    assert found["usd"] == 0.7
    assert found["usd_per_run"] == 0.1
    assert found["usd_per_correct"] == 0.35


def test_an_unknown_price_makes_every_sum_unknown():
    found = summary([run(), run(usd=None)], None, ["auto"], dry_run=False)
    assert found["usd"] is None
    assert found["contenders"][0]["usd_per_run"] is None


def test_what_the_ceiling_of_money_left_out_is_in_no_mean():
    left_out = run(usd=0, outcome="not_run", ms=None)
    found = summary([run(), run(), left_out, left_out], None, ["auto"], dry_run=False)
    (auto,) = found["contenders"]
    assert (auto["usd"], auto["usd_per_run"], auto["not_run"]) == (0.2, 0.1, 2)
    assert found["passed"]


def test_an_evaluation_that_asked_nothing_has_not_passed():
    left_out = run(usd=0, outcome="not_run", ms=None)
    found = summary([left_out], None, ["auto"], dry_run=False)
    assert (found["passed"], found["contenders"][0]["usd_per_run"]) == (False, None)


def test_nothing_right_has_no_price_a_piece_and_nothing_graded_no_accuracy():
    assert figures(run(verdict="wrong"))["usd_per_correct"] is None
    assert figures(run())["accuracy"] is None


def test_a_dry_run_has_no_figures_of_quality():
    found = figures(run(verdict="correct"), dry_run=True)
    assert found["accuracy"] is found["accuracy_interval"] is found["usd_per_correct"] is None
    assert found["grades"]["correct"] == 1


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [  # Newcombe (1998), Stat. Med. 17, 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_the_published_one(successes, of, low, high):
    found = wilson(successes, of)
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)
    assert wilson(0, 0) is None


def test_percentiles_are_values_that_occurred():
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.95) == 4
    assert percentile([7], 0.5) == 7
    assert percentile([], 0.5) is None


def decided(kind, *steps):
    return run(
        decision={
            "mode": "single",
            "task": {"kind": kind},
            "plan": {"steps": [{"phase": "primary", "candidates": list(s)} for s in steps]},
        }
    )


def test_routing_diversity_counts_plans_picks_and_bits():
    runs = [decided("docs", ["a", "b"]), decided("docs", ["a"]), decided("ops", ["b"]), decided("ops")]  # fmt: skip
    found = routing([*runs, run()])
    assert (found["decisions"], found["distinct_plans"], found["distinct_picks"]) == (4, 3, 2)
    assert found["picks"] == {"a": 2, "b": 1}
    assert found["pick_entropy_bits"] == pytest.approx(0.918296, abs=1e-6)
    assert found["kinds"] == {"docs": 2, "ops": 2}
    assert routing([])["pick_entropy_bits"] == 0


def pair(outcome, *said, against="x"):
    return {"against": against, "outcome": outcome, "rounds": [{"said": s} for s in said]}


def test_pairs_are_counted_and_only_decided_ones_have_a_share():
    pairs = [
        pair("won", "first", "second"), pair("won", "second", "first"), pair("lost", "first", "second"),
        pair("tie", "first", "first"), pair("unparsed", "first", None), pair("unanswered"), pair("won", against="y"),
    ]  # fmt: skip
    found = versus("x", pairs)
    assert {k: found[k] for k in ("pairs", "won", "lost", "tie", "unparsed", "unanswered")} == {
        "pairs": 6, "won": 2, "lost": 1, "tie": 1, "unparsed": 1, "unanswered": 1,
    }  # fmt: skip
    assert found["win_share"] == pytest.approx(2 / 3)
    assert found["win_interval"]["low"] == pytest.approx(0.2077, abs=1e-4)
    assert found["first_share"] == pytest.approx(6 / 9)
    assert versus("z", pairs)["win_share"] is None
