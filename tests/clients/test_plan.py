"""What has to change, and what goes back: values only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.clients.plan import (
    MISSING,
    Change,
    Item,
    Restore,
    Rules,
    dotted,
    get,
    index_of,
    put,
    restores,
    same,
    wanted_changes,
)
from openfusion_auto.errors import ConfigError

LEAVES = st.integers(0, 3) | st.booleans() | st.sampled_from(["a", "b"])
TREES = st.dictionaries(
    st.sampled_from("pqrs"),
    st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3)),
    max_size=4,
)
NONE = Rules()
ITEMS = Rules(items={("list",): "id"})


def changed(data, template, rules=NONE):
    """Return (data with the template, the changes that made it so)."""
    changes = []
    for path, value in wanted_changes(data, template, rules):
        old = get(data, path)
        changes.append(Change(path, value, old is not MISSING, "" if old is MISSING else repr(old)))
        data = put(data, path, value)
    return data, changes


def put_back(data, ops):
    for op in ops:
        data = put(data, op.path, MISSING if op.raw is None else eval(op.raw))
    return data


@given(TREES, TREES)
def test_after_the_changes_nothing_is_wanted_and_undoing_them_gives_the_old_data(data, template):
    try:
        new, changes = changed(data, template)
    except ConfigError:
        return
    assert list(wanted_changes(new, template, Rules())) == []
    assert same(put_back(new, restores(new, changes, Rules())), data)


@given(TREES, TREES, TREES)
def test_what_others_added_stays(data, template, added):
    try:
        new, changes = changed(data, template)
    except ConfigError:
        return
    mixed = {**{f"mine-{k}": v for k, v in added.items()}, **new}
    left = put_back(mixed, restores(mixed, changes, Rules()))
    assert same(left, {**{f"mine-{k}": v for k, v in added.items()}, **data})


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1, True), (1, 1.0, False), (1, True, False), (float("nan"), float("nan"), True),
        ({"a": [1]}, {"a": [1]}, True), ({"a": [1]}, {"a": [True]}, False), ([1], [1, 2], False),
        ({"a": 1}, {"b": 1}, False), ("1", 1, False), (None, None, True),
    ],
)  # fmt: skip
def test_values_are_equal_in_type_too(a, b, equal):
    assert same(a, b) is equal


def test_a_missing_table_is_one_change_and_a_table_that_is_there_one_for_each_key():
    template = {"env": {"A": "1", "B": "2"}}
    assert list(wanted_changes({}, template, Rules())) == [(("env",), {"A": "1", "B": "2"})]
    assert list(wanted_changes({"env": {"A": "0"}}, template, Rules())) == [
        (("env", "A"), "1"),
        (("env", "B"), "2"),
    ]


def test_keys_to_keep_are_set_only_where_there_is_none():
    rules = Rules(keep=frozenset({("version",)}))
    assert list(wanted_changes({"version": 7}, {"version": 1}, rules)) == []
    assert list(wanted_changes({}, {"version": 1}, rules)) == [(("version",), 1)]


@pytest.mark.parametrize(
    ("data", "template", "named"),
    [
        ({"a": {"b": 1}}, {"a": {"b": {"c": 1}}}, "a.b"),
        ({"list": {}}, {"list": [{"id": "x"}]}, "list"),
    ],
)
def test_another_kind_of_value_is_refused_by_name(data, template, named):
    with pytest.raises(ConfigError, match=f"'{named}' is not a") as caught:
        list(wanted_changes(data, template, ITEMS))
    assert caught.value.param == named


def test_a_new_element_comes_first_and_one_of_the_same_name_is_replaced():
    template = {"list": [{"id": "x", "v": 1}]}
    new, changes = changed({"list": [{"id": "y"}]}, template, ITEMS)
    assert new == {"list": [{"id": "x", "v": 1}, {"id": "y"}]}
    assert list(wanted_changes(new, template, ITEMS)) == []
    assert put_back(new, restores(new, changes, ITEMS)) == {"list": [{"id": "y"}]}
    new, changes = changed({"list": [{"id": "y"}, {"id": "x", "v": 0}]}, template, ITEMS)
    assert new == {"list": [{"id": "y"}, {"id": "x", "v": 1}]}
    assert put_back(new, restores(new, changes, ITEMS)) == {
        "list": [{"id": "y"}, {"id": "x", "v": 0}]
    }


def test_a_list_that_we_made_goes_only_when_nobody_else_is_in_it():
    new, changes = changed({}, {"list": [{"id": "x"}]}, ITEMS)
    assert restores(new, changes, ITEMS) == (Restore(("list",), None),)
    new["list"].append({"id": "mine"})
    assert put_back(new, restores(new, changes, ITEMS)) == {"list": [{"id": "mine"}]}
    edited = {"list": [{"id": "x", "more": 1}]}
    assert put_back(edited, restores(edited, changes, ITEMS)) == {}


def test_a_table_of_our_own_goes_whole_a_shared_one_only_with_what_is_still_ours():
    own = Rules(own=frozenset({("p", "ours")}))
    template = {"p": {"ours": {"url": 1, "key": 2}}}
    new, changes = changed({}, template, own)
    new["p"]["ours"]["url"] = 9
    assert restores(new, changes, own) == (Restore(("p",), None),)
    less = {"p": {"ours": {"url": 1}, "x": 1}}
    assert put_back(less, restores(less, changes, Rules())) == {"p": {"x": 1}}
    shared = {"p": {"ours": {"url": 9, "key": 2}}}
    assert put_back(shared, restores(shared, changes, Rules())) == {"p": {"ours": {"url": 9}}}


def test_a_value_of_another_kind_that_the_user_put_there_is_the_users():
    new, changes = changed({}, {"a": {"b": 1}}, Rules())
    new["a"] = "text"
    assert restores(new, changes, Rules()) == ()
    assert restores({}, changes, Rules()) == ()


def test_paths_lead_through_lists_and_end_in_nothing():
    data = {"a": [{"id": "x", "v": 1}, "text"]}
    assert get(data, ("a", Item("id", "x"), "v")) == 1
    for path in (("a", Item("id", "z")), ("a", "v"), ("b", "c"), ("a", Item("id", "x"), "v", "w")):
        assert get(data, path) is MISSING
    assert index_of("no list", Item("id", "x")) is None
    assert dotted(("a", Item("id", "x"), "v")) == "a.[id=x].v"


def test_the_data_that_is_given_is_not_changed():
    data = {"a": {"b": 1}}
    assert put(data, ("a", "b"), 2) == {"a": {"b": 2}}
    assert put(data, ("a",), MISSING) == {}
    assert data == {"a": {"b": 1}}
    assert put(data, ("zz", "b"), 2) == data, "no parent, nothing done"
