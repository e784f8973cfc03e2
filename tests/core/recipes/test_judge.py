"""A judge favours places: the order is drawn, turned round where that pays, and what two orders disagree on is a tie."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer
from openfusion_auto.core.recipes import Looks
from openfusion_auto.core.recipes.aggregate import aggregate
from openfusion_auto.core.recipes.judge import seed_of, shuffled
from openfusion_auto.errors import UpstreamError, UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import PANEL, decision, in_sight, pick
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
ONE, TWO, THREE = said("answer one"), said("answer two"), said("answer three")
PAIR = [came("a", ONE), came("b", TWO)]
TWICE = (*PANEL[:3], PANEL[3], *PANEL[3:])
BOTH = [expect("judge", "j", "a", final=False)] * 2


def run(told, *script, steps=TWICE, always=False, aggregator="auto"):
    made = replace(decision("panel", steps, aggregator=aggregator), twice=always)
    return play(aggregate(PROMPT, made, tuple(t.reply("member") for t in told)), *script)


def looks(answers, first, second, defects=(None, None)):
    """What a judge says at both looks."""
    return [
        came("j", pick(answers, first, defects[0])),
        came("j", pick(answers, second, defects[1], turned=True)),
    ]


def test_of_two_answers_the_judge_sees_both_orders_and_agreement_is_a_pick():
    got = run(PAIR, (BOTH, looks([ONE, TWO], TWO, TWO)))
    assert (got.answer, got.notes) == (TWO, ("j picked b in both orders",))
    judged = got.deliberation.judged
    assert got.deliberation.aggregator == "ranked"
    assert (judged.outcome, judged.picks) == ("agreed", (2, 2))
    first, second = judged.orders
    assert second == first[::-1]
    assert sorted(first) == [1, 2]


def test_a_judge_that_favours_a_place_prefers_nobody_and_rank_settles_the_tie():
    always_first = [came("j", said('{"best": 1, "defect": "it lies"}'))] * 2
    got = run(PAIR, (BOTH, always_first))
    assert (got.answer, got.deliberation.aggregator) == (ONE, "rank")
    assert got.deliberation.judged.outcome == "tie"
    assert set(got.deliberation.judged.picks) == {1, 2}
    assert got.notes[0].endswith("in the other: a tie; the better-ranked is a")
    # Nothing is written anew for a defect of an answer that the judge could not tell from another.
    assert len(got.notes) == 1


def test_a_tie_goes_to_what_more_members_say_before_rank():
    told = [came("a", ONE), came("b", TWO), came("c", said("Answer two."))]
    answers = [ONE, TWO, told[2].answer]
    many = [*told, came("d", THREE), came("e", said("four")), came("f", said("five"))]
    answers += [m.answer for m in many[3:]]
    got = run(many, (BOTH, looks(answers, ONE, TWO)), always=True)
    assert got.answer is TWO
    assert got.notes[0].endswith("a tie; more members agree with b")


def test_two_picks_that_say_the_same_agree():
    told = [
        came("a", TWO),
        came("b", said("**Answer two**")),
        came("c", ONE),
        came("d", said("Answer one.")),
    ]
    answers = [t.answer for t in told]
    got = run(told, (BOTH, looks(answers, answers[2], answers[3])))
    assert (got.candidate, got.deliberation.judged.outcome) == ("c", "agreed")


def test_three_that_all_differ_are_judged_once_unless_always():
    told = [*PAIR, came("c", THREE)]
    script = (expect("judge"), came("j", pick([ONE, TWO, THREE], TWO)))
    once = run(told, script)
    assert (once.answer, once.notes) == (TWO, ("j picked b",))
    assert len(once.deliberation.judged.orders) == 1
    assert once.deliberation.judged.outcome == "once"
    always = run(told, (BOTH, looks([ONE, TWO, THREE], THREE, THREE)), always=True)
    assert (always.answer, always.notes) == (THREE, ("j picked c in both orders",))


def test_a_tied_vote_is_judged_in_both_orders():
    told = [
        came("a", ONE),
        came("b", TWO),
        came("c", said("answer one.")),
        came("d", said("Answer two")),
    ]
    answers = [t.answer for t in told]
    assert run(told, (BOTH, looks(answers, TWO, TWO))).answer is TWO


def test_two_that_are_left_of_three_are_judged_in_both_orders():
    told = [broke("a", UpstreamTimeout("x")), came("b", TWO), came("c", THREE)]
    got = run(told, (BOTH, looks([TWO, THREE], THREE, THREE)))
    assert (got.answer, got.deliberation.judged.picks) == (THREE, (3, 3))


def test_a_plan_with_one_look_judges_once():
    got = run(PAIR, (expect("judge"), came("j", pick([ONE, TWO], TWO))), steps=PANEL, always=True)
    assert got.answer is TWO


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize(
    "how", [broke("j", UpstreamError("gone")), came("j", said("both are nice"))]
)
def test_one_verdict_of_two_counts_alone_and_is_said_to(lost, how):
    told = looks([ONE, TWO], TWO, TWO, ("it lies", "it lies"))
    told[lost] = how
    got = run(PAIR, (BOTH, told), aggregator="ranked")
    assert got.answer is TWO
    assert got.notes == ("j picked b in one order; no verdict came of the other",)
    judged = got.deliberation.judged
    assert (judged.outcome, judged.picks[lost], judged.picks[1 - lost]) == ("once", None, 2)


def test_without_any_verdict_the_best_ranked_is_delivered():
    got = run(PAIR, (BOTH, [broke("j", UpstreamError("gone"))] * 2))
    assert (got.answer, got.deliberation.aggregator) == (ONE, "rank")
    assert (got.deliberation.judged.outcome, got.deliberation.judged.picks) == (
        "none",
        (None, None),
    )


@pytest.mark.parametrize("defects", [("it lies", None), (None, "it lies")])
def test_a_defect_that_one_look_names_in_the_agreed_answer_has_it_written_anew(defects):
    written = said("answer two, mended")
    seen = {}

    def asked(prompt):
        seen["text"] = prompt.added[-1].text

    got = run(
        PAIR,
        (BOTH, looks([ONE, TWO], TWO, TWO, defects)),
        (expect("synthesis", prompt=asked), came("b", written)),
    )
    assert got.answer is written
    assert f"Number {in_sight([ONE, TWO]).index(TWO) + 1} was judged best" in seen["text"]
    assert "it lies" in seen["text"]


def test_answers_that_are_calls_are_drawn_by_their_calls():
    def calling(i):
        return Answer("", tool_calls=(call("run", json.dumps({"n": i})),), finish="tool_calls")

    firsts = set()
    for i in range(20):
        side = [("a", calling(i)), ("b", calling(i + 100))]
        firsts.add(shuffled(side, seed_of(side))[0])
    assert firsts == {0, 1}


@given(st.lists(st.text(), min_size=2, max_size=5, unique=True), st.randoms(use_true_random=False))
def test_the_order_is_drawn_from_the_answers_and_not_from_their_rank(said_, random):
    side = [(f"m{i}", said(t)) for i, t in enumerate(said_)]
    mixed = list(side)
    random.shuffle(mixed)
    assert seed_of(side) == seed_of(mixed)
    drawn, again = (
        [ranked[i] for i in shuffled(ranked, seed_of(ranked))] for ranked in (side, mixed)
    )
    assert drawn == again


def test_every_answer_stands_first_about_as_often():
    firsts = [
        shuffled(side, seed_of(side))[0]
        for i in range(300)
        if (side := [(m, said(f"{m} {i}")) for m in "abc"])
    ]
    assert min(firsts.count(i) for i in range(3)) > 70


def test_what_is_kept_of_judging_can_be_drawn_again():
    got = run(PAIR, (BOTH, looks([ONE, TWO], ONE, ONE)))
    judged: Looks = got.deliberation.judged
    side = [("a", ONE), ("b", TWO)]
    assert judged.seed == seed_of(side)
    assert judged.orders[0] == tuple(i + 1 for i in shuffled(side, judged.seed))
