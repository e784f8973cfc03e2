"""What a client may put in `model`, and what it asks for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import ROLES, Candidate, Pool
from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.wire.naming import NAMES_LIMIT, VIRTUAL, names_in

PREFIX = VIRTUAL
AUTO, FUSION = PREFIX + "auto", PREFIX + "fusion"
ANY_MODEL = "any_model"  # an upstream that offers this takes ids that are not in the pool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model name asks for: a role, certain candidates in their order, or options.

    `outside` are the candidates when some of them are not in the pool: then they are what is decided over.
    """

    options: Options
    role: str | None = None
    only: tuple[str, ...] = ()
    outside: tuple[Candidate, ...] = ()


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
        model: As the client wrote it; several with commas are a panel of them, unless the options say otherwise.
        options: The request's options; `openfusion/fusion` forces a panel.
        pool: The candidates.
        offers: Upstream name -> what it offers.

    Raises:
        ModelNotFound: with near names; a typo is never silently served by something else.
        BadRequest: the options name a candidate that does not exist, or contradict a list.
    """
    check_ids(options, pool)
    if model == AUTO:
        return Wanted(options)
    if model == FUSION:
        return Wanted(replace(options, mode="panel"))
    if model.startswith(PREFIX) and model[len(PREFIX) :] in roles_of(pool):
        return Wanted(options, role=model[len(PREFIX) :])
    found = candidates_of(model, pool, offers)
    if found is None and "," in model:
        return listed(names_in(model), options, pool, offers)
    if found is None:
        raise not_found(model, pool)
    return wanting(found, options, pool)


def candidates_of(
    name: str, pool: Pool, offers: Mapping[str, tuple[str, ...]]
) -> tuple[Candidate, ...] | None:
    """Return who has a name: those of the pool, or a model outside it where an upstream takes any; else None."""
    named = tuple(c for c in pool.candidates if name in (c.id, c.model))
    if named:
        return named
    host = next((n for n, o in sorted(offers.items()) if ANY_MODEL in o), None)
    if host is None or name.startswith(PREFIX) or not name or "," in name:
        return None
    return (Candidate(name, host, name, offers=("tools", "vision", "json_schema", "reasoning")),)


def listed(
    names: tuple[str, ...], options: Options, pool: Pool, offers: Mapping[str, tuple[str, ...]]
) -> Wanted:
    """Resolve a list: a panel of its members, or what the options say, among these members and nobody else.

    Raises:
        ModelNotFound: a member does not exist; none is left out in silence.
        BadRequest: a member is no single model or stands twice, the list is too long, or the options name another.
    """
    for name in names:
        if name in known_names(pool)[: -len(pool.candidates)]:
            raise bad_list(f"{name!r} is no single model; a list names candidates")
    found: dict[str, Candidate] = {}
    for name in names:
        members = candidates_of(name, pool, offers)
        if members is None:
            raise not_found(name, pool)
        if any(c.id in found for c in members):
            raise bad_list(
                f"{name[:80]!r} stands twice; strategy self_fusion asks one model several times"
            )
        found |= {c.id: c for c in members}
    if len(names) > NAMES_LIMIT:
        raise bad_list(f"it names {len(names)} models, and a list may have {NAMES_LIMIT}")
    given = [field for field in ("panel", "candidates") if getattr(options, field)]
    if given:
        raise BadRequest(
            f"'model' lists the models, and so does 'openfusion.{given[0]}'. Leave one out.",
            param=f"openfusion.{given[0]}",
            code="conflicting_options",
        )
    if options.strategy == "panel" and options.mode == "auto":
        options = replace(options, mode="panel")
    judges = tuple(c for c in pool.candidates if options.judge in (c.id, c.model))
    found |= {c.id: c for c in judges}
    return wanting(tuple(found.values()), replace(options, panel=names), pool)


def wanting(found: tuple[Candidate, ...], options: Options, pool: Pool) -> Wanted:
    """Return the wish for certain candidates."""
    outside = found if any(c not in pool.candidates for c in found) else ()
    return Wanted(options, only=tuple(c.id for c in found), outside=outside)


def bad_list(why: str) -> BadRequest:
    """Return the refusal of a list in `model`."""
    return BadRequest(f"Invalid value for 'model': {why}.", param="model", code="invalid_value")


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
