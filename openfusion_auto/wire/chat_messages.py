"""Messages and tools of a chat request: JSON to the hub, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from openfusion_auto.core.prompt import Message, Part, PartKind, Role, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    items,
    members,
    missing,
    name,
    one_of,
    string,
    wrong_type,
    wrong_value,
)
from openfusion_auto.wire.chat_parts import (
    DETAILS,
    read_attachment,
    read_reasoning,
    thought_of,
)
from openfusion_auto.wire.jsons import as_object

_SPEAKERS = ("system", "developer", "user", "assistant")
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Part types that OpenAI's API or a widely used relative of it knows -> what they are.
_PARTS: Mapping[str, PartKind] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "video_url": "other",
    "input_video": "other",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "redacted_thinking": "reasoning",
}
_TEXT_FIELDS: Mapping[PartKind, tuple[str, ...]] = {
    "text": ("text",),
    "refusal": ("refusal",),
    "reasoning": ("text", "thinking", "reasoning"),
}
# An assistant's message may do without `content` when it has one of these.
_INSTEAD = (
    "tool_calls", "function_call", "refusal", "audio", "reasoning_content", "reasoning", DETAILS,
)  # fmt: skip


def read_messages(value: object) -> tuple[Message, ...]:
    """Return the messages of a request.

    Raises:
        BadRequest: no messages, a role, content, part or call that cannot be, a tool result without its call.
    """
    if value is None:
        raise missing("messages")
    found = items("messages", value)
    if not found:
        raise BadRequest(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
            code="empty_array",
        )
    asked: set[str] = set()
    return tuple(
        _simple(item) or _message(f"messages[{i}]", item, asked) for i, item in enumerate(found)
    )


def read_tools(body: Mapping[str, object]) -> tuple[Tool, ...]:
    """Return the tools of a request, its legacy `functions` included.

    A tool type that is not known is one that the upstream runs itself.
    """
    tools: list[Tool] = []
    if body.get("tools") is not None:
        tools += (_tool(f"tools[{i}]", t) for i, t in enumerate(items("tools", body["tools"])))
    if body.get("functions") is not None:
        listed = enumerate(items("functions", body["functions"]))
        tools += (_function(f"functions[{i}]", f) for i, f in listed)
    return tuple(tools)


def only_allowed(tools: tuple[Tool, ...], choice: object) -> tuple[Tool, ...]:
    """Return the tools that a `tool_choice` of the type `allowed_tools` leaves; all of them for any other."""
    asked = as_object(choice) or {}
    held = as_object(asked.get("allowed_tools")) or {}
    listed = held.get("tools")
    if asked.get("type") != "allowed_tools" or not isinstance(listed, list):
        return tools
    allowed = [as_object(item) or {} for item in listed]
    kinds = [(str(tool.get("type")), tool) for tool in allowed]
    # One that the upstream runs is named by its type.
    names = [(as_object(tool.get(kind)) or {}).get("name", kind) for kind, tool in kinds]
    return tuple(tool for tool in tools if tool.name in names)


def _simple(value: object) -> Message | None:
    """Return a message of a role and a text alone, as most are; None for any other."""
    if not isinstance(value, dict) or len(value) != 2:
        return None
    role, text = value.get("role"), value.get("content")
    if isinstance(text, str) and text and isinstance(role, str) and role in _SPEAKERS:
        return Message(cast("Role", role), (Part("text", text),))
    return None


def _message(at: str, value: object, asked: set[str]) -> Message:
    item = members(at, value)
    role = _role(at, item)
    parts = _content(at, role, item)
    if role == "assistant":
        parts = _spoken(at, item, parts)
        calls = _calls(at, item.get("tool_calls"))
        asked.update(call.id for call in calls)
        return Message("assistant", parts, calls)
    if role == "tool":
        return Message("tool", parts, tool_call_id=_answered(at, item, asked))
    # The legacy role `function` is a tool result that names its function instead of a call.
    return Message("tool" if role == "function" else cast("Role", role), parts)


def _role(at: str, item: Mapping[str, object]) -> str:
    value = item.get("role")
    if isinstance(value, str) and value in _ROLES:
        return value
    if value is None:
        raise missing(f"{at}.role")
    string(f"{at}.role", value)
    raise wrong_value(f"{at}.role", one_of(_ROLES))


def _content(at: str, role: str, item: Mapping[str, object]) -> tuple[Part, ...]:
    value = item.get("content")
    if isinstance(value, str):
        return (Part("text", value),) if value else ()
    if value is None:
        return _no_content(at, role, item)
    if not isinstance(value, list):
        raise wrong_type(f"{at}.content", "a string or an array of parts", value)
    return tuple(_part(f"{at}.content[{i}]", part) for i, part in enumerate(value))


def _no_content(at: str, role: str, item: Mapping[str, object]) -> tuple[Part, ...]:
    if role == "assistant" and any(item.get(field) is not None for field in _INSTEAD):
        return ()
    if "content" not in item:
        raise missing(f"{at}.content")
    if role not in ("assistant", "tool", "function"):
        raise wrong_type(f"{at}.content", "a string or an array of parts", None)
    return ()


def _part(at: str, value: object) -> Part:
    part = members(at, value)
    if part.get("type") is None:
        raise missing(f"{at}.type")
    form = string(f"{at}.type", part["type"])
    kind = _PARTS.get(form)
    if kind is None:
        raise wrong_value(
            f"{at}.type", one_of(("text", "image_url", "input_audio", "file", "refusal"))
        )
    fields = _TEXT_FIELDS.get(kind)
    if fields is None:
        return read_attachment(at, kind, form, part)
    if kind == "reasoning":
        return _thought(at, part)
    for field in fields:
        if part.get(field) is not None:
            return Part(kind, string(f"{at}.{field}", part[field]), raw=part)
    raise missing(f"{at}.{fields[0]}")


def _thought(at: str, part: Mapping[str, object]) -> Part:
    """Return a reasoning part of an assistant's content, its signature or encrypted data as `opaque`."""
    text = ""
    for field in _TEXT_FIELDS["reasoning"]:
        if part.get(field) is not None:
            said = part[field]
            text = thought_of(said) if isinstance(said, list) else string(f"{at}.{field}", said)
            break
    sealed = part.get("signature") or part.get("data")
    opaque = sealed if isinstance(sealed, str) else ""
    return Part("reasoning", text, size=len(opaque), opaque=opaque, raw=part)


