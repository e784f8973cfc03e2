from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.errors import (
    BadRequest,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamWants,
)
from openfusion_auto.wire.errors import (
    GONE,
    MESSAGE_LIMIT,
    identifier,
    openai_error,
    parse_retry_after,
    safe_reason,
    sanitise,
    told_failure,
    upstream_failure,
)

KEY = "sk-upstream-secret-0123456789"
NOW_S = 1_784_000_000.0  # Tue, 14 Jul 2026 03:33:20 GMT


def failure(status: int, body: object = b"", **headers: str):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    return upstream_failure(status, names, data, NOW_S, secrets=(KEY,))


def said(message: str, **more: object) -> dict[str, object]:
    return {"error": {"message": message, "type": "invalid_request_error", **more}}


def test_an_error_has_the_four_fields_of_openai():
    error = BadRequest("No.", param="n", code="invalid_value")
    assert openai_error(error) == {
        "error": {
            "message": "No.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        }
    }


def test_a_rate_limit_keeps_its_wait():
    error = failure(429, said("slow down " + KEY), Retry_After="7")
    assert isinstance(error, UpstreamRateLimited)
    assert (error.status, error.retry_after_s, error.retryable) == (429, 7.0, True)
    assert KEY not in error.message


@pytest.mark.parametrize("status", [401, 402, 403])
def test_refused_credentials_are_a_502_without_a_word_of_the_upstream(status):
    error = failure(status, said(f"Incorrect API key provided: {KEY}", code="invalid_api_key"))
    assert isinstance(error, UpstreamDenied)
    assert error.status == 502
    assert "key provided" not in error.message


@pytest.mark.parametrize(
    ("status", "shown"),
    [(500, 502), (502, 502), (503, 503), (504, 502), (529, 503), (408, 502), (425, 502)],
)
def test_failures_of_the_upstreams_own_may_be_tried_again(status, shown):
    error = failure(status, b"<html>nginx at host.example</html>", retry_after_ms="250")
    assert isinstance(error, UpstreamOverloaded)
    assert (error.status, error.retryable, error.retry_after_s) == (shown, True, 0.25)
    assert "html" not in error.message


@pytest.mark.parametrize("status", [100, 204, 302, 307, 405, 418, 451, 600])
def test_other_statuses_are_no_answer(status):
    error = failure(status, said("teapot"))
    assert isinstance(error, UpstreamBroken)
    assert error.status == 502
    assert "teapot" not in error.message


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_keeps_status_code_param_and_the_words_agents_match(status):
    error = failure(
        status, said("Unsupported parameter: 'x'.", code="unsupported_parameter", param="x")
    )
    assert isinstance(error, UpstreamRejected)
    assert (error.status, error.code, error.param) == (status, "unsupported_parameter", "x")
    assert error.message == "Unsupported parameter: 'x'."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[1]",
        b"\xff\xfe",
        b"<html>",
        {"detail": [5]},
        {"error": None},
        {"error": {"message": 5}},
        {"a": 1},
    ],
)
def test_a_refusal_without_usable_words_still_has_a_message(body):
    error = failure(400, body)
    assert isinstance(error, UpstreamRejected)
    assert error.message == "The upstream refused the request (400) without a reason."
    assert error.code == "upstream_rejected"


@pytest.mark.parametrize(
    "body",
    [
        {"error": "no such tool"},
        {"object": "error", "message": "no such tool"},
        said("no such tool"),
    ],
)
def test_the_shapes_of_error_bodies_in_use_are_read(body):
    assert failure(400, body).message == "no such tool"


def test_odd_codes_and_params_are_not_passed_on():
    error = failure(400, said("no", code=KEY, param="http://host/x y"))
    assert error.code == "upstream_rejected"
    assert error.param is None


def test_an_unknown_model_is_a_404_that_another_candidate_may_mend():
    for status, code in ((404, None), (404, "x"), (400, "model_not_found")):
        error = failure(status, said("The model `m` does not exist", code=code))
        assert isinstance(error, UpstreamRejected)
        assert (error.status, error.code, error.scope) == (404, "model_not_found", "candidate")
    assert "does not exist" in error.message
    assert failure(404).message == "The upstream does not serve this model."


def test_too_long_a_prompt_keeps_code_and_wording():
    words = "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens."
    error = failure(400, said(words, code="context_length_exceeded"))
    assert (error.status, error.code, error.message) == (400, "context_length_exceeded", words)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, said("prompt is too long: 210,000 tokens > 200,000 maximum")),
        (413, said("Input is too long for requested model: 210000 of 200000 tokens")),
        (
            400,
            {"error": {"message": "request 210000 vs 200000", "type": "exceed_context_size_error"}},
        ),
        (422, {"error": "context window of 200000 exceeded by 210000"}),
    ],
)
def test_other_wordings_of_too_long_become_the_one_agents_know(status, body):
    error = failure(status, body)
    assert (error.status, error.code) == (400, "context_length_exceeded")
    assert "maximum context length is 200000 tokens" in error.message
    assert "resulted in 210000 tokens" in error.message


