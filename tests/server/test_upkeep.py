"""What happens each second, and what a server leaves of spending when it stops."""

import asyncio

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.core.limits import Spending
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.server.memory import TRIM_S
from openfusion_auto.server.upkeep import upkeep
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from tests.server.live import send
from tests.server.test_keyring import body, keyed


class Ring:
    """Keys that count how often they are looked at."""

    looks = 0

    def refresh(self):
        self.looks += 1


async def test_keys_are_looked_at_each_second_and_no_longer_than_the_server_runs():
    ring, slept = Ring(), []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.sleep(0)

    context = upkeep(ring, Clock(sleep=sleep))(None)
    await anext(context)
    while ring.looks < 3:
        await asyncio.sleep(0)
    assert await anext(context, "over") == "over"
    looks = ring.looks
    await asyncio.sleep(0)
    assert (ring.looks, set(slept)) == (looks, {1.0})


async def test_freed_memory_goes_back_each_five_minutes(monkeypatch):
    trims, now = [], [0.0]
    monkeypatch.setattr(
        "openfusion_auto.server.upkeep.trimmer", lambda: lambda: trims.append(now[0])
    )

    async def sleep(seconds):
        if now[0] > 2 * TRIM_S + 5:
            await asyncio.sleep(3600)
        now[0] += seconds
        await asyncio.sleep(0)

    context = upkeep(Ring(), Clock(now=lambda: now[0], sleep=sleep))(None)
    await anext(context)
    while now[0] <= 2 * TRIM_S + 5:
        await asyncio.sleep(0.001)
    assert await anext(context, "over") == "over"
    assert trims == [TRIM_S, 2 * TRIM_S]


async def test_what_was_spent_is_in_the_store_when_a_server_has_stopped(tmp_path):
    async with keyed(tmp_path, Wish("ci")) as (router, texts):
        for _ in range(2):
            await send(router, body("/chat/completions"), key=texts["ci"])
    store = SqliteStore(tmp_path / "state" / "state.sqlite3", Limits(), lambda: 0.0)
    ((name, spending),) = store.load(Spending, 0.0)
    assert name.startswith("key:")
    assert spending.requests == 2
    store.close()
