"""The words in which upstreams say that a prompt is too long, and those that agents look for."""

from __future__ import annotations

import pytest

from openfusion_auto.wire.overflow import (
    Sizes,
    anthropic_words,
    is_overflow,
    openai_words,
    sentence,
    sizes_in,
)

BOTH = "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"
# As upstreams say it -> (limit, given), None where they do not say both.
SAID = {
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens (8500 in the "
    "messages, 500 in the functions). Please reduce the length of the messages.": (8192, 9000),
    "This model's maximum context length is 32768 tokens. However, you requested 40000 tokens (32000 in the messages, "
    "8000 in the completion).": (32768, 40000),
    "This endpoint's maximum context length is 200000 tokens. However, you requested about 250000 tokens (200000 of text "
    "input, 18000 of tool input, 32000 in the output).": (200000, 250000),
    "'max_tokens' is too large: 32000. This model's maximum context length is 32768 tokens and your request has 10000 "
    "input tokens (32000 > 32768 - 10000).": (32768, 42000),
    "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140000 "
    "tokens: 120000 from the input messages and 20000 for the completion.": (131072, 140000),
    f"{BOTH}, decrease input length or `max_tokens` and try again": (200000, 222000),
    "prompt is too long: 213,462 tokens > 200,000 maximum": (200000, 213462),
    "This model's maximum prompt length is 131072 but the request contains 137814 tokens.": (
        131072,
        137814,
    ),
    "Your request exceeded model token limit: 262144 (requested: 310000)": (262144, 310000),
    "prompt token count of 130500 exceeds the limit of 128000": (128000, 130500),
    "The input (40000 tokens) is longer than the model's context length (32768 tokens).": (
        32768,
        40000,
    ),
    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575)": (
        1048575,
        1196265,
    ),
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 4000 `inputs` tokens and 512 "
    "`max_new_tokens`": (4097, 4512),
    "the request exceeds the available context size (4096 tokens), try increasing it": None,
    "Range of input length should be [1, 129024]": None,
    "invalid params, context window exceeds limit (2013)": None,
    "Prompt exceeds max length": None,
    "Input is too long for requested model.": None,
}


@pytest.mark.parametrize(("said", "sizes"), SAID.items())
def test_an_upstreams_words_are_known_and_their_numbers_told(said, sizes):
    assert is_overflow(said)
    assert sizes_in(said) == sizes
    shown = anthropic_words(openai_words(said))
    if sizes is not None and BOTH not in said:
        limit, given = sizes
        assert shown.replace(",", "") == f"prompt is too long: {given} tokens > {limit} maximum"


def test_the_words_on_which_an_agent_asks_for_a_shorter_answer_stay_as_they_are():
    assert anthropic_words(openai_words(f"{BOTH}, decrease input length")) == BOTH


@pytest.mark.parametrize(
    "said",
    [
        "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens for a model",
        "max_tokens is too large: 99999. This model supports at most 16384 completion tokens.",
        "Rate limit reached for requests",
        "",
    ],
)
def test_a_bound_of_the_answer_is_no_reason_to_compact(said):
    assert not is_overflow(said)


@pytest.mark.parametrize("name", ["context_length_exceeded", "exceed_context_size_error"])
def test_a_code_or_type_says_it_without_words(name):
    assert is_overflow("", None, name)
    assert not is_overflow("", 400, "invalid_request_error")


def test_openai_words_have_the_numbers_where_they_are_known():
    assert "length is 10 tokens" in sentence(Sizes(10, 11))
    assert sentence(None) == openai_words("")
