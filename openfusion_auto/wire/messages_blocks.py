"""Content blocks and tools of a Messages request: JSON to the hub, checked.

The hub has one message for each role that speaks: a user's turn with tool results becomes a `tool` message for each
result and a `user` message for what stands around them. Block types that are not known here become parts of kind
`other`, which a Messages upstream gets as they came; only a block without a type is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from openfusion_auto.core.prompt import Message, Part, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    boolean,
    items,
    members,
    missing,
    name,
    one_of,
    string,
    wrong_type,
    wrong_value,
)
from openfusion_auto.wire.jsons import as_object, dumps

# Signature of a thinking block that this router made of another dialect's reasoning. No upstream made it, so it never
# goes to one: `messages_request.splice_request` takes such blocks out.
UNSIGNED = "openfusion-unsigned"
# Claude Code puts version and request data here; it would make every prefix new (and is no instruction).
BILLING = "x-anthropic-billing-header:"
TYPE_FORM = re.compile(r"[a-z][a-z0-9_]{0,63}")  # of a block; longer or other words are junk
_ROLES = ("user", "assistant", "system")
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64")
# Behind a compaction block the call of a result may be gone.
_ANY = "*"


def read_system(value: object) -> tuple[Message, ...]:
    """Return the system prompt as no or one message; a leading billing header is left out."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Message("system", (Part("text", value),)),) if value else ()
    parts: list[Part] = []
    for i, item in enumerate(items("system", value)):
        block = members(f"system[{i}]", item)
        if block.get("type") != "text":
            raise wrong_value(f"system[{i}].type", "'text'")
        text = string(f"system[{i}].text", block.get("text"))
        if not text.startswith(BILLING):
            parts.append(Part("text", text, raw=block))
    return (Message("system", tuple(parts)),) if parts else ()


def read_messages(value: object) -> tuple[Message, ...]:
    """Return the messages of a request, without its system prompt.

    Raises:
        BadRequest: none, a role, block or result that cannot be, a system message in the first place.
    """
    if value is None:
        raise missing("messages")
    found = items("messages", value)
    if not found:
        raise BadRequest(
            "messages: at least one message is required.", param="messages", code="empty_array"
        )
    asked: set[str] = set()
    out: list[Message] = []
    for i, item in enumerate(found):
        out += _message(f"messages[{i}]", item, asked, first=i == 0)
    return tuple(out)


def read_tools(value: object) -> tuple[Tool, ...]:
    """Return the tools of a request; a type other than `custom` is a tool that Anthropic defines."""
    if value is None:
        return ()
    return tuple(_tool(f"tools[{i}]", item) for i, item in enumerate(items("tools", value)))


def data_url(media: str, data: str) -> str:
    """Return the `data:` URL of base64 data."""
    return f"data:{media};base64,{data}"


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return media type and base64 data of a `data:` URL; None for another address."""
    head, comma, data = url.partition(",")
    found = _DATA_URL.fullmatch(head)
    return (found[1], data) if found and comma else None


def _message(at: str, value: object, asked: set[str], *, first: bool) -> list[Message]:
    item = members(at, value)
    if item.get("role") is None:
        raise missing(f"{at}.role")
    role = string(f"{at}.role", item["role"])
    if role not in _ROLES:
        raise wrong_value(f"{at}.role", one_of(_ROLES))
    if role == "system" and first:
        raise BadRequest(
            "messages[0].role: a system message cannot come first; use the top-level 'system' parameter.",
            param="messages[0].role",
            code="invalid_value",
        )
    if "content" not in item:
        raise missing(f"{at}.content")
    blocks = _blocks(f"{at}.content", item["content"])
    match role:
        case "assistant":
            return [_spoken(at, blocks, asked)]
        case "system":
            return [Message("system", tuple(_part(*block) for block in blocks))]
        case _:
            return _heard(blocks, asked)


def _blocks(at: str, value: object) -> list[tuple[str, Mapping[str, object]]]:
    """Return the blocks of a content with their places; a string is one text block."""
    if isinstance(value, str):
        return [(at, {"type": "text", "text": value})] if value else []
    if not isinstance(value, list):
        raise wrong_type(at, "a string or an array of blocks", value)
    found: list[tuple[str, Mapping[str, object]]] = []
    for i, item in enumerate(value):
        place = f"{at}[{i}]"
        block = members(place, item)
        if block.get("type") is None:
            raise missing(f"{place}.type")
        if not TYPE_FORM.fullmatch(string(f"{place}.type", block["type"])):
            raise wrong_value(f"{place}.type", "the type of a content block")
        found.append((place, block))
    return found


def _spoken(at: str, blocks: list[tuple[str, Mapping[str, object]]], asked: set[str]) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for place, block in blocks:
        if block["type"] == "tool_use":
            calls.append(_call(place, block))
        else:
            parts.append(_part(place, block))
        if block["type"] == "tool_result":
            raise wrong_value(f"{at}.content", "tool results in messages with the role 'user'")
        if block["type"] == "compaction":
            asked.add(_ANY)
    asked.update(call.id for call in calls)
    return Message("assistant", tuple(parts), tuple(calls))


def _heard(blocks: list[tuple[str, Mapping[str, object]]], asked: set[str]) -> list[Message]:
    """Return a user's turn: its tool results and the stretches between them, in their order."""
    out: list[Message] = []
    words: list[Part] = []
    for place, block in blocks:
        if block["type"] != "tool_result":
            words.append(_part(place, block))
            continue
        if words:
            out.append(Message("user", tuple(words)))
            words = []
        out.append(_result(place, block, asked))
    if words or not out:
        out.append(Message("user", tuple(words)))
    return out


