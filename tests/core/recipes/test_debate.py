"""A debate: members see each other only after they have answered, and a failed revision keeps what was there."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Answer, Tool
from openfusion_auto.core.recipes.debate import debate
from openfusion_auto.errors import UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import PANEL, decision
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
A, B, C = said("it is the lock"), said("it is the index"), said("it is the cache")
REVISE = tuple(("revision", (i,)) for i in "abc")
MEMBERS = [expect("member", i, final=False) for i in "abc"]
REVISIONS = [expect("revision", i, final=False) for i in "abc"]
CAME = [came("a", A), came("b", B), came("c", C)]
SILENT = UpstreamTimeout("silent")


def run(*script, rounds=1, prompt=PROMPT):
    steps = (*PANEL[:3], *(REVISE * rounds), *PANEL[3:])
    return play(debate(prompt, decision("panel", steps)), *script)


def test_each_member_sees_all_answers_and_which_is_its_own():
    def asked(own):
        def check(prompt):
            text = prompt.added[-1].text
            assert f"number {own} is yours" in text
            listed = json.loads(text[text.index("Answers: ") + 9 :].split("\n")[0])
            assert [row["text"] for row in listed] == [A.text, B.text, C.text]

        return check

    revisions = [expect("revision", i, prompt=asked(k + 1)) for k, i in enumerate("abc")]
    agreed = [came("a", B), came("b", B), came("c", C)]
    got = run((MEMBERS, CAME), (revisions, agreed))
    assert got.answer is B
    assert got.deliberation.aggregator == "vote"


def test_members_that_agree_at_once_do_not_debate():
    got = run((MEMBERS, [came("a", A), came("b", A), came("c", C)]))
    assert got.answer is A


def test_a_failed_revision_keeps_the_old_answer():
    new = said("it is the lock, taken twice")
    got = run(
        (MEMBERS, CAME),
        (REVISIONS, [came("a", new), broke("b", SILENT), came("c", said(""))]),
        (expect("judge", prompt=lambda p: [p.added[-1].text.index(x.text) for x in (new, B, C)]),
         broke("j", SILENT)),
    )  # fmt: skip
    assert got.answer is new


def test_all_revisions_failing_leaves_the_first_answers():
    got = run(
        (MEMBERS, CAME),
        (REVISIONS, [broke(i, SILENT) for i in "abc"]),
        (expect("judge"), broke("j", SILENT)),
    )
    assert got.answer is A


def test_all_members_failing_ends_it_without_a_round():
    got = run((MEMBERS, [broke(i, SILENT) for i in "abc"]))
    assert got.answer is None
    assert got.error.status == 502


def test_one_survivor_has_nobody_to_debate_with():
    got = run((MEMBERS, [broke("a", SILENT), came("b", B), broke("c", SILENT)]))
    assert got.answer is B


def test_only_those_that_answered_are_asked_to_revise():
    told = [came("a", A), broke("b", SILENT), came("c", C)]
    two = [expect("revision", "a"), expect("revision", "c")]
    got = run((MEMBERS, told), (two, [came("a", C), came("c", C)]))
    assert got.answer is C


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_there_are_as_many_rounds_as_planned(rounds):
    stubborn = (REVISIONS, CAME)
    got = run(
        (MEMBERS, CAME), *[stubborn] * rounds, (expect("judge"), broke("j", SILENT)), rounds=rounds
    )
    assert got.answer is A


def test_a_revised_call_is_the_members_own():
    tools = user("list it")
    object.__setattr__(tools, "tools", (Tool("run"),))

    def calling(arguments):
        return Answer("", tool_calls=(call("run", arguments),), finish="tool_calls")

    told = [came(i, calling(json.dumps({"cmd": i}))) for i in "abc"]
    final = calling('{ "cmd":"b" }')
    revised = [came("a", final), came("b", calling('{"cmd": "b"}')), came("c", said("nothing"))]
    got = run((MEMBERS, told), (REVISIONS, revised), prompt=tools)
    assert got.answer is final
