"""`openfusion codex`: which model Codex asks for, as one switch on top of `openfusion adapter`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import adapter as adapters
from openfusion_auto.cli import complete, output
from openfusion_auto.cli.adapter import Asked, dry_run_option, file_option, url_option
from openfusion_auto.cli.common import asking, config_option, json_option, load_settings

if TYPE_CHECKING:
    from openfusion_auto.clients.install import Status

PREFIX = "openfusion/"
AUTO, FUSION = PREFIX + "auto", PREFIX + "fusion"
SAID = {
    "missing": "Codex has no configuration file",
    "direct": "Codex does not use the router",
    "openfusion-auto": "Codex uses the router, which picks the model",
    "openfusion-fusion": "Codex uses the router, always with a panel",
    "openfusion-role": "Codex uses the router with one role or model",
    "provider-only": "the router is in the file, but another provider is chosen",
    "broken": "the configuration file cannot be read",
}


@click.group()
def command() -> None:
    """Switch Codex between the router and what it had before.

    The same as `openfusion adapter install codex` with another --model; disable undoes all of it.
    """


LOOKING = (json_option, url_option, file_option, config_option)
CHANGING = (json_option, url_option, file_option, dry_run_option, config_option)


@command.command("status")
@asking(Asked, LOOKING)
def status_command(asked: Asked) -> None:
    """Say what Codex asks for now.

    Exit code 1 when its file is broken, or when our part in it was changed.
    """
    from openfusion_auto.cli.models import doubt

    asked = replace(asked, client="codex")
    values = adapters.filled(asked, known=True)
    (status,) = adapters.statuses(adapters.loaded(asked), values, asked.file)
    now = current(status)
    if asked.as_json:
        output.data({"object": "openfusion.codex", **adapters.status_row(status), **now})
    else:
        output.emit(f"{SAID[str(now['mode'])]} (model {now['model'] or 'not set'})")
        for line in adapters.status_lines(status):
            output.emit(line)
        if now["profile"]:
            output.emit(f"Note: profile {now['profile']} is active and may set another model")
        model = now["model"] if now["enabled"] and asked.url is None else None
        if isinstance(model, str) and (why := doubt(load_settings(asked.config), model)):
            output.emit(f"Note: {why}")
            output.emit(
                "Note: /model in Codex lists its maker's; `openfusion codex enable-auto` sets it back"
            )
    if status.state in ("broken", "changed"):
        raise click.exceptions.Exit(1)


def current(status: Status) -> dict[str, object]:
    """Return what Codex's file says: {mode, model, provider, profile, enabled}; names that are no text are null."""
    from openfusion_auto.clients.files import decode, read
    from openfusion_auto.clients.plan import Rules
    from openfusion_auto.clients.spec import EDITORS

    if status.state in ("no_file", "broken"):
        mode = "missing" if status.state == "no_file" else "broken"
        return {"mode": mode, "model": None, "provider": None, "profile": None, "enabled": False}
    data = EDITORS["toml"].data(decode(read(status.file) or b"").text, Rules())
    model, provider, profile = (
        value if isinstance(value := data.get(key), str) else None
        for key in ("model", "model_provider", "profile")
    )
    providers = data.get("model_providers")
    there = isinstance(providers, dict) and "openfusion" in providers
    mode = mode_of(model, provider, there=there)
    return {
        "mode": mode,
        "model": model,
        "provider": provider,
        "profile": profile,
        "enabled": mode.startswith("openfusion"),
    }


def mode_of(model: str | None, provider: str | None, *, there: bool) -> str:
    """Return the name of a state; `there`: our provider is defined."""
    if provider != "openfusion" or not there:
        return "provider-only" if there else "direct"
    return {AUTO: "openfusion-auto", FUSION: "openfusion-fusion"}.get(
        model or "", "openfusion-role"
    )


@command.command("enable-auto", short_help="Let Codex ask for openfusion/auto.")
@asking(Asked, CHANGING)
def enable_auto(asked: Asked) -> None:
    """Let Codex ask for openfusion/auto: the router picks the model for each request."""
    enable(AUTO, asked)


@command.command("enable-fusion")
@asking(Asked, CHANGING)
def enable_fusion(asked: Asked) -> None:
    """Let Codex ask for openfusion/fusion: always a panel."""
    enable(FUSION, asked)


@command.command("use-role", short_help="Let Codex ask for the best model of a role.")
@click.argument("role", metavar="ROLE", shell_complete=complete.roles)
@asking(Asked, CHANGING)
def use_role(asked: Asked, role: str) -> None:
    """Let Codex ask for the best model of one role, like coder; `openfusion models` lists the roles."""
    from openfusion_auto.runtime.names import roles_of

    roles = roles_of(load_settings(asked.config).pool)
    if role not in roles:
        raise click.UsageError(f"no candidate plays the role {role!r}; roles: {', '.join(roles)}")
    enable(PREFIX + role, asked)


@command.command("disable")
@asking(Asked, CHANGING)
def disable(asked: Asked) -> None:
    """Give Codex back what it had before."""
    adapters.change(replace(asked, client="codex"), take_out=True)


def enable(model: str, asked: Asked) -> None:
    """Install the adapter with this model."""
    adapter, _, _ = adapters.change(replace(asked, client="codex", model=model), take_out=False)
    if not asked.as_json and not os.environ.get(adapter.key_env):
        output.note(f"Codex wants a key: export {adapter.key_env}=local")
