"""`openfusion stats`: what was measured of each candidate, and what the calls cost; read from the store's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    config_option,
    is_dry_run,
    json_option,
    load_settings,
    stdin_is_terminal,
)

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.core.types import Breaker, Stats
    from openfusion_auto.store.base import Spend
    from openfusion_auto.store.sqlite import SqliteStore

WINDOWS: Mapping[str, float] = {"24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}  # [s]


dry_run_option = click.option(
    "--dry-run", is_flag=True, help="What dry runs left; they are kept apart from real calls."
)


@dataclass(frozen=True, slots=True)
class Place:
    """The file that is read; `store` is None while there is none."""

    settings: Settings
    path: Path
    dry_run: bool
    store: SqliteStore | None
    now_s: float


@click.group(invoke_without_command=True)
@json_option
@dry_run_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, dry_run: bool, config: Path | None) -> None:
    """Show what was measured of each candidate, and what calls cost.

    Live numbers with their weight (samples, halved every quarter of an hour) beside the pool's own, breakers that are
    open, and the money of the last 24 hours, 7 days and 30 days. Reads the store's file, whether a server runs or not;
    a running one writes to it within a tenth of a second.
    """
    if ctx.invoked_subcommand is not None:
        if as_json or dry_run or config:
            raise click.UsageError(f"options go behind {ctx.invoked_subcommand}")
        return
    place = find(config, dry_run=dry_run)
    report = gather(place)
    if as_json:
        output.data(report)
        return
    if place.store is None:
        output.emit(f"nothing has been kept yet: there is no {place.path}")
        return
    from openfusion_auto.cli import stats_view

    stats_view.show(report, output.console())


@command.command("reset", short_help="Forget what was measured and learned.")
@click.option(
    "--candidate",
    metavar="ID",
    shell_complete=complete.candidates,
    help="This one alone; without it: every candidate.",
)
@click.option("--learned", is_flag=True, help="What was learned from outcomes, and nothing else.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@dry_run_option
@config_option
def reset_command(
    candidate: str | None,
    learned: bool,
    yes: bool,
    as_json: bool,
    dry_run: bool,
    config: Path | None,
) -> None:
    """Forget what was measured and learned: statistics, breakers and lessons, of one candidate or of all.

    Traces, sessions and money stay. A running server forgets it too, within about a second.
    """
    import sqlite3

    from openfusion_auto.store.base import LEARNED
    from openfusion_auto.store.files import reason

    if learned and candidate is not None:
        raise click.UsageError("--learned is about every candidate: leave --candidate out")
    place = find(config, dry_run=dry_run)
    check_candidate(place, candidate)
    what = "learned" if learned else "measured"
    whose = candidate or "every candidate"
    if not yes:
        if not stdin_is_terminal():
            raise click.UsageError("nobody is there to be asked: say --yes")
        if not click.confirm(f"Forget what was {what} of {whose}?", err=True):
            raise output.Failure("nothing was forgotten")
    try:
        count = place.store.forget(LEARNED if learned else candidate) if place.store else 0
    except (sqlite3.Error, OSError) as error:
        raise output.Failure(f"{place.path}: {reason(error)}") from None
    if as_json:
        output.data(
            {
                "object": "openfusion.stats.reset",
                "candidate": candidate,
                "learned": learned,
                "forgotten": count,
            }
        )
    else:
        output.emit(f"forgotten: what was {what} of {whose} ({count} had something)")


def find(config: Path | None, *, dry_run: bool) -> Place:
    """Return the file that the configuration names, opened when it is there.

    Raises:
        Failure, StoreTooNew: it cannot be read.
    """
    from openfusion_auto.cli.kept import opened
    from openfusion_auto.runtime.clock import Clock
    from openfusion_auto.store.files import file_in

    settings, clock = load_settings(config), Clock()
    dry = is_dry_run(settings, asked=dry_run)
    path = file_in(settings.state_path, dry_run=dry)
    store = opened(path, clock)
    if store is not None:
        click.get_current_context().call_on_close(store.close)
    return Place(settings, path, dry, store, clock.wall())


def check_candidate(place: Place, candidate: str | None) -> None:
    """Refuse the id of a candidate that neither the pool nor the store knows."""
    from openfusion_auto.config.problems import near

    known = {c.id for c in place.settings.pool.candidates} | set(measured(place)[0])
    known |= {str(row["candidate"]) for row in learned_rows(place)}
    if candidate is not None and candidate not in known:
        raise click.UsageError(f"no candidate {candidate!r}{near(candidate, sorted(known))}")


def measured(place: Place) -> tuple[dict[str, Stats], dict[str, Breaker]]:
    """Return statistics and breakers by candidate, with moments as seconds since 1970."""
    from openfusion_auto.core.types import Breaker, Stats

    if place.store is None:
        return {}, {}
    return dict(place.store.load(Stats, 0.0)), dict(place.store.load(Breaker, 0.0))


def gather(place: Place) -> dict[str, object]:
    """Return everything that is shown, as JSON types."""
    from openfusion_auto.core.measured import candidate_row

    stats, breakers = measured(place)
    pool = place.settings.pool
    strangers = sorted({*stats, *breakers} - {c.id for c in pool.candidates})
    rows = [
        candidate_row(c.id, c, stats.get(c.id), breakers.get(c.id), place.now_s)
        for c in pool.candidates
    ]
    rows += [candidate_row(i, None, stats.get(i), breakers.get(i), place.now_s) for i in strangers]
    return {
        "object": "openfusion.stats",
        "file": str(place.path),
        "dry_run": place.dry_run,
        "at": place.now_s,
        "keep_days": place.settings.config.store.keep_days,
        "candidates": rows,
        "learned": learned_rows(place),
        "spend": {
            name: spend_rows(place.store.spend(place.now_s - span_s) if place.store else [])
            for name, span_s in WINDOWS.items()
        },
    }


def learned_rows(place: Place) -> list[dict[str, object]]:
    """Return what was learned, a row for each project, kind and candidate; the lift as a decision would have it now."""
    from openfusion_auto.core import lessons
    from openfusion_auto.core.types import KINDS

    settings = place.settings.config.learn
    groups: dict[tuple[str, str], dict[str, lessons.Tally]] = {}
    for name, kept in place.store.load(lessons.Tally, 0.0) if place.store else ():
        key = lessons.key_of(name)
        tally = lessons.decayed(kept, place.now_s, settings.half_life_days * 86_400.0)
        groups.setdefault((key.project, key.kind), {})[key.candidate] = tally
    rows: list[dict[str, object]] = []
    for (project, named), tallies in sorted(groups.items()):
        kind = next((k for k in KINDS if k == named), None)
        lifts: dict[str, float] = {}
        if kind is not None and settings.enabled:
            pool, most = place.settings.pool, settings.max_lift
            lifts = dict(lessons.lifts_of(tallies.items(), pool, kind, most))
        rows += [
            {
                "project": project,
                "kind": named,
                "candidate": name,
                "good": round(tally.good, 3),
                "bad": round(tally.bad, 3),
                "due": None if tally.due is None else round(tally.due, 3),
                "lift": lifts.get(name, 0.0),
            }
            for name, tally in sorted(tallies.items())
        ]
    return rows


def spend_rows(found: Sequence[Spend]) -> dict[str, object]:
    """Return the money of one window: a sum is null as soon as one call's price is unknown; such calls are counted."""
    rows = [
        {
            "candidate": s.candidate,
            "calls": s.calls,
            "failed": s.failed,
            "input_tokens": s.input,
            "cached_tokens": s.cached,
            "output_tokens": s.output,
            **money(s.usd, s.unknown),
        }
        for s in found
    ]
    total = money(sum(s.usd for s in found), sum(s.unknown for s in found))
    return {"candidates": rows, "calls": sum(s.calls for s in found), **total}


def money(usd: float, unknown: int) -> dict[str, object]:
    """Return a sum [USD]; what is known of it stands apart."""
    return {
        "usd": None if unknown else round(usd, 10),
        "known_usd": round(usd, 10),
        "unknown_calls": unknown,
    }
