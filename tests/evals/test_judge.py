"""A model as grader: blind, in both orders, and a fake one has no favourite."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.types import Policy
from openfusion_auto.evals import judge
from openfusion_auto.evals.cases import Case
from openfusion_auto.evals.contenders import contender, contenders
from openfusion_auto.evals.runner import How, Purse, run_all
from openfusion_auto.evals.summary import versus
from openfusion_auto.upstream.reply import Reply
from tests.evals.samples import POOL
from tests.support.rig import Rig

CASES = tuple(
    Case.model_validate({"id": f"c{i}", "prompt": f"Explain point {i} of the plan."})
    for i in range(8)
)


async def graded(says, *, answers=lambda model: f"by {model}", dry_run=False, cases=CASES):
    """The judged pairs of Auto against the strongest; `says` makes the grader's reply from its prompt."""
    prompts = []

    def script(body):
        text = str(body["messages"][-1]["content"])
        if "First answer:" in text:
            prompts.append(text)
            return Reply(says(text))
        return Reply(answers(body["model"]))

    rig = Rig(None if dry_run else script, pool=POOL, policy=Policy(mode="single", cost_quality=10))
    rig.engine.dry_run = dry_run
    runs = await run_all(rig.engine, cases, contenders(("strongest",), POOL, {}), How())
    grader = judge.Grader(rig.engine, contender("reasoner-a", POOL, {}))
    return await judge.compared(grader, runs, 2), prompts


def first_of(text):
    return text.partition("First answer:")[2].partition("Second answer:")[0]


async def test_a_grader_that_knows_finds_the_better_answer_in_both_orders():
    def says(text):
        right = "first" if "verifier-a" in first_of(text) else "second"
        return json.dumps({"winner": right, "why": "it is right"})

    found, prompts = await graded(says)
    assert {p["outcome"] for p in found["pairs"]} == {"lost"}
    assert len(prompts) == 2 * len(CASES)
    assert versus("strongest", found["pairs"])["win_share"] == 0


@pytest.mark.parametrize("always", ["first", "second"])
async def test_a_grader_that_goes_by_the_place_prefers_nobody(always):
    found, _ = await graded(lambda _: json.dumps({"winner": always}))
    assert {p["outcome"] for p in found["pairs"]} == {"tie"}
    assert versus("strongest", found["pairs"])["first_share"] == (always == "first")


async def test_the_fake_of_a_dry_run_has_no_favourite():
    found, _ = await graded(None, dry_run=True)
    assert {p["outcome"] for p in found["pairs"]} == {"tie"}
    assert found["usd"] == 0


async def test_each_pair_is_asked_in_both_orders_and_which_is_first_is_by_chance():
    found, _ = await graded(lambda _: '{"winner": "tie"}')
    orders = [[r["own"] for r in p["rounds"]] for p in found["pairs"]]
    assert all(sorted(o) == ["first", "second"] for o in orders)
    assert len({o[0] for o in orders}) == 2
    again, _ = await graded(lambda _: '{"winner": "tie"}')
    assert orders == [[r["own"] for r in p["rounds"]] for p in again["pairs"]]


async def test_it_is_blind_to_names_and_prices():
    _, prompts = await graded(lambda _: '{"winner": "tie"}', answers=lambda _: "The same words.")
    assert prompts
    for text in prompts:
        for name in ("auto", "strongest", "verifier-a", "fast-a", "vendor/", "openfusion", "usd"):
            assert name not in text.lower()


async def test_what_cannot_be_read_is_counted_and_its_money_too():
    found, _ = await graded(lambda _: "The first one, I think.")
    assert {p["outcome"] for p in found["pairs"]} == {"unparsed"}
    assert found["usd"] == pytest.approx(sum(r["usd"] for p in found["pairs"] for r in p["rounds"]))
    assert found["usd"] > 0


async def test_nothing_is_judged_once_the_purse_is_empty():
    rig = Rig(lambda body: Reply("ok"), pool=POOL, policy=Policy(mode="single"))
    case = Case.model_validate({"id": "c", "prompt": "Go.", "grade": {"by": "judge", "rubric": "x"}})  # fmt: skip
    runs = await run_all(rig.engine, (case,), contenders(("strongest",), POOL, {}), How())
    grader = judge.Grader(rig.engine, contender("reasoner-a", POOL, {}), purse=Purse(0.1, 0.1))
    before = len(rig.upstream.calls)
    (pair,) = (await judge.compared(grader, runs, 1))["pairs"]
    assert pair["outcome"] == "not_judged"
    assert (await judge.checked(grader, runs[0])).record["grade"]["verdict"] == "skipped"
    assert len(rig.upstream.calls) == before


async def test_a_pair_without_two_answers_is_not_judged():
    script = {"verifier-a": Reply("x", status=400)}
    rig = Rig(
        lambda body: script.get(body["model"].partition("/")[2], Reply("ok")), pool=POOL,
        policy=Policy(mode="single", cost_quality=10),
    )  # fmt: skip
    runs = await run_all(rig.engine, CASES[:1], contenders(("strongest",), POOL, {}), How())
    grader = judge.Grader(rig.engine, contender("reasoner-a", POOL, {}))
    (pair,) = (await judge.compared(grader, runs, 1))["pairs"]
    assert (pair["outcome"], pair["rounds"], pair["usd"]) == ("unanswered", [], 0)


@pytest.mark.parametrize(
    ("rounds", "outcome"),
    [
        ([("first", "first"), ("second", "second")], "won"),
        ([("first", "second"), ("second", "first")], "lost"),
        ([("first", "first"), ("second", "first")], "tie"),
        ([("first", "first"), ("second", "tie")], "tie"),
        ([("first", "tie"), ("second", "tie")], "tie"),
        ([("first", "first"), ("second", None)], "unparsed"),
    ],
)
def test_a_win_is_one_in_both_orders(rounds, outcome):
    assert judge.outcome([{"own": own, "said": said} for own, said in rounds]) == outcome


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ('{"winner": "first"}', "first"),
        ('I think {"a": 1} and so {"winner": "Second ", "why": "x"} done', "second"),
        ('{"winner": "first"} no: {"winner": "tie"}', "tie"),
        ('{"winner": "third"}', None),
        ('{"winner": 1}', None),
        ("first", None),
        ("{not json}", None),
        ("", None),
    ],
)
def test_a_choice_is_read_from_the_last_object(text, choice):
    assert judge.read_choice(text, "winner", judge.SAYS) == choice


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [('{"right": "yes"}', "correct"), ('{"right": "no"}', "wrong"), ("maybe", "unparsed")],
)
async def test_a_rubric_is_checked_by_the_grader_with_its_money(reply, verdict):
    case = Case.model_validate({"id": "c", "prompt": "Explain.", "grade": {"by": "judge", "rubric": "is kind"}})  # fmt: skip
    rig = Rig(
        lambda body: Reply(reply if "is kind" in str(body["messages"]) else "ok"), pool=POOL,
        policy=Policy(mode="single"),
    )  # fmt: skip
    (run,) = await run_all(rig.engine, (case,), contenders((), POOL, {}), How())
    assert run.record["grade"]["verdict"] == "skipped"
    found = await judge.checked(judge.Grader(rig.engine, contender("reasoner-a", POOL, {})), run)
    assert found.record["grade"]["verdict"] == verdict
    assert found.record["grade"]["judge"]["usd"] > 0
