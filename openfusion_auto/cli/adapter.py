"""`openfusion adapter`: set up a coding agent's own configuration file, look at it, undo it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import asking, config_option, json_option, load_settings

if TYPE_CHECKING:
    from openfusion_auto.clients.install import Outcome, Status
    from openfusion_auto.clients.spec import Adapter, Values

# What the tools' server reads of the environment, besides what the configuration names.
OWN_ENV = (
    "OPENFUSION_API_KEYS", "OPENFUSION_CONFIG", "OPENFUSION_STATE_DIR", "XDG_CONFIG_HOME", "SSL_CERT_FILE",
    "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy",
)  # fmt: skip
MODEL, URL = "openfusion/auto", "http://127.0.0.1:8787"
SAID = {
    "no_file": "not set up (no file)",
    "absent": "not set up",
    "installed": "set up",
    "changed": "changed since it was set up",
    "broken": "broken file",
}


class Adapters(click.Group):
    """A group in which a client's name alone means `show NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; what is no command is a client to show, so that a typo names the nearest."""
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        near = get_close_matches(args[0][:40], self.commands, n=1)
        # A client's name has options behind it and no further name: this is a command, mistyped.
        if near and len(args) > 1 and not args[1].startswith("-"):
            said = output.clean(args[0][:40])
            raise click.UsageError(f"No such command {said!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, ["show", *args])


@click.group(cls=Adapters, subcommand_metavar="COMMAND|CLIENT [ARGS]...")
def command() -> None:
    """Set up a coding agent to use the router, and undo it.

    A client's name alone shows what would be written, like `show`. Comments, order and everything else in a file stay;
    uninstall leaves it as it was, byte for byte.
    """


url_option = click.option(
    "--url", metavar="URL",
    help="Address of the router.  [default: the configured one's, http://127.0.0.1:8787]",
)  # fmt: skip
model_option = click.option(
    "--model", default=MODEL, metavar="NAME", shell_complete=complete.models, show_default=True,
    help="Model name that the client asks for; `openfusion models` lists them.",
)  # fmt: skip
mcp_option = click.option(
    "--mcp", is_flag=True,
    help="The router's tools for an agent that speaks MCP, instead of its models; both can be set up.",
)  # fmt: skip
file_option = click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), metavar="PATH",
    help="The client's configuration file, where it is not in its usual place.",
)  # fmt: skip
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Print the difference and write nothing."
)
client_argument = click.argument("client", metavar="CLIENT", shell_complete=complete.clients)
ABOUT = (mcp_option, json_option, url_option, model_option)
ABOUT_ALL = (*ABOUT, config_option)
LOOKING = (client_argument, *ABOUT, file_option, config_option)
CHANGING = (client_argument, *ABOUT, file_option, dry_run_option, config_option)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the arguments and options say, by their names; `file` None = the usual place."""

    as_json: bool
    url: str | None
    config: Path | None
    client: str = ""
    mcp: bool = False
    model: str = MODEL
    file: Path | None = None
    dry_run: bool = False


@command.command("list")
@asking(Asked, ABOUT_ALL)
def list_command(asked: Asked) -> None:
    """List the clients there are adapters for, and how each stands."""
    from openfusion_auto.clients.spec import load, names

    values = filled(asked, known=True)
    rows = [row(load(name, mcp=asked.mcp), values) for name in names(mcp=asked.mcp)]
    if asked.as_json:
        output.data({"object": "list", "data": rows})
        return
    for r in rows:
        tested = f"tested with {r['tested']}" if r["tested"] else "not tested"
        output.emit(f"{r['client']:<12} {r['title']:<14} {SAID[str(r['state'])]:<28} {tested}")


def row(adapter: Adapter, values: Values) -> dict[str, object]:
    """Return one line of the list as JSON; a client without a usual place is `no_file`."""
    placed = adapter.folders or any(os.environ.get(name) for name in adapter.file_env)
    found = statuses(adapter, values, None) if placed else []
    return {
        "client": adapter.client,
        "mcp": adapter.mcp,
        "title": adapter.title,
        "surface": adapter.surface,
        "tested": adapter.tested or None,
        "tested_on": adapter.tested_on or None,
        "state": found[0].state if found else "no_file",
        "files": [str(s.file) for s in found],
    }


@command.command("show", short_help="Show what a client needs; nothing is written.")
@asking(Asked, LOOKING)
def show_command(asked: Asked) -> None:
    """Show what a client needs in its files, and how to start it; nothing is written."""
    adapter, values = loaded(asked), filled(asked)
    if adapter.folders or asked.file:
        shown = [str(path) for path in located(adapter, asked.file)]
    else:
        shown = [target.names[0] for target in adapter.targets]
    if asked.as_json:
        output.data(described(adapter, values, shown))
        return
    for line in explained(adapter, values, shown):
        output.emit(line)


def described(adapter: Adapter, values: Values, shown: Sequence[str]) -> dict[str, object]:
    """Return a client's set-up as JSON."""
    return {
        "client": adapter.client,
        "mcp": adapter.mcp,
        "title": adapter.title,
        "surface": adapter.surface,
        "tested": adapter.tested or None,
        "url": values.url,
        "model": None if adapter.mcp else values.model,
        "files": [
            {"path": path, "format": target.format, "content": target.snippet(values)}
            for path, target in zip(shown, adapter.targets, strict=True)
        ],
        "env": {adapter.key_env: "local"} if adapter.key_env else {},
        "start": values.fill(adapter.start),
        "notes": list(adapter.notes),
    }


