"""JSON files, also with comments and trailing commas (JSONC): values are spliced into the text.

No library writes comments back, so the text is walked for the place of each value, and what was spliced is read back
with the standard library. Unquoted keys and single quotes (JSON5) are no JSONC: no client here reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from openfusion_auto.clients.files import newline_of
from openfusion_auto.clients.plan import Change, Item, Path, Restore, Rules
from openfusion_auto.errors import ConfigError

_STRING = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
_COMMENT = r"//[^\n]*|/\*.*?\*/"
_SKIP = re.compile(rf"(?:[ \t\r\n]|{_COMMENT})*", re.DOTALL)
_TOKEN = re.compile(rf"{_STRING}|{_COMMENT}|,|[^\"/,]+|.", re.DOTALL)
_ATOM = re.compile(rf"{_STRING}|[^\s,\[\]{{}}\"/]+", re.DOTALL)


_BLANKS = re.compile(r"(?:[ \t]|/\*.*?\*/|//[^\r\n]*)*", re.DOTALL)


@dataclass(slots=True)
class _Node:
    """Where a value stands, and in order what is in it."""

    start: int
    end: int = 0
    inside: list[_Part] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """A member of an object, or an element of an array (`key` None)."""

    key: str | None
    start: int
    node: _Node


class JsonEditor:
    """`Editor` for JSON and JSONC."""

    def data(self, text: str, rules: Rules | None = None) -> dict[str, object]:  # noqa: ARG002 - the protocol's
        """Return the values in `text`; a blank one has none."""
        if not text.strip():
            return {}
        value = _loads(text)
        if not isinstance(value, dict):
            raise ConfigError("1: is not a JSON object")
        return value

    def raw(self, text: str, path: Path) -> str:
        """Return the value at `path` as it is written."""
        node = _find(text, path)
        return text[node.start : node.end]

    def value(self, raw: str) -> object:
        """Return what a value reads as."""
        return _loads(raw)

    def line(self, text: str, path: Path) -> int:
        """Return the line of the value at `path`, or of the nearest thing around it."""
        for end in range(len(path), 0, -1):
            try:
                return text.count("\n", 0, _find(text, path[:end]).start) + 1
            except KeyError:
                continue
        return 1

    def steps(self, text: str, changes: Sequence[Change]) -> Iterator[str]:
        """Yield the text after each change."""
        if changes and not text.strip():
            tree = {str(c.path[0]): c.value for c in changes}
            nl = newline_of(text)
            yield _dump(tree, nl, "", "  ") + nl
            return
        for change in changes:
            text = _replaced(text, change) if change.had else _inserted(text, change)
            yield text

    def restored(self, text: str, ops: Sequence[Restore]) -> Iterator[str]:
        """Yield the text with values put back or deleted."""
        for op in ops:
            if op.raw is None:
                text = _deleted(text, op.path)
            else:
                node = _find(text, op.path)
                text = text[: node.start] + op.raw + text[node.end :]
        yield text


def _loads(text: str) -> object:
    """Read a value with the standard library; comments and trailing commas are blanked, lines stay.

    Raises:
        ConfigError: it is none; begins with the line.
    """
    try:
        return json.loads(_plain(text), parse_constant=_no_constant)
    except RecursionError as error:
        raise ConfigError("1: is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{error.lineno}: is not valid JSON: {error.msg}") from error
    except ValueError as error:
        raise ConfigError(f"1: is not valid JSON: {error}") from error


def _plain(text: str) -> str:
    """Return JSONC as JSON: the same lines, comments and trailing commas as blanks."""
    out: list[str] = []
    comma = -1  # index in `out` of a comma after a value, until something follows
    last = ""
    for token in _TOKEN.findall(text):
        if token.startswith(("//", "/*")):
            out.append("\n" * token.count("\n") + " ")
            continue
        solid = token.strip()
        if solid[:1] in ("}", "]") and comma >= 0:
            out[comma] = " "
        if solid:
            comma = len(out) if solid == "," and last not in ("", ",", "[", "{", ":") else -1
            last = solid[-1]
        out.append(token)
    return "".join(out)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _skip(text: str, at: int) -> int:
    match = _SKIP.match(text, at)
    return match.end() if match else at


def _atom_end(text: str, at: int) -> int:
    """Return the end of the string, number or word at `at`."""
    match = _ATOM.match(text, at)
    return match.end() if match else at + 1


def _scan(text: str, at: int) -> _Node:
    """Walk the value at `at` of a text that was read without an error."""
    opening = text[at]
    if opening not in "{[":
        return _Node(at, _atom_end(text, at))
    node = _Node(at)
    closing = "}" if opening == "{" else "]"
    at = _skip(text, at + 1)
    while text[at] != closing:
        start, key = at, None
        if opening == "{":
            end = _atom_end(text, at)
            key = str(json.loads(text[at:end]))
            at = _skip(text, _skip(text, end) + 1)  # behind the colon
        child = _scan(text, at)
        node.inside.append(_Part(key, start, child))
        at = _skip(text, child.end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    node.end = at + 1
    return node


def _find(text: str, path: Path) -> _Node:
    """Return the place of the value at `path`.

    Raises:
        KeyError: there is none.
    """
    node = _scan(text, _skip(text, 0))
    for key in path:
        node = _part(text, node, key).node
    return node


def _part(text: str, node: _Node, key: str | Item) -> _Part:
    # Of members with the same key the last one counts, as every reader has it.
    for part in reversed(node.inside):
        if part.key is not None and part.key == key:
            return part
        if isinstance(key, Item) and _is_item(text, part.node, key):
            return part
    raise KeyError(key)


def _is_item(text: str, node: _Node, item: Item) -> bool:
    value = _loads(text[node.start : node.end])
    return isinstance(value, dict) and value.get(item.key) == item.name


def _replaced(text: str, change: Change) -> str:
    node = _find(text, change.path)
    value = _dump(change.value, newline_of(text), _indent(text, node.start), _unit(text))
    return text[: node.start] + value + text[node.end :]


def _inserted(text: str, change: Change) -> str:
    """Put a member last in its object, an element first in its array."""
    parent = _find(text, change.path[:-1])
    nl, unit, close = newline_of(text), _unit(text), parent.end - 1
    if not parent.inside:
        outer = _indent(text, parent.start)
        new = nl + outer + unit + _member(change, nl, outer + unit, unit)
        between = text[parent.start + 1 : close]
        if not between.strip() and "\n" in between:
            return text[: parent.start + 1] + new + text[parent.start + 1 :]
        return text[:close] + new + nl + outer + text[close:]
    if isinstance(change.path[-1], Item):
        return _with_first(text, parent, change)
    last = parent.inside[-1]
    end = last.node.end
    comma = _skip(text, end)
    trailing = text[comma] == ","
    behind = comma + 1 if trailing else end
    if "\n" not in text[parent.start : parent.inside[0].start] + text[end:close]:
        return text[:behind] + ("" if trailing else ",") + " " + _compact(change) + text[behind:]
    blanks = _BLANKS.match(text, behind)
    at = blanks.end() if blanks else behind
    inner = _indent(text, last.start)
    new = nl + inner + _member(change, nl, inner, unit)
    return text[:end] + ("" if trailing else ",") + text[end:at] + new + text[at:]


def _with_first(text: str, array: _Node, change: Change) -> str:
    at = array.inside[0].start
    if "\n" not in text[array.start : at]:
        return text[:at] + _compact(change) + ", " + text[at:]
    nl, indent = newline_of(text), _indent(text, at)
    return text[:at] + _member(change, nl, indent, _unit(text)) + "," + nl + indent + text[at:]


def _member(change: Change, nl: str, indent: str, unit: str) -> str:
    return _name(change) + _dump(change.value, nl, indent, unit)


def _compact(change: Change) -> str:
    return _name(change) + json.dumps(change.value, ensure_ascii=False)


def _name(change: Change) -> str:
    key = change.path[-1]
    return "" if isinstance(key, Item) else json.dumps(key, ensure_ascii=False) + ": "


def _dump(value: object, nl: str, indent: str, unit: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", nl + indent)


def _indent(text: str, at: int) -> str:
    """Return the blanks that the line of `at` begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """Return one step of the file's indentation."""
    root = _scan(text, _skip(text, 0))
    return (_indent(text, root.inside[0].start) if root.inside else "") or "  "


def _deleted(text: str, path: Path) -> str:
    """Take a member or an element out, with one comma and, when nothing else is on it, its line."""
    parent = _find(text, path[:-1])
    part = _part(text, parent, path[-1])
    start, end = part.start, part.node.end
    comma = _skip(text, end)
    before, after = text[:start], text[end:]
    if text[comma] == ",":
        after = text[end:comma] + text[comma + 1 :]
    elif index := parent.inside.index(part):
        comma = _skip(text, parent.inside[index - 1].node.end)
        between = text[comma + 1 : start]
        before = text[:comma] + (between if between.strip() else "")
    line, rest = before.rstrip(" \t"), after.lstrip(" \t")
    if line.endswith("\n") and rest.startswith(("\n", "\r\n")):
        return line + rest.partition("\n")[2]
    return before + (rest if line != before or line.endswith(("{", "[")) else after)
