"""`openfusion compat`: what gateways make of the three APIs, as one matrix."""

from __future__ import annotations

from pathlib import Path

import click

from openfusion_auto.cli import probing
from openfusion_auto.cli.common import config_option, json_option, load_settings


@click.command()
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="[NAME=]URL",
    help="A gateway's address up to and with /v1; repeat it for several. Without it: our own server, in this "
    "process, before a scripted model of each dialect.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="[NAME=]MODEL",
    help="The model to ask for, of all gateways or of one by its name. Without it: openfusion/auto, or the only "
    "one that is listed.",
)
@click.option(
    "--key-env",
    "key_envs",
    multiple=True,
    metavar="[NAME=]VARIABLE",
    help="The variable that holds a gateway's key. Without it a key goes only to the address it was configured for.",
)
@probing.timeout_option
@json_option
@config_option
def command(
    urls: tuple[str, ...],
    models: tuple[str, ...],
    key_envs: tuple[str, ...],
    timeout: float,
    as_json: bool,
    config: Path | None,
) -> None:
    """Probe gateways: do their answers have the form that clients read?

    Models, answers, streams, usage, tools and their results, parallel calls, structured output, characters cut in
    half, unknown fields, errors: of Chat Completions, Responses and Messages. A real model behind is paid for some 40
    short calls. Exit code 1 when something fails or nobody answers.
    """
    from openfusion_auto.evals.compat.probes import PROBES

    if not urls:
        if models or key_envs:
            raise click.UsageError("--model and --key-env are for a gateway that --url names")
        probing.show(PROBES, probing.over_ourselves(PROBES, timeout), as_json=as_json)
        return
    named = dict(map(name_of, urls))
    if len(named) != len(urls):
        raise click.UsageError("two of the gateways have one name")
    asked, keys = by_name("--model", models, named), by_name("--key-env", key_envs, named)
    if "" in keys and len(named) > 1:
        raise click.UsageError("--key-env: say whose key it is, with NAME=VARIABLE")
    settings = load_settings(config)
    targets = [
        probing.target_of(
            url,
            settings,
            name=name,
            key_env=keys.get(name, keys.get("")),
            model=asked.get(name, asked.get("", "")),
        )
        for name, url in named.items()
    ]
    probing.show(PROBES, probing.over(targets, PROBES, timeout), as_json=as_json)


def name_of(given: str) -> tuple[str, str]:
    """Return name and address of `[NAME=]URL`; an address names itself."""
    name, equals, url = given.partition("=")
    return (name, url) if equals and "://" not in name and name else (given, given)


def by_name(option: str, given: tuple[str, ...], names: dict[str, str]) -> dict[str, str]:
    """Return what an option says of each gateway, under "" what it says of all.

    Raises:
        click.UsageError: one gateway is told two things.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        whose, said = (name, value) if equals and name in names else ("", text)
        if whose in found:
            raise click.UsageError(f"{option} says two things about {whose or 'all gateways'}")
        found[whose] = said
    return found
