"""The hub to a Responses request: written anew, for a prompt of another dialect or one that a recipe changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_parts import file_name
from openfusion_auto.wire.chat_settings import effort_of
from openfusion_auto.wire.fields import unsaid
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.ordered import answered
from openfusion_auto.wire.rendered import Rendered, counted, each_once
from openfusion_auto.wire.responses_items import without_made
from openfusion_auto.wire.responses_tools import (
    ClientTools,
    client_tools,
    render_choice,
    render_tool,
)

# Fields that the chat dialect and this one both have, beside those that the hub knows.
_ALIKE = ("metadata", "user", "safety_identifier", "prompt_cache_key", "service_tier", "store")
_CARRIED = frozenset({"verbosity"})
# Overrides are named as the chat dialect names them; these mean nothing here.
_ELSEWHERE = ("stream", "stream_options", "stop", "n", "seed", "logprobs")


@dataclass(slots=True)
class _Losses:
    """What could not be said, counted where it may come often."""

    said: list[str] = field(default_factory=list)
    reasoning: int = 0
    signatures: int = 0
    failures: int = 0

    def lines(self) -> tuple[str, ...]:
        """Return each loss once, in stable words."""
        return each_once(
            (
                *counted("reasoning", self.reasoning),
                *counted("reasoning signature", self.signatures),
                *counted("mark of failure", self.failures, "tool result"),
                *self.said,
            )
        )


def render_request(prompt: Prompt, model: str) -> Rendered:
    """Return a request for an upstream of this dialect.

    A client of this dialect keeps its own fields and items as they were parsed; `overrides` change fields (named
    as the chat dialect names them, None removes one) and `added` stands behind the items. From other dialects the
    hub's fields are written; such a request asks the upstream to store nothing unless its client asked for that.

    Args:
        prompt: What to write.
        model: The upstream's name of the model.

    Raises:
        BadRequest: something that may not be dropped: content of a user that this dialect has no part for, a tool
            result without the id of its call, more than one answer (`n`).
    """
    losses = _Losses()
    own = prompt.dialect == "responses" and bool(prompt.body)
    body = _own_body(prompt) if own else _foreign_body(prompt, losses)
    body["model"] = model
    known = client_tools(prompt)
    shown = list(_items(prompt, () if own else prompt.messages, known, losses))
    before = body.get("input")
    body["input"] = [*before, *shown] if isinstance(before, list) else shown
    _override(body, prompt, known.custom)
    if prompt.stream:
        body["stream"] = True
    return Rendered(dumps(body), losses.lines())


def _own_body(prompt: Prompt) -> dict[str, object]:
    body = {key: v for key, v in prompt.body.items() if key not in ("stream", FIELD)}
    said = body.get("input")
    if isinstance(said, str):
        said = [{"type": "message", "role": "user", "content": said}]
    body["input"] = without_made(said) if isinstance(said, list) else []
    if not prompt.stream:
        body.pop("stream_options", None)
    return body


def _foreign_body(prompt: Prompt, losses: _Losses) -> dict[str, object]:
    if prompt.n > 1:
        raise BadRequest(
            "More than one answer ('n') cannot be asked of the model that serves this request.",
            param="n",
            code="unsupported_parameter",
        )
    body: dict[str, object] = {"model": ""}  # first, as the caller fills it
    tools = _tools(prompt.tools, losses)
    choice = "none" if prompt.tool_choice_none else prompt.settings.tool_choice
    wanted = (choice or "").partition("tool:")[2]
    if wanted and wanted not in {tool["name"] for tool in tools}:
        losses.said.append(f"choice of tool {wanted}")
        choice = None
    if tools:
        body["tools"] = tools
        custom = frozenset(tool.name for tool in prompt.tools if tool.kind == "custom")
        _set(body, "tool_choice", None if choice is None else render_choice(choice, custom))
        _set(body, "parallel_tool_calls", prompt.settings.parallel)
    _set(body, "max_output_tokens", prompt.max_output_tokens)
    _settings(prompt, body, losses)
    _carry(prompt, body, losses)
    return body


def _settings(prompt: Prompt, body: dict[str, object], losses: _Losses) -> None:
    settings = prompt.settings
    _set(body, "temperature", settings.temperature)
    _set(body, "top_p", settings.top_p)
    effort = settings.effort
    if effort == "max":
        effort = "xhigh"  # the highest of OpenAI's
        losses.said.append("reasoning effort max as xhigh")
    if effort is None and settings.thinking_tokens is not None:
        effort = effort_of(settings.thinking_tokens, losses.said)
    if effort is not None:
        body["reasoning"] = {"effort": effort}
    _set(body, "text", _text(prompt) or None)
    unsaid = {
        "stop sequences": settings.stop or None,
        "seed": settings.seed,
    }
    losses.said += (what for what, value in unsaid.items() if value is not None)


def _carry(prompt: Prompt, body: dict[str, object], losses: _Losses) -> None:
    """Carry over what the client's own body says beyond the hub."""
    if prompt.dialect == "chat":
        body.update({k: prompt.body[k] for k in _ALIKE if prompt.body.get(k) is not None})
    # This dialect stores answers unless told not to; the others do not.
    body.setdefault("store", False)
    losses.said += unsaid(prompt, _CARRIED if prompt.dialect == "chat" else frozenset())


