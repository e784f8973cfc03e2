"""The plain part of YAML: nested keys and lists by indentation, one-line values, comments. Nothing else is guessed at.

    strategy: debate
    panel:
      - model: a
      - model: b      # a list of tables

Anchors, tags, block texts, `{...}` and several documents are refused with their line.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from openfusion_auto.errors import ConfigError

MOST_DEPTH = 16
_KEY = re.compile(r"""("[^"\\]*"|'[^']*'|[A-Za-z0-9_][\w./$-]*)[ ]*:(?:[ ]+(.*))?$""")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?:#.*)?$""")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})(\.\d+)?(?:[eE][-+]?\d{1,3})?")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(text: str, shown: str) -> object:
    """Return what a text of plain YAML says, as JSON types; None for an empty one.

    Args:
        text: The file.
        shown: Its name, for messages.

    Raises:
        ConfigError: more than plain YAML, or not YAML; says the line.
    """
    lines: list[_Line] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        body = line.strip()
        if not body or body.startswith("#") or (body == "---" and not lines):
            continue
        indent = len(line) - len(line.lstrip(" "))
        if line[indent] == "\t":
            raise _odd(shown, number, "is indented by a tab")
        lines.append(_Line(number, indent, body))
    if not lines:
        return None
    reader = _Reader(lines, shown)
    value = reader.block(lines[0].indent, 0)
    if reader.at < len(lines):
        raise _odd(shown, lines[reader.at].number, "does not fit the lines before it")
    return value


def _odd(shown: str, number: int, why: str) -> ConfigError:
    return ConfigError(
        f"{shown}:{number}: {why}; only plain YAML is read (keys, lists, one-line values)"
    )


class _Reader:
    def __init__(self, lines: list[_Line], shown: str) -> None:
        self.lines, self.shown, self.at = lines, shown, 0

    def block(self, indent: int, depth: int) -> object:
        """Read the table or list whose lines stand at `indent`."""
        first = self.lines[self.at]
        if depth > MOST_DEPTH:
            raise _odd(self.shown, first.number, "is nested too deeply")
        if first.text == "-" or first.text.startswith("- "):
            return self._list(indent, depth)
        return self._table(indent, depth)

    def _list(self, indent: int, depth: int) -> list[object]:
        found: list[object] = []
        while (line := self._next(indent)) and (line.text == "-" or line.text.startswith("- ")):
            rest = line.text[1:].lstrip(" ")
            if _KEY.match(rest) or rest == "-" or rest.startswith("- "):
                # A table or list in the list: its first line stands behind the dash, the others below that.
                inner = line.indent + len(line.text) - len(rest)
                self.lines[self.at] = _Line(line.number, inner, rest)
                found.append(self.block(inner, depth + 1))
                continue
            self.at += 1
            found.append(self._value(line, rest, depth))
        return found

    def _table(self, indent: int, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        while line := self._next(indent):
            match = _KEY.match(line.text)
            if match is None:
                raise _odd(self.shown, line.number, "is no key with a value")
            key = match[1].strip("\"'")
            if key in found:
                raise _odd(self.shown, line.number, f"says {key!r} a second time")
            self.at += 1
            found[key] = self._value(line, match[2] or "", depth)
        return found

    def _next(self, indent: int) -> _Line | None:
        """Return the next line where it stands at `indent`; None at the end of a block."""
        if self.at >= len(self.lines) or self.lines[self.at].indent < indent:
            return None
        line = self.lines[self.at]
        if line.indent > indent:
            raise _odd(self.shown, line.number, "is indented more than the lines before it")
        return line

    def _value(self, line: _Line, rest: str, depth: int) -> object:
        """Read what stands behind a colon or a dash, or the block below it."""
        plain = _COMMENT.sub("", rest).strip()
        if plain:
            return self._scalar(line, rest.strip())
        below = self.lines[self.at] if self.at < len(self.lines) else None
        # A list may stand at the very indent of its key.
        deeper = below is not None and (
            below.indent > line.indent
            or (below.indent == line.indent and below.text.startswith("- ") and line.text[0] != "-")
        )
        return self.block(below.indent, depth + 1) if below is not None and deeper else None

    def _scalar(self, line: _Line, rest: str) -> object:
        quoted = _QUOTED.fullmatch(rest)
        if quoted:
            text = quoted[1]
            if text[0] == "'":
                return text[1:-1].replace("''", "'")
            try:
                return json.loads(text)
            except ValueError:
                raise _odd(self.shown, line.number, "has an unknown escape") from None
        plain = _COMMENT.sub("", rest).strip()
        if plain[0] == "[" and plain[-1] == "]":
            parts = [p.strip() for p in plain[1:-1].split(",")]
            return [self._scalar(line, p) for p in parts if p]
        if plain[0] in "[]{}&*!|>%@`\"'" or ": " in plain:
            raise _odd(self.shown, line.number, "has a value that is more than one plain line")
        if plain.lower() in _WORDS:
            return _WORDS[plain.lower()]
        number = _NUMBER.fullmatch(plain)
        if number is None:
            return plain
        return int(plain) if plain.lstrip("+-").isdigit() else float(plain)
