"""Time and chance are values of one object, and by default the real ones."""

from __future__ import annotations

import dataclasses
import time

import pytest

from openfusion_auto.runtime.clock import Clock


def test_the_default_clock_is_real():
    clock = Clock()
    before = time.monotonic()
    assert before <= clock.now() <= time.monotonic()
    assert abs(clock.wall() - time.time()) < 5
    assert all(0 <= clock.chance() < 1 for _ in range(20))
    assert len({clock.chance() for _ in range(20)}) > 1


async def test_sleeping_really_waits():
    clock = Clock()
    began = clock.now()
    await clock.sleep(0.02)
    assert clock.now() - began >= 0.019


def test_each_part_can_be_replaced_and_none_changed_later():
    clock = Clock(now=lambda: 7.0, chance=lambda: 0.5)
    assert (clock.now(), clock.chance()) == (7.0, 0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        clock.now = time.time


def test_a_moment_of_the_monotonic_clock_is_moved_to_the_walls():
    assert Clock(now=lambda: 5.0, wall=lambda: 1005.5).epoch_s() == 1000.5
