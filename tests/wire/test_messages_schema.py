"""Schemas as Anthropic's structured outputs take them."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.messages_schema import DEPTH, fitted

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string", "enum": ["x"]}, "b": {"$ref": "#/$defs/n"}},
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "array", "items": {"type": "integer"}, "minItems": 1}},
}


def test_what_the_api_takes_stays():
    assert fitted(CLOSED) == CLOSED
    assert fitted({}) == {}


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 9, "description": "d"}, {"type": "integer", "description": "d"}),
        ({"type": "string", "maxLength": 9, "pattern": "a+"}, {"type": "string", "pattern": "a+"}),
        ({"type": "array", "minItems": 3, "maxItems": 5, "items": {"multipleOf": 2}}, {"type": "array", "minItems": 1, "items": {}}),
        ({"oneOf": [{"minimum": 1}, True]}, {"anyOf": [{}, True]}),
        # A member may be called like a bound.
        (
            {"type": "object", "properties": {"minimum": {"type": "integer", "minimum": 1}}},
            {"type": "object", "properties": {"minimum": {"type": "integer"}}, "additionalProperties": False},
        ),
        ({"$defs": {"n": {"maximum": 1}}, "items": 5, "anyOf": "x"}, {"$defs": {"n": {}}, "items": 5, "anyOf": "x"}),
        # Of any members: there is no way to say it.
        ({"type": "object"}, {"type": "object"}),
    ],
)  # fmt: skip
def test_what_it_refuses_is_changed(schema, wanted):
    before = json.dumps(schema)
    assert fitted(schema) == wanted
    assert json.dumps(schema) == before


def test_what_is_nested_deeper_than_any_schema_stays():
    schema: dict[str, object] = {"minimum": 1}
    for _ in range(DEPTH + 1):
        schema = {"items": schema}
    assert '"minimum"' in json.dumps(fitted(schema))
