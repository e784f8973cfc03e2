"""`openfusion doctor`: is everything there, and what to do when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from openfusion_auto.cli import output, probing
from openfusion_auto.cli.common import config_option, json_option, load_settings

COLOURS: Mapping[str, str] = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@json_option
@click.option(
    "--probe",
    is_flag=True,
    help="Also ask each upstream for its models (GET /models); a key goes to its own upstream only.",
)
@click.option(
    "--probe-url",
    metavar="URL",
    help="Instead: probe the gateway at this address (up to and with /v1), as `openfusion compat` does. It gets the "
    "key that was configured for exactly this address, or none.",
)
@click.option(
    "--key-env", metavar="VARIABLE", help="With --probe-url: the variable that holds its key."
)
@click.option(
    "--model",
    metavar="MODEL",
    default="",
    help="With --probe-url: the model to ask for. Without it: openfusion/auto, or the only one that is listed.",
)
@click.option(
    "--wire",
    is_flag=True,
    help="Instead: probe our own server, in this process, before a scripted model of each dialect; where both sides "
    "speak the same, bytes are compared.",
)
@probing.timeout_option
@config_option
def command(as_json: bool, probe: bool, config: Path | None, **probed: Any) -> None:  # noqa: ANN401 - as click gives them
    """Check configuration, keys, pool, port and folders.

    One line a check: PASS, WARN or FAIL, and what to do next. Keys are named, never shown. Exit code 1 on a FAIL.
    """
    if probed["probe_url"] or probed["wire"]:
        if probe or (probed["probe_url"] and probed["wire"]):
            raise click.UsageError("--probe, --probe-url and --wire are three different things")
        probe_gateways(config, as_json=as_json, **probed)
        return
    if probed["key_env"] or probed["model"]:
        raise click.UsageError("--key-env and --model go with --probe-url")
    from openfusion_auto.cli.checks import examine

    checks, changed = examine(config, probe=probe)
    failed = any(c.status == "FAIL" for c in checks)
    if as_json:
        rows = [c._asdict() for c in checks]
        output.data({"ok": not failed, "checks": rows, "settings": changed})
    else:
        for c in checks:
            output.paint(output.coloured(c.status, COLOURS[c.status]), f"  {c.name:<9} {c.detail}")
            if c.todo:
                output.emit(f"                 -> {c.todo}")
        for row in changed:
            if row["default"]:
                continue
            output.emit(f"      setting   {row['key']} = {row['value']}  ({row['origin']})")
    if failed:
        raise click.exceptions.Exit(1)


def probe_gateways(
    config: Path | None,
    *,
    as_json: bool,
    probe_url: str | None,
    key_env: str | None,
    model: str,
    wire: bool,
    timeout: float,
) -> None:
    """Probe one address, or ourselves."""
    from openfusion_auto.evals.compat.fidelity import WIRE
    from openfusion_auto.evals.compat.probes import PROBES

    if wire and (key_env or model):
        raise click.UsageError("--key-env and --model go with --probe-url")
    if probe_url is None:
        probing.show(WIRE, probing.over_ourselves(WIRE, timeout), as_json=as_json)
        return
    target = probing.target_of(probe_url, load_settings(config), key_env=key_env, model=model)
    probing.show(PROBES, probing.over([target], PROBES, timeout), as_json=as_json)
