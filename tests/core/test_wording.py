"""Cutting texts into weighted words, and finding signals in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.wording import (
    JOINED_HEAD,
    LATER_HEAD,
    NAME_WEIGHT,
    TOKEN_CHARS,
    Words,
    find_hits,
    merge,
    tokenise,
    wide_length,
    word_signals,
)


def hits(text: str, axis: str = "risk") -> dict[str, float]:
    return {
        h.name: h.points for h in find_hits(tokenise(text), text.lower()).get(axis, {}).values()
    }


def test_words_are_folded_and_counted_in_full():
    words = tokenise("Fix the Parser")
    assert words.texts == ["fix", "the", "parser"]
    assert words.weights == [1.0, 1.0, 1.0]
    assert words.first == "fix"
    assert tokenise("").first == ""


@pytest.mark.parametrize(
    "name",
    [
        "password_field",
        "src/password.py",
        "password()",
        "password.value",
        "myPassword",
        "`password`",
        "--x=password",
    ],
)
def test_names_weigh_half(name):
    words = tokenise(f"rename {name} now")
    assert words.weights[words.texts.index("password")] == NAME_WEIGHT


def test_brands_are_words_not_names():
    assert tokenise("push to GitHub").texts == ["push", "to", "github"]
    assert set(tokenise("push to GitHub").weights) == {1.0}


@pytest.mark.parametrize(
    "quoted",
    [
        '"delete password"',
        "'delete password'",
        "\u201cdelete password\u201d",
        "«delete password»",
        "\u300cpassword\u300d",
    ],
)
def test_quotations_are_left_out(quoted):
    assert "password" not in tokenise(f"the label says {quoted} today").texts


def test_an_apostrophe_is_no_quotation():
    assert tokenise("don't touch the user's password").texts == [
        "don't",
        "touch",
        "the",
        "user's",
        "password",
    ]


def test_sentences_begin_instructions_and_politeness_does_not_end_them():
    words = tokenise("Could you please fix it? Then add tests, remove logs")
    begins = dict(zip(words.texts, words.begins, strict=True))
    assert begins["fix"] == 1.0
    assert begins["it"] == 0.0
    assert begins["add"] == LATER_HEAD
    assert begins["remove"] == JOINED_HEAD


def test_what_stands_in_parentheses_begins_nothing_and_is_marked():
    words = tokenise("Write a parser (add docs in x) now")
    assert [t for t, a in zip(words.texts, words.asides, strict=True) if a] == [
        "add",
        "docs",
        "in",
        "x",
    ]
    assert words.begins[words.texts.index("add")] == 0.0


def test_a_blob_is_cut():
    assert all(len(t) <= TOKEN_CHARS for t in tokenise("a" * 100_000).texts)


def test_phrases_need_all_their_words_in_order():
    assert "data loss" in hits("we must lose data never")
    assert "data loss" not in hits("data we lose")


def test_harmless_phrases_take_the_weight_of_their_words():
    assert "security" in hits("fix the injection")
    assert hits("use dependency injection") == {}
    assert "restructure" in hits("use dependency injection", "refactor")


def test_a_named_error_is_a_problem():
    assert set(word_signals("keyerror")) >= set(word_signals("timeoutexception")) != set()
    assert word_signals("error") != word_signals("timeoutexception")


def test_a_genitive_is_the_word():
    assert word_signals("admin's") == word_signals("admin")


def test_scripts_without_spaces_are_searched_anywhere():
    assert "money" in hits("请修复支付回调")
    assert hits("naïve café") == {}


def test_the_strongest_of_a_group_counts_once():
    once = hits("payment")["money"]
    assert hits("payment refund payout wallet")["money"] == once


def test_scale_is_a_factor():
    words = tokenise("payment")
    full = find_hits(words, "payment")["risk"]["money"].points
    assert find_hits(words, "payment", 0.5)["risk"]["money"].points == full / 2


def test_merging_keeps_the_stronger_and_adds_the_new():
    weak = find_hits(tokenise("payment"), "", 0.5)
    strong = find_hits(tokenise("payment password"), "")
    both = merge(weak, strong)
    assert both["risk"]["money"].points == strong["risk"]["money"].points
    assert "access" in both["risk"]
    assert weak["risk"]["money"].points < strong["risk"]["money"].points
    assert merge(strong, weak)["risk"] == strong["risk"]


def test_wide_letters_count_three():
    assert wide_length("ab支") == 5


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_is_cut_into_lists_of_one_length(text):
    words = tokenise(text)
    assert isinstance(words, Words)
    assert len({len(column) for column in words}) == 1
    assert all(words.texts)
    find_hits(words, text.lower())


def test_dangers_are_found_in_the_singular_and_the_plural():
    assert hits("the subscription")["money"] == hits("the subscriptions")["money"]
    assert hits("the wallets")["money"] == hits("the wallet")["money"]


def test_a_noun_told_in_passing_is_marked():
    found = find_hits(tokenise("the parser for release notes"), "")["docs"]["docs"]
    plain = find_hits(tokenise("the release notes"), "")["docs"]["docs"]
    assert found.aside
    assert not plain.aside
