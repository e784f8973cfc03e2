"""Tools of the Responses dialect: read, written, and the names that calls of them come back under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from openfusion_auto.core.prompt import Prompt, Tool
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
from openfusion_auto.wire.jsons import JsonError, as_object, loads_text

_NO_PARAMETERS: Mapping[str, object] = {"type": "object", "properties": {}}
_CHOICES = ("none", "auto", "required")
_NO_SPACES: Mapping[str, tuple[str, str]] = MappingProxyType({})


class ClientTools(NamedTuple):
    """What an answer must know of the client's tools to name its calls as the client does.

    Attributes:
        custom: Names (flat) of the tools that take free text.
        namespaces: Flat name -> (namespace, name), for tools that stand in a namespace.
    """

    custom: frozenset[str] = frozenset()
    namespaces: Mapping[str, tuple[str, str]] = _NO_SPACES


class Choice(NamedTuple):
    """A tool choice: in the hub's words (None: not asked, or only this dialect can say it), and the names of the
    tools it restricts the model to (None: all)."""

    choice: str | None = None
    allowed: frozenset[str] | None = None


def flat_name(space: str, tool: str) -> str:
    """Return the one name of a tool in a namespace; names that end in `__` are joined as clients join them."""
    return f"{space}{tool}" if space.endswith("__") else f"{space}__{tool}"


def read_tools(value: object, more: Iterable[tuple[str, object]] = ()) -> tuple[Tool, ...]:
    """Return the tools of a request, those in namespaces flat; a type that is not known runs at the upstream.

    Args:
        value: `tools` of the body.
        more: Tools that stand among the input items, each with its place; one that is known already is skipped.

    Raises:
        BadRequest: a tool without a type or name, or a field that cannot be.
    """
    tools: list[Tool] = []
    for i, item in enumerate(items("tools", [] if value is None else value)):
        tools += _tools(f"tools[{i}]", item)
    known = {tool.name for tool in tools}
    for at, item in more:
        for tool in _tools(at, item):
            if tool.name not in known:
                known.add(tool.name)
                tools.append(tool)
    return tuple(tools)


def client_tools(prompt: Prompt) -> ClientTools:
    """Return what a writer must know of the tools of a prompt, whatever its dialect."""
    spaces: dict[str, tuple[str, str]] = {}
    for tool in prompt.tools:
        space, own = (tool.raw or {}).get("namespace"), (tool.raw or {}).get("name")
        if prompt.dialect == "responses" and isinstance(space, str) and isinstance(own, str):
            spaces[tool.name] = (space, own)
    custom = frozenset(tool.name for tool in prompt.tools if tool.kind == "custom")
    return ClientTools(custom, spaces)


def read_choice(value: object, tools: tuple[Tool, ...]) -> Choice:
    """Return what `tool_choice` asks for.

    Raises:
        BadRequest: a word or shape that cannot be, a named tool that is not among `tools`.
    """
    if value is None or isinstance(value, str):
        if value is not None and value not in _CHOICES:
            raise wrong_value("tool_choice", one_of(_CHOICES) + ", or an object")
        return Choice(value)
    if not isinstance(value, dict):
        raise wrong_type("tool_choice", "a string or an object", value)
    kind = string("tool_choice.type", value.get("type"))
    if kind in ("function", "custom"):
        wanted = _chosen("tool_choice", value)
        if wanted not in {tool.name for tool in tools}:
            raise BadRequest(
                f"Invalid value for 'tool_choice': the named {kind} is not in 'tools'.",
                param="tool_choice",
                code="invalid_value",
            )
        return Choice(f"tool:{wanted}")
    if kind != "allowed_tools":
        return Choice(f"tool:{kind}")  # one that the upstream runs, named as its tool is here
    mode = string("tool_choice.mode", value.get("mode", "auto"))
    if mode not in ("auto", "required"):
        raise wrong_value("tool_choice.mode", one_of(("auto", "required")))
    listed = enumerate(items("tool_choice.tools", value.get("tools")))
    return Choice(mode, frozenset(_allowed(f"tool_choice.tools[{i}]", tool) for i, tool in listed))


def render_tool(tool: Tool) -> dict[str, object] | None:
    """Return a tool of any dialect for an upstream of this one; None for one that runs elsewhere.

    `strict` is always said: left out, it means an attempt at strictness here and none in other dialects.
    """
    if tool.kind == "server":
        return None
    out: dict[str, object] = {"type": tool.kind, "name": tool.name}
    if tool.description:
        out["description"] = tool.description
    if tool.kind == "custom":
        if tool.grammar is not None:
            out["format"] = _format(tool.grammar)
        return out
    out["parameters"] = _NO_PARAMETERS if tool.schema is None else tool.schema
    out["strict"] = bool(tool.strict)
    return out


def render_choice(choice: str, custom: frozenset[str]) -> object:
    """Return a tool choice of the hub in this dialect's words."""
    if not choice.startswith("tool:"):
        return choice
    wanted = choice.removeprefix("tool:")
    return {"type": "custom" if wanted in custom else "function", "name": wanted}