def test_too_long_without_numbers_still_says_the_words():
    error = failure(400, {"error": {"code": "context_length_exceeded"}})
    assert error.message.startswith("This model's maximum context length is exceeded")
    assert error.code == "context_length_exceeded"


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "Tue, 14 Jul 2026 03:34:20 GMT"}, 60.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
        ({"retry-after": "Sun, 99 Nov 1994 08:49:37 GMT"}, None),
        ({"retry-after": "Sun, 06 Foo 1994 08:49:37 GMT"}, None),
        ({"retry-after": "Fri, 06 Nov 9994 08:49:37 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "9" * 15}, None),
        ({"retry-after": "٣"}, None),
    ],
)
def test_retry_after_is_seconds_a_date_or_junk(headers, wait_s):
    assert parse_retry_after(headers, NOW_S) == wait_s


@given(st.text(max_size=40))
def test_retry_after_never_fails_and_never_is_negative(text):
    wait_s = parse_retry_after({"retry-after": text}, NOW_S)
    assert wait_s is None or wait_s >= 0


@pytest.mark.parametrize(
    "secret",
    [
        "https://api.host.example:8443/v1/x?key=1", "http://127.0.0.1:9311/v1", "ftp://x", "www.host.org/x",
        "Bearer abcdef", "api_key=abcdef", "token: abc", "sk-abcdefgh", "sk-ups****6789", "gsk_abcdefgh12",
        "AIzaSyA1234567890", "eyJhbGciOiJIUzI1.eyJzdWIi.abc-_1", "0123456789abcdef0123456789abcdef", "10.0.0.7:80",
        "[::1]:8080", "localhost:9311", "gpu-7.cluster.internal", "node.rack:9000", "<script>", "</html>",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_an_address_or_a_tag_goes(secret):
    assert sanitise(f"See {secret} please") == f"See {GONE} please"


@pytest.mark.parametrize(
    "text",
    [
        "Invalid value for 'messages[3].content': expected a string.",
        "This model's maximum context length is 8192 tokens.",
        "messages.0.content.1.type: Input should be 'text'",
        "Unknown model claude-sonnet-4-5-20250929",
        "tool_use ids without tool_result: line 12:3",
    ],
)
def test_words_that_agents_need_stay(text):
    assert sanitise(text) == text


@given(st.text(max_size=80), st.text(max_size=80), st.integers(0, 21))
def test_no_piece_of_a_secret_with_an_end_of_eight_survives(before, after, cut):
    pieces = (KEY[: 8 + cut], KEY[cut:], KEY)
    for piece in pieces:
        shown = sanitise(f"{before} {piece} {after}", (KEY, ""))
        assert piece not in shown
        assert len(shown) <= MESSAGE_LIMIT


def test_a_short_secret_goes_too():
    assert sanitise("key hunter2!", ("hunter2",)) == f"key {GONE}!"


def test_a_long_text_is_cut_and_control_characters_go():
    shown = sanitise("a\x00b\r\nc\u2028d\ud800e " + "word " * 5000)
    assert shown.startswith("a b c d e word")
    assert len(shown) == MESSAGE_LIMIT
    assert shown.endswith("…")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"), ("RateLimitError", "RateLimitError"), (429, "429"),
        (KEY, None), ("has space", None), ("x" * 41, None), ("", None), (True, None), (7, None), (None, None), ({}, None),
    ],
)  # fmt: skip
def test_only_short_words_and_statuses_are_codes(value, shown):
    assert identifier(value) == shown


def test_a_reason_shows_code_or_type_or_nothing():
    assert safe_reason({"code": 502, "type": "x"}) == " (502)"
    assert safe_reason({"code": KEY, "type": "server_error", "message": KEY}) == " (server_error)"
    assert safe_reason({"message": "m"}) == safe_reason("text") == ""


