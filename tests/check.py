"""Everything that CI runs, in one command: `python tests/check.py`. Stops at the first failure and says how to rerun it.

`python tests/check.py lint types` runs only those steps; `--list` names all. Coverage is judged apart from the tests:
98 % of the lines and of the branches of `core/` and `wire/`, 93 % of the whole package.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
SLOW = "slow or packaging or clients"  # `bench` is left to a quiet machine: pytest -m bench
FAST = f"not ({SLOW} or bench)"
STRICT = ("openfusion_auto/core/", "openfusion_auto/wire/")
STRICT_PERCENT = 98.0
ALL_PERCENT = 93.0


class Counts(NamedTuple):
    """Tests of one pytest run, by how they ended."""

    passed: int = 0
    skipped: int = 0

    def __add__(self, other: object) -> Counts:
        """Add two runs up."""
        assert isinstance(other, Counts)
        return Counts(self.passed + other.passed, self.skipped + other.skipped)


class Share(NamedTuple):
    """What is covered of how much: lines and branches."""

    lines: int = 0
    of_lines: int = 0
    branches: int = 0
    of_branches: int = 0

    @property
    def percent(self) -> float:
        """The lower of the two shares [percent]; nothing to cover counts as covered."""
        lines = 100 * self.lines / self.of_lines if self.of_lines else 100.0
        branches = 100 * self.branches / self.of_branches if self.of_branches else 100.0
        return min(lines, branches)


@dataclass(frozen=True)
class Step:
    """One thing to check: a command, or a function that returns the problems it found."""

    name: str
    command: tuple[str, ...] = ()
    judge: Callable[[Path], list[str]] | None = None


def module(*command: str) -> tuple[str, ...]:
    """Return the command that runs a Python module with this interpreter."""
    return (PYTHON, "-m", *command)


def pytest_step(
    name: str, marks: str, report: Path, *more: str, within: Sequence[str] = ()
) -> Step:
    """Return a step that runs the tests with these marks, inside a module that runs modules; counts go to `report`."""
    counts = f"--junit-xml={report / (name + '.xml')}"
    pytest = ("pytest", "-q", "-m", marks, counts, *more)
    return Step(name, module(*within, "-m", *pytest) if within else module(*pytest))


def measured(report: Path) -> tuple[str, ...]:
    """Return the module that measures what the tests cover, with its options.

    SlipCover writes its counters into the code and takes them out once they have counted: on the tests of `core/` a
    third of what tracing (coverage.py before Python 3.14) costs, with the same shares of lines and branches.
    """
    out = str(report / "coverage.json")
    return ("slipcover", "--branch", "--source", "openfusion_auto", "--json", "--out", out)


def steps(report: Path) -> list[Step]:
    """Return what is run, in order, the quickest first."""
    return [
        Step("format", module("ruff", "format", "--check", ".")),
        Step("lint", module("ruff", "check", ".")),
        Step("types", module("mypy")),
        Step("imports", (str(Path(PYTHON).with_name("lint-imports")),)),
        pytest_step("tests", FAST, report, "-n", "3", within=measured(report)),
        Step("coverage", judge=lambda folder: coverage_problems(read_coverage(folder))),
        # Mostly programs that wait for one another: a machine with one processor gains, too.
        pytest_step("slow", SLOW, report, "-n", "2"),
    ]


def read_coverage(report: Path) -> Mapping[str, Share]:
    """Return file -> share from the JSON report."""
    files = json.loads((report / "coverage.json").read_text(encoding="utf-8"))["files"]
    return {name.replace("\\", "/"): share_of(file["summary"]) for name, file in files.items()}


def share_of(counted: Mapping[str, int]) -> Share:
    """Return the share of one file from its counts of what was covered and what was missed."""
    lines, branches = counted["covered_lines"], counted["covered_branches"]
    return Share(
        lines, lines + counted["missing_lines"], branches, branches + counted["missing_branches"]
    )


def add_up(shares: Sequence[Share]) -> Share:
    """Return the sum of shares."""
    return Share(*(sum(column) for column in zip(*shares, strict=True))) if shares else Share()


def coverage_problems(files: Mapping[str, Share]) -> list[str]:
    """Return one line for each bound that is missed, the weakest files of it named."""
    problems = []
    for prefix, wanted in (*((p, STRICT_PERCENT) for p in STRICT), ("", ALL_PERCENT)):
        inside = {n: s for n, s in files.items() if n.startswith(prefix)}
        share = add_up(list(inside.values()))
        name = prefix or "the whole package"
        print(f"  {name:<24} {share.percent:6.2f} %  (at least {wanted:g} %)")
        if not inside:
            problems.append(f"{name}: nothing was measured")
        elif share.percent < wanted:
            weak = sorted(inside, key=lambda n: inside[n].percent)[:5]
            shown = ", ".join(f"{n} {inside[n].percent:.1f}" for n in weak)
            problems.append(f"{name}: {share.percent:.2f} %, at least {wanted:g} % ({shown})")
    return problems


def read_counts(report: Path) -> Counts:
    """Return the counts of all pytest runs so far."""
    total = Counts()
    for file in report.glob("*.xml"):
        # Written by pytest a moment ago: trusted.
        for suite in ET.parse(file).getroot().iter("testsuite"):
            ran, skipped = int(suite.get("tests", "0")), int(suite.get("skipped", "0"))
            bad = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
            total += Counts(ran - skipped - bad, skipped)
    return total


def with_bytecode() -> dict[str, str]:
    """Return this environment, with compiled modules kept: hundreds of tests start a process that imports them."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def run(step: Step, report: Path) -> bool:
    """Run one step and print how long it took; False when it failed."""
    print(f"\n=== {step.name}: {shlex.join(step.command) or 'thresholds'}", flush=True)
    began_s = time.perf_counter()
    if step.judge is not None:
        problems = step.judge(report)
        print("\n".join(problems), end="\n" if problems else "")
        good = not problems
    else:
        good = (
            subprocess.run(step.command, cwd=ROOT, env=with_bytecode(), check=False).returncode == 0
        )
    took_s = time.perf_counter() - began_s
    print(f"=== {step.name} {'ok' if good else 'FAILED'} in {took_s:.1f} s", flush=True)
    return good


def rerun_of(step: Step) -> str:
    """Return the command that runs a failed step again, from the root of the checkout."""
    python = Path(PYTHON)
    shown = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    names = [step.name] if step.judge is None else ["tests", step.name]
    return shlex.join([str(shown), "tests/check.py", *names])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the steps that are named, or all; 0 when every one passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("steps", nargs="*", help="only these steps, in this script's order")
    parser.add_argument("--list", action="store_true", help="name the steps and end")
    asked = parser.parse_args(argv)
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        every = steps(Path(folder))
        unknown = set(asked.steps) - {s.name for s in every}
        if unknown:
            parser.error(f"no such step: {', '.join(sorted(unknown))}")
        if asked.list:
            print("\n".join(f"{s.name:<10} {shlex.join(s.command)}".rstrip() for s in every))
            return 0
        chosen = [s for s in every if not asked.steps or s.name in asked.steps]
        for step in chosen:
            if not run(step, Path(folder)):
                print(f"=== {step.name} failed; run it again with: {rerun_of(step)}", flush=True)
                return 1
        counts = read_counts(Path(folder))
    names = ", ".join(s.name for s in chosen)
    took_s = time.perf_counter() - began_s
    print(
        f"=== all passed: {names}; {counts.passed} passed, {counts.skipped} skipped in {took_s:.2f}s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
