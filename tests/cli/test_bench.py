"""`openfusion bench`: accuracy, money for a right answer, and worse than before is exit code 1."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.upstream.reply import Reply


@pytest.fixture
def tasks(folder):
    lines = [
        {"id": f"t{n}", "prompt": f"What is {n}?", "grade": {"by": "exact", "answer": "yes"}}
        for n in range(10)
    ]
    (folder / "tasks.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "tasks.jsonl"


def test_worse_than_an_earlier_receipt_of_the_same_tasks_fails(run, tasks, configured, scripted):
    scripted(lambda body: Reply("yes"))
    first = run("bench", tasks, "--json", "--out", "old.json")
    assert (first.code, first.json["kind"]) == (0, "bench")
    assert first.json["summary"]["contenders"][0]["accuracy"] == 1
    assert run("bench", tasks, "--fail-on-regression", "old.json").code == 0
    scripted(lambda body: Reply("no" if "What is 1?" in str(body) or "What is 2?" in str(body) or
                                "What is 3?" in str(body) else "yes"))  # fmt: skip
    worse = run("bench", tasks, "--fail-on-regression", "old.json")
    assert worse.code == 1
    assert "accuracy is 70.0%; it was 100.0%, and its interval begins at 72.2%" in worse.err


def test_an_earlier_receipt_must_be_whole(run, tasks, folder):
    (folder / "old.json").write_text("{}")
    result = run("bench", tasks, "--dry-run", "--fail-on-regression", "old.json")
    assert result.code == 2
    assert "not a whole receipt" in result.err


def test_a_dry_run_cannot_be_better_or_worse(run, tasks):
    assert run("bench", tasks, "--dry-run", "--out", "old.json").code == 0
    result = run("bench", tasks, "--dry-run", "--fail-on-regression", "old.json")
    assert result.code == 1
    assert "accuracy was not measured in both" in result.err


def test_tasks_need_a_grader(run, folder):
    (folder / "tasks.jsonl").write_text('{"id": "a", "prompt": "x"}')
    result = run("bench", "tasks.jsonl", "--dry-run")
    assert result.code == 2
    assert "no task has a grader" in result.err


def test_a_receipt_of_other_tasks_is_refused_before_anything_is_asked(run, tasks, folder):
    (folder / "other.jsonl").write_text(
        '{"id": "a", "prompt": "x", "grade": {"by": "exact", "answer": "y"}}'
    )
    assert run("bench", "other.jsonl", "--dry-run", "--out", "old.json").code == 0
    result = run("bench", tasks, "--dry-run", "--fail-on-regression", "old.json")
    assert result.code == 2
    assert "old.json: is of other tasks than tasks.jsonl" in result.err
    assert "##" not in result.out
