"""The answers as text: made-up ones first of all say so, and money is never nothing when it is not known."""

from openfusion_auto.mcp import telling
from openfusion_auto.mcp.shapes import (
    Attempt,
    Call,
    Decision,
    Deliberated,
    Explained,
    Finding,
    Member,
    Money,
    Opinion,
    Ranked,
    Rejected,
    Routed,
    Task,
    Who,
)


def test_a_deliberation_is_framed_as_the_words_of_others_with_money_and_members():
    told = Deliberated(
        answer="Use a mutex.",
        mode="panel",
        answered_by=Who(candidate="a", model="v/a"),
        decided_by="vote",
        members=[Member(candidate="a", outcome="usable", votes=2), Member(candidate="b", outcome="timeout")],
        analysis={"blind_spots": ["nobody\nmeasured"], "contradictions": [{"topic": "t", "stances": ["x"]}]},
        money=Money(usd=0.0123, calls=[Call(), Call()]),
        trace_id="tr_1",
        router="here",
    )  # fmt: skip
    lines = telling.deliberated(told).splitlines()
    assert lines[:3] == [telling.FOREIGN, "", "Use a mutex."]
    assert "members: a (usable, 2 votes), b (timeout)" in lines
    assert "blind spots: nobody measured" in lines
    assert "contradictions: topic t; stances x" in lines
    assert lines[-1] == "cost: $0.0123 (2 calls); trace tr_1; here"


def test_a_dry_run_is_said_before_anything_else():
    for told, text in (
        (Deliberated(dry_run=True), telling.deliberated),
        (Opinion(dry_run=True), telling.opinion),
        (Explained(dry_run=True), telling.explained),
    ):
        said = text(told)
        assert said.startswith("DRY RUN: NO MODEL WAS CALLED")
        assert "nothing spent" in said


def test_no_panel_and_no_end_are_said():
    said = telling.deliberated(Deliberated(mode="single", why="too dear", truncated=True))
    assert "no panel sat: too dear" in said
    assert "the answer is cut off" in said


def test_an_opinion_says_whether_it_is_independent():
    told = Opinion(
        verdict="disagree", findings=[Finding(severity="blocker", what="w", where="l. 3")]
    )
    assert "author not known" in telling.opinion(told)
    assert "- blocker: w [l. 3]" in telling.opinion(told)
    told.independent = True
    assert "not the author" in telling.opinion(told)


def test_a_decision_names_pick_price_and_losers():
    told = Routed(
        mode="single",
        pick=Who(candidate="a"),
        expected_usd=0.5,
        reasons=["cheap"],
        task=Task(kind="bugfix", risk="low", complexity="high"),
        ranking=[Ranked(candidate="a", total=0.9), Ranked(candidate="b", why_not="dear")],
        ranked=5,
        rejected=[Rejected(candidate="c", rule="no_key"), Rejected(candidate="d", rule="no_key")],
        router="here",
    )
    assert telling.routed(told).splitlines() == [
        "single with a; $0.5000 expected, cost not known at worst",
        "task: bugfix, low risk, high complexity",
        "reason: cheap",
        "- a 0.900, cost not known",
        "- b -, cost not known: dear",
        "and 3 more",
        "rejected, no_key: c, d",
        "decided by here",
    ]
    assert telling.decision(Decision())[0].startswith("nobody can serve this")


def test_an_explanation_lists_the_calls():
    told = Explained(
        attempts=[Attempt(phase="primary", candidate="a", status="ok", ms=12.4)],
        decision=Decision(),
    )
    assert "- primary a: ok, 12 ms" in telling.explained(told)
    assert "no call" in telling.explained(Explained())


def test_a_small_sum_is_not_told_as_none():
    assert telling.dollars(0.0000002) == "$0.00000020"
    assert telling.dollars(0.0) == "$0.0000"
    assert telling.dollars(None) == "cost not known"
