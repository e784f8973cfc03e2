"""What the commands about a pool share: which pool, from which file, on which day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from openfusion_auto.cli import complete
from openfusion_auto.cli.common import load_settings

if TYPE_CHECKING:
    from openfusion_auto.core.types import Pool


class Chosen(NamedTuple):
    """A pool and the file it came from."""

    pool: Pool
    source: Path


pool_option = click.option(
    "--pool",
    metavar="FILE",
    shell_complete=complete.pools,
    help="This pool instead of the configured one: a file, or a shipped one (default, local).",
)


def choose(name: str | None, config: Path | None) -> Chosen:
    """Return the pool that `--pool` names, without any configuration; else the configured one."""
    if name is None:
        settings = load_settings(config)
        return Chosen(settings.pool, settings.pool_source)
    from openfusion_auto.config.load import find_pool
    from openfusion_auto.config.pool import load_pool

    source = find_pool(name, Path(), "--pool")
    return Chosen(load_pool(source), source)


def today() -> date:
    """Return the day by which ages are counted."""
    return datetime.now(tz=UTC).date()


def head(chosen: Chosen) -> dict[str, object]:
    """Return what names a pool in JSON."""
    return {"pool": str(chosen.source), "digest": chosen.pool.digest}
