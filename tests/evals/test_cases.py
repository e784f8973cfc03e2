"""Cases are data: ours are right, others' are read with the line of what is wrong."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.cases import Case, Grade, load_cases, named, unique

GOOD = """
schema = 1
[[cases]]
id = "one"
prompt = "Say hello."
grade = { by = "contains", any = ["hello"] }
[[cases]]
id = "two"
messages = [ { role = "user", content = "first" }, { role = "assistant", content = "ok" }, { role = "user", content = "last" } ]
system = "Be short."
max_output_tokens = 9
"""


def test_ours_are_read_cover_the_modes_of_an_agent_and_each_kind_of_grader():
    cases = named("shipped")
    assert len({c.id for c in cases}) == len(cases) >= 8
    graders = {c.grade.by for c in cases if c.grade}
    assert graders >= {"contains", "python", "judge", "numeric", "json_schema", "regex"}
    assert any(c.tools for c in cases)
    assert {"tool", "user"} <= {t for c in cases for t in c.expect.turn}


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path):
    (tmp_path / "b.toml").write_text(GOOD)
    (tmp_path / "a.jsonl").write_text('{"id": "zero", "prompt": "x"}\n\n')
    (tmp_path / "notes.txt").write_text("none")
    assert [c.id for c in load_cases(tmp_path)] == ["zero", "one", "two"]


def test_a_case_is_a_request_without_a_model(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD)
    one, two = load_cases(tmp_path / "a.toml")
    assert one.body() == {"messages": [{"role": "user", "content": "Say hello."}]}
    assert [m["role"] for m in two.body()["messages"]] == ["system", "user", "assistant", "user"]
    assert two.body()["max_completion_tokens"] == 9
    assert (one.question(), two.question()) == ("Say hello.", "last")
    assert one.digest != two.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('schema = 1\n[[cases]]\nid = "A b"\nprompt = "x"\n', "a.toml:3"),
        ('schema = 1\n[[cases]]\nid = "a"\nprompt = "x"\nexpct = {}\n', "expect"),
        ('schema = 1\n[[cases]]\nid = "a"\n', "needs prompt or messages"),
        ('schema = 1\n[[cases]]\nid = "a"\nprompt = "x"\ngrade = { by = "exact" }\n', "needs answer"),
        ('schema = 1\n[[cases]]\nid = "a"\nprompt = "x"\ngrade = { by = "magic" }\n', "json_schema"),
        ("schema = 1\ncases = []\n", "a.toml"),
        ("schema = 2\n[[cases]]\n", "a.toml"),
        ("nonsense", "not valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said_with_its_line(tmp_path, text, says):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        load_cases(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"), [("{", "a.jsonl:1: not JSON"), ('{"id": "a"}', "a.jsonl:1"), (b"\xff", "a.jsonl:1: not UTF-8")]
)  # fmt: skip
def test_what_is_wrong_in_a_line_is_said_with_its_number(tmp_path, text, says):
    (tmp_path / "a.jsonl").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=says):
        load_cases(tmp_path / "a.jsonl")


def test_an_empty_folder_and_a_file_that_is_not_there_are_said(tmp_path):
    with pytest.raises(ConfigError, match="holds no"):
        load_cases(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_cases(tmp_path / "none.toml")


def test_an_id_stands_once():
    case = Case.model_validate({"id": "a", "prompt": "x"})
    with pytest.raises(ConfigError, match="stand twice: a"):
        unique([case, case])


@pytest.mark.parametrize("by", ["exact", "numeric", "contains", "regex", "json_schema", "python", "judge"])  # fmt: skip
def test_a_grader_needs_what_it_compares_with(by):
    with pytest.raises(ValidationError, match="needs"):
        Grade.model_validate({"by": by})


def test_a_case_may_come_from_json(tmp_path):
    line = {"id": "a", "prompt": "x", "grade": {"by": "json_schema", "schema": {"type": "object"}}}
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    (case,) = load_cases(tmp_path / "a.jsonl")
    assert case.grade.schema_ == {"type": "object"}


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"by": "regex", "pattern": "("}, "no regular expression"),
        ({"by": "json_schema", "schema": {"type": "nope"}}, "no JSON Schema"),
        ({"by": "numeric", "answer": "forty"}, "has no number"),
    ],
)
def test_a_grader_that_could_judge_nothing_is_refused_before_anything_is_asked(rules, says):
    with pytest.raises(ValidationError, match=says):
        Grade.model_validate(rules)
