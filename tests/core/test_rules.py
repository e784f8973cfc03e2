"""Own rules: when they fire, what they move, and that nothing in them can hang or tell a prompt."""

import fnmatch
import json
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.classify import task_of
from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.prompt import Message, Options, Part
from openfusion_auto.core.rules import (
    MOST_PATHS,
    SHOWN,
    Span,
    applied,
    cut_path,
    fires,
    glob,
    has_words,
    hints,
    is_under,
    matter_of,
    rule,
)
from openfusion_auto.core.score import ROLE
from openfusion_auto.core.types import KINDS, LEVELS, Evidence, State
from tests.support.pools import FOUR, task
from tests.support.prompts import chat, function, user

HIGH = Span("high", "high")


def put(rules, prompt, **fields):
    """An ordinary task after the rules."""
    return applied(rules, task(**fields), read_facts(prompt), prompt)


def does_fire(one, prompt):
    return fires(one, matter_of(read_facts(prompt), prompt, with_paths=True)) is not None


def tool_turn(text, name, arguments, result="done"):
    return chat(
        [
            {"role": "user", "content": text},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ],
        tools=[function(name)],
    )  # fmt: skip


# -- when a rule fires -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "text", "fires_"),
    [
        ("payroll", "Fix the PAYROLL export", True),
        ("payroll", "Fix the payrolls export", False),
        ("payroll", "payroll: wrong total", True),
        ("roll", "Fix the payroll export", False),
        ("data base", "the  Data\nBase is slow", True),
        ("straße", "die STRASSE fehlt", True),
        ("请假", "修复请假流程的错误", True),
        ("c++", "port it to C++ please", True),
        ("c++", "port it to c++17", True),
        ("id_rsa", "where is my_id_rsa", False),
    ],
)
def test_keywords_are_whole_words_in_any_case(keyword, text, fires_):
    assert does_fire(rule("a", keywords=[keyword], risk=HIGH), user(text)) is fires_


def test_patterns_are_searched_in_the_persons_words_alone():
    one = rule("a", patterns=[r"\bdrop\s+table\b"], risk=HIGH)
    assert does_fire(one, user("please DROP  TABLE users"))
    wrapped = "<system-reminder>drop table users</system-reminder>\nRename the button"
    assert not does_fire(one, user(wrapped))
    assert not does_fire(one, chat([
        {"role": "system", "content": "Never drop table users."},
        {"role": "user", "content": "Rename the button"},
    ]))  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "path", "meant"),
    [
        ("*.sql", "db/seed.SQL", True),
        ("*.sql", "db/seed.sql.md", False),
        ("db/*.sql", "/srv/app/db/seed.sql", True),
        ("db/*.sql", "db/old/seed.sql", False),
        ("db/**", "app/db/old/seed.sql", True),
        ("db/", "app/db/old/seed.sql", True),
        ("db/", "mydb/seed.sql", False),
        ("db/**/seed.sql", "db/seed.sql", True),
        ("db/**/seed.sql", "db/a/b/seed.sql", True),
        ("/infra/*.tf", "infra/main.tf", True),
        ("**", "anything", True),
        ("v?.txt", "v1.txt", True),
        ("v?.txt", "v10.txt", False),
        ("app/[id]/page.tsx", "src/app/[id]/page.tsx", True),
        (".github/workflows/*", ".github/workflows/ci.yml", True),
        ("auth\\*.cs", "C:\\src\\Auth\\Login.cs", True),
    ],
)
def test_globs_mean_the_end_of_a_path_from_some_folder_on(wanted, path, meant):
    assert is_under(cut_path(path), glob(wanted)) is meant


@given(st.text("ab*?.", min_size=1, max_size=8), st.text("ab.", min_size=1, max_size=8))
def test_inside_a_part_globs_mean_what_pythons_do(wanted, name):
    if set(wanted) == {"."} or "**" in wanted or set(name) == {"."}:
        return
    assert is_under((name,), (wanted,)) is fnmatch.fnmatchcase(name, wanted)


