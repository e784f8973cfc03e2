"""What is asked for."""

from __future__ import annotations

import pytest

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.kinds import is_question, read_kind
from openfusion_auto.core.wording import find_hits, tokenise
from tests.support.prompts import user


def kind_of(text: str) -> str:
    facts = read_facts(user(text))
    words = tokenise(facts.words)
    return read_kind(facts, words, find_hits(words, facts.words.lower()))[0]


def test_the_instruction_decides_over_the_nouns_around_it():
    assert kind_of("Fix the parser for release notes") == "bugfix"
    assert kind_of("Rename the test helper") == "refactor"
    assert kind_of("Explain the fix in the deploy script") == "explain"


def test_the_object_decides_for_verbs_that_fit_everything():
    assert kind_of("Add unit tests for the parser") == "test"
    assert kind_of("Add a docstring to parse()") == "docs"
    assert kind_of("Add a docker-compose file") == "ops"
    assert kind_of("Add a search box") == "feature"


def test_a_forbidden_verb_is_no_instruction():
    assert kind_of("Explain the trace, don't fix anything") == "explain"


def test_a_verb_told_of_somebody_is_no_instruction():
    assert kind_of("We run six workers. Fix the double entry in the log.") == "bugfix"


def test_a_noun_at_the_beginning_is_no_instruction():
    assert kind_of("Cache is stale after deploys, entries are wrong.") == "bugfix"


def test_a_statement_followed_by_make_it_describes_a_defect():
    assert kind_of("The comparator returns a boolean. Make it return a number.") == "bugfix"


def test_use_instead_is_a_restructuring():
    assert kind_of("Use a dataclass instead of the tuple in geometry.py.") == "refactor"


def test_a_judgement_on_code_is_a_review_and_on_eggs_a_question():
    assert kind_of("Is `a.sort()` ok here?") == "review"
    assert kind_of("Is it safe to eat raw eggs?") == "explain"


def test_a_diff_speaks_for_the_review_that_was_asked():
    assert kind_of("Can you check this?\n\n-  const a = 1;\n+  const a = 2;") == "review"


def test_a_trace_speaks_for_a_defect_unless_it_is_to_be_explained():
    trace = '\n\nTraceback (most recent call last):\n  File "a.py", line 1, in f'
    assert kind_of("I get this when I start it" + trace) == "bugfix"
    assert kind_of("What does this mean?" + trace) == "explain"


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "thanks a lot!",
        "do you like rust?",
        "We survived the production outage, time for a beer!",
    ],
)
def test_small_talk_asks_for_nothing(text):
    assert kind_of(text) == "chat"


def test_a_greeting_before_a_task_is_no_small_talk():
    assert kind_of("Hi! Please fix the crash in the importer.") == "bugfix"


def test_a_long_text_is_no_small_talk():
    assert (
        kind_of("thanks, " + "the importer reads rows and writes them into the table " * 3)
        != "chat"
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("blorb?", "explain"),
        ("blorb", "chat"),
        ("blorb fnord.py", "feature"),
        ("blorb " * 12, "feature"),
    ],
)
def test_without_any_signal_the_form_decides(text, kind):
    assert kind_of(text) == kind


@pytest.mark.parametrize(
    ("mark", "kind"),
    [("code", "review"), ("diff", "review"), ("log", "explain"), ("trace", "bugfix")],
)
def test_a_paste_without_words_is_judged_by_its_kind(mark, kind):
    facts = Facts(turn="user", marks=frozenset({mark}))
    words = tokenise("")
    assert read_kind(facts, words, {})[0] == kind


def test_no_words_and_no_paste_is_small_talk():
    assert read_kind(Facts(turn="user"), tokenise(""), {})[0] == "chat"


def test_the_evidence_adds_up_to_more_than_any_other_kind_has():
    facts = read_facts(user("Fix the crash"))
    words = tokenise(facts.words)
    kind, evidence = read_kind(facts, words, find_hits(words, facts.words))
    assert kind == "bugfix"
    assert all(e.signal.startswith("kind.bugfix.") for e in evidence)
    assert sum(e.points for e in evidence) > 4


@pytest.mark.parametrize("text", ["why?", 'why?"', "为什么？", "لماذا؟ ", "(really?)"])
def test_questions_end_with_a_mark_of_any_script(text):
    assert is_question(text)
    assert not is_question(text + " fix it")
