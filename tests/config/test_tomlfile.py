"""Every key of a TOML text is found on the line where it stands."""

import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config.tomlfile import TomlFile, line_numbers, read_toml
from openfusion_auto.errors import ConfigError

TRICKY = '''\
# head
a = 1
"quoted.key" = 2 # [not.a.table]
b.c = """
[no]
x = 3 \\""" still """""
d = \'\'\'
y = 4
\'\'\'\'\'
dates = [1979-05-27 07:32:00, 1979-05-28]

[[rows]]
name = "one" # row 0
list = [
  { name = "x", deep = { z = 1 } },
  # between
  { name = "y" }, [1, 2],
]
[rows.sub]
k = "#["
[[rows]]
name = 'two'
[ rows . "sub" ]
k = 1
[[rows.inner]]
v = true
[[rows.inner]]
v = false
[last]
e = {}
f = []
'''


def test_each_kind_of_statement_is_found_on_its_line():
    lines = line_numbers(TRICKY)
    text = TRICKY.splitlines()
    expected = {
        ("a",): "a = 1",
        ("quoted.key",): '"quoted.key"',
        ("b", "c"): "b.c",
        ("d",): "d = '''",
        ("dates",): "dates",
        ("rows", 0, "name"): 'name = "one"',
        ("rows", 0, "list", 0, "deep", "z"): "deep",
        ("rows", 0, "list", 1, "name"): '"y"',
        ("rows", 0, "list", 2, 1): "[1, 2]",
        ("rows", 0, "sub"): "[rows.sub]",
        ("rows", 0, "sub", "k"): 'k = "#["',
        ("rows", 1, "name"): "'two'",
        ("rows", 1, "sub"): "[ rows",
        ("rows", 1, "inner", 1, "v"): "v = false",
        ("last", "f"): "f = []",
    }
    for loc, part in expected.items():
        assert part in text[lines[loc] - 1], loc
    assert lines["rows", 1] == text.index("[[rows]]", 20) + 1


def test_no_line_is_made_up_from_a_string_or_a_comment():
    lines = line_numbers(TRICKY)
    assert not {("no",), ("x",), ("y",), ("not",)} & set(lines)


def walk(value, loc=()):
    if loc:
        yield loc
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, (*loc, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, (*loc, index))


scalars = st.one_of(
    st.integers(-(2**40), 2**40), st.booleans(), st.floats(allow_nan=False), st.text(max_size=12),
    st.dates(),
)  # fmt: skip
keys = st.text(max_size=6)
tables = st.recursive(
    st.dictionaries(keys, scalars, max_size=3),
    lambda inner: st.dictionaries(
        keys, st.one_of(scalars, inner, st.lists(st.one_of(scalars, inner), max_size=3)), max_size=4
    ),
    max_leaves=12,
)


@given(tables, st.booleans())
def test_every_location_of_any_file_has_a_line(data, multiline):
    text = tomli_w.dumps(data, multiline_strings=multiline)
    parsed = tomllib.loads(text)
    lines = line_numbers(text)
    assert set(lines) == set(walk(parsed))
    assert all(1 <= n <= text.count("\n") + 1 for n in lines.values())


@given(tables, st.integers(0, 20))
def test_lines_follow_the_text_when_it_moves_down(data, blank):
    text = tomli_w.dumps(data)
    moved = line_numbers("# c\n" * blank + text)
    assert moved == {loc: line + blank for loc, line in line_numbers(text).items()}


def test_where_falls_back_to_the_enclosing_table_and_then_to_the_file(tmp_path):
    path = tmp_path / "f.toml"
    path.write_text("[a]\nb = 1\n")
    file = read_toml(path, "f.toml")
    assert file.where(("a", "b")) == "f.toml:2"
    assert file.where(("a", "missing", 3)) == "f.toml:1"
    assert file.where(("zz",)) == "f.toml"
    assert isinstance(file, TomlFile)


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    file = read_toml(path, "f.toml")
    assert file.data == {"a": 1, "b": 2}
    assert file.where(("b",)) == "f.toml:2"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a = \xff", "is not UTF-8 (byte 4)"),
        (b"a = = 1", "is not valid TOML"),
        (b"a = 1\na = 2\nb = 3\n", "line 2"),
        (b"a = " + b"[" * 20_000 + b"]" * 20_000, "nested too deeply"),
        (b"a = " + b"9" * 10_000, "is not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_refused_by_name(tmp_path, content, part):
    path = tmp_path / "f.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(path, "shown.toml")
    assert caught.value.message.startswith("shown.toml: ")
    assert part in caught.value.message


def test_a_missing_file_is_refused_with_the_reason(tmp_path):
    with pytest.raises(ConfigError, match=r"gone.toml: cannot be read \(No such file"):
        read_toml(tmp_path / "gone.toml", "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_toml(tmp_path, "folder")
