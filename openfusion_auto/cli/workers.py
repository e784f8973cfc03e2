"""Several processes that serve one address: one parent starts them, replaces those that die, and passes signals on.

    SIGTERM, SIGINT   every worker lets its answers end; the parent ends with 0 when all did
    SIGHUP            every worker reads its configuration again
    a worker dies     it is started again, at once and then with growing pauses
    the parent dies   the workers let their answers end, and end

The parent serves nothing and holds no state. The kernel gives every new connection to one of the workers
(SO_REUSEPORT); of one that died nothing is sent to it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from openfusion_auto.errors import ConfigError
from openfusion_auto.server.worker import METRICS_FOLDER, READY, SEALING, forget_states, worker_name

log = logging.getLogger("openfusion.workers")

STEADY_S = 30.0  # [s] a worker that lived so long had no trouble with starting
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # before the next try after so many failures
MAX_FAILURES = 5  # in a row, of a worker, while no other serves: then it is given up
# [s] beyond the drain time in which a worker must have ended: its store is written in 10.
GRACE_S = 15.0


@dataclass(frozen=True, slots=True)
class Place:
    """An address that workers share: its sockets are bound and never listen, so that nobody else gets it."""

    port: int
    sockets: tuple[socket.socket, ...]

    @property
    def url(self) -> str:
        """Return the address."""
        host = self.sockets[0].getsockname()[0]
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def close(self) -> None:
        """Give it up."""
        for one in self.sockets:
            one.close()


def place(host: str, port: int) -> Place:
    """Take an address; port 0 = any free one.

    Raises:
        OSError: it cannot be had: somebody listens there.
    """
    found = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    held: list[socket.socket] = []
    try:
        for family, kind, number, _, address in found:
            if port:  # alone first: two servers that both share would take turns without knowing
                with socket.socket(family, kind, number) as alone:
                    bind(alone, family, address, port)
            one = socket.socket(family, kind, number)
            held.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bind(one, family, address, port or held[0].getsockname()[1])
    except BaseException:
        for one in held:
            one.close()
        raise
    return Place(held[0].getsockname()[1], tuple(held))


def bind(one: socket.socket, family: int, address: Sequence[object], port: int) -> None:
    """Bind as servers do: a port in TIME_WAIT counts as free, and IPv6 is for IPv6."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address[0], port, *address[2:]))


@dataclass(slots=True)
class One:
    """A worker's place: its process, and how it went."""

    number: int
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    failures: int = 0
    restarts: int = 0
    code: int | None = None


