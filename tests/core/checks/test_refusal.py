"""Refusals: short, without code, and not a question for what is missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.refusal import MOST, refuses

SAYS_NO = "I'm sorry, but I can't help with that."


def test_what_is_explained_at_length_is_an_answer():
    assert refuses(SAYS_NO)
    assert not refuses(SAYS_NO + " Because" * MOST)


def test_who_shows_code_has_answered():
    assert not refuses(SAYS_NO + "\n```sh\nls\n```")


def test_asking_for_what_is_missing_is_no_refusal():
    assert not refuses("I can't help without the log. Please paste it.")


@given(st.text(max_size=80))
def test_any_text_can_be_read(text):
    assert refuses(text) in (True, False)
    assert not refuses("```" + text)
