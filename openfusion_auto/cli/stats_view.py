"""What was measured and what it cost, as tables; takes the JSON of `openfusion stats --json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openfusion_auto.cli.output import emit, text_of, usd
from openfusion_auto.cli.trace_view import WIDE, new_table

if TYPE_CHECKING:
    from rich.console import Console

Row = Mapping[str, Any]

# Column -> member of a candidate's row, digits behind the point.
NUMBERS: Mapping[str, tuple[str, int]] = {
    "works": ("availability", 2),
    "first ms": ("ttft_ms", 0),
    "tokens/s": ("tokens_per_s", 0),
    "bytes/tok": ("bytes_per_token", 1),
}
NARROW = 72  # [columns] below which the tables do not fit
UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))  # [s]


def show(report: Row, console: Console) -> None:
    """Print the whole report."""
    emit(f"{report['file']}{'  (dry run)' if report['dry_run'] else ''}")
    emit()
    show_numbers([row for row in report["candidates"] if row["age_s"] is not None], console)
    unseen = [text_of(row, "candidate") for row in report["candidates"] if row["age_s"] is None]
    if unseen:
        emit(f"nothing measured: {', '.join(unseen)}")
    show_caches(report["candidates"])
    show_breakers(report)
    show_learned(report["learned"], console)
    emit()
    show_money(report, console)


def show_numbers(rows: list[Row], console: Console) -> None:
    """Print a line for each candidate of which something was measured."""
    if not rows:
        return
    between = "\n" if NARROW <= console.width < WIDE else " "
    lines = []
    for row in rows:
        name = text_of(row, "candidate") + ("" if row["in_pool"] else " *")
        attempts = row["attempts"]
        cells = [cell(row[member], digits, between) for member, digits in NUMBERS.values()]
        counts = (f"{attempts['ok']:.1f}", f"{attempts['failed']:.1f}")
        lines.append((name, *counts, *cells, age(row["age_s"])))
    lay(("candidate", "ok", "failed", *NUMBERS, "age"), ("ok", "failed"), lines, console)
    emit("  live xN / P: N samples, halved every 15 minutes; P is the pool's own number")
    if not all(row["in_pool"] for row in rows):
        emit("  * not in the pool")


def lay(
    names: Sequence[str], numbers: Sequence[str], lines: Sequence[Sequence[str]], console: Console
) -> None:
    """Print a table, the columns in `numbers` to the right; where it would not fit, a block for each of its lines."""
    if console.width < NARROW:
        longest = max(map(len, names[1:]))
        for head, *cells in lines:
            emit(head)
            for name, said in zip(names[1:], cells, strict=True):
                emit(f"  {name:<{longest}}  {said}")
        return
    table = new_table(names, numbers)
    table.columns[0].no_wrap = True
    for line in lines:
        table.add_row(*line)
    console.print(table)


def cell(number: Row, digits: int, between: str) -> str:
    """Return a measured number with its weight, beside the pool's or above it."""
    live, prior = number["live"], number["prior"]
    seen = "-" if live is None else f"{live:.{digits}f} x{number['weight']:.1f}"
    return f"{seen}{between}/ {'-' if prior is None else f'{prior:.{digits}f}'}"


def age(seconds: float) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    for size, name in UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def show_caches(rows: list[Row]) -> None:
    """Print how much of the tokens that were believed cached was reported as cached, where that was measured."""
    seen = [row for row in rows if row["cache_hit"]["live"] is not None]
    for row in seen:
        found = row["cache_hit"]
        emit(
            f"cache of {text_of(row, 'candidate')}: {found['live']:.0%} of the expected cached tokens were reported, "
            f"x{found['weight']:.1f}; {found['used']:.0%} are believed"
        )


def show_learned(rows: list[Row], console: Console) -> None:
    """Print what was learned from outcomes, where something was."""
    if not rows:
        return
    emit()
    emit("learned from outcomes, by project:")
    table = new_table(
        ("project", "kind", "candidate", "good", "bad", "due", "lift"),
        ("good", "bad", "due", "lift"),
    )
    for row in rows:
        names = (text_of(row, name) for name in ("project", "kind", "candidate"))
        due = "unknown" if row["due"] is None else f"{row['due']:.1f}"
        counts = (f"{row['good']:.1f}", f"{row['bad']:.1f}", due)
        table.add_row(*names, *counts, f"{row['lift']:+.3f}")
    console.print(table)
    emit(
        "  due: how many were expected to be good; lift: by how much a chance is moved, nothing below 5 signals "
        "of a project and kind, or while learn.enabled is false"
    )


def show_breakers(report: Row) -> None:
    """Print the breakers that are not closed."""
    rows = [r for r in report["candidates"] if (r["breaker"] or {}).get("phase", "closed") != "closed"]  # fmt: skip
    for row in rows:
        broken = row["breaker"]
        name, count = text_of(row, "candidate"), broken["failures"]
        wait = f"for another {age(broken['open_for_s'])}" if broken["phase"] == "open" else ""
        state = {"open": "open", "half_open": "open, the next call is a probe"}[broken["phase"]]
        emit(f"breaker of {name}: {f'{state} {wait}'.strip()}, after {count} failures")
    if not rows:
        emit("no breaker is open")


def show_money(report: Row, console: Console) -> None:
    """Print the money by candidate and window, and the sums."""
    windows = report["spend"]
    names = list(windows)
    longest = windows[names[-1]]
    if not longest["calls"]:
        emit("no calls are in the ledger")
        return
    columns = (f"calls {names[-1]}", *(f"usd {name}" for name in names))
    by_name = {
        name: {r["candidate"]: r for r in window["candidates"]} for name, window in windows.items()
    }
    lines = []
    for row in longest["candidates"]:
        found = (by_name[name].get(row["candidate"]) for name in names)
        lines.append((text_of(row, "candidate"), str(row["calls"]), *(amount(r) for r in found)))
    lines.append(("all", str(longest["calls"]), *(amount(windows[name]) for name in names)))
    lay(("candidate", *columns), columns, lines, console)
    if report["keep_days"] < 30:
        emit(f"  the ledger goes back {report['keep_days']:g} days (store.keep_days)")


def amount(row: Row | None) -> str:
    """Return a sum of money; calls at unknown prices are counted beside it."""
    if row is None:
        return "-"
    if not row["unknown_calls"]:
        return usd(row["usd"])
    known = f"{usd(row['known_usd'])} + " if row["known_usd"] else ""
    return f"{known}{row['unknown_calls']} unknown"
