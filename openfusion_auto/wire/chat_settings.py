"""The settings of a chat request: its fields to the hub's words, and back."""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Form, Settings
from openfusion_auto.wire.jsons import as_object

_THINKING = frozenset({"reasoning_effort", "reasoning", "thinking"})
_FIELDS = _THINKING | {
    "temperature", "top_p", "stop", "seed", "tool_choice", "parallel_tool_calls", "response_format",
}  # fmt: skip
_UNSET = Settings()
# Efforts that chat servers commonly take; what is above is asked for as the highest of them.
_EFFORTS: Mapping[str, str] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
# A bound for reasoning [tokens] -> the effort nearest to it; the bounds are those of OpenRouter's and LiteLLM's tables.
_BUDGETS = ((2048, "low"), (8192, "medium"))


def read_settings(body: Mapping[str, object]) -> Settings:
    """Return the settings of a request whose fields have been checked; what has no hub word stays in the body."""
    if body.keys().isdisjoint(_FIELDS):
        return _UNSET
    get = body.get
    effort, tokens = (None, None) if body.keys().isdisjoint(_THINKING) else _reasoning(body)
    stop, shape = get("stop"), get("response_format")
    return Settings(
        _number(get("temperature")),
        _number(get("top_p")),
        _words(stop) if stop else (),
        _integer(get("seed")),
        effort,
        tokens,
        _tool_choice(get("tool_choice")),
        _boolean(get("parallel_tool_calls")),
        _form(shape) if shape else None,
    )


def render_settings(
    settings: Settings, names: frozenset[str], lost: list[str]
) -> dict[str, object]:
    """Return the settings as fields of a chat request.

    Args:
        settings: Of a prompt in another dialect.
        names: Of the tools that the request will have; without any it may say nothing about tools.
        lost: Takes up what chat cannot say.
    """
    found: dict[str, object] = {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "stop": list(settings.stop) or None,
        "seed": settings.seed,
        "reasoning_effort": _effort(settings, lost),
    }
    choice = _render_choice(settings.tool_choice, names, lost)
    if names:
        found["tool_choice"] = choice
        found["parallel_tool_calls"] = settings.parallel
    if settings.form is not None:
        found["response_format"] = _render_form(settings.form)
    return {field: value for field, value in found.items() if value is not None}


def _reasoning(body: Mapping[str, object]) -> tuple[str | None, int | None]:
    """Return effort and bound, from OpenAI's field, OpenRouter's object, or `thinking` as some vendors have it."""
    given = as_object(body.get("reasoning")) or {}
    thinking = as_object(body.get("thinking")) or {}
    effort = body.get("reasoning_effort") or given.get("effort")
    if not effort and (given.get("enabled") is False or thinking.get("type") == "disabled"):
        effort = "none"
    tokens = _integer(given.get("max_tokens"))
    tokens = _integer(thinking.get("budget_tokens")) if tokens is None else tokens
    return effort if isinstance(effort, str) and effort else None, tokens


def _tool_choice(value: object) -> str | None:
    if not isinstance(value, dict):
        return value if isinstance(value, str) else None
    held = as_object(value.get(str(value.get("type")))) or {}
    if value.get("type") == "allowed_tools":
        mode = held.get("mode")
        return mode if isinstance(mode, str) else None
    name = held.get("name")
    return f"tool:{name}" if isinstance(name, str) else None


def _form(value: object) -> Form | None:
    asked = as_object(value) or {}
    if asked.get("type") == "json_object":
        return Form()
    held = as_object(asked.get("json_schema"))
    if asked.get("type") != "json_schema" or held is None:
        return None
    schema, said = as_object(held.get("schema")), held.get("description")
    about = said if isinstance(said, str) else ""
    return Form(str(held["name"]), schema, _boolean(held.get("strict")), about)


def effort_of(budget: int, lost: list[str]) -> str:
    """Return the effort nearest to a bound of reasoning [tokens], noting that it stands for one."""
    said = next((word for most, word in _BUDGETS if budget <= most), "high")
    lost.append(f"bound of reasoning tokens as effort {said}")
    return said


def _effort(settings: Settings, lost: list[str]) -> str | None:
    if settings.effort is not None:
        said = _EFFORTS.get(settings.effort)
        if said is None:
            lost.append("an unknown reasoning effort")
        elif said != settings.effort:
            lost.append(f"reasoning effort {settings.effort} as {said}")
        return said
    budget = settings.thinking_tokens
    return None if budget is None else effort_of(budget, lost)


def _render_choice(choice: str | None, names: frozenset[str], lost: list[str]) -> object:
    if choice is None or not choice.startswith("tool:"):
        return choice
    name = choice.removeprefix("tool:")
    if name not in names:
        lost.append(f"choice of tool {name}")
        return None
    return {"type": "function", "function": {"name": name}}


def _render_form(form: Form) -> dict[str, object]:
    if form.schema is None:
        return {"type": "json_object"}
    held: dict[str, object] = {"name": form.name, "schema": form.schema}
    if form.description:
        held["description"] = form.description
    if form.strict is not None:
        held["strict"] = form.strict
    return {"type": "json_schema", "json_schema": held}


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _number(value: object) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    return float(value) if isinstance(value, int | float) else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