def _result(at: str, block: Mapping[str, object], asked: set[str]) -> Message:
    if block.get("tool_use_id") is None:
        raise missing(f"{at}.tool_use_id")
    call_id = string(f"{at}.tool_use_id", block["tool_use_id"])
    if call_id not in asked and _ANY not in asked:
        raise BadRequest(
            f"{at}: unexpected 'tool_use_id' found in a 'tool_result' block. Each 'tool_result' must have its "
            "'tool_use' block in a message before it.",
            param=f"{at}.tool_use_id",
            code="invalid_value",
        )
    failed = block.get("is_error")
    content = block.get("content")
    inner = [] if content is None else _blocks(f"{at}.content", content)
    return Message(
        "tool",
        tuple(_part(*item) for item in inner),
        tool_call_id=call_id,
        failed=failed is not None and boolean(f"{at}.is_error", failed),
    )


def _call(at: str, block: Mapping[str, object]) -> ToolCall:
    call_id = string(f"{at}.id", block.get("id"))
    called = name(f"{at}.name", block.get("name"))
    given = block.get("input")
    arguments = dumps({} if given is None else members(f"{at}.input", given))
    return ToolCall(call_id, called, arguments.decode())


def _part(at: str, block: Mapping[str, object]) -> Part:
    match block["type"]:
        case "text":
            return Part("text", string(f"{at}.text", block.get("text")), raw=block)
        case "thinking":
            thought = string(f"{at}.thinking", block.get("thinking", ""))
            signature = block.get("signature")
            signed = string(f"{at}.signature", signature) if signature is not None else ""
            return Part(
                "reasoning", thought, opaque="" if signed == UNSIGNED else signed, raw=block
            )
        case "redacted_thinking":
            return Part("reasoning", opaque=string(f"{at}.data", block.get("data")), raw=block)
        case "image":
            return _image(at, block)
        case "document":
            return _document(at, block)
        case _:
            return Part("other", size=len(dumps(block)), raw=block)


def _image(at: str, block: Mapping[str, object]) -> Part:
    source = members(f"{at}.source", block.get("source"))
    media, url, size = _source(f"{at}.source", source)
    return Part("image", size=size, url=url, media=media, raw=block)


def _document(at: str, block: Mapping[str, object]) -> Part:
    """Return a document; one of plain text can be read, and weighs nothing beside its text."""
    source = members(f"{at}.source", block.get("source"))
    if source.get("type") == "text":
        text = string(f"{at}.source.data", source.get("data"))
        return Part(
            "file", text, size=len(text.encode("utf-8", "replace")), media="text/plain", raw=block
        )
    if source.get("type") == "content":
        return Part("other", size=len(dumps(block)), raw=block)
    media, url, size = _source(f"{at}.source", source)
    return Part("file", size=size, url=url, media=media, raw=block)


def _source(at: str, source: Mapping[str, object]) -> tuple[str, str, int]:
    """Return media type, URL and weight [bytes] of a source; a file at the provider has no URL."""
    if source.get("type") is None:
        raise missing(f"{at}.type")
    match string(f"{at}.type", source["type"]):
        case "base64":
            media = string(f"{at}.media_type", source.get("media_type"))
            data = string(f"{at}.data", source.get("data"))
            return media, data_url(media, data), len(data)
        case "url":
            return "", string(f"{at}.url", source.get("url")), 0
        case _:
            return "", "", 0


def _tool(at: str, value: object) -> Tool:
    tool = members(at, value)
    kind = tool.get("type")
    kind = "custom" if kind is None else string(f"{at}.type", kind)
    if kind != "custom":
        return Tool(name(f"{at}.name", tool.get("name", kind)), "server", raw=tool)
    if tool.get("name") is None:
        raise missing(f"{at}.name")
    schema, description, strict = (
        tool.get("input_schema"),
        tool.get("description"),
        tool.get("strict"),
    )
    return Tool(
        name(f"{at}.name", tool["name"]),
        schema=None if schema is None else members(f"{at}.input_schema", schema),
        description="" if description is None else string(f"{at}.description", description),
        strict=None if strict is None else boolean(f"{at}.strict", strict),
        raw=tool,
    )


def is_unsigned(block: object) -> bool:
    """Return whether a block is a thinking block that this router made (see `UNSIGNED`)."""
    found = as_object(block) or {}
    return found.get("type") == "thinking" and found.get("signature") == UNSIGNED
