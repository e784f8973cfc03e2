"""Edits: each way in which a program would refuse one is named, and only those."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.edits import diff_findings, patch_findings, search_findings

FILE = "--- a/x\n+++ b/x\n"


@pytest.mark.parametrize(
    ("hunk", "finding"),
    [
        ("@@ -1,5 +1,6 @@\n a\n-b\n+c", "a hunk's lines do not add up to the counts in its header (line 3)"),
        ("@@ -1,2 +1,2\n a\n-b\n+c", "the header of a hunk is not well-formed (line 3)"),
        ("@@ -1,2 +1,2 @@\n a\nb\n+c", "a line of a hunk has no sign before it (line 5)"),
        ("@@ -1 +1 @@\n-a\n+b\n+c", "a line of the diff is outside its hunk: the counts say so (line 6)"),
        ("@@ ... @@\n-a\nb", "a line of a hunk has no sign before it (line 5)"),
        ("-a\n+b", "the diff has no hunk"),
    ],
)  # fmt: skip
def test_a_broken_diff_is_named_with_its_line(hunk, finding):
    assert diff_findings(f"```diff\n{FILE}{hunk}\n```") == [finding]
    assert diff_findings(FILE + hunk) == [finding]


lines = st.lists(st.text(alphabet="ab-+@ \\", max_size=5), max_size=12)


@given(lines, lines)
def test_what_difflib_writes_is_well_formed(old, new):
    made = difflib.unified_diff(old, new, "a/x", "b/x", lineterm="", n=2)
    assert diff_findings("```diff\n" + "\n".join(made) + "\n```") == []


@given(lines, lines, st.data())
def test_a_line_taken_out_of_a_hunk_is_found(old, new, data):
    made = list(difflib.unified_diff(old, [*new, "added"], "a/x", "b/x", lineterm="", n=2))
    heads = [i for i, line in enumerate(made) if line.startswith("@@ -") and i > 1]
    at = data.draw(st.integers(heads[-1] + 1, len(made) - 1))
    broken = [*made[:at], *made[at + 1 :]]
    assert diff_findings("```diff\n" + "\n".join(broken) + "\n```")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("a.py\n<<<<<<< SEARCH\na\n>>>>>>> REPLACE", "a SEARCH/REPLACE block has no divider (line 4)"),
        ("a.py\n=======\nb\n>>>>>>> REPLACE", "a SEARCH/REPLACE block has no beginning (line 4)"),
        ("a.py\n<<<<<<< SEARCH\na\n=======\nb", "a SEARCH/REPLACE block has no end"),
        ("a.py\n<<<<<<< SEARCH\n<<<<<<< SEARCH", "a SEARCH block begins inside another one (line 3)"),
        ("```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```", "a SEARCH block names no file (line 2)"),
    ],
)  # fmt: skip
def test_a_broken_block_is_named_with_its_line(text, finding):
    assert search_findings(text) == [finding]


def test_a_file_may_be_named_behind_the_fence():
    block = "<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```"
    assert search_findings(f"```src/a.py\n{block}") == []


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ("", "the patch is empty"),
        ("+a", "a line of the patch stands before any file"),
        ("*** Add File: a", "a file is added without a line"),
        ("*** Add File: a\nb", "a line of an added file has no plus"),
        ("*** Delete File: a\n-b", "a deleted file has lines"),
        ("*** Update File: a\nb", "a line of a change has no sign"),
        ("*** Update File: a\n@@x", "a hunk's mark is not well-formed"),
        ("*** Update File: a\n-a\n*** Move to: b", "a move stands where none may be"),
        ("*** Change File: a", "a line of the patch stands before any file"),
        ("*** Update File: a\n*** Change File: a", "a mark of the patch is not known"),
    ],
)
def test_a_broken_patch_says_what_is_wrong(body, finding):
    text = "\n".join(["*** Begin Patch", *([body] if body else []), "*** End Patch"])
    assert patch_findings(text) == [f"{finding} (line 1 and below)"]


def test_what_a_tool_is_given_must_hold_a_whole_envelope():
    assert patch_findings("*** Begin Patch\n*** Delete File: a") == [
        "the patch does not end with '*** End Patch'"
    ]
    assert patch_findings("--- a/x") == []
    assert patch_findings("--- a/x", whole=True) == [
        "the patch does not begin with '*** Begin Patch'"
    ]


marks = st.lists(
    st.sampled_from(
        ["--- a", "+++ b", "@@ -1 +1 @@", "@@", "-", "+x", " ", "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE",
         "*** Begin Patch", "*** End Patch", "*** Add File: a", "*** Update File: b", "```diff", "```", "diff --git a b"]
    ),
    max_size=14,
).map("\n".join)  # fmt: skip


@given(marks | st.text())
def test_nothing_raises_and_each_check_says_one_thing(text):
    for check in (diff_findings, search_findings, patch_findings):
        assert len(check(text)) <= 1
