"""Seals: one form of the bytes, every part covered once, a change found in its part."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.digest import digest, plain
from openfusion_auto.evals.seal import (
    broken_seals,
    differing,
    escaped,
    first_difference,
    rendered,
    sealed,
    seals_of,
)

LEAVES = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    LEAVES | FLOATS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
DOCUMENTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5).map(plain)


@given(DOCUMENTS)
def test_what_is_rendered_reads_back_and_renders_the_same(document):
    data = rendered(document)
    assert plain(json.loads(data)) == document
    assert rendered(plain(json.loads(data))) == data
    assert data.isascii()
    assert data.endswith(b"\n")


@given(DOCUMENTS)
def test_the_order_of_members_does_not_matter(document):
    turned = dict(reversed(document.items()))
    assert rendered(turned) == rendered(document)
    assert sealed(turned)["digest"] == sealed(document)["digest"]


@given(DOCUMENTS, st.data())
def test_a_changed_leaf_breaks_the_seal_of_its_part_and_no_other(document, data):
    whole = sealed({k: v for k, v in document.items() if k not in ("seals", "digest", "signature")})
    changed = copy.deepcopy(whole)
    places = list(leaves({k: v for k, v in changed.items() if k not in ("seals", "digest", "signature")}, ()))  # fmt: skip
    if not places:
        return
    path = data.draw(st.sampled_from(places))
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = "changed" if holder[path[-1]] != "changed" else "again"
    (broken,) = broken_seals(changed)
    pointer = "".join(f"/{escaped(str(p))}" for p in path)
    assert pointer.startswith(broken)
    assert pointer.count("/") - broken.count("/") == 1 or broken.count("/") == 4
    assert broken_seals(whole) == []


def leaves(value, path):
    """Paths of everything that is neither object nor list."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


def test_a_seal_that_is_missing_or_too_many_is_found():
    whole = sealed({"a": {"b": 1}})
    assert seals_of(whole) == whole["seals"]
    assert set(whole["seals"]) == {"", "/a"}
    less = {**whole, "seals": {"": whole["seals"][""]}}
    more = {**whole, "seals": {**whole["seals"], "/z": digest(1)}}
    assert broken_seals(less) == ["/a"]
    assert broken_seals(more) == ["/z"]
    assert broken_seals({**whole, "seals": "none"}) == ["", "/a"]


@pytest.mark.parametrize(
    ("written", "made", "places"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["/a"]),
        ({"a": 1}, {"b": 1}, ["/a", "/b"]),
        ({"a/b": [1, {"c": 2}]}, {"a/b": [1, {"c": 3}]}, ["/a~1b/1/c"]),
        ([1, 2], [1], ["/1"]),
        ([1], [1, 2, 3], ["/1"]),
        ({"a": {}}, {"a": None}, ["/a"]),
    ],
)
def test_differences_are_told_as_deep_as_they_are(written, made, places):
    assert list(differing(written, made)) == places


def test_the_first_different_byte_is_told_by_line_and_column():
    assert first_difference(b"ab\ncd", b"ab\ncd") is None
    assert first_difference(b"ab\ncx", b"ab\ncd") == "line 2, column 2"
    assert first_difference(b"xb\ncd", b"ab\ncd") == "line 1, column 1"
    assert first_difference(b"ab\n", b"ab\ncd") == "line 2, column 1"
