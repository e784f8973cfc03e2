"""A session's next requests teach about who answered, in its own project, through restarts, within bounds."""

import numpy as np
import pytest

from openfusion_auto.core.experience import BUCKETS, Experience
from openfusion_auto.core.lessons import Key, Tally, project_of
from openfusion_auto.core.types import Policy
from openfusion_auto.runtime import learner as module
from openfusion_auto.runtime import state as state_module
from openfusion_auto.runtime.cache import Cache, MemoryShelf
from openfusion_auto.runtime.learner import DAY_S, Learner
from openfusion_auto.runtime.reader import Reader
from openfusion_auto.store.base import LEARNED
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import CODER, REASONER, pool
from tests.support.rig import Rig
from tests.support.steps import EDIT, FAILS, PASSES

TWO = pool(CODER, REASONER)
HERE = {"role": "system", "content": "<env>\nWorking directory: /srv/app\n</env>"}
THERE = {"role": "system", "content": "<env>\nWorking directory: /srv/other\n</env>"}


def rig(*, half_life_days=14.0, max_lift=0.1, store=None, enabled=True):
    found = Rig(lambda _: Reply("Done."), pool=TWO, policy=Policy(mode="single"), store=store)
    if enabled:
        learner = Learner(found.live, half_life_days=half_life_days, max_lift=max_lift)
        found.engine.reader = Reader(learner=learner)
    return found


def session_name(client, where, n):
    return f"{client} {where['content'].split()[3]} {n}"


async def one_task(found, end, *, n=0, where=HERE, client="me"):
    """A task of its own session, its steps, and what ends it; returns the last trace."""
    begin = [where, {"role": "user", "content": f"Fix the bug number {n} in the parser"}]
    session = session_name(client, where, n)
    trace = None
    for upto in range(1, len(end) + 2):
        said = begin + [m for part in end[: upto - 1] for m in part]
        _, trace = await found.ask(said, session=session, client=client)
    return trace


BAD = (EDIT, FAILS)
GOOD = (
    EDIT,
    PASSES,
    [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "thanks"}],
)


def counts(found):
    return {tuple(k.split(":")[1:]): (t.good, t.bad) for k, t in found.live.tallies.items()}


async def test_a_failing_run_after_an_edit_counts_against_who_answered_and_is_said():
    found = rig()
    trace = await one_task(found, BAD)
    who = trace.answered_by
    assert list(counts(found).values()) == [(0.0, 1.0)]
    ((_, candidate),) = counts(found)
    assert candidate == who
    assert trace.notes == [f"learned about {who}: a run failed after its edits"]


async def test_a_task_that_ends_after_a_run_that_passed_counts_for_who_answered():
    found = rig()
    await one_task(found, GOOD)
    assert list(counts(found).values()) == [(1.0, 0.0)]


async def test_a_request_that_is_sent_again_teaches_nothing_more():
    found = rig()
    for _ in range(3):
        await one_task(found, BAD)
    assert list(counts(found).values()) == [(0.0, 1.0)]


async def test_it_is_off_unless_it_is_asked_for():
    found = rig(enabled=False)
    await one_task(found, BAD)
    assert found.live.tallies == {}


async def test_enough_bad_outcomes_move_the_next_task_of_the_project_and_no_others():
    found = rig(max_lift=0.3)
    first = (await one_task(found, ())).answered_by
    for n in range(1, 40):
        await one_task(found, BAD, n=n)
    moved = await one_task(found, (), n=99)
    assert dict(moved.decision.task.lifts)[first] < 0
    assert [r for r in moved.decision.reasons if "outcomes of earlier tasks put" in r] or (
        moved.answered_by == first
    )
    for other in ({"where": THERE}, {"client": "somebody else"}):
        trace = await one_task(found, (), n=99, **other)
        assert trace.decision.task.lifts == ()
        assert trace.answered_by == first


async def test_below_five_signals_nothing_moves():
    found = rig()
    for n in range(4):
        await one_task(found, BAD, n=n)
    assert (await one_task(found, (), n=9)).decision.task.lifts == ()


async def test_lessons_fade():
    found = rig(half_life_days=1.0)
    for n in range(8):
        await one_task(found, BAD, n=n)
    assert (await one_task(found, (), n=98)).decision.task.lifts
    found.now_s += 3 * DAY_S
    assert (await one_task(found, (), n=99)).decision.task.lifts == ()


async def test_another_client_cannot_teach_about_a_session_that_is_not_its_own():
    found = rig()
    begin = [HERE, {"role": "user", "content": "Fix the bug in the parser"}]
    await found.ask(begin, session="shared", client="me")
    await found.ask(begin + EDIT + FAILS, session="shared", client="somebody else")
    assert found.live.tallies == {}