def free_text(arguments: str) -> str | None:
    """Return the text in the arguments of a function that stands for a custom tool; None when they are cut.

    Such a function has one string, `input`. Models that know the tool write its text as it is: what does not
    begin like an object is that text.
    """
    try:
        value = loads_text(arguments)
    except JsonError:
        return None if arguments.lstrip().startswith("{") else arguments
    if isinstance(value, str):
        return value
    said = (as_object(value) or {}).get("input")
    return said if isinstance(said, str) else arguments


def _tools(at: str, value: object) -> list[Tool]:
    tool = members(at, value)
    if tool.get("type") is None:
        raise missing(f"{at}.type")
    kind = string(f"{at}.type", tool["type"])
    if kind in ("function", "custom"):
        return [_own(at, kind, tool)]
    if kind != "namespace":
        return [Tool(name(f"{at}.type", kind), "server", raw=tool)]
    space = _name(at, tool)
    found: list[Tool] = []
    for i, inner in enumerate(items(f"{at}.tools", tool.get("tools"))):
        for own in _tools(f"{at}.tools[{i}]", inner):
            if own.kind == "server":
                found.append(own)
                continue
            raw = {**(own.raw or {}), "namespace": space}
            found.append(
                Tool(
                    flat_name(space, own.name),
                    own.kind,
                    own.schema,
                    own.description,
                    own.strict,
                    own.grammar,
                    raw,
                )
            )
    return found


def _own(at: str, kind: str, tool: dict[str, object]) -> Tool:
    said = tool.get("description")
    description = "" if said is None else string(f"{at}.description", said)
    if kind == "custom":
        form = tool.get("format")
        grammar = None if form is None else members(f"{at}.format", form)
        return Tool(_name(at, tool), "custom", description=description, grammar=grammar, raw=tool)
    schema = tool.get("parameters")
    strict = tool.get("strict")
    return Tool(
        _name(at, tool),
        "function",
        None if schema is None else members(f"{at}.parameters", schema),
        description,
        None if strict is None else boolean(f"{at}.strict", strict),
        raw=tool,
    )


def _name(at: str, tool: Mapping[str, object]) -> str:
    if tool.get("name") is None:
        raise missing(f"{at}.name")
    return name(f"{at}.name", tool["name"])


def _chosen(at: str, value: Mapping[str, object]) -> str:
    wanted = _name(at, value)
    space = value.get("namespace")
    return wanted if space is None else flat_name(string(f"{at}.namespace", space), wanted)


def _allowed(at: str, value: object) -> str:
    tool = members(at, value)
    return _chosen(at, tool) if tool.get("name") is not None else name(at, tool.get("type"))


def _format(grammar: Mapping[str, object]) -> Mapping[str, object]:
    """Return a custom tool's format in this dialect's shape: the chat dialect nests it once more."""
    nested = as_object(grammar.get("grammar"))
    return grammar if nested is None else {"type": "grammar", **nested}
