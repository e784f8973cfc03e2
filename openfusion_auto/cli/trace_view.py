"""A recorded request as a person likes to read it; takes the JSON of `/v1/traces` and `/v1/traces/{id}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from openfusion_auto.cli.output import count, is_fancy, text_of, usd
from openfusion_auto.cli.route_view import say
from openfusion_auto.core.words import has_date

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Mapping[str, Any]

WIDE = 100  # [columns] from here on there is room for more columns
BAR_CELLS = 24  # [columns] of the whole request in the timeline
OUTCOME_COLOURS = {"ok": "green", "error": "red", "cancelled": "yellow", "running": "cyan"}


def when(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a moment [s since 1970] as local time; `-` for none."""
    if not has_date(at):
        return "-"
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime(form)


def milliseconds(value: object) -> str:
    """Return a duration [ms] as text; `-` when it is not known."""
    return f"{value:,.0f}" if isinstance(value, int | float) else "-"


def new_table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    """Return an empty table; the columns in `numbers` stand right."""
    from rich.table import Table

    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for name in names:
        made.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return made


def show_list(rows: Sequence[Row], console: Console) -> None:
    """Print one line a request, the newest first."""
    console.print(list_table(rows, console.width))


def list_table(rows: Sequence[Row], width: int, *, ids: bool = True) -> Table:
    """Return one line a request; a narrow terminal gets fewer columns, ids are never cut. `width` in columns."""
    wide = width >= WIDE
    more, name = ("mode", "task") if wide else (), ("trace",) if ids else ()
    table = new_table(("at", *name, "outcome", "by", *more, "ms", "usd"), ("ms", "usd"))
    for column in table.columns[: len(name) + 1]:
        column.no_wrap = True
    for row in rows:
        task = row.get("task") or {}
        extra = [text_of(row, "mode"), text_of(task, "kind")] if wide else []
        shown = [text_of(row, "trace_id")] if ids else []
        table.add_row(
            when(row["at"], "%m-%d %H:%M:%S" if wide else "%H:%M:%S"), *shown, outcome(row),
            text_of(row, "answered_by"), *extra, milliseconds(row.get("ms")), money(row),
        )  # fmt: skip
    return table


def money(row: Row) -> str:
    """Return what a request cost; in a dry run nothing, whatever the list prices say."""
    return "dry run" if row.get("dry_run") else usd(row.get("usd"))


def spent(row: Row) -> str:
    """Return `money` where no column says what it is: an unknown cost by that name."""
    return "cost unknown" if not row.get("dry_run") and row.get("usd") is None else money(row)


def outcome(row: Row) -> Any:  # noqa: ANN401 - rich's Text, imported only when something is shown
    """Return how a request or a call ended, in its colour."""
    from rich.text import Text

    said = text_of(row, "outcome" if "outcome" in row else "status")
    return Text(said, style=OUTCOME_COLOURS.get(said, ""))


def show(trace: Row, console: Console) -> None:
    """Print everything about one request.

    Raises:
        KeyError, TypeError, ...: it is not the object that this version knows.
    """
    console.print(text_of(trace, "trace_id"), outcome(trace), when(trace["at"]), sep="  ")
    task = trace.get("task") or {}
    read = ", ".join(f"{key} {text_of(task, key)}" for key in ("risk", "complexity", "turn"))
    kind = "stream" if trace["stream"] else "whole"
    console.print(
        f"asked for {text_of(trace, 'requested_model')} ({text_of(trace, 'dialect')}, {kind})"
    )
    console.print(f"read as {text_of(task, 'kind')}: {read}" if task else "not read")
    answered = text_of(trace, "answered_by", "nobody")
    console.print(
        f"{text_of(trace, 'mode')}, answered by {answered} after {milliseconds(trace.get('ms'))} ms, {spent(trace)}"
    )
    if trace.get("error"):
        console.print(f"error: {text_of(trace, 'error')}", style="red")
    timeline(trace, console)
    reasons(trace, console)


def timeline(trace: Row, console: Console) -> None:
    """Print every upstream call with its time, tokens and money."""
    from rich.text import Text

    console.print()
    console.print(Text("Calls", style="bold"))
    if not trace["attempts"]:
        console.print("  none")
        return
    fancy = is_fancy(console)
    total = max(a["at_ms"] + (a.get("ms") or 0.0) for a in trace["attempts"])
    numbers = ("at ms", "first ms", "ms", "in", "cached", "out", "usd")
    names = (
        "phase",
        "candidate",
        "status",
        *numbers,
        *(("time",) if console.width >= WIDE else ()),
    )
    table = new_table(names, numbers)
    for call in trace["attempts"]:
        cells = [text_of(call, "phase"), text_of(call, "candidate"), outcome(call)]
        cells += [milliseconds(call.get(key)) for key in ("at_ms", "ttft_ms", "ms")]
        cells += tokens_and_money(call)
        if "time" in names:
            cells.append(span(call, total, fancy=fancy))
        table.add_row(*cells)
    console.print(table)
    for call in trace["attempts"]:
        if call.get("error"):
            said = (
                f"{text_of(call, 'candidate')}: {text_of(call, 'error')}: {text_of(call, 'detail')}"
            )
            console.print(f"  {said}")


def tokens_and_money(call: Row) -> list[str]:
    """Return the cells of a call's tokens; `~` marks those that were counted from bytes."""
    usage = call.get("usage") or {}
    mark = "~" if call.get("estimated") else ""
    cells = [
        mark + count(usage.get(key)) if usage else "-" for key in ("input", "cached", "output")
    ]
    return [*cells, usd(call.get("usd")) if usage else "-"]


def span(call: Row, total_ms: float, *, fancy: bool) -> str:
    """Return when a call ran, as a bar inside the whole request; at least one column long."""
    if total_ms <= 0:
        return ""
    start: int = min(BAR_CELLS - 1, round(BAR_CELLS * call["at_ms"] / total_ms))
    length = max(1, round(BAR_CELLS * (call.get("ms") or 0.0) / total_ms))
    return " " * start + ("\u2588" if fancy else "#") * min(length, BAR_CELLS - start)


def reasons(trace: Row, console: Console) -> None:
    """Print why it was decided so, and what was noted on the way."""
    from rich.text import Text

    decision = trace.get("decision") or {"reasons": []}
    for title, lines in (("Why", decision["reasons"]), ("Notes", trace["notes"])):
        if lines:
            console.print()
            console.print(Text(title, style="bold"))
            for line in lines:
                say(console, str(line))