async def test_lessons_survive_a_restart_and_can_be_forgotten():
    found = rig()
    for n in range(8):
        await one_task(found, BAD, n=n)
    again = rig(store=found.store)
    assert counts(again) == counts(found)
    assert (await one_task(again, (), n=99)).decision.task.lifts
    assert again.live.snapshot(None).stats
    again.live.forget(LEARNED)
    assert again.live.tallies == {}
    assert again.live.snapshot(None).stats
    assert rig(store=found.store).live.tallies == {}


@pytest.mark.parametrize(("whose", "left"), [("coder-a", 1), ("gone", 2), (None, 0)])
def test_one_candidates_lessons_are_forgotten_with_its_numbers(whose, left):
    found = rig()
    for name in ("coder-a", "reasoner-a"):
        found.live.keep_tally(str(Key("0" * 16, "bugfix", name)), Tally(1.0, 1.0, found.now_s))
    found.live.forget(whose)
    assert len(found.live.tallies) == left


async def test_a_debug_route_teaches_nothing_and_shows_what_was_learned():
    found = rig()
    for n in range(8):
        await one_task(found, BAD, n=n)
    before = dict(found.live.tallies)
    said = [HERE, {"role": "user", "content": "Fix the bug number 9 in the parser"}, *EDIT, *FAILS]
    await one_task(found, (), n=9)
    asked = found.incoming(said, session=session_name("me", HERE, 9))
    assert found.engine.judge(asked).task.lifts
    assert dict(found.live.tallies) == before
    await found.ask(said, session=session_name("me", HERE, 9))
    assert dict(found.live.tallies) != before


async def test_what_is_watched_and_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_WATCHED", 3)
    monkeypatch.setattr(state_module, "MAX_TALLIES", 2)
    found = rig()
    for n in range(6):
        await one_task(found, (), n=n)
        found.live.keep_tally(str(Key("0" * 16, "ops", f"c{n}")), Tally(1.0, 0.0, found.now_s))
    assert len(found.engine.reader.learner._watched) == 3
    assert [k[-2:] for k in found.live.tallies] == ["c4", "c5"]


async def test_no_words_are_kept():
    found = rig()
    await one_task(found, GOOD)
    kept = f"{found.engine.reader.learner._watched} {found.live.tallies}"
    assert "parser" not in kept
    assert "srv" not in kept


def test_lifts_stand_beside_those_of_an_experience():
    found = rig()
    nothing = Experience(
        np.zeros(BUCKETS), 1.0, 0.5, ("coder-a", "fast-a"), np.zeros((BUCKETS, 2)), 10,
        np.zeros(BUCKETS), 0.0,
    )  # fmt: skip
    learner = found.engine.reader.learner
    found.engine.reader = Reader(experience=nothing, learner=learner)
    asked = found.incoming([HERE, {"role": "user", "content": "Fix the bug"}])
    key = Key(project_of(asked.prompt, "me"), found.engine.judge(asked).task.kind, "coder-a")
    found.live.keep_tally(str(key), Tally(0.0, 50.0, found.now_s))
    assert dict(found.engine.judge(asked).task.lifts) == {"coder-a": -0.1, "fast-a": 0.0}


def cached(found):
    """The same engine with a response cache that keeps everything."""
    shelf = MemoryShelf(found.clock, ttl_s=60.0, most=10**6)
    found.engine.cache = Cache(shelf, {}, max_entry=10**6)
    return {"cache": True}


async def test_a_kept_answer_teaches_once_however_often_it_is_given():
    found = rig()
    keep = cached(found)
    begin = [HERE, {"role": "user", "content": "Fix the bug in the parser"}]
    for said in (begin, begin, begin + EDIT, begin + EDIT + FAILS, begin + EDIT + FAILS, begin):
        await found.ask(said, session="s", openfusion=keep)
    assert [bad for _, bad in counts(found).values()] == [1.0]
    (who,) = found.engine.reader.learner._watched.values()
    assert who.bad


async def test_what_follows_a_kept_answer_is_not_held_against_who_answered_in_between():
    found = rig()
    keep = cached(found)
    begin = [HERE, {"role": "user", "content": "Fix the bug in the parser"}]
    only = {"candidates": ["coder-a"]}
    _, first = await found.ask(begin, session="s", openfusion={**keep, **only})
    other = {"candidates": ["reasoner-a"]}
    _, second = await found.ask(begin + EDIT, session="s", openfusion={**keep, **other})
    assert (first.answered_by, second.answered_by) == ("coder-a", "reasoner-a")
    _, again = await found.ask(begin, session="s", openfusion={**keep, **only})
    assert again.cached is not None
    # The person takes back what was done behind the kept answer; the other one's branch was left.
    undo = [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "undo that"}]
    await found.ask(begin + EDIT + EDIT + undo, session="s")
    assert counts(found) == {}
