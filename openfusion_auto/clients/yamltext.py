"""YAML files, understood only as far as needed: the keys at the left edge, and the lines below each.

There is no YAML parser here. A file that has more at its left edge than `key:`, comments and list items is not touched.
New keys go into a marked block at the end; a list gets our element, marked too, in front of its others; of a key that
is there already the one-line value is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from openfusion_auto.clients.editor import BEGIN, END, without_regions
from openfusion_auto.clients.files import newline_of
from openfusion_auto.clients.plan import Change, Path, Restore, Rules
from openfusion_auto.errors import ConfigError

_KEY = re.compile(r"""(?P<key>"[^"\\]*"|'[^']*'|[\w.$/-]+) *:(?:[ \t]+(?P<value>.*))?$""")
_SCALAR = re.compile(
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'\[{&*!|>%@`].*?)(?=\s*$|\s+#)"""
)
_DASH = re.compile(r"(?P<indent> *)- (?P<rest> *\S.*)$")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key at the left edge: its lines are `first` .. `end` - 1; `inline` is what follows the colon."""

    key: str
    first: int
    end: int
    inline: str


class YamlEditor:
    """`Editor` for YAML."""

    def data(self, text: str, rules: Rules | None = None) -> dict[str, object]:
        """Return what stands at the left edge: key -> its one-line value, or all its lines as they are.

        A list that `rules.items` names is a list of elements, each {that key: its value, "text": its lines}.
        """
        lines = _lines(text)
        items = {path[0]: key for path, key in (rules or Rules()).items.items()}
        return {
            e.key: _elements(lines, e, items[e.key]) if e.key in items else _value(lines, e)
            for e in _outline(lines)
        }

    def raw(self, text: str, path: Path) -> str:
        """Return the one-line value at `path` as it is written."""
        lines = _lines(text)
        entry = _entry(lines, path)
        match = _SCALAR.match(entry.inline)
        if len(path) > 1 or match is None or _body(lines, entry):
            raise ConfigError(
                f"{entry.first + 1}: {entry.key!r} is set in a way that cannot be edited"
            )
        return match["value"]

    def value(self, raw: str) -> object:
        """Return what a value reads as."""
        return _unquoted(raw)

    def line(self, text: str, path: Path) -> int:
        """Return the line of the key at the left edge."""
        lines = _lines(text)
        return next((e.first + 1 for e in _outline(lines) if e.key == path[0]), 1)

    def steps(self, text: str, changes: Sequence[Change]) -> Iterator[str]:
        """Yield the text after each replaced value, each list element, and the block at the end."""
        for change in changes:
            if change.had:
                text = _replaced(text, change.path, str(change.value))
                yield text
            elif len(change.path) > 1:
                text = _with_element(text, change)
                yield text
        new = [c for c in changes if not c.had and len(c.path) == 1]
        if new:
            nl = newline_of(text)
            ended = text if not text or text.endswith("\n") else text + nl
            body = [line for c in new for line in _written(str(c.path[0]), c.value)]
            yield ended + nl.join([BEGIN, *body, END, ""])

    def restored(self, text: str, ops: Sequence[Restore]) -> Iterator[str]:
        """Yield the text with values put back, and without our blocks and what is left of ours."""
        found = without_regions(text)
        for op in ops:
            present = any(e.key == op.path[0] for e in _outline(_lines(found)))
            if op.raw is not None and present:
                found = _replaced(found, op.path, op.raw)
            elif present and len(op.path) == 1:
                lines = found.split("\n")
                entry = _entry(_lines(found), op.path)
                found = "\n".join(lines[: entry.first] + lines[entry.end :])
        yield found


def _lines(text: str) -> list[str]:
    return [line.rstrip("\r") for line in text.split("\n")]


def _outline(lines: Sequence[str]) -> list[_Entry]:
    """Return the keys at the left edge.

    Raises:
        ConfigError: there is something else, so that what a key means is not certain; begins with the line.
    """
    starts: list[tuple[str, int, str]] = []
    for number, line in enumerate(lines):
        if not line.strip() or line.startswith("#") or (line.startswith("---") and not starts):
            _check_start(line, number)
            continue
        if line[0] == " " or line == "-" or line.startswith("- "):
            if not starts:
                raise _odd(number)
            continue
        match = _KEY.match(line)
        if match is None or _is_open(match["value"] or ""):
            raise _odd(number)
        starts.append((_unquoted(match["key"]), number, (match["value"] or "").strip()))
    names = [key for key, _, _ in starts]
    for index, (key, number, _) in enumerate(starts):
        if key in names[:index]:
            raise ConfigError(f"{number + 1}: {key!r} is set twice")
    ends = [*(number for _, number, _ in starts), len(lines)][1:]
    return [
        _Entry(key, first, _trimmed(lines, first, end), inline)
        for (key, first, inline), end in zip(starts, ends, strict=True)
    ]


def _check_start(line: str, number: int) -> None:
    if line.startswith("---") and line.partition("#")[0].strip() != "---":
        raise _odd(number)


def _odd(number: int) -> ConfigError:
    return ConfigError(f"{number + 1}: is YAML of a kind that is not edited here")


def _is_open(value: str) -> bool:
    """Whether a value may go on at the left edge of the next line: an open quote or bracket."""
    if value[:1] in ('"', "'"):
        return _SCALAR.match(value) is None
    if value[:1] in ("[", "{"):
        return not value.partition(" #")[0].rstrip().endswith(("]", "}"))
    return False


def _trimmed(lines: Sequence[str], first: int, end: int) -> int:
    """Return the end of an entry without the blank lines and left-edge comments behind it."""
    while end > first + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


def _unquoted(text: str) -> str:
    if text[:1] == '"' == text[-1:] and "\\" not in text:
        return text[1:-1]
    if text[:1] == "'" == text[-1:]:
        return text[1:-1].replace("''", "'")
    return text


def _entry(lines: Sequence[str], path: Path) -> _Entry:
    return next(e for e in _outline(lines) if e.key == path[0])


def _body(lines: Sequence[str], entry: _Entry) -> list[str]:
    """Return the lines below a key that say something."""
    below = lines[entry.first + 1 : entry.end]
    return [line for line in below if line.strip() and not line.lstrip().startswith("#")]


def _value(lines: Sequence[str], entry: _Entry) -> str:
    match = _SCALAR.match(entry.inline)
    if match and not _body(lines, entry):
        return _unquoted(match["value"])
    return "\n".join([entry.inline, *lines[entry.first + 1 : entry.end]])


def _elements(lines: Sequence[str], entry: _Entry, key: str) -> list[object]:
    """Return the elements of a block list.

    Raises:
        ConfigError: it is no block list, so nothing can be added to it.
    """
    if entry.inline and not entry.inline.startswith("#"):
        raise ConfigError(
            f"{entry.first + 1}: {entry.key!r} is a list on one line, which is not edited here"
        )
    found: list[object] = []
    for block in _blocks(lines, entry):
        text = "\n".join(block)
        name = re.search(rf"^{re.escape(key)} *:[ \t]+(.*)$", text, re.MULTILINE)
        match = _SCALAR.match(name[1].strip()) if name else None
        found.append({key: _unquoted(match["value"]) if match else "", "text": text})
    return found


def _blocks(lines: Sequence[str], entry: _Entry) -> list[list[str]]:
    """Return the lines of each element, moved to the left edge, without comments and blank lines."""
    blocks: list[list[str]] = []
    indent: int | None = None
    width = 0
    for line in _body(lines, entry):
        match = _DASH.match(line)
        if match and indent in (None, len(match["indent"])):
            indent = len(match["indent"])
            width = indent + 2 + len(match["rest"]) - len(match["rest"].lstrip())
            blocks.append([match["rest"].strip()])
        elif blocks and line[:width].strip() == "":
            blocks[-1].append(line[width:].rstrip())
        else:
            number = lines.index(line, entry.first)
            raise _odd(number)
    return blocks


def _replaced(text: str, path: Path, value: str) -> str:
    """Return `text` with another one-line value; blanks and comment on the line stay."""
    lines = text.split("\n")
    entry = _entry(_lines(text), path)
    line = lines[entry.first]
    at = line.index(entry.inline, line.index(":") + 1)
    match = _SCALAR.match(entry.inline)
    end = at + (match.end() if match else 0)
    lines[entry.first] = line[:at] + value + line[end:]
    return "\n".join(lines)


def _with_element(text: str, change: Change) -> str:
    """Return `text` with our element in front of the others of its list."""
    nl = newline_of(text)
    lines = _lines(text)
    entry = _entry(lines, change.path)
    first = next(filter(None, map(_DASH.match, lines[entry.first + 1 : entry.end])), None)
    indent = first["indent"] if first else "  "
    body = [BEGIN, *_listed(change.value), END]
    parts = text.split("\n")
    if entry.first + 1 == len(parts):
        parts[-1:] = [parts[-1] + nl[:-1], ""]
    parts[entry.first + 1 : entry.first + 1] = [indent + line + nl[:-1] for line in body]
    return "\n".join(parts)


def _listed(element: object) -> list[str]:
    first, *rest = str(cast("Mapping[str, object]", element)["text"]).split("\n")
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _written(key: str, value: object) -> list[str]:
    """Return the lines of a key and its value."""
    if not isinstance(value, list):
        return [f"{key}: {value}"]
    elements = [line for element in value for line in _listed(element)]
    return [f"{key}:", *(f"  {line}" for line in elements)]
