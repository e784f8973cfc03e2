"""Memory that a busy server does not need, back to the system.

asyncio takes 256 KB for each look at a socket and gives back what it did not fill. Between what is in use there are
ever fewer holes of that size, so glibc's heap grew by 36 MB an hour at 25 requests a second, with not one object more.
Smaller pieces find room, and what lies free all the same is handed back now and then.
"""

from __future__ import annotations

import contextlib
import ctypes
from asyncio import selector_events
from collections.abc import Callable, Iterator

PIECE_BYTES = 32 * 1024  # read from a socket at once; longer bodies come in several
TRIM_S = 300.0  # [s] between two times


@contextlib.contextmanager
def smaller_pieces() -> Iterator[None]:
    """Let asyncio's own loop read sockets in smaller pieces while a server runs; uvloop has buffers of its own."""
    transport = selector_events._SelectorSocketTransport  # type: ignore[attr-defined]  # noqa: SLF001 - has no other place
    before = transport.max_size
    transport.max_size = PIECE_BYTES
    try:
        yield
    finally:
        transport.max_size = before


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
