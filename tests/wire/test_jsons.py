from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.wire.jsons import (
    MAX_DEPTH,
    JsonError,
    as_count,
    as_object,
    decode,
    dumps,
    is_json,
    loads,
    loads_text,
    read_body,
)

from .chats import outcome

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=6)


@given(VALUES)
def test_what_is_dumped_is_loaded_again(value):
    assert loads(dumps(value)) == value


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_loads_agrees_with_the_standard_library_on_good_json(value, indent, ascii_only):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert loads((f" {text}\r\n").encode("utf-8", "surrogatepass")) == json.loads(text)


def test_dumps_is_compact_utf8_and_escapes_only_what_utf8_cannot_hold():
    assert dumps({"a": ["ü", 1]}) == '{"a":["ü",1]}'.encode()
    assert dumps({"a": "ü\ud800"}) == b'{"a":"\\u00fc\\ud800"}'


def test_dumps_refuses_numbers_that_are_not_finite():
    with pytest.raises(ValueError):
        dumps({"a": math.inf})


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"nope", b'{"a":', b"[1] [2]", b"[1]x", b"{'a':1}", b"[1,]", b'{"a":1,}', b"// c\n1", b'"\x00"',
        b'"a\nb"', b"NaN", b"-Infinity", b"[Infinity]", b"1e400", b"-1e400", b"1" * 5000, b"1" * 401,
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, b"\xff", b'"\xc0\xaf"',
        b'"\xed\xa0\x80"', "{}".encode("utf-16"), b"01", b"+1", b".5", b"tru",
    ],
)  # fmt: skip
def test_loads_refuses_what_is_not_json(bad):
    with pytest.raises(JsonError) as caught:
        loads(bad)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(("open_", "close"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded_at_the_same_depth_for_arrays_and_objects(open_, close):
    pad = b" " * (3 * MAX_DEPTH)
    good = open_ * MAX_DEPTH + b"1" + close * MAX_DEPTH + pad
    bad = open_ * (MAX_DEPTH + 1) + b"1" + close * (MAX_DEPTH + 1) + pad
    loads(good)
    with pytest.raises(JsonError, match="nested deeper"):
        loads(bad)


def test_many_shallow_brackets_are_not_deep():
    assert loads(b"[" + b"[]," * 1000 + b"{}]") == [[]] * 1000 + [{}]


def test_a_long_scalar_has_no_depth():
    assert loads(b'"' + b"x" * 1000 + b'"') == "x" * 1000


def test_a_byte_order_mark_is_tolerated():
    assert loads(b"\xef\xbb\xbf{}") == {}
    assert decode(b"\xef\xbb\xbfa") == "a"


def test_integers_stay_exact_and_duplicate_keys_take_the_last():
    assert loads_text('{"a":123456789012345678901234567890,"a":1}') == {"a": 1}
    assert loads(b"123456789012345678901234567890") == 123456789012345678901234567890


@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
def test_members_stand_where_the_body_says(value, indent, ascii_only):
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    body = read_body(raw)
    assert body == value
    assert [m.key for m in body.members] == list(value)
    for member in body.members:
        assert json.loads(raw[member.value : member.end]) == value[member.key]
        assert (
            json.loads(raw[member.start : member.value].rstrip(b" \n").removesuffix(b":"))
            == member.key
        )


def test_each_of_two_equal_keys_has_its_place():
    body = read_body('{"ü": "é", "a":1, "a" : 2}'.encode())
    assert body == {"ü": "é", "a": 2}
    assert [m.key for m in body.members] == ["ü", "a", "a"]


@pytest.mark.parametrize("other", [b"[1]", b"null", b' "x" ', b"1", b"true"])
def test_read_body_tells_other_json_from_an_object(other):
    assert read_body(other) is None


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"nope", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a" 1}', b"{1:2}", b'{"a":1,}', b'{"a":1 "b":2}',
        b'{"a":1}x', b'{"a":1}{}', b'{"a":1e999}', b'{"a":' + b"[" * 5000, b'{"a":NaN}', b"{,}", b"[1",
        b'{"a":"\n"}', b'{"a":' + b"1" * 5000 + b"}", b'{"a":' + b"[" * 400 + b"]" * 400 + b"}",
    ],
)  # fmt: skip
def test_read_body_refuses_broken_objects(bad):
    with pytest.raises(JsonError):
        read_body(bad)


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_a_json_error(data):
    for read in (loads, read_body):
        error = outcome(read, data, of=JsonError)
        assert not isinstance(error, JsonError) or str(error)


@pytest.mark.parametrize(
    ("value", "count"),
    [(None, 0), (0, 0), (7, 7), (10**8, 10**8), (10**8 + 1, None), (-1, None), (True, None), (7.0, None), ("7", None)],
)  # fmt: skip
def test_a_count_of_tokens_is_one_or_unknown(value, count):
    assert as_count(value) == count


@pytest.mark.parametrize(
    ("text", "whole"), [("{}", True), (" [1]\n", True), ("", False), ('{"a": ', False), ("NaN", False)]
)  # fmt: skip
def test_a_text_is_json_when_all_of_it_is(text, whole):
    assert is_json(text) is whole


def test_as_object_narrows():
    assert as_object({"a": 1}) == {"a": 1}
    assert as_object([1]) is None
