"""Input items of a Responses request: JSON to the hub, checked.

The dialect has a flat list of items where the hub has messages. What the assistant did in one stretch (reasoning,
text, calls, with nobody else in between) becomes one message, so that calls made together stay together; a second
`message` item begins a message of its own. Source: OpenAI's API reference ("Create a model response", input items)
and what coding clients send.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from openfusion_auto.core.prompt import Message, Part, Role, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    items,
    members,
    missing,
    one_of,
    string,
    wrong_type,
    wrong_value,
)
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.responses_tools import flat_name

Fate = Literal["message", "reasoning", "call", "action", "result", "tools", "aside", "bound"]

# Before what seals a reasoning item that was made here, from another dialect's answer. No upstream of this dialect
# may get such an item: it did not make it, and refuses the whole request, for good. Clients drop ids, not this.
MADE_HERE = "openfusion:"

# What becomes of an item in the hub:
#   call    a tool call            action  a call of a client-run tool that is no function: a function call
#   result  a tool's result        tools   more tools, no message
#   aside   kept for this dialect, a part of kind `other` (lost elsewhere)
#   bound   means something only to the upstream that holds the state (refused elsewhere)
ITEMS: Mapping[str, Fate] = {
    "message": "message",
    "agent_message": "message",
    "reasoning": "reasoning",
    "function_call": "call",
    "custom_tool_call": "call",
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "action",
    "computer_call": "action",
    "tool_search_call": "action",
    "function_call_output": "result",
    "custom_tool_call_output": "result",
    "local_shell_call_output": "result",
    "shell_call_output": "result",
    "apply_patch_call_output": "result",
    "computer_call_output": "result",
    "tool_search_output": "result",
    "tool_search_call_output": "result",
    "additional_tools": "tools",
    "web_search_call": "aside",
    "file_search_call": "aside",
    "code_interpreter_call": "aside",
    "image_generation_call": "aside",
    "mcp_list_tools": "aside",
    "mcp_call": "aside",
    "mcp_approval_request": "aside",
    "mcp_approval_response": "aside",
    "program": "aside",
    "program_output": "aside",
    "configuration_update": "aside",
    "ghost_snapshot": "aside",
    "compaction": "aside",
    "compaction_summary": "aside",
    "context_compaction": "aside",
    "compaction_trigger": "bound",
    "item_reference": "bound",
}
# Where a client-run call holds what is to be done.
_ACTIONS: Mapping[str, str] = {
    "local_shell_call": "action",
    "shell_call": "action",
    "apply_patch_call": "operation",
    "computer_call": "action",
    "tool_search_call": "arguments",
}
# Content parts of messages and tool results.
PARTS: Mapping[str, Literal["text", "refusal", "image", "file", "audio"]] = {
    "input_text": "text",
    "output_text": "text",
    "text": "text",
    "refusal": "refusal",
    "input_image": "image",
    "computer_screenshot": "image",
    "input_file": "file",
    "input_audio": "audio",
}
_CONTENT_OUTPUTS = ("function_call_output", "custom_tool_call_output")
_ROLES = ("user", "assistant", "system", "developer")


@dataclass(slots=True)
class Conversation:
    """What a list of items says, as far as it has been read.

    Attributes:
        messages: The hub's messages.
        asked: Ids of the calls so far.
        tools: Tools that stand among the items, each with its place.
    """

    messages: list[Message] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    tools: list[tuple[str, object]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)  # of the assistant's stretch
    calls: list[ToolCall] = field(default_factory=list)
    spoke: bool = False  # the stretch's last item was a message

    def close(self) -> None:
        """End the assistant's stretch."""
        if self.parts or self.calls or self.spoke:
            self.messages.append(Message("assistant", tuple(self.parts), tuple(self.calls)))
        self.parts, self.calls, self.spoke = [], [], False


def read_input(value: object) -> Conversation:
    """Return what `input` holds: a string, or a list of items.

    Raises:
        BadRequest: nothing in it, an item without a type or role, a field of an item that cannot be, a tool result
            without its call. Unknown types are kept (`Part.kind` `other`): the upstream may know them.
    """
    if value is None:
        raise missing("input")
    found = Conversation()
    if isinstance(value, str):
        found.messages.append(Message("user", (Part("text", value),)))
        return found
    if not isinstance(value, list):
        raise wrong_type("input", "a string or an array of items", value)
    if not value:
        raise BadRequest(
            "Invalid 'input': empty array. Expected an array with minimum length 1.",
            param="input",
            code="empty_array",
        )
    for i, item in enumerate(value):
        at = f"input[{i}]"
        _take(found, at, members(at, item))
    found.close()
    return found


