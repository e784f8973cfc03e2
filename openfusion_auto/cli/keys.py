"""`openfusion keys`: the keys that clients show to the router. A running server takes changes up within a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import FiniteRange, config_option, json_option, load_settings

if TYPE_CHECKING:
    from openfusion_auto.config.keyfile import Key
    from openfusion_auto.config.load import Settings
    from openfusion_auto.core.limits import Spending

LIMITS = (
    ("requests_per_minute", "requests/min"),
    ("tokens_per_minute", "tokens/min"),
    ("concurrent", "at once"),
    ("max_usd_per_day", "USD/day"),
    ("max_usd_per_month", "USD/month"),
)

BUDGET = FiniteRange(min=0, min_open=True)  # [USD]


@click.group()
def command() -> None:
    """Make and revoke the keys that clients show."""


@command.command("create")
@click.argument("name")
@click.option(
    "--models",
    "models",
    metavar="NAME,...",
    shell_complete=complete.models,
    multiple=True,
    help="Only these: virtual models, roles, candidates by id or model name; commas, or once for each. Candidates that "
    "are named are the only ones behind virtual models too.",
)
@click.option(
    "--max-usd-per-day", type=BUDGET, metavar="USD", help="Budget of 24 hours. Without it: none."
)
@click.option(
    "--max-usd-per-month", type=BUDGET, metavar="USD", help="Budget of 30 days. Without it: none."
)
@click.option(
    "--requests-per-minute", type=int, metavar="N", help="More get a 429. Without it: no limit."
)
@click.option(
    "--tokens-per-minute",
    type=int,
    metavar="N",
    help="Input and output of all calls; more get a 429. Without it: no limit.",
)
@click.option(
    "--concurrent",
    type=int,
    metavar="N",
    help="Requests at once; more get a 429. Without it: no limit.",
)
@click.option(
    "--expires",
    metavar="DATE",
    help="Last day on which it counts (2027-01-31, UTC), or a moment with time zone. Without it: never.",
)
@json_option
@config_option
def create_command(
    name: str,
    models: tuple[str, ...],
    expires: str | None,
    as_json: bool,
    config: Path | None,
    **limits: float | None,
) -> None:
    """Make a key and show it, this once: only its hash is kept.

    From the first key on a running server asks everybody for one, on this machine too.
    """
    from openfusion_auto.config.keyfile import Wish, create, path_in
    from openfusion_auto.runtime.clock import Clock

    settings, now_s = load_settings(config), Clock().wall()
    named = tuple(dict.fromkeys(m.strip() for text in models for m in text.split(",") if m.strip()))
    if models and not named:  # a variable that is empty must not open everything
        raise click.BadParameter(
            "names none; leave it out where a key may ask for all", param_hint="--models"
        )
    check(settings, named)
    until = None if expires is None else moment_of(expires, now_s)
    wish = Wish(name, named, until, **limits)  # type: ignore[arg-type]  # click has seen to the types
    key, text = create(path_in(settings.state_path), wish, now_s)
    made = row(key, now_s, None)
    if as_json:
        output.data({"key": text, **made})
        return
    output.note(f"key {key.name} ({key.id}): {terms(made)}")
    output.note("Shown this once; whoever has it can spend up to its limits:")
    output.emit(text)


@command.command("list", short_help="List the keys: limits, last use, spending.")
@json_option
@config_option
def list_command(as_json: bool, config: Path | None) -> None:
    """List the keys with their limits, last use and spending; never the keys themselves."""
    from openfusion_auto.config.keyfile import load_keys, path_in
    from openfusion_auto.runtime.clock import Clock

    settings, now_s = load_settings(config), Clock().wall()
    kept = load_keys(path_in(settings.state_path))
    spent = spending_of(config)
    rows = [row(k, now_s, spent.get("key:" + k.id)) for k in kept]
    if as_json:
        output.data({"object": "list", "data": rows})
    elif rows:
        show(rows)
    else:
        output.emit("no keys yet: openfusion keys create NAME")


@command.command("revoke", short_help="Take a key's right away.")
@click.argument("name_or_id", metavar="NAME|ID")
@json_option
@config_option
def revoke_command(name_or_id: str, as_json: bool, config: Path | None) -> None:
    """Take a key's right away; a running server refuses it within a second, what runs may finish."""
    from openfusion_auto.config.keyfile import path_in, revoke
    from openfusion_auto.runtime.clock import Clock

    now_s = Clock().wall()
    key = revoke(path_in(load_settings(config).state_path), name_or_id, now_s)
    if as_json:
        output.data(row(key, now_s, None))
    else:
        output.emit(f"revoked {key.name} ({key.id})")


def spending_of(config: Path | None) -> dict[str, Spending]:
    """Return what servers have noted of each account. Raises `Failure` when the store cannot be read."""
    from openfusion_auto.cli.stats import find
    from openfusion_auto.core.limits import Spending
    from openfusion_auto.runtime.limits import WALL

    store = find(config, dry_run=False).store
    return {} if store is None else dict(store.load(Spending, WALL))


def check(settings: Settings, models: tuple[str, ...]) -> None:
    """Refuse a model that does not exist, with near names. Raises `ModelNotFound`."""
    from openfusion_auto.core.own import ANY_MODEL
    from openfusion_auto.runtime.access import check_models

    any_model = any(ANY_MODEL in u.offers for u in settings.config.upstreams)
    check_models(models, settings.pool, any_model=any_model, own=settings.own)


def moment_of(text: str, now_s: float) -> str:
    """Return until when a key counts. Raises `click.UsageError` for what is no date, or is over."""
    from openfusion_auto.config.keyfile import end_of, seconds

    try:
        found = end_of(text)
    except (ValueError, OverflowError):
        raise click.UsageError(
            "--expires takes a date such as 2027-01-31, or a moment with time zone"
        ) from None
    if seconds(found) <= now_s:
        raise click.UsageError(f"--expires {found} is over already")
    return found


def terms(r: Mapping[str, object]) -> str:
    """Return limits, models and end of a key in words."""
    models = r["models"]
    said = [f"{r[name]:g} {unit}" for name, unit in LIMITS if r[name]]
    said += [f"models {' '.join(map(str, models))}"] if isinstance(models, list) and models else []
    said += [f"until {r['expires']}"] if r["expires"] else []
    return ", ".join(said) or "no limits"


def row(key: Key, now_s: float, spending: Spending | None) -> dict[str, object]:
    """Return a key as JSON: what is kept of it but the hash, and its use as far as a server has written it."""
    from openfusion_auto.config.keyfile import moment
    from openfusion_auto.runtime.limits import spent_usd

    used = None
    if spending is not None:
        day, month = spent_usd(spending, now_s)
        last = moment(spending.last_s) if spending.last_s else None
        used = {"requests": spending.requests, "last": last, "usd_today": day, "usd_month": month}
    kept = key.model_dump(mode="json", exclude={"sha256"})
    return {**kept, "status": key.status(now_s), "used": used}


def show(rows: list[dict[str, object]]) -> None:
    """Print the keys, three lines each."""
    for r in rows:
        used = r["used"]
        output.emit(f"{r['name']}  {r['id']}  {r['hint']}...  {r['status']}")
        output.emit(f"  limits  {terms(r)}")
        if isinstance(used, dict):
            money = (
                f"{output.usd(used['usd_today'])} in 24 h, {output.usd(used['usd_month'])} in 30 d"
            )
            output.emit(
                f"  used    {used['requests']} requests, last {used['last'] or '-'}, {money}"
            )
        else:
            output.emit("  used    never")
