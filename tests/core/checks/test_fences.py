"""Code blocks: what opens one, what closes one, and when a text ends inside one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.fences import Fence, fences, never_closed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```py\nx\n```\nb", [Fence("py", "x", True)]),
        ("```\n```", [Fence("", "", True)]),
        ("````\n```\nx\n```\n````", [Fence("", "```\nx\n```", True)]),
        ("~~~sh\n```\n~~~", [Fence("sh", "```", True)]),
        ("1. a\n   ```py\n   if x:\n       y\n   ```", [Fence("py", "if x:\n    y", True)]),
        ("```py\nx", [Fence("py", "x", False)]),
        ("~~~\nno block", []),
        ("`````\na\n```\n`````", [Fence("", "a\n```", True)]),
        ("```a`b\nx", []),
    ],
)
def test_blocks_are_read_as_markdown_has_them(text, expected):
    assert fences(text) == expected


@pytest.mark.parametrize(
    ("info", "language"),
    [("Python", "python"), ("py title=x", "py"), ("js,linenos", "js"), ("ts{1}", "ts"), ("", "")],
)
def test_the_language_is_the_first_word(info, language):
    assert Fence(info, "", closed=True).language == language


def test_a_bare_fence_at_the_very_end_is_left_over_from_a_quotation():
    assert not never_closed("```md\n```py\nx\n```\n```")
    assert never_closed("```md\n```py\nx\n```\n```\nmore")


@given(st.text(alphabet="`~ab \n", max_size=60))
def test_no_line_is_lost_and_nothing_raises(text):
    blocks = fences(text)
    assert sum(b.body.count("\n") for b in blocks) <= text.count("\n")
    assert all(b.closed for b in blocks[:-1])
    assert never_closed(text) in (True, False)
