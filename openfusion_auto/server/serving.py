"""A server's life: it listens, says so, serves until it is told to stop, lets what runs end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Iterator

from aiohttp import web

from openfusion_auto.config.load import Settings
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


def heed_signals(
    loop: asyncio.AbstractEventLoop, app: web.Application, stop: asyncio.Event
) -> None:
    """Have SIGTERM and SIGINT end the server, and SIGHUP, which Windows has not, look at the files."""
    calls = {"SIGTERM": stop.set, "SIGINT": stop.set}
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
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(Unhandled(loop.time))
    heed_signals(loop, app, stop)
    if worker is not None:
        app[WORKER] = worker
        worker.watch(loop, stop.set)
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
            await stop.wait()
            app[LIVE].draining = True
    finally:
        watching.cancel()
        await runner.cleanup()
