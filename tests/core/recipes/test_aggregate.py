"""From several answers to one: sides, votes, who answered like whom, and the error when nobody answered."""

from __future__ import annotations

import pytest

from openfusion_auto.core.prompt import Answer, Tool
from openfusion_auto.core.recipes import Member, Reply
from openfusion_auto.core.recipes.aggregate import aggregate, all_failed
from openfusion_auto.errors import (
    ContextTooLong,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import decision, pick
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
WORDS = [said("the lock is missing"), said("the lock is taken twice"), said("the index is stale")]


def calling(arguments='{"cmd": "ls"}', text="") -> Answer:
    return Answer(text, tool_calls=(call("run", arguments),), finish="tool_calls")


def run(told, *script, prompt=PROMPT, aggregator="auto"):
    replies = tuple(t.reply("member") for t in told)
    return play(aggregate(prompt, decision("panel", aggregator=aggregator), replies), *script)


TOOLS = user("list it")
object.__setattr__(TOOLS, "tools", (Tool("run"),))


def test_every_outcome_says_who_decided_and_what_became_of_each_member():
    got = run(
        [came("a", said("")), came("b", WORDS[0]), broke("c", UpstreamTimeout("x"))]
    ).deliberation
    assert (got.aggregator, got.best_of, got.same_as) == ("only", 1, ("b",))
    assert got.members == (
        Member("a", "set aside"),
        Member("b", "usable", 1),
        Member("c", "upstream_timeout"),
    )
    none = run([broke(i, UpstreamTimeout("x")) for i in "abc"]).deliberation
    assert (none.aggregator, none.best_of) == ("none", 0)


def test_a_vote_counts_who_says_the_same():
    got = run([came("a", said("No.")), came("b", said("Yes.")), came("c", said("**yes**"))])
    assert (got.candidate, got.deliberation.aggregator) == ("b", "vote")
    assert got.deliberation.same_as == ("b", "c")
    assert [m.votes for m in got.deliberation.members] == [1, 2, 2]


def test_a_judges_pick_names_who_answered_like_it():
    told = [came(i, w) for i, w in zip("abc", WORDS, strict=True)]
    got = run(told, (expect("judge"), came("j", pick(WORDS, WORDS[2])))).deliberation
    assert (got.aggregator, got.best_of, got.same_as) == ("ranked", 3, ("c",))


def test_the_aggregator_vote_takes_the_largest_group_without_a_majority():
    said_ = [said("a"), said("b"), said("b"), said("c"), said("d")]
    told = [came(f"m{i}", a) for i, a in enumerate(said_)]
    got = run(told, aggregator="vote")
    assert (got.candidate, got.deliberation.aggregator) == ("m1", "vote")
    assert got.notes == ("no majority: the answer of most members",)


def test_one_word_is_picked_and_never_written_anew_for_a_defect():
    told = [came("a", said("7")), came("b", said("8")), came("c", said("9"))]
    got = run(told, (expect("judge"), came("j", said('{"best": 1, "defect": "wrong"}'))))
    assert got.deliberation.aggregator == "ranked"


# -- words and calls --------------------------------------------------------------------------------------------------


def test_the_majority_that_calls_is_listened_to_and_words_do_not_count():
    one, two = calling('{"cmd": "ls"}'), calling('{"cmd": "pwd"}')
    got = run(
        [came("a", WORDS[0]), came("b", one), came("c", two)],
        (expect("judge"), came("j", said('{"best": 1}'))),
        prompt=TOOLS,
    )
    assert got.answer in (one, two)
    assert got.notes[0] == "2 of 3 members call tools: the others do not count"


def test_the_majority_that_speaks_is_listened_to_and_calls_do_not_count():
    got = run([came("a", calling()), came("b", said("yes")), came("c", said("Yes"))], prompt=TOOLS)
    assert (got.candidate, got.answer.tool_calls) == ("b", ())
    assert got.notes[0] == "2 of 3 members answer in words: the others do not count"


@pytest.mark.parametrize("first", ["calls", "words"])
def test_at_a_tie_the_best_ranked_members_side_counts(first):
    both = [calling(), WORDS[0]] if first == "calls" else [WORDS[0], calling()]
    got = run([came("a", both[0]), came("b", both[1])], prompt=TOOLS)
    assert got.answer is both[0]


def test_text_beside_a_call_goes_along_with_it():
    one = calling(text="let me see")
    got = run(
        [came("a", one), came("b", calling(text="looking")), came("c", WORDS[0])], prompt=TOOLS
    )
    assert got.answer is one


def test_who_declines_is_set_aside_while_another_answers():
    no = said("I'm sorry, but I can't help with that.")
    got = run([came("a", no), came("b", WORDS[0]), came("c", no)])
    assert got.answer is WORDS[0]
    assert run([came("a", no), came("b", no), came("c", no)]).answer is no


# -- nobody answered --------------------------------------------------------------------------------------------------


def failed(*errors):
    return tuple(Reply("member", f"m{i}", error=e) for i, e in enumerate(errors))


@pytest.mark.parametrize(
    "error",
    [UpstreamRateLimited("busy"), ContextTooLong("too long"), UpstreamRejected("no", status=400)],
)
def test_the_4xx_that_all_ended_with_is_told(error):
    same = type(error)(error.message, status=error.status)
    assert all_failed(failed(error, same)) is error


@pytest.mark.parametrize(
    "errors",
    [
        (UpstreamTimeout("x"), UpstreamTimeout("x")),
        (UpstreamBroken("x"), UpstreamBroken("x")),
        (UpstreamDenied("x"), UpstreamDenied("x")),
        (UpstreamRateLimited("x"), UpstreamTimeout("x")),
        (UpstreamRejected("x", status=400), UpstreamRejected("x", status=422)),
    ],
)
def test_anything_else_is_a_502_that_names_each(errors):
    told = all_failed(failed(*errors))
    assert type(told) is UpstreamError
    assert told.status == 502
    for i, error in enumerate(errors):
        assert f"m{i}: {error.code}" in told.message
