"""What was done in a conversation: which calls edit, which run checks, where a person spoke."""

import pytest

from openfusion_auto.core.history import (
    MOST_DOINGS,
    Doing,
    doings,
    is_check,
    is_edit,
    spoken,
)
from tests.support.prompts import chat
from tests.support.steps import step


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edit_file", "{}"), ("Write", "{}"), ("MultiEdit", "{}"), ("str_replace", "{}"), ("apply_patch", "*** Begin"),
        ("shell", '{"command": ["apply_patch", "*** Begin Patch"]}'), ("bash", '{"command": "sed -i s/a/b/ x.py"}'),
    ],
)  # fmt: skip
def test_edits_are_told(name, arguments):
    assert is_edit(name, arguments)


@pytest.mark.parametrize(
    "command",
    [
        "pytest -q", "cd app && python -m pytest tests", "python3.12 -m unittest", "npm test", "npm run test:unit",
        "pnpm lint", "cargo test --all", "go vet ./...", "make", "./gradlew build", "node run.mjs", "python check.py",
        "uv run pytest", "bundle exec rspec", "tsc --noEmit", "bash -lc 'ruff check .'", "CI=1 pytest", ".venv/bin/pytest", "set -e\\nmake test",
    ],
)  # fmt: skip
def test_runs_of_tests_and_builds_are_told(command):
    assert is_check("Bash", f'{{"command": "{command}"}}')


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("bash", "grep -rn pytest ."), ("bash", "echo make"), ("bash", "which node"), ("bash", "cat tests/test_a.py"), ("bash", "ls"), ("bash", "git commit -m test"),
        ("read_file", "pytest"), ("bash", "rm -rf build"), ("bash", "gofmt -l ."), ("bash", "cat Makefile"),
    ],
)  # fmt: skip
def test_other_commands_say_nothing(name, command):
    assert not is_check(name, f'{{"command": "{command}"}}')


def messages(*said):
    return chat(list(said)).messages


def test_calls_are_told_with_what_came_of_them():
    talk = messages(
        {"role": "user", "content": "Fix it"},
        *step("edit", "{}", "done", "a"),
        *step("bash", '{"command": "pytest"}', "1 failed\nexit code: 1", "b"),
        *step("bash", '{"command": "ls"}', "x.py", "c"),
    )
    assert doings(talk, 1, len(talk)) == (
        Doing(edit=True, run=False, ok=True),
        Doing(edit=False, run=True, ok=False),
        Doing(edit=False, run=False, ok=True),
    )


def test_aider_edits_in_its_answers_and_comes_back_with_what_failed():
    talk = messages(
        {"role": "user", "content": "Fix it"},
        {"role": "assistant", "content": "a.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n"},
        {
            "role": "user",
            "content": "I ran this command:\n\npytest\n\nAnd got this output:\n\n1 failed",
        },
    )
    assert doings(talk, 1, 3) == (
        Doing(edit=True, run=False, ok=True),
        Doing(edit=False, run=True, ok=False),
    )
    assert spoken(talk, 3) == 0


def test_a_person_spoke_last_where_neither_a_tool_nor_a_harness_did():
    talk = messages(
        {"role": "user", "content": "Fix it"},
        *step("edit", "{}", "done"),
        {"role": "user", "content": "<system-reminder>Be brief.</system-reminder>"},
    )
    assert spoken(talk, len(talk)) == 0
    assert spoken(talk, 0) == -1


def test_of_very_much_the_newest_is_looked_at():
    many = [m for i in range(MOST_DOINGS + 20) for m in step("bash", "ls", "x", f"c{i}")]
    talk = messages({"role": "user", "content": "Fix it"}, *many, *step("edit", "{}", "done", "z"))
    found = doings(talk, 1, len(talk))
    assert len(found) == MOST_DOINGS
    assert found[-1].edit
