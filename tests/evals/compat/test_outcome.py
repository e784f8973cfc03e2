"""What is said about foreign JSON: the field, never the value."""

import pytest

from openfusion_auto.evals.compat.outcome import (
    Wrong,
    inner,
    integer,
    objects,
    read,
    refusal,
    same,
    string,
)

BODY = {
    "text": "sk-secret",
    "number": 3,
    "yes": True,
    "list": [{"a": 1}],
    "mixed": [{}, 1],
    "object": {},
}


def test_what_is_there_is_returned():
    assert string(BODY, "text") == "sk-secret"
    assert integer(BODY, "number") == 3
    assert objects(BODY, "list") == [{"a": 1}]
    assert inner(BODY, "object") == {}
    assert same(BODY, "text", "sk-secret") is None
    assert read(b'{"a": 1}', "it") == {"a": 1}


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: string(BODY, "gone", "message."), "message.gone is missing"),
        (lambda: string(BODY, "number"), "number is not text"),
        (lambda: integer(BODY, "yes"), "yes is not a whole number"),
        (lambda: objects(BODY, "mixed"), "mixed is not an array of objects"),
        (lambda: inner(BODY, "text"), "text is not an object"),
        (lambda: same(BODY, "text", "other"), "text is not 'other'"),
        (lambda: read(b"[sk-secret", "it"), "it is no JSON object"),
        (lambda: read(b"[1]", "it"), "it is no JSON object"),
    ],
)
def test_what_is_wrong_is_named(ask, says):
    with pytest.raises(Wrong) as found:
        ask()
    assert str(found.value) == says


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (
            b'{"error": {"code": "model_not_found", "message": "sk-secret"}}',
            "status 404 (model_not_found)",
        ),
        (b'{"error": {"code": "sk-1234567890"}}', "status 404"),
        (b'{"error": "sk-secret"}', "status 404"),
        (b"<html>sk-secret</html>", "status 404"),
        (b"[]", "status 404"),
    ],
)
def test_of_a_refusal_only_a_clean_code_is_shown(raw, says):
    assert refusal(404, raw) == says
