"""What a worker has with the parent that started it; both are played in tests/cli/test_workers.py."""

import asyncio
import socket

import pytest

from openfusion_auto.server.worker import READY, Worker, forget_states, worker_name, worker_of


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_worker_is_named_by_its_parent_and_says_when_it_serves(pair):
    ours, theirs = pair
    worker = worker_of(worker_name(1, 3, theirs.detach(), 2))
    assert (worker.number, worker.of, worker.restarts) == (1, 3, 2)
    worker.tell_ready()
    assert ours.recv(8) == READY
    ours.close()
    worker.tell_ready()  # the parent is gone: nobody to tell
    worker.parent.close()


async def test_a_worker_stops_when_its_parent_is_gone(pair):
    ours, theirs = pair
    stop = asyncio.Event()
    Worker(0, 2, theirs).watch(asyncio.get_running_loop(), stop.set)
    await asyncio.sleep(0)
    assert not stop.is_set()
    ours.close()
    async with asyncio.timeout(30):
        await stop.wait()


def test_only_states_of_a_process_that_ended_go(tmp_path):
    names = ("gauge_livesum_7.db", "gauge_livemin_7.db", "gauge_livesum_77.db", "counter_7.db")
    for name in names:
        (tmp_path / name).touch()
    forget_states(tmp_path, 7)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["counter_7.db", "gauge_livesum_77.db"]
