"""The connections to one upstream: those that are idle are used again, the last one first; else a new one is made."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection

from openfusion_auto.config.proxies import Way
from openfusion_auto.errors import without_files
from openfusion_auto.upstream.connection import Connection
from openfusion_auto.upstream.tunnel import NoTunnel, open_tunnel

# There is no bound on connections in use: each carries a client's request, and a request that waits for another's
# answer is worse than one more connection.
IDLE_KEPT = 256  # connections that wait for the next request
READ = 64 * 2**10  # [bytes] that are read from a socket at once
ENDING_S = 1.0  # [s] for the last bytes of an answer whose end mark has been read
IDLE_S = 15.0  # [s] an unused one is kept; servers close theirs after 5 (uvicorn) to 75 (nginx), most after 60
ADDRESSES_S = 300.0  # [s] a name's addresses are used before they are looked up anew
# [s] of the first address before the next one is tried beside it (RFC 8305, section 5).
HEAD_START_S = 0.25
# A patience ends after so many looks at it. A process that is busy with a burst of requests comes round to its
# connections late, and a clock alone would take its own lateness for the other side's.
LOOKS = 10
DIRECTLY = Way()


@contextlib.asynccontextmanager
async def patience(span_s: float) -> AsyncIterator[None]:
    """Raise `TimeoutError` when a block is not done in `span_s` [s], of which a stretch in which this process did not
    get to look counts for one look alone.
    """
    loop, left = asyncio.get_running_loop(), LOOKS
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def look() -> None:
            nonlocal left, timer
            left -= 1
            if left:
                timer = loop.call_later(span_s / LOOKS, look)
            else:
                limit.reschedule(loop.time())

        timer = loop.call_later(span_s / LOOKS, look)
        try:
            yield
        finally:
            timer.cancel()


@functools.cache
def verifying() -> ssl.SSLContext:
    """Return the context of every TLS connection: certificates and names are checked, HTTP/1.1 is spoken."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connections:
    """Connections to the host of a base URL.

    Args:
        base_url: http or https; what `config/addresses.py` lets through.
        connect_s: Time for finding, connecting and securing [s].
        wall: Returns the wall clock [s]. The loop's own stands still while a machine sleeps: what was kept over that
            looks fresh to it, but the other side, or a router between, has forgotten it. Without one nobody notices.
        way: By which proxy new ones are made, if by any. A proxy looks the host up itself: it is not looked up here.
    """

    def __init__(
        self,
        base_url: str,
        connect_s: float,
        wall: Callable[[], float] = lambda: 0.0,
        way: Way = DIRECTLY,
    ) -> None:
        self._wall = wall
        self._way = way
        parts = urlsplit(base_url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._connect_s = connect_s
        self._idle: list[Connection] = []
        self._room = memoryview(bytearray(READ))
        self._closed = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._addresses: Sequence[AddrInfoType] = ()
        self._looked_up_s = 0.0
        self._looking_up: asyncio.Future[Sequence[AddrInfoType]] | None = None

    def take_idle(self) -> Connection | None:
        """Return a connection that has carried a request before, None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and 0.0 <= self._wall() - connection.idle_wall_s < IDLE_S:
                return connection
            connection.close()
        return None

    async def make(self) -> Connection:
        """Return a new connection.

        Raises:
            TimeoutError: not in time.
            NoTunnel: not by the proxy.
            OSError: no address, nobody there, or no secure connection (`ssl.SSLError`).
        """
        if self._way.proxy is None and not self._way.fault:
            return await self._make(self._reach)
        try:
            return await self._make(self._pass_proxy)
        except TimeoutError:
            raise NoTunnel("the proxy makes no connection in time") from None

    async def _make(self, reach: Callable[[], Awaitable[socket.socket]]) -> Connection:
        loop = asyncio.get_running_loop()
        async with patience(self._connect_s):
            sock = await reach()
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, connection = await loop.create_connection(
                    lambda: Connection(self._room),
                    sock=sock,
                    ssl=verifying() if self._secure else None,
                    server_hostname=self._host if self._secure else None,
                )
            except BaseException:
                sock.close()
                raise
        return connection

    async def _reach(self) -> socket.socket:
        """Return a socket that is connected to the host, or to the proxy before it."""
        addresses = await self._find()
        try:
            return await start_connection(
                addresses, happy_eyeballs_delay=HEAD_START_S, loop=asyncio.get_running_loop()
            )
        except BaseException as error:
            if without_files(error) is None:
                self._addresses = ()  # the host may have moved, or this machine: looked up anew next time
            raise

    async def _pass_proxy(self) -> socket.socket:
        """Return a socket at whose other end is the host, behind the proxy."""
        proxy = self._way.proxy
        if proxy is None:
            raise NoTunnel(f"no proxy to call it by: {self._way.fault}")
        try:
            sock = await self._reach()
        except OSError as error:
            if without_files(error) is not None:
                raise
            unknown = isinstance(error, socket.gaierror)
            said = "the proxy's host name is not found" if unknown else "the proxy is not reached"
            raise NoTunnel(said) from None
        try:
            await open_tunnel(sock, proxy, self._host, self._port)
        except BaseException:
            sock.close()
            raise
        return sock

    def give_back_later(self, connection: Connection) -> None:
        """As `give_back`, once the last bytes of an answer are there that has said all it says.

        Servers send the end of the framing behind the end mark; a connection that is cut there would have to be made
        and secured anew for the next turn.
        """
        if connection.whole:
            self.give_back(connection)
            return
        timer = asyncio.get_running_loop().call_later(ENDING_S, connection.close)

        def ended() -> None:
            timer.cancel()
            self.give_back(connection)

        connection.let_end(ended)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request when it can carry one, else close it."""
        if self._closed or not connection.usable or len(self._idle) >= IDLE_KEPT:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_s, connection.idle_wall_s = loop.time(), self._wall()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_S, self._sweep)

    def close(self) -> None:
        """Close those that are idle, and those in use when they are given back."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _sweep(self) -> None:
        """Close what has been idle for too long: one timer for all of them."""
        loop = asyncio.get_running_loop()
        kept = []
        for connection in self._idle:
            if connection.usable and loop.time() - connection.idle_s < IDLE_S:
                kept.append(connection)
            else:
                connection.close()
        self._idle = kept
        self._sweeper = None
        if kept:
            due_s = min(c.idle_s for c in kept) + IDLE_S
            self._sweeper = loop.call_at(due_s, self._sweep)

    async def _find(self) -> Sequence[AddrInfoType]:
        """Return the addresses of the host, or of the proxy before it.

        Many who ask wait for one answer, which counts also when it is late.
        """
        loop = asyncio.get_running_loop()
        if self._addresses and loop.time() - self._looked_up_s <= ADDRESSES_S:
            return self._addresses
        if self._looking_up is None:
            proxy = self._way.proxy
            host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
            self._looking_up = look_up(host, port)
            self._looking_up.add_done_callback(self._found)
        return await asyncio.shield(self._looking_up)

    def _found(self, answer: asyncio.Future[Sequence[AddrInfoType]]) -> None:
        self._looking_up = None
        if not answer.cancelled() and answer.exception() is None:
            self._addresses, self._looked_up_s = answer.result(), answer.get_loop().time()


def look_up(host: str, port: int) -> asyncio.Future[Sequence[AddrInfoType]]:
    """Look a name up in a thread of its own, which nobody waits for in the end.

    Without a network a resolver is silent for half a minute. The loop's own threads are few: a handful of such
    questions would hold up all that uses them, and the end of the process with them.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[AddrInfoType]] = loop.create_future()

    def tell(found: Sequence[AddrInfoType], error: OSError | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(found)
        else:
            answer.set_exception(error)

    def ask() -> None:
        found: Sequence[AddrInfoType] = ()
        error = None
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as failed:
            error = no_more_files() or failed
        except UnicodeError:  # a part of it is too long to be one of a name
            error = socket.gaierror(socket.EAI_NONAME, "not a host name")
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, found, error)

    threading.Thread(target=ask, name="look up", daemon=True).start()
    return answer


def no_more_files() -> OSError | None:
    """Return the error of a socket that cannot be had; a resolver that gets none says anything (busy, no such name)."""
    try:
        socket.socket().close()
    except OSError as error:
        return error
    return None
