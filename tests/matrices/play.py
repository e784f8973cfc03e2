"""Runs the tests that play ids of the matrices, and keeps what became of each: a plugin for pytest.

`matched` says which ids a test plays; a test that plays none is left out. The words of a test's parameters say in which
dialect and form: `F12-responses-stream`. `test_faults.py` has chat alone, and says `json` for a whole answer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from tests.matrices.rows import Row

DIALECTS = ("chat", "responses", "messages")
FORMS = ("whole", "stream")
Key = tuple[str, str]  # (matrix, id)
Form = tuple[str, str]  # (dialect, form), empty where there is none


@dataclass
class Outcome:
    """What became of the tests of one id in one form."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    left_out: int = 0

    @property
    def word(self) -> str:
        """The cell of the table."""
        if self.failed:
            return "FAIL"
        return "ok" if self.passed else "-"


def matched(node: str, rows: Iterable[Row]) -> list[Row]:
    """Return the ids that a test plays."""
    test, _, parameters = node.partition("[")
    words = set(re.split(r"[-\]]", parameters))
    return [
        row
        for row in rows
        for where in row.tests
        if where.test == test and (row.id in words or not where.each)
    ]


def form_of(node: str, row: Row) -> Form:
    """Return in which dialect and form a test plays an id; empty for what has none."""
    if not row.forms:
        return "", ""
    words = re.split(r"[-\]]", node.partition("[")[2])
    dialect = next((d for d in DIALECTS if d in words), "chat")
    return dialect, "stream" if "stream" in words else "whole"


class Plugin:
    """Takes what plays an id, and keeps the outcomes."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.found: dict[Key, dict[Form, Outcome]] = defaultdict(lambda: defaultdict(Outcome))
        self.tests = 0

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Leave out what plays none."""
        kept = [item for item in items if matched(item.nodeid, self.rows)]
        left = [item for item in items if not matched(item.nodeid, self.rows)]
        config.hook.pytest_deselected(items=left)
        items[:] = kept
        self.tests = len(kept)
        for item in kept:
            for row in matched(item.nodeid, self.rows):
                self.found[row.matrix, row.id][form_of(item.nodeid, row)].left_out += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what became of a test."""
        if report.when != "call" and report.passed:
            return
        for row in matched(report.nodeid, self.rows):
            outcome = self.found[row.matrix, row.id][form_of(report.nodeid, row)]
            if report.failed:
                outcome.failed.append(report.nodeid)
            elif report.passed:
                outcome.passed += 1
                outcome.left_out -= 1

    def without_a_test(self) -> list[Row]:
        """Return the ids that no test plays."""
        return [row for row in self.rows if not self.found.get((row.matrix, row.id))]


def files(rows: Iterable[Row]) -> list[str]:
    """Return the modules of the tests."""
    return sorted({where.test.partition("::")[0] for row in rows for where in row.tests})
