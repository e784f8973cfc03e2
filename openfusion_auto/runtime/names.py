"""What a client may put in `model`, and what it asks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import ROLES, Candidate, Pool
from openfusion_auto.errors import BadRequest, ModelNotFound

PREFIX = "openfusion/"
AUTO, FUSION = PREFIX + "auto", PREFIX + "fusion"
ANY_MODEL = "any_model"  # an upstream that offers this takes ids that are not in the pool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model name asks for: a role, certain candidates, or options; `extra` is a model outside the pool."""

    options: Options
    role: str | None = None
    only: tuple[str, ...] = ()
    extra: Candidate | None = None


def roles_of(pool: Pool) -> tuple[str, ...]:
    """Return the roles that some candidate plays, the usual ones first."""
    found = {r for c in pool.candidates for r in c.roles}
    return tuple(r for r in ROLES if r in found) + tuple(sorted(found - set(ROLES)))


def known_names(pool: Pool) -> tuple[str, ...]:
    """Return every name that `/v1/models` lists: virtual models, roles, then the pool."""
    virtual = (AUTO, FUSION, *(PREFIX + r for r in roles_of(pool)))
    return virtual + tuple(c.id for c in pool.candidates)


def wanted(
    model: str, options: Options, pool: Pool, offers: Mapping[str, tuple[str, ...]]
) -> Wanted:
    """Resolve a model name.

    Args:
        model: As the client wrote it.
        options: The request's options; `openfusion/fusion` forces a panel.
        pool: The candidates.
        offers: Upstream name -> what it offers.

    Raises:
        ModelNotFound: with near names; a typo is never silently served by something else.
        BadRequest: the options name a candidate that does not exist.
    """
    check_ids(options, pool)
    if model == AUTO:
        return Wanted(options)
    if model == FUSION:
        return Wanted(replace(options, mode="panel"))
    if model.startswith(PREFIX) and model[len(PREFIX) :] in roles_of(pool):
        return Wanted(options, role=model[len(PREFIX) :])
    named = tuple(c.id for c in pool.candidates if model in (c.id, c.model))
    if named:
        return Wanted(options, only=named)
    host = next((n for n, o in sorted(offers.items()) if ANY_MODEL in o), None)
    if host is not None and not model.startswith(PREFIX):
        every = ("tools", "vision", "json_schema", "reasoning")
        return Wanted(options, only=(model,), extra=Candidate(model, host, model, offers=every))
    raise not_found(model, pool)


def not_found(model: str, pool: Pool) -> ModelNotFound:
    """Return the 404 for an unknown model, with the nearest names."""
    names = known_names(pool) + tuple(c.model for c in pool.candidates)
    near = list(dict.fromkeys(difflib.get_close_matches(model[:100], names, n=3, cutoff=0.5)))
    hint = f" Did you mean {' or '.join(near)}?" if near else " GET /v1/models lists what there is."
    shown = "".join(ch for ch in model[:80] if ch.isprintable())
    return ModelNotFound(f"The model {shown!r} does not exist.{hint}", param="model")


def check_ids(options: Options, pool: Pool) -> None:
    """Refuse options that name candidates which do not exist."""
    if not (options.panel or options.judge or options.candidates):
        return
    known = {c.id for c in pool.candidates} | {c.model for c in pool.candidates}
    for name, ids in (
        ("panel", options.panel),
        ("judge", (options.judge,) if options.judge else ()),
        ("candidates", options.candidates),
    ):
        unknown = [i for i in ids if i not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], sorted(known), n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise BadRequest(
                f"openfusion.{name} names {unknown[0][:80]!r}, which is not in the pool{hint}",
                param=f"openfusion.{name}",
                code="unknown_candidate",
            )
