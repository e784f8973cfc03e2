"""TOML files: new keys in marked blocks made by tomli-w, edits inside what is there by tomlkit, each read back.

A text is TOML when `tomllib` says so. tomlkit is not always of its opinion, and moves things it need not; so what it
proposes counts only when nothing but the one value differs, and there is a second way for most things.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

from openfusion_auto.clients.editor import BEGIN, END, without_marks, without_regions
from openfusion_auto.clients.files import newline_of
from openfusion_auto.clients.plan import MISSING, Change, Path, Restore, Rules, get, put, same
from openfusion_auto.clients.splice import difference
from openfusion_auto.config.tomlfile import line_numbers
from openfusion_auto.errors import ConfigError

_AT = re.compile(r" ?\(at line (\d+), column \d+\)")


# Makes of a text one in which a change is done.
Way = Callable[[str, Change], str]


class TomlEditor:
    """`Editor` for TOML."""

    def data(self, text: str, rules: Rules | None = None) -> dict[str, object]:  # noqa: ARG002 - the protocol's
        """Return the values in `text`."""
        try:
            return tomllib.loads(text)
        except RecursionError as error:
            raise ConfigError("1: is nested too deeply") from error
        except ValueError as error:
            found = _AT.search(str(error))
            line = int(found[1]) if found else text.count("\n") + 1
            raise ConfigError(f"{line}: is not valid TOML: {_AT.sub('', str(error))}") from error

    def raw(self, text: str, path: Path) -> str:
        """Return the value at `path` as it is written."""
        try:
            node: object = _parse(text)
            for key in path:
                node = node[key]  # type: ignore[index]  # tomlkit's containers have no common type
            if isinstance(
                node, bool
            ):  # tomlkit unwraps these alone; there is one way to write each
                return str(node).lower()
            return str(node.as_string())  # type: ignore[attr-defined]  # every tomlkit item has it
        except Exception as error:
            raise _unsafe(text, path) from error

    def value(self, raw: str) -> object:
        """Return what a value reads as."""
        return tomllib.loads(f"x = {raw}")["x"]

    def line(self, text: str, path: Path) -> int:
        """Return the line of the value at `path`, or of the nearest thing around it."""
        return _line(text, path)

    def steps(self, text: str, changes: Sequence[Change]) -> Iterator[str]:
        """Yield the text after the root keys, after each edit in place, after the tables at the end."""
        new = [c for c in changes if not c.had]
        root = [c for c in new if len(c.path) == 1 and not isinstance(c.value, Mapping)]
        tables = [c for c in new if isinstance(c.value, Mapping)]
        if root:
            text = _with_root(text, root)
            yield text
        for change in changes:
            if change not in root and change not in tables:
                depths = range(len(change.path) - 1, -1, -1) if not change.had else ()
                ways: list[Way] = [_by_tomlkit, *(partial(_behind_header, depth=d) for d in depths)]
                text = _first_good(text, change, ways)
                yield text
        if tables:
            yield from _with_tables(text, tables)

    def restored(self, text: str, ops: Sequence[Restore]) -> Iterator[str]:
        """Yield texts with values put back or deleted: without our whole blocks, then without their marks."""
        for strip in (without_regions, without_marks):
            found = strip(text)
            with suppress(
                Exception
            ):  # tomlkit's own errors have no common base; then the next is tried
                for op in ops:
                    found = _restored(found, op)
                yield found


def _with_root(text: str, changes: Sequence[Change]) -> str:
    """Put root keys first: before any table nothing can swallow them. Schema comments stay the first lines."""
    import tomli_w

    nl = newline_of(text)
    head = 0
    while text.startswith("#:", head):
        end = text.find("\n", head)
        if end < 0:
            text += nl
            end = len(text) - 1
        head = end + 1
    body = tomli_w.dumps({str(c.path[0]): c.value for c in changes})
    gap = nl if text[head:].strip() else ""
    return text[:head] + _block(body, nl) + gap + text[head:]


def _with_tables(text: str, changes: Sequence[Change]) -> Iterator[str]:
    """Put new tables last, in one block; where an inline table is in the way, into that."""
    import tomli_w

    tree: dict[str, object] = {}
    for change in changes:
        _nest(tree, change)
    nl = newline_of(text)
    ended = text if not text or text.endswith("\n") else text + nl
    new = ended + (nl if text.strip() else "") + _block(tomli_w.dumps(tree), nl)
    if all(_is(new, c) for c in changes):
        yield new
        return
    for change in changes:
        text = _first_good(text, change, (_inline_by_tomlkit,))
        yield text


def _nest(tree: dict[str, object], change: Change) -> None:
    for key in change.path[:-1]:
        tree = cast("dict[str, object]", tree.setdefault(str(key), {}))
    tree[str(change.path[-1])] = change.value


def _block(body: str, nl: str) -> str:
    return nl.join([BEGIN, *body.strip().split("\n"), END, ""])


def _is(text: str, change: Change) -> bool:
    """Whether `text` is TOML and says what `change` wants; the rest is checked for the text as a whole."""
    try:
        return same(get(tomllib.loads(text), change.path), change.value)
    except ValueError:
        return False


def _first_good(text: str, change: Change, ways: Sequence[Way]) -> str:
    """Return the first proposal that changes this one value and loses nothing that was written."""
    wanted = put(tomllib.loads(text), change.path, change.value)
    nl = newline_of(text)
    for way in ways:
        try:
            start, removed, inserted = difference(text, way(text, change))
            if nl == "\r\n":
                inserted = re.sub(r"(?<!\r)\n", nl, inserted)
            new = text[:start] + inserted + text[start + len(removed) :]
            if same(tomllib.loads(new), wanted) and (removed in change.raw or not removed.strip()):
                return new
        except Exception:  # noqa: BLE001, S112 - tomlkit's own errors have no common base; the next way is tried
            continue
    raise _unsafe(text, change.path)


def _unsafe(text: str, path: Path) -> ConfigError:
    return ConfigError(f"{_line(text, path)}: is written in a way that cannot be edited safely")


def _line(text: str, path: Path) -> int:
    lines = line_numbers(text)
    loc = tuple(str(key) for key in path)
    return next((lines[loc[:n]] for n in range(len(loc), 0, -1) if loc[:n] in lines), 1)


def _parse(text: str) -> object:
    import tomlkit

    return tomlkit.parse(text)


def _by_tomlkit(text: str, change: Change) -> str:
    return _set(text, change.path, change.value)


def _inline_by_tomlkit(text: str, change: Change) -> str:
    import tomlkit

    table = tomlkit.inline_table()
    table.update(cast("Mapping[str, object]", change.value))
    return _set(text, change.path, table)


def _set(text: str, path: Path, value: object) -> str:
    import tomlkit

    document = tomlkit.parse(text)
    node: object = document
    for key in path[:-1]:
        node = node[key]  # type: ignore[index]  # tomlkit's containers have no common type
    node[path[-1]] = value  # type: ignore[index]  # as above
    return tomlkit.dumps(document)


def _behind_header(text: str, change: Change, depth: int) -> str:
    """Put the key on the line behind the header of a table around it; 0 = the root: first in the file.

    Keys between that table and ours are dotted, as the user has them when ours has no header of its own.
    """
    import tomli_w

    path = [str(key) for key in change.path]
    number = line_numbers(text)[tuple(path[:depth])] if depth else 0
    names = [tomli_w.dumps({name: 0}).removesuffix(" = 0\n") for name in path[depth:-1]]
    new = ".".join([*names, tomli_w.dumps({path[-1]: change.value}).rstrip("\n")])
    lines = text.split("\n")
    lines[number:number] = [new] if number < len(lines) else [new, ""]
    return "\n".join(lines)


def _restored(text: str, op: Restore) -> str:
    """Return `text` with one value put back or deleted; as it is when there is nothing to delete."""
    import tomlkit

    if op.raw is None and get(tomllib.loads(text), op.path) is MISSING:
        return text
    if op.raw is not None:
        return _set(text, op.path, tomlkit.parse(f"x = {op.raw}\n")["x"])
    document = tomlkit.parse(text)
    node: object = document
    for key in op.path[:-1]:
        node = node[key]  # type: ignore[index]  # tomlkit's containers have no common type
    del node[op.path[-1]]  # type: ignore[attr-defined]  # as above
    return tomlkit.dumps(document)
