"""JSON as RFC 8259 has it, and whether a value fits a JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Mapping


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


def schema_break(schema: Mapping[str, object], value: object) -> str | None:
    """Return where `value` breaks `schema` first, and by which word; None when it fits.

    A schema that is itself wrong is broken by nothing.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
        # An empty registry: a `$ref` to an address is never fetched.
        validator = Draft202012Validator(schema, registry=Registry())
        error = best_match(validator.iter_errors(value))
    except Exception:  # noqa: BLE001 - a client's schema can break the validator in ways nobody lists
        return None
    if error is None:
        return None
    where = "/".join(str(part) for part in error.absolute_path) or "the top"
    return f"{where} ({error.validator})"
