"""The three lists: each is known by its form, and read into the same entries."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.config.price_kinds import READERS, kind_of, usable
from openfusion_auto.core.price import LongPrice
from tests.config.test_price_entry import ANYTHING
from tests.support.price_lists import LISTS


def read(kind):
    return {e.name: e for e in READERS[kind](LISTS[kind])}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_known_by_its_form(kind):
    assert kind_of(LISTS[kind]) == kind


@pytest.mark.parametrize(
    "data",
    [None, [], "text", 1, {}, {"data": []}, {"data": {"id": "x", "endpoints": []}}, {"data": [{"id": "gpt", "object": "model"}]},
     {"a": {"b": 1}}, {"error": {"message": "no"}}],
)  # fmt: skip
def test_other_forms_are_none_of_them(data):
    assert kind_of(data) is None


def test_models_dev():
    rows = read("models.dev")
    coder = rows["vendor/coder"]
    assert coder.price == {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}
    assert (coder.context_tokens, coder.priced_tokens, coder.max_output_tokens) == (
        1_000_000,
        None,
        64_000,
    )
    assert coder.long_context == (LongPrice(200_000, 6.0, 22.5, 0.6),)
    assert coder.offers == {"tools": True, "vision": True, "reasoning": True, "json_schema": False}
    assert [n.partition(":")[0] for n in coder.notes] == [
        "thinking costs 20, more than output; a pool holds output only",
    ]
    assert rows["plan/coder"].price == {}
    assert rows["vendor/unpriced"].price == {}
    assert rows["vendor/unpriced"].context_tokens == 8192
    old = rows["vendor/old"]
    assert (old.context_tokens, old.max_output_tokens) == (None, None)
    assert old.offers == {"tools": True}
    assert "deprecated" in old.notes
    assert old.long_context == (LongPrice(200_000, 2.0, 4.0),)


def test_the_second_version_of_models_dev():
    row = {
        "id": "coder",
        "type": "chat",
        "deprecation_date": "2027-03-01",
        "modalities": {"input": ["text", "image/png"], "output": ["text"]},
        "capabilities": {
            "tools": {"supported": True, "strict": True},
            "reasoning": {"supported": False},
            "structured_output": True,
        },
        "limit": {"input": 90000},
        "cost": {
            "input": 1,
            "output": 2,
            "tiers": [
                {"input": 2, "output": 4, "tier": {"size": 32000}},
                {"input": 9, "output": 9, "tier": {"type": "hour", "size": 12}},
            ],
        },
    }
    embedder = {"type": "embedding", "cost": {"input": 0.02, "output": 0}}
    data = {"p": {"models": {"coder": row, "embedder": embedder}}}
    assert kind_of(data) == "models.dev"
    coder, other = READERS["models.dev"](data)
    assert coder.offers == {"tools": True, "reasoning": False, "json_schema": True, "vision": True}
    assert (coder.context_tokens, coder.input_tokens) == (None, 90_000)
    assert coder.long_context == (LongPrice(32_000, 2.0, 4.0),)
    assert coder.notes == ("ends on 2027-03-01",)
    assert other.price == {"input": 0.02, "output": 0.0}


def test_openrouter():
    rows = read("openrouter")
    coder = rows["openrouter/vendor/coder"]
    assert coder.price == {"input": 0.6, "output": 2.4, "cache_read": 0.06}
    assert (coder.context_tokens, coder.priced_tokens, coder.max_output_tokens) == (
        262_144,
        None,
        65_536,
    )
    # What is not overridden stays.
    assert coder.long_context == (LongPrice(272_000, 1.2, 3.6, 0.06),)
    assert coder.offers == {"tools": True, "reasoning": True, "json_schema": False, "vision": True}
    said = "; ".join(coder.notes)
    for part in (
        "cache_write 0.0833333 is below input",
        "thinking costs 5",
    ):
        assert part in said
    free = rows["openrouter/vendor/coder:free"]
    assert free.price == {"input": 0.0, "output": 0.0}
    assert (free.context_tokens, free.max_output_tokens) == (131_072, None)
    assert "ends on 2026-12-31" in free.notes
    assert rows["openrouter/openrouter/auto"].price == {}
    assert rows["openrouter/vendor/zero"].price == {}
    search = "; ".join(rows["openrouter/vendor/search"].notes)
    assert "0.005 USD for each request" in search
    assert "depends on the hour" in search
    assert rows["openrouter/vendor/unpriced"].offers == {}


def test_litellm():
    rows = read("litellm")
    assert sorted(rows) == [
        "dash/tiered", "openrouter/vendor/coder", "vendor/coder-1", "vendor/embedder", "vendor/night",
    ]  # fmt: skip
    coder = rows["vendor/coder-1"]
    assert coder.price == {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}
    assert (
        coder.context_tokens,
        coder.priced_tokens,
        coder.input_tokens,
        coder.max_output_tokens,
    ) == (
        None,
        None,
        200_000,
        64_000,
    )
    assert coder.offers == {"tools": True, "reasoning": True, "json_schema": True, "vision": False}
    assert coder.long_context == (LongPrice(200_000, 6.0, 22.5),)
    said = "; ".join(coder.notes)
    for part in (
        "thinking costs 20",
        "ends on 2027-01-31",
    ):
        assert part in said
    assert rows["openrouter/vendor/coder"].id == "vendor/coder"
    assert rows["openrouter/vendor/coder"].max_output_tokens is None, "max_tokens may mean either"
    ranged = rows["dash/tiered"]
    assert ranged.price == {"input": 0.05, "output": 0.4}
    assert ranged.long_context == (LongPrice(256_000, 0.25, 2.0),)
    assert ranged.priced_tokens == 900_000
    assert ranged.notes == ("above 900,000 prompt tokens: another price; not taken",)
    assert rows["vendor/embedder"].price == {"input": 0.02, "output": 0.0}
    assert len(rows["vendor/night"].notes) == 2


@settings(max_examples=30, deadline=None)  # each plays some 150 documents
@given(ANYTHING)
def test_any_value_in_place_of_any_part_is_read_without_an_error(value):
    for kind, whole in LISTS.items():
        for changed in spoiled(whole, value):
            for entry in READERS[kind](changed) if isinstance(changed, dict) else ():
                usable(entry)
                assert all(price >= 0 for price in entry.price.values())
                assert entry.context_tokens is None or entry.context_tokens > 0
        kind_of(value)


def spoiled(node, value):
    """Yield copies of a document, in each of which one of its parts is `value`."""
    yield value
    if isinstance(node, dict):
        for key in node:
            for inner in spoiled(node[key], value):
                yield {**node, key: inner}
    elif isinstance(node, list):
        for i, item in enumerate(node):
            for inner in spoiled(item, value):
                yield [*node[:i], inner, *node[i + 1 :]]


@given(st.dictionaries(st.text(max_size=5), ANYTHING, max_size=4))
def test_any_object_is_read_by_every_reader_without_an_error(data):
    for reader in READERS.values():
        list(reader(data))


@pytest.mark.parametrize("name", ["", "two words", "\x1b[2J", "x" * 201, "ä"])
def test_names_that_no_pool_can_hold_are_not_usable(name):
    entry = next(iter(READERS["models.dev"]({"p": {"models": {name: {}}}})))
    assert not usable(entry)
