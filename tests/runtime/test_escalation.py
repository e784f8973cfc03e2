"""A session's story: it stays, moves to a stronger model when it fails again and again, and comes back."""

from openfusion_auto.core.types import Policy
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import CODER, REASONER, pool
from tests.support.rig import Rig
from tests.support.steps import EDIT, FAILS, step

READ = step("read", '{"path": "a.py"}', "1 def f(): ...", "r")
TRIES = [*READ, *EDIT, *FAILS]
ASKED = [{"role": "user", "content": "Fix the rounding in the totals"}]


def answered(words):
    return [{"role": "assistant", "content": "Done."}, {"role": "user", "content": words}]


async def story(*parts):
    """Who answers after each part of a conversation, and the last trace."""
    found = Rig(
        lambda _: Reply("Done."),
        pool=pool(CODER, REASONER),
        policy=Policy(mode="single", cost_quality=8.5),
    )
    said, who, trace = [], [], None
    for part in parts:
        said = said + part
        _, trace = await found.ask(said, session="s")
        who.append(trace.answered_by)
    return who, trace


async def test_a_loop_that_fails_the_same_way_moves_up_once_and_the_next_task_comes_back():
    who, _ = await story(ASKED, TRIES, TRIES, TRIES, READ, answered("Now rename the total to sum"))
    assert who == ["coder-a", "coder-a", "coder-a", "reasoner-a", "reasoner-a", "coder-a"]


async def test_a_person_who_says_twice_that_it_still_fails_is_heard():
    who, trace = await story(
        ASKED, answered("still broken"), answered("no, same error"), READ, TRIES
    )
    assert who == ["coder-a", "coder-a", "reasoner-a", "reasoner-a", "reasoner-a"]
    assert trace.decision.task.struggle == "the person said 2 times that it still fails"
    back, _ = await story(
        ASKED, answered("still broken"), answered("same error"), answered("Thanks! Rename f to g")
    )
    assert back[-2:] == ["reasoner-a", "coder-a"]


async def test_the_candidate_that_is_brought_in_is_said():
    _, trace = await story(ASKED, TRIES, TRIES, TRIES)
    assert (
        "coder-a is stuck (the same error 3 times): reasoner-a is brought in for this task"
        in trace.decision.reasons
    )
