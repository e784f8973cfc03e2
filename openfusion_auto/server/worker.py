"""One of several processes that serve one address, and what it has with the parent that started it (`cli/workers.py`).

Light to import: the parent serves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READY = b"+"  # the only thing that a worker says to its parent
SEALING = "OPENFUSION_WORKERS_SEALING"  # in a worker's environment: what passes of all of them are sealed with, in hex
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # read by the library when it is first imported


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that serve one address.

    Attributes:
        number, of: Which it is, from 0, of how many.
        parent: The way to the process that started it: it is told when connections are accepted, and when this ends
            at its side, so does the worker.
        restarts: How often it died before.
    """

    number: int
    of: int
    parent: socket.socket
    restarts: int = 0

    def tell_ready(self) -> None:
        """Tell the parent that connections are accepted."""
        with contextlib.suppress(OSError):
            self.parent.send(READY)

    def watch(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], object]) -> None:
        """Call `stop` when the parent is gone."""

        def gone() -> None:
            loop.remove_reader(self.parent)
            stop()

        self.parent.setblocking(False)
        loop.add_reader(self.parent, gone)


def worker_name(number: int, of: int, descriptor: int, restarts: int) -> str:
    """Return what a parent tells a worker in `--worker`."""
    return f"{number}/{of}/{descriptor}/{restarts}"


def worker_of(name: str) -> Worker:
    """Return the worker of a name."""
    number, of, descriptor, restarts = map(int, name.split("/"))
    return Worker(number, of, socket.socket(fileno=descriptor), restarts)


def forget_states(folder: Path, pid: int) -> None:
    """Take the states of a process that has ended out of the metrics' folder; what it counted stays."""
    for path in folder.glob(f"gauge_live*_{pid}.db"):
        path.unlink(missing_ok=True)
