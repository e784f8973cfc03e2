"""Expressions mean what Python's do, and take time that grows with the text alone."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.pattern import (
    MOST_NEXT,
    MOST_SETS,
    MOST_STATES,
    Refused,
    compiled,
    lowered,
)

ATOMS = st.sampled_from(
    ["a", "b", "ab", ".", r"\w", r"\d", r"\s", "[ab]", "[^a]", "[a-c_]", r"\b", r"\B", "^", "$", r"\.", r"[\W1]", ""]
)  # fmt: skip
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"(?:{p[0]}|{p[1]})"),
        st.tuples(
            inner, st.sampled_from(["*", "+", "?", "*?", "{0,2}", "{1,3}", "{2}", "{1,}"])
        ).map(lambda p: f"({p[0]}){p[1]}"),
    ),
    max_leaves=8,
)
# Not the empty text: what `\B` means there changed with Python 3.14.
TEXTS = st.text("abcAB_1 .\n", min_size=1, max_size=12)


@given(EXPRESSIONS, TEXTS)
def test_it_finds_where_python_finds(source, text):
    found = compiled(source).search(text)
    # `$` also matches before a last line's end in Python; here it is the end alone.
    theirs = re.compile(source.replace("$", r"\Z"), re.IGNORECASE)
    assert (found is not None) == (theirs.search(text) is not None)


@given(EXPRESSIONS, TEXTS)
def test_what_it_found_is_the_match_that_ends_first_and_begins_last(source, text):
    found = compiled(source).search(text)
    # Python's engine matches from a place on and sees what stands before it; where to end is said by lookahead.
    spans = [
        (end, -start)
        for start in range(len(text) + 1)
        for end in range(start, len(text) + 1)
        if re.compile(f"(?i:{source})(?=(?s:.{{{len(text) - end}}})\\Z)".replace("$", r"\Z")).match(
            text, start
        )
    ]
    assert (found and (found[1], -found[0])) == (min(spans) if spans else None)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        (r"\bgit\s+push\b.*--force", "then GIT  push origin --force please", "GIT  push origin --force"),
        (r"(terraform|tofu) (apply|destroy)", "run Tofu destroy", "Tofu destroy"),
        ("naïve|straße", "eine STRASSE, eine Straße", "Straße"),
        (r"[А-Я]{3}", "это абв", "это"),
        ("v[0-9]+$", "tag v1 as v20", "v20"),
        ("^fix", "fix it", "fix"),
    ],
)  # fmt: skip
def test_it_says_what_it_found(source, text, found):
    start, end = compiled(source).search(text)
    assert text[start:end] == found


@pytest.mark.parametrize(
    "source",
    ["(a+)+$", "(a|a)*b", "(a|aa)+$", "(.*)*x", ".*.*.*.*.*.*y", r"(\w+\s?)*!", "(a?){50}a{50}"],
)
def test_no_expression_makes_it_slow(source):
    machine = compiled(source)
    began = time.process_time()
    machine.search("a" * 3_000)
    machine.search("ab" * 1_500)
    assert time.process_time() - began < 3.0  # Python's engine would not end in a lifetime


def test_what_it_remembers_is_bounded():
    machine = compiled("(a|b)*a(a|b){9}c")
    text = "".join("ab"[(i * i // 7) % 2] for i in range(20_000))
    assert machine.search(text) is None
    assert len(machine._rows) <= MOST_SETS
    machine.search("".join(map(chr, range(0x4E00, 0x4E00 + 5_000))))
    assert all(
        len(r.after) <= MOST_NEXT and len(r.ends) <= MOST_NEXT for r in machine._rows.values()
    )


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("(", "is not a regular expression: missing ), unterminated subpattern at position 0"),
        ("a{2,1}", "is not a regular expression"),
        ("a(?=b)", "uses assert, which cannot be searched in linear time"),
        ("(?<!a)b", "uses assert not"),
        (r"(a)\1", "uses groupref"),
        ("a++", "uses possessive repeat"),
        ("(?>a)", "uses atomic group"),
        ("(?s)a.b", "must not set flags"),
        ("(?s:a.b)", "must not set flags"),
        ("(?x) a", "must not set flags"),
        ("a{5000}", f"is too large (over {MOST_STATES} states)"),
        ("(((a{30}){30}){30}){30}", "is too large"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_reason(source, says):
    with pytest.raises(Refused, match=re.escape(says)):
        compiled(source)


def test_an_expression_that_is_nested_too_deeply_is_refused():
    with pytest.raises(Refused):
        compiled("(" * 4_000 + "a" + ")" * 4_000)


@given(st.text(max_size=30))
def test_lower_case_keeps_every_place(text):
    assert len(lowered(text)) == len(text)
