"""A table of scores as values that can be written down, and the table that was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openfusion_auto.core.score import PRICE, Table, points_of
from openfusion_auto.core.types import Term


@dataclass(frozen=True, slots=True)
class Recorded:
    """A table as it is kept: what the terms are made of, and what the explanations need besides.

    `values` is (n, 8), as are `raws` and `sources`, what is behind them; `weights` is (8,). `rows` are whole terms,
    as earlier versions kept them.
    """

    dearest_usd: float
    rate: float
    slopes: tuple[float, ...]
    locked: bool
    values: tuple[tuple[float, ...], ...] = ()
    weights: tuple[float, ...] = ()
    raws: tuple[tuple[float | None, ...], ...] = ()
    sources: tuple[tuple[str, ...], ...] = ()
    rows: tuple[tuple[Term, ...], ...] = ()


def recorded(table: Table) -> Recorded:
    """Return a table as values that can be written down."""
    raws, sources = zip(*map(table.behind, range(len(table.totals))), strict=True)
    return Recorded(
        dearest_usd=table.dearest_usd,
        rate=table.rate,
        slopes=table.slopes,
        locked=table.locked,
        values=tuple(map(tuple, table.values.tolist())),
        weights=tuple(table.weights.tolist()),
        raws=raws,
        sources=sources,
    )


def table_of(kept: Recorded) -> Table:
    """Return the table that was recorded."""
    values, weights, raws, sources = kept.values, kept.weights, kept.raws, kept.sources
    if kept.rows:
        values = tuple(tuple(t.value for t in row) for row in kept.rows)
        weights = tuple(t.weight for t in kept.rows[0])
        raws = tuple(tuple(t.raw for t in row) for row in kept.rows)
        sources = tuple(tuple(t.source for t in row) for row in kept.rows)
    behind = tuple(zip(raws, sources, strict=True))
    known, shares = np.array(values, dtype=np.float64), np.array(weights, dtype=np.float64)
    points = points_of(known, shares)
    prices = [np.nan if (usd := row[PRICE]) is None else usd for row in raws]
    return Table(
        values=known,
        weights=shares,
        points=points,
        totals=points.sum(axis=1).round(9),
        turn_usd=np.array(prices, dtype=np.float64),
        dearest_usd=kept.dearest_usd,
        rate=kept.rate,
        slopes=kept.slopes,
        locked=kept.locked,
        behind=behind.__getitem__,
    )
