"""Votes: which answers say the same, which side counts, and who has the majority."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer
from openfusion_auto.core.vote import checkable, key_of, majority, one_side, plurality
from tests.support.pools import call, said
from tests.support.prompts import user

PROMPT = user("how many?")
CALLS = Answer("", tool_calls=(call(),))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes.", "yes"),
        ("**42**", "42"),
        ("1,000", "1000.0"),
        ("So it is.\n\nAnswer: 42", "I count.\n**Final answer: 42**"),
        (r"thus \boxed{x+1}", "Answer: x+1."),
        ("a  b\nc", "A b c"),
        ("`main`", "main"),
    ],
)
def test_answers_that_say_the_same_have_one_key(one, other):
    assert key_of(PROMPT, said(one)) == key_of(PROMPT, said(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("yes", "no"),
        ("42", "43"),
        ("-1", "1"),
        ("a b", "ab"),
        ("1e3x", "1000"),
        ("1e999999999", "1e999999998"),
        ("1" * 40, "1" * 39 + "2"),
    ],
)
def test_answers_that_differ_have_two_keys(one, other):
    assert key_of(PROMPT, said(one)) != key_of(PROMPT, said(other))


@pytest.mark.parametrize(
    "text", ["answer: a" + " " * 20_000 + "b\nc", "answer: " + "*" * 20_000 + "b\nc"]
)
def test_a_text_made_to_be_slow_takes_no_longer_than_it_is_long(text):
    began = time.process_time()
    assert key_of(PROMPT, said(text)).startswith("answer:")
    assert time.process_time() - began < 0.2


def test_json_is_the_same_by_its_value_only_where_json_was_asked_for():
    one, other = said('{"a": 1, "b": 2}'), said('{"b":2,"a":1}')
    assert key_of(replace(PROMPT, shape="json_object"), one) == key_of(
        replace(PROMPT, shape="json_object"), other
    )
    assert key_of(PROMPT, one) != key_of(PROMPT, other)


def test_the_majoritys_side_counts_and_at_a_tie_the_best_ranked_members():
    words = ("a", said("x"))
    calls = ("b", CALLS)
    assert one_side([words, calls, ("c", CALLS)]) == [calls, ("c", CALLS)]
    assert one_side([words, calls]) == [words]
    assert one_side([calls, words]) == [calls]
    assert one_side([words, ("c", said("y")), calls]) == [words, ("c", said("y"))]


def test_half_is_no_majority_and_the_largest_group_needs_two():
    assert majority(["a", "b"]) is None
    assert majority(["b", "a", "a"]) == 1
    assert plurality(["a", "b", "c"]) is None
    assert plurality(["c", "a", "b", "a"]) == 1
    assert plurality(["a", "b", "a", "b", "c"]) is None


@pytest.mark.parametrize(
    ("key", "yes"), [("42", True), ("yes", True), ("a b", False), ("x" * 61, False), ("", False)]
)
def test_one_word_or_number_is_checkable(key, yes):
    assert checkable(key) is yes


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=7))
def test_a_majority_is_always_the_largest_group(keys):
    found = majority(keys)
    if found is not None and len(keys) > 1:
        assert keys.count(keys[found]) * 2 > len(keys)
        assert plurality(keys) == found


@given(st.text(max_size=40), st.sampled_from(["text", "json_object"]))
def test_any_text_has_a_key(text, shape):
    assert isinstance(key_of(replace(PROMPT, shape=shape), said(text)), str)
