"""Names are compared after folding and nothing else; what is not certain is not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config.price_entry import Entry
from openfusion_auto.config.price_match import Index, unknown_providers
from tests.support.pools import candidate


def entry(name, cost=1.0):
    provider, _, id_ = name.partition("/")
    return Entry(provider, id_, {"input": cost, "output": cost})


def find(entries, model, upstream="relay", providers=None):
    return Index(entries).find(candidate("c", model=model, upstream=upstream), providers or {})


@pytest.mark.parametrize("model", ["coder", "vendor/coder", "Vendor/CODER"])
def test_case_and_the_name_of_the_provider_in_front_do_not_count(model):
    assert find([entry("vendor/coder")], model).entry == entry("vendor/coder")


@pytest.mark.parametrize("model", ["code", "coder-2", "coder:free", "openrouter/coder", "coder-1"])
def test_anything_else_counts(model):
    assert find([entry("vendor/coder")], model).entry is None


def test_an_upstream_with_the_name_of_a_provider_is_that_provider():
    entries = [entry("a/coder", 1), entry("b/coder", 2)]
    found = find(entries, "coder", upstream="B")
    assert (found.entry, found.provider, found.others) == (entry("b/coder", 2), "b", False)


def test_what_that_provider_lacks_is_not_looked_for_elsewhere():
    found = find([entry("a/coder"), entry("b/other")], "coder", upstream="b")
    assert (found.entry, found.provider, found.near) == (None, "b", ())


def test_different_numbers_are_not_chosen_between():
    found = find([entry("a/coder", 1), entry("b/coder", 2), entry("c/coder", 1)], "coder")
    assert found.entry is None
    assert found.rivals == ("a/coder", "b/coder", "c/coder")


def test_equal_numbers_count_as_one():
    assert find([entry("b/coder"), entry("a/coder")], "coder").entry == entry("a/coder")


def test_one_provider_may_list_a_model_twice():
    twice = [entry("a/coder", 1), entry("a/coder", 2)]
    assert find(twice, "coder").rivals == ("a/coder",)


def test_a_provider_can_be_said():
    entries = [entry("a/coder", 1), entry("b/coder", 2)]
    assert find(entries, "coder", providers={"relay": "a"}).entry == entry("a/coder", 1)
    assert find(entries, "coder", upstream="b", providers={"b": "a"}).entry == entry("a/coder", 1)


def test_the_only_one_of_a_foreign_provider_is_told_apart():
    entries = [entry("a/coder"), entry("b/other")]
    assert find(entries, "coder").others
    assert not find(entries[:1], "coder").others
    assert not find(entries, "coder", upstream="a").others


def test_similar_names_are_shown_the_best_first():
    entries = [
        entry("a/claude-opus-4-8"),
        entry("b/anthropic/claude-opus-4-8"),
        entry("a/claude-haiku-3"),
        entry("a/gpt"),
    ]
    found = find(entries, "anthropic/claude-opus-4.8")
    assert found.near == ("b/anthropic/claude-opus-4-8", "a/claude-opus-4-8")


def test_providers_that_a_list_lacks_are_named():
    assert unknown_providers(Index([entry("a/x")]), ["A", "b"]) == ["b"]


names = st.text("ab/-", min_size=1, max_size=4)


@given(
    st.lists(st.builds(Entry, names, names, st.just({"input": 1.0, "output": 1.0}))), names, names
)
def test_a_match_has_the_name_that_was_asked_for(entries, model, upstream):
    found = find(entries, model, upstream).entry
    if found is not None:
        assert model in (found.id, found.name)
        assert found.provider == upstream or upstream not in {e.provider for e in entries}
