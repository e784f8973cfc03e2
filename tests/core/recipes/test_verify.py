"""Answer, check, mend at most once: and an accepted answer is the very object that came."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Tool, ToolCall
from openfusion_auto.core.recipes.prompts import VERIFY as INSTRUCTION
from openfusion_auto.core.recipes.verify import held, verify
from openfusion_auto.errors import UpstreamBroken, UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import VERIFY, decision
from tests.support.pools import call, said
from tests.support.prompts import function, user

PROMPT = user("fix it", stream=True, tools=[function("run", cmd={"type": "string"})])
DRAFT = Answer("the draft", finish="stop", raw=b'{"as": "it came"}')


def verdict(*findings: str, word: str = "reject") -> Answer:
    return said(json.dumps({"verdict": word, "findings": list(findings)}))


def run(*script, prompt=PROMPT, **more):
    return play(verify(prompt, decision("verify", **more)), *script)


def texts(prompt) -> list[tuple[str, str]]:
    return [(m.role, m.text) for m in prompt.added]


def test_an_accepted_answer_is_delivered_as_it_was_written():
    def checked(prompt):
        assert texts(prompt) == [("assistant", "the draft"), ("user", INSTRUCTION)]
        assert prompt.messages is PROMPT.messages
        assert prompt.stream is False

    got = run(
        (expect("primary", "a", "b", final=False), came("a", DRAFT)),
        (
            expect("verify", "v", "b", final=False, prompt=checked),
            came("v", verdict(word="accept")),
        ),
    )
    assert got.answer is DRAFT
    assert (got.phase, got.candidate) == ("primary", "a")
    assert got.notes == ("free checks: nothing found", "v accepted")


@given(
    st.text(min_size=1).filter(str.strip),
    st.binary(max_size=20),
    st.sampled_from(["accept", "junk", "silence"]),
)
def test_without_a_rejection_the_answer_is_never_touched(text, raw, reply):
    draft = Answer(text, raw=raw, finish="stop")
    told = {
        "accept": came("v", verdict(word="accept")),
        "junk": came("v", said("looks fine to me")),
        "silence": broke("v", UpstreamTimeout("silent")),
    }[reply]
    got = run((expect("primary"), came("a", draft)), (expect("verify"), told))
    assert got.answer is draft
    assert got.phase == "primary"


def test_a_rejected_answer_is_mended_once_with_the_findings():
    mended = said("mended")

    def asked(prompt):
        (draft, request) = texts(prompt)
        assert draft == ("assistant", "the draft")
        assert request[0] == "user"
        assert "- no test\n- wrong name" in request[1]
        assert prompt.stream is True

    got = run(
        (expect("primary"), came("b", DRAFT)),
        (expect("verify", "v"), came("v", verdict("no test", "wrong name"))),
        (expect("mend", "v", "a", final=True, prompt=asked), came("v", mended)),
    )
    assert got.answer is mended
    assert (got.phase, got.candidate) == ("mend", "v")
    assert got.notes == (
        "free checks: nothing found",
        "v rejected (2 findings)",
        "mended by v",
    )


def test_nobody_checks_itself_unless_nobody_else_can():
    accepted = came("x", verdict(word="accept"))
    run((expect("primary"), came("b", DRAFT)), (expect("verify", "v"), accepted))
    alone = (("primary", ("a",)), ("verify", ("a",)), ("mend", ("a",)))
    run((expect("primary"), came("a", DRAFT)), (expect("verify", "a"), accepted), steps=alone)


def test_a_verifier_that_fails_costs_the_check_and_never_the_answer():
    got = run(
        (expect("primary"), came("a", DRAFT)),
        (expect("verify"), broke("v", UpstreamTimeout("silent"))),
    )
    assert got.answer is DRAFT
    assert "the verifier failed: accepted unverified" in got.notes


@pytest.mark.parametrize(
    "reply", ["", "fine!", '{"verdict": "maybe"}', '["accept"]', '{"verdict": ']
)
def test_a_verdict_that_cannot_be_read_accepts_and_says_so(reply):
    got = run((expect("primary"), came("a", DRAFT)), (expect("verify"), came("v", said(reply))))
    assert got.answer is DRAFT
    assert "v gave no readable verdict: accepted unverified" in got.notes


def test_a_rejection_without_a_finding_is_none():
    got = run((expect("primary"), came("a", DRAFT)), (expect("verify"), came("v", verdict())))
    assert got.answer is DRAFT


def test_a_tool_call_of_good_form_is_accepted_without_a_verifier():
    calling = Answer(tool_calls=(call("run", '{"cmd": "ls"}'),), finish="tool_calls")
    got = run((expect("primary"), came("a", calling)))
    assert got.answer is calling
    assert got.notes == ("free checks: nothing found", "tool call: accepted by form")


def test_what_the_free_checks_find_is_mended_without_a_verifier():
    def asked(prompt):
        assert texts(prompt)[0] == ("assistant", "(no usable answer)")
        assert "- the answer is empty" in texts(prompt)[1][1]

    got = run(
        (expect("primary"), came("a", said(" "))),
        (expect("mend", "v", "a", final=True), came("v", said("now with words"))),
    )
    assert got.answer.text == "now with words"
    run(
        (expect("primary"), came("a", said(""))),
        (expect("mend", prompt=asked), came("v", said("words"))),
    )


def test_a_tool_call_of_bad_form_is_mended_with_what_is_wrong():
    strict = user("x", tools=[])
    strict = type(strict)(
        **{**{f: getattr(strict, f) for f in strict.__dataclass_fields__}, "tools": (Tool("run"),)}
    )
    bad = Answer(tool_calls=(call("run", "{oops"),), finish="tool_calls")

    def asked(prompt):
        assert "- the arguments of run are not JSON" in texts(prompt)[1][1]

    good = Answer(tool_calls=(call("run"),), finish="tool_calls")
    got = run(
        (expect("primary"), came("a", bad)),
        (expect("mend", prompt=asked), came("v", good)),
        prompt=strict,
    )
    assert got.answer is good
    assert got.notes[0] == "free checks: the arguments of run are not JSON"


def test_a_mend_that_fails_keeps_the_first_answer():
    got = run(
        (expect("primary"), came("a", DRAFT)),
        (expect("verify"), came("v", verdict("no test"))),
        (expect("mend"), broke("v", UpstreamBroken("cut"))),
    )
    assert got.answer is DRAFT
    assert (got.phase, got.candidate, got.error) == ("primary", "a", None)
    assert "the mend failed: first answer kept" in got.notes


def test_without_a_first_answer_there_is_nothing_to_check():
    error = UpstreamBroken("cut")
    got = run((expect("primary"), broke("a", error)))
    assert (got.answer, got.error, got.phase) == (None, error, "primary")


# -- calls that destroy something -------------------------------------------------------------------------------------


def destroying(arguments='{"cmd": "rm -rf src", "command": "rm -rf /srv/data"}') -> Answer:
    return Answer(tool_calls=(ToolCall("c1", "bash", arguments),), finish="tool_calls")


BASH = replace(PROMPT, tools=(Tool("bash"),))


def run_held(*script, mode="single"):
    made = replace(decision(mode, VERIFY), hold=True)
    return play((held if mode == "single" else verify)(BASH, made), *script)


@pytest.mark.parametrize("mode", ["single", "verify"])
def test_a_call_that_destroys_is_read_by_a_verifier_who_sees_it(mode):
    def asked(prompt):
        assert "rm -rf /srv/data" in prompt.added[0].text
        assert prompt.overrides["tool_choice"] == "none"

    draft = destroying()
    got = run_held(
        (expect("primary", final=False), came("a", draft)),
        (expect("verify", "v", "b", prompt=asked), came("v", verdict())),
        mode=mode,
    )
    assert got.answer is draft
    assert "held for a verifier: deletes files" in got.notes
    assert not any("rm" in note.split() for note in got.notes)


@pytest.mark.parametrize("mode", ["single", "verify"])
def test_a_call_that_the_verifier_rejects_is_answered_anew(mode):
    other = said("I would delete the data; shall I?")
    got = run_held(
        (expect("primary"), came("a", destroying())),
        (expect("verify"), came("v", verdict("nobody asked for that"))),
        (expect("mend", final=True), came("a", other)),
        mode=mode,
    )
    assert got.answer is other


def test_other_calls_and_words_are_not_held():
    harmless = destroying('{"command": "ls"}')
    assert run_held((expect("primary"), came("a", harmless))).answer is harmless
    assert run_held((expect("primary"), came("a", said("done")))).answer.text == "done"
    failed = run_held((expect("primary"), broke("a", UpstreamTimeout("x"))))
    assert failed.answer is None


def test_without_the_setting_no_call_is_held():
    draft = destroying()
    got = play(verify(BASH, decision("verify")), (expect("primary"), came("a", draft)))
    assert got.answer is draft
