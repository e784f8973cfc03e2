"""Estimates of tokens from bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Message, Part, Prompt, Tool, ToolCall, Usage
from openfusion_auto.core.tokens import (
    BYTES_PER_TOKEN,
    FILE_BYTES_PER_IMAGE,
    IMAGE_TOKENS,
    MESSAGE_OVERHEAD_BYTES,
    answer_bytes,
    attachment_tokens,
    completed,
    estimate,
    input_tokens,
    prompt_bytes,
    text_bytes,
)
from tests.support.prompts import chat, function


def prompt(*parts: Part, raw: bytes = b"", **more: object) -> Prompt:
    return Prompt("chat", "m", (Message("user", parts),), raw=raw, **more)


def test_bytes_become_tokens_rounded_up():
    assert estimate(0) == 0
    assert estimate(1) == 1
    assert estimate(3600) == 1000
    assert estimate(3601) == 1001


def test_a_learned_ratio_replaces_the_default():
    assert estimate(1000, 2.0) == 500


@pytest.mark.parametrize("ratio", [None, 0.0, -1.0, float("nan"), float("inf"), 1e-9, 400.0])
def test_a_useless_ratio_means_the_default(ratio):
    assert estimate(7200, ratio) == 2000


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.floats(0.5, 12.0))
def test_more_bytes_are_never_fewer_tokens(size, more, ratio):
    assert estimate(size, ratio) <= estimate(size + more, ratio)
    assert estimate(size, ratio) * ratio >= size - 1e-3


@given(st.integers(max_value=0))
def test_negative_sizes_are_nothing(size):
    assert estimate(size) == 0


def test_raw_bytes_are_taken_as_they_came():
    asked = chat([{"role": "user", "content": "héllo"}], tools=[function("read")])
    assert prompt_bytes(asked) == len(asked.raw)


def test_a_picture_is_no_text_whatever_its_bytes():
    small = prompt(Part("text", "what is this"), Part("image", size=10), raw=b"x" * 310)
    large = prompt(Part("text", "what is this"), Part("image", size=900_000), raw=b"x" * 900_300)
    assert prompt_bytes(small) == prompt_bytes(large) == 300
    assert input_tokens(small) == input_tokens(large) == estimate(300) + IMAGE_TOKENS


def test_a_file_costs_by_its_size_and_at_least_one_picture():
    assert attachment_tokens(prompt(Part("file", size=1))) == IMAGE_TOKENS
    assert (
        attachment_tokens(prompt(Part("file", size=3 * FILE_BYTES_PER_IMAGE))) == 3 * IMAGE_TOKENS
    )


def test_sound_counts_like_a_picture_and_other_parts_by_their_text():
    assert attachment_tokens(prompt(Part("audio", size=5))) == IMAGE_TOKENS
    # A quarter of an hour of MP3 is not what a beep is.
    assert attachment_tokens(prompt(Part("audio", size=9_600_000))) == 9_600
    assert attachment_tokens(prompt(Part("other", "x" * 36))) == 10


def test_without_raw_bytes_messages_calls_and_tools_are_added_up():
    said = Message("assistant", (Part("text", "é"),), (ToolCall("1", "read", '{"p":1}'),))
    asked = Prompt("chat", "m", (said,), (Tool("t", schema={"a": 1}),))
    assert prompt_bytes(asked) == MESSAGE_OVERHEAD_BYTES + 2 + len("read") + len(
        '{"p":1}'
    ) + 1 + len("{'a': 1}")


def test_attachments_larger_than_the_raw_bytes_leave_the_texts():
    odd = prompt(Part("text", "abc"), Part("image", size=10_000), raw=b"x" * 100)
    assert prompt_bytes(odd) == MESSAGE_OVERHEAD_BYTES + 3


@given(st.text())
def test_text_bytes_are_utf8(text):
    assert text_bytes(text) == len(text.encode("utf-8", "surrogatepass"))


def test_a_lone_surrogate_has_a_size():
    assert text_bytes("\ud800") == 3


def test_the_default_ratio_errs_to_the_high_side_of_prose():
    assert 3.0 <= BYTES_PER_TOKEN < 4.0


def test_what_a_recipe_adds_behind_a_prompt_counts():
    asked = chat([{"role": "user", "content": "hello"}])
    bare = prompt_bytes(asked.extend())
    judged = asked.extend(Message("user", (Part("text", "é" * 900),)))
    assert prompt_bytes(judged) == bare + 1800 + MESSAGE_OVERHEAD_BYTES


def test_an_answer_is_all_that_was_written_in_bytes():
    call = ToolCall("1", "run", '{"é":1}')
    assert answer_bytes(Answer(text="aé", reasoning="thought", tool_calls=(call,))) == 3 + 7 + 8
    assert answer_bytes(Answer(text="aé"), 3) == 9


@pytest.mark.parametrize(
    ("told", "used"),
    [
        (None, Usage(1000, 100)),
        (Usage(), Usage(1000, 100)),
        (Usage(70), Usage(70, 100)),
        (Usage(0, 7), Usage(1000, 7)),
        (Usage(70, 7, 60, 5, 2), Usage(70, 7, 60, 5, 2)),
    ],
)
def test_a_count_that_an_upstream_left_out_is_counted_by_bytes(told, used):
    assert completed(told, prompt(Part("text", "x"), raw=b"x" * 3600), 360) == used


def test_nothing_written_took_no_tokens():
    assert completed(Usage(70), prompt(), 0) == Usage(70)


def test_pictures_count_where_nothing_was_told():
    asked = prompt(Part("image", size=50_000), raw=b"x" * 53_600)
    assert completed(None, asked, 0) == Usage(1000 + IMAGE_TOKENS)