def item_type(at: str, item: Mapping[str, object]) -> str:
    """Return an item's type; without one it is a message when it has a role, a reference when it has an id."""
    kind = item.get("type")
    if isinstance(
        kind, str
    ):  # places are only spelled out for refusals: long prompts have many items
        return kind
    if kind is not None:
        raise wrong_type(f"{at}.type", "a string", kind)
    if item.get("role") is not None:
        return "message"
    if isinstance(item.get("id"), str):
        return "item_reference"
    raise missing(f"{at}.type")


def bound_items(value: object) -> Iterator[str]:
    """Yield the places, with types, of items and parts that only this dialect, or one upstream, understands.

    Args:
        value: `input` of a request that has been read without a refusal.
    """
    for i, item in enumerate(value if isinstance(value, list) else ()):
        at, kind = f"input[{i}]", item_type(f"input[{i}]", item)
        if ITEMS.get(kind, "bound") == "bound":
            yield f"{at} (type '{kind[:40]}')"
        held = item.get("content") if ITEMS.get(kind) == "message" else None
        for j, part in enumerate(held if isinstance(held, list) else ()):
            if part["type"] not in PARTS:
                yield f"{at}.content[{j}] (type '{part['type'][:40]}')"


def opaque_of(item: Mapping[str, object]) -> str:
    """Return what seals a reasoning or compaction item, "" when nothing does."""
    blob = item.get("encrypted_content")
    return blob.removeprefix(MADE_HERE) if isinstance(blob, str) else ""


def without_made(listed: list[object]) -> list[object]:
    """Return items without the reasoning that was made here from another dialect's answer."""
    return [item for item in listed if not _is_made(as_object(item) or {})]


def _is_made(item: Mapping[str, object]) -> bool:
    blob = item.get("encrypted_content")
    return item.get("type") == "reasoning" and isinstance(blob, str) and blob.startswith(MADE_HERE)


def _take(found: Conversation, at: str, item: Mapping[str, object]) -> None:
    kind = item_type(at, item)
    fate = ITEMS.get(kind, "bound")
    if fate == "message":
        _message(found, at, kind, item)
    elif fate == "call":
        _assistant(found, at, item).calls.append(_call(found, at, kind, item))
    elif fate == "result":
        _result(found, at, kind, item)
    elif fate == "tools":
        listed = items(f"{at}.tools", item.get("tools"))
        found.tools += ((f"{at}.tools[{i}]", tool) for i, tool in enumerate(listed))
    elif fate == "reasoning":
        _assistant(found, at, item).parts.append(_reasoning(at, item))
    else:
        call = _action(kind, item) if fate == "action" else None
        stretch = _assistant(found, at, item)
        if call is None:
            stretch.parts.append(_aside(item))
        else:
            stretch.calls.append(call)
            found.asked.add(call.id)


def _assistant(found: Conversation, at: str, item: Mapping[str, object]) -> Conversation:
    """Return the open stretch; ids come back on items in many forms, so they are only held to be text."""
    own = item.get("id")
    if own is not None and not isinstance(own, str):
        raise wrong_type(f"{at}.id", "a string", own)
    found.spoke = False
    return found


def _message(found: Conversation, at: str, kind: str, item: Mapping[str, object]) -> None:
    value = item.get("role")
    if value is None and kind == "message":
        raise missing(f"{at}.role")
    role = "user" if value is None else string(f"{at}.role", value)
    if role not in _ROLES:
        raise wrong_value(f"{at}.role", one_of(_ROLES))
    if "content" not in item:
        raise missing(f"{at}.content")
    content = item["content"]
    empty = content is None and role == "assistant"
    parts = () if empty else _content(f"{at}.content", content)
    if role != "assistant":
        found.close()
        found.messages.append(Message(cast("Role", role), parts))
        return
    if found.spoke:
        found.close()
    _assistant(found, at, item).parts += parts
    found.spoke = True


def _content(at: str, value: object) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (Part("text", value),) if value else ()
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of parts", value)
    return tuple(_part(f"{at}[{i}]", part) for i, part in enumerate(value))


def _part(at: str, value: object) -> Part:
    part = members(at, value)
    kind = PARTS.get(_text(at, part, "type"))
    if kind is None:
        return _aside(part)
    if kind in ("text", "refusal"):
        return Part(kind, _text(at, part, kind), raw=part)
    url = {"image": _image_url, "file": _file_url, "audio": _audio_url}[kind](at, part)
    return Part(kind, size=len(url) or weight(part), url=url, media=media_of(url), raw=part)


def media_of(url: str) -> str:
    """Return the media type that a `data:` URL names, "" for any other address."""
    return url[5:].partition(",")[0].partition(";")[0] if url.startswith("data:") else ""


def weight(part: Mapping[str, object]) -> int:
    """Return the size of the longest text in `part` [characters]: what it carries in line."""
    return max((len(v) for v in part.values() if isinstance(v, str)), default=0)


