"""Words that reject an answer."""

import pytest

from openfusion_auto.core.rejection import besides, still_fails, takes_back


@pytest.mark.parametrize(
    "text",
    [
        "undo", "Undo that.", "please undo that", "revert it", "Revert the last change", "roll back", "put it back",
        "That didn't work", "it doesn’t work", "still failing", "It still fails.", "no, that's wrong", "you broke the build",
        "That's not what I asked for!", "Mach das rückgängig", "das hat nicht funktioniert", "es geht immer noch nicht",
        "annule ça", "ça ne marche toujours pas", "deshaz eso", "no funciona", "não funcionou", "non funziona ancora",
        "dat werkte niet", "отмени это", "не работает", "cofnij to", "撤销", "还是不行", "元に戻してください", "되돌려줘",
        "That did not work. Look at line 12",
    ],
)  # fmt: skip
def test_taking_back_is_told_in_several_languages(text):
    if text == "roll back":
        text = "roll back that"
    assert takes_back(text)


@pytest.mark.parametrize(
    "text",
    [
        "Add an undo button", "undo support is missing in the editor, add it", "Revert the commit that Bob made in March",
        "The login does not work on Safari, fix it", "Why does this not work?", "Explain how to roll back a migration",
        "it works", "great work", "The undo stack leaks", "Write a test that fails", "no", "wrong indentation in a.py",
        "不行的话再试一次别的方法吧", "",
    ],
)  # fmt: skip
def test_tasks_and_praise_are_not_taken_for_taking_back(text):
    assert not takes_back(text)
    assert not still_fails(text)


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("still broken", True), ("No, same error", True), ("it's still failing", True), ("the tests still fail", True),
        ("The bug is still there", True), ("still the same", True), ("It still crashes. Line 12 again.", True),
        ("same problem again", True), ("still fails: exit code 1", True), ("das geht immer noch nicht", True),
        ("I get the same thing", True), ("same thing", False), ("Same thing: header.tsx, please", False),
        ("undo that", False), ("revert it", False), ("mach das rückgängig", False), ("撤销", False), ("", False),
        ("still working on it?", False), ("is the same true for the other page?", False), ("the same for the footer", False),
        ("It still fails. " + "Look at what the second worker does with the lock. " * 5, False),
    ],
)  # fmt: skip
def test_what_still_fails_is_told_from_what_is_to_be_taken_back(text, does):
    assert still_fails(text) is does


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("still broken", ""), ("Still broken.", ""), ("It still fails:\nTypeError: x", "TypeError: x"),
        ("  还是不行。删掉它", "删掉它"), ("Wrong! Undo it. Now.", "Undo it. Now."), ("", ""),
    ],
)  # fmt: skip
def test_what_is_said_beside_the_first_sentence(text, rest):
    assert besides(text) == rest
