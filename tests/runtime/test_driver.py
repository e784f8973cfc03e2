"""All the waiting of a recipe: order, quorum and grace, cancelling, and no task left behind."""

from __future__ import annotations

import asyncio

import pytest

from openfusion_auto.core.prompt import Answer
from openfusion_auto.core.recipes import Ask, Gather, Outcome, Reply
from openfusion_auto.errors import UpstreamBroken, UpstreamTimeout
from openfusion_auto.runtime.driver import drive
from tests.support.prompts import user

PROMPT = user("x")
NEVER = 30.0  # [s] longer than any test: whoever waits for this has a bug


def ask(candidate: str, phase: str = "member") -> Ask:
    return Ask(phase, (candidate,), PROMPT)


def one_gather(*candidates: str, quorum: int = 2, grace_s: float = 0.02):
    """A recipe of one gather; its outcome's notes tell what came of each ask, its phase who answered."""
    replies = yield Gather(tuple(ask(c) for c in candidates), quorum, grace_s)
    return Outcome(
        ",".join(r.candidate for r in replies),
        "",
        None,
        notes=tuple(r.answer.text if r.answer else str(r.error.code) for r in replies),
    )


class Stage:
    """Performs asks by a table: candidate -> seconds until its answer, or the error it ends with."""

    def __init__(self, **table: float | Exception) -> None:
        self.table = table
        self.started: list[str] = []
        self.cut: list[str] = []

    async def __call__(self, asked: Ask) -> Reply:
        name = asked.candidates[0]
        self.started.append(name)
        what = self.table.get(name, 0.0)
        try:
            await asyncio.sleep(what if isinstance(what, float) else 0)
        except asyncio.CancelledError:
            await asyncio.sleep(
                0.01
            )  # letting go takes time: a connection is closed, a line booked
            self.cut.append(name)
            raise
        if isinstance(what, UpstreamBroken):
            return Reply(asked.phase, name, error=what)
        if isinstance(what, Exception):
            raise what
        return Reply(asked.phase, name, Answer(f"by {name}"))


@pytest.fixture(autouse=True)
async def nothing_left():
    before = asyncio.all_tasks()
    yield
    left = [t for t in asyncio.all_tasks() - before - {asyncio.current_task()} if not t.done()]
    assert left == []


async def test_asks_are_performed_in_turn_and_replies_go_back():
    def recipe():
        (first,) = yield ask("a", "primary")
        (second,) = yield ask(first.answer.text, "verify")
        return Outcome("verify", second.candidate, second.answer)

    stage = Stage()
    outcome = await drive(recipe(), stage)
    assert stage.started == ["a", "by a"]
    assert outcome.answer == Answer("by by a")


async def test_a_recipe_that_asks_nothing_ends_at_once():
    def recipe():
        return Outcome("none", "", None)
        yield

    assert (await drive(recipe(), Stage())).phase == "none"


async def test_replies_stand_in_the_order_of_the_asks_not_of_their_coming():
    outcome = await drive(one_gather("a", "b", "c", quorum=3), Stage(a=0.02, b=0.01, c=0.0))
    assert outcome.phase == "a,b,c"
    assert outcome.notes == ("by a", "by b", "by c")


async def test_members_run_at_once():
    together = asyncio.Barrier(3)

    async def perform(asked: Ask) -> Reply:
        await together.wait()  # nobody answers before all have begun
        return Reply(asked.phase, asked.candidates[0], Answer("fine"))

    async with asyncio.timeout(NEVER):
        outcome = await drive(one_gather("a", "b", "c", quorum=3), perform)
    assert outcome.phase == "a,b,c"


async def test_after_the_quorum_stragglers_have_their_grace_and_are_cut_then():
    stage = Stage(a=0.0, b=0.0, c=NEVER)
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = await drive(one_gather("a", "b", "c", grace_s=0.05), stage)
    assert 0.05 <= loop.time() - began < NEVER
    assert outcome.notes == ("by a", "by b", "straggler")
    assert stage.cut == ["c"]


async def test_who_comes_within_the_grace_counts():
    outcome = await drive(one_gather("a", "b", "c", grace_s=5.0), Stage(a=0.0, b=0.0, c=0.03))
    assert outcome.notes == ("by a", "by b", "by c")