def _image_url(at: str, part: Mapping[str, object]) -> str:
    value = part.get("image_url")
    if isinstance(value, dict):  # the form of the chat dialect, which some clients send here
        value = value.get("url")
    if value is None and part.get("file_id") is None:
        raise missing(f"{at}.image_url")
    return "" if value is None else string(f"{at}.image_url", value)


def _file_url(at: str, part: Mapping[str, object]) -> str:
    for name in ("file_data", "file_url"):
        if part.get(name) is not None:
            return string(f"{at}.{name}", part[name])
    if part.get("file_id") is None:
        raise missing(f"{at}.file_data")
    return ""


def _audio_url(at: str, part: Mapping[str, object]) -> str:
    sound = members(f"{at}.input_audio", part.get("input_audio"))
    data = string(f"{at}.input_audio.data", sound.get("data"))
    return f"data:audio/{string(f'{at}.input_audio.format', sound.get('format'))};base64,{data}"


def _reasoning(at: str, item: Mapping[str, object]) -> Part:
    texts: list[str] = []
    for name in ("summary", "content"):
        if item.get(name) is None or texts:
            continue
        for i, value in enumerate(items(f"{at}.{name}", item[name])):
            said = members(f"{at}.{name}[{i}]", value).get("text")
            texts += [said] if isinstance(said, str) else []
    blob = item.get("encrypted_content")
    if blob is not None and not isinstance(blob, str):
        raise wrong_type(f"{at}.encrypted_content", "a string", blob)
    opaque = opaque_of(item)
    return Part("reasoning", "\n\n".join(texts), size=len(opaque), opaque=opaque, raw=item)


def _call(found: Conversation, at: str, kind: str, item: Mapping[str, object]) -> ToolCall:
    custom = kind == "custom_tool_call"
    call_id = _text(at, item, "call_id")
    called = _text(at, item, "name")
    written = _text(at, item, "input" if custom else "arguments")
    found.asked.add(call_id)
    space = item.get("namespace")
    if space is not None:
        called = flat_name(string(f"{at}.namespace", space), called)
    return ToolCall(call_id, called, written, "custom" if custom else "function")


def _text(at: str, item: Mapping[str, object], name: str) -> str:
    """Return a field that must be there and text."""
    value = item.get(name)
    if isinstance(value, str):
        return value
    if value is None:
        raise missing(f"{at}.{name}")
    raise wrong_type(f"{at}.{name}", "a string", value)


def _action(kind: str, item: Mapping[str, object]) -> ToolCall | None:
    """Return a client-run call as a function call; None for one that its upstream ran (it has no call id)."""
    call_id = item.get("call_id") or (item.get("id") if kind == "local_shell_call" else None)
    if not isinstance(call_id, str) or not call_id:
        return None
    done = item.get(_ACTIONS[kind])
    return ToolCall(
        call_id, kind.removesuffix("_call"), dumps({} if done is None else done).decode()
    )


def _result(found: Conversation, at: str, kind: str, item: Mapping[str, object]) -> None:
    call_id = item.get("call_id") or (item.get("id") if kind == "local_shell_call_output" else None)
    searched = kind.startswith("tool_search")
    if searched:
        listed = item.get("tools")
        tools = items(f"{at}.tools", [] if listed is None else listed)
        found.tools += ((f"{at}.tools[{i}]", tool) for i, tool in enumerate(tools))
        if call_id is None:
            _assistant(found, at, item).parts.append(_aside(item))
            return
    if call_id is None:
        raise missing(f"{at}.call_id")
    call_id = string(f"{at}.call_id", call_id)
    if call_id not in found.asked:
        raise BadRequest(
            f"No tool call found for the output at '{at}': no item before it has its 'call_id'.",
            param=f"{at}.call_id",
            code="invalid_value",
        )
    found.close()
    parts = _output(f"{at}.output", kind, item.get("tools") if searched else item.get("output"))
    failed = item.get("status") in ("incomplete", "failed")
    found.messages.append(Message("tool", parts, tool_call_id=call_id, failed=failed))


def _output(at: str, kind: str, value: object) -> tuple[Part, ...]:
    """Return a tool's output: text, content parts, or the JSON of any other shape that a tool type has."""
    if value is None:
        raise missing(at)
    if isinstance(value, str) or (isinstance(value, list) and kind in _CONTENT_OUTPUTS):
        return _content(at, value)
    if isinstance(value, dict) and value.get("type") in tuple(PARTS):  # it may be no text at all
        return (_part(at, value),)
    return (Part("text", dumps(value).decode()),)


def _aside(item: Mapping[str, object]) -> Part:
    return Part("other", size=weight(item), opaque=opaque_of(item), raw=item)
