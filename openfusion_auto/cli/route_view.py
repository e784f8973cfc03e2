"""A decision as a person likes to read it. Takes the JSON of `/debug/route`, so that it shows what is recorded.

On a terminal the points of a candidate are a bar of coloured blocks, one colour a term; elsewhere letters do the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_letters, ascii_uppercase
from typing import TYPE_CHECKING, Any

from openfusion_auto.cli.output import clean, count, is_fancy, text_of, usd

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Row = Mapping[str, Any]

MANY = 4  # candidates that are rejected for one reason, and then stand on one line
COLOURS = ("cyan", "blue", "green", "yellow", "magenta", "bright_black", "red", "bright_cyan")
RISK_COLOURS = {"low": "green", "medium": "yellow", "high": "red"}
BLOCK = "\u2588"
WIDE = 100  # [columns] from here on the model's name is shown where it fits
BAR_CELLS, BAR_CELLS_WIDE = 30, 40  # [columns] of the best candidate's bar
LEAST_CELLS = 14  # [columns] of the title above the bars
BESIDE_CELLS = 27  # [columns] of place, total, expected price and the gaps between
SHOWN_LOSERS = 3  # why-not sentences; --json has them all


def show(decision: Row, console: Console) -> None:
    """Print a whole decision.

    Raises:
        KeyError, TypeError, ...: it is not the object that this version knows.
    """
    header(decision, console)
    evidence(decision["task"]["evidence"], console)
    if decision["ranking"]:
        ranking(decision, console)
        why_not(decision["ranking"], console)
    rejected(decision["rejected"], console)
    mode(decision, console)
    plan(decision["plan"], console)
    console.print(heading("digest"), text_of(decision, "digest"), soft_wrap=True)


def heading(title: str) -> Text:
    """Return a section's title."""
    from rich.text import Text

    return Text(title, style="bold")


def header(decision: Row, console: Console) -> None:
    """Print what the request is and who gets it, in two lines."""
    from rich.text import Text

    task = decision["task"]
    line = Text()
    line.append(text_of(task, "kind"), style="bold")
    for key in ("risk", "complexity", "turn"):
        value = text_of(task, key)
        line.append(f"   {key} ")
        line.append(value, style=RISK_COLOURS.get(value, "") if key != "turn" else "")
    line.append(f"   about {count(task['needs'].get('input_tokens'))} tokens")
    console.print(line)
    steps = decision["plan"]["steps"]
    chosen = clean(str(steps[0]["candidates"][0])) if steps else "nobody"
    answer = Text(f"{text_of(decision, 'mode')} by ")
    answer.append(chosen, style="bold green" if steps else "bold red")
    answer.append(f", expected {usd(decision['plan'].get('expected_usd'))}")
    console.print(answer)


def evidence(rows: Sequence[Row], console: Console) -> None:
    """Print each point of the reading."""
    from rich.table import Table

    console.print()
    console.print(heading("Read from"))
    table = grid(Table)
    for row in rows:
        table.add_row(f"  {row['points']:+.1f}", text_of(row, "signal"), text_of(row, "why"))
    console.print(table)


def grid(table: type[Any]) -> Any:  # noqa: ANN401 - rich's class is imported only when something is shown
    """Return an empty table without lines; long words are folded, so that nothing is cut."""
    made = table.grid(padding=(0, 2, 0, 0))
    made.add_column(justify="right", no_wrap=True)
    made.add_column(overflow="fold")
    made.add_column(overflow="fold")
    return made


def ranking(decision: Row, console: Console) -> None:
    """Print the candidates, best first, and what the bars mean."""
    from rich.table import Table

    rows = decision["ranking"]
    fancy = is_fancy(console)
    names = [text_of(t, "name") for t in rows[0]["terms"]]
    letters = letters_for(names)
    console.print()
    console.print(
        heading("Ranked"), f"{len(rows)} at cost_quality {decision['cost_quality']:g}", sep="  "
    )
    room = console.width - BESIDE_CELLS - max(len(text_of(r, "candidate")) for r in rows)
    beside = room - 2 - max(len(text_of(r, "model")) for r in rows)
    wide = console.width >= WIDE and beside >= LEAST_CELLS
    cells = min(BAR_CELLS_WIDE, beside) if wide else min(BAR_CELLS, room)
    drawn = cells >= LEAST_CELLS
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim" if fancy else "")
    table.add_column("  #", justify="right", no_wrap=True)
    table.add_column("candidate", overflow="fold")
    if wide:
        table.add_column("model", overflow="fold")
    table.add_column("total", justify="right", no_wrap=True)
    table.add_column("expected", justify="right", no_wrap=True)
    if drawn:
        table.add_column("points by term", no_wrap=True)
    best = max(r["total"] for r in rows)
    for place, row in enumerate(rows, 1):
        who = [text_of(row, "candidate")] + ([text_of(row, "model")] if wide else [])
        bars = [bar(row["terms"], best, cells, letters, fancy=fancy)] if drawn else []
        table.add_row(
            f"{place}", *who, f"{row['total']:.3f}", usd(row["expected_usd"]), *bars,
            style="bold" if place == 1 else "",
        )  # fmt: skip
    console.print(table)
    if drawn:
        console.print(legend(names, letters, console.width, fancy=fancy))


