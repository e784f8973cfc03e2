"""A server's life: it listens, says so, serves until it is told to stop, lets what runs end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from openfusion_auto.config.load import Settings
from openfusion_auto.errors import cannot_listen
from openfusion_auto.server.files import allow_connections
from openfusion_auto.server.follow import FOLLOWER
from openfusion_auto.server.keys import CLOCK, LIVE
from openfusion_auto.server.logs import unhandled
from openfusion_auto.server.stalled import cut_stalled

# Kept traces are thousands of small values without a cycle among them: Python's own thresholds (700, 10, 10) look at
# them again and again, a tenth to a fifth of a request's processor time. The rare garbage in cycles waits a little.
COLLECT_AT = (20_000, 20, 20)
# [s] a connection may have no whole request on it, at its start (a head that never ends) or between two. Longer than
# clients keep theirs (reqwest 90 s, httpx 5 s, undici 4 s), so that they and not we close one that both believe in.
IDLE_CONNECTION_S = 120.0


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


WORKER = web.AppKey("worker", Worker)
READY = b"+"  # the only thing that a worker says to its parent


def worker_of(text: str) -> Worker:
    """Return the worker that its parent's `--worker` names: number/of/descriptor/restarts."""
    number, of, descriptor, restarts = map(int, text.split("/"))
    return Worker(number, of, socket.socket(fileno=descriptor), restarts)


def runner_server(runner: web.AppRunner) -> web.Server:
    """Return the server of a runner that has been set up."""
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    return runner.server


@contextlib.contextmanager
def rarer_collections() -> Iterator[None]:
    """Let the collector of cycles look as rarely as `COLLECT_AT` says while a server runs."""
    before = gc.get_threshold()
    gc.set_threshold(*COLLECT_AT)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def serve(
    app: web.Application,
    settings: Settings,
    announce: Callable[[str], None],
    worker: Worker | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return.

    Args:
        app: The application.
        settings: Address and drain time.
        announce: Called with the address once connections are accepted.
        worker: Which of several that serve the address; None = the only one.

    Raises:
        ConfigError: the address cannot be bound.
    """
    server = settings.config.server
    allow_connections()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(unhandled)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if worker is not None:
        app[WORKER] = worker
        worker.watch(loop, stop.set)
    if FOLLOWER in app:
        loop.add_signal_handler(signal.SIGHUP, app[FOLLOWER].ask)
    # A client that leaves cancels its handler, and with it the calls upstream.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=server.drain_s,
        keepalive_timeout=IDLE_CONNECTION_S,
    )
    await runner.setup()
    watching = asyncio.create_task(cut_stalled(runner_server(runner), app[CLOCK]))
    try:
        site = web.TCPSite(
            runner, server.host, server.port, backlog=1024, reuse_port=worker is not None or None
        )
        try:
            await site.start()
        except OSError as error:
            raise cannot_listen(server.host, server.port, error) from None
        host, port = runner.addresses[0][:2]
        with rarer_collections():
            announce(f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}")
            if worker is not None:
                worker.tell_ready()
            await stop.wait()
            app[LIVE].draining = True
    finally:
        watching.cancel()
        await runner.cleanup()
