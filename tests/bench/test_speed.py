"""Bounds on what the router costs, in processor time and ratios: wall time says more about the machine.

They stand well above the figures of docs/reference/speed.md, so that a slow machine passes and a slip of the hot path
(a scan of whole prompts, a timer a chunk, a collector that runs all the time) does not.
"""

from __future__ import annotations

import pytest

from tests.bench.procs import can_measure
from tests.bench.run import TARGETS, measure, slowness, table

pytestmark = [
    pytest.mark.bench,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_measure(), reason="needs /proc: processor time of another process"),
]

MOST = {"cpu_request_ms": 1.4, "cpu_chunk_us": 100.0, "decision_ms": 1.0}  # on an idle machine
# In what a bare relay uses in the same run: says as much on a slow machine.
MOST_RATIO = {"cpu_request_ratio": 8.0, "cpu_chunk_ratio": 2.6, "big_cpu_ratio": 10.0}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One round of everything (a second would tell more and take twice as long), and how slow the machine was."""
    before = slowness()
    figures = measure(1, requests=800, folder=tmp_path_factory.mktemp("bench"))
    return figures, max(1.0, before, slowness())


@pytest.fixture(scope="module")
def figures(measured):
    return measured[0]


@pytest.mark.parametrize("name", MOST)
def test_a_cost_stays_below_its_bound(measured, name):
    figures, slow = measured
    assert 0 < figures[name] <= MOST[name] * slow, f"slowness {slow:.2f}\n{table(figures)}"


@pytest.mark.parametrize("name", MOST_RATIO)
def test_a_cost_stays_in_proportion_to_a_bare_relays(figures, name):
    assert 0 < figures[name] <= MOST_RATIO[name], table(figures)


def test_two_thousand_slow_streams_are_all_whole_and_take_little_memory(figures):
    # That they are whole is what the load checks: an answer that is cut or an error is none.
    assert figures["streams_mb"] <= TARGETS["streams_mb"][1], table(figures)


def test_an_idle_router_stays_small(figures):
    assert figures["idle_mb"] <= TARGETS["idle_mb"][1], table(figures)


def test_one_request_at_a_time_costs_little_more_than_its_processor_time(figures):
    # What is above it would be waiting: a timer, a second connection, Nagle's algorithm (40 ms).
    assert figures["added_p50_ms"] <= 3 * figures["cpu_request_ms"] + 1.0, table(figures)


def test_a_stream_begins_before_it_ends(figures):
    # Whole streams of 100 chunks with 10 ms between take a second: a relay that buffers shows it here.
    assert figures["first_byte_added_ms"] <= 4 * figures["cpu_request_ms"] + 5.0, table(figures)


def test_a_prompt_two_hundred_times_as_long_costs_far_less_than_two_hundred_times(figures):
    assert figures["big_added_ms"] <= 25 * figures["added_p50_ms"], table(figures)


def test_every_figure_is_measured_and_named(figures):
    assert set(figures) == set(TARGETS)
    assert all(name in table(figures) for name in TARGETS)
