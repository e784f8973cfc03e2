"""`openfusion models`: what a client may put in `model`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import config_option, is_dry_run, json_option, load_settings

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.core.types import Candidate, Price


@click.command()
@json_option
@config_option
def command(as_json: bool, config: Path | None) -> None:
    """List the names a client may ask for.

    Virtual models (openfusion/auto, openfusion/fusion), roles (openfusion/coder), models of your own ([[models]]), then
    every candidate of the pool with price, context window and roles. Needs no server; a running one tells its own at
    GET /v1/models.
    """
    settings = load_settings(config)
    if as_json:
        output.data({"object": "list", "data": entries(settings)})
        return
    show(settings)


def entries(settings: Settings) -> list[dict[str, object]]:
    """Return every model as `GET /v1/models` does, without live numbers."""
    from openfusion_auto.server.models import catalogue

    return catalogue(settings.pool, settings.own, {}, settings.config.max_tokens.answer)


def show(settings: Settings) -> None:
    """Print the names as a table."""
    from openfusion_auto.runtime.names import AUTO, FUSION, PREFIX, roles_of

    target = output.console()
    pool = settings.pool
    output.emit(f"{AUTO:<21}picks the model, or several, for each request")
    output.emit(f"{FUSION:<21}always a panel")
    for role in roles_of(pool):
        players = sum(role in c.roles for c in pool.candidates)
        output.emit(f"{PREFIX + role:<20} the best of {players} for the role {role}")
    for model in settings.models:
        output.emit(f"{model.name:<20} {model.says}")
    output.emit()
    table = output.boxed(target)
    for name, right in (
        ("candidate", False), ("$/M in", True), ("$/M out", True), ("context", True), ("roles", False),
    ):  # fmt: skip
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    wide = target.width >= 100
    if wide:
        table.add_column("model", overflow="fold")
    for c in pool.candidates:
        table.add_row(*row(c, wide=wide))
    target.print(table)
    if any(c.price and c.price.long_context for c in pool.candidates):
        output.emit(
            "A range: longer prompts cost more; openfusion pool list says from which length on."
        )
    for name, why in sorted(settings.unready.items()):
        if not is_dry_run(settings, asked=False):
            output.problem(f"warning: upstream {name} cannot be called: {why}")


def span(price: Price | None, part: str) -> str:
    """Return `2`, or `2-4` where longer prompts cost more."""
    if price is None:
        return "unknown"
    amounts = [getattr(rates, part) for rates in (price, *price.long_context)]
    return "-".join(f"{usd:g}" for usd in sorted({min(amounts), max(amounts)}))


def row(c: Candidate, *, wide: bool) -> list[str]:
    """Return the cells of one candidate; what is not known is `unknown`, never 0."""
    cells = [
        c.id,
        *(span(c.price, part) for part in ("input", "output")),
        output.count(c.context_tokens),
        " ".join(c.roles) or "-",
    ]
    return [*cells, c.model] if wide else cells


def doubt(settings: Settings, model: str) -> str | None:
    """Return why the configured router would not know a model's name, with near ones; None when it does."""
    from openfusion_auto.core.prompt import Options
    from openfusion_auto.errors import FusionError
    from openfusion_auto.runtime.names import wanted

    offers = {u.name: u.offers for u in settings.config.upstreams}
    try:
        wanted(model, Options(), settings.pool, offers, settings.own)
    except FusionError as error:
        return error.message
    return None
