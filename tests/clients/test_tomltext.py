"""TOML: what is edited, and by which way when tomlkit cannot."""

from __future__ import annotations

import datetime as dt
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients import tomltext
from openfusion_auto.clients.editor import BEGIN, END, put_in, take_out
from openfusion_auto.clients.plan import Change, Restore, Rules
from openfusion_auto.clients.tomltext import TomlEditor
from openfusion_auto.errors import ConfigError

EDITOR = TomlEditor()
NONE = Rules()
TEMPLATE = {"model": "m", "p": {"ours": {"url": "u", "wire": "w"}}}
OURS = Rules(own=frozenset({("p", "ours")}))


def put(text, template=TEMPLATE, rules=NONE):
    return put_in(EDITOR, text, template, rules)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\nb =\n", 2),
        ("a = 1\na = 2", 2),
        ("x = [1,\n2", 2),
        ("a = " + "[" * 5000, 1),
        ("a = 9" + "9" * 5000, 1),
    ],
)
def test_what_is_no_toml_names_its_line(text, line):
    with pytest.raises(ConfigError, match=rf"^{line}: is "):
        EDITOR.data(text)


def test_new_keys_stand_in_blocks_in_front_and_behind():
    text = put("# mine\nx = 1\n[t]\ny = 2\n").text
    assert text == (
        f'{BEGIN}\nmodel = "m"\n{END}\n\n# mine\nx = 1\n[t]\ny = 2\n'
        f'\n{BEGIN}\n[p.ours]\nurl = "u"\nwire = "w"\n{END}\n'
    )


def test_schema_comments_stay_the_first_lines():
    assert put("#:schema x\n#:other\ny = 1\n").text.startswith(f"#:schema x\n#:other\n{BEGIN}\n")
    assert put("#:schema x").text.startswith(f"#:schema x\n{BEGIN}\n")


def test_a_value_is_replaced_where_it_stands_with_its_comment():
    assert put("  model = 'old'  # why\n", {"model": "m"}).text == '  model = "m"  # why\n'


def test_in_an_inline_table_ours_is_inline_too():
    text = put("p = { a = { b = 1 } } # c\n").text
    assert text.endswith('p = { a = { b = 1 }, ours = {url = "u", wire = "w"}} # c\n')


@pytest.mark.parametrize(
    "text",
    [
        '[p.ours] # here\nurl = "x"\n[z]\n',
        "[p.ours]",
        "[\"p\".'ours']\r\nother = 1\r\n",
        'p.ours.url = "x"\nq = 1\n',
        "p.ours.other = 1\n[z]\n",
        '[p]\nours.url = "x"\n',
    ],
)
@pytest.mark.parametrize("works", [True, False], ids=["tomlkit", "without tomlkit"])
def test_keys_are_added_to_a_table_that_is_there(text, works, monkeypatch):
    """Where tomlkit fails on a valid file there is a second way; both give the same data."""
    template = {"p": {"ours": {"wire": "w"}}}
    if not works:
        monkeypatch.setattr(tomltext, "_set", None)
    edit = put(text, template)
    found = tomllib.loads(edit.text)
    assert found["p"]["ours"]["wire"] == "w"
    found["p"]["ours"].pop("wire")
    assert found == tomllib.loads(text)
    if "\r\n" in text:
        assert edit.text.count("\r\n") == edit.text.count("\n")
    assert take_out(EDITOR, edit.text, edit.changes, edit.splices, NONE) == text


def test_where_no_way_is_safe_the_line_is_said(monkeypatch):
    monkeypatch.setattr(tomltext, "_set", None)
    with pytest.raises(ConfigError, match=r"^2: is written in a way"):
        put("x = 1\nmodel = 'a'\n", {"model": "m"})
    with pytest.raises(ConfigError, match=r"^2: is written in a way"):
        put("x = 1\np = {}\n", {"p": {"ours": {"a": 1}}})
    monkeypatch.setattr(tomltext, "_parse", None)
    with pytest.raises(ConfigError, match=r"^2: is written in a way"):
        put("x = 1\nmodel = 'a'\n", {"model": "m"})


