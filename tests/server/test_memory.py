"""Free pages between things in use go back to the system."""

from __future__ import annotations

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


# Freed behind something that lives on: only pages of its own go back by themselves.
LARGE = """
from openfusion_auto.server.memory import LARGE, large_apart
from tests.bench.procs import memory_mb
import ctypes, os
ctypes.create_string_buffer(8 * 2**20)  # freed: glibc's own bound is 8 MB from now on
assert large_apart()
large = [ctypes.create_string_buffer(bytes([1]) * 2 * LARGE) for _ in range(200)]
behind = ctypes.create_string_buffer(bytes([1]) * 1_000)
before = memory_mb(os.getpid())
del large
print(before - memory_mb(os.getpid()))
"""
glibc = pytest.mark.skipif(
    not can_measure() or platform.libc_ver()[0] != "glibc", reason="glibc's own call"
)


@glibc
def test_what_is_large_goes_back_as_soon_as_it_is_freed():
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 20  # [MB] of 26


@glibc
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
    assert memory.large_apart() is False
