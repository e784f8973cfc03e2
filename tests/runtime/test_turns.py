"""Numbers of turns: each given out once, none for who only looks, also where several processes count together."""

from __future__ import annotations

import asyncio

import pytest

from openfusion_auto.core.decide import decide
from openfusion_auto.core.explain import decision_json
from openfusion_auto.runtime import turns as module
from openfusion_auto.runtime.turns import Turns
from openfusion_auto.upstream.reply import Reply
from tests.runtime.test_shared import several  # noqa: F401 - a fixture
from tests.support.pools import FOUR
from tests.support.rig import Rig

ROUND = {"strategy": "round_robin", "models": ["verifier-a", "fast-a"]}


async def test_each_list_counts_for_itself_and_looking_changes_nothing():
    turns = Turns()
    assert [turns.next("a"), await turns.take("a"), turns.next("a"), await turns.take("a")] == [0, 0, 1, 1]  # fmt: skip
    assert (turns.next("b"), await turns.take("b")) == (0, 0)


async def test_lists_that_nobody_asks_for_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "MAX_LISTS", 2)
    turns = Turns()
    for name in ("a", "b", "a", "c"):
        await turns.take(name)
    assert [turns.next(n) for n in "abc"] == [2, 0, 1]


async def test_processes_at_once_get_every_number_once(several):  # noqa: F811 - the fixture
    async with several() as (_, all_):
        processes = [Turns(c.there) for c in all_]
        for one in (
            processes
        ):  # a server has opened its file long before: a new one is made by one at a time
            await one.take("first")
        numbers = await asyncio.gather(*(t.take("a") for t in processes * 10))
        assert sorted(numbers) == list(range(30))
        assert await processes[0].take("b") == 0
        assert max(t.next("a") for t in processes) == 30


async def test_while_nobody_answers_each_goes_on_from_what_it_knew():
    class Gone:
        told = 7

        async def turn(self, _name):
            return self.told

    turns = Turns(gone := Gone())
    assert await turns.take("a") == 7
    gone.told = None
    assert [await turns.take("a"), await turns.take("a")] == [8, 9]
    gone.told = 8  # it came back and did not hear of these
    assert await turns.take("a") == 8
    assert turns.next("a") == 10


@pytest.mark.parametrize("looping", [False, True])
async def test_a_tool_loop_has_one_turn_and_every_decision_is_made_again(looping):
    rig = Rig(lambda _: Reply("ok"))
    first = [{"role": "user", "content": "run it"}]
    called = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    loop = [*first, {"role": "assistant", "tool_calls": [called]}, {"role": "tool", "tool_call_id": "c1", "content": "ok"}]  # fmt: skip
    tools = [{"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}]
    answered = []
    for messages in (first, loop if looping else first, first):
        _, trace = await rig.ask(messages, model=ROUND, tools=tools)
        answered.append(trace.answered_by)
        again = decide(trace.decision.task, FOUR, trace.state, trace.policy)
        assert decision_json(again) == decision_json(trace.decision)
    looped = ["verifier-a", "verifier-a", "fast-a"]
    assert answered == (looped if looping else ["verifier-a", "fast-a", "verifier-a"])
