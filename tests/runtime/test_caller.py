"""Who is asked, how often and when: retries, breakers, deadlines, a client that leaves. Time is moved by who sleeps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from openfusion_auto.core.backoff import BASE_S, MAX_WAIT_S
from openfusion_auto.core.breaker import FAILURES_TO_OPEN, OPEN_S
from openfusion_auto.core.hedge import WHOLE, Hedging, Share
from openfusion_auto.core.prompt import ToolCall
from openfusion_auto.core.recipes import Ask
from openfusion_auto.core.types import Breaker, Policy
from openfusion_auto.errors import UpstreamOverloaded
from openfusion_auto.runtime.caller import Caller, worst_case
from openfusion_auto.runtime.hedge import ACCOUNT, Hedge, Hedger
from openfusion_auto.runtime.limits import MemoryCounters
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.upstream.reply import Reply
from tests.support.rig import Rig

GOOD, DOWN = Reply("fine"), Reply(status=503)
BOTH = ("coder-a", "fast-a")


class Played:
    """One ask, played over a script of replies."""

    hedger = None

    def __init__(self, *script, **more):
        self.rig = Rig(list(script), **more)
        self.incoming = self.rig.incoming("hi")
        self.trace = self.rig.engine.open(self.incoming)

    async def ask(self, *candidates, began_s=None, max_calls=12):
        means = replace(self.rig.engine.means, hedger=self.hedger)
        before_s = self.rig.now_s
        caller = Caller(
            means,
            self.trace,
            None,
            began_s=before_s if began_s is None else began_s,
            max_calls=max_calls,
            hedge=None if self.hedger is None else Hedge(self.hedger),
        )
        reply = await caller.perform(Ask("primary", candidates, self.incoming.prompt, final=True))
        self.waited_s = self.rig.now_s - before_s
        return reply

    @property
    def asked(self):
        return [a.candidate for a in self.trace.attempts]

    def fails(self, candidate, times=FAILURES_TO_OPEN):
        for _ in range(times):
            self.rig.live.failed(candidate, UpstreamOverloaded("down"))

    def breaker(self, candidate):
        return self.rig.live.breakers().get(candidate, Breaker()).phase


@pytest.fixture
def hedged():
    """A function: as `Played`, and where the first is silent for a moment a second one is asked."""

    def play(*script):
        played = Played(*script)
        clock = played.rig.engine.means.clock
        played.rig.upstream._sleep = asyncio.sleep  # here a call takes real time
        played.counters = MemoryCounters(clock, MemoryStore())
        played.hedger = Hedger(played.counters, Hedging(0.02, 0.02, 0.0, 1.0, 100.0))
        played.hedger.share = Share(10 * WHOLE)
        return played

    return play


async def test_a_passing_fault_is_tried_once_more_after_a_short_wait_with_jitter():
    played = Played(DOWN, GOOD)
    reply = await played.ask(*BOTH)
    assert reply.answer.text == "fine"
    assert played.asked == ["coder-a", "coder-a"]
    assert 0.5 * BASE_S <= played.waited_s <= 1.5 * BASE_S


async def test_a_broken_answer_is_asked_for_again_by_the_last_who_is_left():
    empty = Reply("")
    played = Played(empty, empty, GOOD)
    reply = await played.ask(*BOTH)
    assert reply.answer.text == "fine"
    assert played.asked == ["coder-a", "fast-a", "fast-a"]
    alone = Played(empty, empty, GOOD)
    reply = await alone.ask("coder-a")
    assert reply.error.code == "upstream_broken"
    assert alone.asked == ["coder-a", "coder-a"]


async def test_somebody_whose_breaker_is_open_is_not_left_to_be_asked():
    played = Played(Reply(""), GOOD)
    played.fails("fast-a")
    reply = await played.ask(*BOTH)
    assert reply.answer.text == "fine"
    assert played.asked == ["coder-a", "coder-a"]


async def test_a_retry_after_is_waited_for_and_not_cut_short():
    played = Played(Reply(status=429, headers={"retry-after": "1"}), GOOD)
    await played.ask(*BOTH)
    assert played.asked == ["coder-a", "coder-a"]
    assert 1.0 <= played.waited_s <= 1.0 + BASE_S


async def test_a_long_retry_after_is_not_slept_through_but_told():
    played = Played(*[Reply(status=429, headers={"retry-after": "30"})] * 2)
    reply = await played.ask(*BOTH)
    assert (played.asked, played.waited_s) == (list(BOTH), 0.0)
    assert (reply.error.status, reply.error.retry_after_s) == (429, 30.0)


async def test_past_the_deadline_nobody_is_asked_again():
    played = Played(DOWN, GOOD)
    total_s = played.rig.engine.means.total_s
    reply = await played.ask(*BOTH, began_s=played.rig.now_s - total_s)
    assert played.asked == ["coder-a"]
    assert reply.error.status == 503


async def test_a_wait_that_would_end_after_the_deadline_is_not_begun():
    played = Played(Reply(status=429, headers={"retry-after": "1"}), GOOD)
    total_s = played.rig.engine.means.total_s
    await played.ask(*BOTH, began_s=played.rig.now_s - total_s + 0.5)
    assert (played.asked, played.waited_s) == (list(BOTH), 0.0)


async def test_a_client_that_leaves_during_the_wait_ends_the_retry():
    played = Played(Reply(status=429, headers={"retry-after": str(int(MAX_WAIT_S))}), GOOD)
    waits = asyncio.Event()

    async def sleep(_seconds):
        waits.set()
        await asyncio.Event().wait()

    means = played.rig.engine.means
    object.__setattr__(means.clock, "sleep", sleep)
    task = asyncio.create_task(played.ask(*BOTH))
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert played.asked == ["coder-a"]


async def test_the_limit_of_calls_holds():
    played = Played(DOWN, DOWN, DOWN, GOOD)
    reply = await played.ask(*BOTH, max_calls=2)
    assert played.asked == ["coder-a", "coder-a"]
    assert (reply.error.status, reply.error.code) == (502, "upstream_error")


# -- a second call ---------------------------------------------------------------------------------------------------


async def test_a_retry_may_have_the_second_call_that_its_first_try_did_not_need(hedged):
    played = hedged(DOWN, Reply(hang=True), GOOD)
    reply = await played.ask(*BOTH)
    assert reply.answer.text == "fine"
    ended = [(a.phase, a.candidate, a.error or a.status) for a in played.trace.attempts]
    assert ended == [
        ("primary", "coder-a", "upstream_unavailable"),
        ("primary", "coder-a", "cancelled"),
        ("hedge", "fast-a", "ok"),
    ]
    waits = played.hedger._waits
    assert len(waits["coder-a", False]) == 1  # of the call that was cut, not of the one that failed


async def test_a_second_call_that_came_too_late_to_be_made_costs_neither_share_nor_money(hedged):
    played = hedged(Reply("fine", delay_s=0.2))
    reserve, asked = played.counters.reserve, []

    async def slowly(scopes, amount):
        found = await reserve(scopes, amount)
        asked.append(amount)
        await asyncio.sleep(1.0)  # the first one answers meanwhile
        return found

    played.counters.reserve = slowly
    before = played.hedger.share
    assert (await played.ask(*BOTH)).answer.text == "fine"
    assert asked
    assert played.asked == ["coder-a"]
    assert played.hedger.share == before
    assert played.counters.held(ACCOUNT) == 0


async def test_a_request_has_one_second_call_at_most(hedged):
    played = hedged(Reply(status=503, delay_s=0.5), Reply(status=404), Reply("late", delay_s=0.5))
    reply = await played.ask(*BOTH)
    assert reply.answer.text == "late"
    assert [(a.phase, a.candidate) for a in played.trace.attempts] == [
        ("primary", "coder-a"),
        ("hedge", "fast-a"),
        ("primary", "coder-a"),
    ]


async def test_a_client_that_leaves_ends_both_and_nothing_stays_held(hedged):
    played = hedged(Reply(hang=True), Reply(hang=True))
    task = asyncio.create_task(played.ask(*BOTH))
    while len(played.trace.attempts) < 2:
        await asyncio.sleep(0.01)
    assert played.counters.held(ACCOUNT) > 0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [a.status for a in played.trace.attempts] == ["cancelled", "cancelled"]
    assert played.counters.held(ACCOUNT) == 0


async def test_both_are_cut_where_one_fails_by_a_defect_of_ours(hedged):
    played = hedged(Reply(hang=True), GOOD)

    def broken(*_args, **_more):
        raise ValueError("ours")

    played.rig.live.succeeded = broken
    with pytest.raises(ValueError, match="ours"):
        await played.ask(*BOTH)
    assert played.trace.attempts[0].status == "cancelled"
    assert played.counters.held(ACCOUNT) == 0


# -- breakers --------------------------------------------------------------------------------------------------------


async def test_the_failure_that_opens_a_breaker_is_not_followed_by_a_retry():
    played = Played(DOWN, GOOD)
    played.fails("coder-a", FAILURES_TO_OPEN - 1)
    reply = await played.ask(*BOTH)
    assert played.asked == list(BOTH)
    assert (reply.candidate, played.breaker("coder-a")) == ("fast-a", "open")


async def test_a_probe_that_fails_is_one_call_and_its_breaker_is_open_again():
    played = Played(DOWN, GOOD)
    played.fails("coder-a")
    played.rig.now_s += OPEN_S
    assert played.breaker("coder-a") == "half_open"
    await played.ask(*BOTH)
    assert played.asked == list(BOTH)
    assert played.breaker("coder-a") == "open"


async def test_a_probe_that_answers_closes_its_breaker():
    played = Played(GOOD)
    played.fails("coder-a")
    played.rig.now_s += OPEN_S
    assert (await played.ask(*BOTH)).candidate == "coder-a"
    assert played.breaker("coder-a") == "closed"


async def test_while_one_request_tries_whether_it_is_back_others_pass_it_over():
    """Both were decided at the same moment; only one of them is the probe."""
    played = Played(GOOD)
    played.fails("coder-a")
    played.rig.now_s += OPEN_S
    played.rig.live.started("coder-a")
    assert (await played.ask(*BOTH)).candidate == "fast-a"
    assert played.asked == ["fast-a"]


async def test_when_all_rest_the_first_is_tried_all_the_same():
    played = Played(GOOD)
    for candidate in BOTH:
        played.fails(candidate)
    assert (await played.ask(*BOTH)).candidate == "coder-a"


async def test_who_rests_is_no_fallback():
    played = Played(Reply(status=404), GOOD)
    played.fails("fast-a")
    reply = await played.ask("coder-a", "fast-a", "reasoner-a")
    assert played.asked == ["coder-a", "reasoner-a"]
    assert reply.candidate == "reasoner-a"


async def test_a_fault_of_the_provider_skips_all_that_it_serves():
    played = Played(Reply(status=401), GOOD)
    reply = await played.ask(*BOTH)
    assert played.asked == ["coder-a"]
    assert reply.error.code == "upstream_denied"


# --- a call that breaks its tool's schema ------------------------------------------------------------------------

TOOL = {
    "type": "function",
    "function": {"name": "edit", "parameters": {"properties": {"path": {"type": "string"}}}},
}


def edit(said):
    return Reply(tool_calls=[ToolCall("c1", "edit", said)])


BAD, FITS = edit('{"path": 5}'), edit('{"path": "a"}')


def with_tool(*script):
    played = Played(*script)
    played.incoming = played.rig.incoming("hi", tools=[TOOL])
    return played


async def test_a_call_that_breaks_its_schema_is_asked_for_elsewhere_and_at_nobody_twice():
    played = with_tool(BAD, FITS)
    reply = await played.ask(*BOTH)
    assert (reply.candidate, reply.answer.tool_calls[0].arguments) == ("fast-a", '{"path": "a"}')
    assert played.asked == list(BOTH)
    assert played.waited_s == 0.0


@pytest.mark.parametrize("limit", [{"max_calls": 1}, {"began_s": 0.0}], ids=["calls", "deadline"])
async def test_a_held_answer_is_told_when_nobody_else_can_be_asked(limit):
    played = with_tool(BAD)
    reply = await played.ask(*BOTH, **limit)
    assert (reply.candidate, reply.answer.tool_calls[0].arguments) == ("coder-a", '{"path": 5}')
    assert played.asked == ["coder-a"]
    assert "passed on: nobody else could answer" in played.trace.notes[-1]


async def test_a_held_answer_is_told_when_the_breakers_of_all_others_are_open():
    played = with_tool(BAD)
    played.fails("fast-a")
    reply = await played.ask(*BOTH)
    assert reply.answer.tool_calls[0].arguments == '{"path": 5}'
    assert played.asked == ["coder-a"]


async def test_a_slip_in_a_call_is_no_outage_and_ends_a_probe():
    played = with_tool(BAD, FITS)
    played.fails("coder-a")
    played.rig.now_s += OPEN_S
    await played.ask(*BOTH)
    assert played.asked == list(BOTH)
    assert played.breaker("coder-a") == "half_open"
    assert played.rig.live.may_call("coder-a")


async def test_unguarded_nothing_is_held_against_a_schema():
    played = with_tool(BAD)
    played.rig.engine.means = replace(played.rig.engine.means, guarded=False)
    reply = await played.ask(*BOTH)
    assert reply.error is None
    assert (played.asked, played.trace.notes) == (["coder-a"], [])


@pytest.mark.parametrize("hold", [False, True])
async def test_answers_of_one_model_are_judged_also_where_calls_wait_for_a_verifier(hold):
    rig = Rig([BAD, FITS], policy=Policy(mode="single", hold_destructive=hold))
    body, trace = await rig.ask("hi", tools=[TOOL])
    (called,) = body["choices"][0]["message"]["tool_calls"]
    assert called["function"]["arguments"] == '{"path": "a"}'
    assert [a.error for a in trace.attempts] == ["upstream_call_schema", None]


async def test_a_panels_members_are_left_to_its_own_checks():
    rig = Rig(lambda body: FITS if "verifier" in body["model"] else BAD)
    _, trace = await rig.ask("hi", tools=[TOOL], openfusion={"mode": "panel"})
    members = [a.error for a in trace.attempts if a.phase == "member"]
    assert len(members) > 1
    assert set(members) == {None}


class Purse:
    """Stands for a request's allowance: what it is asked to hold, and whether it has as much."""

    def __init__(self, usd):
        self.usd, self.asked = usd, []

    async def cover(self, usd):
        self.asked.append(usd)
        return usd <= self.usd