@dataclass
class Workers:
    """The parent's work.

    Attributes:
        command: What starts a worker, but for which one it is.
        count: How many.
        drain_s: How long running requests may finish.
        folder: Where they count their metrics.
    """

    command: Sequence[str]
    count: int
    drain_s: float
    folder: Path
    ones: list[One] = field(init=False)
    stop: asyncio.Event = field(init=False)
    changed: asyncio.Event = field(init=False)
    failed: int | None = field(init=False, default=None)
    secret: str = field(init=False, default_factory=partial(secrets.token_hex, 32), repr=False)

    async def run(self, announce: Callable[[], None]) -> int:
        """Serve until it is told to stop; returns the code to end with.

        Args:
            announce: Called once when all of them accept connections.
        """
        self.ones = [One(number) for number in range(self.count)]
        self.stop, self.changed = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._told_to_end)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        minding: list[asyncio.Task[None]] = []
        try:
            # The first alone: what is wrong with a configuration is then said once.
            for some in (self.ones[:1], self.ones[1:]):
                minding += [asyncio.create_task(self._mind(one)) for one in some]
                await self._until_ready(some)
            if not self.stop.is_set():
                announce()
            await self.stop.wait()
        finally:
            self.stop.set()
            await self._end(minding)
        return self._code()

    async def _until_ready(self, some: Sequence[One]) -> None:
        """Wait until some workers accept connections, or until all is to end."""
        stopping = asyncio.ensure_future(self.stop.wait())
        try:
            while not all(one.ready for one in some) and not self.stop.is_set():
                self.changed.clear()
                changing = asyncio.ensure_future(self.changed.wait())
                await asyncio.wait((stopping, changing), return_when=asyncio.FIRST_COMPLETED)
                changing.cancel()
        finally:
            stopping.cancel()

    def _told_to_end(self) -> None:
        """End; told twice, the workers are told once more and wait for nothing."""
        if self.stop.is_set():
            self._pass_on(signal.SIGTERM)
        self.stop.set()

    def _pass_on(self, name: signal.Signals) -> None:
        """Send a signal to every worker that is ready for it."""
        for one in self.ones:
            if one.ready and one.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    one.process.send_signal(name)

    async def _mind(self, one: One) -> None:
        """Keep a worker running."""
        loop = asyncio.get_running_loop()
        while not self.stop.is_set():
            began_s = loop.time()
            was_ready = await self._live(one)
            if self.stop.is_set():
                return
            if not was_ready and not one.restarts:  # it never was: no use in trying
                self._give_up(one)
                return
            steady = was_ready and loop.time() - began_s >= STEADY_S
            one.failures = 0 if steady else one.failures + 1
            if one.failures >= MAX_FAILURES and not any(o.ready for o in self.ones):
                self._give_up(one)
                return
            pause_s = PAUSES_S[min(max(0, one.failures - 1), len(PAUSES_S) - 1)]
            one.restarts += 1
            log.error(
                "worker %d %s; it is started again%s",
                one.number,
                ended(one.code),
                f" in {pause_s:g} s" if pause_s else "",
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause_s or 0.001)

    def _give_up(self, one: One) -> None:
        if one.restarts:
            log.error("worker %d %s: given up", one.number, ended(one.code))
        self.failed = one.code if one.code and one.code > 0 else 1
        self.stop.set()

    async def _live(self, one: One) -> bool:
        """Start a worker and wait for its end; returns whether it was ready to serve."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                ours.setblocking(False)
                name = worker_name(one.number, self.count, theirs.fileno(), one.restarts)
                try:
                    one.process = await asyncio.create_subprocess_exec(
                        *self.command,
                        "--worker",
                        name,
                        stdin=asyncio.subprocess.DEVNULL,
                        pass_fds=(theirs.fileno(),),
                        env={**os.environ, METRICS_FOLDER: str(self.folder), SEALING: self.secret},
                    )
                except OSError as error:
                    log.error("worker %d cannot be started: %s", one.number, error.strerror)  # noqa: TRY400 - no news in the stack
                    one.code = None
                    return False
            if self.stop.is_set():  # it was told meanwhile that all is to end
                one.process.terminate()
            said = await asyncio.get_running_loop().sock_recv(ours, len(READY))
            one.ready = was_ready = said == READY
            self.changed.set()
            one.code = await one.process.wait()
        one.ready = False
        pid, one.process = one.process.pid, None
        forget_states(self.folder, pid)
        return was_ready

    async def _end(self, minding: list[asyncio.Task[None]]) -> None:
        """Let every worker finish what runs; who takes too long is ended."""
        for one in self.ones:
            if one.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    one.process.terminate()
        if not minding:
            return
        _, late = await asyncio.wait(minding, timeout=self.drain_s + GRACE_S)
        for one in self.ones:
            if one.process is not None:
                log.error("worker %d did not end in time", one.number)
                with contextlib.suppress(ProcessLookupError):
                    one.process.kill()
        if late:
            await asyncio.wait(late)
        for task in minding:
            task.result()

    def _code(self) -> int:
        """Return 0 when all ended as they should; who was not ready yet may end by the signal."""
        if self.failed is not None:
            return self.failed
        fine = (0, -signal.SIGTERM, -signal.SIGINT, None)
        return 0 if all(one.code in fine for one in self.ones) else 1


@contextlib.contextmanager
def metrics_folder(state: Path) -> Iterator[Path]:
    """Give a folder in the state folder for as long as this process runs; what a parent that was killed left goes."""
    for left in state.glob("metrics-*"):
        if not is_alive(left.name.removeprefix("metrics-")):
            shutil.rmtree(left, ignore_errors=True)
    folder = state / f"metrics-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_alive(pid: str) -> bool:
    """Whether a process of this number is there."""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def ended(code: int | None) -> str:
    """Return in words how a process ended."""
    if code is None:
        return "was not started"
    if code >= 0:
        return f"ended with {code}"
    return f"was ended by {signal.Signals(-code).name}"


def check_possible(workers: int, *, store: bool, redis: bool) -> None:
    """Refuse what several workers cannot do.

    Raises:
        ConfigError: they cannot share the address here, or have no place to share what they know.
    """
    if sys.platform != "linux":
        raise ConfigError(
            f"{workers} workers: only Linux spreads connections over processes that share a port; leave --workers "
            "(server.workers) at 1, or run several servers behind a balancer"
        )
    if not store and not redis:
        raise ConfigError(
            f"{workers} workers share sessions, limits and budgets through the state folder or a Redis: leave out "
            "--no-store (store.enabled = true), or set OPENFUSION_REDIS_URL"
        )
