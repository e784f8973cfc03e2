"""Whose turn it is among models that take turns: a function of the turn's number, so that a decision can be replayed.

Without weights the models follow each other. With weights each has its share of any run of turns, as evenly spread as
it goes (smooth weighted round robin, as nginx does it): a share of 3 to 1 is a a b a, not a a a b.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd

from openfusion_auto.core.digest import digest
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.strength import is_embedding
from openfusion_auto.core.types import Pool

PARTS = 100  # a share counts in hundredths


def takers(options: Options, pool: Pool, role: str | None = None) -> tuple[str, ...]:
    """Return the names that take turns: those that the request lists, in its order, else the whole pool.

    Of the pool without those that answer no such request (embeddings, others than of the role that is asked for): whose
    turn goes to the next would double the next one's share.
    """
    able = (c for c in pool.candidates if not is_embedding(c))
    plays = tuple(c.id for c in able if role is None or role in c.roles)
    return options.panel or options.candidates or plays or tuple(c.id for c in pool.candidates)


def name_of(options: Options, pool: Pool, role: str | None = None) -> str:
    """Return what the turns of a request are counted under: the same for the same names with the same weights."""
    names = takers(options, pool, role)
    return digest({"names": names, "weights": weights_of(names, options)})


def weights_of(names: Sequence[str], options: Options) -> tuple[float, ...]:
    """Return the weight of each name; where some have one, those without have none and only stand behind."""
    said = {e.name: e.weight for e in options.each if e.weight is not None}
    return tuple(said.get(n, 0.0) if said else 1.0 for n in names)


def order(names: Sequence[str], options: Options, number: int) -> tuple[str, ...]:
    """Return the names as turn `number` (from 0) tries them: whose turn it is, then the others from there on."""
    parts = parts_of(weights_of(names, options))
    turns = round_of(parts)
    first = turns[number % len(turns)]
    later = [*range(first + 1, len(names)), *range(first)]
    return tuple(names[i] for i in (first, *sorted(later, key=lambda i: not parts[i])))


def parts_of(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Return weights as whole parts: hundredths of their sum, at least one of each that is above 0."""
    total = sum(weights)
    if total <= 0:
        return (1,) * len(weights)
    parts = [max(1, round(w / total * PARTS)) if w > 0 else 0 for w in weights]
    common = gcd(*parts)
    return tuple(p // common for p in parts)


@lru_cache(maxsize=256)
def round_of(parts: tuple[int, ...]) -> tuple[int, ...]:
    """Return a whole round of turns: who has each, by place. Remembered."""
    credit, total, turns = [0] * len(parts), sum(parts), []
    for _ in range(total):
        credit = [c + p for c, p in zip(credit, parts, strict=True)]
        first = max(range(len(parts)), key=lambda i: (credit[i], -i))
        credit[first] -= total
        turns.append(first)
    return tuple(turns)
