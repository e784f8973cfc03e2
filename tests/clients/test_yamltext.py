"""YAML: what is understood is edited, everything else is left alone with its line."""

from __future__ import annotations

import pytest

from openfusion_auto.clients.editor import BEGIN, END, put_in, take_out
from openfusion_auto.clients.plan import Restore, Rules
from openfusion_auto.clients.yamltext import YamlEditor
from openfusion_auto.errors import ConfigError

EDITOR = YamlEditor()
NONE = Rules()
ITEMS = Rules(items={("models",): "name"}, keep=frozenset({("version",)}))
ELEMENT = EDITOR.data("models:\n  - name: Ours\n    roles: [chat]\n    deep:\n      x: 1\n", ITEMS)


def put(text, template, rules=NONE):
    return put_in(EDITOR, text, template, rules).text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n{b: 2}\n", 2), ("- a\n", 1), ("a: 1\n---\nb: 2\n", 2), ("a: 1\n...\n", 2), ("? a\n: b\n", 1),
        ("%YAML 1.2\n---\na: 1\n", 1), ("text\n", 1), ('a: "x\n  y"\n', 1), ("a: 'x\n", 1), ("a: {b: 1,\n c: 2}\n", 1),
        ("a: [1,\n2]\n", 1), ("\ta: 1\n", 1), ("  a: 1\n", 1), ("--- a: 1\n", 1), ("a: 1\nb: 2\na: 3\n", 3),
        ("a:1\n", 1),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_line(text, line):
    with pytest.raises(ConfigError, match=rf"^{line}: "):
        EDITOR.data(text)


def test_values_are_read_without_quotes_and_comments():
    text = "a: x # c\n\"b\": 'it''s'\nc: \"x: # y\"\nd:\n  - 1\ne: http://h:1/v1 # d\n'f g': [1]\n"
    assert EDITOR.data(text) == {
        "a": "x", "b": "it's", "c": "x: # y", "d": "\n  - 1", "e": "http://h:1/v1", "f g": "[1]",
    }  # fmt: skip


def test_one_line_values_are_replaced_new_keys_stand_in_a_block():
    assert put("a: x # c\r\n", {"a": "y", "n": "z"}) == f"a: y # c\r\n{BEGIN}\r\nn: z\r\n{END}\r\n"
    assert put("a: 'x'", {"a": "y"}) == "a: y"


@pytest.mark.parametrize(
    "text", ["a:\n  - 1\n", "a: |\n  x\n", "a: [1]\n", "a: &x y\n", "a: one\n  two\n", "a:\n"]
)
def test_a_value_over_several_lines_is_not_replaced(text):
    with pytest.raises(ConfigError, match=r"^1: 'a' is set in a way"):
        put(text, {"a": "y"})


def test_an_element_goes_in_front_of_the_others_with_their_indentation():
    text = put("models:\n    -  name: A\n       x: 1\nz: 1\n", ELEMENT, ITEMS)
    assert text == (
        f"models:\n    {BEGIN}\n    - name: Ours\n      roles: [chat]\n      deep:\n        x: 1\n    {END}\n"
        "    -  name: A\n       x: 1\nz: 1\n"
    )
    assert put("models:", ELEMENT, ITEMS).startswith(f"models:\n  {BEGIN}\n  - name: Ours\n")
    assert put("", ELEMENT, ITEMS).startswith(
        f"{BEGIN}\nmodels:\n  - name: Ours\n    roles: [chat]\n"
    )


def test_an_element_that_is_there_is_known_however_it_is_indented():
    for text in (
        "models:\n- name: Ours\n  roles: [chat]\n  deep:\n    x: 1\n",
        "models:\n   -   name: Ours\n       roles: [chat]\n       # why\n\n       deep:\n         x: 1\n",
    ):
        assert put_in(EDITOR, text, ELEMENT, ITEMS).changes == ()


def test_an_element_of_our_name_by_hand_is_not_replaced():
    with pytest.raises(ConfigError, match=r"^1: 'models' is set in a way"):
        put("models:\n  - name: Ours\n    roles: [edit]\n", ELEMENT, ITEMS)


@pytest.mark.parametrize("text", ["models: []\n", "models: [{name: A}]\n", "models: *all\n"])
def test_a_list_on_one_line_is_refused(text):
    with pytest.raises(ConfigError, match=r"^1: 'models' is a list on one line"):
        put(text, ELEMENT, ITEMS)


def test_a_mapping_where_a_list_is_needed_is_refused():
    with pytest.raises(ConfigError, match=r"^2: is YAML of a kind"):
        put("models:\n  a: 1\n", ELEMENT, ITEMS)


def test_keys_to_keep_stay():
    assert put("version: 7\n", {"version": "1"}, ITEMS) == "version: 7\n"


def test_after_edits_the_old_value_comes_back_and_ours_goes():
    edit = put_in(EDITOR, "a: x # c\nb: 1\n", {"a": "y", "n": "z"}, NONE)
    edited = edit.text.replace("# c", "# d").replace("b: 1", "b: 2")
    assert take_out(EDITOR, edited, edit.changes, edit.splices, NONE) == "a: x # d\nb: 2\n"


def test_a_key_of_ours_outside_its_marks_goes_too():
    edit = put_in(EDITOR, "b: 1\n", {"n": "z"}, NONE)
    bare = edit.text.replace(BEGIN + "\n", "").replace(END + "\n", "")
    assert take_out(EDITOR, bare, edit.changes, edit.splices, NONE) == "b: 1\n"
    assert list(EDITOR.restored("b: 1\n", [Restore(("n",), None)])) == ["b: 1\n"]


def test_a_key_of_the_user_inside_our_block_is_not_lost_silently():
    edit = put_in(EDITOR, "b: 1\n", {"n": "z"}, NONE)
    mixed = edit.text.replace("n: z\n", "n: z\nmine: 1\n")
    with pytest.raises(ConfigError, match=r"^3: our part was changed by hand"):
        take_out(EDITOR, mixed, edit.changes, edit.splices, NONE)


def test_lines_and_raw_values():
    text = "# c\na: 'x'  # d\n"
    assert EDITOR.line(text, ("a",)) == 2
    assert EDITOR.line(text, ("no",)) == 1
    assert EDITOR.raw(text, ("a",)) == "'x'"
    assert EDITOR.value("'x'") == "x"