def _spoken(at: str, item: Mapping[str, object], parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Add what an assistant's message holds beside its content: reasoning before, a refusal behind."""
    thought = read_reasoning(item)
    if thought is not None:
        parts = (thought, *parts)
    if item.get("refusal") is not None:
        refusal = string(f"{at}.refusal", item["refusal"])
        parts = (*parts, Part("refusal", refusal)) if refusal else parts
    return parts


def _calls(at: str, value: object) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    calls = items(f"{at}.tool_calls", value)
    return tuple(_call(f"{at}.tool_calls[{i}]", call) for i, call in enumerate(calls))


def _call(at: str, value: object) -> ToolCall:
    call = members(at, value)
    call_id = string(f"{at}.id", call.get("id"))
    if call.get("type") == "custom":
        custom = members(f"{at}.custom", call.get("custom"))
        said = string(f"{at}.custom.input", custom.get("input", ""))
        return ToolCall(call_id, string(f"{at}.custom.name", custom.get("name")), said, "custom")
    function = members(f"{at}.function", call.get("function"))
    arguments = function.get("arguments")
    return ToolCall(
        call_id,
        string(f"{at}.function.name", function.get("name")),
        "" if arguments is None else string(f"{at}.function.arguments", arguments),
    )


def _answered(at: str, item: Mapping[str, object], asked: set[str]) -> str:
    """Return the id of the call that a tool result belongs to; the call must stand before it."""
    value = item.get("tool_call_id")
    if value is None:
        raise missing(f"{at}.tool_call_id")
    call_id = string(f"{at}.tool_call_id", value)
    if call_id not in asked:
        raise BadRequest(
            f"Invalid parameter: '{at}' has role 'tool', but no preceding message has its call in 'tool_calls'.",
            param=f"{at}.tool_call_id",
            code="invalid_value",
        )
    return call_id


def _tool(at: str, value: object) -> Tool:
    tool = members(at, value)
    kind = string(f"{at}.type", tool.get("type", "function"))
    if kind == "function":
        return _function(f"{at}.function", tool.get("function"), tool)
    if kind == "custom":
        return _custom(f"{at}.custom", tool.get("custom"), tool)
    return Tool(name(f"{at}.type", kind), "server", raw=tool)


def _function(at: str, value: object, raw: Mapping[str, object] | None = None) -> Tool:
    if value is None:
        raise missing(at)
    function = members(at, value)
    if function.get("name") is None:
        raise missing(f"{at}.name")
    schema = function.get("parameters")
    if schema is not None:
        schema = members(f"{at}.parameters", schema)
    called = name(f"{at}.name", function["name"])
    said, strict = function.get("description"), function.get("strict")
    # What OpenAI's API would refuse in these two is left to the upstream: it is relayed as it came.
    return Tool(
        called,
        "function",
        schema,
        said if isinstance(said, str) else "",
        strict if isinstance(strict, bool) else None,
        None,
        raw or function,
    )


def _custom(at: str, value: object, raw: Mapping[str, object]) -> Tool:
    custom = members(at, value)
    called = name(f"{at}.name", custom.get("name"))
    said, form = custom.get("description"), custom.get("format")
    return Tool(
        called,
        "custom",
        description=said if isinstance(said, str) else "",
        grammar=form if isinstance(form, dict) else None,
        raw=raw,
    )
