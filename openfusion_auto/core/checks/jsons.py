"""JSON as RFC 8259 has it, and whether a value fits a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# Bounds of what one check may take: a schema is a client's, a value a model's, and other requests wait meanwhile.
MOST_TEXT = 65_536  # [characters] of a schema
MOST_NODES = 1_000  # of a schema, its references followed
MOST_STEPS = 50_000  # nodes of a schema times nodes of a value
MOST_READY = 256  # schemas that are kept ready; an agent has some twenty tools
MOST_RULE = 120  # [characters]


def is_json(text: str) -> bool:
    """Whether `text` is one JSON document."""
    try:
        strict_json(text)
    except (ValueError, RecursionError):
        return False
    return True


def strict_json(text: str) -> object:
    """Return the value of a JSON document; unlike `json.loads`, NaN and Infinity are no JSON (RFC 8259).

    Raises:
        ValueError: not JSON.
        RecursionError: nested too deep.
    """
    return json.loads(text, parse_constant=refuse_constant)


def refuse_constant(name: str) -> object:
    """Refuse NaN and the infinities.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")


class Break(NamedTuple):
    """How a value breaks a schema first.

    Attributes:
        place: Where in the value; it may hold names that the value chose.
        word: The word of the schema that is broken.
        rule: Where that stands in the schema: nothing of the value is in it.
    """

    place: str
    word: str
    rule: str


def schema_break(schema: Mapping[str, object], value: object) -> str | None:
    """Return where `value` breaks `schema` first, and by which word; None when it fits."""
    found = first_break(schema, value)
    return None if found is None else f"{found.place} ({found.word})"


def first_break(schema: Mapping[str, object], value: object) -> Break | None:
    """Return how `value` breaks `schema`; None when it fits, or when that cannot be said in bounded time.

    A schema is broken by nothing when it is itself wrong, too large, recursive, or refers to another place. `pattern`
    and `uniqueItems` are not looked at: what they cost has no bound.
    """
    from jsonschema.exceptions import best_match

    try:
        text = json.dumps(schema)
        ready = made_ready(text) if len(text) <= MOST_TEXT else None
        if ready is None or count_nodes(value, MOST_STEPS // ready.nodes) is None:
            return None
        error = best_match(ready.validator.iter_errors(value))  # type: ignore[arg-type] # whatever JSON holds
    except Exception:  # noqa: BLE001 - a client's schema can break the validator in ways nobody lists
        return None
    if error is None:
        return None
    where = "/".join(str(part) for part in error.absolute_path) or "the top"
    rule = "/".join(str(part) for part in error.absolute_schema_path)
    return Break(where, str(error.validator), rule[:MOST_RULE])


@dataclass(frozen=True, slots=True)
class _Ready:
    """A schema made ready to be held against values, and its size with its references followed."""

    nodes: int
    validator: Validator


@lru_cache(maxsize=MOST_READY)
def made_ready(text: str) -> _Ready | None:
    """Return a schema made ready, from its JSON; None for one that nothing is held against.

    Kept, because an agent sends its tools with every turn and looking a schema over takes milliseconds.
    """
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry

    schema = json.loads(text)
    try:
        nodes = count_nodes(schema, MOST_NODES, root=schema)
        if nodes is None:
            return None
        Draft202012Validator.check_schema(schema)
    except Exception:  # noqa: BLE001 - as above; remembered, for looking it over takes as long each time
        return None
    unseen = dict.fromkeys(("pattern", "uniqueItems"), _unseen)
    bounded = validators.extend(Draft202012Validator, unseen)  # type: ignore[no-untyped-call] # it has no types
    # An empty registry: a `$ref` to an address is never fetched.
    return _Ready(nodes, bounded(schema, registry=Registry()))


def _unseen(*_: object) -> None:
    """Hold nothing against a value: a word of a schema that is not looked at."""


def count_nodes(value: object, most: int, root: object = None) -> int | None:
    """Return how many objects, lists and entries a JSON value has; None when it has more than `most`.

    Args:
        value: The value.
        most: Counting ends there.
        root: Of a schema: what it refers to counts wherever it is referred to, so one that refers to itself has no
            end. None too for what reaches out of it, or hides what a search would cost.
    """
    nodes, left = 0, [value]
    while left:
        nodes += 1
        if nodes > most:
            return None
        node = left.pop()
        if isinstance(node, list):
            left += node
        elif isinstance(node, dict):
            left += node.values()
            if root is not None and _is_unbounded(node):
                return None
            target = node.get("$ref")
            if root is not None and isinstance(target, str):
                left.append(_referred(root, target))
    return nodes


def _is_unbounded(node: Mapping[str, object]) -> bool:
    """Whether a part of a schema has words by which references lead elsewhere, or a search may take for ever."""
    moved = ("$dynamicRef", "$recursiveRef", "$id")
    return isinstance(node.get("patternProperties"), dict) or any(
        isinstance(node.get(word), str) for word in moved
    )


def _referred(root: object, target: str) -> object:
    """Return the part of a schema that `#/...` names.

    Raises:
        LookupError: it names another place, or nothing.
    """
    if target.partition("/")[0] != "#":
        raise LookupError("a reference to another place")
    found = root
    for name in target.split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdigit():
            found = found[int(key)]
        elif isinstance(found, dict):
            found = found[key]
        else:
            raise LookupError("a reference to nothing")
    return found
