"""What a request names in `model` and `models`: one model, several at once, or several in an order.

    "a,b"                        several at once: a panel of them
    ["a", "b"]                   one after the other, until one answers
    "a" beside "models": ["b"]   the same, as OpenRouter writes it
    {"strategy": "best_of", "models": ["a", {"id": "b"}]}

All come to one name and the options that say the same: a list is its names with commas, and the order is strategy
`fallback`. What the request's own `openfusion` says goes before what its `model` implies. Who the names are, and
whether they exist, is seen where the pool is known (`runtime/names.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from openfusion_auto.core.prompt import Each, Options, Strategy
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    MODEL_LIMIT,
    check_model,
    items,
    members,
    name,
    number,
    one_of,
    string,
    wrong_type,
    wrong_value,
)
from openfusion_auto.wire.extensions import provider_of
from openfusion_auto.wire.jsons import Body
from openfusion_auto.wire.options import FIELD, read_options
from openfusion_auto.wire.plugins import fusion_of
from openfusion_auto.wire.splice import read_top_level, splice_top_level

NAMES_LIMIT = 8  # models in one list: the members that a panel may have
VIRTUAL = FIELD + "/"  # of the names that are made here
_STRATEGIES = (
    "best_of", "round_robin", "cost_optimized", "latency_optimized", "performance_based",
)  # fmt: skip
# What may be said of one model, and the highest value.
_PER_MODEL: Mapping[str, float | None] = {
    "weight": 1e6,
    "max_cost_per_1k_tokens": None,
    "min_performance_score": 1.0,
}


@dataclass(frozen=True, slots=True)
class Named:
    """A model's name (or names, with commas), the request's options, and the request without what was read here."""

    model: str
    options: Options
    body: Body
    raw: bytes


def names_in(model: str) -> tuple[str, ...]:
    """Return the names of a list with commas; a name without a comma is one."""
    return tuple(part.strip() for part in model.split(","))


def read_named(body: Body, raw: bytes) -> Named:
    """Return what a request names.

    `models` and `route` are taken out of a request whose model is named by them: the order is kept here. Beside a
    virtual model (`openfusion/...`) they are the upstream's, and stay.

    Args:
        body: The request, as read from `raw`.
        raw: Its bytes.

    Raises:
        BadRequest: a value that cannot be, or two that contradict each other; `param` says which.
        ModelNotFound: a name that no model can have.
    """
    options, body, raw = _wished(body, raw)
    hosts = provider_of(body.get("provider"))
    options = options if hosts is None else replace(options, hosts=hosts)
    value, more = body.get("model"), body.get("models")
    if isinstance(value, dict):
        _refuse_both(more)
        return Named(*_by_strategy(value, options), body, raw)
    if isinstance(value, list):
        _refuse_both(more)
        return Named(*_in_order(_names("model", value), options), body, raw)
    if more is None or (isinstance(value, str) and value.startswith(VIRTUAL)):
        return Named(_checked(body), options, body, raw)
    if isinstance(value, str) and "," in value:
        _refuse_both(more)
    first = () if value is None else (_checked(body),)
    behind = _names("models", more, most=NAMES_LIMIT - len(first), least=len(first) == 0)
    _check_route(body.get("route"))
    kept = splice_top_level(body, raw, {"models": None, "route": None})
    return Named(*_in_order((*first, *behind), options), read_top_level(kept), kept)


def _wished(body: Body, raw: bytes) -> tuple[Options, Body, bytes]:
    """Return the options, with what OpenRouter's plugin `fusion` asks for beside Auto, and the request without it."""
    own, fusion = body.get(FIELD), None
    if body.get("model") in (VIRTUAL + "auto", VIRTUAL + "fusion"):
        fusion = fusion_of(body.get("plugins"))
    if fusion is None:
        return read_options(own), body, raw
    said = {} if own is None else members(FIELD, own)
    options = read_options({**fusion.options, **{k: v for k, v in said.items() if v is not None}})
    kept = splice_top_level(body, raw, {"plugins": fusion.others or None})
    return options, read_top_level(kept), kept


def _checked(body: Mapping[str, object]) -> str:
    """Return the model's name as it is; in a list with commas, each name may be as long as one."""
    value = body.get("model")
    if isinstance(value, str) and len(value) > MODEL_LIMIT and value.isprintable():
        parts = names_in(value)
        if 1 < len(parts) <= NAMES_LIMIT and all(0 < len(p) <= MODEL_LIMIT for p in parts):
            return value
    return check_model(body)


