"""The check script: what it runs, and that it fails when it must."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import check
from tests.check import Counts, Share, Step

ROOT = Path(__file__).resolve().parent.parent


def coverage_report(folder, files):
    rows = {
        name: {
            "summary": {
                "covered_lines": s.lines,
                "missing_lines": s.of_lines - s.lines,
                "covered_branches": s.branches,
                "missing_branches": s.of_branches - s.branches,
            }
        }
        for name, s in files.items()
    }
    (folder / "coverage.json").write_text(json.dumps({"files": rows}))


FULL = {
    "openfusion_auto/core/a.py": Share(100, 100, 50, 50),
    "openfusion_auto/wire/b.py": Share(100, 100, 50, 50),
    "openfusion_auto/server/c.py": Share(100, 100, 10, 10),
}


def test_full_coverage_has_no_problem(tmp_path):
    coverage_report(tmp_path, FULL)
    assert check.coverage_problems(check.read_coverage(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "share", "says"),
    [
        ("openfusion_auto/core/a.py", Share(100, 100, 48, 50), "core/: 96.00 %, at least 98 %"),
        ("openfusion_auto/wire/b.py", Share(97, 100, 50, 50), "wire/: 97.00 %, at least 98 %"),
        ("openfusion_auto/server/c.py", Share(60, 100, 10, 10), "package: 86.67 %, at least 93 %"),
    ],
)
def test_a_missed_bound_is_named_with_its_weakest_file(name, share, says):
    (problem,) = check.coverage_problems({**FULL, name: share})
    assert says in problem
    assert name in problem


def test_branches_count_for_themselves():
    assert Share(100, 100, 1, 2).percent == 50.0
    assert Share(1, 4, 2, 2).percent == 25.0
    assert Share(3, 3, 0, 0).percent == 100.0


def test_an_area_that_nobody_measured_is_a_problem():
    files = {"openfusion_auto/server/c.py": Share(100, 100, 10, 10)}
    problems = check.coverage_problems(files)
    assert [p.split(":")[0] for p in problems] == ["openfusion_auto/core/", "openfusion_auto/wire/"]


def test_counts_leave_out_what_failed(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<testsuites><testsuite tests="10" skipped="2" failures="1" errors="1"/></testsuites>'
    )
    (tmp_path / "b.xml").write_text('<testsuites><testsuite tests="3"/></testsuites>')
    assert check.read_counts(tmp_path) == Counts(9, 2)


def test_every_tool_is_a_step_and_the_tests_come_after_the_quick_ones(tmp_path):
    names = [s.name for s in check.steps(tmp_path)]
    assert names == ["format", "lint", "types", "imports", "tests", "coverage", "slow"]


def test_every_mark_is_run_by_one_of_the_two_test_steps():
    marks = {"slow", "packaging", "clients"}
    assert all(mark in check.SLOW and mark in check.FAST for mark in marks)
    assert check.FAST.startswith("not (")


def test_it_stops_at_the_first_failure_and_says_how_to_run_it_again(monkeypatch, capfd, tmp_path):
    good = Step("good", (check.PYTHON, "-c", "pass"))
    bad = Step("bad", (check.PYTHON, "-c", "raise SystemExit(3)"))
    after = Step("after", (check.PYTHON, "-c", f"open({str(tmp_path / 'ran')!r}, 'w')"))
    monkeypatch.setattr(check, "steps", lambda _folder: [good, bad, after])
    assert check.main([]) == 1
    last = capfd.readouterr().out.strip().splitlines()[-1]
    assert "bad failed" in last
    assert last.endswith("tests/check.py bad")
    assert not (tmp_path / "ran").exists()


def test_the_rerun_command_is_short_for_an_environment_in_the_checkout(monkeypatch):
    monkeypatch.setattr(check, "PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    assert check.rerun_of(Step("lint", ("x",))) == ".venv/bin/python tests/check.py lint"
    judged = Step("coverage", judge=lambda _folder: [])
    assert check.rerun_of(judged) == ".venv/bin/python tests/check.py tests coverage"


def test_it_ends_with_one_line_that_counts(monkeypatch, capfd):
    def steps(folder):
        xml = folder / "x.xml"
        code = f"open({str(xml)!r}, 'w').write('<testsuite tests=\"4\" skipped=\"1\"/>')"
        return [Step("made", (check.PYTHON, "-c", code))]

    monkeypatch.setattr(check, "steps", steps)
    assert check.main([]) == 0
    last = capfd.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("=== all passed: made; 3 passed, 1 skipped in ")


def test_a_judgement_that_finds_something_fails(monkeypatch, capfd):
    judged = Step("judged", judge=lambda _folder: ["too little"])
    monkeypatch.setattr(check, "steps", lambda _folder: [judged])
    assert check.main([]) == 1
    assert "too little" in capfd.readouterr().out


def test_only_the_named_steps_run(monkeypatch, capfd):
    made = [Step(n, (check.PYTHON, "-c", f"print('ran', {n!r})")) for n in ("one", "two")]
    monkeypatch.setattr(check, "steps", lambda _folder: made)
    assert check.main(["two"]) == 0
    out = capfd.readouterr().out
    assert "ran two" in out
    assert "ran one" not in out


def test_an_unknown_step_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        check.main(["lnit"])
    assert caught.value.code == 2
    assert "no such step: lnit" in capsys.readouterr().err


def test_list_names_the_steps_without_running_any(capsys):
    assert check.main(["--list"]) == 0
    assert capsys.readouterr().out.split()[0] == "format"


def test_ci_runs_exactly_the_line_of_the_readme():
    printed = subprocess.run(
        [ROOT / ".ci" / "run", "--print"], capture_output=True, text=True, check=True
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.partition("<!-- test-command -->")[2].split("```")[1]
    assert printed.stdout.strip() == block.split("\n", 1)[1].strip()
    assert "tests/check.py" in printed.stdout


def test_ci_script_is_executable_and_stops_on_errors():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "\nset -eu\n" in script.read_text(encoding="utf-8")
