"""New numbers in a pool's text: nothing else moves, however it is written."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.config.load import SHIPPED_POOLS, shipped_pool
from openfusion_auto.config.pool_edit import edited
from openfusion_auto.errors import ConfigError

PRICE = {
    "input": 0.7,
    "output": 3.0,
    "cache_read": 0.07,
    "long_context": [{"above_tokens": 200_000, "input": 1.4, "output": 4.5}],
    "source": 'a "list"',
    "as_of": "2026-11-01",
}
TEXT = """\
# head
schema = 1

# about a
[[candidates]]
id = "a" # the first
upstream = "r"
model = "v/a"
price_usd_per_mtok = { input = 0.5,  output = 2.0, cache_write = 1, source = "x", as_of = "2026-07-02" }  # keep me
benchmarks = [
  { name = "b", score = 1, source = "x", as_of = "2026-07" }, # c
]

# about b
[[candidates]]
id = "b"
model = "v/b"   # its name
upstream = "r"

[candidates.price_usd_per_mtok]
input = 1 # in
cache_write = 2
output = 2
source = "x"
as_of = "2026-07-02" # day

# about c
[[candidates]]
id = "c"
upstream = "r"
model = "v/c"
price_usd_per_mtok.input = 1
price_usd_per_mtok.output = 2
price_usd_per_mtok.source = "s"
price_usd_per_mtok.as_of = "2026-07"
"""
INLINE = (
    'schema = 1\ncandidates = [ # all\n  { id = "a", upstream = "r", model = "v/a" }, # first\n]\n'
)


def comments(text):
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def rows(text):
    return {row["id"]: row for row in tomllib.loads(text)["candidates"]}


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_price_is_replaced_in_each_way_it_can_be_written(name):
    new = edited(TEXT, {name: {"price_usd_per_mtok": PRICE}})
    assert rows(new)[name]["price_usd_per_mtok"] == PRICE
    assert {n: r for n, r in rows(new).items() if n != name} == {
        n: r for n, r in rows(TEXT).items() if n != name
    }
    assert sorted(comments(new)) == sorted(comments(TEXT))


def test_only_the_line_of_the_number_changes():
    new = edited(TEXT, {"a": {"price_usd_per_mtok": PRICE}})
    differ = [(a, b) for a, b in zip(TEXT.splitlines(), new.splitlines(), strict=True) if a != b]
    assert len(differ) == 1
    assert differ[0][1].endswith('as_of = "2026-11-01" }  # keep me')
    assert "output = 3," in differ[0][1]


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_new_key_stands_behind_the_model_and_splits_no_comment_from_its_table(name):
    new = edited(TEXT, {name: {"context_tokens": 5, "max_output_tokens": 4}})
    lines = new.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(f'model = "v/{name}"'))
    assert {lines[at + 1], lines[at + 2]} == {"context_tokens = 5", "max_output_tokens = 4"}
    assert [line for line in lines if "_tokens" not in line] == TEXT.splitlines()


def test_a_price_where_there_was_none():
    text = 'schema = 1\n[[candidates]]\nid = "a"\nupstream = "r"\nmodel = "v/a"'
    assert (
        rows(edited(text, {"a": {"price_usd_per_mtok": PRICE}}))["a"]["price_usd_per_mtok"] == PRICE
    )


def test_candidates_in_one_array():
    new = edited(INLINE, {"a": {"price_usd_per_mtok": PRICE, "context_tokens": 7}})
    assert rows(new)["a"] == {**rows(INLINE)["a"], "price_usd_per_mtok": PRICE, "context_tokens": 7}
    assert comments(new) == comments(INLINE)


def test_line_ends_stay():
    windows = TEXT.replace("\n", "\r\n")
    new = edited(windows, {n: {"price_usd_per_mtok": PRICE, "context_tokens": 5} for n in "abc"})
    assert new.count("\n") == new.count("\r\n")
    assert rows(new)["b"]["price_usd_per_mtok"] == PRICE


def test_no_edit_no_change():
    assert edited(TEXT, {}) == TEXT
    assert edited(TEXT, {"a": {}}) == TEXT


def test_what_no_way_changes_alone_is_refused_with_its_line(monkeypatch):
    monkeypatch.setattr("tomlkit.dumps", lambda _: "schema = 2\n")
    with pytest.raises(ConfigError, match=r"^5: price_usd_per_mtok is written in a way"):
        edited(TEXT, {"a": {"price_usd_per_mtok": PRICE}})


numbers = st.floats(0.0001, 999, allow_nan=False) | st.integers(1, 999)
tables = st.fixed_dictionaries(
    {"input": numbers, "output": numbers, "source": st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20), "as_of": st.just("2026-11")},
    optional={"cache_read": numbers, "cache_write": numbers},
)  # fmt: skip


@settings(max_examples=10, deadline=None)  # tomlkit takes 0.1 s for such a file
@pytest.mark.parametrize("shipped", SHIPPED_POOLS)
@given(st.data())
def test_shipped_pools_keep_every_comment_and_every_other_line(shipped, data):
    text = shipped_pool(shipped).read_text(encoding="utf-8")
    name = data.draw(st.sampled_from(sorted(rows(text))))
    table, window = data.draw(tables), data.draw(st.integers(1, 10**9))
    new = edited(text, {name: {"price_usd_per_mtok": table, "context_tokens": window}})
    assert rows(new)[name] == {
        **rows(text)[name],
        "price_usd_per_mtok": table,
        "context_tokens": window,
    }
    differ = [(a, b) for a, b in zip(text.splitlines(), new.splitlines(), strict=True) if a != b]
    assert len(differ) <= 2
