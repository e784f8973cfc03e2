"""Hard signals alone teach, a little, for a while, and only who was there."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import lessons
from openfusion_auto.core.decide import decide
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.lessons import (
    LEAST,
    Key,
    Tally,
    Watch,
    decayed,
    expected_of,
    folder_of,
    is_commit,
    key_of,
    lifts,
    lifts_of,
    project_of,
    signals,
    summed,
    taught,
)
from openfusion_auto.core.score import SKILL
from openfusion_auto.core.types import KINDS, Policy, State
from tests.support.pools import CODER, FOUR, REASONER, pool, task
from tests.support.prompts import chat
from tests.support.steps import EDIT, FAILS, PASSES, step

TASK = "Fix the rounding in the totals"
COUNTS = st.floats(0, 1000)
DAY_S = 86_400.0


# -- counts ----------------------------------------------------------------------------------------------------------


@given(COUNTS, COUNTS, st.floats(0, 1e8), st.floats(1, 1e7))
def test_counts_halve_with_time_and_never_grow(good, bad, age_s, half_life_s):
    old = Tally(good, bad, 100.0, 7.0)
    new = decayed(old, 100.0 + age_s, half_life_s)
    assert new.good <= good
    assert new.bad <= bad
    half = decayed(old, 100.0 + half_life_s, half_life_s)
    assert half.good == pytest.approx(good / 2)
    assert half.due == pytest.approx(3.5)
    assert decayed(old, 50.0, half_life_s) == old  # a clock that went back


@given(COUNTS, COUNTS, st.booleans(), st.floats(0.01, 0.99))
def test_a_signal_counts_one_and_what_was_expected_of_it(good, bad, is_good, expected):
    new = taught(Tally(good, bad, 0.0, 1.0), 0.0, DAY_S, good=is_good, expected=expected)
    assert (new.good, new.bad, new.due) == (good + is_good, bad + (not is_good), 1.0 + expected)
    # Kept by a version that did not count it: as if all had been such tasks.
    old = taught(Tally(good, bad, 0.0), 0.0, DAY_S, good=is_good, expected=expected)
    assert old.due == pytest.approx((good + bad + 1) * expected)


OFF = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.floats(0.1, 500), st.floats(-1, 1)), min_size=1
)


@given(OFF, st.floats(0, 0.35))
def test_lifts_are_bounded_and_begin_at_five_signals_of_all_together(off, most):
    found = lifts(off, most)
    assert bool(found) == (sum(n for n, _ in off.values()) >= LEAST)
    assert all(abs(by) <= most + 1e-9 for by in found.values())


@given(OFF, st.sampled_from("abcd"), st.floats(0.01, 1))
def test_who_does_worse_is_never_lifted_by_it_and_nobody_else_is_pushed_down(off, name, worse):
    if name not in off:
        return
    n, by = off[name]
    before, after = lifts(off, 9.0), lifts({**off, name: (n, by - worse)}, 9.0)
    for other in before:
        assert (after[other] <= before[other]) if other == name else (after[other] >= before[other])


@given(st.floats(-0.5, 0.5), st.lists(st.floats(100, 500), min_size=2, max_size=6))
def test_what_all_are_off_together_is_the_projects_doing(by, counts):
    found = lifts({str(i): (n, by) for i, n in enumerate(counts)}, 0.35)
    assert all(abs(lift) <= abs(by) / 3 for lift in found.values())


def test_outcomes_that_contradict_the_benchmarks_outweigh_them_as_they_grow():
    """One fails in 40 of 100, the other in 5, of whom the same was expected; the truth is 0.35 apart."""
    apart = []
    for n in (2, 6, 20, 60, 600):
        found = lifts({"a": (n, 0.6 - 0.75), "b": (n, 0.95 - 0.75)}, 0.35)
        apart.append(found.get("b", 0.0) - found.get("a", 0.0))
    assert apart[0] == 0.0
    assert apart == sorted(apart)
    assert apart[3] == pytest.approx(0.3, abs=0.01)
    assert apart[4] == pytest.approx(0.345, abs=0.01)


def test_who_is_given_the_easy_tasks_does_not_look_strong_by_it():
    easy, hard = task(complexity="low"), task(complexity="high")
    cheap = expected_of(FOUR, "fast-a", easy)
    dear = expected_of(FOUR, "verifier-a", hard)
    assert cheap > dear
    tallies = [
        ("fast-a", Tally(40 * cheap, 40 * (1 - cheap), due=40 * cheap)),
        ("verifier-a", Tally(40 * dear, 40 * (1 - dear), due=40 * dear)),
    ]
    assert lifts_of(tallies, FOUR, "bugfix", 0.35) == ()
    plain = dict(lifts_of([(n, replace(t, due=None)) for n, t in tallies], FOUR, "bugfix", 0.35))
    assert plain["fast-a"] > 0 > plain["verifier-a"]


def test_lifts_are_those_of_the_pools_candidates():
    known = [("coder-a", Tally(0, 20)), ("reasoner-a", Tally(0, 0)), ("gone", Tally(0, 50))]
    found = dict(lifts_of(known, FOUR, "bugfix", 0.1))
    assert found == {"coder-a": -0.1}


def test_lifts_of_two_sources_add_up():
    assert summed((("a", 0.1), ("b", 0.2)), (("b", -0.05), ("c", 0.1))) == (
        ("a", 0.1), ("b", 0.15), ("c", 0.1),
    )  # fmt: skip


@given(
    st.text("0123456789abcdef", min_size=16, max_size=16),
    st.sampled_from(KINDS),
    st.text(min_size=1),
)
def test_a_key_comes_back_whole(project, kind, candidate):
    assert key_of(str(Key(project, kind, candidate))) == Key(project, kind, candidate)


def test_a_lift_that_moves_the_pick_is_said():
    two = pool(CODER, REASONER)
    plain = decide(task(), two, State(), Policy(mode="single"))
    first, second = (s.candidate for s in plain.ranking)
    moved = decide(
        task(lifts=((first, -0.35), (second, 0.35))), two, State(), Policy(mode="single")
    )
    assert moved.ranking[0].candidate == second
    assert f"outcomes of earlier tasks put {second} before {first}" in moved.reasons
    skill = {s.candidate: s.terms[SKILL].source for s in moved.ranking}
    assert skill[second] == "pool benchmarks; +35.0 points by outcomes of earlier tasks"
    assert skill[first] == "pool benchmarks; -35.0 points by outcomes of earlier tasks"
    still = decide(task(lifts=((first, 0.05),)), two, State(), Policy(mode="single"))
    assert not [r for r in still.reasons if "earlier tasks" in r]


# -- signals ---------------------------------------------------------------------------------------------------------


SEARCH = step("bash", '{"command": "grep x"}', "exit code: 1", "s")
ASKED = [{"role": "user", "content": TASK}]
DONE = [{"role": "assistant", "content": "Done."}]


def says(text):
    return [{"role": "user", "content": text}]


def heard(messages, **watch):
    """What a conversation teaches about coder-a, as (good, bad)."""
    prompt = chat(messages)
    first = read_facts(chat(messages[:1]))
    known = Watch("p", "bugfix", "coder-a", lessons.task_name(first), 0.7, **watch)
    found = signals(prompt, read_facts(prompt), known)
    return sum(s.good for s in found), sum(not s.good for s in found)


@pytest.mark.parametrize(
    ("messages", "taught_"),
    [
        (ASKED + EDIT + FAILS, (0, 1)),
        (ASKED + FAILS, (0, 0)),  # before any edit: it failed when it came
        (ASKED + FAILS + EDIT, (0, 0)),
        (ASKED + EDIT + SEARCH, (0, 0)),
        (ASKED + EDIT + PASSES, (0, 0)),  # the task goes on
        (ASKED + SEARCH * 3, (0, 1)),  # the same error three times
        (ASKED + EDIT + PASSES + DONE + says("Now add a changelog entry for 2.0"), (1, 0)),
        (ASKED + EDIT + PASSES + DONE + says("perfect, thanks!"), (1, 0)),
        (ASKED + EDIT + PASSES + DONE + says("commit it"), (1, 0)),
        (ASKED + EDIT + PASSES + DONE + says("continue"), (0, 0)),
        (ASKED + EDIT + DONE + says("perfect, thanks!"), (0, 0)),  # nothing was run
        (ASKED + PASSES + EDIT + DONE + says("perfect, thanks!"), (0, 0)),  # not since the edit
        (ASKED + EDIT + PASSES + FAILS + DONE + says("perfect, thanks!"), (0, 0)),
        (ASKED + PASSES + DONE + says("thanks"), (0, 0)),  # nothing was edited
        (ASKED + EDIT + PASSES + DONE + says("undo that"), (0, 1)),
        (ASKED + DONE + says("That did not work. The totals are still off."), (0, 1)),
        (says("undo that"), (0, 0)),  # nobody has answered yet
    ],
)  # fmt: skip
def test_hard_signals_and_no_others_teach(messages, taught_):
    assert heard(messages) == taught_


def test_a_task_teaches_each_thing_once():
    assert heard(ASKED + EDIT + FAILS, bad=True) == (0, 0)
    assert heard(ASKED + EDIT + PASSES + DONE + says("undo that"), bad=True) == (0, 0)
    assert heard(ASKED + EDIT + PASSES + DONE + says("thanks"), good=True) == (0, 0)


def test_what_an_earlier_candidate_did_is_not_held_against_its_successor():
    assert heard(ASKED + EDIT + FAILS, done=1) == (0, 0)
    assert heard(ASKED + EDIT + FAILS + EDIT + FAILS, done=2) == (0, 1)


def test_another_tasks_run_says_nothing_about_this_one():
    prompt = chat(says("Another task altogether") + EDIT + FAILS)
    assert signals(prompt, read_facts(prompt), Watch("p", "bugfix", "coder-a", "0" * 16, 0.7)) == ()


def test_a_call_that_a_client_makes_for_itself_teaches_nothing():
    title = [
        {"role": "system", "content": "Generate a short title for this conversation."},
        *says("undo that"),
    ]
    assert heard(title) == (0, 0)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("commit", True), ("great, commit and push", True), ("LGTM", True), ("ship it!", True), ("Explain the commit", False), ("Write a commit hook", False)],
)  # fmt: skip
def test_a_commit_is_told(text, is_one):
    assert is_commit(text) is is_one


# -- the project -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "folder"),
    [
        ([{"role": "system", "content": "You are Claude Code.\n<env>\nWorking directory: /srv/app/\nIs git: Yes\n</env>"}], "/srv/app"),
        ([{"role": "user", "content": "<environment_context>\n  <cwd>/srv/app</cwd>\n</environment_context>"}], "/srv/app"),
        ([{"role": "user", "content": "<env>\n  Working directory: C:\\src\\app\n</env>"}], "C:\\src\\app"),
        ([{"role": "user", "content": "# Current Working Directory (/srv/app) Files\na.py"}], "/srv/app"),
        ([{"role": "user", "content": "I'm currently working in the directory: /srv/app\nHere is"}], "/srv/app"),
        ([{"role": "user", "content": "Keep the working directory clean"}], ""),
        ([{"role": "assistant", "content": "<cwd>/srv/app</cwd>"}], ""),
        (says("x") * 10 + says("<cwd>/late</cwd>"), ""),
    ],
)  # fmt: skip
def test_the_folder_is_the_one_that_the_client_names(messages, folder):
    assert folder_of(chat(messages).messages) == folder


def test_a_project_is_who_asks_and_where_and_names_neither():
    here = chat(says("<cwd>/srv/app</cwd>"))
    there = chat(says("<cwd>/srv/other</cwd>"))
    names = {project_of(p, who) for p in (here, there) for who in ("anna", "bob")}
    assert len(names) == 4
    assert project_of(here, "anna") == project_of(chat(says("<cwd>/srv/app/</cwd>")), "anna")
    assert all(len(n) == 16 and "srv" not in n for n in names)
