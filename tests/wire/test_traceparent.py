"""The header `traceparent`: read as the W3C's standard says, or ignored whole; what is kept of it is bounded."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openfusion_auto.wire.traceparent import MOST_CHARS, Parent, read_traceparent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{SPAN}-01"  # the standard's own example


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"  {GOOD}\t", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be", True),
        (f"01-{TRACE}-{SPAN}-01", True),
    ],
)
def test_who_called_is_read(value, sampled):
    assert read_traceparent(value) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "junk",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "0",
        GOOD + "-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        GOOD.replace("-", "_"),
        f"{GOOD},{GOOD}",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * MOST_CHARS,
        f"00-{TRACE}-{SPAN}-0\u0661",
    ],
)
def test_what_is_not_of_the_standard_is_ignored(value):
    assert read_traceparent(value) is None


@given(st.text(max_size=200) | st.from_regex(r"\A[0-9a-f-]{40,60}\Z"))
@example(GOOD)
def test_whatever_a_client_sends_what_is_kept_is_bounded_and_reads_again(value):
    found = read_traceparent(value)
    if found is not None:
        assert len(found.header()) == 55
        assert read_traceparent(found.header()) == found
        assert value.strip(" \t")[3:52] == found.header()[3:52]
