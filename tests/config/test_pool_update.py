"""What an update takes, what it keeps, and what waits for a person."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.cli.pool_update_view import told
from openfusion_auto.config.pool import LOCAL_SOURCE, check_pool
from openfusion_auto.config.pool_update import Wish, plan_update
from openfusion_auto.config.price_entry import Entry
from openfusion_auto.config.prices import PriceList
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import Price
from tests.support.pools import candidate, pool

TODAY = date(2026, 11, 25)
OLD = Price(1.0, 4.0, 0.1, 1.25, "vendor", "2026-07-02")
TABLE = "price_usd_per_mtok"


def listed(*entries, as_of="2026-11-01"):
    return PriceList(
        Path("list.json"), "openrouter", "sha256:0123456789abcdef", "", as_of, "given", entries, 0
    )


def entry(model="vendor/c", **changes):
    known = Entry(
        "openrouter",
        model,
        {"input": 1.0, "output": 4.0, "cache_read": 0.1, "cache_write": 1.25},
        context_tokens=200_000,
        max_output_tokens=32_000,
    )
    return replace(known, **changes)


def plan(candidate_, *entries, as_of="2026-11-01", **wishes):
    return plan_update(pool(candidate_), Wish(listed(*entries, as_of=as_of), TODAY, {}, **wishes))


def changed(update):
    return {c.field: (c.old, c.new, c.held) for c in update.changes}


def test_equal_numbers_change_nothing():
    update = plan(candidate("c", price=OLD), entry())
    assert (update.changes, update.edits, update.same) == ([], {}, ["c"])


def test_rounding_is_no_change():
    assert not plan(
        candidate("c", price=OLD), entry(price={"input": 1.0000000001, "output": 4.0})
    ).changes


def test_a_new_price_comes_whole_with_its_source_and_day():
    update = plan(
        candidate("c", price=OLD),
        entry(price={"input": 1.5, "output": 4.0, "cache_read": 0.15, "cache_write": 1.875}),
    )
    assert changed(update) == {
        "input": (1.0, 1.5, ""),
        "cache_read": (0.1, 0.15, ""),
        "cache_write": (1.25, 1.875, ""),
    }
    assert update.edits == {
        "c": {
            TABLE: {
                "input": 1.5, "output": 4.0, "cache_read": 0.15, "cache_write": 1.875,
                "source": "openrouter@0123456789ab", "as_of": "2026-11-01",
            }
        }
    }  # fmt: skip
    first = update.changes[0]
    assert (first.old_source, first.old_as_of, first.new_source) == (
        "vendor",
        "2026-07-02",
        "openrouter@0123456789ab",
    )


def test_a_part_that_the_list_lacks_is_kept_and_says_where_it_is_from():
    update = plan(
        candidate("c", price=OLD), entry(price={"input": 1.1, "output": 4.0, "cache_read": 0.11})
    )
    table = update.edits["c"][TABLE]
    assert table["cache_write"] == 1.25
    assert table["source"] == "openrouter@0123456789ab (cache_write from vendor, 2026-07-02)"


def test_a_part_that_was_kept_before_keeps_its_first_origin():
    kept = replace(
        OLD,
        source="list@1 (cache_read and cache_write from vendor, 2026-01-01)",
        as_of="2026-08-01",
    )
    table = plan(candidate("c", price=kept), entry(price={"input": 1.1, "output": 4.0})).edits["c"][
        TABLE
    ]
    assert (
        table["source"]
        == "openrouter@0123456789ab (cache_read and cache_write from vendor, 2026-01-01)"
    )


def test_a_price_and_a_window_that_were_unknown_are_news_not_jumps():
    update = plan(candidate("c", price=None, context_tokens=None, max_output_tokens=None), entry())
    assert changed(update)["input"] == (None, 1.0, "")
    assert update.edits["c"]["context_tokens"] == 200_000
    assert not update.held


@pytest.mark.parametrize("price", [{"input": 3.1, "output": 4.0}, {"input": 1.0, "output": 1.3}])
def test_a_jump_holds_the_whole_price_until_it_is_accepted(price):
    unsure = plan(candidate("c", price=OLD), entry(price=price, context_tokens=300_000))
    assert {c.field: c.held for c in unsure.changes if c.held} == {
        c.field: "jump" for c in unsure.changes if c.field != "context_tokens"
    }
    assert unsure.edits == {"c": {"context_tokens": 300_000}}
    sure = plan(candidate("c", price=OLD), entry(price=price), accept_jumps=True)
    assert not sure.held
    assert TABLE in sure.edits["c"]


def test_three_times_is_no_jump_yet():
    assert not plan(
        candidate("c", price=Price(1.0, 4.0, None, None, "v", "2026-07")),
        entry(price={"input": 3.0, "output": 4.0}),
    ).held


def test_a_price_that_becomes_free_or_was_free_jumps():
    free = entry("vendor/c:free", price={"input": 0.0, "output": 0.0})
    assert plan(
        candidate("c", model="vendor/c:free", price=Price(1.0, 4.0, None, None, "v", "2026-07")),
        free,
    ).held
    was = candidate("c", price=Price(0.0, 0.0, None, None, "v", "2026-07"))
    assert plan(was, entry()).held


def test_what_pool_check_would_find_wrong_waits():
    update = plan(candidate("c", price=OLD), entry(price={"input": 2.0, "output": 4.0}))
    assert changed(update)["input"] == (1.0, 2.0, "odd")
    assert [n.detail for n in update.notes if n.rule == "odd"] == [
        "cache_write 1.25 is below input 2.0"
    ]
    narrow = plan(candidate("c", price=OLD), entry(context_tokens=70_000, max_output_tokens=90_000))
    assert {c.held for c in narrow.changes} == {"odd"}


def test_what_was_odd_before_does_not_wait():
    odd = candidate("c", price=replace(OLD, cache_write=0.5))
    assert not plan(odd, entry(price={"input": 1.0, "output": 5.0})).held


def test_an_older_list_is_never_taken():
    update = plan(
        candidate("c", price=OLD),
        entry(price={"input": 1.5, "output": 4.0}),
        as_of="2026-07-01",
        accept_jumps=True,
    )
    assert {c.held for c in update.changes} == {"older"}
    assert not update.edits["c"]


def test_a_known_price_never_becomes_unknown():
    update = plan(candidate("c", price=OLD), entry(price={}, notes=("the price varies",)))
    assert not update.changes
    assert not update.same
    assert [n.rule for n in update.notes] == ["entry", "no_price"]


def test_a_known_window_never_becomes_unknown():
    assert not plan(
        candidate("c", price=OLD), entry(context_tokens=None, max_output_tokens=None)
    ).changes


def test_a_longest_prompt_stands_for_a_window_only_where_none_is_known():
    narrow = entry(context_tokens=None, input_tokens=100_000)
    assert not plan(candidate("c", price=OLD), narrow).changes
    assert changed(plan(candidate("c", price=OLD, context_tokens=None), narrow)) == {
        "context_tokens": (None, 100_000, "")
    }


@pytest.mark.parametrize(
    ("old", "new"), [(None, 200_000), (128_000, 200_000), (200_000, None), (300_000, 1_000_000)]
)
def test_a_window_ends_where_no_price_is_known_unless_somebody_went_beyond(old, new):
    tiered = entry(context_tokens=1_000_000, priced_tokens=200_000)
    update = plan(candidate("c", price=OLD, context_tokens=old), tiered, accept_jumps=True)
    assert update.edits.get("c", {}).get("context_tokens") == new


def test_models_of_this_machine_are_left_alone():
    local = candidate("c", price=Price(0.0, 0.0, source=LOCAL_SOURCE, as_of="2026-07"))
    update = plan(local, entry())
    assert [n.rule for n in update.notes] == ["local"]
    assert not update.edits


def test_what_is_not_found_is_said_with_similar_names():
    update = plan(candidate("c", model="vendor/coder-5"), entry("vendor/coder-4"))
    assert [(n.rule, n.near) for n in update.notes] == [
        ("no_entry", ("openrouter/vendor/coder-4",))
    ]
    assert not update.edits


def test_a_list_that_contradicts_itself_is_not_asked_for_a_provider():
    update = plan(candidate("c", price=OLD), entry(), entry(price={"input": 1.1, "output": 4.0}))
    (note,) = update.notes
    assert (note.rule, len(note.near), update.changes) == ("ambiguous", 1, [])
    assert "several times with different numbers" in told(note) == note.detail


def test_what_is_ambiguous_is_listed():
    two = [
        replace(entry(), provider="a"),
        replace(entry(price={"input": 9.0, "output": 9.0}), provider="b"),
    ]
    update = plan(candidate("c", price=OLD), *two)
    assert [(n.rule, n.near) for n in update.notes] == [("ambiguous", ("a/vendor/c", "b/vendor/c"))]


def test_the_only_match_at_a_foreign_provider_is_pointed_out():
    update = plan(
        candidate("c", price=OLD), replace(entry(), provider="a"), replace(entry("x"), provider="b")
    )
    assert [n.rule for n in update.notes] == ["provider"]


def test_abilities_are_compared_and_left():
    update = plan(
        candidate("c", price=OLD, offers=("tools", "vision")),
        entry(offers={"tools": True, "vision": False, "reasoning": True}),
    )
    assert [n.detail for n in update.notes] == [
        "openrouter/vendor/c also offers reasoning",
        "openrouter/vendor/c does not offer vision",
    ]
    assert not update.edits


def test_equal_prices_can_be_renewed():
    update = plan(candidate("c", price=OLD), entry(), renew=True)
    assert changed(update) == {"as_of": ("2026-07-02", "2026-11-01", "")}
    assert update.edits["c"][TABLE]["as_of"] == "2026-11-01"
    done = candidate("c", price=replace(OLD, source="openrouter@0123456789ab", as_of="2026-11-01"))
    assert not plan(done, entry(), renew=True).changes


LONG = LongPrice(200_000, 2.0, 6.0, 0.2)


def test_prices_of_longer_prompts_are_taken_and_named_by_their_length():
    update = plan(candidate("c", price=OLD), entry(long_context=(LONG,)))
    assert changed(update) == {
        "input_above_200000": (None, 2.0, ""),
        "output_above_200000": (None, 6.0, ""),
        "cache_read_above_200000": (None, 0.2, ""),
    }
    assert update.edits["c"][TABLE]["long_context"] == [
        {"above_tokens": 200_000, "input": 2.0, "output": 6.0, "cache_read": 0.2}
    ]
    done = candidate("c", price=replace(OLD, long_context=(LONG,)))
    assert not plan(done, entry(long_context=(LONG,))).changes
    tenfold = replace(LONG, input=20.0)
    jumped = plan(done, entry(long_context=(tenfold,)))
    assert changed(jumped) == {"input_above_200000": (2.0, 20.0, "jump")}


def test_prices_of_longer_prompts_that_a_list_does_not_have_are_kept_and_said_to_be():
    there = candidate("c", price=replace(OLD, long_context=(LONG,)))
    assert not plan(there, entry()).changes
    dearer = {"input": 1.5, "output": 4.0, "cache_read": 0.1, "cache_write": 1.5}
    table = plan(there, entry(price=dearer)).edits["c"][TABLE]
    assert table["long_context"][0]["input"] == 2.0
    assert table["source"].endswith(" (long_context from vendor, 2026-07-02)")
    again = replace(there.price, source=table["source"], input=1.5, as_of="2026-11-01")
    kept = plan(replace(there, price=again), entry(price={**dearer, "input": 1.4})).edits["c"]
    assert kept[TABLE]["source"].endswith(" (long_context from vendor, 2026-07-02)")


def test_a_window_waits_with_the_prices_of_its_longer_prompts():
    there = candidate("c", price=OLD, context_tokens=150_000)
    wide = {"context_tokens": 400_000, "long_context": (LONG,)}
    jumped = plan(there, entry(price={"input": 4.0, "output": 16.0}, **wide))
    assert {c.field: c.held for c in jumped.changes}["context_tokens"] == "jump"
    assert jumped.edits["c"] == {}
    assert plan(there, entry(**wide)).edits["c"].keys() == {TABLE, "context_tokens"}


rates = st.none() | st.floats(0.001, 900).map(lambda x: round(x, 3))
both = st.floats(0.001, 900).map(lambda x: round(x, 3))
prices = st.tuples(both, both, rates, rates)


@given(prices, prices, st.booleans())
def test_taken_prices_are_the_lists_and_an_update_done_is_done(before, after, accept):
    parts = ("input", "output", "cache_read", "cache_write")
    there = candidate("c", price=Price(*before, "v", "2026-07-02"))
    new = entry(price={p: v for p, v in zip(parts, after, strict=True) if v is not None})
    update = plan(there, new, accept_jumps=accept)
    table = update.edits.get("c", {}).get(TABLE)
    if table is None:
        return
    for part, was, now in zip(parts, before, after, strict=True):
        assert table.get(part) == (was if now is None else now)
    done = replace(there, price=Price(**table))
    assert not plan(done, new).changes
    if not accept:
        known = {f.detail for f in check_pool(pool(there), TODAY)}
        assert not [
            f
            for f in check_pool(pool(done), TODAY)
            if f.rule == "price_outlier" and f.detail not in known
        ]
