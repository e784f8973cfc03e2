"""Short sessions with caches that expire, played by the policy and, for comparison, in every possible way.

Money is counted as a provider counts it (`cost.usd`): what was sent to this candidate in the last turn it served is
cached, until its time to live is over. The policy sees what it sees in service: the pin that the live state keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from hypothesis import strategies as st

from openfusion_auto.core import cost
from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Candidate, Needs, Policy, Pool, Price, Task
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.state import CacheRule, LiveState
from tests.support.pools import candidate

CHEAPEST = Policy(cost_quality=10.0)


@dataclass(frozen=True)
class Turn:
    """One question of a person: when it comes [s], how long prompt and answer are [tokens]."""

    at_s: float
    input: int
    output: int


@dataclass(frozen=True)
class Session:
    """A pool, how each upstream caches, and the turns in order."""

    pool: Pool
    rules: dict[str, CacheRule]
    turns: tuple[Turn, ...]

    def usage(self, turn: Turn, last: Turn | None, c: Candidate) -> Usage:
        """What a candidate reports for a turn, `last` being the turn that it served before."""
        rule, kept = self.rules[c.upstream], 0
        if last is not None and c.price.cache_read is not None:
            kept = last.input + last.output
            if kept < rule.min_tokens or turn.at_s > last.at_s + rule.ttl_s:
                kept = 0
        return Usage(turn.input, turn.output, min(kept, turn.input))


def played(session: Session) -> list[str]:
    """Return who the policy picks for each turn."""
    now = [0.0]
    live = LiveState(
        Clock(now=lambda: now[0]), {}, pin_ttl_s=1e9, cache_ttl_s=300.0, caches=session.rules
    )
    last: dict[str, Turn] = {}
    picks = []
    for turn in session.turns:
        now[0] = turn.at_s
        asked = Task(
            "bugfix", "medium", "medium", "user", Needs(tools=True, input_tokens=turn.input)
        )
        chosen = decide(asked, session.pool, live.snapshot("s"), CHEAPEST).ranking[0].candidate
        c = session.pool.by_id[chosen]
        live.pin("s", c, session.usage(turn, last.get(chosen), c))
        last[chosen] = turn
        picks.append(chosen)
    return picks


def dollars(session: Session, picks: list[str]) -> float:
    """Return what a session costs with these picks."""
    last: dict[str, Turn] = {}
    total = 0.0
    for turn, chosen in zip(session.turns, picks, strict=True):
        c = session.pool.by_id[chosen]
        total += cost.usd(c.price, session.usage(turn, last.get(chosen), c))
        last[chosen] = turn
    return total


def least(session: Session) -> float:
    """Return what the session costs when each turn's candidate is chosen best, by trying every assignment."""
    models, turns = session.pool.candidates, session.turns
    n, k = len(turns), len(models)
    # prices[t, last + 1, c]: turn t at c, whose last turn was `last` (-1: none).
    prices = np.full((n, n + 1, k), np.inf)
    for t, turn in enumerate(turns):
        for last in range(-1, t):
            for j, c in enumerate(models):
                before = turns[last] if last >= 0 else None
                prices[t, last + 1, j] = cost.usd(c.price, session.usage(turn, before, c))
    ways = np.arange(k**n)
    served = np.zeros((k, k**n), dtype=np.int64)  # each candidate's last turn, from 1; 0 = none yet
    total = np.zeros(k**n)
    for t in range(n):
        chosen = ways // k**t % k
        total += prices[t, served[chosen, ways], chosen]
        served[chosen, ways] = t + 1
    return float(total.min())


def built(among: Callable[[Sequence], Any], between: Callable[[int, int], int]) -> Session:
    """2 to 4 candidates of equal strength at their own upstreams, 4 to 9 turns over a growing prefix."""
    models, rules = [], {}
    for i in range(between(2, 4)):
        inp = among((0.1, 0.25, 0.5, 1.0, 1.25, 2.0, 3.0, 5.0))
        out = inp * among((2, 4, 5, 8))
        read = among((None, 0.1, 0.1, 0.25, 0.5))
        listed = Price(inp, out, None if read is None else inp * read)
        models.append(candidate(f"m{i}", upstream=f"up-{i}", price=listed))
        rules[f"up-{i}"] = CacheRule(
            among((60.0, 300.0, 300.0, 3600.0)), among((1024, 1024, 2048, 4096))
        )
    turns, at_s, sent = [], 0.0, among((2_000, 8_000, 20_000, 60_000))
    for _ in range(between(4, 9)):
        answer = between(200, 3_000)
        turns.append(Turn(at_s, sent, answer))
        sent += answer + between(50, 6_000)
        at_s += among((10.0, 30.0, 60.0, 120.0, 200.0, 400.0, 1_000.0))
    return Session(Pool(tuple(models), "sha256:drawn"), rules, tuple(turns))


def drawn(seed: int) -> Session:
    """The session of that number."""
    random = Random(seed)
    return built(random.choice, random.randint)


@st.composite
def sessions(draw) -> Session:
    """Sessions as hypothesis likes them: odd ones first."""
    return built(
        lambda options: draw(st.sampled_from(options)), lambda a, b: draw(st.integers(a, b))
    )


def report(against_best: int, against_staying: int) -> str:
    """Return how the policy does over drawn sessions: above the best of all assignments, and above staying."""
    over, switched = [], []
    for seed in range(max(against_best, against_staying)):
        session = drawn(seed)
        picks = played(session)
        if seed < against_best:
            over.append(dollars(session, picks) / least(session) - 1)
        if seed < against_staying:
            stays = dollars(session, [picks[0]] * len(picks))
            if len(set(picks)) > 1:
                switched.append(dollars(session, picks) / stays - 1)
    low, middle, high = (float(np.quantile(over, q)) for q in (0.0, 0.5, 0.95))
    return (
        f"{against_best} sessions, above the best of all assignments: mean {np.mean(over):.1%}, least {low:.1%}, "
        f"median {middle:.1%}, 95th percentile {high:.1%}, most {max(over):.1%}\n"
        f"{against_staying} sessions, above staying with the first choice: most {max([0.0, *switched]):.1%}; "
        f"{len(switched)} switch, mean {np.mean(switched):.1%}, from {min(switched):.1%}"
    )


if __name__ == "__main__":
    print(report(400, 4_400))
