"""What a client may put in `model`, and what it asks for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from openfusion_auto.core.own import NONE_OWN, OwnModel, OwnModels, host_of, outsider
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import ROLES, Candidate, Pool
from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.wire.naming import NAMES_LIMIT, VIRTUAL, names_in

PREFIX = VIRTUAL
AUTO, FUSION = PREFIX + "auto", PREFIX + "fusion"


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


def virtual_names(pool: Pool, own: OwnModels = NONE_OWN) -> tuple[str, ...]:
    """Return the names behind which several candidates stand: virtual models, roles, the operator's own."""
    return (AUTO, FUSION, *(PREFIX + r for r in roles_of(pool)), *own)


def known_names(pool: Pool, own: OwnModels = NONE_OWN) -> tuple[str, ...]:
    """Return every name that `/v1/models` lists: virtual models, roles, the operator's own, then the pool."""
    return virtual_names(pool, own) + tuple(c.id for c in pool.candidates)


def wanted(
    model: str,
    options: Options,
    pool: Pool,
    offers: Mapping[str, tuple[str, ...]],
    own: OwnModels = NONE_OWN,
) -> Wanted:
    """Resolve a model name.

    Args:
        model: As the client wrote it; several with commas are a panel of them, unless the options say otherwise.
        options: The request's options; `openfusion/fusion` forces a panel.
        pool: The candidates.
        offers: Upstream name -> what it offers.
        own: The operator's own models.

    Raises:
        ModelNotFound: with near names; a typo is never silently served by something else.
        BadRequest: the options name a candidate that does not exist, or contradict a list.
    """
    if model in own:
        return wanting_own(own[model], options, pool)
    check_ids(options, pool)
    if model == AUTO:
        return Wanted(options)
    if model == FUSION:
        return Wanted(replace(options, mode="panel"))
    if model.startswith(PREFIX) and model[len(PREFIX) :] in roles_of(pool):
        return Wanted(options, role=model[len(PREFIX) :])
    found = candidates_of(model, pool, offers)
    if found is None and "," in model:
        return listed(names_in(model), options, pool, offers, own)
    if found is None:
        raise not_found(model, pool, own)
    return wanting(found, options, pool)


def wanting_own(model: OwnModel, options: Options, pool: Pool) -> Wanted:
    """Resolve a model of the operator's own.

    Raises:
        BadRequest: the options would put other candidates in the place of its own, or name one that does not exist.
    """
    taken = model.taken(options)
    if taken is not None:
        raise conflicting(f"'model' says who answers, and so does 'openfusion.{taken}'", taken)
    asked = model.asking(options)
    if not model.options.candidates:
        check_ids(options, pool)
        return Wanted(asked)
    return Wanted(asked, outside=model.players(pool) if model.outside else ())


def candidates_of(
    name: str, pool: Pool, offers: Mapping[str, tuple[str, ...]]
) -> tuple[Candidate, ...] | None:
    """Return who has a name: those of the pool, or a model outside it where an upstream takes any; else None."""
    named = tuple(c for c in pool.candidates if name in (c.id, c.model))
    if named:
        return named
    host = host_of(offers)
    if host is None or name.startswith(PREFIX) or not name or "," in name:
        return None
    return (outsider(name, host),)


def listed(
    names: tuple[str, ...],
    options: Options,
    pool: Pool,
    offers: Mapping[str, tuple[str, ...]],
    own: OwnModels = NONE_OWN,
) -> Wanted:
    """Resolve a list: a panel of its members, or what the options say, among these members and nobody else.

    Raises:
        ModelNotFound: a member does not exist; none is left out in silence.
        BadRequest: a member is no single model or stands twice, the list is too long, or the options name another.
    """
    for name in names:
        if name in virtual_names(pool, own):
            raise bad_list(f"{name!r} is no single model; a list names candidates")
    found: dict[str, Candidate] = {}
    for name in names:
        members = candidates_of(name, pool, offers)
        if members is None:
            raise not_found(name, pool, own)
        if any(c.id in found for c in members):
            raise bad_list(
                f"{name[:80]!r} stands twice; strategy self_fusion asks one model several times"
            )
        found |= {c.id: c for c in members}
    if len(names) > NAMES_LIMIT:
        raise bad_list(f"it names {len(names)} models, and a list may have {NAMES_LIMIT}")
    given = [field for field in ("panel", "candidates") if getattr(options, field)]
    if given:
        raise conflicting(
            f"'model' lists the models, and so does 'openfusion.{given[0]}'", given[0]
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


def conflicting(why: str, option: str) -> BadRequest:
    """Return the refusal of an option that contradicts what `model` says."""
    at = f"openfusion.{option}"
    return BadRequest(f"{why}. Leave one out.", param=at, code="conflicting_options")


def not_found(model: str, pool: Pool, own: OwnModels = NONE_OWN) -> ModelNotFound:
    """Return the 404 for an unknown model, with the nearest names."""
    names = known_names(pool, own) + tuple(c.model for c in pool.candidates)
    listed = " GET /v1/models lists what there is, and so does `openfusion models`."
    return unlisted(model, names, "does not exist", listed)


def unlisted(model: str, names: Iterable[str], what: str, otherwise: str = "") -> ModelNotFound:
    """Return the 404 that says `what` of a model, with the nearest of `names`, or `otherwise` where none is near."""
    near = list(dict.fromkeys(difflib.get_close_matches(model[:100], names, n=3, cutoff=0.5)))
    hint = f" Did you mean {' or '.join(near)}?" if near else otherwise
    shown = "".join(ch for ch in model[:80] if ch.isprintable())
    return ModelNotFound(f"The model {shown!r} {what}.{hint}", param="model")


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
