"""What several commands share: options, settings, the rule for dry runs, and what is said about both."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openfusion_auto.cli import output

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.runtime.engine import Engine
    from openfusion_auto.store.base import Store

MODES = ("auto", "single", "verify", "panel")


def asking(
    kind: type[Any], options: Sequence[Callable[[Any], Any]]
) -> Callable[[Callable[..., None]], Any]:
    """Return what gives a command these arguments and options, as one value of the dataclass `kind`.

    What other decorators add stays a parameter of its own behind it.
    """
    names = [field.name for field in fields(kind)]

    def decorate(body: Callable[..., None]) -> Any:  # noqa: ANN401 - what click's decorators take and give
        @wraps(body)
        def command(**values: Any) -> None:  # noqa: ANN401 - as click gives them
            own = {name: values.pop(name) for name in names if name in values}
            body(kind(**own), **values)

        return reduce(lambda made, add: add(made), reversed(options), command)

    return decorate


class FiniteRange(click.FloatRange):
    """A number between bounds. `nan` lies between all, since it compares with none; here it is refused."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or say what is wrong with it."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


config_option = click.option(
    "--config", type=click.Path(path_type=Path), metavar="PATH",
    help="Configuration file. Without it: OPENFUSION_CONFIG, ./openfusion.toml, the user's configuration folder, the "
    "built-in defaults.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON on stdout instead of text for people."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True,
    help="Call no model: the whole way is gone, with made-up answers and no key. On by itself when there is neither a "
    "configuration file nor a key.",
)  # fmt: skip
server_option = click.option(
    "--server", metavar="URL", help="Ask the server at this address; it gets the first key of OPENFUSION_API_KEYS."
)  # fmt: skip


def load_settings(config: Path | None, **flags: object) -> Settings:
    """Return the settings of this process; flags by their name with underscores, None = not given.

    Raises:
        ConfigError: with every problem, one to a line.
    """
    from openfusion_auto.config.load import load

    named = {name.replace("_", "-"): value for name, value in flags.items()}
    return load(config, os.environ, named, Path.cwd())


def users_settings(config: Path | None) -> Settings:
    """As `load_settings`, but no `./openfusion.toml` counts: for what other programs start, in any folder.

    Whoever wrote the project that lies there must not say where the user's keys and prompts go.
    """
    from openfusion_auto.config.load import load
    from openfusion_auto.config.paths import config_path

    named = None if config is None else config.expanduser().absolute()
    env = dict(os.environ)
    if env.get("OPENFUSION_CONFIG", "").strip():
        env["OPENFUSION_CONFIG"] = str(
            Path(env["OPENFUSION_CONFIG"].strip()).expanduser().absolute()
        )
    return load(named, env, {}, config_path(env))


def is_dry_run(settings: Settings, asked: bool) -> bool:
    """Whether answers are made up: asked for, or nothing was set up yet (no file, and no upstream with a key)."""
    nothing_ready = all(u.name in settings.unready for u in settings.config.upstreams)
    return asked or (settings.builtin and nothing_ready)


def missing_keys(settings: Settings) -> list[str]:
    """Return the names of the key variables that upstreams wait for."""
    waiting = (u.api_key_env for u in settings.config.upstreams if u.name in settings.unready)
    return sorted({name for name in waiting if name})


def notices(settings: Settings, *, dry_run: bool, asked: bool) -> list[str]:
    """Return what must be said before anything is answered, one line each; the last one loudest."""
    lines = [f"warning: {text}" for text in settings.warnings]
    names = " or ".join(missing_keys(settings))
    unready = sorted(settings.unready.items())
    said = {name: f"warning: upstream {name} cannot be called: {why}" for name, why in unready}
    if dry_run:
        # What has no key at all is said below; a key that cannot be one was meant to be used.
        lines += [line for name, line in said.items() if settings.key(name) is not None]
        leave = [f"set {names}"] if names else []
        leave += ["leave out --dry-run"] if asked else []
        loud = "DRY RUN: NO MODEL IS CALLED, ANSWERS ARE MADE UP"
        return [*lines, f"*** {loud}. To leave it: {' and '.join(leave)}. ***"]
    lines += said.values()
    if len(settings.unready) == len(settings.config.upstreams):
        loud = "NO UPSTREAM CAN BE CALLED: EVERY REQUEST WILL FAIL"
        lines.append(
            f"*** {loud}. See above, and openfusion doctor; to try it without a key: --dry-run. ***"
        )
    return lines


def announce_state(settings: Settings, *, dry_run: bool, asked: bool) -> None:
    """Print the notices on stderr."""
    for line in notices(settings, dry_run=dry_run, asked=asked):
        output.problem(line)


def local_engine(settings: Settings, *, dry_run: bool, store: Store | None = None) -> Engine:
    """Return an engine in this process; without a store it begins with nothing and keeps nothing."""
    from openfusion_auto.runtime.clock import Clock
    from openfusion_auto.server.build import build_engine

    return build_engine(settings, dry_run=dry_run, clock=Clock(), store=store)


def start_engine(settings: Settings, *, asked: bool, keyless: bool = False) -> Engine:
    """Return an engine in this process with its store, and say on stderr what it lacks.

    It is a dry run when `--dry-run` was `asked` for, or a person who was asked for a key chose to go on without.
    """
    from openfusion_auto.runtime.clock import Clock
    from openfusion_auto.server.build import build_store

    dry = is_dry_run(settings, asked=asked or keyless)
    output.log_as_notes()
    announce_state(settings, dry_run=dry, asked=asked)
    return local_engine(
        settings, dry_run=dry, store=build_store(settings, dry_run=dry, clock=Clock())
    )


async def close_engine(engine: Engine) -> None:
    """Release an engine's connections, and write what was spent."""
    for upstream in engine.means.upstreams.values():
        await upstream.close()
    engine.means.books.store.close()


def read_stdin() -> str:
    """Return all of standard input as text; bytes that are no UTF-8 become replacement characters."""
    return sys.stdin.buffer.read().decode("utf-8", "replace") if sys.stdin is not None else ""


def readable(text: str) -> str:
    """Return an argument as text that any program can read: bytes that are no UTF-8 are replaced here too."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stdin_is_terminal() -> bool:
    """Whether a person types at standard input."""
    return sys.stdin is not None and sys.stdin.isatty()
