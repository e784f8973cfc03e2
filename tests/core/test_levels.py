"""Risk and complexity: sums of signals, cut into levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.classify import classify
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.levels import (
    COMPLEX_HIGH,
    LONGEST,
    WEAK_MOST,
    count_files,
    read_complexity,
    read_risk,
)
from openfusion_auto.core.types import KINDS
from openfusion_auto.core.wording import find_hits, tokenise
from tests.support.prompts import user


def levels(text: str, kind: str | None = None) -> tuple[str, str]:
    facts = read_facts(user(text))
    if kind is None:
        verdict = classify(facts)
        return verdict.risk, verdict.complexity
    words = tokenise(facts.words)
    hits = find_hits(words, facts.words.lower())
    return read_risk(facts, kind, words, hits)[0], read_complexity(facts, kind, words, hits)[0]


SCARY = "the production payment passwords and encryption keys of all customers"


@pytest.mark.parametrize("kind", ["test", "docs", "explain", "chat"])
def test_text_tests_and_talk_cost_nothing_whatever_they_mention(kind):
    assert levels(SCARY, kind)[0] == "low"


@pytest.mark.parametrize("kind", ["bugfix", "feature", "refactor", "review", "ops"])
def test_dangerous_fields_are_high_for_work_that_ships(kind):
    assert levels(SCARY, kind)[0] == "high"


@pytest.mark.parametrize(
    "text",
    [
        'Add a colour theme called "Kill Switch" to the editor: black background.',
        "Rename `password_field_label` to `pwd_label`; it is only the caption text.",
        "The tooltip on the 'Delete account' button has a typo, fix it.",
        "Fix the heading of the payment page, wrong spelling.",
        "Fix the css of the login footer.",
        "Add a confetti effect to my hangman game with the secret word.",
    ],
)
def test_scary_words_in_trivial_edits_stay_low(text):
    assert levels(text)[0] == "low"


def test_running_something_on_a_live_system_is_high_and_locally_low():
    assert levels("Restart the production web servers.")[0] == "high"
    assert levels("Run the test suite.")[0] == "low"
    assert levels("Show the running processes.", "ops")[0] == "low"


def test_ordinary_shipped_behaviour_is_medium():
    assert (
        levels("The export button in the orders view does nothing. Fix it.", "bugfix")[0]
        == "medium"
    )


def test_code_under_review_speaks_for_itself():
    risky = "Review this before we ship it:\n\nfunction auth(req) {\n  return jwt.decode(req.password);\n}"
    plain = "Review this before we ship it:\n\nfunction max(req) {\n  return Math.max(req.a);\n}"
    assert levels(risky)[0] == "high"
    assert levels(plain)[0] == "medium"


def test_a_tiny_diff_is_one_place():
    assert levels("Can you review this?\n\n-  const m = 'Helo';\n+  const m = 'Hello';") == (
        "low",
        "low",
    )


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Rename the variable d to duration.", "low"),
        ("Fix the typo in line 3.", "low"),
        (
            "Add a sliding-window rate limit per key to the gateway, with Redis and a fallback.",
            "medium",
        ),
        (
            "Only under load, about 1 in 300 runs a message is lost. Find out why and fix it.",
            "high",
        ),
        ("Implement a lock-free MPMC queue.", "high"),
        ("Migrate the frontend to Vue 3. 140 components.", "high"),
        ("Convert the parser, about 9k lines.", "high"),
    ],
)
def test_complexity_follows_places_thought_and_unknowns(text, level):
    assert levels(text)[1] == level


def test_counts_are_read_as_digits_words_and_lines():
    base = "Change the greeting in {} to the new name"
    assert levels(base.format("140 files"), "refactor")[1] == "high"
    assert levels(base.format("a hundred files"), "refactor")[1] == "high"
    assert levels(base.format("2,000 lines"), "refactor")[1] != "high"
    assert levels(base.format("9k lines"), "refactor")[1] == "high"
    assert levels(base.format("1.2.3 files"), "refactor")[1] != "high"
    assert levels(base.format("300 ms"), "refactor")[1] != "high"


def test_a_short_trace_names_the_place():
    trace = 'Traceback (most recent call last):\n  File "a.py", line 41, in render\nValueError: x'
    assert levels(f"Please fix:\n\n{trace}")[1] == "low"


def test_explaining_code_takes_thought_and_a_definition_does_not():
    assert levels("Explain what this does step by step:\n\ndef f(n):\n    return n")[1] == "medium"
    assert levels("What is a closure?")[1] == "low"


def test_a_plain_command_is_one_step():
    assert levels("Bump axios to the latest 1.x.")[1] == "low"


def test_files_are_counted_once_each():
    assert count_files("a.py b.ts a.py run.() 1.5 etc") == 2
    assert count_files("x" * 100_000 + ".py") <= 1


def test_several_files_are_several_places():
    def points(text: str) -> dict[str, float]:
        facts = read_facts(user(text))
        notes = read_complexity(facts, "bugfix", tokenise(facts.words), {})[1]
        return {n.signal: n.points for n in notes}

    one = points("Change the retry in a.py so that it waits")
    assert one["complexity.one file"] < 0
    three = points("Change the retry in a.py, b.py and c.py so that it waits")
    assert three["complexity.files"] > 0
    assert "complexity.one file" not in three


@given(st.integers(0, 60), st.sampled_from(KINDS))
def test_length_alone_never_makes_a_task_hard(times, kind):
    text = "and then it moves along the way as before " * times
    facts = read_facts(user(text))
    words = tokenise(facts.words)
    level, notes = read_complexity(facts, kind, words, {})
    assert level != "high"
    assert sum(n.points for n in notes if n.signal == "complexity.length") <= LONGEST


def test_ordinary_parts_add_up_to_a_limit():
    assert WEAK_MOST < COMPLEX_HIGH
    text = (
        "Build a settings screen: an API endpoint, pagination, caching, a form with several fields, validation, retry, timeouts, "
        "error handling, a toggle, export, import, and a guide for the users of the backend service in both pages of the module."
    )
    assert levels(text, "feature")[1] == "medium"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_levels(kind):
    risk, complexity = levels("Please look into the thing", kind)
    assert {risk, complexity} <= {"low", "medium", "high"}
