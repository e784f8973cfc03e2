"""What an upstream's refusal says, whatever its shape."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.refused import refused_field
from openfusion_auto.wire.said import DEPTH, error_said

HEAT = {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}
EXTRA = "Extra inputs are not permitted"


def wrapped(raw: object) -> object:
    held = {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}
    return {"error": held, "user_id": "u"}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"error": HEAT}, HEAT),
        ([{"error": HEAT}], HEAT),
        ({"message": "m", "type": "t", "object": "error"}, {"message": "m", "type": "t"}),
        ({"error": "words"}, {"message": "words"}),
        ({"detail": "words"}, {"message": "words"}),
        ({"detail": {"error": {"message": "m"}}}, {"message": "m"}),
        ({"errors": [{"message": "m", "code": 7}]}, {"message": "m", "code": 7}),
        # A gateway's words around a provider's.
        (wrapped(json.dumps({"error": HEAT})), HEAT),
        (wrapped(json.dumps({"type": "error", "error": {"message": "m"}})), {"code": 400, "message": "m", "type": "error"}),
        (wrapped("plain words"), {"code": 400, "message": "plain words"}),
        (wrapped({"__kind": "OK", "data": json.dumps({"error": HEAT})}), HEAT),
        (wrapped(None), {"code": 400, "message": "Provider returned error"}),
        (wrapped("7"), {"code": 400, "message": "7"}),
        # FastAPI, and what Mistral makes of it.
        (
            {"detail": [{"loc": ["body", "seed"], "msg": EXTRA, "type": "extra_forbidden"}]},
            {"message": f"seed: {EXTRA}", "param": "seed"},
        ),
        (
            {"message": {"detail": [{"loc": ["body", "messages", 2, "x"], "msg": EXTRA}]}},
            {"message": f"messages.2.x: {EXTRA}", "param": "messages.2.x"},
        ),
        (
            {"detail": [{"loc": ["body", "a"], "msg": "A"}, {"msg": "B"}]},
            {"message": "a: A; B", "param": "a"},
        ),
        # vLLM
        (
            {
                "message": "[{'type': 'x', 'loc': ('body', 'messages', 1, 'seed'), 'msg': 'No', 'input': 1}, "
                "{'type': 'y', 'loc': ('body', 'user'), 'msg': \"It's not\", 'input': {}}]",
                "code": 400,
            },
            {"message": "messages.1.seed: No; user: It's not", "code": 400},
        ),
        ({}, {}),
        ([], {}),
        (None, {}),
        ({"error": None, "detail": [5]}, {}),
    ],
)  # fmt: skip
def test_every_shape_is_read(told, said):
    assert error_said(told) == said


def test_what_is_nested_deeper_than_any_server_does_is_not_looked_into():
    told: object = "words"
    for _ in range(DEPTH + 1):
        told = {"error": told}
    assert error_said(told) == {}


def test_a_wrapped_refusal_and_a_list_of_details_teach_what_is_refused():
    assert refused_field(error_said(wrapped(json.dumps({"error": HEAT})))) == "temperature="
    detail = {"detail": [{"loc": ["body", "seed"], "msg": EXTRA}]}
    assert refused_field(error_said(detail)) == "seed"
