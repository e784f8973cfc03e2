"""Whether a value fits a schema, in bounded time; what is JSON is held in `test_calls.py`, where it came from."""

from __future__ import annotations

import pytest

from openfusion_auto.core.checks.jsons import (
    MOST_NODES,
    MOST_STEPS,
    MOST_TEXT,
    count_nodes,
    first_break,
    schema_break,
)

STRING = {"type": "string"}


def test_the_place_and_the_word_that_is_broken_are_told_and_not_the_value():
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    assert schema_break(schema, {"a": ["x", 5]}) == "a/1 (type)"
    assert schema_break(schema, {"a": ["x"]}) is None


def test_the_rule_that_is_broken_is_told_by_its_place_in_the_schema():
    schema = {"$defs": {"name": STRING}, "properties": {"a": {"$ref": "#/$defs/name"}}}
    found = first_break(schema, {"a": 5})
    assert (found.place, found.word, found.rule) == ("a", "type", "properties/a/type")
    assert first_break(schema, {"a": "x"}) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 5},
        {"properties": {"a": {"$ref": "https://example.invalid/a.json"}}, "type": "null"},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}, "type": "null"},
        {"properties": {"a": {"$ref": "#/type/x"}}, "type": "null"},
        {"properties": {"a": {"$ref": "#"}}, "type": "null"},
        {"properties": {"a": {"$dynamicRef": "#a"}}, "type": "null"},
        {"properties": {"a": {"$id": "https://example.invalid/b", **STRING}}, "type": "null"},
        {"patternProperties": {"(a+)+$": STRING}, "type": "null"},
        {"enum": list(range(MOST_NODES)), "type": "null"},
        {"description": "x" * MOST_TEXT, "type": "null"},
        {"type": "null", "default": {1, 2}},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_is_wrong_or_without_bound_is_broken_by_nothing(schema):
    assert first_break(schema, {"a": "x"}) is None


def test_references_count_where_they_are_used_so_that_none_can_multiply():
    doubling = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    schema = {"$defs": {**doubling, "d30": STRING}, "$ref": "#/$defs/d0"}
    assert first_break(schema, 5) is None
    assert (
        first_break({"$defs": {"a": STRING}, "anyOf": [{"$ref": "#/$defs/a"}] * 20}, 5) is not None
    )


@pytest.mark.parametrize(
    "schema", [{"pattern": "^(a+)+$", "maxLength": 1}, {"maxLength": 1, "uniqueItems": True}]
)
def test_words_whose_cost_has_no_bound_are_not_looked_at(schema):
    assert first_break(schema, "a" * 60 + "!").word == "maxLength"
    assert (
        first_break({k: v for k, v in schema.items() if k != "maxLength"}, "a" * 60 + "!") is None
    )
    assert first_break({"uniqueItems": True}, [1, 1]) is None


def test_a_value_too_large_for_its_schema_is_not_looked_at():
    schema = {"items": STRING}
    assert first_break(schema, [5]) is not None
    assert first_break(schema, [5] * MOST_STEPS) is None


def test_lists_are_followed_by_a_reference_and_property_names_are_none():
    schema = {
        "anyOf": [STRING, {"$ref": "#/anyOf/0"}],
        "properties": {"$ref": STRING, "$id": STRING, "a~/b": STRING},
    }
    assert first_break(schema, 5).word == "anyOf"
    assert first_break({"properties": {"$ref": STRING}}, {"$ref": 5}).place == "$ref"
    named = {"$defs": {"a~/b": STRING}, "$ref": "#/$defs/a~0~1b"}
    assert first_break(named, 5).word == "type"


def test_nodes_are_objects_lists_and_entries():
    assert count_nodes({"a": [1, 2], "b": {}}, 10) == 5
    assert count_nodes([0] * 10, 10) is None
