from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.jsons import read_body
from openfusion_auto.wire.splice import budgets_over, read_top_level, splice_top_level, traced

KEYS = ("a", "b", "c", "model", "ü")
VALUES = st.sampled_from([1, "x", [1, {"a": 2}], {"model": "no"}, True, "日"])


@st.composite
def objects(draw) -> bytes:
    members = {key: draw(VALUES) for key in draw(st.lists(st.sampled_from(KEYS), unique=True))}
    text = json.dumps(
        members,
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
        separators=draw(st.sampled_from([(",", ":"), (" , ", " : ")])),
    )
    return (draw(st.sampled_from(["", " \n"])) + text + draw(st.sampled_from(["", "\n"]))).encode()


EDITS = st.dictionaries(st.sampled_from((*KEYS, "new", "newer")), VALUES | st.none())


@given(objects(), EDITS)
def test_a_splice_changes_what_a_slow_one_changes(raw, edits):
    want = {k: v for k, v in {**json.loads(raw), **edits}.items() if edits.get(k, 1) is not None}
    assert json.loads(splice_top_level(read_top_level(raw), raw, edits)) == want


@given(objects(), EDITS)
def test_the_bytes_of_other_members_stay_in_their_order(raw, edits):
    body = read_top_level(raw)
    out = splice_top_level(body, raw, edits)
    kept = [raw[m.start : m.end] for m in body.members if m.key not in edits]
    again = [out[m.start : m.end] for m in read_top_level(out).members if m.key not in edits]
    assert kept == again


def test_a_trace_stands_last_and_nothing_else_changes():
    assert traced(b'{"id": 1.0 }\n', {"a": 1}) == b'{"id": 1.0 ,"openfusion":{"a":1}}'
    assert traced(b'{"id": 1.0 }\n', None) == b'{"id": 1.0 }\n'


@given(objects())
def test_no_edits_leave_the_bytes(raw):
    assert splice_top_level(read_top_level(raw), raw, {}) == raw
    assert splice_top_level(read_top_level(raw), raw, {"absent": None}) == raw


def test_places_are_read_anew_for_a_body_that_does_not_know_them():
    raw = b'{ "a" : 1.10 , "b" : 2 }'
    assert splice_top_level(json.loads(raw), raw, {"b": 3}) == b'{ "a" : 1.10 , "b" : 3 }'


def test_a_key_that_stands_twice_is_written_once():
    raw = b'{"model":"evil","x":1,"model":"good","openfusion":{},"openfusion":1}'
    out = splice_top_level(read_top_level(raw), raw, {"model": "m", "openfusion": None})
    assert out == b'{"model":"m","x":1}'


def test_an_empty_object_takes_members_and_may_lose_all():
    assert splice_top_level(read_top_level(b"{ }"), b"{ }", {"a": 1, "b": 2}) == b'{"a":1,"b":2 }'
    raw = b'{"a":1, "b":2}'
    assert splice_top_level(read_top_level(raw), raw, {"a": None, "b": None}) == b"{}"
    assert splice_top_level(read_top_level(raw), raw, {"a": None, "b": None, "c": 1}) == b'{"c":1}'


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"a":1,}', b"{}x", b'{"a":NaN}'])
def test_what_is_no_object_is_a_client_error(raw):
    with pytest.raises(BadRequest) as caught:
        read_top_level(raw, "'input'")
    assert caught.value.code == "invalid_json"


def test_the_message_names_what_the_dialect_needs():
    with pytest.raises(BadRequest, match="expected one with 'model' and 'input'"):
        read_top_level(b"[]", "'model' and 'input'")
    assert read_top_level(b'{"a":1}').members == read_body(b'{"a":1}').members


def test_budgets_for_reasoning_come_below_a_bound_or_go_where_too_little_is_left():
    said = {
        "reasoning": {"max_tokens": 5000, "exclude": True},
        "thinking": {"type": "enabled", "budget_tokens": 5000},
    }
    assert budgets_over(said, 5001) == {}
    assert budgets_over(said, 5000) == {
        "reasoning": {"max_tokens": 2500, "exclude": True},
        "thinking": {"type": "enabled", "budget_tokens": 2500},
    }
    assert budgets_over(said, 1000) == {"reasoning": {"exclude": True}, "thinking": None}
    assert budgets_over({"reasoning": {"max_tokens": 9}}, 5) == {"reasoning": None}
    assert budgets_over({"reasoning": "high", "thinking": {"budget_tokens": "all"}}, 5) == {}
