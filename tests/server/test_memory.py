"""Free pages between things in use go back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import platform
import subprocess
import sys

import pytest

from openfusion_auto.server import memory
from tests.bench.procs import can_measure

# Every other block is freed: none of it lies at the end of the heap, where it would go back by itself.
PLAYED = """
from openfusion_auto.server.memory import trimmer
from tests.bench.procs import memory_mb
import ctypes, os
kept = [ctypes.create_string_buffer(bytes([1]) * 20_000) for _ in range(4_000)]
del kept[::2]
before = memory_mb(os.getpid())
trimmer()()
print(before - memory_mb(os.getpid()))
"""


@pytest.mark.skipif(
    not can_measure() or platform.libc_ver()[0] != "glibc", reason="glibc's own call"
)
def test_it_is_less_afterwards():
    done = subprocess.run(
        [sys.executable, "-c", PLAYED], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) > 20  # [MB] of 40 that were freed


def test_where_there_is_no_such_call_there_is_none(monkeypatch):
    def missing(_name):
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert memory.trimmer() is None


async def test_sockets_are_read_in_smaller_pieces_as_long_as_asked():
    async def sizes():
        seen = []

        async def answer(reader, writer):
            class Counting(asyncio.StreamReaderProtocol):
                def data_received(self, data):
                    seen.append(len(data))
                    super().data_received(data)

            writer.transport.set_protocol(Counting(reader))
            await reader.readexactly(1_000_000 - 1)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"x")
            await asyncio.sleep(0.05)
            writer.write(b"y" * 1_000_000)
            await writer.drain()
            while sum(seen) < 999_000:
                await asyncio.sleep(0.01)
            writer.close()
        return seen

    with memory.smaller_pieces():
        assert max(await sizes()) <= memory.PIECE_BYTES
    assert max(await sizes()) > memory.PIECE_BYTES
