"""What has to change in a file's data, and what to put back: values only, no text. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from openfusion_auto.errors import ConfigError


class Item(NamedTuple):
    """An element of an array, by the value of one of its keys."""

    key: str
    name: str


Key = str | Item
Path = tuple[Key, ...]


class _Missing:
    """What stands at a path where nothing is."""


MISSING = _Missing()


@dataclass(frozen=True, slots=True)
class Rules:
    """How a template is merged.

    Attributes:
        own: Tables that are ours alone: taken out whole, also when somebody changed a value in them.
        keep: Keys that are set only where there is none.
        items: Arrays that others fill too -> the key that names an element.
    """

    own: frozenset[Path] = frozenset()
    keep: frozenset[Path] = frozenset()
    items: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """One value to set.

    Attributes:
        path: Where; all but the last key are there already.
        value: What.
        had: Whether something stood there.
        raw: That, as it was written.
    """

    path: Path
    value: object
    had: bool = False
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Restore:
    """One value to put back as it was written; `raw` None = to delete."""

    path: Path
    raw: str | None


def same(a: object, b: object) -> bool:
    """Whether two values are equal in type too: 1, 1.0 and true differ; a NaN is like another."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)  # noqa: PLR0124 - only a NaN differs from itself


def get(data: object, path: Path) -> object:
    """Return what stands at `path`, or `MISSING`."""
    for key in path:
        if isinstance(key, Item):
            index = index_of(data, key)
            data = data[index] if isinstance(data, list) and index is not None else MISSING
        else:
            data = data.get(key, MISSING) if isinstance(data, Mapping) else MISSING
    return data


def index_of(array: object, item: Item) -> int | None:
    """Return the index of the element that `item` names; None when there is none."""
    for index, element in enumerate(array if isinstance(array, list) else ()):
        if isinstance(element, Mapping) and element.get(item.key) == item.name:
            return index
    return None


def put(data: Mapping[str, object], path: Path, value: object) -> dict[str, object]:
    """Return a copy of `data` with `value` at `path`, whose parents are there; `MISSING` deletes."""
    new = copy.deepcopy(dict(data))
    value = copy.deepcopy(value) if value is not MISSING else MISSING
    parent = get(new, path[:-1])
    key = path[-1]
    if isinstance(key, Item) and isinstance(parent, list):
        index = index_of(parent, key)
        new_ones = [] if value is MISSING else [value]
        # A new element comes first: where order counts, the first is what a client picks.
        parent[index or 0 : 0 if index is None else index + 1] = new_ones
    elif isinstance(parent, dict):
        parent.pop(key, None)
        if value is not MISSING:
            parent[key] = value
    return new


def wanted_changes(
    data: Mapping[str, object], template: Mapping[str, object], rules: Rules, at: Path = ()
) -> Iterator[tuple[Path, object]]:
    """Yield (path, value) of what `data` lacks of `template`; parents exist, so a missing table is one value.

    Raises:
        ConfigError: something that is no table (no array) stands where one is needed; `param` is its path.
    """
    for key, value in template.items():
        path = (*at, key)
        there = data.get(key, MISSING)
        if there is MISSING:
            yield path, value
        elif path in rules.keep:
            continue
        elif isinstance(value, Mapping):
            if not isinstance(there, Mapping):
                raise wrong_kind(path, "a table of keys and values")
            yield from wanted_changes(there, value, rules, path)
        elif path in rules.items and isinstance(value, list):
            yield from _wanted_items(there, value, path, rules.items[path])
        elif not same(there, value):
            yield path, value


def wrong_kind(path: Path, wanted: str) -> ConfigError:
    """Return the error for a value of another kind."""
    return ConfigError(f"{dotted(path)!r} is not {wanted}", param=dotted(path))


def dotted(path: Path) -> str:
    """Return a path for people."""
    return ".".join(f"[{k.key}={k.name}]" if isinstance(k, Item) else k for k in path)


def _wanted_items(
    there: object, value: Sequence[object], path: Path, key: str
) -> Iterator[tuple[Path, object]]:
    if not isinstance(there, list):
        raise wrong_kind(path, "a list")
    for item, element in _items(value, key):
        if not same(get(there, (item,)), element):
            yield (*path, item), element


def _items(elements: Sequence[object], key: str) -> Iterator[tuple[Item, object]]:
    """Yield the elements that have a name, with it."""
    for element in elements:
        if isinstance(element, Mapping) and key in element:
            yield Item(key, str(element[key])), element


def restores(
    data: Mapping[str, object], changes: Sequence[Change], rules: Rules
) -> tuple[Restore, ...]:
    """Return what takes `changes` out of `data` again, the last one first.

    What the user changed since then is the user's and stays; but tables of our own go whole.
    """
    found: list[Restore] = []
    for change in reversed(changes):
        there = get(data, change.path)
        if there is not MISSING:
            found += _undo(there, change, rules)
    return tuple(found)


def _undo(there: object, change: Change, rules: Rules) -> list[Restore]:
    ours = isinstance(change.path[-1], Item) or (change.path in rules.own and not change.had)
    if ours or same(there, change.value):
        return [Restore(change.path, change.raw if change.had else None)]
    if change.had:
        return []
    if isinstance(there, Mapping) and isinstance(change.value, Mapping):
        inner = _undo_inside(there, change.value, change.path, rules)
    elif isinstance(there, list) and isinstance(change.value, list):
        items = _items(change.value, rules.items.get(change.path, ""))
        inner = [
            Restore((*change.path, i), None) for i, _ in items if index_of(there, i) is not None
        ]
    else:
        return []
    gone = {r.path for r in inner if len(r.path) == len(change.path) + 1}
    return [Restore(change.path, None)] if len(gone) == len(there) else inner


def _undo_inside(
    there: Mapping[str, object], ours: Mapping[str, object], path: Path, rules: Rules
) -> list[Restore]:
    inner: list[Restore] = []
    for key, value in ours.items():
        if key in there:
            inner += _undo(there[key], Change((*path, key), value), rules)
    return inner
