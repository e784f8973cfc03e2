"""`openfusion replay` as people run it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from openfusion_auto.cli.replay import command
from openfusion_auto.config.experience import load_experience
from openfusion_auto.errors import ConfigError
from tests.evals.recorded import EASY, HARD, coarsen, lines, source, write


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    coarsen(monkeypatch)


@pytest.fixture
def dataset(tmp_path):
    return write(source(40), tmp_path / "made.jsonl.gz")


def run(*args):
    return CliRunner().invoke(command, [str(a) for a in args], catch_exceptions=False)


def test_the_table_names_front_policies_and_check(dataset):
    result = run(dataset, "--check", "0.8", "0.95")
    assert result.exit_code == 0
    shown = result.stdout
    for words in (
        "made  40 tasks, 3 models",
        "front of single models",
        "auto with a check",
        "oracle",
    ):
        assert words in shown
    assert "finds 80% of wrong answers, accepts 95% of right ones" in shown
    assert result.stderr == "made: 40 tasks, 3 models\n"


def test_json_alone_stands_on_stdout_and_a_bar_where_a_person_looks(dataset, monkeypatch):
    monkeypatch.setattr("openfusion_auto.cli.progress.is_watched", lambda: True)
    done = run(dataset, "--json")
    shown = json.loads(done.stdout)
    assert shown["dataset"] == "made.jsonl.gz"
    assert shown["sources"][0]["source"] == "made"
    assert shown["plots"] == []
    assert "1/11  auto" in done.stderr
    assert "[####################] 11/11  oracle" in done.stderr
    assert done.stderr.endswith("\r\x1b[K")


def test_models_that_cost_nothing_are_compared_without_a_share_of_the_strongests_bill(tmp_path):
    made = source(40)
    free = write(replace(made, usd=made.usd * 0.0), tmp_path / "free.jsonl")
    told = json.loads(run(free, "--json").stdout)
    points = [p for policy in told["sources"][0]["policies"] for p in policy["points"]]
    assert {p["share_of_strongest"] for p in points} == {None}
    assert {p["usd"] for p in points} == {0.0}
    shown = run(free).stdout
    assert "nan" not in shown
    assert json.loads(run(free, "--modes", "--json").stdout)["dataset"] == "free.jsonl"


def test_plots_are_written_where_asked(dataset, tmp_path):
    folder = tmp_path / "plots"
    shown = json.loads(run(dataset, "--json", "--plot", folder).stdout)
    assert {p.rpartition(".")[2] for p in shown["plots"]} == {"svg", "png"}
    assert (folder / "made.svg").read_text(encoding="utf-8").startswith("<svg")


def test_a_model_can_be_left_out_and_a_source_picked(dataset):
    shown = json.loads(run(dataset, "--json", "--without", "idle", "--source", "made").stdout)
    (one,) = shown["sources"]
    assert one["models"] == ["cheap", "strong"]
    assert one["left_out"] == ["idle"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--source", "nowhere"), "no source nowhere; there are: made"),
        (("--without", "nobody"), "no model nobody"),
        (("--without", "idle", "--without", "strong"), "no source has two of these models"),
        (("--pool", "default"), "no source has two of these models"),
    ],
)
def test_what_is_not_there_is_said(dataset, args, says):
    with pytest.raises(ConfigError, match=says):
        run(dataset, *args)


def test_what_the_outcomes_teach_can_be_kept_and_is_read_again(dataset, tmp_path):
    kept = tmp_path / "made.npz"
    result = run(dataset, "--json", "--save-experience", kept)
    assert "kept what 40 tasks of made teach" in result.stderr
    found = load_experience(kept)
    assert (found.source, found.experience.tasks) == ("made", 40)
    assert found.experience.of(EASY).ease > found.experience.of(HARD).ease


def test_an_experience_is_of_one_source(tmp_path):
    both = tmp_path / "both.jsonl"
    both.write_text("\n".join([*lines(source(40)), *lines(source(40, name="other"))]) + "\n")
    with pytest.raises(ConfigError, match=r"pick one with --source \(made, other\)"):
        run(both, "--save-experience", tmp_path / "no.npz")


def test_modes_are_compared_at_three_prices_of_a_wrong_answer(dataset):
    shown = run(dataset, "--modes").stdout
    for words in ("low risk: a wrong answer costs 0.2 USD; auto took single", "always panel"):
        assert words in shown
    found = json.loads(run(dataset, "--modes", "--json").stdout)
    assert found["object"] == "openfusion.replay_modes"
    assert [r["risk"] for r in found["overall"]] == ["low", "medium", "high"]
    (one,) = found["sources"]
    assert one["risks"] == found["overall"]
    rows = {r["policy"]: r for r in one["risks"][2]["rows"]}
    assert rows["auto"]["ahead"] == 0
    assert rows["always panel"]["usd"] > rows["always single"]["usd"]
    assert "deadlock" not in json.dumps(found)


def test_modes_of_several_sources_are_counted_together(tmp_path):
    both = tmp_path / "both.jsonl"
    both.write_text("\n".join([*lines(source(20)), *lines(source(20, name="other"))]) + "\n")
    assert "all 2 sources, each counting the same" in run(both, "--modes").stdout
