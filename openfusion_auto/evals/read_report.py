"""How well requests are read: `python -m openfusion_auto.evals.read_report FILE [FILE ...] [--json]`.

Each line of a file is a labelled request (`tests/reading/README.md`). Shares of right readings for kind (a kind of
`kind_also` counts), risk, complexity and the mode that follows from them, the recall of high risk, each per language
too, and which kind and risk were taken for which.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from openfusion_auto.core.classify import read
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.types import KINDS, LEVELS
from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.jsonl import objects
from openfusion_auto.wire.chat_request import parse_request

AXES = ("kind", "risk", "complexity", "mode")


class Case(NamedTuple):
    """One labelled request and how it was read."""

    lang: str
    also: tuple[str, ...]
    wanted: Mapping[str, str]
    got: Mapping[str, str]

    def right(self, axis: str) -> bool:
        """Whether an axis was read as labelled, or as a kind that counts as right too."""
        return self.got[axis] == self.wanted[axis] or (
            axis == "kind" and self.got[axis] in self.also
        )


class Figures(NamedTuple):
    """Shares of right readings over some cases; `high_recall` is None where none is of high risk."""

    n: int
    kind: float
    risk: float
    high_recall: float | None
    complexity: float
    mode: float


def mode_of(kind: str, risk: str, complexity: str) -> ModeName:
    """Return the mode that follows from a reading, before prices and candidates are looked at."""
    if kind in ("aux", "chat"):
        return "single"
    if risk == "high":
        return "panel" if complexity == "high" else "verify"
    return "verify" if (risk, complexity) == ("medium", "high") else "single"


def case_of(row: Mapping[str, object], where: str) -> Case:
    """Read one labelled request.

    Raises:
        ConfigError: labels or messages are missing or not of the set.
    """
    labels = {axis: row.get(axis) for axis in ("kind", "risk", "complexity")}
    allowed = {"kind": KINDS, "risk": LEVELS, "complexity": LEVELS}
    for axis, label in labels.items():
        if label not in allowed[axis]:
            raise ConfigError(f"{where}: {axis} must be one of {', '.join(allowed[axis])}")
    messages, also = row.get("messages"), row.get("kind_also", [])
    if not isinstance(messages, list) or not isinstance(also, list):
        raise ConfigError(f"{where}: messages and kind_also must be lists")
    body = json.dumps({"model": "openfusion/auto", "messages": messages})
    task = read(parse_request(body.encode()))
    wanted = {axis: str(label) for axis, label in labels.items()}
    got = {"kind": task.kind, "risk": task.risk, "complexity": task.complexity}
    return Case(
        lang=str(row.get("lang", "en")),
        also=tuple(map(str, also)),
        wanted={**wanted, "mode": mode_of(**wanted)},
        got={**got, "mode": mode_of(**got)},
    )


def cases_of(paths: Iterable[Path]) -> list[Case]:
    """Read the labelled requests of files.

    Raises:
        ConfigError: a file cannot be read, or a line is no labelled request.
    """
    cases = [case_of(row, where) for path in paths for where, row in objects(path)]
    if not cases:
        raise ConfigError("there is no labelled request in these files")
    return cases


def figures(cases: Sequence[Case]) -> Figures:
    """Return the shares over cases, of which there is one at least."""
    shares = {axis: sum(c.right(axis) for c in cases) / len(cases) for axis in AXES}
    high = [c for c in cases if c.wanted["risk"] == "high"]
    recall = sum(c.right("risk") for c in high) / len(high) if high else None
    return Figures(len(cases), high_recall=recall, **shares)


def by_language(cases: Sequence[Case]) -> dict[str, Figures]:
    """Return the figures of each language, the most frequent first."""
    counts = Counter(c.lang for c in cases)
    return {
        lang: figures([c for c in cases if c.lang == lang])
        for lang, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    }


def confusion(cases: Sequence[Case], axis: str) -> dict[str, dict[str, int]]:
    """Return how often each label of an axis was read as what; a kind that counts too is put where it is right."""
    table: dict[str, dict[str, int]] = {}
    for case in cases:
        wanted = case.wanted[axis]
        got = wanted if case.right(axis) else case.got[axis]
        row = table.setdefault(wanted, {})
        row[got] = row.get(got, 0) + 1
    return table


def report(cases: Sequence[Case]) -> str:
    """Return the report as text."""
    lines = ["              n   kind   risk  high  compl   mode"]
    lines += [
        _row(name, found) for name, found in (("all", figures(cases)), *by_language(cases).items())
    ]
    for axis in ("kind", "risk", "complexity"):
        names = [
            n
            for n in (KINDS if axis == "kind" else LEVELS)
            if any(n in (c.wanted[axis], c.got[axis]) for c in cases)
        ]
        table = confusion(cases, axis)
        lines += ["", f"{axis}: labelled (rows) and read (columns)"]
        lines.append(" " * 10 + "".join(f"{n[:8]:>9}" for n in names))
        lines += [
            f"{wanted:<10}" + "".join(f"{table.get(wanted, {}).get(got, 0):>9}" for got in names)
            for wanted in names
        ]
    return "\n".join(lines) + "\n"


def _row(name: str, found: Figures) -> str:
    recall = "    -" if found.high_recall is None else f"{found.high_recall:5.2f}"
    start = f"{name:<10}{found.n:>5}  {found.kind:5.2f}  {found.risk:5.2f}"
    return f"{start} {recall}  {found.complexity:5.2f}  {found.mode:5.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print how well the requests of some files are read; 2 when a file is not what it should be."""
    parser = argparse.ArgumentParser(
        prog="read_report", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "files", nargs="+", type=Path, help="labelled requests, one JSON object a line"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(argv)
    try:
        cases = cases_of(asked.files)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if asked.json:
        told = {
            "all": figures(cases)._asdict(),
            "languages": {lang: f._asdict() for lang, f in by_language(cases).items()},
            "confusion": {axis: confusion(cases, axis) for axis in ("kind", "risk", "complexity")},
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write(report(cases))
    return 0


if __name__ == "__main__":
    sys.exit(main())
