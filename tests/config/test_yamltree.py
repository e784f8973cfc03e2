"""Plain YAML is read as a whole parser reads it; anything else is refused with its line."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config.yamltree import read_yaml
from openfusion_auto.errors import ConfigError

GOOD = """\
---
# a comment
preset: budget
router:
  enabled: true   # inside a line
  mode: heuristic
panel:
- model: anthropic/claude-haiku-4.5
  label: "a: #1"
- model: 'it''s'
list:
  - 1
  - -2.5
  - yes please
  -
    deep: [a, "b", 3]
empty:
none: null
url: http://127.0.0.1:8000/v1
hash: a#b
last: ""
"""


def test_plain_yaml_is_read_as_a_whole_parser_reads_it():
    assert read_yaml(GOOD, "f") == yaml.safe_load(GOOD)
    assert read_yaml("", "f") is read_yaml("# nothing\n", "f") is None
    assert read_yaml("- a\n- b: 1\n  c: 2\n", "f") == ["a", {"b": 1, "c": 2}]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a: 1\na: 2\n", 2, "a second time"),
        ("a:\n\tb: 1\n", 2, "tab"),
        ("a: &x 1\n", 1, "more than one plain line"),
        ("a: |\n  text\n", 1, "more than one plain line"),
        ("a: {b: 1}\n", 1, "more than one plain line"),
        ("a: !!str 1\n", 1, "more than one plain line"),
        ("a: b: c\n", 1, "more than one plain line"),
        ('a: "\\q"\n', 1, "escape"),
        ("a: 1\n  b: 2\n", 2, "indented more"),
        ("just words\n", 1, "no key"),
        ("  a: 1\nb: 2\n", 2, "does not fit"),
        ("\n".join("  " * i + "k:" for i in range(30)) + "\n", 18, "nested too deeply"),
    ],
)
def test_what_is_more_is_refused_with_its_line(text, line, why):
    with pytest.raises(ConfigError) as found:
        read_yaml(text, "f.yaml")
    assert found.value.message.startswith(f"f.yaml:{line}: ")
    assert why in found.value.message


@given(
    st.recursive(
        st.booleans()
        | st.integers(-999, 999)
        | st.sampled_from(["a", "x/y-1.5", "two words", "1:2"]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.sampled_from("abc"), inner, min_size=1)
        ),
        max_leaves=8,
    )
)
def test_what_a_writer_wrote_is_read_back(value):
    text = yaml.safe_dump({"top": value}, default_flow_style=False)
    assert read_yaml(text, "f") == {"top": value}


@given(st.text(alphabet="ab:-# \n[]'\"{}&|1\t", max_size=40))
def test_any_text_is_read_or_refused(text):
    said = "f:"
    try:
        read_yaml(text, "f")
    except ConfigError as error:
        said = error.message
    assert said.startswith("f:")
