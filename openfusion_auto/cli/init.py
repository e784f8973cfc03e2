"""`openfusion init`: a configuration file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import json_option

if TYPE_CHECKING:
    from openfusion_auto.config.adopt import Adopted


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
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Make it of another router's file: fanout_policies.json, or an openfusion.yaml of openfusion-proxy.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
def command(path: Path, source: Path | None, force: bool, as_json: bool) -> None:
    """Write a commented openfusion.toml.

    It holds every key with its meaning and default, so by itself it changes nothing. A file that is there stays as
    it is (exit code 2) unless --force is given.

    With --from it holds what another router's file says, under the names that its clients ask for, and notes on what
    is different here.
    """
    adopted = adopted_from(source) if source is not None else None
    write(path, adopted.toml(str(source)) if adopted else template(), force=force)
    model = adopted.names[0] if adopted else "openfusion/auto"
    steps, notes = next_steps(path, model), adopted.notes if adopted else ()
    if as_json:
        output.data({"written": str(path), "next": steps, "notes": list(notes)})
        return
    if adopted:
        output.emit(f"Wrote {path}, made of {source}: {', '.join(adopted.names)}.")
    for note in notes:
        output.emit(f"  note: {note}")
    output.emit("Next:" if adopted else f"Wrote {path}. Next:")
    for number, step in enumerate(steps, 1):
        output.emit(f"  {number}. {step}")


def template() -> str:
    """Return every key with its meaning and default."""
    from openfusion_auto.config.template import config_template

    return config_template()


def adopted_from(source: Path) -> Adopted:
    """Return another router's file as ours.

    Raises:
        ConfigError: it cannot be read, or is wrong.
    """
    from openfusion_auto.config.adopt import adopt
    from openfusion_auto.config.load import shipped_pool
    from openfusion_auto.config.models import own_models
    from openfusion_auto.config.pool import load_pool
    from openfusion_auto.config.problems import dotted
    from openfusion_auto.config.schema import Config
    from openfusion_auto.errors import ConfigError

    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8") from None
    pool = load_pool(shipped_pool("default"))
    found = adopt(text, str(source), frozenset(n for c in pool.candidates for n in (c.id, c.model)))
    config = Config.model_validate(found.tables)
    offers = {u.name: u.offers for u in config.upstreams}
    # Else a file would be written that the next command refuses.
    own_models(config.models, pool, offers, lambda loc: f"{source}: {dotted(loc)}")
    return found


def write(path: Path, text: str, *, force: bool) -> None:
    """Write a configuration; without `force` only where nothing is.

    Raises:
        click.UsageError: something is there, or nothing can be written there.
    """
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(
            f"{path} is there already: --force overwrites it, --path names another place"
        ) from None
    except OSError as error:
        raise click.UsageError(f"{path} cannot be written ({error.strerror})") from None


def next_steps(path: Path, model: str) -> list[str]:
    """Return what to do after the file is there; `model` is what a client may ask for."""
    named = "" if path == Path("openfusion.toml") else f" --config {path}"
    return [
        "put a key in the environment: export OPENROUTER_API_KEY=... (or in a file .env beside it)",
        f"check everything: openfusion doctor{named}",
        f"start the router: openfusion serve{named}",
        f"point your client at it: openfusion adapter list, or http://127.0.0.1:8787/v1 and the model {model}",
    ]
