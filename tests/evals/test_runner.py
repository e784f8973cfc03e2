"""Runs: what is recorded of a request, that sessions do not meet, and that money has a ceiling."""

from __future__ import annotations

import hashlib
import json

from openfusion_auto.core.types import Policy
from openfusion_auto.evals.cases import Case
from openfusion_auto.evals.contenders import contenders
from openfusion_auto.evals.runner import How, Run, request, run_all, said
from openfusion_auto.upstream.reply import Reply
from tests.evals.samples import POOL
from tests.support.rig import Rig

HELLO = Case.model_validate(
    {"id": "hello", "prompt": "Fix the bug in the parser.", "expect": {"kind": ["bugfix"], "mode": ["panel"]},
     "grade": {"by": "contains", "any": ["fixed"]}}
)  # fmt: skip
OTHER = Case.model_validate({"id": "other", "prompt": "Write the docs of the parser."})


def rig(reply=None):
    return Rig(lambda body: reply or Reply("Fixed."), pool=POOL, policy=Policy(mode="single"))


async def runs(cases=(HELLO,), baselines=("strongest",), how=None, here=None):
    here = here or rig()
    who = contenders(baselines, POOL, {})
    return await run_all(here.engine, cases, who, how or How())


async def test_a_run_holds_decision_inputs_calls_money_and_grade():
    (auto, other) = await runs()
    record = auto.record
    assert (record["outcome"], record["grade"]["verdict"]) == ("ok", "correct")
    assert record["decision"]["digest"].startswith("sha256:")
    assert set(record["inputs"]) == {"task", "state", "policy"}
    (attempt,) = record["attempts"]
    assert attempt["usd"] == record["usd"] > 0
    assert record["answer"]["sha256"] == hashlib.sha256(b"Fixed.").hexdigest()
    assert other.record["answered_by"] == "verifier-a"
    assert record["request"] == other.record["request"], "everybody is asked the same"


async def test_only_auto_is_held_against_what_a_case_expects():
    (auto, other) = await runs()
    assert auto.record["checks"] == [
        {"of": "kind", "wanted": ["bugfix"], "got": ["bugfix"], "ok": True},
        {"of": "mode", "wanted": ["panel"], "got": ["single"], "ok": False},
    ]
    assert other.record["checks"] == []


async def test_no_contender_finds_the_session_of_another():
    here = rig()
    found = await runs(baselines=("strongest", "cheapest"), how=How(repeat=2), here=here)
    assert len(found) == 6
    assert all(r.record["inputs"]["state"]["pin"] is None for r in found)


async def test_records_come_in_the_order_of_cases_however_many_go_at_once():
    found = await runs(cases=(HELLO, OTHER), how=How(parallel=4, repeat=2))
    assert [(r.record["case"], r.record["repeat"], r.record["contender"]) for r in found] == [
        (case, repeat, who)
        for case in ("hello", "other")
        for repeat in (0, 1)
        for who in ("auto", "strongest")
    ]


async def test_an_error_is_an_outcome_with_its_calls():
    (auto,) = await runs(baselines=(), here=rig(Reply("no", status=400)))
    record = auto.record
    assert record["outcome"] == "error"
    assert record["answer"] is None
    assert record["grade"]["verdict"] == "unanswered"
    assert record["attempts"]
    assert json.dumps(record).count('"no"') == 0, "what an upstream said is not kept"


async def test_nothing_is_begun_once_the_ceiling_is_reached():
    seen: list[Run] = []
    here = rig()
    found = await run_all(
        here.engine, (HELLO, OTHER), contenders(("strongest",), POOL, {}), How(max_usd=1e-9), seen.append
    )  # fmt: skip
    assert [r.record["outcome"] for r in found] == ["ok", "not_run", "not_run", "not_run"]
    assert len(seen) == len(here.upstream.calls) == 1
    assert found[1].record["usd"] == 0


def test_a_request_has_its_options_and_no_trace_in_the_answer():
    (auto, panel) = contenders(("panel",), POOL, {})
    case = Case.model_validate({"id": "a", "prompt": "x", "mode": "verify", "cost_quality": 2})
    incoming, sent = request(case, auto, "me")
    assert incoming.prompt.options.mode == "verify"
    assert incoming.prompt.options.cost_quality == 2
    assert incoming.prompt.options.trace == "none"
    assert request(case, panel, "me")[0].prompt.options.mode == "panel"
    assert json.loads(sent) == {"messages": [{"role": "user", "content": "x"}]}


def test_an_answer_of_any_shape_is_read():
    assert said({}) == ("", [])
    assert said({"choices": [{"message": None}]}) == ("", [])
    calls = [{"function": {"name": "f"}}, {"function": {}}]
    assert said({"choices": [{"message": {"content": None, "tool_calls": calls}}]}) == ("", ["f"])