def explained(adapter: Adapter, values: Values, shown: Sequence[str]) -> list[str]:
    """Return a client's set-up as lines for people."""
    tested = (
        f"tested with {adapter.tested} on {adapter.tested_on}" if adapter.tested else "not tested"
    )
    lines = [f"{adapter.title} ({tested})", ""]
    for path, target in zip(shown, adapter.targets, strict=True):
        lines += [f"In {path}:", ""]
        lines += [f"    {line}".rstrip() for line in target.snippet(values).splitlines()]
        lines += [""]
    install = f"openfusion adapter install {adapter.client}{' --mcp' if adapter.mcp else ''}"
    lines += [f"Write it: {install}{'' if adapter.folders else ' --file PATH'}"]
    key = f"{adapter.key_env}=local " if adapter.key_env else ""
    lines += [f"Start it: {key}{values.fill(adapter.start)}"]
    return [*lines, *(f"Note: {note}" for note in adapter.notes)]


@command.command("install")
@asking(Asked, CHANGING)
def install_command(asked: Asked) -> None:
    """Write our part into a client's files; print the difference.

    What was there is kept in the state folder. A file that cannot be read is left alone: the line is said, exit code 2.
    """
    adapter, values, outcomes = change(asked, take_out=False)
    if asked.as_json or asked.dry_run or not any(o.changed for o in outcomes):
        return
    if asked.mcp:
        output.note(f"Now start it anew: {adapter.start}; its tools stand under openfusion")
    else:
        key = f"{adapter.key_env}=local " if adapter.key_env else ""
        output.note(
            f"Now: openfusion serve, and in another terminal: {key}{values.fill(adapter.start)}"
        )


@command.command("status")
@asking(Asked, LOOKING)
def status_command(asked: Asked) -> None:
    """Say whether our part is in a client's files.

    Exit code 1 when a file is broken, or when our part in it was changed.
    """
    adapter = loaded(asked)
    found = statuses(adapter, filled(asked, known=True), asked.file)
    if asked.as_json:
        rows = [status_row(s) for s in found]
        output.data(
            {"client": adapter.client, "mcp": adapter.mcp, "state": found[0].state, "files": rows}
        )
    else:
        for line in (line for s in found for line in status_lines(s)):
            output.emit(line)
    if any(s.state in ("broken", "changed") for s in found):
        raise click.exceptions.Exit(1)


@command.command("uninstall", short_help="Take our part out of a client's files again.")
@asking(Asked, CHANGING)
def uninstall_command(asked: Asked) -> None:
    """Take our part out of a client's files again; what was there before comes back.

    --url, --model and --config matter only when the state folder was lost: they say what was installed.
    """
    change(asked, take_out=True)


def loaded(asked: Asked) -> Adapter:
    """Return the client; an unknown one is a ConfigError with the nearest name."""
    from openfusion_auto.clients.spec import load

    return load(asked.client, mcp=asked.mcp)


