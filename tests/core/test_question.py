"""What a classifier is asked, and which of its replies count."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.classify import Verdict
from openfusion_auto.core.question import ASKED, INSTRUCTION, question, reply_of
from openfusion_auto.core.types import LEVELS, Evidence


def words_in(body):
    system, user = json.loads(body)["messages"]
    assert (system["role"], system["content"]) == ("system", INSTRUCTION)
    return json.loads(user["content"])["request"]


@given(st.text(max_size=200))
def test_the_words_travel_as_a_json_string_and_come_out_as_they_were(words):
    assert words_in(question(words, 500)) == words


def test_of_long_words_the_head_and_the_tail_are_sent():
    sent = words_in(question("a" * 600 + "b" * 600, 400))
    assert sent == "a" * 200 + " ... " + "b" * 200


def test_nothing_else_of_a_request_is_sent():
    assert set(json.loads(question("fix it", 500))) == {"model", "messages", "max_tokens"}


@given(st.sampled_from(ASKED), st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_a_whole_reply_is_a_verdict_with_its_source(kind, risk, hard):
    text = (
        "Sure:\n```json\n" + json.dumps({"kind": kind, "risk": risk, "complexity": hard}) + "\n```"
    )
    why = f"{kind}, {risk} risk, {hard} complexity"
    assert reply_of(text, "fast-a") == Verdict(
        kind, risk, hard, (Evidence("classifier.fast-a", 0.0, why),)
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no JSON object"),
        ("bugfix, low, low", "no JSON object"),
        ('{"risk": "low", "complexity": "low"}', "no known kind (null)"),
        ('{"kind": "aux", "risk": "low", "complexity": "low"}', 'no known kind ("aux")'),
        ('{"kind": ["ops"], "risk": "low", "complexity": "low"}', "no known kind"),
        ('{"kind": "ops", "risk": "extreme", "complexity": "low"}', "no known risk or complexity"),
        ('{"kind": "ops", "risk": "low"}', "no known risk or complexity"),
    ],
)
def test_an_odd_reply_is_none_and_says_why(text, says):
    assert says in reply_of(text, "fast-a")


@given(st.text(max_size=80))
def test_whatever_comes_is_a_verdict_or_a_sentence(text):
    assert isinstance(reply_of(text, "a"), str | Verdict)
