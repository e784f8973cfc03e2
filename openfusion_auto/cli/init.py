"""`openfusion init`: a configuration file to start from."""

from __future__ import annotations

from pathlib import Path

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import json_option


@click.command()
@click.option(
    "--path",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("openfusion.toml"),
    metavar="PATH",
    show_default=True,
    help="Where to write it.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
def command(path: Path, force: bool, as_json: bool) -> None:
    """Write a commented openfusion.toml.

    It holds every key with its meaning and default, so by itself it changes nothing. A file that is there stays as
    it is (exit code 2) unless --force is given.
    """
    write(path, force=force)
    steps = next_steps(path)
    if as_json:
        output.data({"written": str(path), "next": steps})
        return
    output.emit(f"Wrote {path}. Next:")
    for number, step in enumerate(steps, 1):
        output.emit(f"  {number}. {step}")


def write(path: Path, *, force: bool) -> None:
    """Write the template; without `force` only where nothing is.

    Raises:
        click.UsageError: something is there, or nothing can be written there.
    """
    from openfusion_auto.config.template import config_template

    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(config_template())
    except FileExistsError:
        raise click.UsageError(
            f"{path} is there already: --force overwrites it, --path names another place"
        ) from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written ({error.strerror})") from None


def next_steps(path: Path) -> list[str]:
    """Return what to do after the file is there."""
    named = "" if path == Path("openfusion.toml") else f" --config {path}"
    return [
        "put a key in the environment: export OPENROUTER_API_KEY=... (or in a file .env beside it)",
        f"check everything: openfusion doctor{named}",
        f"start the router: openfusion serve{named}",
        "point your client at it: openfusion adapter list, or http://127.0.0.1:8787/v1 and the model openfusion/auto",
    ]
