"""What is watched, as text."""

import io

import pytest
from rich.console import Console

from openfusion_auto.cli.top_view import LISTED, Screen, money, pace, show


def status(**more):
    spend = {
        "usd": 0.5,
        "known_usd": 0.5,
        "calls": 1234,
        "unknown_calls": 0,
        **more.pop("spend", {}),
    }
    return {
        "version": "1",
        "dry_run": False,
        "candidates": 3,
        "breakers": {},
        "spend": spend,
        **more,
    }


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (status(), "$0.5000 spent in 24 hours, 1,234 calls"),
        (status(spend={"usd": None, "unknown_calls": 2}), "$0.5000 and 2 calls of unknown price in 24 hours, 1,234 calls"),
        (status(spend={"calls": None}), "$0.5000 spent by this key in 24 hours"),
        (status(dry_run=True), "dry run: nothing is spent"),
    ],
)  # fmt: skip
def test_money_is_told_as_far_as_it_is_known(told, said):
    assert money(told) == said


def row(at, outcome="ok"):
    return {"at": at, "trace_id": f"tr_{at}", "outcome": outcome, "answered_by": "a", "ms": 5, "usd": 0.1}  # fmt: skip


def test_what_goes_on_is_counted():
    rows = [row(100, "running"), row(50), row(39)]
    assert pace(rows, 100.0) == "in the last minute: 2   running: 1"
    assert pace([row(100)] * LISTED, 100.0).startswith("in the last minute: 100+ ")


def drawn(renderable, width=100, height=12):
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None)
    console.print(renderable)
    return out.getvalue()


def test_a_screen_holds_what_fits_and_says_when_the_server_is_gone():
    found = {"server": "http://x", "status": status(), "requests": [row(i) for i in range(50)]}
    text = drawn(Screen(found, 100.0, ""))
    assert len(text.splitlines()) <= 12
    assert "tr_0" in text
    assert "q: end" in text
    narrow = drawn(Screen(found, 100.0, ""), width=50)
    assert "tr_0" not in narrow
    assert narrow.count("ok") == text.count("ok")
    gone = drawn(Screen(found, 100.0, "no server\x1b[2J answers"))
    assert "no server[2J answers; looking again" in gone


def test_who_rests_is_named_and_nothing_foreign_is_written():
    out = io.StringIO()
    told = status(breakers={"a\x1b[2J": "open", "b": "half_open"})
    show({"server": "http://x", "status": told, "requests": []}, Console(file=out, width=80))
    assert "resting: a[2J (open)  b (half_open)" in out.getvalue()
    assert "nothing has been asked yet" in out.getvalue()


def test_what_a_server_says_drives_nothing():
    hostile = status(candidates="\x1b[2J", spend={"usd": None, "unknown_calls": "\x1b[2J"})
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    show({"server": "http://x", "status": hostile, "requests": []}, console)
    assert "\x1b" not in out.getvalue()