@pytest.mark.parametrize(
    ("error", "kind", "status", "code"),
    [
        ({"code": "rate_limit_exceeded"}, UpstreamRateLimited, 429, "rate_limit_exceeded"),
        ({"type": "rate_limit_error"}, UpstreamRateLimited, 429, "rate_limit_exceeded"),
        ({"code": 429}, UpstreamRateLimited, 429, "rate_limit_exceeded"),
        ({"code": "429"}, UpstreamRateLimited, 429, "rate_limit_exceeded"),
        ({"code": 400}, UpstreamRejected, 400, "upstream_rejected"),
        ({"code": "invalid_prompt"}, UpstreamRejected, 400, "invalid_prompt"),
        ({"code": "insufficient_quota"}, UpstreamDenied, 502, "upstream_denied"),
        ({"type": "authentication_error"}, UpstreamDenied, 502, "upstream_denied"),
        ({"code": "server_error", "type": "server_error"}, UpstreamBroken, 502, "upstream_broken"),
        ({"code": 500}, UpstreamBroken, 502, "upstream_broken"),
        ({"code": True, "type": 1}, UpstreamBroken, 502, "upstream_broken"),
        ("it failed", UpstreamBroken, 502, "upstream_broken"),
        (None, UpstreamBroken, 502, "upstream_broken"),
    ],
)
def test_a_failure_told_with_status_200_is_what_its_status_would_be(error, kind, status, code):
    told = {**error, "message": f"failed: {KEY}"} if isinstance(error, dict) else error
    found = told_failure(told, "it broke")
    assert (type(found), found.status, found.code) == (kind, status, code)
    assert KEY not in found.message
    assert found.message


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({}, "upstream_rejected"),
        ({"code": 400}, "upstream_rejected"),
        ({"code": 500, "type": "server_error"}, "upstream_rejected"),
        ({"code": "unsupported_value"}, "unsupported_value"),
    ],
)
def test_what_a_model_wants_otherwise_is_known_whatever_code_stands_beside_it(names, code):
    found = told_failure({**names, "message": f"Unsupported value: 'seed' ({KEY})"}, "it broke")
    assert isinstance(found, UpstreamWants)
    assert (found.want, found.status, found.code) == ("seed=", 400, code)
    assert KEY not in found.message


@pytest.mark.parametrize("names", [{}, {"code": 400}, {"type": "invalid_request_error"}])
def test_a_prompt_that_is_too_long_is_told_with_its_numbers_alone(names):
    said = f"prompt is too long: 213462 tokens > 200000 maximum ({KEY})"
    found = told_failure({**names, "message": said}, "it broke")
    assert (found.status, found.code) == (400, "context_length_exceeded")
    assert KEY not in found.message
    assert "maximum context length is 200000 tokens" in found.message
    assert "213462" in found.message


@pytest.mark.parametrize(
    ("words", "wait_s"),
    [
        ("Please try again in 11.054s.", 11.054),
        ("try again in 250ms", 0.25),
        ("Please try again in 6m0s. Visit", 360.0),
        ("try again in 1h2m3.5s", 3723.5),
        ("try again in 4m", 240.0),
        ("Please retry in 39.123456789s.", 39.123456789),
        ("try again in a while", None),
        ("try again in 999999999h", None),
        ("try later", None),
    ],
)
def test_the_wait_that_a_rate_limit_tells_in_its_words_is_kept(words, wait_s):
    found = told_failure({"code": "rate_limit_exceeded", "message": words}, "it broke")
    assert found.retry_after_s == wait_s
    assert failure(429, said(words)).retry_after_s == wait_s
    assert failure(429, said(words), Retry_After="7").retry_after_s == 7.0


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        (
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
            True,
        ),
        ("The `reasoning_content` in the thinking mode must be passed back to the API.", True),
        ("messages with tool_calls must include reasoning_content", True),
        ("Missing `reasoning_content` field in the assistant message at message index 1.", True),
        ("property 'reasoning_content' is unsupported", False),
        ("reasoning_content: extra inputs are not permitted", False),
    ],
)
def test_a_model_that_wants_reasoning_in_the_history_is_known_by_its_words(words, wants):
    error = failure(400, said(words))
    assert (error.status, error.code) == (400, "upstream_rejected")
    assert isinstance(error, UpstreamWants) is wants


@pytest.mark.parametrize(
    "shape",
    [
        lambda words: [{"error": {"code": 400, "message": words, "status": "INVALID_ARGUMENT"}}],
        lambda words: {"message": words},
        lambda words: {"detail": words},
        lambda words: {"object": "error", "message": words, "code": 400},
    ],
    ids=["google", "message", "detail", "vllm"],
)
def test_the_words_are_found_in_every_shape_of_an_error(shape):
    long = failure(400, shape("prompt is too long: 213462 tokens > 200000 maximum"))
    assert long.code == "context_length_exceeded"
    unsigned = failure(400, shape("Function call is missing a thought_signature in parts."))
    assert isinstance(unsigned, UpstreamWants)
    assert unsigned.want == UpstreamWants.SIGNATURE
    assert failure(400, []).message == failure(400, [1]).message == failure(400).message