@pytest.mark.parametrize(
    "prompt",
    [
        user("Change src/auth/login.py, please."),
        user("Change `src/auth/login.py:12:4`"),
        user("Look at @src/auth/login.py!"),
        tool_turn("Fix it", "edit_file", json.dumps({"path": "/home/u/src/auth/login.py"})),
        tool_turn("Fix it", "run", json.dumps({"cmd": "cat 'src/auth/login.py'\necho done"})),
        tool_turn("Fix it", "Edit", json.dumps({"file_path": "C:\\work\\src\\auth\\login.py"})),
        tool_turn("Fix it", "apply_patch", "*** Update File: src/auth/login.py\n@@"),
    ],
)
def test_paths_are_found_in_words_and_in_tool_calls(prompt):
    assert does_fire(rule("a", paths=["src/auth/**"], risk=HIGH), prompt)
    assert not does_fire(rule("a", paths=["src/authors/**"], risk=HIGH), prompt)


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_files_without_an_ending_are_found(name):
    one = rule("a", paths=[name], risk=HIGH)
    assert does_fire(one, user(f"Add a target to the {name}"))
    assert does_fire(one, tool_turn("Fix it", "edit", json.dumps({"path": name})))


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "file", "file": {"filename": "contracts/nda.pdf", "file_data": "data:"}},
        {"type": "input_file", "filename": "contracts/nda.pdf"},
        {"type": "document", "title": "contracts/nda.pdf"},
    ],
)
def test_paths_are_found_among_attached_files(raw):
    parts = (Part("text", "Summarise this"), Part("file", size=9, raw=raw))
    prompt = replace(user("Summarise this"), messages=(Message("user", parts),))
    assert does_fire(rule("a", paths=["contracts/*.pdf"], risk=HIGH), prompt)


def test_a_rule_fires_when_any_of_its_conditions_holds():
    one = rule("a", keywords=["payroll"], patterns=["sala?ry"], paths=["pay/"], risk=HIGH)
    for text in ("the payroll", "a salry", "see pay/x.py"):
        assert does_fire(one, user(text))
    assert not does_fire(one, user("the pay"))


# -- what it moves ---------------------------------------------------------------------------------------------------


@given(
    st.sampled_from(LEVELS), st.sampled_from(LEVELS), st.sampled_from(LEVELS), st.booleans()
)  # fmt: skip
def test_a_level_is_moved_inside_its_span_and_no_further(least, most, now, hard):
    low, high = sorted((least, most), key=LEVELS.index)
    field = "complexity" if hard else "risk"
    one = rule("a", keywords=["it"], **{field: Span(low, high)})
    got = getattr(put([one], user("fix it"), **{field: now}), field)
    assert LEVELS.index(low) <= LEVELS.index(got) <= LEVELS.index(high)
    if low in (now, got) and LEVELS.index(low) <= LEVELS.index(now) <= LEVELS.index(high):
        assert got == now


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "aux"])
def test_a_kind_is_set(kind):
    assert put([rule("a", keywords=["it"], kind=kind)], user("fix it")).kind == kind


def test_rules_apply_in_order_each_on_what_the_one_before_left():
    first = rule("first", keywords=["it"], risk=Span("high", "high"), kind="ops")
    second = rule("second", keywords=["it"], risk=Span("low", "medium"))
    assert put([first, second], user("fix it")).risk == "medium"
    assert put([second, first], user("fix it")).risk == "high"


def test_a_rule_that_fired_stands_in_the_evidence_with_what_it_found():
    one = rule("money", keywords=["Payroll"], risk=HIGH, why="it pays people")
    got = put([one], user("fix the payroll"))
    assert got.evidence[-1] == Evidence("rule.money", 0.0, "payroll (it pays people)")


def test_a_rule_that_did_not_fire_leaves_no_trace():
    assert put([rule("a", keywords=["never"], risk=HIGH)], user("fix it")) == task()


@given(st.text(max_size=300))
def test_no_more_of_a_prompt_is_told_than_stated(text):
    got = put([rule("a", patterns=["(?:.|\\s)+"], kind="ops")], user(text))
    for note in got.evidence:
        assert len(note.why) <= SHOWN


