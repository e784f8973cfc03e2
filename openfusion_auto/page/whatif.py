"""What would have been decided with other weights: a recorded decision made again on the server, and compared.

Only from what was recorded. Where something is missing (the pool of that time, the inputs) the page says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from openfusion_auto.core.explain import decision_digest, decision_json
from openfusion_auto.core.types import Decision, Policy, Pool, State
from openfusion_auto.core.whatif import WEIGHTS, difference, made_again
from openfusion_auto.errors import BadRequest
from openfusion_auto.runtime.access import Views
from openfusion_auto.runtime.trace import Trace

KNOB = "cost_quality"
SHOWN_TERMS = 3  # of a candidate, in a row
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Slider:
    """One number that can be moved; `usual` is what was decided with."""

    name: str
    value: float
    usual: float
    most: float
    step: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What a decision was made of, and the settings with which it comes out as it was recorded."""

    decision: Decision
    pool: Pool
    state: State
    policy: Policy


@dataclass(frozen=True, slots=True)
class Change:
    """What would be otherwise: the decision as JSON before and after, and their difference."""

    before: Document
    after: Document
    found: Document

    @property
    def rows(self) -> list[tuple[Document, list[Document]]]:
        """The candidates for which something differs, by their new rank, each with the terms that moved most."""
        rows: list[Document] = list(self.found["candidates"])
        rows.sort(key=lambda c: c["rank"][1] or math.inf)
        return [(c, sorted(c["terms"], key=moved, reverse=True)[:SHOWN_TERMS]) for c in rows]


def moved(term: Document) -> float:
    """Return by how many points a term moved; one that is on one side only, by all of them."""
    before, after = term["points"]
    return abs(float(after or 0.0) - float(before or 0.0))


def ground_of(trace: Trace, views: Views) -> Ground | str:
    """Return what a trace's decision can be made again from, or why it cannot."""
    decision = trace.decision
    if decision is None:
        return "Nothing was decided: the request was refused before, or an earlier answer was given again."
    if trace.state is None or trace.policy is None:
        return "The version that recorded this did not keep what the decision was made of."
    pool = trace.pool or views.with_digest(decision.pool_digest)
    if pool is None:
        return (
            "The pool has changed since: this was decided with another list of models or prices "
            f"({decision.pool_digest[:19]}), and traces do not keep the list."
        )
    ground = Ground(decision, pool, trace.state, trace.policy)
    if decision_digest(again(ground, decision.cost_quality, WEIGHTS)) != decision_digest(decision):
        return (
            "This version does not make the same decision from the same inputs, so a difference "
            "would not be the settings' alone."
        )
    return ground


def again(ground: Ground, knob: float, weights: Mapping[str, float]) -> Decision:
    """Return the decision made again.

    Raises:
        BadRequest: the weights make no sense.
    """
    try:
        return made_again(
            ground.decision.task,
            ground.pool,
            ground.state,
            ground.policy,
            cost_quality=knob,
            weights=weights,
        )
    except ValueError as error:
        raise BadRequest(f"{str(error)[:1].upper()}{str(error)[1:]}.", param="weights") from None


def change_of(ground: Ground, knob: float, weights: Mapping[str, float]) -> Change:
    """Return what other settings would change; `BadRequest` as `again`."""
    before = decision_json(ground.decision)
    after = decision_json(again(ground, knob, weights))
    return Change(before, after, difference(before, after))


def asked(request: web.Request, usual_knob: float) -> tuple[float, dict[str, float]]:
    """Return the knob and the weights that a request names; those that it does not name are as they were.

    Raises:
        BadRequest: a value is no number of its range.
    """
    knob = number(request, KNOB, usual_knob, 10.0)
    return knob, {name: number(request, name, usual, 100.0) for name, usual in WEIGHTS.items()}


def number(request: web.Request, name: str, usual: float, most: float) -> float:
    """Return a parameter that is a number from 0 to `most`."""
    text = request.query.get(name)
    if text is None:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= most:
        raise BadRequest(f"{name} must be a number from 0 to {most:g}.", param=name)
    return value


def sliders(knob: float, weights: Mapping[str, float], usual_knob: float) -> tuple[Slider, ...]:
    """Return what can be moved, and where it stands."""
    rows = [Slider(KNOB, knob, usual_knob, 10.0, 0.1)]
    rows += [Slider(name, weights[name], usual, 1.0, 0.01) for name, usual in WEIGHTS.items()]
    return tuple(rows)
