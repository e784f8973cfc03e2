"""The body field `openfusion` of a request, in every dialect the same: read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

from openfusion_auto.core.prompt import Aggregator, Options, Strategy, TraceLevel, WebTool
from openfusion_auto.core.strategy import ORDERED, mode_of
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    boolean,
    integer,
    items,
    members,
    name,
    number,
    one_of,
    string,
    wrong_value,
)

FIELD = "openfusion"
IDS_LIMIT = 64  # of ids in one list; pools have dozens of candidates
CALLS_LIMIT = 1000  # upstream calls of one request; the operator's own ceiling lies far below
_MODES = ("auto", "single", "verify", "panel")
_AGGREGATORS = ("auto", "judge", "ranked", "vote")
_TRACES = ("none", "compact", "full")
_STRATEGIES = ("panel", "self_fusion", "debate", "pipeline", "cascade", *ORDERED)
_KNOWN = (
    "mode", "panel", "judge", "aggregator", "strategy", "preset", "candidates", "cost_quality", "max_usd",
    "max_calls", "tools", "analysis", "trace", "session", "cache",
)  # fmt: skip
WEB_TOOLS: tuple[WebTool, ...] = ("web_search", "web_fetch")
_NONE: Mapping[str, object] = {}
# One word for several options. Every option that a request gives itself goes before; server limits hold as always.
PRESETS: Mapping[str, Mapping[str, object]] = {
    "quality": {"mode": "panel", "aggregator": "auto", "cost_quality": 0},
    "budget": {"mode": "panel", "aggregator": "vote", "cost_quality": 10, "max_calls": 6},
    "fast": {"strategy": "latency_optimized", "max_calls": 3},
}
# Of answering: who gives one has chosen, so the other is not the preset's.
_WAYS = ("mode", "strategy")


def read_options(value: object) -> Options:
    """Return the options of a request; None and `{}` ask for nothing.

    Raises:
        BadRequest: an unknown key (with the nearest known one), or a wrong value (naming its field): never ignored in
            silence.
    """
    if value is None:
        return Options()
    given = members(FIELD, value)
    _refuse_unknown(FIELD, given, _KNOWN)
    given = {key: v for key, v in given.items() if v is not None}
    tools = _tools(given)
    given = _with_preset(_meant(given))
    return Options(
        mode=cast(
            "Literal['auto', 'single', 'verify', 'panel']", _choice(given, "mode", _MODES, "auto")
        ),
        panel=_ids(given, "panel"),
        judge=_name(given, "judge"),
        aggregator=cast("Aggregator", _choice(given, "aggregator", _AGGREGATORS, "auto")),
        candidates=_ids(given, "candidates"),
        cost_quality=_number(given, "cost_quality", 10),
        max_usd=_number(given, "max_usd", None),
        max_calls=integer(f"{FIELD}.max_calls", given["max_calls"], 1, CALLS_LIMIT)
        if "max_calls" in given
        else None,
        trace=cast("TraceLevel", _choice(given, "trace", _TRACES, "compact")),
        session=_name(given, "session"),
        cache=boolean(f"{FIELD}.cache", given["cache"]) if "cache" in given else None,
        strategy=_strategy(given),
        analysis="analysis" in given and boolean(f"{FIELD}.analysis", given["analysis"]),
        tools=tools,
    )


def _meant(given: dict[str, object]) -> dict[str, object]:
    """Return the options with mode panel where they name a panel and no other way: else it would go unheard."""
    way = given.get("strategy")
    if "mode" not in given and (way == "panel" or (way is None and given.get("panel"))):
        return {**given, "mode": "panel"}
    return given


def _with_preset(given: Mapping[str, object]) -> dict[str, object]:
    """Return the options with those of the preset that they name, where they do not say it themselves."""
    if "preset" not in given:
        return dict(given)
    preset = PRESETS[_choice(given, "preset", tuple(PRESETS), "")]
    chosen = any(way in given for way in _WAYS)
    kept = {key: v for key, v in preset.items() if not (chosen and key in _WAYS)}
    return {**kept, **given}


def _strategy(given: Mapping[str, object]) -> Strategy:
    """Read the strategy: one way of a mode, so another mode beside it is a contradiction."""
    name_ = cast("Strategy", _choice(given, "strategy", _STRATEGIES, "panel"))
    mode = _choice(given, "mode", _MODES, "auto")
    if name_ != "panel" and mode not in ("auto", mode_of(name_)):
        wanted = mode_of(name_)
        raise BadRequest(
            f"'{FIELD}.strategy' {name_} is a way of mode {wanted}, and '{FIELD}.mode' is {mode}. Leave one out.",
            param=f"{FIELD}.strategy",
            code="conflicting_options",
        )
    return name_


def _refuse_unknown(at: str, given: Mapping[str, object], known: tuple[str, ...]) -> None:
    for key in given:
        if key in known:
            continue
        # Only for the message: requests without a mistake do not pay for the import.
        from difflib import get_close_matches

        near = get_close_matches(key[:40], known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else f" Known are: {', '.join(known)}."
        what = f"'{at}.{key}'" if key.isidentifier() and len(key) <= 40 else f"in '{at}'"
        raise BadRequest(f"Unknown option {what}.{hint}", param=at, code="unknown_option")


def _tools(given: Mapping[str, object]) -> tuple[WebTool, ...]:
    """Return the web tools that are asked for."""
    tools = members(f"{FIELD}.tools", given.get("tools", _NONE))
    _refuse_unknown(f"{FIELD}.tools", tools, WEB_TOOLS)
    return tuple(
        name_
        for name_ in WEB_TOOLS
        if tools.get(name_) is not None and boolean(f"{FIELD}.tools.{name_}", tools[name_])
    )


def _choice(given: Mapping[str, object], field: str, values: tuple[str, ...], default: str) -> str:
    value = string(f"{FIELD}.{field}", given.get(field, default))
    if value not in values:
        raise wrong_value(f"{FIELD}.{field}", one_of(values))
    return value


def _ids(given: Mapping[str, object], field: str) -> tuple[str, ...]:
    at = f"{FIELD}.{field}"
    found = items(at, given.get(field, []))
    if len(found) > IDS_LIMIT:
        raise wrong_value(at, f"at most {IDS_LIMIT} ids")
    return tuple(name(f"{at}[{i}]", v) for i, v in enumerate(found))


def _name(given: Mapping[str, object], field: str) -> str | None:
    return name(f"{FIELD}.{field}", given[field]) if field in given else None


def _number(given: Mapping[str, object], field: str, high: float | None) -> float | None:
    return number(f"{FIELD}.{field}", given[field], 0, high) if field in given else None
