"""Which candidates of a pool are worth their money for a kind of task, which are beaten, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from openfusion_auto.core import cost, score
from openfusion_auto.core.cost import NOMINAL
from openfusion_auto.core.front import Front, front
from openfusion_auto.core.strength import is_embedding
from openfusion_auto.core.types import Kind, Pool

REQUEST = f"one request: {NOMINAL.input:,} tokens in, none cached, {NOMINAL.output:,} out; list price x effort"


class Measured(NamedTuple):
    """One candidate: what the nominal request costs [USD, None = no price], and its chance to solve a task 0..1.

    `known`: a benchmark says so. `talks`: it holds conversations; who makes embeddings is compared with nobody.
    """

    name: str
    usd: float | None
    quality: float
    effort: float
    known: bool
    talks: bool


@dataclass(frozen=True, slots=True)
class Worth:
    """All candidates by name, and the front of those that have a price."""

    kind: Kind
    rows: Mapping[str, Measured]
    front: Front

    @property
    def priced(self) -> list[tuple[Measured, float]]:
        """The candidates that have a place, with their cost, in order of cost."""
        found = [(row, row.usd) for row in self.rows.values() if row.usd is not None and row.talks]
        return sorted(found, key=lambda pair: (pair[1], pair[0].name))

    @property
    def unplaced(self) -> list[tuple[Measured, str]]:
        """The candidates that have no place, and why."""
        placed = {row.name for row, _ in self.priced}
        rest = [row for row in self.rows.values() if row.name not in placed]
        return [(r, "its price is unknown" if r.talks else "it makes embeddings") for r in rest]

    def why_beaten(self, name: str) -> str:
        """Say who beats a candidate that has a price and is not on the front."""
        row, winner = self.rows[name], self.front.dominated.get(name)
        if winner is not None:
            other = self.rows[winner]
            same = other.usd == row.usd and other.quality == row.quality
            return f"equal to {winner}" if same else f"beaten by {winner}"
        left, right = self.front.mixed[name]
        both = self.front.quality_at(row.usd or 0.0)
        return f"{left} and {right} in turn give {both:.3f} for the same money"


def worth(pool: Pool, kind: Kind) -> Worth:
    """Return cost and quality of every candidate for a kind of task, and their front."""
    rows = {row.name: row for row in measured(pool, kind)}
    placed = Worth(kind, rows, front(())).priced
    return Worth(kind, rows, front([(row.name, usd, row.quality) for row, usd in placed]))


def measured(pool: Pool, kind: Kind) -> list[Measured]:
    """Return cost and quality of every candidate, as the decision itself sees them."""
    fixed = score.fixed(pool, kind)
    usd = [None if u != u else u for u in cost.usual(fixed.prices).tolist()]  # noqa: PLR0124 - NaN is unknown
    chance = fixed.values[:, score.SKILL].tolist()
    work = fixed.prices.work.tolist()
    return [
        Measured(c.id, u, q, w, bool(c.benchmarks), not is_embedding(c))
        for c, u, q, w in zip(pool.candidates, usd, chance, work, strict=True)
    ]
