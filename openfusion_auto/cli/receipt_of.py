"""A receipt of one request that was served, out of the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from openfusion_auto.cli import evaluate, output

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings
    from openfusion_auto.runtime.trace import Trace


def make(trace_id: str, out: Path | None, settings: Settings) -> Path:
    """Write the receipt of a trace; returns its file.

    Raises:
        Failure: nobody knows the trace, it holds too little, or the pool is another one by now.
    """
    from openfusion_auto.evals import receipt
    from openfusion_auto.runtime.clock import Clock

    trace = found(trace_id, settings)
    decision = trace.decision
    if decision is None or trace.policy is None:
        raise output.Failure(
            f"{trace_id}: nothing was decided, or by a version that did not keep what from"
        )
    pool = trace.pool or settings.pool
    if decision.pool_digest != pool.digest:
        raise output.Failure(
            f"{trace_id}: was decided with the pool {decision.pool_digest}, the configured one is "
            f"{settings.pool.digest}: name the configuration of that time with --config"
        )
    origin = replace(receipt.origin_of(settings, dry_run=trace.dry_run), pool=pool)
    now = Clock().wall()
    _, path = evaluate.keep(
        lambda prev: receipt.of_request(receipt.Made(now, prev), origin, trace), out, settings
    )
    if path is None:
        raise output.Failure("the receipt was not kept; name a file with --out")
    return path


def found(trace_id: str, settings: Settings) -> Trace:
    """Return a trace from the store; a dry run's too.

    Raises:
        Failure: it is not there, or this version cannot read it.
    """
    from openfusion_auto.cli import kept
    from openfusion_auto.runtime.archive import restored
    from openfusion_auto.store.records import Unreadable

    row = kept.row(settings, trace_id)
    if row is None:
        raise output.Failure(f"{trace_id[:80]}: is not in the store of {settings.state_path}")
    try:
        return restored(row.document)
    except Unreadable:
        raise output.Failure(f"{trace_id}: was recorded by another version") from None