@pytest.mark.parametrize(("usd", "calls"), [(100.0, 1), (0.0, 0)])
async def test_a_single_call_beside_the_answer_is_held_in_the_budgets_like_any_other(usd, calls):
    played, purse = Played(GOOD), Purse(usd)
    means = played.rig.engine.means
    caller = Caller(means, played.trace, None, began_s=0.0, max_calls=3, allowance=purse)
    reply = await caller.once(Ask("classify", ("coder-a",), played.incoming.prompt))
    assert len(played.trace.attempts) == calls
    assert (reply.error is None) == bool(calls)
    assert purse.asked
    assert purse.asked[0] > 0


class SlowPurse(Purse):
    """A purse whose answer comes over a wire."""

    async def cover(self, usd):
        await asyncio.sleep(0)
        return await super().cover(usd)


def shared(played, purse, **limits):
    return Caller(
        played.rig.engine.means,
        played.trace,
        None,
        began_s=played.rig.now_s,
        allowance=purse,
        **{"max_calls": 12, **limits},
    )


async def test_members_that_fail_together_do_not_all_take_the_last_place():
    played = Played(*[DOWN] * 12)
    members = played.rig.engine.means.pool.candidates[:3]
    caller = shared(played, SlowPurse(100.0), max_calls=4)
    asks = [Ask("member", (c.id,), played.incoming.prompt) for c in members]
    replies = await asyncio.gather(*map(caller.perform, asks))
    assert all(r.error is not None for r in replies)
    assert len(played.asked) == 4


async def test_members_that_ask_together_do_not_all_take_the_last_money():
    played, purse = Played(*[GOOD] * 3), SlowPurse(100.0)
    one = worst_case(played.incoming.prompt, played.rig.engine.means.pool.get("coder-a"))
    caller = shared(played, purse, max_usd=2.5 * one)
    replies = await asyncio.gather(
        *(caller.perform(Ask("member", ("coder-a",), played.incoming.prompt)) for _ in range(3))
    )
    assert [r.error is None for r in replies] == [True, True, False]
    assert purse.asked == pytest.approx([one, 2 * one])
    assert caller._reserved_usd == pytest.approx(0)
