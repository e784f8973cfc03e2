"""What always asking the strongest would have cost beside what was spent: an estimate, and said to be one.

It is the list price that the strongest candidate has today for the tokens of a request's first call: the prompt as it
came and one answer to it. The strongest might have written more or less, and it might have found less in its cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from openfusion_auto.core import cost
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.strength import strongest
from openfusion_auto.core.types import Candidate, Pool

Row = Mapping[str, Any]
# What not every entry has: one that an earlier version wrote may lack nearly everything.
MEMBERS = (
    "task", "mode", "cached", "dry_run", "answered_by", "usd", "ms", "outcome", "session_hash",
)  # fmt: skip
BLANK: Row = dict.fromkeys(MEMBERS) | {"requested_model": "", "usage": ()}


class Yardstick(NamedTuple):
    """Who is taken for the strongest; None where nobody can be called."""

    candidate: Candidate | None

    def saved(self, row: Row) -> float | None:
        """Return what a request saved [USD], from its entry in a list of traces; below 0 when it cost more.

        None where a price is unknown, where nothing was asked, and in a dry run, in which nothing is spent.
        """
        lines, spent = row["usage"], row["usd"]
        price = self.candidate.price if self.candidate is not None else None
        if price is None or spent is None or not lines or row["dry_run"]:
            return None
        first = lines[0]
        usage = Usage(first["input_tokens"], first["output_tokens"], first["cached_tokens"])
        return cost.usd(price, usage) - float(spent)


def whole(rows: Sequence[Row]) -> list[Row]:
    """Return entries of a list of traces with every member that is shown, None where it is missing."""
    return [{**BLANK, **row} for row in rows]


def yardstick(pool: Pool, unready: Mapping[str, str]) -> Yardstick:
    """Return who is the strongest of those that can be called."""
    return Yardstick(strongest(pool, unready))


class Sum(NamedTuple):
    """Some requests together. `usd` and `saved` are of those that have one, `unpriced` counts those without."""

    requests: int
    failed: int
    usd: float
    unpriced: int
    saved: float
    compared: int
    ms_p50: float | None


def add_up(rows: Sequence[Row], measure: Yardstick) -> Sum:
    """Return the sums of some entries of a list of traces; those that still run are left out."""
    ended = [row for row in rows if row["outcome"] != "running"]
    spent = [row["usd"] for row in ended if row["usd"] is not None]
    saved = [found for row in ended if (found := measure.saved(row)) is not None]
    times = sorted(row["ms"] for row in ended if row["ms"] is not None)
    return Sum(
        len(ended),
        sum(row["outcome"] == "error" for row in ended),
        sum(spent),
        len(ended) - len(spent),
        sum(saved),
        len(saved),
        times[len(times) // 2] if times else None,
    )
