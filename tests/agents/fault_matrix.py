"""Every fault of the scripted upstream, once in a task, with every agent: each run must end with the task done.

    python -m tests.agents.fault_matrix                                      all faults, agents and upstreams
    python -m tests.agents.fault_matrix --write docs/reference/failures.md   keeps the grid in the page

The faults are those of `tests/agents/faults.py`; the agents stand under $OPENFUSION_TEST_AGENTS (see `matrix.py`). A cell
says who mended: `done`, the router, and the agent saw nothing; `again`, the agent, which was told of a failure and asked again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import openfusion_auto
from tests.agents.agents import PREFIX, TASK, Agent, Aider, variants
from tests.agents.faults import Fault
from tests.agents.matrix import Stack, stack
from tests.agents.say import DIALECTS
from tests.agents.session import environment, judge, place, run

ABOUT = {
    "503": "status 503",
    "429": "status 429, no Retry-After",
    "empty": "empty answer",
    "cut": "cut",
    "eof": "clean end",
    "fail": "error event",
}
WHERE = {
    "": "instead of an answer",
    "first": "before the first byte",
    "text": "inside the text",
    "call": "inside a call, after text",
    "bare": "inside a call, no text",
}
EVERY = (
    *(Fault(kind) for kind in ("503", "429", "empty")),
    *(Fault(kind, place) for kind in ("cut", "eof", "fail") for place in WHERE if place),
)


class Cell(NamedTuple):
    """One run: which agent, fault and upstream."""

    agent: Agent
    fault: Fault
    dialect: str


class Ran(NamedTuple):
    """How a run went: what is wrong (nothing for a pass) and how many failures the agent was told of."""

    wrong: str
    told: int = 0

    @property
    def word(self) -> str:
        """The cell of the grid."""
        return "FAILS" if self.wrong else "again" if self.told else "done"


def agents() -> tuple[Agent, ...]:
    """Return the agents that the matrix is about, each in the way it is mostly used."""
    wanted = ("codex (no catalog)", "claude-code", "opencode (openai-compatible)", "aider (diff)")
    found = {a.label: a for a in variants()}
    return tuple(found[label] for label in wanted)


def cells(who: Sequence[Agent], faults: Sequence[Fault], dialects: Sequence[str]) -> list[Cell]:
    """Return what is to be run; who has no tools calls none."""
    return [
        Cell(a, f, d)
        for d in dialects
        for f in faults
        for a in who
        if not (f.needs_calls and isinstance(a, Aider))
    ]


def play(cell: Cell, prefix: Path, at: Stack) -> Ran:
    """Run one cell."""
    at.upstream.forget()
    before = failures(at)
    text = f"{TASK} [[script:simple]] {cell.fault.mark(uuid.uuid4().hex[:12])}"
    with place(prefix, at.url) as here:
        env = environment(here, cell.agent.settle(here))
        ended = run(cell.agent.command(here, text, again=False), here, env)
        good = [entry for entry in at.upstream.journal if not entry.fault]
        wrong = judge(cell.agent, "simple", here.repo, ended, good)
    if not wrong and len(at.upstream.journal) - len(good) != 1:
        wrong = "the fault was not played once"
    return Ran(f"{wrong}\n{ended.output[-1500:]}" if wrong else "", failures(at) - before)


def failures(at: Stack) -> int:
    """Return how many requests the router has answered with an error so far."""
    with urlopen(f"{at.url}/v1/traces?outcome=error&limit=200", timeout=10) as answer:
        return len(json.load(answer)["data"])


def run_all(todo: Sequence[Cell], prefix: Path) -> dict[Cell, Ran]:
    """Run cells, the upstreams side by side; a router for each fault, so that no breaker opens by the one before."""

    def one_dialect(dialect: str) -> dict[Cell, Ran]:
        found = {}
        own = [c for c in todo if c.dialect == dialect]
        for fault in dict.fromkeys(c.fault for c in own):
            with stack(dialect) as at:
                for cell in (c for c in own if c.fault == fault):
                    ran = found[cell] = play(cell, prefix, at)
                    head = f"{dialect:<10} {fault.name:<10} {cell.agent.label:<30}"
                    print(f"{head} {ran.wrong or ran.word}", file=sys.stderr, flush=True)
        return found

    dialects = list(dict.fromkeys(c.dialect for c in todo))
    with ThreadPoolExecutor(max(1, len(dialects))) as pool:
        return {c: ran for part in pool.map(one_dialect, dialects) for c, ran in part.items()}


# -- what is printed --------------------------------------------------------------------------------------------------


def rows(results: Mapping[Cell, Ran]) -> list[list[str]]:
    """Return the grid: a row for each fault, a column for each agent, in a cell a word for each upstream."""
    who = list(dict.fromkeys(c.agent for c in results))
    dialects = list(dict.fromkeys(c.dialect for c in results))
    lines = [["fault, once", "where", *(a.name for a in who)]]
    for fault in dict.fromkeys(c.fault for c in results):
        shown = []
        for agent in who:
            words = [r.word for d in dialects if (r := results.get(Cell(agent, fault, d)))]
            shown.append(" ".join(words if len(set(words)) > 1 else words[:1]) or "-")
        lines.append([ABOUT[fault.kind], WHERE.get(fault.place, fault.place), *shown])
    return lines


def grid(results: Mapping[Cell, Ran]) -> str:
    """Return the grid as plain text, its columns in line."""
    lines = rows(results)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def summary(results: Mapping[Cell, Ran]) -> str:
    """Return the last line."""
    bad = sum(bool(r.wrong) for r in results.values())
    again = sum(r.word == "again" for r in results.values())
    return (
        f"{len(results)} runs: {len(results) - bad} ended with the task done "
        f"({len(results) - bad - again} mended unseen, {again} after the agent asked again), {bad} failed"
    )


BEGIN, END = "<!-- agents -->\n", "<!-- /agents -->\n"
SECTION = """
`python -m tests.agents.fault_matrix --write docs/reference/failures.md` ran them on {date} with openfusion_auto {version}:
{versions}. The upstream failed once in a task; it spoke {dialects}; there were two candidates.
`done`: the router mended it, the agent saw nothing. `again`: text was out already, so the agent was told of the failure, and asked
again by itself. A run counts when the program it wrote does what was asked, the agent shows its last word and ends with exit
code 0, and the model played each step of the task once beside the failed one.

