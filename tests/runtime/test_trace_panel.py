"""What a panel's trace says: who decided, what became of each member, who would have answered alone at what cost."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Policy
from openfusion_auto.errors import FusionError
from openfusion_auto.runtime.trace import full
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import candidate, pool, solves
from tests.support.rig import Rig

TRIO = pool(*(candidate(f"m{i}", benchmarks=solves(70 + i)) for i in range(3)))


def saying(**words):
    """An upstream whose models say that, None = fail; a judge finds the last answer it sees best."""

    def say(body):
        if "You are a judge" in json.dumps(body["messages"][-1]):
            return Reply('{"best": 1}', usage=Usage(300, 5))
        text = words[body["model"].removeprefix("vendor/")]
        return Reply(status=400, text="no") if text is None else Reply(text, usage=Usage(100, 10))

    return say


async def panel_of(**words):
    rig = Rig(saying(**words), pool=TRIO, policy=Policy())
    _, trace = await rig.ask("why?", openfusion={"mode": "panel"})
    shown = full(trace)
    return shown["panel"], shown, trace


async def test_members_that_agree_with_the_one_that_would_have_answered_alone():
    panel, shown, trace = await panel_of(m0="Yes.", m1="yes", m2="No.")
    alone = panel["alone"]
    assert (panel["aggregator"], panel["best_of"], panel["strategy"]) == ("vote", 3, "panel")
    assert {m["candidate"]: m["votes"] for m in panel["members"]} == {"m0": 2, "m1": 2, "m2": 1}
    assert alone["candidate"] == shown["decision"]["ranking"][0]["candidate"]
    assert alone["same_answer"] is (alone["candidate"] != "m2")
    own = next(a for a in trace.attempts if a.candidate == alone["candidate"])
    assert (alone["usd"], alone["ms"], alone["estimated"]) == (own.usd, own.ms, False)
    assert panel["usd"] == shown["usd"] > alone["usd"]


async def test_one_that_failed_is_compared_by_what_it_was_expected_to_cost():
    first = (await panel_of(m0="a b", m1="a b", m2="a b"))[0]["alone"]["candidate"]
    panel, shown, _ = await panel_of(**{m: None if m == first else "a b" for m in TRIO.by_id})
    expected = shown["decision"]["ranking"][0]["expected_usd"]
    assert panel["alone"] == {
        "candidate": first, "usd": expected, "estimated": True, "ms": None, "same_answer": None,
    }  # fmt: skip
    assert panel["best_of"] == 2


async def test_one_model_alone_has_no_panel_to_show():
    rig = Rig(saying(m0="x", m1="x", m2="x"), pool=TRIO, policy=Policy(mode="single"))
    _, trace = await rig.ask("why?")
    assert full(trace)["panel"] is None


async def test_a_panel_where_all_fail_still_tells_of_each():
    rig = Rig(saying(m0=None, m1=None, m2=None), pool=TRIO, policy=Policy())
    asked = rig.incoming("why?", openfusion={"mode": "panel"})
    trace = rig.engine.open(asked)
    with pytest.raises(FusionError) as caught:
        await rig.engine.answer(asked, trace, None)
    assert caught.value.status == 400
    panel = full(trace)["panel"]
    assert (panel["aggregator"], panel["best_of"]) == ("none", 0)
    assert {m["outcome"] for m in panel["members"]} == {"upstream_rejected"}
