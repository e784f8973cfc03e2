"""Who answers in an evaluation: Auto, and what it is measured against."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openfusion_auto.core import cost
from openfusion_auto.core.strength import is_embedding, strongest
from openfusion_auto.core.types import Candidate, Pool
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.names import AUTO, PREFIX, roles_of

NAMED = ("auto", "strongest", "cheapest", "panel")
DEFAULT_BASELINES = ("strongest", "cheapest", "panel")
MEMBERS = "panel:"  # `panel:a,b,c` is a panel of these


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to answer: `model` and `options` go into the request. `what` says it in words."""

    name: str
    model: str
    what: str
    options: Mapping[str, object] = field(default_factory=dict)


AUTO_CONTENDER = Contender("auto", AUTO, "Auto: chosen for each request")


def contender(name: str, pool: Pool, unready: Mapping[str, str]) -> Contender:
    """Return the contender of a name.

    Args:
        name: `auto`, `strongest`, `cheapest`, `panel`, `panel:a,b,c`, a role, or a candidate's id.
        pool: The candidates.
        unready: Upstream name -> why it cannot be called.

    Raises:
        ConfigError: there is none of that name, or nobody is ready.
    """
    if name == "auto":
        return AUTO_CONTENDER
    if name == "panel":
        return Contender(name, AUTO, "a panel for every request", {"mode": "panel"})
    if name.startswith(MEMBERS):
        ids = [_candidate(i.strip(), pool).id for i in name[len(MEMBERS) :].split(",")]
        options = {"mode": "panel", "panel": ids}
        return Contender(name, AUTO, f"a panel of {', '.join(ids)}", options)
    if name in ("strongest", "cheapest"):
        found = _extreme(name, pool, unready)
        return Contender(name, found.id, f"{found.id}, the {name} of the pool")
    if name in roles_of(pool):
        return Contender(name, PREFIX + name, f"the best {name} for each request")
    found = _candidate(name, pool)
    return Contender(name, found.id, f"{found.id} for every request")


def contenders(
    names: Sequence[str], pool: Pool, unready: Mapping[str, str]
) -> tuple[Contender, ...]:
    """Return Auto and the baselines of these names, each once.

    Raises:
        ConfigError: as `contender`.
    """
    wanted = dict.fromkeys(("auto", *names))
    return tuple(contender(name, pool, unready) for name in wanted)


def _candidate(name: str, pool: Pool) -> Candidate:
    found = next((c for c in pool.candidates if name in (c.id, c.model)), None)
    if found is None:
        known = (*NAMED, *roles_of(pool), *(c.id for c in pool.candidates))
        near = difflib.get_close_matches(name[:80], known, n=2)
        hint = (
            f"; did you mean {' or '.join(near)}?" if near else f"; there are: {', '.join(known)}"
        )
        raise ConfigError(f"nobody is called {name[:80]!r}{hint}")
    return found


def _extreme(name: str, pool: Pool, unready: Mapping[str, str]) -> Candidate:
    """Return the strongest candidate at mending bugs (what benchmarks measure), or that of the lowest usual price."""
    usd = cost.usual(cost.prices(pool.candidates)).tolist()
    priced = [
        i
        for i, c in enumerate(pool.candidates)
        if c.upstream not in unready and not np.isnan(usd[i]) and not is_embedding(c)
    ]
    best = strongest(pool, unready)
    if name == "strongest" and best is not None:
        return best
    if name == "cheapest" and priced:
        return pool.candidates[min(priced, key=lambda i: (usd[i], i))]
    raise ConfigError(f"no candidate can be the {name}: nobody is ready, or no price is known")
