from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.wire import chat_checks as checks

from .chats import outcome


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"), (True, "a boolean"), (1, "an integer"), (1.5, "a decimal"), ("s", "a string"),
        ([], "an array"), ({}, "an object"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_named_but_never_quoted(value, word):
    error = checks.wrong_type("p", "a thing", value)
    assert error.message == f"Invalid type for 'p': expected a thing, but got {word} instead."
    assert (error.param, error.code) == ("p", "invalid_type")


@given(st.floats(allow_nan=False) | st.integers(), st.integers(-5, 5), st.integers(-5, 5))
def test_a_number_passes_exactly_within_its_bounds(value, low, high):
    found = outcome(checks.number, "p", value, low, high, of=BadRequest)
    if low <= value <= high:
        assert found == value
    else:
        assert found.code == "invalid_value"


def test_booleans_are_no_numbers_and_whole_decimals_no_integers():
    for check, value in ((checks.number, True), (checks.integer, False), (checks.integer, 1.0)):
        with pytest.raises(BadRequest) as caught:
            check("p", value, None, None)
        assert caught.value.code == "invalid_type"


def test_a_bound_that_is_open_above_says_so():
    with pytest.raises(BadRequest, match="at least 1"):
        checks.integer("max_tokens", 0, 1, None)
    with pytest.raises(BadRequest, match="from 0 to 2"):
        checks.number("temperature", 5, 0, 2)


@pytest.mark.parametrize(
    ("body", "code"), [({}, "missing_required_parameter"), ({"model": None}, "missing_required_parameter"),
                       ({"model": 5}, "invalid_type"), ({"model": ["m"]}, "invalid_type"), ({"model": ""}, "invalid_value")]
)  # fmt: skip
def test_a_model_must_be_named(body, code):
    with pytest.raises(BadRequest) as caught:
        checks.check_model(body)
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "model", code)


@pytest.mark.parametrize(
    "model", ["x" * 257, "x" * 1_000_000, "a\r\nX-Evil: 1", "\ud800", "a\x00", "\u202e", "a\tb"]
)
def test_a_name_that_no_model_has_is_not_found_and_not_echoed(model):
    with pytest.raises(ModelNotFound) as caught:
        checks.check_model({"model": model})
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    assert model not in caught.value.message


@pytest.mark.parametrize(
    "model", ["openfusion/auto", "../../etc/passwd", "{0.__class__}", "模型", "x" * 256]
)
def test_a_printable_name_is_taken_for_the_pool_to_judge(model):
    assert checks.check_model({"model": model}) == model


@pytest.mark.parametrize(
    "field",
    [
        "base_url",
        "baseURL",
        "api_base",
        "apiBase",
        "api_key",
        "API-KEY",
        "proxy",
        "http_proxy",
        "proxies",
    ],
)
def test_addresses_keys_and_proxies_are_refused_at_any_depth_outside_the_users_text(field):
    for body, param in (
        ({field: "x"}, field),
        ({"openfusion": {field: "x"}}, "openfusion"),
        ({"extra_body": [{"deep": {field: None}}]}, "extra_body"),
    ):
        with pytest.raises(BadRequest) as caught:
            checks.refuse_forbidden(body)
        assert (caught.value.status, caught.value.code) == (400, "forbidden_field")
        assert caught.value.param == param


@pytest.mark.parametrize(
    "field", ["messages", "tools", "functions", "response_format", "metadata", "prediction"]
)
def test_the_users_own_text_and_schemas_may_use_the_words(field):
    checks.refuse_forbidden(
        {field: [{"properties": {"api_key": {"type": "string"}}}], "plugins": [{"id": "web"}]}
    )