{table}

**{summary}.**

"""


def section(results: Mapping[Cell, Ran], today: dt.date) -> str:
    """Return the part of the page about agents."""
    lines = rows(results)
    lines.insert(1, ["---"] * len(lines[0]))
    who = dict.fromkeys(c.agent for c in results)
    return SECTION.format(
        date=today.isoformat(),
        version=openfusion_auto.__version__,
        versions=", ".join(f"{a.name} {a.version}" for a in who),
        dialects=", ".join(dict.fromkeys(c.dialect for c in results)) + ", a run with each",
        table="\n".join("| " + " | ".join(line) + " |" for line in lines),
        summary=summary(results),
    )


def write(file: Path, text: str) -> None:
    """Put the part into the page between its marks."""
    page = file.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    file.write_text(head + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 when every run ended with the task done."""
    known = {f.name: f for f in EVERY}
    who = {a.name: a for a in agents()}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--agents", nargs="+", choices=list(who), default=list(who))
    parser.add_argument("--faults", nargs="+", choices=list(known), default=list(known))
    parser.add_argument("--upstreams", nargs="+", choices=list(DIALECTS), default=list(DIALECTS))
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the grid into the page")
    given = parser.parse_args(argv)
    prefix = Path(os.environ.get(PREFIX) or os.devnull)
    absent = [n for n in given.agents if not who[n].program(prefix).exists()]
    if absent:
        parser.error(f"not installed under ${PREFIX}: {', '.join(absent)}; see tests.agents.matrix")
    todo = cells([who[n] for n in given.agents], [known[n] for n in given.faults], given.upstreams)
    found = run_all(todo, prefix)
    results = {cell: found[cell] for cell in todo}
    print(f"{grid(results)}\n\n{summary(results)}")
    if given.write:
        write(given.write, section(results, dt.datetime.now(tz=dt.UTC).date()))
    return 1 if any(r.wrong for r in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
