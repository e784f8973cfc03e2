"""What `openfusion top` shows; takes the JSON of `/v1/status` and `/v1/traces`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from openfusion_auto.cli.output import clean, text_of, usd
from openfusion_auto.cli.trace_view import list_table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

MINUTE_S = 60.0
LISTED = 100  # requests in one look: more than a screen holds
HEAD_ROWS = 6  # [rows] that are no request: what stands above the table, and its head
ROOM_FOR_IDS = 80  # [columns]
PHASE_COLOURS = {"open": "red", "half_open": "yellow"}


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print one look: every request that was told."""
    for line in head(found):
        console.print(line)
    if found["requests"]:
        console.print()
        console.print(list_table(found["requests"], console.width))
    else:
        console.print("nothing has been asked yet")


class Screen:
    """One look as a whole screen: as many requests as it holds.

    Args:
        found: What there was to see.
        now_s: The time of day [s since 1970], for what ran in the last minute.
        gone: Why the newest look failed, "" when it did not.
    """

    def __init__(self, found: Mapping[str, Any], now_s: float, gone: str) -> None:
        self._found = found
        self._now_s = now_s
        self._gone = gone

    def __rich_console__(self, console: Console, _options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        rows = self._found["requests"]
        yield from head(self._found)
        last = Text(pace(rows, self._now_s) + "   q: end")
        yield Text(f"{clean(self._gone)}; looking again", style="red") if self._gone else last
        yield Text()
        if not rows:
            yield Text("nothing has been asked yet")
            return
        listed = rows[: max(1, console.height - HEAD_ROWS)]
        yield list_table(listed, console.width, ids=console.width >= ROOM_FOR_IDS)


def head(found: Mapping[str, Any]) -> Iterator[Text]:
    """Yield the lines about the server: which it is, what was spent, who rests."""
    from rich.text import Text

    status = found["status"]
    there = f"openfusion {text_of(status, 'version')} at {text_of(found, 'server')}"
    yield Text(f"{there}, {text_of(status, 'candidates')} candidates", style="bold")
    yield Text(money(status))
    line = Text("resting: ") if status["breakers"] else Text("no candidate rests")
    for name, phase in status["breakers"].items():
        line.append(f"{clean(name)} ({clean(phase)})  ", style=PHASE_COLOURS.get(phase, ""))
    yield line


def money(status: Mapping[str, Any]) -> str:
    """Return what was spent: a sum with an unknown price in it is said to be one."""
    spend = status["spend"]
    if status["dry_run"]:
        return "dry run: nothing is spent"
    if spend["calls"] is None:
        return f"{usd(spend['usd'])} spent by this key in 24 hours"
    calls = f"in 24 hours, {spend['calls']:,} calls"
    if spend["usd"] is None:
        return f"{usd(spend['known_usd'])} and {text_of(spend, 'unknown_calls')} calls of unknown price {calls}"
    return f"{usd(spend['usd'])} spent {calls}"


def pace(rows: list[Mapping[str, Any]], now_s: float) -> str:
    """Return how much goes on: requests of the last minute, and those that run."""
    recent = sum(now_s - row["at"] <= MINUTE_S for row in rows)
    more = "+" if recent == LISTED else ""
    running = sum(row.get("outcome") == "running" for row in rows)
    return f"in the last minute: {recent}{more}   running: {running}"
