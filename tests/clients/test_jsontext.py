"""JSON and JSONC: read as others read it, edited without touching anything else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients.editor import put_in, take_out
from openfusion_auto.clients.jsontext import JsonEditor
from openfusion_auto.clients.plan import Item, Restore, Rules
from openfusion_auto.errors import ConfigError

EDITOR = JsonEditor()
NONE = Rules()
ITEMS = Rules(items={("list",): "id"})


def put(text, template, rules=NONE):
    return put_in(EDITOR, text, template, rules).text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{\n  a: 1\n}", 2), ("{'a': 1}", 1), ('{"a": 1\n\n"b": 2}', 3), ('{"a": NaN}', 1), ("[1]", 1), ("5", 1),
        ('{"a": 1,, }', 1), ("{,}", 1), ('{"a": [,]}', 1), ('{"a": 1} x', 1), ('{"a": "\n"}', 1),
        ('{"a": ' + "[" * 100_000, 1), ('{"a": /* open }', 1), ('{"a":,}', 1), ('{"a" 1}', 1), ('{"a": 1/2}', 1),
    ],
)  # fmt: skip
def test_what_is_no_json_names_its_line(text, line):
    with pytest.raises(ConfigError, match=rf"^{line}: is "):
        EDITOR.data(text)


def test_comments_and_trailing_commas_are_read_over():
    text = '// a\n{"a": [1, 2, /* x */ ], // ,}\n "b//": "/* no */,]", /* y */ /* z */ // w\n}\n'
    assert EDITOR.data(text) == {"a": [1, 2], "b//": "/* no */,]"}
    assert EDITOR.data("  \n") == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{}", '{\n  "k": 1\n}'),
        ("{\n}\n", '{\n  "k": 1\n}\n'),
        ('{"a": 1}', '{"a": 1, "k": 1}'),
        ('{"a": 1,}', '{"a": 1, "k": 1}'),
        ('{\n\t"a": 1\n}', '{\n\t"a": 1,\n\t"k": 1\n}'),
        ('{\n  "a": 1, // one\n}', '{\n  "a": 1, // one\n  "k": 1\n}'),
        ('{\n  "a": 1 // one\n  // last\n}', '{\n  "a": 1, // one\n  "k": 1\n  // last\n}'),
        ('{\r\n  "a": 1 // one\r\n}', '{\r\n  "a": 1, // one\r\n  "k": 1\r\n}'),
        ("{\n  // none\n}", '{\n  // none\n\n  "k": 1\n}'),
        ('{"k": 0}', '{"k": 1}'),
        ('{"k": /* old */ [1, {"k": 2}], "b": 2}', '{"k": /* old */ 1, "b": 2}'),
    ],
)
def test_a_value_is_put_in_as_the_file_is_written(old, new):
    assert put(old, {"k": 1}) == new.replace('1, "k": 1}', '1, "k": 1}')


def test_a_blank_file_becomes_an_object():
    assert put("", {"k": {"a": 1}}) == '{\n  "k": {\n    "a": 1\n  }\n}\n'
    assert put("\r\n", {"k": 1}) == '{\r\n  "k": 1\r\n}\r\n'
    assert list(EDITOR.steps("", [])) == []


def test_deep_values_take_the_files_own_indentation():
    old = '{\n\t"env": {\n\t\t"A": "1"\n\t}\n}\n'
    assert put(old, {"env": {"B": {"c": 1}}}) == (
        '{\n\t"env": {\n\t\t"A": "1",\n\t\t"B": {\n\t\t\t"c": 1\n\t\t}\n\t}\n}\n'
    )


def test_a_new_element_comes_first():
    new = {"list": [{"id": "x"}]}
    assert put('{"list": [{"id": "y"}]}', new, ITEMS) == '{"list": [{"id": "x"}, {"id": "y"}]}'
    assert put('{"list": []}', new, ITEMS) == '{"list": [\n  {\n    "id": "x"\n  }\n]}'
    lines = '{\n  "list": [\n    // mine\n    {"id": "y"}\n  ]\n}'
    assert put(lines, new, ITEMS) == (
        '{\n  "list": [\n    // mine\n    {\n      "id": "x"\n    },\n    {"id": "y"}\n  ]\n}'
    )


def test_of_equal_keys_the_last_one_counts():
    assert put('{"k": 1, "k": 2}', {"k": 3}) == '{"k": 1, "k": 3}'


@pytest.mark.parametrize(
    ("text", "path", "left"),
    [
        ('{"a": 1, "k": 2}', ("k",), '{"a": 1}'),
        ('{"k": 2, "a": 1}', ("k",), '{"a": 1}'),
        ('{"k": 2}', ("k",), "{}"),
        ('{"a": 1, "k": 2, "b": 3}', ("k",), '{"a": 1, "b": 3}'),
        (
            '{\n  "a": 1,\n  "k": 2, // ours\n  "b": 3\n}',
            ("k",),
            '{\n  "a": 1,\n  // ours\n  "b": 3\n}',
        ),
        ('{\n  "a": 1,\n  "k": 2,\n  "b": 3\n}', ("k",), '{\n  "a": 1,\n  "b": 3\n}'),
        ('{\n  "a": 1, // one\n  "k": 2\n}', ("k",), '{\n  "a": 1 // one\n}'),
        ('{"l": [{"id": "x"}, {"id": "y"}]}', ("l", Item("id", "x")), '{"l": [{"id": "y"}]}'),
        ('{"l": [{"id": "x"}, {"id": "y"}]}', ("l", Item("id", "y")), '{"l": [{"id": "x"}]}'),
    ],
)
def test_a_value_is_deleted_with_one_comma(text, path, left):
    (found,) = EDITOR.restored(text, [Restore(path, None)])
    assert found == left


def test_a_value_is_put_back_as_it_was_written():
    (found,) = EDITOR.restored('{"a": 1, "k": 2}', [Restore(("k",), "[1,  2]")])
    assert found == '{"a": 1, "k": [1,  2]}'


def test_raw_values_and_lines():
    text = '{\n "a": {"b": [1,  2] } // x\n}'
    assert EDITOR.raw(text, ("a", "b")) == "[1,  2]"
    assert EDITOR.value("[1,  2]") == [1, 2]
    assert EDITOR.line(text, ("a", "no")) == 2
    assert EDITOR.line(text, ("no",)) == 1


def test_another_kind_of_value_names_its_line():
    with pytest.raises(ConfigError, match=r"^3: 'a.b' is not a table"):
        put('{\n"a": {\n"b": 5}}', {"a": {"b": {"c": 1}}})


KEYS = st.sampled_from(["a", "k", "list", 'q"', "é", "//", "/*"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
COMMENTS = st.sampled_from(["", " ", "\n", "// c, }\n", "/* { */", "\r\n\t", "  // 'x\n  "])


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from([None, 2, "\t"]), st.data())
def test_any_json_with_comments_gets_ours_and_gives_it_back(data, indent, draw):
    text = ""
    quoted = escaped = False
    for char in json.dumps(data, indent=indent, ensure_ascii=False):
        text += char
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        if not quoted and char in "{}[],:":
            text += draw.draw(COMMENTS)
    assert EDITOR.data(text) == data
    template = {"k": {"x": 1}, "new": "v"} if isinstance(data.get("k", {}), dict) else {"new": "v"}
    edit = put_in(EDITOR, text, template, NONE)
    found = EDITOR.data(edit.text)
    assert found["new"] == "v"
    assert take_out(EDITOR, edit.text, edit.changes, edit.splices, NONE) == text
    assert EDITOR.data(take_out(EDITOR, edit.text, edit.changes, (), NONE)) == data
