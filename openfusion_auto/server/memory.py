"""Memory that a busy server does not need, back to the system.

glibc keeps the pages that lie free between things still in use. It also moves its bound for what is large, and so gets
pages of its own that go back when it is freed, up to the largest thing that was ever freed (32 MB): then bodies and
what sockets are read into lie among what lives on, and the heap grows around them, with not one object more. So the
bound is fixed, and free pages are handed back now and then, which takes some milliseconds beside the event loop.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

TRIM_S = 300.0  # [s] between two times
LARGE = 64 * 2**10  # [bytes] from which on something has pages of its own
M_MMAP_THRESHOLD = -3  # its number in glibc's malloc.h


def large_apart() -> bool:
    """Have what is large lie apart from the heap from now on; False where there is no such call (not glibc)."""
    try:
        return int(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)) == 1
    except (AttributeError, OSError, TypeError):
        return False


def trimmer() -> Callable[[], None] | None:
    """Return what hands free pages back, None where the C library has no such call (musl, macOS, Windows)."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int

    def run() -> None:
        trim(0)

    return run
