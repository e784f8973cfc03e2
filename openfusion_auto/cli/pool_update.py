"""`openfusion pool update`: a public price list beside the pool's numbers, and put into its file on demand."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import config_option, json_option
from openfusion_auto.cli.pool_common import Chosen, choose, head, pool_option, today
from openfusion_auto.errors import ConfigError

if TYPE_CHECKING:
    from openfusion_auto.config.pool_update import Update
    from openfusion_auto.config.prices import PriceList


class Written(NamedTuple):
    """The file that was written, and the copy of what it was before; None when there was nothing to do."""

    path: Path | None = None
    backup: Path | None = None


@click.command("update", short_help="Take new prices from a public list.")
@json_option
@click.option(
    "--from",
    "prices",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The price list: api.json of models.dev, the answer of OpenRouter's /api/v1/models, or LiteLLM's "
    "model_prices_and_context_window.json. Which one it is shows by its form.",
)
@pool_option
@click.option("--write", is_flag=True, help="Put the new numbers into the pool file.")
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --write: leave the pool as it is and write a copy here. The only way for a shipped pool.",
)
@click.option(
    "--as-of",
    metavar="DATE",
    help="The day (2026-07-02) or month (2026-07) of the list's numbers. Without it: the day in the file's name, else "
    "that of its last change.",
)
@click.option(
    "--source",
    metavar="NAME",
    help="What the pool will say its numbers are from. Without it: kind, digest and provider.",
)
@click.option(
    "--provider",
    "pairs",
    metavar="UPSTREAM=PROVIDER",
    multiple=True,
    help="Which provider of the list an upstream is, where their names differ. May be given several times.",
)
@click.option(
    "--accept-jumps",
    is_flag=True,
    help="Also take numbers that moved by more than three times, and those that `pool check` finds wrong.",
)
@click.option(
    "--renew",
    is_flag=True,
    help="Also renew source and date of prices that are still the same.",
)
@config_option
def update_command(
    as_json: bool,
    prices: Path,
    pool: str | None,
    write: bool,
    to: Path | None,
    as_of: str | None,
    source: str | None,
    pairs: tuple[str, ...],
    accept_jumps: bool,
    renew: bool,
    config: Path | None,
) -> None:
    """Compare prices and windows with a public price list; `--write` takes them.

    Exit code 1 when something would change, or with `--write` when something was held back.
    """
    from openfusion_auto.cli.pool_update_view import show_update
    from openfusion_auto.config.pool_update import Wish, plan_update
    from openfusion_auto.config.prices import read_prices

    if to is not None and not write:
        raise click.UsageError("--to needs --write.")
    checked_source(source)
    chosen = choose(pool, config)
    listed = read_prices(prices.expanduser(), source=source or "", as_of=as_of)
    day = today()
    not_ahead(listed, day)
    wish = Wish(listed, day, providers_of(pairs, listed), accept_jumps=accept_jumps, renew=renew)
    update = plan_update(chosen.pool, wish)
    written = write_pool(chosen, update, to) if write else Written()
    if as_json:
        output.data(as_data(chosen, listed, update, written))
    else:
        show_update(chosen, listed, update, written, asked=write)
    if update.held or (update.changes and not write):
        raise click.exceptions.Exit(1)


def checked_source(source: str | None) -> None:
    """Refuse a source that could not stand in a pool file as one readable line."""
    if source is not None and not (0 < len(source.strip()) <= 100 and source.isprintable()):
        raise click.UsageError("--source must be one line of 1 to 100 printable characters.")


def not_ahead(listed: PriceList, day: date) -> None:
    """Refuse a list from the future, as `pool check` would: a day may be one ahead across time zones."""
    from openfusion_auto.config.pool import as_date

    slack = 1 if len(listed.as_of) == len("2026-07-02") else 31
    if (as_date(listed.as_of) - day).days > slack:
        raise ConfigError(
            f"{listed.path}: {listed.as_of} ({listed.as_of_from}) is in the future; say --as-of DATE"
        )


def providers_of(pairs: tuple[str, ...], listed: PriceList) -> dict[str, str]:
    """Return upstream -> provider as given by `--provider`."""
    from openfusion_auto.config.price_match import Index, unknown_providers
    from openfusion_auto.config.problems import near

    found = {}
    for pair in pairs:
        upstream, equals, provider = pair.partition("=")
        if not (upstream and equals and provider):
            raise click.UsageError(f"--provider {pair[:60]!r}: must be UPSTREAM=PROVIDER.")
        found[upstream] = provider
    index = Index(listed.entries)
    for name in unknown_providers(index, list(found.values())):
        close = near(name, index.providers.values())
        raise ConfigError(f"--provider: {listed.path} has no provider {name[:60]!r}{close}")
    return found


def write_pool(chosen: Chosen, update: Update, to: Path | None) -> Written:
    """Write the new numbers: into the pool's file with a backup beside it, or into a new file.

    Raises:
        ConfigError: the pool is a shipped one, the copy exists already, or the text cannot be edited safely.
    """
    from openfusion_auto.clients import files
    from openfusion_auto.config.pool_edit import edited

    refuse_place(chosen.source, to)
    before = files.read(chosen.source)
    if before is None:
        raise ConfigError(f"{chosen.source}: is gone")
    if not update.edits and to is None:
        return Written()
    content = files.decode(before)
    try:
        text = edited(content.text, update.edits)
    except ConfigError as error:
        raise ConfigError(f"{chosen.source}:{error.message}") from error
    after = files.Content(text, content.bom).encode()
    must_load(after, chosen.source)
    if to is not None:
        files.write(to.expanduser(), after, None)
        to.expanduser().chmod(chosen.source.stat().st_mode & 0o777 | 0o600)
        return Written(to)
    backup = free_name(chosen.source)
    files.write(backup, before, None)
    backup.chmod(chosen.source.stat().st_mode & 0o7777)
    files.write(chosen.source, after, before)
    return Written(chosen.source, backup)


def refuse_place(source: Path, to: Path | None) -> None:
    """Refuse to edit what is shipped, and to write over anything that is there."""
    from openfusion_auto.data import data_root

    if to is not None and (to.expanduser().exists() or to.expanduser().is_symlink()):
        raise ConfigError(f"--to {to}: is there already; nothing was written")
    shipped = (data_root() / "candidates").resolve()
    if to is None and source.resolve().is_relative_to(shipped):
        raise ConfigError(
            f"{source}: is a shipped pool, which the next version replaces; nothing was written. Add --to FILE to "
            'write a copy, and name that in openfusion.toml: [pool] file = "FILE"'
        )


def must_load(after: bytes, source: Path) -> None:
    """Raise when the new text is no pool that can be read."""
    from openfusion_auto.config.pool import load_pool

    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "pool.toml"
        trial.write_bytes(after)
        load_pool(trial, shown=f"{source} (as it would be; nothing was written)")


def free_name(path: Path) -> Path:
    """Return a name for a backup beside the file that nothing has yet."""
    real = path.resolve()
    names = (f"{real.name}.bak{n}" for n in ("", *(f"-{i}" for i in range(2, 10_000))))
    return next(p for name in names if not (p := real.with_name(name)).exists())


def as_data(chosen: Chosen, listed: PriceList, update: Update, written: Written) -> object:
    """Return the outcome for `--json`."""
    return {
        **head(chosen),
        "list": {
            "file": str(listed.path),
            "kind": listed.kind,
            "digest": listed.digest,
            "models": len(listed.entries),
            "left_out": listed.left_out,
            "source": listed.source or None,
            "as_of": listed.as_of,
            "as_of_from": listed.as_of_from,
        },
        "changes": [asdict(change) for change in update.changes],
        "notes": [asdict(note) for note in update.notes],
        "same": update.same,
        "written": str(written.path) if written.path else None,
        "backup": str(written.backup) if written.backup else None,
    }
