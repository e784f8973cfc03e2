"""How the numbers are shown: nothing unknown looks like 0, narrow terminals get short lines."""

import pytest

from openfusion_auto.cli import output, stats_view
from openfusion_auto.cli.stats_view import age, amount, cell

NONE = {"live": None, "weight": 0.0, "prior": None, "used": None}


def number(live, prior=None, weight=3.0):
    return {"live": live, "weight": weight, "prior": prior, "used": live}


def candidate(name="coder-a", **more):
    return {
        "candidate": name, "in_pool": True, "age_s": 5.0, "attempts": {"ok": 3.0, "failed": 1.0},
        "availability": number(0.75, 0.95, 4.0), "ttft_ms": number(412.4, 900.0), "tokens_per_s": number(61.0, 60.0),
        "bytes_per_token": number(3.71, 3.6), "cache_hit": number(None, 1.0), "breaker": None, **more,
    }  # fmt: skip


def window(*rows):
    return {
        "candidates": list(rows),
        "calls": sum(r["calls"] for r in rows),
        "usd": 0.5,
        "known_usd": 0.5,
        "unknown_calls": 0,
    }


def report(*candidates, spend=None, **more):
    empty = {name: window() for name in ("24h", "7d", "30d")}
    return {
        "file": "state.sqlite3",
        "dry_run": False,
        "keep_days": 30.0,
        "candidates": candidates,
        "learned": [],
        "spend": {**empty, **(spend or {})},
        **more,
    }


@pytest.fixture
def show(capsys, monkeypatch):
    def call(value, columns=120):
        monkeypatch.setenv("COLUMNS", str(columns))
        stats_view.show(value, output.console())
        return capsys.readouterr().out

    return call


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (number(412.4, 900.0), 0, "412 x3.0 / 900"),
        (number(None, 3.6), 1, "- / 3.6"),
        (NONE, 2, "- / -"),
    ],
)
def test_a_number_stands_with_its_weight_beside_the_pools(value, digits, text):
    assert cell(value, digits, " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")],
)
def test_ages_are_in_the_largest_unit_that_fits(seconds, text):
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (None, "-"),
        ({"usd": 0.5, "known_usd": 0.5, "unknown_calls": 0}, "$0.5000"),
        ({"usd": None, "known_usd": 0.25, "unknown_calls": 2}, "$0.2500 + 2 unknown"),
        ({"usd": None, "known_usd": 0.0, "unknown_calls": 3}, "3 unknown"),
    ],
)
def test_unknown_money_is_said_and_never_0(row, text):
    assert amount(row) == text


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_fit_the_terminal_and_names_stay_whole(show, columns):
    shown = show(
        report(candidate("deepseek-v4-flash"), candidate("coder-a", in_pool=False)), columns
    )
    assert max(len(line) for line in shown.splitlines()) <= columns
    assert "deepseek-v4-flash " in shown
    assert "coder-a *" in shown
    assert "* not in the pool" in shown
    assert shown.count("0.75 x4.0") == 2


def test_where_a_table_would_not_fit_each_candidate_has_a_block(show):
    shown = show(report(candidate("deepseek-v4-flash")), 60)
    (at,) = (i for i, line in enumerate(shown.splitlines()) if line == "deepseek-v4-flash")
    block = shown.splitlines()[at + 1 : at + 8]
    assert [line.split()[0] for line in block] == ["ok", "failed", "works", "first", "tokens/s", "bytes/tok", "age"]  # fmt: skip
    assert "0.75 x4.0 / " in block[2]


def test_candidates_without_measurements_are_named_in_one_line(show):
    shown = show(
        report(candidate(age_s=None, attempts=None), candidate("b", age_s=None, attempts=None))
    )
    assert "nothing measured: coder-a, b\n" in shown
    assert "works" not in shown


@pytest.mark.parametrize(
    ("breaker", "text"),
    [
        (
            {"phase": "open", "failures": 3, "open_for_s": 20.0},
            "breaker of coder-a: open for another 20 s, after 3 failures",
        ),
        (
            {"phase": "half_open", "failures": 5, "open_for_s": 0.0},
            "breaker of coder-a: open, the next call is a probe, after 5",
        ),
        ({"phase": "closed", "failures": 1, "open_for_s": 0.0}, "no breaker is open"),
        (None, "no breaker is open"),
    ],
)
def test_breakers_are_said_in_words(show, breaker, text):
    assert text in show(report(candidate(breaker=breaker)))


def test_caches_are_said_in_words_where_they_were_measured(show):
    seen = number(0.5, 1.0, 2.0) | {"used": 0.75}
    shown = show(report(candidate("fast-b"), candidate(cache_hit=seen)))
    assert (
        "cache of coder-a: 50% of the expected cached tokens were reported, x2.0; 75% are believed" in shown
    )  # fmt: skip
    assert "cache of fast-b" not in shown


def test_lessons_have_a_line_each_and_a_signed_lift(show):
    row = {
        "project": "0" * 16,
        "kind": "bugfix",
        "candidate": "coder-a",
        "good": 3.0,
        "bad": 9.5,
        "due": 7.25,
        "lift": -0.0512,
    }
    shown = show(report(candidate(), learned=[row]))
    assert "-0.051" in shown
    assert "9.5" in shown
    assert "7.2" in shown
    assert "unknown" in show(report(candidate(), learned=[row | {"due": None}]))
    assert "0" * 16 in shown
    assert "learned" not in show(report(candidate()))


def test_money_has_a_line_for_each_candidate_and_the_sum(show):
    row = {"candidate": "coder-a", "calls": 4, "usd": 0.5, "known_usd": 0.5, "unknown_calls": 0}
    shown = show(report(candidate(), spend={"7d": window(row), "30d": window(row)}))
    (line,) = (x for x in shown.splitlines() if x.startswith("coder-a  ") and "$" in x)
    assert line.split() == ["coder-a", "4", "-", "$0.5000", "$0.5000"]
    assert "goes back" not in shown
    assert "no calls are in the ledger" in show(report(candidate()))


def test_a_ledger_that_is_shorter_than_the_window_says_so(show):
    row = {"candidate": "coder-a", "calls": 4, "usd": 0.5, "known_usd": 0.5, "unknown_calls": 0}
    shown = show(report(candidate(), spend={"30d": window(row)}, keep_days=7.0, dry_run=True))
    assert "goes back 7 days (store.keep_days)" in shown
    assert "(dry run)" in shown.splitlines()[0]
