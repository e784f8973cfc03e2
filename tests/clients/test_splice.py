"""Replacements that are found again by their text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients.splice import Splice, difference, splice, splices, undone

LINES = st.lists(st.sampled_from(["a", "b", "model = 1", "", " x"]), max_size=12)
TEXTS = st.builds("\n".join, LINES) | st.builds("\r\n".join, LINES)


@given(TEXTS, TEXTS)
def test_a_difference_is_all_that_differs_and_cuts_no_line_end(old, new):
    start, removed, inserted = difference(old, new)
    assert old[:start] + removed + old[start + len(removed) :] == old
    assert old[:start] + inserted + old[start + len(removed) :] == new
    for text, part in ((old, removed), (new, inserted)):
        for at in (start, start + len(part)):
            assert text[at - 1 : at + 1] != "\r\n" or at in (0, len(text))


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=5))
def test_a_series_of_changes_is_undone(texts):
    assert undone(texts[-1], splices(texts)) == texts[0]


@given(TEXTS, TEXTS.filter(bool))
def test_what_was_inserted_stands_once(old, new):
    if old != new and new:
        one = splice(old, new)
        assert new.count(one.inserted) == 1


def test_the_whole_line_is_taken_so_that_the_same_word_elsewhere_does_no_harm():
    one = splice("model = 'a'\nx = 1\n", "model = 'b'\nx = 1\n")
    assert one == Splice("model = 'a'", "model = 'b'")
    assert not one.at_end
    assert undone("# b\nmodel = 'b' # mine\nx = 2\n", [one]) == "# b\nmodel = 'a' # mine\nx = 2\n"


def test_equal_lines_are_told_apart_by_what_is_around_them():
    old, new = "x = 1\ny = 2\nx = 1\n", "x = 1\ny = 2\nx = 1\nx = 1\n"
    assert undone(new, [splice(old, new)]) == old


def test_in_a_very_long_line_only_what_changed_is_taken():
    old = "{" + "a" * 500 + "1" + "b" * 500 + "}"
    new = old.replace("1", "22")
    assert len(splice(old, new).inserted) < 50
    assert undone("!" + new + "!", [splice(old, new)]) == "!" + old + "!"


def test_what_is_gone_or_there_twice_is_not_undone():
    one = Splice("", "# ours\n")
    assert undone("x\n", [one]) is None
    assert undone("# ours\n# ours\n", [one]) is None
    assert undone("x", [Splice("y", "")]) is None


def test_lines_do_not_run_together_when_the_last_one_had_no_end():
    old, new = "a = 1", "a = 1\n# ours\n"
    one = splice(old, new)
    assert undone(new, [one]) == old
    assert undone(new + "b = 2\n", [one]) == "a = 1\nb = 2\n"
    windows = splice(old, "a = 1\r\n# ours\r\n")
    assert undone("a = 1\r\n# ours\r\nb = 2\r\n", [windows]) == "a = 1\r\nb = 2\r\n"


def test_a_line_end_that_becomes_a_bare_return_is_taken_whole():
    assert difference("a\r\nb", "a\rb") == (1, "\r\n", "\r")


def test_a_last_line_that_was_only_changed_gets_no_line_end_of_ours():
    one = splice("x = 1\nm = 'a'", "x = 1\nm = 'b'")
    assert undone("x = 1\nm = 'b'\ny = 2\n", [one]) == "x = 1\nm = 'a'\ny = 2\n"
