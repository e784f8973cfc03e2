"""JSON Schemas of other dialects' clients, as Anthropic's structured outputs take them.

The API refuses an object that is not closed, bounds of numbers and texts, and `oneOf`. Its own SDKs change a schema in
the same way: the answer still fits the client's schema in form, and its bounds are the model's to keep.

Source: Anthropic's documentation, "Structured outputs: JSON Schema limitations", and its SDK's `transform_schema`.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.wire.jsons import as_object

DEPTH = 60  # schemas inside each other that are looked into
_BOUNDS = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
})  # fmt: skip
_NAMED = frozenset({"properties", "$defs", "definitions"})  # hold schemas by name
_LISTS = frozenset({"anyOf", "allOf", "oneOf"})


def fitted(schema: Mapping[str, object], depth: int = DEPTH) -> Mapping[str, object]:
    """Return a schema that the API takes, equal to `schema` when that is one.

    An object of any members cannot be said there at all: it stays as it is, and the API refuses it.
    """
    out = {key: _inside(key, value, depth) for key, value in schema.items() if key not in _BOUNDS}
    if "oneOf" in out and "anyOf" not in out:
        out["anyOf"] = out.pop("oneOf")
    fewest = out.get("minItems")
    if isinstance(fewest, int) and fewest > 1:
        out["minItems"] = 1
    if out.get("type") == "object" and as_object(out.get("properties")):
        out["additionalProperties"] = False
    return out


def _inside(key: str, value: object, depth: int) -> object:
    held = as_object(value)
    if depth <= 0:
        return value
    if key in _NAMED and held is not None:
        return {name: _schema(inner, depth - 1) for name, inner in held.items()}
    if key in _LISTS and isinstance(value, list):
        return [_schema(inner, depth - 1) for inner in value]
    return _schema(value, depth - 1) if key == "items" else value


def _schema(value: object, depth: int) -> object:
    held = as_object(value)
    return value if held is None else fitted(held, depth)
