"""The hub's messages and tools as a Messages request has them: turns of content blocks.

What the dialect demands, and a conversation of another one may not have: turns by `user` and `assistant` alone, the
first and the last by `user`, all tool results first in the turn behind their calls, none missing, no empty text.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Sequence

from openfusion_auto.core.prompt import Message, Part, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_tools import INPUT_SCHEMA, NO_ARGUMENTS, describe_custom
from openfusion_auto.wire.jsons import JsonError, as_object, loads_text
from openfusion_auto.wire.messages_blocks import split_data_url
from openfusion_auto.wire.messages_schema import fitted
from openfusion_auto.wire.ordered import in_order
from openfusion_auto.wire.rendered import counted

Block = dict[str, object]
Turn = tuple[str, list[Block]]  # role, content

# A user's turn where a conversation begins or ends with the assistant's.
CONTINUED = "(The conversation goes on.)"
_INSTRUCTING = ("system", "developer")


def render_system(messages: Sequence[Message]) -> list[Block]:
    """Return the system prompt: the text of the system and developer messages at the beginning."""
    return [block for m in messages[: _head(messages)] for block in _text_blocks(m)]


def render_turns(messages: Sequence[Message], lost: list[str], *, begin: bool = True) -> list[Turn]:
    """Return messages as turns; neighbours of one role become one.

    Args:
        messages: A conversation, or what a recipe put behind one.
        lost: Takes up what is dropped or converted with a loss.
        begin: It is a whole conversation: its system prompt is left out, and a user's turn stands first.

    Raises:
        BadRequest: a part that cannot be said in this dialect and must not be dropped, or no turn at all.
    """
    rest = messages[_head(messages) :] if begin else messages
    turns: list[Turn] = []
    for message in in_order(rest):
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, lost)
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    for role, content in turns:
        if role == "user":
            content.sort(key=lambda block: block["type"] != "tool_result")
    _count_losses(rest, lost)
    return _begun(turns, render_system(messages), lost) if begin else turns


def ended(turns: list[Turn], lost: list[str]) -> list[Turn]:
    """Return turns that end with the user's: later models take no beginning of their answer."""
    if turns and turns[-1][0] == "assistant":
        lost.append("end by the assistant")
        return [*turns, ("user", [{"type": "text", "text": CONTINUED}])]
    return turns


def called_tools(turns: Sequence[Turn]) -> list[Block]:
    """Return a tool for each name that is called in a history.

    Where a request offers none (a compaction), some who serve this API refuse calls and results in it all the same.
    """
    called = (b for _, content in turns for b in content if b["type"] == "tool_use")
    names = dict.fromkeys(str(block["name"]) for block in called)
    return [{"name": name, "input_schema": dict(NO_ARGUMENTS)} for name in names]


def render_tools(tools: Iterable[Tool], lost: list[str]) -> list[Block]:
    """Return tools with an `input_schema`.

    Args:
        tools: Of a prompt in another dialect.
        lost: Takes up tools that only another upstream runs, and grammars, which a JSON tool cannot enforce.
    """
    found: list[Block] = []
    for tool in tools:
        if tool.kind == "server":
            lost.append(f"server tool {tool.name}")
            continue
        if tool.kind == "custom" and tool.grammar:
            lost.append(f"grammar of custom tool {tool.name}")
        found.append(_tool(tool))
        if tool.strict and found[-1].get("strict") is None and tool.kind == "function":
            lost.append(f"strictness of tool {tool.name}")
    return found


def input_of(call: ToolCall) -> dict[str, object] | None:
    """Return a call's arguments as the object that `tool_use` has; None when they are no object.

    A custom call's text becomes the member `input`, no arguments at all become an empty object.
    """
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        held = as_object(loads_text(call.arguments))
    except JsonError:
        return None
    return None if held is None else dict(held)


def _head(messages: Sequence[Message]) -> int:
    """Return how many messages at the beginning are the system prompt."""
    talk = (i for i, m in enumerate(messages) if m.role not in _INSTRUCTING)
    return next(talk, len(messages))


def _begun(turns: list[Turn], system: list[Block], lost: list[str]) -> list[Turn]:
    if not turns and system:
        lost.append("system prompt said again as the user's words")
        return [("user", [dict(block) for block in system])]
    if not turns:
        raise BadRequest(
            "The conversation has no words in it; expected a message with content.",
            param="messages",
            code="empty_array",
        )
    if turns[0][0] == "assistant":
        lost.append("beginning by the assistant")
        return [("user", [{"type": "text", "text": CONTINUED}]), *turns]
    return turns


