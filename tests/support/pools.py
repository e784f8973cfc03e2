"""Small pools, tasks and states to read a test by, and the inputs of a decision as JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from openfusion_auto.core.prompt import Answer, ToolCall
from openfusion_auto.core.types import (
    Benchmark,
    Candidate,
    Needs,
    Performance,
    Plan,
    Policy,
    Pool,
    Price,
    Score,
    State,
    Step,
    Task,
    Term,
)

EVERYTHING = ("tools", "vision", "reasoning", "json_schema")


def candidate(id_: str, **changes: object) -> Candidate:
    """One candidate with everything known."""
    known = Candidate(
        id=id_,
        upstream="relay",
        model=f"vendor/{id_}",
        roles=("coder",),
        offers=EVERYTHING,
        price=Price(1.0, 4.0, 0.1, 1.25, "test", "2026-11-01"),
        context_tokens=200_000,
        max_output_tokens=32_000,
        performance=Performance(900.0, 60.0, "test", "2026-11-01"),
    )
    return replace(known, **changes)


def solves(percent: float) -> tuple[Benchmark, ...]:
    """Benchmarks of a model that solves about that share of issues [percent]."""
    return (
        Benchmark("swebench_verified_openhands", percent, 500, "test", "2026-11-01"),
        Benchmark("swt_bench_openhands", max(0.0, percent - 3), 433, "test", "2026-11-01"),
    )


def price(inp: float, out: float) -> Price:
    """A list price with a cached rate of a tenth."""
    return Price(inp, out, inp / 10, inp * 1.25, "test", "2026-11-01")


def pool(*candidates: Candidate) -> Pool:
    """A pool in the order of ids."""
    return Pool(tuple(sorted(candidates, key=lambda c: c.id)), "sha256:test")


FAST = candidate("fast-a", roles=("fast",), price=price(0.1, 0.4), benchmarks=solves(55))
CODER = candidate(
    "coder-a", roles=("coder", "writer"), price=price(0.5, 2.0), benchmarks=solves(72)
)
REASONER = candidate(
    "reasoner-a", roles=("reasoner", "coder"), price=price(2, 8), benchmarks=solves(79)
)
VERIFIER = candidate(
    "verifier-a", roles=("verifier", "reasoner"), price=price(3, 15), benchmarks=solves(82)
)
FOUR = pool(FAST, CODER, REASONER, VERIFIER)
# Of one strength: nobody is too weak for a panel.
EVEN = pool(*(candidate(f"even-{i}", benchmarks=solves(70 + i)) for i in range(4)))


def task(**changes: object) -> Task:
    """An ordinary bugfix turn of 8,000 tokens."""
    return replace(Task("bugfix", "medium", "medium", "user", Needs(input_tokens=8_000)), **changes)


def call(name: str = "run", arguments: str = '{"cmd": "ls"}', id_: str = "c1") -> ToolCall:
    """A tool call."""
    return ToolCall(id_, name, arguments)


def said(text: str) -> Answer:
    """A plain answer."""
    return Answer(text, finish="stop")


@dataclass(frozen=True)
class Written:
    """A table of terms, written down row by row."""

    rows: tuple[tuple[Term, ...], ...]

    def terms(self, row: int) -> tuple[Term, ...]:
        return self.rows[row]


def scored(id_: str, *, points: float = 0.5) -> Score:
    """A ranked candidate of one term."""
    table = Written(((Term("price", 0.01, "usd/turn", points, 1.0, points, "test"),),))
    return Score(id_, f"vendor/{id_}", 0.01, points, 0, table)


def plan(*steps: tuple[str, tuple[str, ...]]) -> Plan:
    """A plan of (phase, candidates)."""
    return Plan(tuple(Step(phase, ids) for phase, ids in steps), 0.01, 0.05)


@dataclass(frozen=True)
class Inputs:
    """The four values that a decision is a function of."""

    task: Task
    pool: Pool
    state: State
    policy: Policy


INPUTS = TypeAdapter(Inputs)
