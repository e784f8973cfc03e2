"""Whether a value fits a schema; what is JSON is held in `test_calls.py`, where it came from."""

from __future__ import annotations

from openfusion_auto.core.checks.jsons import schema_break


def test_the_place_and_the_word_that_is_broken_are_told_and_not_the_value():
    schema = {"properties": {"a": {"items": {"type": "string"}}}}
    assert schema_break(schema, {"a": ["x", 5]}) == "a/1 (type)"
    assert schema_break(schema, {"a": ["x"]}) is None


def test_a_schema_that_is_wrong_is_broken_by_nothing():
    assert schema_break({"type": 5}, "x") is None
