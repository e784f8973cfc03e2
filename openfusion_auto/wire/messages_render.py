"""A Messages request written anew: for a prompt of another dialect, or one that a recipe changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from openfusion_auto.core.prompt import Form, Prompt, Settings
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.fields import unsaid
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.messages_blocks import is_unsigned
from openfusion_auto.wire.messages_schema import fitted
from openfusion_auto.wire.messages_turns import (
    Turn,
    called_tools,
    ended,
    render_system,
    render_tools,
    render_turns,
)
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.rendered import Rendered, each_once
from openfusion_auto.wire.splice import MIN_THINKING

# [tokens] where neither the client nor the pool names a bound; what Claude Code asks for.
DEFAULT_MAX_TOKENS = 32_000
JSON_ONLY = "Answer with one JSON object and nothing else."
_EFFORTS: Mapping[str, str] = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}  # fmt: skip
_CHOICES: Mapping[str, str] = {"auto": "auto", "required": "any", "none": "none"}
# Overrides of recipes come in chat's words; these name the same here.
_SAME = ("temperature", "top_p", "top_k", "system", "thinking", "output_config", "metadata")
_BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_NOT_OURS = ("stream", "n", "logprobs", "top_logprobs")
_MARK = {"type": "ephemeral"}


def render_request(
    prompt: Prompt,
    model: str,
    *,
    max_output_tokens: int | None = None,
) -> Rendered:
    """Return a request written anew.

    A prompt of this dialect keeps its own fields, messages and cache marks as they were parsed; `added` stands behind
    them and `overrides` (in chat's words) change fields. A prompt of another dialect is built from the hub, with
    cache marks, which this API needs to cache anything.

    Args:
        prompt: The request.
        model: The upstream's name of the model.
        max_output_tokens: The model's own bound [tokens], where it is known.

    Raises:
        BadRequest: something that this dialect cannot say and that must not be dropped.
    """
    lost: list[str] = []
    own = prompt.dialect == "messages" and "messages" in prompt.body
    body = _own(prompt, lost) if own else _built(prompt, lost)
    body["model"] = model
    _override(body, prompt.overrides, lost)
    _fit(body, max_output_tokens, lost)
    if not own:
        _untangle(body, lost)
    if prompt.stream:
        body["stream"] = True
    return Rendered(dumps(body), each_once(lost))


def without_blocks(body: Mapping[str, object], gone: Callable[[object], bool]) -> dict[str, object]:
    """Return a request's body without the blocks of the assistant's messages for which `gone` holds.

    Without them, manual thinking may have to go too: inside a tool loop it demands a thinking block before the call.
    """
    messages = body.get("messages")
    kept: list[object] = []
    changed = False
    for message in messages if isinstance(messages, list) else []:
        found = as_object(message) or {}
        content = found.get("content")
        if found.get("role") != "assistant" or not isinstance(content, list):
            kept.append(message)
            continue
        blocks = [block for block in content if not gone(block)]
        changed |= len(blocks) != len(content)
        if blocks:
            kept.append({**found, "content": blocks})
    return _relaxed({**body, "messages": kept}) if changed else dict(body)


def _own(prompt: Prompt, lost: list[str]) -> dict[str, object]:
    body = without_blocks(prompt.body, is_unsigned)
    body.pop(FIELD, None)
    body.pop("stream", None)
    own = body["messages"]
    added = render_turns(prompt.added, lost, begin=False)
    body["messages"] = [*(own if isinstance(own, list) else []), *_turns(added)]
    return body


def _built(prompt: Prompt, lost: list[str]) -> dict[str, object]:
    if prompt.n > 1:
        raise BadRequest(
            "The request asks for several choices ('n'), which Anthropic's Messages API does not give.",
            param="n",
            code="unsupported_parameter",
        )
    _note_fields(prompt, lost)
    system = render_system(prompt.messages)
    turns = render_turns(prompt.messages, lost)
    tools = render_tools(prompt.tools, lost)
    form = prompt.settings.form
    if form is None and prompt.shape == "json_object":
        form = Form()
    if form is not None and form.schema is None:
        system.append({"type": "text", "text": JSON_ONLY})
    turns = turns if prompt.added else ended(turns, lost)
    if tools or len(turns) > 1:
        for blocks in (system, turns[-1][1]):
            if blocks:
                blocks[-1] = {**blocks[-1], "cache_control": _MARK}
    body: dict[str, object] = {"max_tokens": prompt.max_output_tokens}
    if system:
        body["system"] = system
    body["messages"] = _turns([*turns, *render_turns(prompt.added, lost, begin=False)])
    if tools:
        body["tools"] = tools
    elif called := called_tools(turns):
        body |= {"tools": called, "tool_choice": {"type": "none"}}
    body.update(_settings(prompt.settings, form, {str(t["name"]) for t in tools}, lost))
    return body


def _turns(turns: Sequence[Turn]) -> list[object]:
    return [{"role": role, "content": content} for role, content in turns]


def _note_fields(prompt: Prompt, lost: list[str]) -> None:
    """List the fields that ask for something this dialect does not have."""
    if prompt.body.get("previous_response_id"):
        raise BadRequest(
            "The conversation of 'previous_response_id' is not known to a model behind another API.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    lost += unsaid(prompt)


def _settings(
    settings: Settings, form: Form | None, names: set[str], lost: list[str]
) -> dict[str, object]:
    out: dict[str, object] = {}
    _sampling(settings, out, lost)
    config: dict[str, object] = {}
    if form is not None and form.schema is not None:
        schema = fitted(form.schema)
        if schema != form.schema:
            lost.append("schema of the answer, made one that the API takes")
        config["format"] = {"type": "json_schema", "schema": schema}
    elif form is not None:
        lost.append("form json_object, asked for in words")
    _reasoning(settings, out, config, lost)
    if config:
        out["output_config"] = config
    choice = _choice(settings.tool_choice, settings.parallel, names, lost)
    if names and choice:
        out["tool_choice"] = choice
    return out


def _sampling(settings: Settings, out: dict[str, object], lost: list[str]) -> None:
    if settings.temperature is not None:
        out["temperature"] = min(settings.temperature, 1.0)
        if settings.temperature > 1:
            lost.append("temperature over 1")
    if settings.top_p is not None and settings.top_p < 1:
        # Newer models refuse both at once.
        if "temperature" in out:
            lost.append("top_p beside temperature")
        else:
            out["top_p"] = settings.top_p
    words = [word for word in settings.stop if word.strip()]
    if words:
        out["stop_sequences"] = words
    if len(words) != len(settings.stop):
        lost.append("stop words of blanks alone")
    if settings.seed is not None:
        lost.append("seed")


def _reasoning(
    settings: Settings, out: dict[str, object], config: dict[str, object], lost: list[str]
) -> None:
    """Write effort and bound. With a bound, thinking is manual; else the model decides, as far as `effort` lets it."""
    if settings.effort == "none":
        out["thinking"] = {"type": "disabled"}
        return
    if settings.effort is not None:
        said = _EFFORTS.get(settings.effort)
        if said is None:
            lost.append("an unknown reasoning effort")
        else:
            config["effort"] = said
            out["thinking"] = {"type": "adaptive"}
        if said not in (None, settings.effort):
            lost.append(f"reasoning effort {settings.effort} as {said}")
    if settings.thinking_tokens is not None:
        budget = max(MIN_THINKING, settings.thinking_tokens)
        out["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _choice(
    choice: str | None, parallel: bool | None, names: set[str], lost: list[str]
) -> dict[str, object] | None:
    out: dict[str, object] | None = None
    if choice in _CHOICES:
        out = {"type": _CHOICES[str(choice)]}
    elif choice is not None and choice.removeprefix("tool:") in names:
        out = {"type": "tool", "name": choice.removeprefix("tool:")}
    elif choice is not None:
        lost.append(f"choice of tool {choice.removeprefix('tool:')}")
    if parallel is not None and (out is None or out["type"] != "none"):
        out = {**(out or {"type": "auto"}), "disable_parallel_tool_use": not parallel}
    return out


def _override(body: dict[str, object], overrides: Mapping[str, object], lost: list[str]) -> None:
    """Change fields as a recipe asks, in chat's words; None removes one."""
    for key, value in overrides.items():
        if key in _NOT_OURS:
            continue
        if key in _BOUNDS:
            body["max_tokens"] = body.get("max_tokens") if value is None else value
        elif key == "stop":
            _put(body, "stop_sequences", [value] if isinstance(value, str) else value)
        elif key == "response_format":
            _put_form(body, value)
        elif key == "tool_choice":
            _put_choice(body, value, lost)
        elif key in _SAME:
            _put(body, key, value)
        elif value is not None:
            lost.append(f"field {key}")


def _put(body: dict[str, object], key: str, value: object) -> None:
    body.pop(key, None)
    if value is not None:
        body[key] = value


def _put_form(body: dict[str, object], value: object) -> None:
    schema = (as_object((as_object(value) or {}).get("json_schema")) or {}).get("schema")
    config = dict(as_object(body.get("output_config")) or {})
    body.pop("output_format", None)
    _put(config, "format", None if schema is None else {"type": "json_schema", "schema": schema})
    _put(body, "output_config", config or None)


def _put_choice(body: dict[str, object], value: object, lost: list[str]) -> None:
    tools = body.get("tools")
    listed = [as_object(tool) or {} for tool in tools] if isinstance(tools, list) else []
    names = {str(tool.get("name")) for tool in listed}
    held = as_object((as_object(value) or {}).get("function"))
    choice = f"tool:{held.get('name')}" if held is not None else value
    wanted = choice if isinstance(choice, str) else None
    _put(body, "tool_choice", _choice(wanted, None, names, lost) if names else None)


def _fit(body: dict[str, object], bound: int | None, lost: list[str]) -> None:
    """Bring the bound of the answer into the model's, and the budget for thinking below it, as the API demands."""
    asked = body.get("max_tokens")
    most = asked if isinstance(asked, int) else bound or DEFAULT_MAX_TOKENS
    most = body["max_tokens"] = min(most, bound or most)
    thinking = as_object(body.get("thinking")) or {}
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < most:
        return
    lost.append("bound of reasoning tokens, which is not below that of the answer")
    if most // 2 >= MIN_THINKING:
        body["thinking"] = {**thinking, "budget_tokens": most // 2}
    else:
        _stop_thinking(body)


def _untangle(body: dict[str, object], lost: list[str]) -> None:
    """Take out what the API refuses beside thinking, in a request that no client of it wrote."""
    thinking = as_object(body.get("thinking")) or {}
    if thinking.get("type") not in ("enabled", "adaptive"):
        return
    if (as_object(body.get("tool_choice")) or {}).get("type") in ("any", "tool"):
        lost.append("reasoning beside a forced tool call")
        _stop_thinking(body)
        return
    if thinking.get("type") == "enabled" and _in_loop(body):
        # Manual thinking wants the signed block that came before the call, which another dialect cannot hold.
        lost.append("bound of reasoning tokens inside a tool loop")
        body["thinking"] = {"type": "adaptive"}
    if body.get("temperature", 1) != 1:
        lost.append("temperature beside reasoning")
        del body["temperature"]
    if "top_p" in body:
        lost.append("top_p beside reasoning")
        del body["top_p"]


def _relaxed(body: dict[str, object]) -> dict[str, object]:
    thinking = as_object(body.get("thinking")) or {}
    if thinking.get("type") == "enabled" and _in_loop(body):
        _stop_thinking(body)
    return body


def _stop_thinking(body: dict[str, object]) -> None:
    # Edits of the context that clear thinking are refused where there is none.
    body.pop("thinking", None)
    body.pop("context_management", None)


def _in_loop(body: Mapping[str, object]) -> bool:
    """Return whether the last turn answers tool calls."""
    messages = body.get("messages")
    last = as_object(messages[-1]) if isinstance(messages, list) and messages else None
    content = (last or {}).get("content")
    return isinstance(content, list) and any(
        (as_object(block) or {}).get("type") == "tool_result" for block in content
    )
