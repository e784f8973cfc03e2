"""A TOML file with the line of every key, so that a message can say where to look.

`tomllib` gives values without positions. The scanner here does not parse again: it walks a text that
`tomllib` has accepted and only notes where each key stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from openfusion_auto.errors import ConfigError

Loc = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(
    r"""(?: "(?:[^"\\]|\\.)*" | '[^']*' | [A-Za-z0-9_-]+ )
        (?: [ \t]*\.[ \t]* (?: "(?:[^"\\]|\\.)*" | '[^']*' | [A-Za-z0-9_-]+ ) )*""",
    re.VERBOSE,
)
# A multi-line string may end in up to two quotes of its own (TOML 1.0, "String").
_ATOM = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})'''
    r"""|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,\[\]{}#"']+""",
    re.DOTALL,
)


@dataclass(frozen=True)
class TomlFile:
    """A parsed file.

    Attributes:
        path: Where it is.
        shown: How messages name it.
        data: What `tomllib` made of it.
        text: What stands in it.
    """

    path: Path
    shown: str
    data: Mapping[str, object]
    text: str = field(repr=False)

    @cached_property
    def lines(self) -> Mapping[Loc, int]:
        """Line number (from 1) of every key, table and array element, by location; a file that is right needs none."""
        return line_numbers(self.text)

    def where(self, loc: Loc) -> str:
        """Return `file:line` for `loc`, or for the nearest enclosing thing that the file has."""
        for end in range(len(loc), 0, -1):
            line = self.lines.get(loc[:end])
            if line is not None:
                return f"{self.shown}:{line}"
        return self.shown


def read_toml(path: Path, shown: str) -> TomlFile:
    """Read and parse the file at `path`, called `shown` in messages.

    Raises:
        ConfigError: not there, not readable, not UTF-8, not TOML.
    """
    try:
        # A BOM is what Windows editors put there; TOML files are UTF-8, so it says nothing.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: is not UTF-8 (byte {error.start})") from error
    try:
        data = tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{shown}: is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise ConfigError(f"{shown}: is not valid TOML: {error}") from error
    return TomlFile(path, shown, data, text)


def line_numbers(text: str) -> dict[Loc, int]:
    """Return the line (from 1) of every key, table and array element of a valid TOML `text`."""
    return _Scanner(text).scan()


class _Scanner:
    """One walk over a text. `prefix` is the location of the table that statements belong to."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.prefix: Loc = ()
        self.lines: dict[Loc, int] = {}
        self.counts: dict[Loc, int] = {}

    def scan(self) -> dict[Loc, int]:
        self._skip()
        while self.at < len(self.text):
            if self._peek() == "[":
                self._header()
            else:
                self._pair(self.prefix)
            self._skip()
        return self.lines

    def _header(self) -> None:
        array = self.text.startswith("[[", self.at)
        self._move(2 if array else 1)
        self._skip()
        line = self.line
        keys = self._key()
        self._skip()
        self._move(2 if array else 1)
        parent = self._resolve(keys[:-1], line)
        loc: Loc = (*parent, keys[-1])
        if not array:
            self.lines[loc] = line  # its own header counts, also behind that of a sub-table
        else:
            self.lines.setdefault(loc, line)
            index = self.counts.get(loc, 0)
            self.counts[loc] = index + 1
            loc = (*loc, index)
            self.lines[loc] = line
        self.prefix = loc

    def _resolve(self, keys: tuple[str, ...], line: int) -> Loc:
        """Return the location that header keys mean: in an array of tables, its last element."""
        loc: Loc = ()
        for key in keys:
            loc = (*loc, key)
            self.lines.setdefault(loc, line)  # `[a.b]` makes `a` too
            if loc in self.counts:
                loc = (*loc, self.counts[loc] - 1)
        return loc

    def _pair(self, base: Loc) -> None:
        line = self.line
        loc = base
        for key in self._key():
            loc = (*loc, key)
            self.lines.setdefault(loc, line)
        self._skip()
        self._move(1)  # the "="
        self._value(loc)

    def _value(self, loc: Loc) -> None:
        self._skip()
        opening = self._peek()
        if opening == "[":
            self._group(loc, "]")
        elif opening == "{":
            self._group(loc, "}")
        else:
            match = _ATOM.match(self.text, self.at)
            self._move(match.end() - self.at if match else 1)

    def _group(self, loc: Loc, closing: str) -> None:
        """Walk an array or an inline table, from its opening to its closing bracket."""
        self._move(1)
        self._skip()
        index = 0
        while self._peek() not in (closing, ""):
            if closing == "]":
                self.lines[(*loc, index)] = self.line
                self._value((*loc, index))
                index += 1
            else:
                self._pair(loc)
            self._skip()
            if self._peek() == ",":
                self._move(1)
                self._skip()
        self._move(1)

    def _key(self) -> tuple[str, ...]:
        match = _KEY.match(self.text, self.at)
        written = match.group() if match else ""
        self._move(len(written))
        keys: list[str] = []
        node: object = tomllib.loads(f"{written} = 0")  # tomllib knows how quotes and escapes read
        while isinstance(node, dict):
            key, node = next(iter(node.items()))
            keys.append(key)
        return tuple(keys)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self._move(match.end() - self.at if match else 0)

    def _move(self, count: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count
