"""Runs probes: side by side, bounded, each with its time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from openfusion_auto.evals.compat.asking import Target, ask
from openfusion_auto.evals.compat.outcome import Finding, Result, Unknown, objects, read
from openfusion_auto.evals.compat.probes import PROBES, Probe, refused

AT_ONCE = 8  # probes
TIMEOUT_S = 30.0  # [s] of a probe, which may ask twice
AUTO = "openfusion/auto"


class Column(NamedTuple):
    """What was found at one gateway, in the order of the probes."""

    target: Target
    results: Sequence[Result]

    @property
    def sound(self) -> bool:
        """Whether nothing failed and something passed: a gateway that is not there passes nothing."""
        outcomes = [r.outcome for r in self.results]
        return "fail" not in outcomes and "pass" in outcomes


async def run(
    targets: Sequence[Target],
    probes: Sequence[Probe] = PROBES,
    *,
    timeout_s: float = TIMEOUT_S,
    at_once: int = AT_ONCE,
    step: Callable[[str], None] = lambda _said: None,
) -> list[Column]:
    """Run every probe at every gateway.

    Args:
        targets: The gateways.
        probes: What is asked.
        timeout_s: Time of one probe [s].
        at_once: Probes under way, of all gateways together.
        step: Called after each probe with its name and the gateway's.
    """
    room = asyncio.Semaphore(at_once)

    async def one(target: Target, probe: Probe) -> Result:
        async with room:
            result = await play(target, probe, timeout_s)
        step(f"{probe.id}  {target.name}")
        return result

    async with asyncio.TaskGroup() as group:
        tasks = [[group.create_task(one(t, p)) for p in probes] for t in targets]
    return [
        Column(t, [task.result() for task in row]) for t, row in zip(targets, tasks, strict=True)
    ]


async def play(target: Target, probe: Probe, timeout_s: float) -> Result:
    """Return what one probe finds."""
    try:
        async with asyncio.timeout(timeout_s):
            await probe.run(target)
    except Finding as found:
        return Result(probe.id, found.outcome, str(found))
    except TimeoutError:
        return Result(probe.id, "fail", f"no end within {timeout_s:g} s")
    return Result(probe.id, "pass")


async def listed(target: Target, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Return the models that a gateway lists; none when it lists none.

    Raises:
        Unknown: nobody there, no answer in time, or the key is refused.
    """
    try:
        async with asyncio.timeout(timeout_s):
            answer = await ask(target, None, "/models", None)
            if answer.status != 200:
                refused(answer, optional=True)
            rows = objects(read(answer.raw, "the answer"), "data")
    except TimeoutError:
        raise Unknown(f"no answer within {timeout_s:g} s") from None
    except Unknown:
        raise
    except Finding:
        return []
    return [i for i in (row.get("id") for row in rows) if isinstance(i, str)]


def only_model(names: Sequence[str]) -> str | None:
    """Return the model to ask for when nobody named one: ours, or the only one; None when there is a choice."""
    if AUTO in names:
        return AUTO
    return names[0] if len(names) == 1 else None