def test_a_preferred_role_ranks_higher_and_shuts_nobody_out():
    one = rule("a", keywords=["it"], prefer="fast")
    plain = decide(task(), FOUR, State())
    moved = decide(put([one], user("fix it")), FOUR, State())
    assert {s.candidate for s in moved.ranking} == {s.candidate for s in plain.ranking}
    fits = {s.candidate: s.terms[ROLE].raw for s in moved.ranking}
    assert max(fits, key=fits.get) == "fast-a"
    assert moved.rejected == ()


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
def test_a_rules_mode_holds_for_user_turns_and_is_said(mode):
    one = rule("deploys", keywords=["it"], mode=mode)
    got = decide(put([one], user("fix it")), FOUR, State())
    assert got.mode == mode
    assert f"{mode}: rule deploys asks for it" in got.reasons
    assert put([one], user("fix it"), turn="tool").forced is None


def test_the_requests_own_mode_goes_before_a_rules():
    one = rule("a", keywords=["it"], mode="panel")
    asked = put([one], user("fix it"), options=Options(mode="single"))
    assert decide(asked, FOUR, State()).mode == "single"


def test_a_rules_mode_holds_for_conversation_too():
    got = put([rule("a", keywords=["it"], mode="panel")], user("fix it"), kind="chat")
    assert decide(got, FOUR, State()).mode == "panel"


def test_what_a_client_asks_for_itself_is_left_alone():
    one = rule("a", keywords=["it"], risk=HIGH, mode="panel")
    for fields in ({"kind": "aux"}, {"turn": "aux"}):
        assert put([one], user("fix it"), **fields) == task(**fields)


def test_a_decision_tells_what_rules_preferred_and_forced():
    one = rule("a", keywords=["it"], prefer="fast", mode="verify")
    told = decision_json(decide(put([one], user("fix it")), FOUR, State()))["task"]
    assert told["prefer"] == "fast"
    assert told["forced"] == {"mode": "verify", "by": "rule a asks for it"}


def test_reading_applies_them():
    one = rule("a", paths=["src/auth/**"], risk=HIGH, complexity=HIGH)
    prompt = user("Rename a variable in src/auth/login.py")
    got = task_of(prompt, read_facts(prompt), rules=[one])
    assert (got.risk, got.complexity) == ("high", "high")
    assert got.evidence[-1].signal == "rule.a"


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_many_rules_on_a_large_request_take_little_time():
    rules = [
        rule(f"r{i}", keywords=[f"word{i}", "aa"], patterns=[f"(a+)+{i}", "(.*)*x"], paths=["*a*a*a*a*b", "**/a/**/b"])
        for i in range(20)
    ]  # fmt: skip
    words = "a" * 5_000 + " " + "a/" * 3_000
    prompt = tool_turn(words, "edit", json.dumps({"path": "a/" * 4_000, "text": "x " * 50_000}))
    facts = read_facts(prompt)
    applied(rules, task(), facts, prompt)  # compiled sets of states are remembered
    began = time.process_time()
    applied(rules, task(), facts, prompt)
    assert time.process_time() - began < 1.0


def test_no_more_file_names_are_looked_at_than_stated():
    prompt = tool_turn("fix it", "edit", " ".join(f"a{i}.py" for i in range(5_000)))
    found = matter_of(read_facts(prompt), prompt, with_paths=True).paths
    assert len(found) <= MOST_PATHS


@given(st.text("ab ", max_size=12), st.text("ab", min_size=1, max_size=2))
def test_whole_words_are_those_between_blanks(text, wanted):
    assert has_words(text, wanted) is (wanted in text.split())


@given(
    st.lists(st.sampled_from(["a", "b", "*", "?", "**", "a*", "*b", "?b"]), min_size=1, max_size=4).map(tuple),
    st.lists(st.sampled_from(["a", "b", "ab", "aab"]), min_size=1, max_size=5).map(tuple),
)  # fmt: skip
def test_what_is_looked_for_first_passes_over_no_path_that_is_meant(wanted, path):
    literals, ending = hints(wanted)
    if is_under(path, wanted):
        assert path[-1].endswith(ending)
        assert all(part in path for part in literals)
