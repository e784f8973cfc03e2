"""A cascade: up from the cheapest, until an answer is accepted; calls of bad form are never emitted."""

from __future__ import annotations

import json
from dataclasses import replace

from openfusion_auto.core.prompt import Answer, Tool
from openfusion_auto.core.recipes.cascade import cascade
from openfusion_auto.errors import UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import decision
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
STEPS = (
    ("primary", ("a",)), ("verify", ("v", "a")), ("escalation", ("b",)), ("verify", ("v", "a")), ("escalation", ("c",)),
)  # fmt: skip
DRAFT = said("it is the lock")
SILENT = UpstreamTimeout("silent")
YES, NO = (
    said('{"verdict": "accept", "findings": []}'),
    said(json.dumps({"verdict": "reject", "findings": ["no"]})),
)


def run(*script, prompt=PROMPT):
    return play(cascade(prompt, decision("verify", STEPS)), *script)


def test_an_accepted_answer_of_the_cheapest_is_delivered_as_it_was_written():
    got = run(
        (expect("primary", "a", final=False), came("a", DRAFT)),
        (expect("verify", "v"), came("v", YES)),
    )
    assert (got.answer, got.candidate) == (DRAFT, "a")
    assert got.notes == ("v accepted",)


def test_a_rejected_answer_moves_on_to_the_next_from_the_clients_own_prompt():
    better = said("it is the index")

    def own(prompt):
        assert prompt is PROMPT

    got = run(
        (expect("primary", prompt=own), came("a", DRAFT)),
        (expect("verify"), came("v", NO)),
        (expect("escalation", "b", final=False, prompt=own), came("b", better)),
        (expect("verify"), came("v", YES)),
    )
    assert (got.answer, got.phase) == (better, "escalation")


def test_what_the_top_says_is_delivered_without_a_check():
    top = said("")
    got = run(
        (expect("primary"), came("a", said(""))),
        (expect("escalation", "b"), came("b", said("I'm sorry, but I can't help with that."))),
        (expect("escalation", "c", final=True), came("c", top)),
    )
    assert got.answer is top
    assert got.notes == ("a was not enough: the answer is empty", "b was not enough: it declines")


def test_a_model_that_fails_is_passed_over_and_the_last_error_is_told():
    got = run(
        (expect("primary"), broke("a", SILENT)),
        (expect("escalation", "b"), broke("b", SILENT)),
        (expect("escalation", "c"), broke("c", SILENT)),
    )
    assert got.answer is None
    assert got.error is SILENT


def test_when_the_top_fails_the_best_that_came_is_kept():
    got = run(
        (expect("primary"), came("a", DRAFT)),
        (expect("verify"), came("v", NO)),
        (expect("escalation", "b"), broke("b", SILENT)),
        (expect("escalation", "c"), broke("c", SILENT)),
    )
    assert got.answer is DRAFT
    assert got.notes[-1] == "the next models failed: what a wrote was kept"


def test_a_verifier_that_fails_accepts():
    got = run((expect("primary"), came("a", DRAFT)), (expect("verify"), broke("v", SILENT)))
    assert got.answer is DRAFT


def test_a_call_of_good_form_is_accepted_and_one_of_bad_form_is_told_only_when_nobody_does_better():
    tools = replace(PROMPT, tools=(Tool("run"),))
    good, bad = Answer(tool_calls=(call("run"),)), Answer(tool_calls=(call("unknown"),))
    assert run((expect("primary"), came("a", good)), prompt=tools).answer is good
    got = run(
        (expect("primary"), came("a", bad)),
        (expect("escalation", "b"), came("b", bad)),
        (expect("escalation", "c"), broke("c", SILENT)),
        prompt=tools,
    )
    assert (got.answer, got.candidate) == (bad, "b")
    assert got.notes[-1] == "the next models failed: what b wrote was kept"
    got = run(
        (expect("primary"), came("a", said("I decline."))),
        (expect("verify"), came("v", said('{"verdict": "reject", "findings": ["no"]}'))),
        (expect("escalation", "b"), came("b", bad)),
        (expect("escalation", "c"), broke("c", SILENT)),
        prompt=tools,
    )
    assert got.candidate == "a"
