"""A panel picks, degrades and rarely writes anew; the calls it emits are one member's, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.patience import GRACE_S, QUORUM
from openfusion_auto.core.prompt import Answer, Tool, ToolCall
from openfusion_auto.core.recipes import Gather
from openfusion_auto.core.recipes.panel import panel
from openfusion_auto.errors import UpstreamError, UpstreamRateLimited, UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import decision, pick
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
MEMBERS = [expect("member", i, final=False) for i in "abc"]
ONE, TWO, THREE = said("answer one"), said("answer two"), said("answer three")
TOOLS = replace(PROMPT, tools=(Tool("run"), Tool("read")))


def calling(*calls: ToolCall, text: str = "") -> Answer:
    return Answer(text, tool_calls=calls, finish="tool_calls")


def run(told, *script, prompt=PROMPT, aggregator="auto", steps=None):
    return play(
        panel(prompt, decision("panel", steps, aggregator=aggregator)), (MEMBERS, told), *script
    )


THREE_CAME = [came("a", ONE), came("b", TWO), came("c", THREE)]


def test_members_are_asked_at_once_each_alone_with_the_clients_own_prompt():
    step = next(panel(PROMPT, decision("panel")))
    assert isinstance(step, Gather)
    assert (step.quorum, step.grace_s) == (QUORUM, GRACE_S[1])
    assert all(ask.prompt is PROMPT for ask in step.asks)
    two = (("member", ("a",)), ("judge", ("a",)), ("synthesis", ("a",)))
    assert next(panel(PROMPT, decision("panel", two))).quorum == 1


def test_the_judges_pick_is_delivered_as_it_was_written():
    def asked(prompt):
        assert prompt.messages is PROMPT.messages
        assert all(a.text in prompt.added[-1].text for a in (ONE, TWO, THREE))

    got = run(
        THREE_CAME,
        (
            expect("judge", "j", "a", final=False, prompt=asked),
            came("j", pick([ONE, TWO, THREE], TWO)),
        ),
    )
    assert got.answer is TWO
    assert (got.phase, got.candidate) == ("member", "b")
    assert got.notes == ("j picked b",)


@pytest.mark.parametrize("best", [ONE, TWO, THREE])
def test_the_pick_names_the_answer_that_the_judge_saw_under_that_number(best):
    seen = {}

    def asked(prompt):
        text = prompt.added[-1].text
        listed = json.loads(text[text.index("Answers: ") + 9 :].split("\n")[0])
        seen.update({row["text"]: row["number"] for row in listed})

    recipe = panel(PROMPT, decision("panel"))
    recipe.send(None)
    judge = recipe.send(tuple(t.reply("member") for t in THREE_CAME))
    asked(judge.prompt)
    with pytest.raises(StopIteration) as end:
        recipe.send((came("j", said(json.dumps({"best": seen[best.text]}))).reply("judge"),))
    assert end.value.value.answer is best


@pytest.mark.parametrize(
    "reply", ["", "the second", '{"best": 0}', '{"best": 4}', '{"best": true}', '{"best": "2"}']
)
def test_a_judge_that_cannot_be_read_leaves_the_best_ranked(reply):
    got = run(THREE_CAME, (expect("judge"), came("j", said(reply))))
    assert got.answer is ONE
    assert got.notes == ("the judge failed: the best-ranked member's answer",)


def test_a_judge_that_fails_leaves_the_best_ranked():
    got = run(THREE_CAME, (expect("judge"), broke("j", UpstreamTimeout("silent"))))
    assert (got.answer, got.candidate) == (ONE, "a")


# -- degrading --------------------------------------------------------------------------------------------------------


def test_one_survivor_is_taken_as_it_is_and_the_others_are_noted():
    got = run(
        [
            broke("a", UpstreamTimeout("silent")),
            came("b", TWO),
            broke("c", UpstreamRateLimited("busy")),
        ]
    )
    assert got.answer is TWO
    assert got.notes == (
        "a: upstream_timeout",
        "c: rate_limit_exceeded",
        "one usable answer: taken as it is",
    )


def test_an_answer_of_bad_form_is_no_survivor_beside_a_good_one():
    got = run([came("a", said("")), came("b", TWO), came("c", Answer("cut", finish="length"))])
    assert got.answer is TWO


def test_text_of_bad_form_is_better_than_nothing():
    cut = Answer("cut off he", finish="length")
    got = run([came("a", said("")), came("b", cut), broke("c", UpstreamTimeout("silent"))])
    assert got.answer is cut


BAD = calling(call("not_offered"))


def test_when_no_members_call_can_be_run_the_best_ranked_is_asked_again_with_what_is_wrong():
    good, seen = calling(call("run")), []
    got = run(
        [broke("a", UpstreamTimeout("silent")), came("b", BAD), came("c", BAD)],
        (
            expect("mend", "b", "c", final=True, prompt=seen.append),
            came("b", good),
        ),
        prompt=TOOLS,
    )
    assert (got.answer, got.phase, got.candidate) == (good, "mend", "b")
    assert (got.deliberation.aggregator, got.deliberation.best_of) == ("mend", 0)
    assert "the tool 'not_offered' was not offered" in seen[0].added[-1].text
    assert got.notes[-2:] == (
        "no member's calls fit (b: the tool 'not_offered' was not offered)",
        "written again by b",
    )


@pytest.mark.parametrize("aggregator", ["auto", "judge", "ranked", "vote"])
def test_when_that_fails_too_the_call_is_passed_on_as_one_models_would_be(aggregator):
    got = run(
        [came("a", BAD), came("b", BAD), came("c", said(""))],
        (expect("mend", "a", "b"), broke("b", UpstreamTimeout("silent"))),
        prompt=TOOLS,
        aggregator=aggregator,
    )
    assert (got.answer, got.phase, got.candidate, got.error) == (BAD, "member", "a", None)
    assert got.notes[-1] == "asked again in vain: what a wrote is passed on as it is"


def test_empty_answers_alone_are_the_error():
    got = run([came("a", said("")), came("b", said(" ")), came("c", said(""))])
    assert got.answer is None
    assert "a: no usable answer" in got.error.message


def test_without_any_answer_the_common_error_is_the_outcome():
    first = UpstreamRateLimited("busy", retry_after_s=7.0)
    got = run([broke("a", first), *(broke(i, UpstreamRateLimited("busy")) for i in "bc")])
    assert got.answer is None
    assert got.error is first


def test_without_any_answer_mixed_errors_are_listed():
    got = run(
        [
            broke("a", UpstreamTimeout("x")),
            broke("b", UpstreamRateLimited("x")),
            came("c", said("")),
        ]
    )
    assert type(got.error) is UpstreamError
    for part in ("a: upstream_timeout", "b: rate_limit_exceeded", "c: no usable answer"):
        assert part in got.error.message


# -- agreement --------------------------------------------------------------------------------------------------------


def test_a_majority_for_the_same_call_needs_no_judge():
    same = '{"cmd": "ls", "all": true}'
    other_order = '{ "all":true, "cmd":"ls" }'
    told = [
        came("a", calling(call("read", "{}"))),
        came("b", calling(call("run", same, "b1"), text="let me see")),
        came("c", calling(call("run", other_order, "c1"))),
    ]
    got = run(told, prompt=TOOLS)
    assert got.candidate == "b"
    assert got.answer.tool_calls[0].arguments == same
    assert got.notes == ("members agree",)


def test_a_majority_for_the_same_text_needs_no_judge():
    got = run([came("a", said("Yes.")), came("b", said("No.")), came("c", said(" Yes.\n"))])
    assert got.candidate == "a"


def test_half_is_no_majority():
    told = [came("a", ONE), came("b", TWO), broke("c", UpstreamTimeout("x"))]
    got = run(told, (expect("judge"), came("j", pick([ONE, TWO], TWO))))
    assert got.answer is TWO


def test_a_vote_without_a_majority_takes_the_best_ranked_and_asks_no_judge():
    got = run(THREE_CAME, aggregator="vote")
    assert got.answer is ONE
    assert got.notes == ("no majority: the best-ranked member's answer",)


# -- synthesis --------------------------------------------------------------------------------------------------------


def test_a_named_defect_is_written_out_by_the_member_that_was_picked():
    written = said("the best of both")

    def asked(prompt):
        text = prompt.added[-1].text
        assert '"misses the lock, see 2"' in text
        assert prompt.stream is PROMPT.stream

    got = run(
        THREE_CAME,
        (expect("judge"), came("j", pick([ONE, TWO, THREE], THREE, "misses the lock, see 2"))),
        (expect("synthesis", "c", "a", "b", "j", final=True, prompt=asked), came("c", written)),
    )
    assert got.answer is written
    assert (got.phase, got.candidate) == ("synthesis", "c")
    assert got.notes[-1] == "written anew by c for a named defect"


def test_the_aggregator_judge_writes_anew_without_a_defect():
    got = run(
        THREE_CAME,
        (expect("judge"), came("j", pick([ONE, TWO, THREE], ONE))),
        (expect("synthesis", "a", "b", "c", "j", final=True), came("a", said("new"))),
        aggregator="judge",
    )
    assert got.notes[-1] == "written anew by a"


def test_the_aggregator_ranked_never_writes_anew():
    got = run(
        THREE_CAME,
        (expect("judge"), came("j", pick([ONE, TWO, THREE], TWO, "a defect"))),
        aggregator="ranked",
    )
    assert got.answer is TWO


def test_a_synthesis_that_fails_keeps_the_pick():
    got = run(
        THREE_CAME,
        (expect("judge"), came("j", pick([ONE, TWO, THREE], TWO, "a defect"))),
        (expect("synthesis"), broke("b", UpstreamTimeout("x"))),
    )
    assert got.answer is TWO
    assert got.notes[-1] == "the synthesis failed: the pick was kept"


def test_who_writes_anew_over_offered_tools_may_not_call_them():
    def asked(prompt):
        assert prompt.overrides["tool_choice"] == "none"

    run(
        THREE_CAME,
        (expect("judge"), came("j", pick([ONE, TWO, THREE], TWO, "a defect"))),
        (expect("synthesis", prompt=asked), came("b", said("new"))),
        prompt=TOOLS,
    )


@pytest.mark.parametrize("prompt", [replace(PROMPT, shape="json_object"), replace(PROMPT, n=2)])
@pytest.mark.parametrize("aggregator", ["auto", "judge"])
def test_a_demanded_form_or_several_choices_are_never_written_anew(prompt, aggregator):
    answers = [said('{"k": 1}'), said('{"k": 2}'), said('{"k": 3}')]
    told = [came(i, a) for i, a in zip("abc", answers, strict=True)]
    got = run(
        told, (expect("judge"), came("j", pick(answers, answers[1], "a defect"))),
        prompt=prompt, aggregator=aggregator,
    )  # fmt: skip
    assert got.answer is answers[1]


# -- calls, byte for byte ---------------------------------------------------------------------------------------------

arguments = st.dictionaries(
    st.text(max_size=5), st.text(max_size=5) | st.integers(), max_size=3
).flatmap(
    lambda d: st.sampled_from(
        [json.dumps(d), json.dumps(d, indent=1), json.dumps(d, ensure_ascii=False)]
    )
)
calls = st.builds(
    ToolCall,
    st.text(max_size=6),
    st.sampled_from(["run", "read", "unknown"]),
    arguments | st.text(max_size=6),
)
answers = st.builds(
    Answer,
    text=st.text(max_size=8),
    tool_calls=st.just(()) | st.lists(calls, max_size=3).map(tuple),
    finish=st.sampled_from(["stop", "tool_calls", "length"]),
)


@given(
    st.lists(st.none() | answers, min_size=3, max_size=3),
    st.integers(-1, 4),
    st.none() | st.text(max_size=6),
    st.sampled_from(["auto", "judge", "ranked", "vote"]),
)
def test_emitted_calls_are_those_of_one_member_byte_for_byte(members, best, defect, aggregator):
    recipe = panel(TOOLS, decision("panel", aggregator=aggregator))
    recipe.send(None)
    told = tuple(
        (came(i, m) if m else broke(i, UpstreamTimeout("x"))).reply("member")
        for i, m in zip("abc", members, strict=True)
    )
    asked = []
    try:
        step = recipe.send(told)
        while True:
            asked.append(step.phase)
            assert step.phase != "synthesis" or step.prompt.overrides["tool_choice"] == "none"
            words = {"best": best, "defect": defect} if step.phase == "judge" else "anew"
            step = recipe.send((came("j", said(json.dumps(words))).reply(step.phase),))
    except StopIteration as end:
        outcome = end.value
    assert asked in ([], ["judge"], ["judge", "synthesis"], ["mend"])
    if outcome.answer is None:
        assert outcome.error is not None
    elif outcome.phase == "member":
        assert any(outcome.answer is m for m in members)
        if not outcome.answer.tool_calls:
            return
        emitted = [(c.name, c.arguments) for c in outcome.answer.tool_calls]
        assert emitted in [[(c.name, c.arguments) for c in m.tool_calls] for m in members if m]
    else:
        assert not outcome.answer.tool_calls
        assert outcome.phase == asked[-1]
