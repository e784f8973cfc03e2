"""A table of scores as values that can be written down, and the table that was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openfusion_auto.core.score import PRICE, Table
from openfusion_auto.core.types import Term


@dataclass(frozen=True, slots=True)
class Recorded:
    """A table as it is kept: all terms, and what the explanations need besides."""

    rows: tuple[tuple[Term, ...], ...]
    dearest_usd: float
    rate: float
    slopes: tuple[float, ...]
    locked: bool


def recorded(table: Table) -> Recorded:
    """Return a table as values that can be written down."""
    rows = tuple(table.terms(row) for row in range(len(table.totals)))
    return Recorded(rows, table.dearest_usd, table.rate, table.slopes, table.locked)


def table_of(kept: Recorded) -> Table:
    """Return the table that was recorded."""
    points = np.array([[t.points for t in row] for row in kept.rows], dtype=np.float64)
    prices = [row[PRICE].raw for row in kept.rows]
    return Table(
        values=np.array([[t.value for t in row] for row in kept.rows], dtype=np.float64),
        weights=np.array([t.weight for t in kept.rows[0]], dtype=np.float64),
        points=points,
        totals=points.sum(axis=1).round(9),
        turn_usd=np.array([np.nan if p is None else p for p in prices], dtype=np.float64),
        dearest_usd=kept.dearest_usd,
        rate=kept.rate,
        slopes=kept.slopes,
        locked=kept.locked,
        told=kept.rows.__getitem__,
    )
