"""`openfusion doctor`: is everything there, and what to do when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import config_option, json_option

COLOURS: Mapping[str, str] = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}


@click.command()
@json_option
@click.option(
    "--probe",
    is_flag=True,
    help="Also ask each upstream for its models (GET /models); a key goes to its own upstream only.",
)
@config_option
def command(as_json: bool, probe: bool, config: Path | None) -> None:
    """Check configuration, keys, pool, port and folders.

    One line a check: PASS, WARN or FAIL, and what to do next. Keys are named, never shown. Exit code 1 on a FAIL.
    """
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
            output.emit(f"      setting   {row['key']} = {row['value']}  ({row['origin']})")
    if failed:
        raise click.exceptions.Exit(1)
