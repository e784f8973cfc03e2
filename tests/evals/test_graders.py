"""What each grader calls right, wrong, and impossible to read."""

from __future__ import annotations

import pytest

from openfusion_auto.evals.cases import Grade
from openfusion_auto.evals.graders import JSON, PYTHON, code_of, grade
from openfusion_auto.evals.sandbox import Sandbox

OBJECT = {"type": "object", "required": ["n"], "properties": {"n": {"const": 1}}}


@pytest.mark.parametrize(
    ("rules", "text", "verdict"),
    [
        ({"by": "exact", "answer": "Paris"}, " paris\n", "correct"),
        ({"by": "exact", "answer": "Paris", "ignore_case": False}, "paris", "wrong"),
        ({"by": "exact", "answer": "Paris"}, "It is Paris", "wrong"),
        ({"by": "contains", "all": ["a lock", "order"]}, "A  lock\nin order", "correct"),
        ({"by": "contains", "all": ["a lock", "order"]}, "a lock", "wrong"),
        ({"by": "contains", "any": ["x", "y"]}, "why", "correct"),
        ({"by": "contains", "any": ["x", "y"]}, "no", "wrong"),
        ({"by": "contains", "none": ["sorry"]}, "Sorry, no", "wrong"),
        ({"by": "contains", "none": ["sorry"]}, "yes", "correct"),
        ({"by": "numeric", "answer": "1234.5"}, "so 3 and then 1,234.5.", "correct"),
        ({"by": "numeric", "answer": "4"}, "from 4 to 5", "wrong"),
        ({"by": "numeric", "answer": "-4"}, "it is -4", "correct"),
        ({"by": "numeric", "answer": "100", "tolerance": 0.01}, "about 100.9", "correct"),
        ({"by": "numeric", "answer": "0"}, "0.0", "correct"),
        ({"by": "numeric", "answer": "4"}, "four", "unparsed"),
        ({"by": "regex", "pattern": r"\bdef f\("}, "x\ndef f(a):", "correct"),
        ({"by": "regex", "pattern": "^done$"}, "not\nDone", "correct"),
        ({"by": "regex", "pattern": "^done$"}, "well done", "wrong"),
        ({"by": "json_schema", "schema": OBJECT}, '{"n": 1}', "correct"),
        ({"by": "json_schema", "schema": OBJECT}, 'Here:\n```json\n{"n": 1}\n```\n', "correct"),
        ({"by": "json_schema", "schema": OBJECT}, '{"n": 2}', "wrong"),
        ({"by": "json_schema", "schema": OBJECT}, "n is 1", "unparsed"),
        ({"by": "json_schema", "schema": {}}, "NaN", "unparsed"),
        ({"by": "python", "tests": "assert f() == 1"}, "def f(): return 1", "skipped"),
        ({"by": "judge", "rubric": "good"}, "anything", "skipped"),
    ],
)
def test_a_grader_judges(rules, text, verdict):
    found = grade(Grade.model_validate(rules), text, None)
    assert found.verdict == verdict, found.detail


def test_code_is_what_stands_in_fences_or_everything():
    said = "say\n```\na = 1\n```\nand\n```\nb = 2\n```\n"
    assert code_of(said, PYTHON) == "a = 1\nb = 2"
    assert code_of("a = 1", PYTHON) == "a = 1"


def test_blocks_of_other_languages_do_not_count_beside_those_that_are_asked_for():
    said = (
        "1. Write\n   ```python\n   a = 1\n   ```\n2. and run\n   ```sh\n   python a.py\n   ```\n"
    )
    assert code_of(said, PYTHON) == "a = 1"
    assert code_of(said, JSON) == "a = 1\npython a.py"
    assert code_of("```python\nnever closed", PYTHON) == "```python\nnever closed"


def test_code_is_run_where_that_is_allowed():
    rules = Grade.model_validate({"by": "python", "tests": "assert f() == 1", "timeout_s": 60})
    assert grade(rules, "```python\ndef f():\n    return 1\n```", Sandbox()).verdict == "correct"
    assert grade(rules, "def f(): return 2", Sandbox()).verdict == "wrong"
