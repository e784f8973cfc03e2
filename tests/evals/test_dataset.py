"""Recorded outcomes, read from a file: what counts, what is left out, what is refused."""

from __future__ import annotations

import gzip
import json
import math

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.dataset import MIN_TASKS, load, number_of, row_of


def task(i: int, outcomes: dict[str, object] | None = None, **more: object) -> dict[str, object]:
    usual = {"a": {"score": 1, "cost_usd": 0.5}, "b": {"score": 0, "cost_proxy_usd": 0.1}}
    return {
        "task_id": f"t{i}", "source": "s", "prompt": f"task {i}", "group": f"g{i // 2}",
        "outcomes": usual if outcomes is None else outcomes, **more,
    }  # fmt: skip


@pytest.fixture
def file(tmp_path):
    def write(tasks, *, packed=False):
        path = tmp_path / "set.jsonl"
        data = "\n".join(t if isinstance(t, str) else json.dumps(t) for t in tasks).encode() + b"\n"
        path.write_bytes(gzip.compress(data) if packed else data)
        return path

    return write


@pytest.mark.parametrize("packed", [False, True])
def test_a_set_is_read_plain_or_packed(file, packed):
    (source,) = load(file([*map(task, range(MIN_TASKS)), ""], packed=packed))
    assert (source.name, source.models, source.size) == ("s", ("a", "b"), MIN_TASKS)
    assert source.prompts[0] == "task 0"
    assert source.groups[:3] == ("g0", "g0", "g1")
    assert source.score[0].tolist() == [1, 0]
    assert source.usd[0].tolist() == [0.5, 0.1]
    assert source.billed == 0.5
    assert source.left_out == ()


def test_sources_are_kept_apart_and_sorted(file):
    mixed = [task(i, source=name) for name in ("z", "m") for i in range(MIN_TASKS)]
    assert [s.name for s in load(file(mixed))] == ["m", "z"]


def test_a_model_with_too_few_outcomes_or_no_cost_is_left_out_and_named(file):
    rows = []
    for i in range(MIN_TASKS):
        outcomes = {
            "a": {"score": 1, "cost_usd": 1},
            "b": {"score": 0, "cost_usd": 0},
            "free": {"score": 1},
        }
        if i % 2:
            outcomes["rare"] = {"score": 1, "cost_usd": 1}
        rows.append(task(i, outcomes))
    (source,) = load(file(rows))
    assert source.models == ("a", "b")
    assert source.left_out == ("rare",)


def test_an_outcome_that_is_missing_is_not_a_number(file):
    rows = [task(i) for i in range(MIN_TASKS)]
    rows[3] = task(3, {"a": {"score": 1, "cost_usd": 1}})
    (source,) = load(file(rows))
    assert math.isnan(source.score[3, 1])
    assert math.isnan(source.usd[3, 1])


def test_a_task_without_any_outcome_is_no_row(file):
    (source,) = load(file([*map(task, range(MIN_TASKS)), task(99, {})]))
    assert "task 99" not in source.prompts


def test_a_task_without_a_group_is_its_own(file):
    rows = [task(i) for i in range(MIN_TASKS)]
    del rows[0]["group"]
    del rows[1]["group"], rows[1]["task_id"]
    assert load(file(rows))[0].groups[:2] == ("t0", "set.jsonl:2")


@pytest.mark.parametrize(
    "rows", [[], [task(1)], [task(i, {"a": {"score": 1, "cost_usd": 1}}) for i in range(99)]]
)
def test_too_little_is_refused(file, rows):
    with pytest.raises(ConfigError, match="no source has 20 tasks and 2 models"):
        load(file(rows))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (task(1, source=3), "source must be a text"),
        (task(1, prompt=None), "prompt must be a text"),
        (task(1, outcomes=[]), "outcomes must be an object"),
        (task(1, {"m": {"score": 2}}), "outcomes.m.score must be a number from 0 to 1"),
        (task(1, {"m": {"score": True}}), "outcomes.m.score"),
        (task(1, {"m": 3}), "outcomes.m.score"),
    ],
)
def test_a_line_that_is_no_task_is_named_with_its_field_and_without_its_prompt(line, says):
    with pytest.raises(ConfigError, match=r"f\.jsonl:7: ") as refused:
        row_of(line, "f.jsonl:7")
    assert says in str(refused.value)
    assert "task 1" not in str(refused.value)


def test_a_negative_or_endless_cost_is_unknown():
    _, row = row_of(
        task(1, {"m": {"score": 1, "cost_usd": -1}, "n": {"score": 1, "cost_usd": 2}}),
        "f:1",
    )
    assert row.outcomes == {"n": (1.0, 2.0, True)}
    assert number_of({"x": math.inf}, "x") is None
    assert number_of({"x": 10**399}, "x") is None
    assert number_of({"x": 1e308}, "x") is None  # a mean of such is none
    assert number_of({"x": "3"}, "x") is None
    assert number_of({"x": 3}, "x") == 3.0


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none")
