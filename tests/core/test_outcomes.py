"""What tools came to, and when a model is stuck."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.outcomes import (
    FAILED_EDITS,
    FAILED_TRIES,
    OUTCOMES,
    STRUGGLE_RUN,
    Outcome,
    read_outcome,
    struggle_of,
    tried,
    what_it_does,
)
from tests.support.prompts import chat
from tests.support.steps import step

TASK = "Convert the 60 class components to hooks."


@pytest.mark.parametrize(
    "text",
    [
        "Process exited with code 1\nno output",
        "Exit code: 127",
        '{"exit_code":2,"output":""}',
        "Traceback (most recent call last):\n  File x\nKeyError: 'a'",
        "Error: file not found",
        "bash: foo: command not found",
        "==== 3 failed, 4 passed in 2.1s ====",
        "<tool_use_error>File has not been read yet</tool_use_error>",
        "fatal: not a git repository",
        '{"is_error": true, "text": "denied"}',
        "HTTP status: 404",
    ],
)
def test_failures_are_seen(text):
    found = read_outcome("bash", text)
    assert not found.ok
    assert len(found.fingerprint) == 8


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "Process exited with code 0\nerror handling tests passed",
        "def handle_error():\n    raise KeyError",
        "1\timport errors\n2\tclass NotFound(Exception): ...",
        "12 passed, 0 failed",
        "The file src/error.py was updated.",
        "HTTP status: 204",
        "x" * 10_000,
    ],
)
def test_results_that_only_talk_of_errors_went_well(text):
    assert read_outcome("bash", text) == Outcome("bash", ok=True)


def test_fingerprints_leave_numbers_and_addresses_out():
    one = read_outcome("t", "Error: line 12 at 0xff12: bad token")
    other = read_outcome("t", "Error: line 99 at 0xab00: bad token")
    third = read_outcome("t", "Error: permission denied")
    assert one == other
    assert one.fingerprint != third.fingerprint


def loop(*steps: tuple[str, str, str]) -> Facts:
    """The facts of a loop of steps: tool, its command or "", what came of it."""
    talk = [{"role": "user", "content": TASK}]
    for i, (name, command, text) in enumerate(steps):
        talk += step(name, json.dumps({"command": command}), text, str(i))
    return read_facts(chat(talk))


def edits(*texts: str) -> Facts:
    return loop(*(("edit", "", text) for text in texts))


def test_the_same_error_three_times_in_a_row_is_struggling():
    assert edits(*["Error: no match"] * STRUGGLE_RUN).struggle == "the same error 3 times"
    assert edits("ok", *["Error: no match"] * STRUGGLE_RUN).struggle == "the same error 3 times"


@pytest.mark.parametrize(
    "texts",
    [
        ["Error: no match"] * (STRUGGLE_RUN - 1),
        ["Error: no match", "Error: no match", "Error: permission denied"],
        ["Error: no match", "ok", "Error: no match"],
        ["Error: no match"] * 3 + ["ok"],
        ["ok"] * 5,
    ],
)
def test_other_runs_are_not(texts):
    assert edits(*texts).struggle == ""


def test_a_result_without_its_call_has_no_name():
    alone = {"role": "tool", "tool_call_id": "c9", "content": "Error: x"}
    talk = chat([{"role": "user", "content": TASK}, alone]).messages
    assert [o.tool for o in tried(talk, 0)] == [""]


@given(
    st.lists(
        st.builds(Outcome, st.just("u"), st.booleans(), st.sampled_from(["", "a", "b"])), max_size=6
    )
)
def test_what_went_well_before_changes_nothing(outcomes):
    told = tuple(outcomes)
    assert struggle_of((Outcome("t", ok=True), *told)) == struggle_of(told)


FINE, BAD = Outcome("edit", ok=True), Outcome("bash", ok=False, fingerprint="a")
OTHER = Outcome("bash", ok=False, fingerprint="b")


@pytest.mark.parametrize(
    ("outcomes", "stuck"),
    [
        ((FINE, BAD, FINE, BAD), True),
        ((FINE, BAD, FINE, OTHER), True),
        ((OTHER, FINE, BAD, FINE, BAD), True),
        ((Outcome("apply_patch", ok=True), BAD, Outcome("Write", ok=True), BAD), True),
        ((FINE, BAD, FINE), False),
        ((FINE, BAD), False),
        ((FINE, BAD, FINE, Outcome("bash", ok=True)), False),
        ((FINE, Outcome("bash", ok=True), FINE, BAD), False),
        ((Outcome("edit", ok=False), BAD, FINE, BAD), False),
        ((Outcome("read", ok=True), BAD, Outcome("read", ok=True), BAD), False),
        ((FINE, Outcome("edit", ok=False), FINE, Outcome("edit", ok=False)), False),
        ((), False),
    ],
)
def test_edits_that_are_each_followed_by_a_failing_run_are_struggling(outcomes, stuck):
    assert struggle_of(outcomes) == (f"it still fails after {FAILED_EDITS} edits" if stuck else "")


def test_a_result_that_its_client_calls_failed_did():
    assert not read_outcome("t", "no such luck", failed=True).ok
    assert read_outcome("t", "no such luck", failed=True).fingerprint


def test_fewer_failures_than_before_are_another_error():
    def ran(n: int) -> Outcome:
        return read_outcome(
            "bash", f"FAILED tests/test_a.py::test_z\n==== {n} failed, 4 passed ===="
        )

    assert ran(3) == ran(3)
    assert ran(3) != ran(2)


@pytest.mark.parametrize(
    ("name", "command", "does"),
    [("edit", "", "edit"), ("bash", "pytest -q", "check"), ("bash", "ls", ""), ("read", "", "")],
)
def test_what_a_call_does(name, command, does):
    assert what_it_does(name, json.dumps({"command": command})) == does


READ, CHANGE = ("read", "", "1 def f():"), ("edit", "", "done")
WRONG = ("bash", "pytest", "E   assert 3 == 2\n1 failed\nexit code: 1")
OTHERS = tuple(("bash", "pytest", f"E   assert {w} == 2\n1 failed\nexit code: 1") for w in "abc")
RIGHT, NOTHING = ("bash", "pytest", "5 passed"), ("bash", "grep x", "exit code: 1")


@pytest.mark.parametrize(
    ("steps", "stuck"),
    [
        ([WRONG, READ, CHANGE, WRONG, READ, CHANGE, CHANGE, WRONG], "the same error 3 times"),
        ([CHANGE, WRONG, READ, NOTHING, WRONG, READ, WRONG], "the same error 3 times"),
        ([READ, CHANGE, OTHERS[0], READ, CHANGE, OTHERS[1], READ, CHANGE, OTHERS[0]], "it still fails after 3 edits"),
        ([READ, CHANGE, OTHERS[0], READ, CHANGE, OTHERS[1], READ, CHANGE, OTHERS[2]], ""),
        ([WRONG, READ, CHANGE, WRONG, READ, CHANGE, WRONG, READ], ""),
        ([WRONG, CHANGE, RIGHT, READ, CHANGE, READ, WRONG, READ, WRONG], ""),
        ([WRONG, READ, CHANGE, WRONG], ""),
        ([NOTHING, READ, NOTHING, READ, NOTHING, READ], ""),
    ],
)  # fmt: skip
def test_looking_around_between_two_tries_changes_nothing(steps, stuck):
    assert FAILED_TRIES == STRUGGLE_RUN == 3
    assert loop(*steps).struggle == stuck


@given(st.lists(st.sampled_from([READ, CHANGE, WRONG, *OTHERS, RIGHT]), max_size=12), st.data())
def test_reading_more_files_moves_no_verdict(steps, data):
    # The rule of edits in a row is about those with nothing between them.
    found = loop(*steps).struggle
    places = data.draw(st.lists(st.integers(0, max(0, len(steps) - 1)), max_size=3))
    more = list(steps)
    for place in sorted(places, reverse=True):
        more.insert(place, READ)
    after = loop(*more).struggle
    assert after == found or found == f"it still fails after {FAILED_EDITS} edits"


def test_only_the_newest_are_looked_at_and_fewer_where_they_went_well():
    assert edits(*["ok"] * 40).outcomes == (Outcome("edit", ok=True, does="edit"),)
    assert len(loop(*[CHANGE] * 40, NOTHING).outcomes) == OUTCOMES
    # One that went well ends the row of failures: nothing before it matters.
    assert len(edits(*["ok"] * 40, "Error: no match").outcomes) == 2 * FAILED_EDITS


def test_of_calls_made_together_the_failing_one_counts_as_the_newest():
    call = {"role": "assistant", "content": None, "tool_calls": [
        {"id": f"c{i}", "type": "function", "function": {"name": n, "arguments": "{}"}}
        for i, n in enumerate(("edit", "read"))
    ]}  # fmt: skip
    results = [
        {"role": "tool", "tool_call_id": f"c{i}", "content": text}
        for i, text in enumerate(("Error: no match", "fine"))
    ]
    talk = chat([{"role": "user", "content": TASK}, *[call, *results] * 3]).messages
    assert struggle_of(tried(talk, 0)) == "the same error 3 times"


@pytest.mark.parametrize(("answers", "stuck"), [(1, ""), (2, ""), (3, "the same error 3 times")])
def test_what_one_answer_called_together_is_one_try(answers, stuck):
    places = [f"c{i}" for i in range(3)]
    calls = [
        {"id": i, "type": "function", "function": {"name": "read", "arguments": "{}"}}
        for i in places
    ]
    results = [
        {"role": "tool", "tool_call_id": i, "content": "Error: no such file"} for i in places
    ]
    answer = {"role": "assistant", "content": None, "tool_calls": calls}
    facts = read_facts(chat([{"role": "user", "content": TASK}, *[answer, *results] * answers]))
    assert facts.struggle == stuck
    assert len(facts.outcomes) == answers


@pytest.mark.parametrize(
    "name", ["TodoWrite", "todowrite", "write_todos", "write_stdin", "write_memory"]
)
def test_what_writes_no_file_is_no_edit(name):
    assert what_it_does(name, "{}") == ""
    note, fails = (
        step(name, "{}", "done", "n"),
        step("bash", '{"command": "pytest"}', "exit code: 1", "f"),
    )
    other = step("bash", '{"command": "pytest"}', "exit code: 2\nError: no such test", "g")
    talk = chat([{"role": "user", "content": TASK}, *note, *fails, *note, *other])
    assert read_facts(talk).struggle == ""


@pytest.mark.parametrize(
    "command", ["grep -rn {} .", "cd src && rg {}", "ls {}", "git diff --exit-code {}"]
)
def test_looking_for_one_thing_after_another_is_no_try(command):
    looks = [("bash", command.format(name), "Exit code 1") for name in ("a", "b", "c")]
    assert what_it_does("bash", json.dumps({"command": looks[0][1]})) == "look"
    assert loop(*looks).struggle == ""
    assert loop(*[looks[0]] * 3).struggle == "the same error 3 times"
    assert loop(CHANGE, looks[0], CHANGE, looks[0]).struggle == ""


@pytest.mark.parametrize(
    "command", ["pytest | grep failed", "./deploy && cat log", "catalogue --all", "python find.py"]
)
def test_what_does_more_than_look_is_no_look(command):
    assert what_it_does("bash", json.dumps({"command": command})) != "look"
