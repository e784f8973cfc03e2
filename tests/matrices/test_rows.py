"""Every id of the matrices has a test, in every form in which it exists; the table says what became of it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.matrices.__main__ import main, summary, table
from tests.matrices.play import Plugin, form_of, matched
from tests.matrices.rows import Row, all_of, each, rows
from tests.support.faulty import FAULTS
from tests.support.inner import inner_environment

ROOT = Path(__file__).resolve().parents[2]


class Report:
    """What pytest tells of a test."""

    def __init__(self, nodeid, outcome="passed"):
        self.nodeid, self.when = nodeid, "call"
        self.passed, self.failed = outcome == "passed", outcome == "failed"


def test_the_ids_are_those_of_the_lists_and_each_stands_once():
    found = rows()
    assert max(Counter((r.matrix, r.id) for r in found).values()) == 1
    assert {r.id for r in found if r.matrix == "fault"} >= set(FAULTS)
    assert {r.n for r in found if r.matrix == "fault"} == set(range(1, 31))
    assert {r.n for r in found if r.matrix == "input"} == set(range(1, 49))
    # 17 repeats ids of the other two; 20 and 21 are read, not played: releases, and an audit that asks a service.
    assert {r.n for r in found if r.matrix == "security"} == set(range(1, 20)) - {17}


@pytest.mark.timeout(180)  # it collects all there is
def test_every_id_has_a_test_in_each_form_in_which_it_exists():
    """As `python -m tests.matrices --list`, in a process of its own: this one is collecting already."""
    code = (
        "import sys; from tests.matrices.__main__ import collect; from tests.matrices.play import Plugin;"
        "from tests.matrices.rows import rows; plugin = Plugin(rows()); code, said = collect(plugin, '--collect-only');"
        "print('exit', code, [r.id for r in plugin.without_a_test()]);"
        "[print(i, *sorted(map('-'.join, f))) for (m, i), f in plugin.found.items() if m == 'fault']"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=inner_environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    first, *lines = done.stdout.splitlines()
    assert first == "exit 0 []", done.stdout[-2000:] + done.stderr[-2000:]
    forms = {id_: set(found) for id_, *found in map(str.split, lines)}
    for id_, fault in FAULTS.items():
        if id_ in ("F80", "F81"):
            continue
        wanted = [("whole", fault.json), ("stream", fault.stream)]
        dialects = ("chat", "responses", "messages")
        assert forms[id_] == {f"{d}-{form}" for d in dialects for form, has in wanted if has}


def test_an_id_is_played_by_what_names_it_and_by_what_is_its_alone():
    a, b = (
        Row("input", 1, "A01", "empty", each("x.py::t")),
        Row("input", 2, "A0", "", each("x.py::t")),
    )
    c = Row("input", 3, "S01", "", all_of("x.py::u"))
    assert matched("tests/x.py::t[A01-empty]", [a, b, c]) == [a]
    assert matched("tests/x.py::t[whole-A01]", [a, b, c]) == [a]
    assert matched("tests/x.py::u[anything]", [a, b, c]) == [c]
    assert matched("tests/x.py::u", [a, b, c]) == [c]
    assert matched("tests/x.py::tt[A01]", [a, b, c]) == []


@pytest.mark.parametrize(
    ("node", "form"),
    [
        ("x::t[F12-json]", ("chat", "whole")),
        ("x::t[F12-stream]", ("chat", "stream")),
        ("x::t[F12-messages-stream]", ("messages", "stream")),
        ("x::t[F12-responses-whole]", ("responses", "whole")),
    ],
)
def test_parameters_say_the_dialect_and_the_form(node, form):
    assert form_of(node, Row("fault", 5, "F12", "", ())) == form
    assert form_of(node, Row("input", 5, "A12", "", ())) == ("", "")


def played(*reports, kept=()):
    """Return a plugin that has seen these reports."""
    chosen = [
        Row("fault", 5, "F12", "429 for an hour", each("f.py::t")),
        Row("security", 1, "S01", "foreign Host", all_of("g.py::t")),
    ]
    plugin = Plugin(chosen)
    for node in kept:
        for row in matched(node, chosen):
            plugin.found[row.matrix, row.id][form_of(node, row)].left_out += 1
    for report in reports:
        plugin.pytest_runtest_logreport(report)
    return plugin


def test_the_table_says_for_each_id_what_became_of_it():
    nodes = ("tests/f.py::t[F12-json]", "tests/f.py::t[F12-messages-stream]", "tests/g.py::t[a]")
    plugin = played(
        Report(nodes[0]), Report(nodes[1], "failed"), Report(nodes[2]), Report(nodes[2]), kept=nodes
    )
    lines = table(plugin)
    (fault,) = (line for line in lines if " F12 " in line)
    assert fault.split()[-6:] == ["ok", "-", "-", "-", "-", "FAIL"]
    assert next(line for line in lines if " S01 " in line).endswith("ok, 2 tests")
    assert "2 ids, 0 tests: 1 ids pass, 1 fail, 0 without a test, 0 not run" in summary(plugin, 1)


def test_an_id_without_a_test_and_one_that_was_not_run_are_no_passes():
    plugin = played(kept=("tests/g.py::t",))
    assert [row.id for row in plugin.without_a_test()] == ["F12"]
    assert next(line for line in table(plugin) if " F12 " in line).endswith("NO TEST")
    assert "0 ids pass, 0 fail, 1 without a test, 1 not run" in summary(plugin, 1)


def test_an_id_that_nobody_knows_is_a_mistake(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "Q99"])
    assert ended.value.code == 2
    assert "Q99" in capsys.readouterr().err
