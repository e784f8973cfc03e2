"""`openfusion compare`: quick and loud without a key, and right to the cent with answers that are known."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from openfusion_auto.core.prompt import Usage
from openfusion_auto.evals.verify import verify
from openfusion_auto.upstream.reply import Reply
from tests.cli.processes import environment

POOL = """\
schema = 1
[[candidates]]
id = "cheap"
upstream = "relay"
model = "vendor/cheap"
roles = ["coder", "fast"]
price_usd_per_mtok = { input = 0.1, output = 0.4, source = "vendor", as_of = "2026-07-02" }
[[candidates]]
id = "dear"
upstream = "relay"
model = "vendor/dear"
roles = ["reasoner"]
price_usd_per_mtok = { input = 1.0, output = 4.0, source = "vendor", as_of = "2026-07-02" }
[[candidates]]
id = "referee"
upstream = "relay"
model = "vendor/referee"
roles = ["verifier"]
price_usd_per_mtok = { input = 3.0, output = 15.0, source = "vendor", as_of = "2026-07-02" }
"""
CASES = "schema = 1\n" + "".join(
    f'[[cases]]\nid = "q{n}"\nprompt = "Question {n}: what is {n} plus {n}?"\n'
    f'grade = {{ by = "numeric", answer = "{2 * n}" }}\n'
    for n in (1, 2, 3, 4)
)
RIGHT = {"vendor/cheap": {1, 3}, "vendor/dear": {2, 3}}  # who is right on which question


def upstream(body):
    """Answers and grades that are known: on 3 the place decides, on 4 the second round cannot be read."""
    said = str(body["messages"][-1]["content"])
    number = int(said.partition("Question ")[2][0])
    if body["model"] != "vendor/referee":
        right = number in RIGHT[body["model"]]
        return Reply(f"It is {2 * number if right else 0}.", usage=Usage(1000, 100))
    first = said.partition("First answer:")[2].partition("Second answer:")[0]
    knows = number in (1, 2)
    winner = "second" if knows and f"It is {2 * number}." not in first else "first"
    text = "no idea" if number == 4 else json.dumps({"winner": winner, "why": "known"})
    return Reply(text, usage=Usage(2000, 10))


@pytest.fixture
def graded(configured, folder, scripted, run):
    """A comparison through the scripted upstream."""
    configured(pool=POOL)
    config = (folder / "openfusion.toml").read_text()
    (folder / "openfusion.toml").write_text(config.replace("cost_quality = 3", 'cost_quality = 10\nmode = "single"'))  # fmt: skip
    (folder / "cases.toml").write_text(CASES)
    fake = scripted(upstream)
    result = run(
        "compare", "--grade", "--baseline", "dear", "--cases", "cases.toml", "--json", "--out", "r.json"
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(fake.calls) == 4 * 2 + 4 * 2
    return result


def test_winners_intervals_and_money_are_those_computed_by_hand(graded):
    summary = graded.json["summary"]
    (auto, dear) = summary["contenders"]
    # A call of `cheap`: 1000 x 0.1 + 100 x 0.4 = 140 USD a million, `dear` ten times that, four of each.
    assert (auto["usd"], dear["usd"]) == (0.00056, 0.0056)
    assert (auto["models"], dear["models"]) == ({"cheap": 4}, {"dear": 4})
    # Two right of four: Wilson 15.0 to 85.0 %; 0.00056 / 2.
    assert (auto["accuracy"], dear["accuracy"]) == (0.5, 0.5)
    assert auto["accuracy_interval"] == {"low": 0.150039, "high": 0.849961}
    assert (auto["usd_per_correct"], dear["usd_per_correct"]) == (0.00028, 0.0028)
    (pair,) = summary["pairs"]
    assert {k: pair[k] for k in ("won", "lost", "tie", "unparsed", "unanswered")} == {
        "won": 1, "lost": 1, "tie": 1, "unparsed": 1, "unanswered": 0,
    }  # fmt: skip
    # One of two: Wilson 9.5 to 90.5 %. "first" once in each of the first two pairs, twice in the third: 4 of 6.
    assert (pair["win_share"], pair["win_interval"]) == (0.5, {"low": 0.094531, "high": 0.905469})
    assert pair["first_share"] == pytest.approx(4 / 6)
    # Eight rounds of 2000 x 3 + 10 x 15 = 6150 USD a million.
    assert summary["grading_usd"] == 0.0492
    assert summary["usd"] == 0.05536


def test_the_receipt_is_whole_says_no_question_and_no_key(graded, folder):
    data = (folder / "r.json").read_bytes()
    assert verify(data) == []
    assert data.decode() == graded.out
    for text in ("Question 1", "1 plus 1", "sk-relay", "It is 2", "127.0.0.1"):
        assert text not in graded.out


def test_a_dry_run_says_loudly_that_it_proves_orchestration_and_not_quality(run, folder):
    result = run("compare", "--dry-run", "--grade")
    assert result.code == 0, result.err
    assert "DRY RUN: NO MODEL IS CALLED" in result.err
    assert "**DRY RUN: no model was called and every answer is made up." in result.out
    assert "It says nothing about quality." in result.out
    (kept,) = (folder / "state" / "receipts").glob("*.json")
    assert verify(kept.read_bytes()) == []
    summary = json.loads(kept.read_bytes())["summary"]
    assert [p["won"] + p["lost"] for p in summary["pairs"]] == [0, 0, 0], "a fake has no favourite"
    assert summary["routing"]["distinct_picks"] > 1
    assert len(summary["routing"]["modes"]) > 1


def test_an_unknown_baseline_is_refused_before_any_call(run, configured, scripted):
    fake = scripted([])
    result = run("compare", "--baseline", "coder-b")
    assert (result.code, fake.calls) == (2, [])
    assert "did you mean coder-a" in result.err


def test_it_is_quick_from_a_cold_start(folder):
    """2 s are promised; measured on a quiet machine, so here the bound is wide and counts processor time."""
    code = (
        "import resource, sys; from openfusion_auto.cli.main import main\n"
        "code = main(['compare', '--dry-run'])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, file=sys.stderr); sys.exit(code)"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), cwd=folder, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert float(done.stderr.split()[-1]) < 8
    assert time.monotonic() - began < 60
