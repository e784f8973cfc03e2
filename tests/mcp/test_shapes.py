"""What an agent reads of a tool's arguments and answers."""

import jsonschema
import pytest
from pydantic import ValidationError

from openfusion_auto.mcp.shapes import (
    MOST_CHARS,
    Deliberate,
    Deliberated,
    Explained,
    Opinion,
    Routed,
    SecondOpinion,
    input_schema,
    output_schema,
)
from openfusion_auto.mcp.tools import TOOLS


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_arguments_are_flat_closed_and_described(tool):
    schema = input_schema(tool.takes)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for field in schema["properties"].values():
        assert field["description"]
        assert field["type"] in ("string", "array", "number", "boolean")
        assert not {"anyOf", "$ref", "title", "pattern"} & set(field)
        assert field.get("default", 0) is not None


@pytest.mark.parametrize("tool", TOOLS, ids=lambda t: t.name)
def test_an_answer_with_nothing_known_still_fits_its_schema(tool):
    schema = output_schema(tool.gives)
    jsonschema.Draft202012Validator.check_schema(schema)
    empty = tool.gives().model_dump(mode="json")
    jsonschema.validate(empty, schema)
    assert set(schema["required"]) == set(empty)  # an agent need not ask whether a member is there


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"question": ""},
        {"question": " \n"},
        {"question": "x" * (MOST_CHARS + 1)},
        {"question": "x", "max_usd": 0},
        {"question": "x", "max_usd": float("inf")},
        {"question": "x", "models": ["m"] * 9},
        {"question": "x", "api_key": "sk"},
        {"question": 1},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(ValidationError):
        Deliberate.model_validate(wrong)


def test_what_is_not_known_is_null_and_not_nothing():
    assert Deliberated().money.usd is None
    assert Opinion().independent is None
    assert Routed().pick is None
    assert Explained().decision is None
    assert SecondOpinion(task="t", answer="a").max_usd is None
