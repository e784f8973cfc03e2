"""Runs a recipe: all the waiting in one place."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

from openfusion_auto.core.recipes import Ask, Gather, Outcome, Reply, Step
from openfusion_auto.errors import UpstreamTimeout

Perform = Callable[[Ask], Awaitable[Reply]]


async def drive(recipe: Step, perform: Perform) -> Outcome:
    """Play `recipe` to its end: each ask goes to `perform`, its reply back into the recipe.

    Cancelling this cancels every call in flight and waits until they have let go.
    """
    try:
        step = next(recipe)
        while True:
            replies = (
                (await perform(step),) if isinstance(step, Ask) else await gather(step, perform)
            )
            step = recipe.send(replies)
    except StopIteration as end:
        outcome: Outcome = end.value
        return outcome
    finally:
        recipe.close()


async def gather(step: Gather, perform: Perform) -> tuple[Reply, ...]:
    """Ask all at once; after the quorum of answers give the others their grace, then cut them.

    At the limit everybody is cut as soon as there is an answer, quorum or not.

    Returns:
        One reply per ask, in the order of the asks; a straggler's holds an error.
    """
    tasks = [asyncio.ensure_future(perform(ask)) for ask in step.asks]
    loop = asyncio.get_running_loop()
    limit_at = loop.time() + (math.inf if step.limit_s is None else step.limit_s)
    cut_at = math.inf
    try:
        pending = set(tasks)
        while pending:
            here = answers(tasks)
            if here >= step.quorum:
                cut_at = min(cut_at, loop.time() + step.grace_s)
            end_at = min(cut_at, limit_at) if here else math.inf
            left_s = None if end_at == math.inf else max(0.0, end_at - loop.time())
            done, pending = await asyncio.wait(
                pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
            )
            if not done or any(defect(t) for t in done):
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return tuple(reply_of(ask, task) for ask, task in zip(step.asks, tasks, strict=True))


def answers(tasks: Sequence[asyncio.Future[Reply]]) -> int:
    """Count the tasks that ended with an answer."""
    return sum(
        1
        for t in tasks
        if t.done()
        and not t.cancelled()
        and t.exception() is None
        and t.result().answer is not None
    )


def defect(task: asyncio.Future[Reply]) -> bool:
    """Whether a task ended by a defect of ours: no other answer can heal that, so nobody waits for one."""
    return not task.cancelled() and task.exception() is not None


def reply_of(ask: Ask, task: asyncio.Future[Reply]) -> Reply:
    """Return what came of one member; a defect of ours is raised."""
    if task.cancelled():
        late = UpstreamTimeout("slower than the other members", code="straggler")
        return Reply(ask.phase, ask.candidates[0], error=late)
    return task.result()
