"""`openfusion pool`: the candidates with the origin of their numbers, and what deserves a look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.common import config_option, json_option
from openfusion_auto.cli.pool_common import Chosen, choose, head, pool_option, today
from openfusion_auto.cli.pool_front import front_command
from openfusion_auto.cli.pool_update import update_command

if TYPE_CHECKING:
    from openfusion_auto.config.pool import Finding
    from openfusion_auto.core.price import LongPrice
    from openfusion_auto.core.types import Candidate, Price

# Findings that make decisions wrong; the others are gaps and age.
ERRORS = frozenset({"price_outlier", "price_zero", "future", "output_over_context"})
COLOURS: Mapping[str, str] = {"error": "red", "warning": "yellow"}


@click.group()
def command() -> None:
    """Look at the candidate models and their numbers."""


command.add_command(update_command)
command.add_command(front_command)


@command.command("list")
@json_option
@pool_option
@config_option
def list_command(as_json: bool, pool: str | None, config: Path | None) -> None:
    """List every candidate with its numbers, their sources and dates."""
    from openfusion_auto.core.digest import plain

    chosen = choose(pool, config)
    if as_json:
        rows = [plain(c) for c in chosen.pool.candidates]
        output.data({**head(chosen), "candidates": rows})
        return
    output.emit(f"{chosen.source}  {chosen.pool.digest}")
    for candidate in chosen.pool.candidates:
        output.emit()
        for line in describe(candidate):
            output.emit(line)


@command.command("check")
@json_option
@pool_option
@click.option("--strict", is_flag=True, help="Exit code 1 on warnings too.")
@config_option
def check_command(as_json: bool, pool: str | None, strict: bool, config: Path | None) -> None:
    """Name numbers that are old, missing or odd.

    Exit code 1 when one makes decisions wrong (a price of the wrong size, a date ahead, an output above the window).
    """
    from openfusion_auto.config.pool import check_pool

    chosen = choose(pool, config)
    findings = check_pool(chosen.pool, today())
    if as_json:
        rows = [{**f._asdict(), "level": level(f)} for f in findings]
        output.data({**head(chosen), "findings": rows})
    else:
        show(chosen, findings)
    if (strict and findings) or any(level(f) == "error" for f in findings):
        raise click.exceptions.Exit(1)


def level(finding: Finding) -> Literal["error", "warning"]:
    """Return how bad a finding is."""
    return "error" if finding.rule in ERRORS else "warning"


def show(chosen: Chosen, findings: list[Finding]) -> None:
    """Print the findings and their number."""
    for f in findings:
        shown = output.coloured(f"{level(f):<7}", COLOURS[level(f)])
        output.paint(shown, f" {f.candidate or 'pool'}: {f.rule}: {f.detail}")
    errors = sum(level(f) == "error" for f in findings)
    found = f"{output.many(errors, 'error')}, {output.many(len(findings) - errors, 'warning')}"
    output.emit(f"{output.many(len(chosen.pool.candidates), 'candidate')}: {found}")


def describe(c: Candidate) -> Iterator[str]:
    """Yield the lines about one candidate."""
    yield f"{c.id}  ({c.model} at {c.upstream})"
    yield f"  roles    {' '.join(c.roles) or '-'}"
    yield f"  offers   {' '.join(c.offers) or '-'}"
    yield f"  window   {output.count(c.context_tokens)} tokens, output {output.count(c.max_output_tokens)}"
    price = c.price
    if price is None:
        yield "  price    unknown"
    else:
        yield f"  price    {rates(price)} USD per 1M tokens  {origin(price.source, price.as_of)}"
        for longer in price.long_context:
            yield f"           {rates(longer)} for prompts above {longer.above_tokens:,} tokens"
    for b in c.benchmarks:
        sample = f" (n = {b.n})" if b.n else ""
        yield f"  score    {b.score:g} % {b.name}{sample}  {origin(b.source, b.as_of)}"
    if c.cost_per_task:
        told = origin(c.cost_per_task.source, c.cost_per_task.as_of)
        yield f"  task     {c.cost_per_task.value:g} USD for one  {told}"
    if c.performance:
        yield f"  speed    {speed(c)}  {origin(c.performance.source, c.performance.as_of)}"


def rates(price: Price | LongPrice) -> str:
    """Return the rates that are known."""
    cached = f", cached {price.cache_read:g}" if price.cache_read is not None else ""
    written = f", cache write {price.cache_write:g}" if price.cache_write is not None else ""
    return f"{price.input:g} in, {price.output:g} out{cached}{written}"


def speed(c: Candidate) -> str:
    """Return the speed priors that are known."""
    known = []
    if c.performance and c.performance.ttft_ms_p50 is not None:
        known.append(f"first token after {c.performance.ttft_ms_p50:g} ms")
    if c.performance and c.performance.tokens_per_s_p50 is not None:
        known.append(f"{c.performance.tokens_per_s_p50:g} tokens/s")
    return ", ".join(known)


def origin(source: str, as_of: str) -> str:
    """Return where a number comes from and since when it stands."""
    return f"[{source or 'no source'}, {as_of or 'no date'}]"