def _names(
    at: str, value: object, *, most: int = NAMES_LIMIT, least: bool = True
) -> tuple[str, ...]:
    found = items(at, value)
    if len(found) > most or (least and not found):
        raise wrong_value(at, f"{1 if least else 0} to {most} names of models")
    names = tuple(_name(f"{at}[{i}]", v) for i, v in enumerate(found))
    if any(n.startswith(VIRTUAL) for n in names):
        raise wrong_value(at, "names of candidates; a virtual model stands alone")
    return names


def _name(at: str, value: object) -> str:
    text = name(at, value)
    if "," in text:
        raise wrong_value(at, "one name, without a comma")
    return text


def _in_order(names: tuple[str, ...], options: Options) -> tuple[str, Options]:
    """Return the names as a list whose order counts; a name that stands twice counts where it stands first."""
    distinct = tuple(dict.fromkeys(names))
    implied = options.strategy == "panel" and options.mode in ("auto", "single")
    if len(distinct) > 1 and implied:
        options = replace(options, strategy="fallback")
    return ",".join(distinct), options


def _by_strategy(given: Mapping[str, object], options: Options) -> tuple[str, Options]:
    """Return what a strategy object asks for.

    `best_of` is a panel of which one answer is picked; the others are orders in which the models are tried.
    """
    for key in given:
        if key not in ("strategy", "models"):
            raise BadRequest(
                "Unknown field in 'model'. Known are: strategy, models.",
                param="model",
                code="unknown_option",
            )
    kind = string("model.strategy", given.get("strategy"))
    if kind not in _STRATEGIES:
        raise wrong_value("model.strategy", one_of(_STRATEGIES))
    listed = items("model.models", given.get("models"))
    entries = [_entry(i, entry) for i, entry in enumerate(listed)]
    names = _names("model.models", [name for name, _ in entries])
    if options.strategy != "panel" or options.mode != "auto":
        raise BadRequest(
            f"'model.strategy' says how the models are asked, and so does '{FIELD}'. Leave one out.",
            param="model.strategy",
            code="conflicting_options",
        )
    model = ",".join(dict.fromkeys(names))
    options = replace(options, each=_each(entries))
    if kind == "best_of":
        picked = options.aggregator if options.aggregator != "auto" else "ranked"
        return model, replace(options, aggregator=picked)
    return model, replace(options, strategy=cast("Strategy", kind))


def _entry(index: int, entry: object) -> tuple[object, Each | None]:
    """Return the name in an entry of a strategy object, and what else it says; a name may stand there alone."""
    if not isinstance(entry, dict):
        return entry, None
    at = f"model.models[{index}]"
    given = members(at, entry)
    for key in given:
        if key != "id" and key not in _PER_MODEL:
            raise BadRequest(
                f"Unknown field in '{at}'. Known are: id, {', '.join(_PER_MODEL)}.",
                param=at,
                code="unknown_option",
            )
    said = {
        key: number(f"{at}.{key}", given[key], 0, most)
        for key, most in _PER_MODEL.items()
        if given.get(key) is not None
    }
    name_ = string(f"{at}.id", given.get("id"))
    return name_, Each(name_, *(said.get(key) for key in _PER_MODEL)) if said else None


def _each(entries: list[tuple[object, Each | None]]) -> tuple[Each, ...]:
    """Return what is said of the models; of one that stands twice, what is said first."""
    first: dict[object, Each | None] = {}
    for name_, said in entries:
        first.setdefault(name_, said)
    found = tuple(each for each in first.values() if each is not None)
    weights = [each.weight for each in found if each.weight is not None]
    if weights and not any(weights):
        raise wrong_value("model.models", "a weight above 0 for one of them at least")
    return found


def _check_route(value: object) -> None:
    if value not in (None, "fallback"):
        if not isinstance(value, str):
            raise wrong_type("route", "a string", value)
        raise wrong_value("route", "'fallback': 'models' are tried in their order")


def _refuse_both(models: object) -> None:
    if models is not None:
        raise BadRequest(
            "'model' names several models, and so does 'models'. Leave one out.",
            param="models",
            code="conflicting_options",
        )