def _text(prompt: Prompt) -> dict[str, object]:
    text: dict[str, object] = {}
    form = prompt.settings.form
    if prompt.shape == "json_object" or (form is not None and form.schema is None):
        text["format"] = {"type": "json_object"}
    elif form is not None:
        text["format"] = _schema(form)
    verbosity = prompt.body.get("verbosity")
    if prompt.dialect == "chat" and isinstance(verbosity, str):
        text["verbosity"] = verbosity
    return text


def _schema(form: Form) -> dict[str, object]:
    out: dict[str, object] = {"type": "json_schema", "name": form.name, "schema": form.schema}
    if form.description:
        out["description"] = form.description
    return out if form.strict is None else {**out, "strict": form.strict}


def _tools(tools: tuple[Tool, ...], losses: _Losses) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for tool in tools:
        rendered = render_tool(tool)
        if rendered is None:
            losses.said.append(f"server tool {tool.name}")
        else:
            found.append(rendered)
    return found


def _items(
    prompt: Prompt, messages: tuple[Message, ...], known: ClientTools, losses: _Losses
) -> Iterator[dict[str, object]]:
    """Yield the items of `messages` and of what a recipe added."""
    custom = {
        c.id for m in (*prompt.messages, *prompt.added) for c in m.tool_calls if c.kind == "custom"
    }
    said = (*messages, *prompt.added)
    for i, message in enumerate(answered(said) if messages else said):
        if message.role == "assistant":
            yield from _assistant(message, known, losses)
        elif message.role == "tool":
            yield _result(f"messages[{i}]", message, custom, losses)
        else:
            content = [_given(f"messages[{i}]", part) for part in message.parts] or ""
            yield {"type": "message", "role": message.role, "content": content}


def _assistant(
    message: Message, known: ClientTools, losses: _Losses
) -> Iterator[dict[str, object]]:
    content: list[dict[str, object]] = []
    for part in message.parts:
        if part.kind == "text":
            content.append({"type": "output_text", "text": part.text})
        elif part.kind == "refusal":
            content.append({"type": "refusal", "refusal": part.text})
        elif part.kind != "reasoning":
            losses.said.append(f"part {(part.raw or {}).get('type', part.kind)}")
    losses.reasoning += any(p.kind == "reasoning" and p.text for p in message.parts)
    losses.signatures += any(p.kind == "reasoning" and p.opaque for p in message.parts)
    if content:
        yield {"type": "message", "role": "assistant", "content": content}
    for call in message.tool_calls:
        yield call_item(call, known)


def call_item(call: ToolCall, known: ClientTools) -> dict[str, object]:
    """Return a tool call as an item of this dialect, under its own name and namespace."""
    space, name = known.namespaces.get(call.name, ("", call.name))
    named: dict[str, object] = {"name": name}
    if space:
        named["namespace"] = space
    if call.kind == "custom":
        return {"type": "custom_tool_call", "call_id": call.id, **named, "input": call.arguments}
    said = call.arguments or "{}"  # what stands there is read as JSON
    return {"type": "function_call", "call_id": call.id, **named, "arguments": said}


