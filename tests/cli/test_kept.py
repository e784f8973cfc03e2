"""Traces out of the state folder: real ones and dry runs together, newest first, and nothing made by looking."""

import os

import pytest

from openfusion_auto.cli import kept
from openfusion_auto.cli.common import load_settings
from openfusion_auto.cli.output import Failure
from openfusion_auto.upstream.reply import Reply


def asked(run, *args):
    return run("ask", "Explain recursion", *args).err.split(" | ")[-1].strip()


def test_real_ones_and_dry_runs_stand_together_newest_first(run, configured, scripted):
    first = asked(run, "--dry-run")
    scripted([Reply("fine")])
    second = asked(run)
    settings = load_settings(None)
    whole = kept.listing(settings, 5)
    assert [row["trace_id"] for row in whole["data"]] == [second, first]
    assert whole["has_more"] is False
    newest = kept.listing(settings, 1)
    assert ([row["trace_id"] for row in newest["data"]], newest["has_more"]) == ([second], True)
    for name in (first, second):
        assert kept.one(settings, name)["trace_id"] == name
    assert kept.one(settings, "tr_other") is None


def test_looking_makes_no_file(folder):
    settings = load_settings(None)
    assert kept.listing(settings, 5) is None
    assert kept.one(settings, "tr_x") is None
    assert not os.path.lexists(folder / "state")


def test_a_file_that_is_no_store_is_said(folder):
    (folder / "state").mkdir()
    (folder / "state" / "state.sqlite3").write_text("no database, but long enough to be one" * 99)
    with pytest.raises(Failure, match=r"state\.sqlite3 cannot be read: "):
        kept.listing(load_settings(None), 5)
