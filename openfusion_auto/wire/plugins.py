"""OpenRouter's plugin `fusion` in a request: the same wish as the options `mode`, `panel`, `judge` and `preset`.

    "plugins": [{"id": "fusion", "analysis_models": ["a", "b"], "model": "c"}]

Source: OpenRouter's guide to the fusion plugin, as of 2026-08-22. Other plugins are the upstream's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import boolean, items, name, one_of, string, wrong_value
from openfusion_auto.wire.jsons import as_object

MEMBERS_LIMIT = 8  # analysis models, as OpenRouter bounds them
WEB: Mapping[str, str] = {
    "openrouter:web_search": "web_search",
    "openrouter:web_fetch": "web_fetch",
}
PRESETS: Mapping[str, str] = {"general-high": "quality", "general-budget": "budget"}


class Fusion(NamedTuple):
    """What the plugin asks for, as options, and the plugins that are left for the upstream."""

    options: dict[str, object]
    others: list[object]


def fusion_of(plugins: object) -> Fusion | None:
    """Return what the plugin `fusion` asks for; None where there is none, or it is switched off.

    Raises:
        BadRequest: a value that cannot be, or a setting that is not there (`unsupported_option`); `param` says which.
    """
    listed = plugins if isinstance(plugins, list) else []
    for i, entry in enumerate(listed):
        given = as_object(entry)
        if given is None or given.get("id") != "fusion":
            continue
        at = f"plugins[{i}]"
        given = {key: v for key, v in given.items() if v is not None}
        if not boolean(f"{at}.enabled", given.get("enabled", True)):
            return None
        return Fusion(_options(at, given), [*listed[:i], *listed[i + 1 :]])
    return None


def _options(at: str, given: Mapping[str, object]) -> dict[str, object]:
    made: dict[str, object] = {"mode": "panel"}
    for key, value in given.items():
        where = f"{at}.{key}"
        match key:
            case "id" | "enabled":
                pass
            case "analysis_models":
                made["panel"] = _models(where, value)
            case "model":
                made["judge"] = name(where, value)
            case "preset":
                preset = string(where, value)
                if preset not in PRESETS:
                    raise wrong_value(where, one_of(PRESETS))
                made["preset"] = PRESETS[preset]
            case "tools":
                made["tools"] = dict.fromkeys(_tools(where, value), True)
            case _:
                raise BadRequest(
                    f"'{where}' is not available yet; leave it out.",
                    param=where,
                    code="unsupported_option",
                )
    return made


def _tools(at: str, value: object) -> list[str]:
    """Return the names of web tools, which stand there as `{"type": "openrouter:web_search"}`."""
    found = []
    for i, entry in enumerate(items(at, value)):
        kind = string(f"{at}[{i}].type", (as_object(entry) or {}).get("type"))
        if kind not in WEB:
            raise wrong_value(f"{at}[{i}].type", one_of(WEB))
        found.append(WEB[kind])
    return found


def _models(at: str, value: object) -> list[str]:
    found = items(at, value)
    if not 2 <= len(found) <= MEMBERS_LIMIT:
        raise wrong_value(at, f"2 to {MEMBERS_LIMIT} names of models")
    return [name(f"{at}[{i}]", v) for i, v in enumerate(found)]
