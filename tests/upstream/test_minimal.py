"""The smallest instance of a schema: valid wherever the schema allows one, and bounded work always."""

import json

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfusion_auto.upstream.minimal import minimal_instance


def schemas():
    bounds = st.integers(-50, 50)
    integers = st.builds(
        lambda low, width, step: {
            "type": "integer",
            "minimum": low,
            "exclusiveMaximum": low + width + step + 1,
            "multipleOf": step,
        },
        bounds, st.integers(0, 9), st.integers(1, 7),
    )  # fmt: skip
    numbers = st.builds(
        lambda low, width: {
            "type": "number",
            "exclusiveMinimum": low / 4,
            "maximum": (low + width) / 4,
        },
        bounds, st.integers(1, 9),
    )  # fmt: skip
    strings = st.builds(
        lambda low, width: {"type": "string", "minLength": low, "maxLength": low + width},
        st.integers(0, 20), st.integers(0, 9),
    )  # fmt: skip
    plain = st.sampled_from(
        [{"type": "boolean"}, {"type": ["null", "string"]}, {}, True, {"const": [1]}, {"minimum": 5},
         {"enum": ["b", 1]}, {"type": "string", "format": "date"}, {"items": {"type": "null"}}]
    )  # fmt: skip

    def nested(inner):
        names = st.sampled_from(["a", "b", "verdict", "best"])
        objects = st.dictionaries(names, inner, max_size=4).flatmap(
            lambda known: st.builds(
                lambda req, n: {
                    "type": "object",
                    "properties": known,
                    "required": sorted(req),
                    "minProperties": min(n, len(known)),
                },
                st.sets(st.sampled_from([*known, "extra"])), st.integers(0, 4),
            )
        )  # fmt: skip
        arrays = st.builds(
            lambda first, items, n: {"type": "array", "prefixItems": first, "items": items, "minItems": n},
            st.lists(inner, min_size=1, max_size=2), inner, st.integers(0, 3),
        )  # fmt: skip
        joined = st.builds(
            lambda one, key: {key: [one]}, inner, st.sampled_from(["allOf", "anyOf", "oneOf"])
        )
        return objects | arrays | joined

    return st.recursive(integers | numbers | strings | plain, nested, max_leaves=12)


class TestMinimalInstance:
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(schemas())
    def test_an_instance_is_valid_for_its_schema(self, schema):
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(minimal_instance(schema))

    def test_references_and_all_of_are_followed(self):
        schema = {
            "$defs": {"a/b": {"type": "object", "properties": {"x": {"const": 3}}, "required": ["x"]}},
            "allOf": [{"$ref": "#/$defs/a~1b"}, {"required": ["y"]}],
            "properties": {"y": {"type": "integer", "minimum": 4}},
        }  # fmt: skip
        assert minimal_instance(schema) == {"y": 4, "x": 3}

    def test_a_schema_that_refers_to_itself_ends(self):
        schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
        depth, value = 0, minimal_instance(schema)
        while value is not None:
            value, depth = value["next"], depth + 1
        assert 1 <= depth <= 40

    def test_a_pure_circle_of_references_ends(self):
        assert minimal_instance({"$ref": "#"}) is None

    @pytest.mark.parametrize(
        "rule",
        [
            {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
            {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
            {"type": "array", "minItems": 10**12, "items": {"type": "string", "minLength": 10**14}},
            {"type": "array", "minItems": 70, "items": {"$ref": "#"}},
            {"type": "number", "minimum": float("inf"), "maximum": 10**400, "multipleOf": 1e-300},
        ],
    )
    def test_a_hostile_schema_costs_bounded_work(self, rule):
        assert len(json.dumps(minimal_instance(rule))) < 40_000_000

    @pytest.mark.parametrize(
        ("rule", "value"),
        [
            ({"type": ["string", "null"]}, "dry-run"),
            ({"type": "number", "exclusiveMinimum": 5}, 6),
            ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
            ({"type": "number", "exclusiveMaximum": -7.5}, -8.5),
            ({"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5}, 10),
            ({"type": "integer", "maximum": -7, "multipleOf": 5}, -10),
            ({"type": "string", "maxLength": 3}, "dry"),
            ({"type": "string", "minLength": 9}, "dry-run--"),
            ({"type": "string", "format": "date"}, "2000-01-01"),
            ({"items": {"type": "null"}, "minItems": 2}, [None, None]),
            ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ],
    )
    def test_bounds_are_kept(self, rule, value):
        assert minimal_instance(rule) == value

    def test_an_unsatisfiable_number_gives_zero(self):
        assert minimal_instance({"type": "integer", "minimum": 3, "maximum": 1}) == 0

    @pytest.mark.parametrize(
        ("rule", "value"),
        [
            ({"enum": ["reject"]}, "reject"),
            ({"type": "string"}, "accept"),
            ({"const": "accept"}, "accept"),
            ({"type": "boolean"}, True),
        ],
    )
    def test_the_wished_verdict_is_given_only_where_it_may_be(self, rule, value):
        assert minimal_instance({"properties": {"verdict": rule}}) == {"verdict": value}

    @pytest.mark.parametrize(("top", "value"), [(9, 1), (0, 0)])
    def test_the_wished_best_is_given_only_within_its_bounds(self, top, value):
        rule = {"type": "integer", "minimum": 0, "maximum": top}
        assert minimal_instance({"type": "object", "properties": {"best": rule}}) == {"best": value}
