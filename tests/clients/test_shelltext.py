"""Shell files: one block of ours at the end."""

from __future__ import annotations

import pytest

from openfusion_auto.clients.editor import BEGIN, END, put_in, take_out
from openfusion_auto.clients.plan import Rules
from openfusion_auto.clients.shelltext import ShellEditor
from openfusion_auto.errors import ConfigError

EDITOR = ShellEditor()
RULES = Rules(own=frozenset({("block",)}))
OURS = {"block": "a\nb"}


def test_the_block_stands_at_the_end():
    assert put_in(EDITOR, "x", OURS, RULES).text == f"x\n{BEGIN}\na\nb\n{END}\n"
    assert put_in(EDITOR, "x\r\n", OURS, RULES).text == f"x\r\n{BEGIN}\r\na\r\nb\r\n{END}\r\n"
    assert put_in(EDITOR, "", OURS, RULES).text == f"{BEGIN}\na\nb\n{END}\n"


def test_an_edited_block_is_replaced_and_taken_out_whole():
    edit = put_in(EDITOR, "x\n", OURS, RULES)
    edited = edit.text.replace("b\n", "c\n") + "y\n"
    assert put_in(EDITOR, edited, OURS, RULES).text == f"x\ny\n{BEGIN}\na\nb\n{END}\n"
    assert take_out(EDITOR, edited, edit.changes, edit.splices, RULES) == "x\ny\n"


@pytest.mark.parametrize(
    ("text", "line"), [(f"x\n{BEGIN}\na\n", 2), (f"{END}\n", 1), (f"{END}\n{BEGIN}\n", 2)]
)
def test_a_block_without_one_of_its_marks_is_refused(text, line):
    with pytest.raises(ConfigError, match=rf"^{line}: our block has lost"):
        EDITOR.data(text)


def test_the_line_is_that_of_the_block():
    assert EDITOR.line(f"x\ny\n{BEGIN}\na\n{END}\n", ("block",)) == 3
    assert EDITOR.line("x\n", ("block",)) == 1
    assert EDITOR.raw(f"{BEGIN}\na\n{END}\n", ("block",)) == "a"
    assert EDITOR.value("a") == "a"
