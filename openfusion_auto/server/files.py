"""How many connections the operating system lets this process have."""

from __future__ import annotations

import importlib

OWN = 64  # files that the server needs itself: its store, its log, what it loads late
WANTED = 65_536  # open files: a stream takes two (its client's connection and its upstream's)


def most_clients(files: int | None) -> int | None:
    """Return how many connections of clients a bound of open files leaves room for, each with one to an upstream."""
    return None if files is None else max(1, (files - min(OWN, files // 2)) // 2)


def allow_connections() -> int | None:
    """Raise this process's own bound of open files as far as it may; return it, None where there is none.

    Many systems begin at 1,024, which is 500 streams at once, and leave it to programs to ask for more.
    """
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows has no such bound
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unbounded = resource.RLIM_INFINITY
    wanted = WANTED if hard == unbounded else min(WANTED, hard)
    if soft == unbounded:
        return None
    if soft >= wanted:
        return int(soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a system may hold its own maximum below the hard bound
        return int(soft)
    return int(wanted)
