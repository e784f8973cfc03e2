"""What `compat` and `doctor` share: whom to probe, with which key and model, and how that is shown.

A key goes only to the address that it was configured for: an upstream's to its own `base_url`, a client key to the
address of our own server. Any other address gets the key that the command line names for it, or none.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import FiniteRange
from openfusion_auto.cli.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from openfusion_auto.config.load import Settings
    from openfusion_auto.evals.compat.asking import Target
    from openfusion_auto.evals.compat.outcome import Outcome
    from openfusion_auto.evals.compat.probes import Probe
    from openfusion_auto.evals.compat.run import Column

SHOWN_MODELS = 8
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
STYLES: Mapping[Outcome, str] = {
    "pass": "green",
    "fail": "bold red",
    "not offered": "dim",
    "unknown": "yellow",
}
timeout_option = click.option(
    "--timeout",
    type=FiniteRange(min=0.1, max=600),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time of one probe.",
)


def target_of(
    url: str,
    settings: Settings,
    *,
    name: str | None = None,
    key_env: str | None = None,
    model: str = "",
) -> Target:
    """Return the gateway at an address.

    Raises:
        click.UsageError: not a usable address, or `key_env` names a variable that is not set.
    """
    from openfusion_auto.config.addresses import checked_url
    from openfusion_auto.evals.compat.asking import Target

    try:
        base = checked_url(url)
    except ValueError as error:
        raise click.UsageError(f"the address {error}") from None
    headers, key = configured_for(base, settings)
    if key_env is not None:
        if not VARIABLE.fullmatch(key_env):  # a key, perhaps: it is not shown
            raise click.UsageError("--key-env takes the name of a variable, not a key")
        key = os.environ.get(key_env)
        if not key:
            raise click.UsageError(f"--key-env: the variable {key_env} is not set")
        if not key.isascii() or not key.isprintable():
            raise click.UsageError("--key-env: the key cannot stand in a header")
    return Target(name or base, base, model, key, headers)


def configured_for(base: str, settings: Settings) -> tuple[Mapping[str, str], str | None]:
    """Return headers and key that were configured for exactly this address; nothing for any other."""
    from openfusion_auto.cli.remote import server_of

    for upstream in settings.config.upstreams:
        if upstream.base_url == base:
            ready = upstream.name not in settings.unready
            return upstream.extra_headers, settings.key(upstream.name) if ready else None
    if settings.config.server.port and settings.client_keys:
        own = server_of(settings, None)
        if base in (own.url, f"{own.url}/v1"):
            return {}, own.key
    return {}, None


async def with_models(targets: Sequence[Target], timeout_s: float) -> list[Target]:
    """Return the targets, each with a model to ask for; all are asked at once for what they list.

    Raises:
        click.UsageError: a gateway lists several models or none, and none was named.
    """
    found = await asyncio.gather(*(listing(target, timeout_s) for target in targets))
    return [with_model(t, names) for t, names in zip(targets, found, strict=True)]


async def listing(target: Target, timeout_s: float) -> list[str] | None:
    """Return the models that a gateway lists; None when one was named for it, or nobody answers."""
    from openfusion_auto.evals.compat.outcome import Finding
    from openfusion_auto.evals.compat.run import listed

    if target.model:
        return None
    try:
        return await listed(target, timeout_s)
    except Finding:
        return None


def with_model(target: Target, names: Sequence[str] | None) -> Target:
    """Return a target with the model to ask for, of those that it lists; None: nobody said."""
    from openfusion_auto.evals.compat.run import only_model

    if names is None:  # where nobody answers, the probes will say so
        return replace(target, model=target.model or "unknown")
    model = only_model(names)
    if model is None:
        shown = ", ".join(" ".join(output.clean(n).split())[:60] for n in names[:SHOWN_MODELS])
        more = " and more" if len(names) > SHOWN_MODELS else ""
        said = f"it lists {shown}{more}" if names else "it lists none"
        raise click.UsageError(f"{target.name}: name the model to ask for with --model; {said}")
    return replace(target, model=model)


async def probe(
    targets: Sequence[Target], probes: Sequence[Probe], timeout_s: float
) -> list[Column]:
    """Run probes at gateways, with a line on stderr about how far they are when a person looks."""
    from openfusion_auto.evals.compat.run import run

    watch = Progress(len(targets) * len(probes))
    try:
        return await run(targets, probes, timeout_s=timeout_s, step=watch.step)
    finally:
        watch.clear()


def over_ourselves(probes: Sequence[Probe], timeout_s: float) -> list[Column]:
    """Run probes over our own server before a scripted model of each dialect."""
    from openfusion_auto.cli.own_gateways import own_gateways

    async def go() -> list[Column]:
        async with own_gateways() as targets:
            return await probe(targets, probes, timeout_s)

    return asyncio.run(go())


def over(targets: Sequence[Target], probes: Sequence[Probe], timeout_s: float) -> list[Column]:
    """Run probes over gateways at addresses."""

    async def go() -> list[Column]:
        return await probe(await with_models(targets, timeout_s), probes, timeout_s)

    return asyncio.run(go())


def show(probes: Sequence[Probe], columns: Sequence[Column], *, as_json: bool) -> None:
    """Print a matrix; ends with 1 when a gateway fails a probe or passes none."""
    from openfusion_auto.evals.compat import matrix

    if as_json:
        output.data(matrix.as_json(probes, columns))
    else:
        target = output.console()
        if target.is_terminal:
            show_table(probes, columns, target)
        else:
            output.emit(matrix.table(probes, columns))
        said = matrix.reasons(columns)
        if said:
            output.emit("\n" + said)
    for column in columns:
        if not any(r.outcome == "pass" for r in column.results):
            hint = "is the address right, up to and with /v1, and does a server run there?"
            output.problem(f"{column.target.name}: nothing passes; {hint}")
    if not all(c.sound for c in columns):
        raise click.exceptions.Exit(1)


def show_table(probes: Sequence[Probe], columns: Sequence[Column], target: Console) -> None:
    """Print the matrix for a person: as wide as the terminal, an API a block; Markdown is for files and pipes."""
    from rich.text import Text

    table = output.boxed(target)
    for name in ("", "probe"):
        table.add_column(name, no_wrap=True)
    for column in columns:
        table.add_column(output.clean(column.target.name), overflow="fold")
    before = ""
    for i, probe in enumerate(probes):
        if before and probe.group != before:
            table.add_section()
        outcomes = [c.results[i].outcome for c in columns]
        cells = [Text(o.upper() if o == "fail" else o, STYLES[o]) for o in outcomes]
        table.add_row(probe.group if probe.group != before else "", probe.name, *cells)
        before = probe.group
    target.print(table)
