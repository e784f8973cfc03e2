"""What stands between our process and a model's code: sets the limits, then becomes the program. Run by path, alone.

Usage: sandbox_child.py MEMORY_MB FILE_MB CPU_S PROGRAM
"""

from __future__ import annotations

import contextlib
import os
import sys

NEW_USER, NEW_NET = 0x10000000, 0x40000000  # CLONE_NEWUSER, CLONE_NEWNET (linux/sched.h)
MEGABYTE = 1_000_000


def without_network() -> bool:
    """Leave the machine's network for an empty one, where the kernel lets anyone do that; says whether it did."""
    if sys.platform != "linux":
        return False
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None).unshare(NEW_USER | NEW_NET) == 0)
    return False


def bounded(memory_mb: int, file_mb: int, cpu_s: int) -> None:
    """Set the limits of this process, soft and hard."""
    import resource

    limits = {
        resource.RLIMIT_AS: memory_mb * MEGABYTE,
        resource.RLIMIT_FSIZE: file_mb * MEGABYTE,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: 0,  # no fork; root is not bound by it
    }
    for what, most in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows no limit of the address space
            resource.setrlimit(what, (most, most))


def main(argv: list[str]) -> None:
    """Bound this process and become the program."""
    memory_mb, file_mb, cpu_s, program = argv
    without_network()
    bounded(int(memory_mb), int(file_mb), int(cpu_s))
    os.execv(sys.executable, [sys.executable, "-I", "-B", program])  # noqa: S606 - no shell


if __name__ == "__main__":
    main(sys.argv[1:])
