"""The hub types: what is readable of a message, how a prompt is extended, how usage adds up."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Message, Part, Prompt, Usage

COUNTS = st.integers(0, 10**9)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
PARTS = st.builds(
    Part,
    st.sampled_from(["text", "image", "audio", "file", "reasoning", "refusal", "other"]),
    st.text(),
)


def user(text):
    return Message("user", (Part("text", text),))


@given(st.lists(PARTS).map(tuple))
def test_the_text_of_a_message_is_its_text_and_refusals_in_order(parts):
    readable = [p.text for p in parts if p.kind in ("text", "refusal")]
    assert Message("assistant", parts).text == "\n".join(readable)


def test_images_and_reasoning_are_not_read_as_text():
    parts = (Part("image", "data:", 9), Part("text", "look"), Part("reasoning", "hm"))
    assert Message("user", parts).text == "look"
    assert Message("user", parts[:1]).text == ""
    assert Message("user").text == ""


def test_extending_leaves_the_clients_own_messages_as_they_came():
    prompt = Prompt("chat", "m", (user("a"),), stream=True, body={"model": "m"}, raw=b"{}")
    longer = prompt.extend(user("b"), temperature=0)
    assert longer.messages is prompt.messages
    assert longer.body is prompt.body
    assert [m.text for m in longer.added] == ["b"]
    assert longer.overrides == {"temperature": 0}
    assert prompt.added == ()
    assert prompt.raw == b"{}"


def test_an_extended_prompt_has_no_bytes_to_relay_and_is_not_streamed_unless_asked():
    prompt = Prompt("chat", "m", (user("a"),), stream=True, raw=b"{}")
    assert prompt.extend(user("b")).raw == b""
    assert prompt.extend(user("b")).stream is False
    assert prompt.extend(user("b"), stream=True).stream is True


def test_extending_twice_adds_up_and_the_later_override_wins():
    prompt = Prompt("chat", "m", (user("a"),)).extend(user("b"), n=None, temperature=0)
    again = prompt.extend(user("c"), temperature=1)
    assert [m.text for m in again.added] == ["b", "c"]
    assert again.overrides == {"n": None, "temperature": 1}


@given(USAGES, USAGES, USAGES)
def test_usage_adds_up_field_by_field_in_any_order(a, b, c):
    assert dataclasses.astuple(a + b) == tuple(
        x + y for x, y in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True)
    )
    assert (a + b) + c == a + (c + b)
    assert a + Usage() == a


@pytest.mark.parametrize("value", [Part("text"), Message("user"), Usage(), Prompt("chat", "m", ())])
def test_hub_values_cannot_be_changed(value):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
