"""Markdown for people: what stands there is what the receipt says, and foreign text stays in its cell."""

from __future__ import annotations

import json
import re

import pytest

from openfusion_auto.evals.report import cell, interval, markdown, share
from tests.evals import samples


def test_it_names_every_digest_and_how_to_check():
    document = json.loads((samples.FOLDER / "comparison.json").read_bytes())
    text = markdown(document)
    for digest in (*document["digests"].values(), document["digest"]):
        assert f"`{digest}`" in text
    assert "openfusion receipt verify FILE" in text


def test_what_was_not_as_expected_is_said():
    document = json.loads((samples.FOLDER / "verify.json").read_bytes())
    document["runs"][0]["checks"] = [{"of": "kind", "wanted": ["docs", "ops"], "got": [], "ok": False}]  # fmt: skip
    assert "- checked: expected kind docs or ops, got nothing" in markdown(document)


def test_a_long_table_ends_and_says_how_much_is_missing():
    document = json.loads((samples.FOLDER / "single.json").read_bytes())
    document["runs"] *= 61
    assert "1 more stand in the receipt." in markdown(document)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("a\nb\x1b[0m", "a b \\[0m"),
        ("<img> `x` @all #1", "\\<img> \\`x\\` \\@all \\#1"),
    ],
)
def test_foreign_text_stays_in_its_cell(text, shown):
    assert cell(text) == shown


def test_figures_are_shown_as_people_read_them():
    assert (share(None), share(0.5)) == ("-", "50.0%")
    assert interval({"low": 0.1, "high": 0.9}) == "10% to 90%"


def test_small_sums_are_written_out():
    """As everywhere else: a person does not read `$1.1e-05`."""
    found = [f.read_text() for f in sorted(samples.FOLDER.glob("*.md"))]
    assert found
    assert not re.search(r"\$[\d.]+e", "".join(found))