def bar(
    terms: Sequence[Row], best: float, cells: int, letters: Sequence[str], *, fancy: bool
) -> Text:
    """Return the points of a candidate as one bar: a stretch for each term, `cells` columns for `best` points.

    Stretches end at rounded sums, not sums of rounded parts, so the bar is as long as its total.
    """
    from rich.text import Text

    drawn = Text()
    total, done = 0.0, 0
    for i, term in enumerate(terms):
        total += max(0.0, term["points"])
        end = round(cells * total / best) if best > 0 else 0
        if end > done:
            drawn.append((BLOCK if fancy else letters[i]) * (end - done), style=colour(i, fancy))
            done = end
    return drawn


def legend(names: Sequence[str], letters: Sequence[str], width: int, *, fancy: bool) -> Text:
    """Return which stretch of a bar is which term; a line ends between two terms, never inside one."""
    from rich.text import Text

    whole, used = Text("   "), 3
    for i, (name, letter) in enumerate(zip(names, letters, strict=True)):
        item = f" {letter}={name} "
        if used + len(item) > width:
            whole.append("\n   ")
            used = 3
        used += len(item)
        whole.append(f" {BLOCK if fancy else letter}", style=colour(i, fancy))
        whole.append(f"{' ' if fancy else '='}{name} ")
    return whole


def colour(i: int, fancy: bool) -> str:
    """Return the style of the term at place `i`."""
    return COLOURS[i % len(COLOURS)] if fancy else ""


def letters_for(names: Sequence[str]) -> list[str]:
    """Return a different letter for each name: the first of its own that is still free, else a capital."""
    taken: list[str] = []
    for name in names:
        free = (ch for ch in name + ascii_uppercase if ch in ascii_letters and ch not in taken)
        taken.append(next(free, "?"))
    return taken


def why_not(rows: Sequence[Row], console: Console) -> None:
    """Print what would have to change for the next best to win."""
    if len(rows) < 2:
        return
    console.print()
    console.print(heading("Why not"))
    for row in rows[1 : 1 + SHOWN_LOSERS]:
        say(console, f"{text_of(row, 'candidate')}: {text_of(row, 'why_not')}")
    more = len(rows) - 1 - SHOWN_LOSERS
    if more > 0:
        say(console, f"({more} more with --json)")


def say(console: Console, text: str) -> None:
    """Print a sentence, indented as a whole."""
    from rich.padding import Padding

    console.print(Padding(clean(text), (0, 0, 0, 2), expand=False))


def rejected(rows: Sequence[Row], console: Console) -> None:
    """Print who cannot serve, with the rule; many for one reason stand together."""
    from rich.table import Table

    if not rows:
        return
    console.print()
    console.print(heading("Rejected"))
    table = grid(Table)
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        why = text_of(row, "rule"), text_of(row, "detail")
        alike.setdefault(why, []).append(text_of(row, "candidate"))
    for why, names in alike.items():
        for name in names if len(names) < MANY else ():
            table.add_row("  " + name, *why)
    if table.row_count:
        console.print(table)
    for (rule, detail), names in alike.items():
        if len(names) >= MANY:
            say(console, f"{rule}: {detail}: {', '.join(names)}")


def mode(decision: Row, console: Console) -> None:
    """Print the mode and why it is not another."""
    console.print()
    console.print(heading("Mode"), text_of(decision, "mode"))
    for reason in decision["reasons"]:
        say(console, str(reason))


def plan(row: Row, console: Console) -> None:
    """Print who is called in which phase, and the most it can cost."""
    console.print()
    console.print(heading("Plan"))
    if not row["steps"]:
        say(console, "nothing is called")
    for step in row["steps"]:
        names = " > ".join(str(c) for c in step["candidates"])
        say(console, f"{text_of(step, 'phase')}: {names}")
    say(console, f"worst case {usd(row['worst_case_usd'])}")
    console.print()
