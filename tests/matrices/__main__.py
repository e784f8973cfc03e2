"""Every row of the fault, bad-input and security matrices, played over real sockets, as a table of results.

    python -m tests.matrices                     all of it
    python -m tests.matrices --only F12 W        these ids, or all that begin so
    python -m tests.matrices --list              which ids have no test; runs nothing

Exit code 1 when an id fails or has no test.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Sequence

import pytest

from tests.matrices.play import DIALECTS, FORMS, Outcome, Plugin, files
from tests.matrices.rows import Row, rows

TITLES = {
    "fault": "Faults between router and upstream",
    "input": "Bad input from a client",
    "security": "Security",
}
WIDE = 44  # [characters] of what a row is


def collect(plugin: Plugin, *more: str) -> tuple[int, str]:
    """Run pytest with the plugin; returns its exit code and what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = pytest.main(["-q", "-p", "no:xdist", *more, *files(plugin.rows)], plugins=[plugin])
    return int(code), printed.getvalue()


def table(plugin: Plugin) -> list[str]:
    """Return the lines of the table."""
    lines: list[str] = []
    for matrix, title in TITLES.items():
        own = [row for row in plugin.rows if row.matrix == matrix]
        if own:
            lines += ["", title, *head(own), *(line(row, plugin) for row in own)]
    return lines[1:]


def head(own: Sequence[Row]) -> list[str]:
    """Return the two lines above a matrix."""
    left = f"{'row':>3}  {'id':<5} {'what':<{WIDE}}"
    if not any(row.forms for row in own):
        return [f"{left}  result", "-" * (len(left) + 18)]
    over = " " * (len(left) + 2) + "".join(f"{dialect:<16}" for dialect in DIALECTS).rstrip()
    forms = "".join(f"{form:<8}" for _ in DIALECTS for form in FORMS).rstrip()
    return [over, f"{left}  {forms}", "-" * (len(left) + 49)]


def line(row: Row, plugin: Plugin) -> str:
    """Return the line of an id."""
    found = plugin.found.get((row.matrix, row.id), {})
    what = row.what if len(row.what) <= WIDE else row.what[: WIDE - 1] + "…"
    left = f"{row.n:>3}  {row.id:<5} {what:<{WIDE}}"
    if not found:
        return f"{left}  NO TEST"
    if row.forms:
        cells = (found.get((d, f), Outcome()).word for d in DIALECTS for f in FORMS)
        return f"{left}  {''.join(f'{cell:<8}' for cell in cells)}".rstrip()
    (only,) = found.values()
    count = only.passed + len(only.failed)
    return f"{left}  {only.word}, {count} test{'' if count == 1 else 's'}"


def problems(plugin: Plugin) -> list[str]:
    """Return what failed, by name."""
    failed = (
        node
        for forms in plugin.found.values()
        for outcome in forms.values()
        for node in outcome.failed
    )
    return sorted(dict.fromkeys(failed))


def summary(plugin: Plugin, took_s: float) -> str:
    """Return the last line."""
    known = [plugin.found[row.matrix, row.id].values() for row in plugin.rows]
    failed = sum(any(o.failed for o in outcomes) for outcomes in known)
    passed = sum(bool(outcomes) and all(o.word == "ok" for o in outcomes) for outcomes in known)
    bare = len(plugin.without_a_test())
    left = len(plugin.rows) - failed - passed - bare
    return (
        f"{len(plugin.rows)} ids, {plugin.tests} tests: {passed} ids pass, {failed} fail, "
        f"{bare} without a test, {left} not run ({took_s:.0f} s)"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Play what is asked for; 0 when every id has a test and passes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="ID", help="these ids, or all that begin so")
    parser.add_argument("--list", action="store_true", help="run nothing: name ids without a test")
    asked = parser.parse_args(argv)
    wanted = [r for r in rows() if not asked.only or r.id.startswith(tuple(asked.only))]
    if not wanted:
        parser.error(f"no id begins with {' or '.join(asked.only)}")
    plugin, began_s = Plugin(wanted), time.monotonic()
    code, printed = collect(plugin, *(["--collect-only"] if asked.list else []))
    bare = plugin.without_a_test()
    if asked.list:
        print("\n".join(f"{row.matrix} {row.id}: no test" for row in bare))
        print(f"{len(wanted)} ids, {plugin.tests} tests, {len(bare)} without a test")
        return 1 if bare else 0
    print("\n".join(table(plugin)))
    if code or bare:
        print(f"\n{printed[-4000:]}\n" + "\n".join(problems(plugin)))
    print(f"\n{summary(plugin, time.monotonic() - began_s)}")
    return 1 if code or bare else 0


if __name__ == "__main__":
    sys.exit(main())
