"""What one key may ask for: the pool and the names that exist for it. What it may not have is not there for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openfusion_auto.core.digest import digest
from openfusion_auto.core.own import NONE_OWN, OwnModels
from openfusion_auto.core.types import Pool, State
from openfusion_auto.runtime.names import known_names, not_found, unlisted
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.wire.extensions import models_beside
from openfusion_auto.wire.naming import names_in

NOTHING: Mapping[str, object] = {}


@dataclass(frozen=True, eq=False)
class View:
    """The models of one key.

    Attributes:
        pool: The candidates that may answer it.
        names: What it may put into `model`: virtual models, roles, candidates by id and by model, and models outside
            the pool.
    """

    pool: Pool
    names: frozenset[str]

    def check(self, model: str, body: Mapping[str, object] = NOTHING) -> None:
        """Refuse a name, or a list with one, that is not there for this key, as one that does not exist.

        Args:
            model: What the request names.
            body: The request: names that it hands on to its upstream are held alike.

        Raises:
            ModelNotFound: with near names among those that are.
        """
        for name in models_beside(body):
            self._check_one(name)
        if model in self.names:
            return
        for name in names_in(model):
            self._check_one(name)

    def within(self, state: State, everything: Pool) -> State:
        """Return live state without candidates that are not there for this key: a trace shows all of it.

        Args:
            state: What is known live.
            everything: The whole pool.
        """
        if self.pool is everything:
            return state
        return replace(
            state,
            stats={k: v for k, v in state.stats.items() if k in self.names},
            breakers={k: v for k, v in state.breakers.items() if k in self.names},
        )

    def own(self, models: OwnModels, everything: Pool) -> OwnModels:
        """Return the operator's own models without those outside the pool that this key may not use.

        Args:
            models: The operator's own.
            everything: The whole pool: a key that may use all of it may use these, too.
        """
        if self.pool is everything:
            return models
        return {
            name: replace(m, outside=tuple(c for c in m.outside if c.id in self.names))
            for name, m in models.items()
        }

    def _check_one(self, model: str) -> None:
        if model not in self.names:
            raise unlisted(model, sorted(self.names), "does not exist, or your key may not use it")


def view_of(pool: Pool, models: tuple[str, ...]) -> View:
    """Return the view of a key that may use `models`.

    Candidates that it names (by id or model) are the only ones that answer it, behind virtual models too. When it names
    virtual models alone, any candidate may stand behind them.
    """
    named = tuple(c for c in pool.candidates if c.id in models or c.model in models)
    names = frozenset(models).union(*({c.id, c.model} for c in named))
    if not named:
        return View(pool, names)
    marked = digest({"pool": pool.digest, "only": [c.id for c in named]})
    return View(Pool(named, marked), names)


@dataclass(slots=True)
class Views:
    """Views by the models that a key names, made once: what is derived from a pool is remembered per object."""

    pool: Pool
    _made: dict[tuple[str, ...], View] = field(default_factory=dict)

    def take(self, pool: Pool) -> None:
        """Show another pool from now on."""
        self.pool = pool
        self._made.clear()

    def of(self, models: tuple[str, ...]) -> View | None:
        """Return the view of a key, None when it may use everything."""
        if not models:
            return None
        found = self._made.get(models)
        if found is None:
            found = self._made[models] = view_of(self.pool, models)
        return found

    def with_digest(self, digest: str) -> Pool | None:
        """Return the pool of that digest, of all candidates or of those that some key may use; None = it is gone."""
        pools = (self.pool, *(view.pool for view in self._made.values()))
        return next((pool for pool in pools if pool.digest == digest), None)


def check_models(
    models: tuple[str, ...], pool: Pool, *, any_model: bool, own: OwnModels = NONE_OWN
) -> None:
    """Refuse names for a new key that nothing has.

    Args:
        models: The names.
        pool: All candidates.
        own: The operator's own models.
        any_model: Some upstream takes models outside the pool, so any name without our prefix may be one.

    Raises:
        ModelNotFound: with near names.
    """
    known = {*known_names(pool, own), *(c.model for c in pool.candidates)}
    for name in models:
        if name not in known and (not any_model or name.startswith("openfusion/")):
            raise not_found(name, pool, own)


def owner_of(client: str | None) -> str | None:
    """Return the mark that a trace bears of the key that asked: a hash of the key's id, so nothing of the key."""
    return None if client is None else session_hash(client)
