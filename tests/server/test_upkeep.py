"""What happens each second: spending is written, also when the disk was full for a while."""

import logging

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.core.limits import NEW, Spending
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import MemoryCounters
from openfusion_auto.server.upkeep import Ledger
from openfusion_auto.store.spendfile import SpendFile
from tests.server.live import send
from tests.server.test_keyring import body, keyed
from tests.server.test_limits import until


class Log:
    """A log whose disk can be full."""

    def __init__(self):
        self.kept, self.full, self.writes = {}, False, 0

    def load(self):
        return {}

    def save(self, changed):
        self.writes += 1
        if self.full:
            raise ConfigError("usage.json: cannot be written (No space left on device)")
        self.kept.update(changed)


async def test_only_what_changed_is_written_and_nothing_when_nothing_did():
    counters, log = MemoryCounters(Clock()), Log()
    ledger = Ledger(counters, log)
    await ledger.flush()
    ledger.close()
    assert log.writes == 0
    counters._put("key:a", NEW)
    await ledger.flush()
    await ledger.flush()
    assert (log.writes, log.kept) == (1, {"key:a": Spending()})


async def test_what_could_not_be_written_is_written_later_and_the_log_says_it_once(caplog):
    counters, log = MemoryCounters(Clock()), Log()
    ledger = Ledger(counters, log)
    log.full = True
    counters._put("key:a", NEW)
    with caplog.at_level(logging.ERROR, "openfusion.server"):
        await ledger.flush()
        await ledger.flush()
        assert len(caplog.records) == 1
        assert "No space left" in caplog.text
        log.full = False
        ledger.close()
        assert set(log.kept) == {"key:a"}
        log.full = True
        counters._put("key:b", NEW)
        await ledger.flush()
    assert len(caplog.records) == 2


async def test_a_running_server_writes_within_seconds_and_a_stopped_one_at_once(tmp_path):
    file = tmp_path / "state" / "usage.json"
    async with keyed(tmp_path, Wish("ci")) as (router, texts):
        assert not file.exists()
        await send(router, body("/chat/completions"), key=texts["ci"])
        await until(file.exists, within_s=5.0)
        await send(router, body("/chat/completions"), key=texts["ci"])
    (spending,) = SpendFile(file).load().values()
    assert spending.requests == 2
