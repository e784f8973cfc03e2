"""How long answers may be: filled in, clamped inside, refused outside."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.ceilings import ANSWERS, MEMBERS, Ceilings
from openfusion_auto.core.recipes import prompts
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire import chat_request, messages_request, responses_request

TIGHT = Ceilings(answer=1000, member=300, check=200)
CHECKS = ("verify", "judge", "analysis", "step:plan", "classify")


def asked(most=None, **more):
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], **more}
    if most is not None:
        body["max_tokens"] = most
    return chat_request.parse_request(json.dumps(body).encode())


def bound(prompt):
    return prompt.overrides.get("max_tokens", prompt.max_output_tokens)


@given(st.none() | st.integers(1, 10**6), st.none() | st.integers(1, 10**6))
def test_a_request_without_a_bound_gets_the_ceiling_and_one_above_it_is_refused(most, ceiling):
    prompt = asked(most)
    if None not in (most, ceiling) and most > ceiling:
        with pytest.raises(BadRequest, match=f"allows: {ceiling}") as refused:
            Ceilings(answer=ceiling).admitted(prompt)
        assert (refused.value.http_status, refused.value.code) == (400, "max_tokens_too_large")
        return
    got = Ceilings(answer=ceiling).admitted(prompt)
    if ceiling is None or most is not None:
        assert got is prompt
    else:
        assert bound(got) == got.max_output_tokens == ceiling
        assert got.stream == prompt.stream


def test_a_stream_stays_one_when_the_bound_is_filled_in():
    got = TIGHT.admitted(asked(stream=True))
    assert got.stream is True
    assert got.raw == b""
    assert TIGHT.admitted(got) is got


def test_the_refusal_names_the_field_of_the_dialect():
    responses = {"model": "m", "input": "go", "max_output_tokens": 1001}
    messages = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 1001}
    for parse, body, field in (
        (responses_request.parse_request, responses, "max_output_tokens"),
        (messages_request.parse_request, messages, "max_tokens"),
    ):
        with pytest.raises(BadRequest) as refused:
            TIGHT.admitted(parse(json.dumps(body).encode()))
        assert refused.value.param == field


@given(st.none() | st.integers(1, 5000), st.sampled_from((*MEMBERS, *CHECKS)))
def test_calls_behind_the_answer_are_clamped_and_never_raised(most, phase):
    prompt = asked(most)
    got = TIGHT.clamped(phase, prompt)
    ceiling = TIGHT.member if phase in MEMBERS else TIGHT.check
    assert bound(got) == (ceiling if most is None else min(most, ceiling))
    assert Ceilings().clamped(phase, prompt) is prompt


@pytest.mark.parametrize("phase", ANSWERS)
def test_what_the_client_gets_was_bounded_when_it_came_in(phase):
    prompt = asked(999)
    assert TIGHT.clamped(phase, prompt) is prompt


def test_a_verdicts_own_bound_is_clamped_too():
    verdict = prompts.inner(asked(), prompts.user("fine?"))
    assert bound(verdict) == prompts.INNER_MAX_TOKENS
    assert bound(TIGHT.clamped("judge", verdict)) == 200
    assert TIGHT.clamped("judge", verdict).added == verdict.added
    wide = Ceilings(check=10**6)
    assert wide.clamped("judge", verdict) is verdict


def test_a_member_that_is_bounded_may_search_as_before():
    may = replace(asked(), web=("web_search",))
    assert TIGHT.clamped("member", may).web == ("web_search",)
