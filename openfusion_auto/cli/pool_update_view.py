"""How an update of a pool looks to people: one line a number, old and new, and what waits for a decision."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from openfusion_auto.cli import output

if TYPE_CHECKING:
    from pathlib import Path

    from openfusion_auto.cli.pool_common import Chosen
    from openfusion_auto.config.pool_update import Change, Note, Update
    from openfusion_auto.config.prices import PriceList

WAITS = {
    "jump": "moved by more than 3 times: --accept-jumps takes it",
    "odd": "`pool check` would find it wrong: --accept-jumps takes it",
    "older": "the list is older than the pool: not taken",
}
OTHERS = (
    ("no_entry", "not in the list"),
    ("ambiguous", "ambiguous"),
    ("no_price", "without a price there"),
    ("local", "on this machine"),
)
FIELD_CELLS = 17  # [columns] of a field's name, where none is longer
TOKENS = ("context_tokens", "max_output_tokens")


class Done(Protocol):
    """What was written, see `pool_update.Written`."""

    @property
    def path(self) -> Path | None:
        """The file, None when nothing was written."""

    @property
    def backup(self) -> Path | None:
        """What it was before."""


def show_update(
    chosen: Chosen, listed: PriceList, update: Update, written: Done, *, asked: bool
) -> None:
    """Print the whole outcome."""
    output.emit(f"pool  {chosen.source}, {output.many(len(chosen.pool.candidates), 'candidate')}")
    short = listed.digest[: len("sha256:") + 12]
    output.emit(
        f"list  {listed.path}, {listed.kind}, {output.many(len(listed.entries), 'model')}, {short}, "
        f"as of {listed.as_of} ({listed.as_of_from})"
    )
    notes = {name: list(rows) for name, rows in groupby(update.notes, key=lambda n: n.candidate)}
    for name, rows in groupby(update.changes, key=lambda c: c.candidate):
        show_candidate(name, list(rows), notes.pop(name, []), listed)
    if notes:
        output.emit()
    for name, said in notes.items():
        for note in said:
            output.paint(
                output.coloured(f"  {note.rule:<9}", colour(note)), f" {name}: {told(note)}"
            )
    output.emit()
    output.emit(summary(update, written, asked=asked))


def show_candidate(name: str, changes: list[Change], notes: list[Note], listed: PriceList) -> None:
    """Print what changes for one candidate."""
    output.emit()
    output.paint(output.coloured(name, "cyan"), f"  {changes[0].entry}")
    wide = max(FIELD_CELLS, *(len(c.field) for c in changes))
    for change in changes:
        mark = output.coloured("  ! " if change.held else "    ", "yellow")
        output.paint(mark, line(change, wide))
    priced = next((c for c in changes if c.new_source), None)
    if priced is not None:
        was = f"[{priced.old_source}, {priced.old_as_of}]" if priced.old_source else "none"
        output.emit(f"    {'source':<{wide}} {was} -> [{priced.new_source}, {listed.as_of}]")
    for reason in sorted({c.held for c in changes if c.held}):
        output.paint(output.coloured(f"  ! {reason:<9}", "yellow"), f"  {WAITS[reason]}")
    entry = changes[0].entry
    for note in notes:
        said = told(note).removeprefix(entry).lstrip(": ")
        output.paint(output.coloured(f"    {note.rule:<9}", colour(note)), f"  {said}")


def line(change: Change, wide: int = FIELD_CELLS) -> str:
    """Return `input  0.5 -> 0.6  +20 %`."""
    old, new = amount(change, change.old), amount(change, change.new)
    return (
        f"{change.field:<{wide}} {old:>10} -> {new:<10} {percent(change.old, change.new)}".rstrip()
    )


def amount(change: Change, value: float | str | None) -> str:
    """Return one number as people read it; what is not known is said."""
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return value
    return f"{value:,}" if change.field in TOKENS else f"{value:.9g}"


def percent(old: float | str | None, new: float | str) -> str:
    """Return how far a number moved; nothing when that cannot be said."""
    if isinstance(old, str) or isinstance(new, str) or not old:
        return ""
    return f"{(new - old) / old:+.1%}".replace("%", " %")


def told(note: Note) -> str:
    """Return a note with the names that the list has instead."""
    if note.rule == "no_entry" and note.near:
        return f"{note.detail}; similar: {', '.join(note.near)}"
    if note.rule == "ambiguous" and len(note.near) > 1:
        return f"{note.detail}; say which: --provider UPSTREAM=PROVIDER"
    return note.detail


def colour(note: Note) -> str:
    """Return the colour of a note: what needs a person is yellow."""
    return "blue" if note.rule in ("entry", "offers", "local") else "yellow"


def summary(update: Update, written: Done, *, asked: bool) -> str:
    """Return the last lines: what would change or has, what waits, what was not found."""
    return "\n".join(
        [", ".join(counts(update, done=written.path is not None)), *end(update, written, asked)]
    )


def counts(update: Update, *, done: bool) -> Iterator[str]:
    """Yield the numbers of the summary."""
    taken = [c for c in update.changes if not c.held]
    models = len({c.candidate for c in taken})
    verb = "changed" if done else "would change"
    yield f"{output.many(len(taken), 'number')} of {output.many(models, 'candidate')} {verb}"
    if update.held:
        yield f"{len(update.held)} held back"
    if update.same:
        yield f"{output.many(len(update.same), 'candidate')} the same"
    for rule, words in OTHERS:
        found = len({n.candidate for n in update.notes if n.rule == rule})
        if found:
            yield f"{found} {words}"


def end(update: Update, written: Done, asked: bool) -> Iterator[str]:
    """Yield what was written, or how to."""
    if written.path is not None:
        kept = f"; what it was before is in {written.backup}" if written.backup else ""
        yield f"Written: {written.path}{kept}"
    elif asked:
        yield "Nothing was written: there is nothing to take."
    elif len(update.held) < len(update.changes):
        yield "Nothing was written: --write does it."
