"""What a reading rests on: features, each with the words that show it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.features import (
    CODE_WORDS,
    LONG_WORD,
    SHAPE,
    features_of,
    is_question,
    pieces_of,
    wide_length,
    without_courtesy,
)
from tests.support.prompts import user


def of(words: str, **more: object):
    return features_of(Facts("user", words, **more))


def test_plain_words_stand_alone_in_pairs_and_at_the_beginning():
    words = of("Fix the Footer").words
    assert set(words) == {"fix", "the", "footer", "+fix the", "+the footer", "^fix", "^fix the"}
    assert words["footer"] == "footer"
    assert words["+fix the"] == "fix the"


@pytest.mark.parametrize(
    "token", ["src/auth.py", "`auth`", '"auth"', "auth()", "useAuth_x", "auth.py", "-auth", "a_auth", "myAuth"]
)  # fmt: skip
def test_words_in_code_are_features_of_their_own(token):
    words = of(f"look at {token} now").words
    assert any(name.startswith("c:") and "auth" in name for name in words)
    assert "auth" not in words


def test_marks_take_part_in_pairs_only():
    words = of("Why? Fix it").words
    assert "+why ?" in words
    assert "?" not in words


def test_pasted_code_and_an_agreed_proposal_have_features_of_their_own():
    found = of("review this", code="GRANT all\ngrant", proposal="shall i delete it")
    assert {"k:grant", "k:all"} <= set(found.words)
    assert "p:delete" in found.words
    assert "#proposal" in found.shape
    many = of("x", code=" ".join(f"w{i}" for i in range(3 * CODE_WORDS)))
    assert sum(name.startswith("k:") for name in many.words) == CODE_WORDS


def test_pieces_are_cut_from_words_with_their_ends_marked():
    assert pieces_of("fix") == ("<fi", "fix", "ix>", "<fix", "fix>", "<fix>")
    assert pieces_of("修复") == ("修", "复", "修复")
    assert len(pieces_of("x" * 500)) == len(pieces_of("x" * LONG_WORD))
    assert of("fixing").pieces()["<fix"] == "fixing"


@pytest.mark.parametrize(
    ("words", "more", "shape"),
    [
        ("Why is it slow?", {}, "#question"),
        ("为什么这么慢？", {}, "#question"),
        ("a, b", {}, "#parts 1"),
        ("a, b, c, d, e", {}, "#parts 4"),
        ("Add: ; - a ; - b", {}, "#bullets 2"),
        ("1. a ; 2. b", {}, "#bullets 2"),
        ("error 500 in line 42", {}, "#numbers 2"),
        ("One. Two. Three", {}, "#sentences 2"),
        ("x" * 60, {}, "#over 55 characters"),
        ("look", {"pasted": 10}, "#pasted"),
        ("", {}, "#no words"),
    ],
)
def test_form_is_told(words, more, shape):
    assert of(words, **more).shape[shape] in (SHAPE, 2 * SHAPE)
    assert shape not in of("Fix it", proposal="").shape


def test_marks_of_pastes_are_form():
    assert of("x", marks=frozenset({"trace"})).shape["#trace"] == 2 * SHAPE


@pytest.mark.parametrize(
    ("text", "yes"),
    [("why?", True), ("why? ", True), ("(why?)", True), ("لماذا؟", True), ("no.", False), ("? no", False), ("", False)],
)  # fmt: skip
def test_a_question_ends_as_one(text, yes):
    assert is_question(text) is yes


def test_a_character_of_an_unspaced_script_counts_for_three():
    assert wide_length("abc") == 3
    assert wide_length("修复é") == 7


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("please fix it", "fix it"),
        ("Please, fix it!", "fix it!"),
        ("Could you please fix the nav?", "fix the nav"),
        ("can you also fix x y", "fix x y"),
        ("Fix the nav, please", "Fix the nav"),
        ("Fix the nav. Thanks a lot!", "Fix the nav"),
        ("Fix the nav thx", "Fix the nav"),
        ("bitte die Navigation reparieren", "die Navigation reparieren"),
        ("corrige la nav, s'il te plaît", "corrige la nav"),
        ("请修复登录页面。谢谢", "修复登录页面"),
        ("hey, fix the nav", "fix the nav"),
        ("Hello! Could you please fix the nav?", "fix the nav"),
        ("hi there, please fix the nav", "fix the nav"),
        ("你好，请修复登录页面", "修复登录页面"),
        ("hello", "hello"),
        ("hello, how are you today?", "hello, how are you today?"),
        ("Hi!", "Hi!"),
        ("history of the nav", "history of the nav"),
        ("hi-res images blur", "hi-res images blur"),
        ("thanks", "thanks"),
        ("thank you so much!", "thank you so much!"),
        ("please", "please"),
        ("can you?", "can you?"),
        ("pleasefix the nav", "pleasefix the nav"),
        ("fix the thanks page", "fix the thanks page"),
        ("Is it fixed, please?", "Is it fixed, please?"),
        ("what could you do?", "what could you do?"),
    ],
)
def test_courtesy_is_left_out_unless_it_is_all_there_is(text, rest):
    assert without_courtesy(text) == rest


@given(
    st.sampled_from(["fix the nav", "why does the nav jump?", "修复登录页面的错误"]),
    st.booleans(),
    st.booleans(),
)
def test_courtesy_changes_no_feature(text, before, behind):
    said = ("please " if before else "") + text + (" please" if behind and "?" not in text else "")
    assert of(said) == of(text)


@given(st.text(max_size=60))
def test_letter_case_and_outer_blanks_change_no_feature_of_plain_text(text):
    if text.isascii() and text.replace(" ", "").isalpha():
        assert of(text.upper()) == of(text.lower()) == of(f"  {text.lower()} ")


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_has_features_and_the_words_shown_stand_in_it(text):
    facts = read_facts(user(text))
    found = features_of(facts)
    assert found == features_of(facts)
    folded = facts.words.lower()
    assert all(word in folded for word in found.pieces().values())
    json.dumps(found.shape)
