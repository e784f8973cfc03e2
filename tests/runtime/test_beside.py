"""Tests for runtime/beside.py."""

import asyncio

import pytest

from openfusion_auto.runtime.beside import beside


async def test_work_goes_on_beside_and_ends_with_what_is_inside():
    done = []

    async def work():
        try:
            while True:
                done.append(1)
                await asyncio.sleep(0)
        finally:
            done.append("end")

    async with beside(work()):
        await asyncio.sleep(0.01)
    assert done[0] == 1
    assert done[-1] == "end"


async def test_work_that_swallows_a_cancellation_is_told_again(monkeypatch):
    monkeypatch.setattr("openfusion_auto.runtime.beside.AGAIN_S", 0.01)
    told = []

    async def work():
        while len(told) < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append(1)

    async with asyncio.timeout(5), beside(work()):
        await asyncio.sleep(0)
    assert len(told) == 3


async def test_what_it_fails_with_is_raised_at_the_end_and_work_that_is_over_is_no_matter():
    async def fail():
        raise KeyError("defect")

    async def nothing():
        pass

    with pytest.raises(KeyError):
        async with beside(fail()):
            await asyncio.sleep(0)
    async with beside(nothing()):
        await asyncio.sleep(0)
