"""A server's life: it listens, says so, serves until it is told to stop, lets what runs end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from openfusion_auto.config.load import Settings
from openfusion_auto.errors import Overloaded
from openfusion_auto.server.files import allow_connections, most_clients
from openfusion_auto.server.follow import FOLLOWER
from openfusion_auto.server.incoming import listen
from openfusion_auto.server.keys import CLOCK, LIVE
from openfusion_auto.server.logs import Unhandled
from openfusion_auto.server.memory import large_apart
from openfusion_auto.server.stalled import cut_stalled
from openfusion_auto.server.worker import Worker

# Kept traces are thousands of small values without a cycle among them: Python's own thresholds (700, 10, 10) look at
# them again and again, a tenth to a fifth of a request's processor time. The rare garbage in cycles waits a little.
COLLECT_AT = (20_000, 20, 20)
# [s] after which a thread that waits for the interpreter gets it. Python's own 5 ms is what a request waited when the
# thread that writes traces down had it: the 99th percentile of one request at a time fell from 19 to 12 ms on a busy
# machine, at the same processor time.
SWITCH_S = 0.0005
# [s] a connection may have no whole request on it, at its start (a head that never ends) or between two. Longer than
# clients keep theirs (reqwest 90 s, httpx 5 s, undici 4 s), so that they and not we close one that both believe in.
IDLE_CONNECTION_S = 120.0
ONCE_S = 0.5  # [s] in which a signal that comes again was sent to a group of processes, not by somebody who waits
TAKING_S = 1.0  # [s] for a client to take the last bytes of what was cut
AFTER_S = 5.0  # [s] for what was cut to be booked


log = logging.getLogger("openfusion.server")
WORKER = web.AppKey("worker", Worker)


def runner_server(runner: web.AppRunner) -> web.Server:
    """Return the server of a runner that has been set up."""
    if runner.server is None:
        raise RuntimeError("the runner is not set up")
    return runner.server


@contextlib.contextmanager
def tuned() -> Iterator[None]:
    """Have the interpreter as a server wants it: cycles looked for rarely, threads that wait given their turn soon."""
    large_apart()
    thresholds, switch_s = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(*COLLECT_AT)
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(switch_s)


@dataclass(frozen=True, slots=True)
class Ending:
    """How far the server's end has come.

    Attributes:
        stop: It is to end when what runs has ended.
        now: It is to end without waiting for that: somebody has asked twice.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    now: asyncio.Event = field(default_factory=asyncio.Event)
    asked: dict[str, float] = field(default_factory=dict)

    def ask(self, name: str, now_s: float) -> None:
        """Take a signal.

        Ctrl-C reaches a worker from the terminal and as its parent's SIGTERM: once each. A stop of systemd's tells each
        process of a unit, and the parent tells its workers too: the same signal within `ONCE_S` is the same asking.
        """
        if now_s - self.asked.setdefault(name, now_s) >= ONCE_S:
            self.now.set()
        self.stop.set()


def heed_signals(loop: asyncio.AbstractEventLoop, app: web.Application, ending: Ending) -> None:
    """Have SIGTERM and SIGINT end the server, and SIGHUP, which Windows has not, look at the files."""
    calls: dict[str, Callable[[], None]] = {
        "SIGTERM": lambda: ending.ask("SIGTERM", loop.time()),
        "SIGINT": lambda: ending.ask("SIGINT", loop.time()),
    }
    if FOLLOWER in app:
        calls["SIGHUP"] = app[FOLLOWER].ask
    for name, call in calls.items():
        number = getattr(signal, name, None)
        if number is not None:
            on_signal(loop, number, call)


def on_signal(
    loop: asyncio.AbstractEventLoop, number: signal.Signals, call: Callable[[], None]
) -> None:
    """Have the loop make a call at a signal; where loops cannot (Windows), Python's own handler asks it to."""
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))


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
    most = most_clients(allow_connections())
    ending = Ending()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Unhandled(loop.time))
    heed_signals(loop, app, ending)
    if worker is not None:
        app[WORKER] = worker
        worker.watch(loop, ending.stop.set)
    # A client that leaves cancels its handler, and with it the calls upstream.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=server.drain_s + AFTER_S,
        keepalive_timeout=IDLE_CONNECTION_S,
    )
    await runner.setup()
    watching = asyncio.create_task(cut_stalled(runner_server(runner), app[CLOCK]))
    try:
        door = await listen(
            runner_server(runner),
            server.host,
            server.port,
            shared=worker is not None,
            most=most,
        )
        host, port = door.sockets[0].getsockname()[:2]
        with contextlib.closing(door), tuned():
            announce(f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}")
            if worker is not None:
                worker.tell_ready()
            await ending.stop.wait()
            app[LIVE].draining = True
            if app[LIVE].streams and worker is None:  # several would all say it
                log.warning(
                    "ending: what runs may go on for %g s; the same signal again ends it",
                    server.drain_s,
                )
    finally:
        watching.cancel()
        await clean_up(runner, app, server.drain_s, ending.now)


async def clean_up(
    runner: web.AppRunner, app: web.Application, drain_s: float, now: asyncio.Event
) -> None:
    """Let what runs end, cut what runs for longer than `drain_s` [s] or when `now` is set, and let go of all."""
    cutting = asyncio.create_task(cut_late(runner_server(runner), app, drain_s, now))
    try:
        await runner.cleanup()
    finally:
        cutting.cancel()


async def cut_late(
    server: web.Server, app: web.Application, drain_s: float, now: asyncio.Event
) -> None:
    """Cut the clients whose answers still run after `drain_s` [s], or at once when `now` is set.

    A stream ends with its dialect's error event. Their handlers are cancelled, and the books say so. The HTTP library
    itself would wait once more as long for each.
    """
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(now.wait(), drain_s)
    for client in list(app[LIVE].streams):
        with contextlib.suppress(ConnectionError):
            client.cut(Overloaded("The server is shutting down; the answer was broken off."))
    for transport in transports(server):
        transport.close()  # what is on its way goes out before
    await app[CLOCK].sleep(TAKING_S)
    for transport in transports(server):
        transport.abort()


def transports(server: web.Server) -> list[asyncio.Transport]:
    """Return the transports of the connections that are open."""
    return [c.transport for c in server.connections if c.transport is not None]
