"""Models of the operator's own (`[[models]]`): a name that stands for candidates and a way to ask them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from openfusion_auto.core.digest import digest
from openfusion_auto.core.prompt import FanOut, Options
from openfusion_auto.core.types import Candidate, Pool

POOL_SCHEMA = 1  # of pool files; a pool's digest covers it
ANY_MODEL = "any_model"  # an upstream that offers this takes models that are not in the pool
PLAIN = Options()
# Who answers and who judges is what such a name stands for: a request cannot put others in their place.
ITS_OWN = ("panel", "candidates", "judge")
# Of answering: who gives one has chosen, so the other is not the name's.
WAYS = ("mode", "strategy")


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A name, and what a request that names it asks for.

    Attributes:
        says: What it is, in a few words.
        options: What it asks for; `options.fan` names it, `options.candidates` are all that may be called for it (empty
            = the whole pool), `options.panel` its members.
        outside: Those of them that are not in the pool: an upstream takes any model.
        created: When it was made, as lists of models show it [s since 1970].
    """

    name: str
    says: str
    options: Options
    outside: tuple[Candidate, ...] = ()
    created: int = 0

    def players(self, pool: Pool) -> tuple[Candidate, ...]:
        """Return all that may be called for it; of a pool that is only a part, those that are there."""
        wanted = set(self.options.candidates)
        if not wanted:
            return pool.candidates
        inside = tuple(c for c in pool.candidates if c.id in wanted or c.model in wanted)
        return (*inside, *self.outside)

    def taken(self, asked: Options) -> str | None:
        """Return the option of a request that would put another in the place of its models, None when there is none."""
        if not self.options.candidates:
            return None
        own = self.options.candidates
        for field in ITS_OWN:
            value = getattr(asked, field)
            if value and not (field == "judge" and value in own):
                return field
        return None

    def asking(self, asked: Options) -> Options:
        """Return what a request asks for that names it: its own options go before, limits are the tighter of both."""
        own = self.options
        chosen = asked.mode != PLAIN.mode or asked.strategy != PLAIN.strategy
        said: dict[str, Any] = {"fan": replace(own.fan or FanOut(self.name), asks=not chosen)}
        for field in fields(Options):
            value = getattr(asked, field.name)
            if value != getattr(PLAIN, field.name) or (chosen and field.name in WAYS):
                said[field.name] = value
        for limit in ("max_usd", "max_calls"):
            known = [v for v in (getattr(own, limit), getattr(asked, limit)) if v is not None]
            said[limit] = min(known, default=None)
        return replace(own, **said)


OwnModels = Mapping[str, OwnModel]  # by name
NONE_OWN: OwnModels = {}


def host_of(offers: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the upstream that takes models outside the pool, the first by name; None when none does."""
    return min((name for name, offered in offers.items() if ANY_MODEL in offered), default=None)


def ad_hoc(candidates: tuple[Candidate, ...]) -> Pool:
    """Return a pool of these alone, with the digest that a file of them would have."""
    listed = tuple(sorted(candidates, key=lambda c: c.id))
    return Pool(listed, digest({"schema": POOL_SCHEMA, "candidates": listed}))


def outsider(name: str, upstream: str) -> Candidate:
    """Return a model outside the pool as a candidate: nothing is known of it, so it is held able to do everything."""
    return Candidate(name, upstream, name, offers=("tools", "vision", "json_schema", "reasoning"))