async def test_errors_do_not_make_a_quorum():
    stage = Stage(a=UpstreamBroken("cut"), b=UpstreamBroken("cut"), c=0.03)
    outcome = await drive(one_gather("a", "b", "c", quorum=1, grace_s=0.0), stage)
    assert outcome.notes == ("upstream_broken", "upstream_broken", "by c")


async def test_without_a_quorum_everybody_is_waited_for():
    stage = Stage(a=UpstreamBroken("cut"), b=0.03)
    assert (await drive(one_gather("a", "b"), stage)).notes == ("upstream_broken", "by b")
    assert stage.cut == []


async def test_nobody_to_ask_is_no_reason_to_wait():
    assert (await drive(one_gather(), Stage())).notes == ()


async def test_a_straggler_is_told_as_a_timeout_of_its_phase_and_candidate():
    seen = []

    def recipe():
        replies = yield Gather((ask("a"), ask("b")), 1, 0.0)
        seen.extend(replies)
        return Outcome("x", "", None)

    await drive(recipe(), Stage(b=NEVER))
    assert (seen[1].phase, seen[1].candidate) == ("member", "b")
    assert isinstance(seen[1].error, UpstreamTimeout)


async def started(stage: Stage, count: int) -> None:
    """Wait until so many asks have begun."""
    for _ in range(500):
        if len(stage.started) == count:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"only {stage.started} began")


async def test_cancelling_cancels_every_member_and_waits_until_they_have_let_go():
    stage = Stage(a=NEVER, b=NEVER, c=NEVER)
    running = asyncio.ensure_future(drive(one_gather("a", "b", "c"), stage))
    await started(stage, 3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(stage.cut) == ["a", "b", "c"]


async def test_cancelling_during_the_grace_cuts_the_stragglers():
    stage = Stage(a=0.0, b=0.0, c=NEVER)
    running = asyncio.ensure_future(drive(one_gather("a", "b", "c", grace_s=NEVER), stage))
    await started(stage, 3)
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.cut == ["c"]


async def test_cancelling_a_single_ask_cancels_it_and_closes_the_recipe():
    closed = []

    def recipe():
        try:
            yield ask("a", "primary")
        finally:
            closed.append(True)

    stage = Stage(a=NEVER)
    running = asyncio.ensure_future(drive(recipe(), stage))
    await started(stage, 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stage.cut == ["a"]
    assert closed == [True]


async def test_a_defect_of_ours_in_a_member_is_raised_at_once_and_leaves_no_task():
    stage = Stage(a=NEVER, b=KeyError("ours"), c=NEVER)
    with pytest.raises(KeyError, match="ours"):
        await asyncio.wait_for(drive(one_gather("a", "b", "c"), stage), 5)
    assert sorted(stage.cut) == ["a", "c"]


async def test_a_defect_of_ours_in_a_single_ask_is_raised():
    def recipe():
        yield ask("a", "primary")

    with pytest.raises(KeyError, match="ours"):
        await drive(recipe(), Stage(a=KeyError("ours")))


async def test_a_defect_in_the_recipe_is_raised():
    def recipe():
        yield ask("a", "primary")
        raise ZeroDivisionError("in the recipe")

    with pytest.raises(ZeroDivisionError):
        await drive(recipe(), Stage())


def limited(*candidates: str, quorum: int = 2, limit_s: float = 0.05):
    """As `one_gather`, with a limit and much grace."""
    replies = yield Gather(tuple(ask(c) for c in candidates), quorum, NEVER, limit_s)
    return Outcome(
        "", "", None, notes=tuple(r.answer.text if r.answer else str(r.error.code) for r in replies)
    )


async def test_at_the_limit_one_answer_is_enough_and_the_others_are_cut():
    stage = Stage(a=0.0, b=NEVER, c=NEVER)
    outcome = await drive(limited("a", "b", "c"), stage)
    assert outcome.notes == ("by a", "straggler", "straggler")
    assert sorted(stage.cut) == ["b", "c"]


async def test_the_limit_without_any_answer_waits_for_the_first():
    stage = Stage(a=0.3, b=NEVER)
    outcome = await drive(limited("a", "b", limit_s=0.01), stage)
    assert outcome.notes == ("by a", "straggler")


async def test_failed_members_alone_end_at_once_whatever_the_limit():
    stage = Stage(a=UpstreamBroken("x"), b=UpstreamBroken("x"))
    outcome = await drive(limited("a", "b", limit_s=NEVER), stage)
    assert outcome.notes == ("upstream_broken", "upstream_broken")
