"""The load programs in their short form: what must hold in half an hour must hold in some seconds."""

from __future__ import annotations

import pytest

from tests.bench.procs import can_measure
from tests.load import kill, mixed, streams
from tests.load.rig import table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_measure(), reason="needs /proc: memory of another process"),
]


def hold(found, title):
    """Fail with the whole table unless every figure is as it must be."""
    rows, problems = found
    assert not problems, "\n".join(problems[:20])
    assert all(row.good for row in rows), table(title, rows)


def test_streams_at_once_are_all_whole_in_little_memory(tmp_path):
    found = streams.measure(tmp_path, streams=150, chunks=5, pause_ms=300, rounds=1)
    hold(streams.judged(found, 150, None), "streams")


def test_under_mixed_load_nothing_stays_open_and_the_books_are_the_meters(tmp_path):
    ran = mixed.run(tmp_path, span_s=4, clients=10, faults=0.1, seed=7)
    hold(mixed.judged(tmp_path, ran), "mixed load")


def test_a_server_that_is_killed_under_load_loses_a_moment_and_comes_back(tmp_path):
    # The window of the program is a tenth of a second; a machine that is busy with others needs more to write.
    done = kill.run(tmp_path, kills=5, clients=4, window_s=1.0, seed=7)
    hold(kill.judged(tmp_path, done, window_s=1.0, start_s=30.0), "kill")