def _count_losses(messages: Sequence[Message], lost: list[str]) -> None:
    thought = sum(any(p.kind == "reasoning" for p in m.parts) for m in messages)
    told = sum(m.role in _INSTRUCTING for m in messages)
    lost += counted("reasoning", thought)
    lost += counted("instructions as user text", told)


def _blocks(message: Message, lost: list[str]) -> list[Block]:
    if message.role in _INSTRUCTING:
        return _text_blocks(message)
    if message.role == "tool" and message.tool_call_id is not None:
        return [_result(message)]
    spoken = message.role == "assistant"
    blocks: list[Block] = []
    for part in message.parts:
        block = _block(part, None if not spoken else lost)
        if block is not None:
            blocks.append(block)
    return blocks + [_call(call, lost) for call in message.tool_calls]


def _text_blocks(message: Message) -> list[Block]:
    return [{"type": "text", "text": p.text} for p in message.parts if p.text.strip()]


def _result(message: Message) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    if len(message.parts) == 1 and message.parts[0].kind == "text":
        block["content"] = message.parts[0].text
    elif message.parts:
        found = (_block(part, None) for part in message.parts)
        block["content"] = [inner for inner in found if inner is not None]
    if message.failed:
        block["is_error"] = True
    return block


def _block(part: Part, lost: list[str] | None) -> Block | None:
    """Return a part as a block; None for what is dropped: empty text, and reasoning, which nobody here signed.

    `lost` is given for the assistant's history alone: what a model made in another dialect (a search it ran) is
    dropped there and listed; what a user sent is never dropped.
    """
    match part.kind:
        case "text" | "refusal":
            return {"type": "text", "text": part.text} if part.text.strip() else None
        case "reasoning":
            return None
        case "image":
            return {"type": "image", "source": _source(part, "image")}
        case "file":
            return _document(part)
        case "audio" | "other":
            kind = (part.raw or {}).get("type", part.kind)
            named = kind if isinstance(kind, str) and kind.isidentifier() else part.kind
            if lost is None:
                raise _unsayable(f"a part of type '{named}'")
            lost.append(f"part of type {named}")
            return None


def _source(part: Part, what: str) -> Block:
    held = split_data_url(part.url)
    if held is not None:
        return {"type": "base64", "media_type": held[0], "data": held[1]}
    if part.url.startswith(("https://", "http://")):
        return {"type": "url", "url": part.url}
    raise _unsayable(f"{what} that is neither a base64 'data:' URL nor a web address")


def _document(part: Part) -> Block:
    held = part.raw or {}
    name = (as_object(held.get("file")) or held).get("filename")
    titled: Block = {"title": name} if isinstance(name, str) and name else {}
    if part.text:
        return {"type": "document", "source": _plain(part.text), **titled}
    source = _source(part, "a file")
    media = source.get("media_type")
    if isinstance(media, str) and media.startswith("text/"):
        try:
            source = _plain(b64decode(str(source["data"]), validate=True).decode())
        except ValueError:
            raise _unsayable("a text file that is not UTF-8 in base64") from None
    elif media not in (None, "application/pdf"):
        raise _unsayable(f"a file of type '{media}'")
    return {"type": "document", "source": source, **titled}


def _plain(text: str) -> Block:
    return {"type": "text", "media_type": "text/plain", "data": text}


def _call(call: ToolCall, lost: list[str]) -> Block:
    given = input_of(call)
    if given is None:
        lost.append(f"form of the arguments of a call of {call.name}, which are no JSON object")
        given = {"arguments": call.arguments}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _tool(tool: Tool) -> Block:
    custom = tool.kind == "custom"
    out: Block = {"name": tool.name}
    description = describe_custom(tool) if custom else tool.description
    if description:
        out["description"] = description
    schema = dict(INPUT_SCHEMA if custom else tool.schema or NO_ARGUMENTS)
    # The API takes objects alone, and wants it said.
    out["input_schema"] = {"type": "object", **schema} if "type" not in schema else schema
    if tool.strict and not custom and fitted(schema) == schema:
        out["strict"] = True  # else the API refuses the tool
    return out


def _unsayable(what: str) -> BadRequest:
    return BadRequest(
        f"The request cannot be sent to a model behind Anthropic's Messages API: it holds {what}.",
        param="messages",
        code="unsupported_content",
    )