def _result(at: str, message: Message, custom: set[str], losses: _Losses) -> dict[str, object]:
    if message.tool_call_id is None:
        raise BadRequest(
            f"The tool result at '{at}' does not say whose it is; expected the id of a tool call.",
            param=f"{at}.tool_call_id",
            code="unsupported_value",
        )
    output: list[dict[str, object]] = []
    for part in message.parts:
        try:
            output.append(_given(at, part))
        except BadRequest:
            # One odd part of a result must not end a session.
            losses.said.append(f"part {(part.raw or {}).get('type', part.kind)} of a tool result")
    text = message.text
    if message.failed:
        losses.failures += 1
        # There is no mark for a failure here, so the text says it.
        text = text if text.lower().startswith("error") else f"Error: {text}".rstrip()
        output.insert(0, {"type": "input_text", "text": "Error:"})
    plain = all(part.kind in ("text", "refusal") for part in message.parts)
    kind = "custom_tool_call_output" if message.tool_call_id in custom else "function_call_output"
    return {"type": kind, "call_id": message.tool_call_id, "output": text if plain else output}


def _given(at: str, part: Part) -> dict[str, object]:
    """Return a part that somebody else than the assistant said."""
    if part.kind in ("text", "refusal"):
        return {"type": "input_text", "text": part.text}
    if part.kind == "image" and part.url:
        image: dict[str, object] = {"type": "input_image", "image_url": part.url}
        detail = _inner(part, "image_url").get("detail")
        return {**image, "detail": detail} if isinstance(detail, str) else image
    if part.kind == "file" and part.url:
        where = "file_data" if part.url.startswith("data:") else "file_url"
        # A name is required beside data, and tells there what kind of file it is.
        named = {"filename": file_name(part)} if where == "file_data" else {}
        return {"type": "input_file", **named, where: part.url}
    if part.kind == "file" and part.text:
        return {"type": "input_text", "text": part.text}
    raise BadRequest(
        f"The {part.kind} content at '{at}' cannot be sent to the model that serves this request.",
        param=at,
        code="unsupported_value",
    )


def _inner(part: Part, name: str) -> Mapping[str, object]:
    """Return the object in which a part of another dialect holds its own."""
    raw = part.raw or {}
    return as_object(raw.get(name)) or raw


def _override(body: dict[str, object], prompt: Prompt, custom: frozenset[str]) -> None:
    """Apply a recipe's changes, which are named as the chat dialect names fields."""
    overrides = prompt.overrides
    for name, value in overrides.items():
        if name in ("max_tokens", "max_completion_tokens"):
            continue
        if name == "response_format":
            _override_format(body, value)
        elif name == "tool_choice":
            _set(body, name, _choice(value, custom) if prompt.tools else None)
        elif name not in _ELSEWHERE:
            _set(body, name, value)
    bounds = [overrides[k] for k in ("max_completion_tokens", "max_tokens") if k in overrides]
    if bounds:
        _set(body, "max_output_tokens", next((b for b in bounds if b is not None), None))


def _choice(value: object, custom: frozenset[str]) -> object:
    held = as_object(value)
    if held is None:
        return value
    named = as_object(held.get("function")) or as_object(held.get("custom")) or held
    return render_choice(f"tool:{named.get('name')}", custom)


def _override_format(body: dict[str, object], value: object) -> None:
    text = {k: v for k, v in (as_object(body.get("text")) or {}).items() if k != "format"}
    wanted = as_object(value)
    if wanted is not None:
        text["format"] = {
            **{k: v for k, v in wanted.items() if k != "json_schema"},
            **(as_object(wanted.get("json_schema")) or {}),
        }
    _set(body, "text", text or None)


def _set(body: dict[str, object], name: str, value: object) -> None:
    if value is None:
        body.pop(name, None)
    else:
        body[name] = value
