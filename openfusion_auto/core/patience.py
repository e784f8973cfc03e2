"""How long a panel waits for its members: from what each is expected to take, by its live numbers.

A member is expected to take its time to the first token and then its output at its own rate: live numbers blended with
the pool's. The faster half of the members gives the typical time; a straggler is cut relative to that. Nothing is
waited for longer than the operator allows (`auto.panel_wait_s`).
"""

from __future__ import annotations

from statistics import median

from openfusion_auto.core import cost
from openfusion_auto.core.live import live
from openfusion_auto.core.strategy import Patience
from openfusion_auto.core.types import Candidate, Pool, State, Step, Task

QUORUM = 2  # answers with which a panel can decide; the others get the grace time
GRACE = 0.5  # of the typical time, once the quorum is there
GRACE_S = (2.0, 20.0)  # [s] bounds of the grace time
LIMIT = 4.0  # times the typical time: who takes longer is stalled, not slow
LEAST_S = 15.0  # [s] limit for fast members: a queue or a cold start is not yet a stall
USUAL_TTFT_MS, USUAL_TPS = 1_500.0, 50.0  # where nothing is known; middles of the shipped pool


def patience(
    steps: tuple[Step, ...], task: Task, pool: Pool, state: State, wait_s: float
) -> Patience:
    """Return how long the members of a plan are waited for.

    Args:
        steps: The plan's.
        task: For the length of an answer.
        pool: The candidates.
        state: Live numbers.
        wait_s: The operator's limit [s].
    """
    members = [pool.get(s.candidates[0]) for s in steps if s.phase == "member"]
    took_s = sorted(expected_s(c, task, state) for c in members if c is not None)
    typical_s = median(took_s[: max(1, (len(took_s) + 1) // 2)]) if took_s else 0.0
    low, high = GRACE_S
    limit_s = min(wait_s, max(LEAST_S, LIMIT * typical_s))
    grace_s = min(limit_s, max(low, min(high, GRACE * typical_s)))
    return Patience(max(1, min(QUORUM, len(members))), round(grace_s, 3), round(limit_s, 3))


def expected_s(candidate: Candidate, task: Task, state: State) -> float:
    """Return what an answer of a candidate is expected to take [s]."""
    known, prior = state.stats.get(candidate.id), candidate.performance
    ttft_ms = live(known, prior.ttft_ms_p50 if prior else None, "ttft")[0]
    tokens_per_s = live(known, prior.tokens_per_s_p50 if prior else None, "tps")[0]
    writing_s = cost.output_tokens(task) / (tokens_per_s or USUAL_TPS)
    return (ttft_ms or USUAL_TTFT_MS) / 1000 + writing_s