def test_a_way_that_loses_a_comment_is_not_taken(monkeypatch):
    monkeypatch.setattr(tomltext, "_set", lambda *_: 'model = "m"\n')
    with pytest.raises(ConfigError):
        put("model = 'a' # why\n", {"model": "m"})


def test_another_kind_of_value_names_its_line():
    with pytest.raises(ConfigError, match=r"^3: 'p' is not a table"):
        put("x = 1\n\np = 5\n")
    with pytest.raises(ConfigError, match=r"^2: 'p.ours' is not a table"):
        put("[p]\nours = 5\n")


def test_without_its_splices_ours_is_taken_out_by_its_keys():
    old = "# c\nmodel = 'old' # why\n[z]\nx = 1\n"
    edit = put(old, rules=OURS)
    changed = edit.text.replace("x = 1", "x = 2").replace('url = "u"', 'url = "v"')
    assert (
        take_out(EDITOR, changed, edit.changes, (), OURS).strip()
        == old.replace("x = 1", "x = 2").strip()
    )


def test_without_our_marks_too():
    edit = put("[z]\nx = 1\n", rules=OURS)
    bare = edit.text.replace(END, "# end").replace(BEGIN, "# begin")
    left = take_out(EDITOR, bare, edit.changes, (), OURS)
    assert tomllib.loads(left) == {"z": {"x": 1}}


def test_keys_of_the_user_inside_our_block_are_not_lost():
    edit = put("[z]\nx = 1\n", rules=OURS)
    mixed = edit.text.replace('model = "m"\n', 'model = "m"\nmine = 1\n')
    left = take_out(EDITOR, mixed, edit.changes, edit.splices, OURS)
    assert tomllib.loads(left) == {"mine": 1, "z": {"x": 1}}
    assert BEGIN not in left


def test_what_cannot_be_told_apart_is_refused_with_its_line(monkeypatch):
    edit = put("[z]\nx = 1\n", rules=OURS)
    monkeypatch.setattr(tomltext, "_restored", None)
    mixed = edit.text.replace('model = "m"\n', 'model = "m"\nmine = 1\n')
    with pytest.raises(ConfigError, match=r"^\d+: our part was changed by hand"):
        take_out(EDITOR, mixed, edit.changes, edit.splices, OURS)


def test_raw_values_are_as_written_and_read_back():
    text = "a = '''x'''\nb.c = 1_000 # n\n[t]\nd = 1979-05-27\n"
    assert EDITOR.raw(text, ("a",)) == "'''x'''"
    assert EDITOR.raw(text, ("b", "c")) == "1_000"
    assert EDITOR.value(EDITOR.raw(text, ("t", "d"))) == dt.date(1979, 5, 27)


def test_lines_are_those_of_the_nearest_thing_around():
    text = "x = 1\n\n[t]\ny = 2\n"
    assert EDITOR.line(text, ("t", "y")) == 4
    assert EDITOR.line(text, ("t", "no")) == 3
    assert EDITOR.line(text, ("no",)) == 1


def test_nothing_to_delete_is_no_change():
    assert list(EDITOR.restored("x = 1\n", [Restore(("y",), None)])) == ["x = 1\n", "x = 1\n"]
    assert list(EDITOR.steps("x = 1\n", [])) == []
    assert list(EDITOR.steps("x = 1\n", [Change(("y",), 2)]))[-1].endswith("x = 1\n")


KEYS = st.sampled_from(["a", "b c", "model", "é", '"'])
VALUES = st.integers() | st.text(max_size=5) | st.booleans() | st.floats()


@given(
    st.dictionaries(KEYS, VALUES | st.dictionaries(KEYS, VALUES, max_size=3), max_size=4),
    st.booleans(),
)
def test_any_data_gets_ours_and_gives_it_back(data, crlf):
    import tomli_w

    text = tomli_w.dumps(data)
    text = text.replace("\n", "\r\n") if crlf else text
    template = {"model": "m", "zz": {"ours": {"x": 1}}}
    if isinstance(data.get("model"), dict):
        data.pop("model")
        text = tomli_w.dumps(data)
    edit = put(text, template)
    found = tomllib.loads(edit.text)
    assert found["model"] == "m"
    assert found["zz"] == {"ours": {"x": 1}}
    assert take_out(EDITOR, edit.text, edit.changes, edit.splices, NONE) == text
