"""The fields of a Messages request beside its messages and tools: checked, and in the hub's words.

Every check skips None: clients send `null` for what they leave open. Unknown fields, and unknown values of fields
that Anthropic extends (`thinking.type`, `output_config.effort`), never make a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Form, Settings, Shape
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    boolean,
    integer,
    items,
    members,
    missing,
    number,
    one_of,
    refuse_forbidden,
    string,
    wrong_value,
)
from openfusion_auto.wire.jsons import JsonError, as_object, loads_text

_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}
_SESSION = ("session_id", "prompt_cache_key")
# Older Claude Code wrote `user_<hash>_account_<uuid>_session_<uuid>` where newer builds write JSON.
_SESSION_MARK = "_session_"


def check_body(body: Mapping[str, object]) -> None:
    """Refuse a request that names addresses or keys to use; the client's own JSON Schemas may hold such words."""
    refuse_forbidden(
        {k: v for k, v in body.items() if k not in ("output_config", "output_format", "system")}
    )


def check_max_tokens(body: Mapping[str, object], *, required: bool) -> int | None:
    """Return the bound of the answer [tokens]; 0 (which only warms a cache) counts as 1.

    Raises:
        BadRequest: missing though `required`, not an integer, negative.
    """
    value = body.get("max_tokens")
    if value is None:
        if required:
            raise missing("max_tokens")
        return None
    return max(1, integer("max_tokens", value, 0, None))


def check_stream(body: Mapping[str, object]) -> bool:
    """Return whether the client wants a stream."""
    value = body.get("stream")
    return value is not None and boolean("stream", value)


def read_settings(body: Mapping[str, object], names: frozenset[str]) -> Settings:
    """Return sampling, reasoning, tool choice and form of a request.

    Args:
        body: The request.
        names: The tools it offers; a forced tool must be among them.

    Raises:
        BadRequest: a value that cannot be; `param` names it.
    """
    tool_choice, parallel = _tool_choice(body.get("tool_choice"), names)
    effort, thinking_tokens = _thinking(body.get("thinking"))
    config = body.get("output_config")
    config = {} if config is None else members("output_config", config)
    if config.get("effort") is not None and effort is None:
        effort = string("output_config.effort", config["effort"])
    if body.get("top_k") is not None:
        integer("top_k", body["top_k"], 0, None)
    return Settings(
        temperature=_unit(body, "temperature"),
        top_p=_unit(body, "top_p"),
        stop=_stop(body.get("stop_sequences")),
        effort=effort,
        thinking_tokens=thinking_tokens,
        tool_choice=tool_choice,
        parallel=parallel,
        form=_form(config, body.get("output_format")),
    )


def shape_of(settings: Settings) -> Shape:
    """Return the shape that the form of an answer has."""
    return "text" if settings.form is None else "json_schema"


def session_fields(body: Mapping[str, object]) -> dict[str, str]:
    """Return the session hints of a request: `metadata.user_id` holds an id where Claude Code wrote it.

    A `user_id` that is no more than a user's name is no session, and is left out.
    """
    found: dict[str, object] = {field: body.get(field) for field in _SESSION}
    metadata = as_object(body.get("metadata")) or {}
    found["metadata.session_id"] = metadata.get("session_id")
    found["metadata.user_id"] = _session_of(metadata.get("user_id"))
    return {field: value for field, value in found.items() if isinstance(value, str) and value}


def _session_of(user_id: object) -> object:
    if not isinstance(user_id, str):
        return None
    if not user_id.lstrip().startswith("{"):
        return user_id.rpartition(_SESSION_MARK)[2] if _SESSION_MARK in user_id else None
    try:
        return (as_object(loads_text(user_id)) or {}).get("session_id")
    except JsonError:
        return None


def _unit(body: Mapping[str, object], field: str) -> float | None:
    value = body.get(field)
    return None if value is None else number(field, value, 0, 1)


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(
        string(f"stop_sequences[{i}]", word)
        for i, word in enumerate(items("stop_sequences", value))
    )


def _thinking(value: object) -> tuple[str | None, int | None]:
    """Return effort and bound: `disabled` is the effort none, `adaptive` leaves both to the model."""
    if value is None:
        return None, None
    thinking = members("thinking", value)
    if thinking.get("type") is None:
        raise missing("thinking.type")
    kind = string("thinking.type", thinking["type"])
    if kind == "disabled":
        return "none", None
    if kind != "enabled":
        return None, None
    if thinking.get("budget_tokens") is None:
        raise missing("thinking.budget_tokens")
    return None, integer("thinking.budget_tokens", thinking["budget_tokens"], 1, None)


def _tool_choice(value: object, names: frozenset[str]) -> tuple[str | None, bool | None]:
    if value is None:
        return None, None
    choice = members("tool_choice", value)
    if choice.get("type") is None:
        raise missing("tool_choice.type")
    kind = string("tool_choice.type", choice["type"])
    single = choice.get("disable_parallel_tool_use")
    parallel = (
        None if single is None else not boolean("tool_choice.disable_parallel_tool_use", single)
    )
    if kind in _CHOICES:
        return _CHOICES[kind], parallel
    if kind != "tool":
        raise wrong_value("tool_choice.type", one_of((*_CHOICES, "tool")))
    name = string("tool_choice.name", choice.get("name"))
    if name not in names:
        raise BadRequest(
            "Invalid value for 'tool_choice': the named tool is not in 'tools'.",
            param="tool_choice",
            code="invalid_value",
        )
    return f"tool:{name}", parallel


def _form(config: Mapping[str, object], legacy: object) -> Form | None:
    """Return the structured output that is asked for; `output_format` is what betas called it."""
    at, value = "output_config.format", config.get("format")
    if value is None:
        at, value = "output_format", legacy
    if value is None:
        return None
    given = members(at, value)
    kind = string(f"{at}.type", given.get("type"))
    if kind != "json_schema":
        raise wrong_value(f"{at}.type", "'json_schema'")
    if given.get("schema") is None:
        raise missing(f"{at}.schema")
    return Form(schema=members(f"{at}.schema", given["schema"]))