def filled(asked: Asked, *, known: bool = False) -> Values:
    """Return what fills templates, for the smallest window behind the model; `known`: a record has the address."""
    from openfusion_auto.cli.models import doubt
    from openfusion_auto.cli.remote import server_of
    from openfusion_auto.clients.spec import CONTEXT, OUTPUT, checked, sees_images, windows

    url, model = asked.url, asked.model
    settings = load_settings(asked.config)
    # A client would learn of a slip at its first request; another router may know other names.
    if not known and url is None and (why := doubt(settings, model)):
        output.problem(f"warning: {why}")
    context, bound = windows(settings.pool, model)
    open_port = known and settings.config.server.port == 0
    at = url or (URL if open_port else server_of(settings, None, option="--url").url)
    images = sees_images(settings.pool, model)
    values = checked(at, model, context or CONTEXT, bound or OUTPUT, images=images)
    if not asked.mcp:
        return values
    named = {n for u in settings.config.upstreams for n in (u.api_key_env, u.proxy_env) if n}
    there = () if values.url == URL else ("--server", values.url)
    by = () if asked.config is None else ("--config", asked.config.absolute().as_posix())
    args = ("mcp", *there, *by)
    return replace(values, command=program(), args=args, env=(*OWN_ENV, *sorted(named)))


def program() -> str:
    """Return the path of our command: an agent may be started where it is not on the path."""
    name = "openfusion.exe" if os.name == "nt" else "openfusion"
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which("openfusion")
    return Path(found).as_posix() if found else "openfusion"


def located(adapter: Adapter, file: Path | None) -> tuple[Path, ...]:
    """Return where the files of a client are; `file` None = in their usual place."""
    from openfusion_auto.clients.place import current_system, locate

    return locate(adapter, os.environ, current_system(), file)


def statuses(adapter: Adapter, values: Values, file: Path | None) -> list[Status]:
    """Return how the files of a client stand."""
    from openfusion_auto.clients.install import status
    from openfusion_auto.config.paths import state_path

    return status(adapter, located(adapter, file), values, state_path(os.environ))


def change(asked: Asked, *, take_out: bool) -> tuple[Adapter, Values, list[Outcome]]:
    """Install or uninstall a client, and print what was done."""
    from openfusion_auto.clients.install import install, uninstall
    from openfusion_auto.config.paths import state_dir, state_path

    adapter, values = loaded(asked), filled(asked, known=take_out)
    state = state_path(os.environ) if asked.dry_run else state_dir(os.environ)
    do = uninstall if take_out else install
    outcomes = do(adapter, located(adapter, asked.file), values, state, dry_run=asked.dry_run)
    report(adapter, outcomes, values, asked)
    return adapter, values, outcomes


def report(adapter: Adapter, outcomes: Sequence[Outcome], values: Values, asked: Asked) -> None:
    """Print what was done."""
    if asked.as_json:
        output.data(
            {
                "client": adapter.client,
                "mcp": adapter.mcp,
                "model": None if adapter.mcp else values.model,
                "url": values.url,
                "dry_run": asked.dry_run,
                "changed": any(o.changed for o in outcomes),
                "files": [outcome_row(o) for o in outcomes],
            }
        )
        return
    for outcome in outcomes:
        if outcome.diff:
            output.emit(outcome.diff)
        output.emit(f"{outcome.file}: {said(outcome, dry_run=asked.dry_run)}")
        if outcome.backup:
            output.emit(f"  what was there: {outcome.backup}")


def said(outcome: Outcome, *, dry_run: bool) -> str:
    """Return what happened to a file, in a word."""
    if not outcome.changed:
        return "nothing to change"
    done = "deleted, it was ours alone" if outcome.deleted else "written"
    return f"would be {done}" if dry_run else done


def outcome_row(outcome: Outcome) -> dict[str, object]:
    """Return what was done to a file as JSON."""
    return {
        "path": str(outcome.file),
        "changed": outcome.changed,
        "deleted": outcome.deleted,
        "backup": str(outcome.backup) if outcome.backup else None,
        "diff": outcome.diff,
    }


def status_row(status: Status) -> dict[str, object]:
    """Return how a file stands as JSON."""
    return {
        "path": str(status.file),
        "state": status.state,
        "model": status.model,
        "differs": list(status.differs),
        "problem": status.problem,
    }


def status_lines(status: Status) -> list[str]:
    """Return how a file stands as lines for people."""
    model = f", model {status.model}" if status.state == "installed" and status.model else ""
    lines = [f"{status.file}: {SAID[status.state]}{model}"]
    lines += [f"  differs: {name}" for name in status.differs]
    return [*lines, f"  {status.problem}"] if status.problem else lines
